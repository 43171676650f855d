"""Numba: device functions, recursion, assertions, exceptions, printing, a grid that waits for itself."""

import numpy as np
import torch
from numba import cuda

from tests.ptxvm.corpus.case import Case, empty, tensor

WARP = 32


@cuda.jit
def _waves(a, b, rounds):
    """Each round a block takes what its neighbours wrote in the last one."""
    i = cuda.grid(1)
    grid = cuda.cg.this_grid()
    for step in range(rounds):
        old, new = (a, b) if step % 2 == 0 else (b, a)
        new[i] = old[i] + old[(i + 1) % old.size]
        grid.sync()  # the round is complete


def case_grid_sync(rng):
    n, rounds = 96, 4
    a = rng.integers(0, 9, n).astype(np.int32)
    want = a.copy()
    for _ in range(rounds):
        want += np.roll(want, -1)

    def launch(a, b):
        _waves[3, 32](a, b, rounds)

    tensors = {"a": tensor(a), "b": empty(n, torch.int32)}
    return Case(launch, tensors, {"a": want}, unordered="blocks spin until all have come")


@cuda.jit(device=True)
def _ackermann_of_two(n):
    """A(2, n) = 2n + 3, by the recursion that defines it."""
    if n == 0:
        return 3
    return 2 + _ackermann_of_two(n - 1)


@cuda.jit
def _recursive(x, out):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = _ackermann_of_two(x[i])


def case_recursion(rng):
    n = 77
    x = rng.integers(0, 12, n)

    def launch(x, out):
        _recursive[3, 32](x, out)

    counters = {"global_load_bytes": 8 * n, "global_store_bytes": 8 * n, "global_store_requests": -(-n // WARP)}
    return Case(launch, {"x": tensor(x), "out": empty(n, torch.int64)}, {"out": 2 * x + 3}, counters=counters)


@cuda.jit(device=True)
def _swapped(pair):
    return pair[1], pair[0]


@cuda.jit(device=True)
def _into(out, i, pair):
    out[2 * i] = pair[0]
    out[2 * i + 1] = pair[1]


@cuda.jit
def _pairs(x, out):
    i = cuda.grid(1)
    if 2 * i < x.size:
        _into(out, i, _swapped((x[2 * i], x[2 * i + 1])))


def case_device_functions_of_tuples(rng):
    n = 64
    x = rng.standard_normal(n).astype(np.float32)

    def launch(x, out):
        _pairs[1, 64](x, out)

    counters = {"global_load_bytes": 4 * n, "global_store_bytes": 4 * n}
    want = x.reshape(-1, 2)[:, ::-1].ravel()
    return Case(launch, {"x": tensor(x), "out": empty(n, torch.float32)}, {"out": want}, counters=counters)


@cuda.jit(debug=True, opt=False)
def _asserted(x, out):
    i = cuda.grid(1)
    if i < out.size:
        assert x[i] >= 0, "no element below zero"
        if x[i] > 1000:
            raise ValueError("too large")
        out[i] = x[i] + 1


def case_assertions_that_hold(rng):
    n = 40
    x = rng.integers(0, 1000, n).astype(np.int32)

    def launch(x, out):
        _asserted[2, 32](x, out)

    return Case(
        launch, {"x": tensor(x), "out": empty(n, torch.int32)}, {"out": x + 1}, counters={"global_store_bytes": 4 * n}
    )


@cuda.jit
def _printing(x, out):
    i = cuda.grid(1)
    out[i] = x[i]
    if x[i] == 0:
        print("zero at", i)


def case_printing(rng):
    n = 64
    x = rng.permutation(n).astype(np.int32)

    def launch(x, out):
        _printing[2, 32](x, out)

    # x twice: the store between may have changed it
    counters = {"global_load_bytes": 2 * 4 * n, "global_store_bytes": 4 * n, "divergent_branches": 1}
    return Case(launch, {"x": tensor(x), "out": empty(n, torch.int32)}, {"out": x}, counters=counters)
