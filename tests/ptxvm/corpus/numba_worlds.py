"""Numba: small worlds in steps, and arrays that are not contiguous."""

import numpy as np
import torch
from numba import cuda, float32, int32

from tests.ptxvm.corpus.case import Case, empty, tensor
from tests.ptxvm.corpus.worlds import life, mandelbrot

WARP = 32


@cuda.jit
def _forces(x, out):
    """One dimension: every body pulls every other one by 1 / (d * d + 1), with its sign."""
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    mine = x[i]
    total = np.float32(0)
    for first in range(0, x.size, 64):
        tile[t] = x[first + t]
        cuda.syncthreads()  # the tile is complete
        for other in range(64):
            d = tile[other] - mine
            total += d / (d * d + np.float32(1))
        cuda.syncthreads()  # all have read the tile
    out[i] = total


def case_bodies(rng):
    n, block = 192, 64
    x = rng.standard_normal(n).astype(np.float32)
    d = x[None, :].astype(np.float64) - x[:, None]

    def launch(x, out):
        _forces[n // block, block](x, out)

    tiles, warps = n // block, n // WARP
    counters = {
        "global_load_bytes": 4 * n * (1 + tiles),  # its own place, and one element of every tile
        "barriers": 2 * tiles * warps,
        "shared_requests": warps * tiles * (1 + block),
        "shared_wavefronts": warps * tiles * (1 + block),  # all lanes read one word: it is sent once
        "global_store_sectors": 4 * warps,
    }
    tensors = {"x": tensor(x), "out": empty(n, torch.float32)}
    return Case(launch, tensors, {"out": (d / (d * d + 1)).sum(axis=1)}, rtol=1e-4, atol=1e-4, counters=counters)


@cuda.jit
def _mandelbrot(out, low, step, most):
    """Fixed point of 12 bits, so that every machine counts alike."""
    col, row = cuda.grid(2)
    if row < out.shape[0] and col < out.shape[1]:
        a, b = low + col * step, low + row * step
        x, y, count = 0, 0, int32(0)
        while count < most and x * x + y * y < 4 << 24:
            x, y = ((x * x - y * y) >> 12) + a, ((2 * x * y) >> 12) + b
            count += 1
        out[row, col] = count


def case_mandelbrot(_):
    n, low, step, most = 30, -(2 << 12), 550, 40

    def launch(out):
        _mandelbrot[(2, 4), (16, 8)](out, low, step, most)

    counters = {"global_store_bytes": 4 * n * n, "unique_store_sectors": -(-n * n * 4 // 32)}
    return Case(launch, {"out": empty((n, n), torch.int32)}, {"out": mandelbrot(n, low, step, most)}, counters=counters)


@cuda.jit
def _life(cells, out):
    row, col = cuda.grid(2)
    rows, cols = cells.shape
    if row < rows and col < cols:
        around = int32(0)
        for r in (row + rows - 1, row, row + 1):
            for c in (col + cols - 1, col, col + 1):
                around += cells[r % rows, c % cols]
        out[row, col] = around == 3 or (around == 4 and cells[row, col] == 1)


def case_game_of_life(rng):
    rows, cols, steps = 18, 21, 3
    cells = rng.integers(0, 2, (rows, cols)).astype(np.uint8)

    def launch(a, b):
        for _ in range(steps):
            _life[(3, 3), (8, 8)](a, b)
            a, b = b, a

    counters = {"global_store_bytes": steps * rows * cols}
    tensors = {"a": tensor(cells), "b": torch.zeros((rows, cols), dtype=torch.uint8)}
    return Case(launch, tensors, {"b": life(cells, steps)}, counters=counters)


@cuda.jit
def _add_views(x, y, out):
    row, col = cuda.grid(2)
    if row < out.shape[0] and col < out.shape[1]:
        out[row, col] = x[row, col] + y[row, col]


def case_views_with_strides(rng):
    """x is transposed, of y every second column counts, out is written upside down."""
    rows, cols = 32, 16
    x = rng.integers(-9, 9, (cols, rows)).astype(np.float32)
    y = rng.integers(-9, 9, (rows, 2 * cols)).astype(np.float32)

    def launch(x, y, out):
        _add_views[1, (32, 16)](x.t(), y[:, ::2], out)

    requests = rows * cols // WARP  # a warp is a column: neighbours in x, apart by a row in y and out
    counters = {
        "global_load_sectors": requests * (4 + 32),
        "global_store_sectors": requests * 32,
        "global_load_bytes": 8 * rows * cols,
        "unique_load_sectors": (rows * cols + 2 * rows * cols) * 4 // 32,  # also the columns of y that do not count
    }
    tensors = {"x": tensor(x), "y": tensor(y), "out": empty((rows, cols), torch.float32)}
    return Case(launch, tensors, {"out": x.T + y[:, ::2]}, counters=counters)


@cuda.jit
def _sweeps(x, out):
    """Blelloch's exclusive scan: sums up a tree of 128 leaves, and what stands before goes down."""
    tree = cuda.shared.array(128, int32)
    t = cuda.threadIdx.x
    i = cuda.blockIdx.x * 128 + 2 * t
    tree[2 * t] = x[i]
    tree[2 * t + 1] = x[i + 1]
    step = 1
    while step < 128:
        cuda.syncthreads()  # the level below
        if t < 64 // step:
            tree[step * (2 * t + 2) - 1] += tree[step * (2 * t + 1) - 1]
        step *= 2
    if t == 0:
        tree[127] = 0
    while step > 1:
        step //= 2
        cuda.syncthreads()  # the level above
        if t < 64 // step:
            left = tree[step * (2 * t + 1) - 1]
            tree[step * (2 * t + 1) - 1] = tree[step * (2 * t + 2) - 1]
            tree[step * (2 * t + 2) - 1] += left
    out[i] = tree[2 * t]  # each thread has written its two leaves itself
    out[i + 1] = tree[2 * t + 1]


def case_scan_up_and_down(rng):
    blocks, leaves = 3, 128
    x = rng.integers(-99, 99, (blocks, leaves)).astype(np.int32)

    def launch(x, out):
        _sweeps[blocks, leaves // 2](x.view(-1), out.view(-1))

    levels = 7  # log2(128)
    # two lanes of each group of four read one word of a sector: two requests of 8 sectors a warp each way
    requests = blocks * 2 * 2
    counters = {
        "barriers": blocks * 2 * 2 * levels,
        "global_load_sectors": 8 * requests,
        "global_store_sectors": 8 * requests,
    }
    tensors = {"x": tensor(x), "out": empty((blocks, leaves), torch.int32)}
    return Case(launch, tensors, {"out": np.cumsum(x, axis=1) - x}, counters=counters)
