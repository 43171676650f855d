"""Matrix multiplication in float32.

    c[i, j] = sum_p a[i, p] * b[p, j]

    a    (m, k)  contiguous, float32
    b    (k, n)  contiguous, float32
    c    (m, n)  contiguous, float32

Floor: 2 m n k operations on 4 (m k + k n + m n) bytes. For m = n = k = 4096 that is 683 op/B, far
right of every card's ridge: arithmetic could decide. In the first rungs bytes decide all the same,
because each element of a is fetched n times and each of b m times. The ladder is about fetching
them less often: from memory, then from shared memory.

float32 means float32: no rung here rounds its inputs to tf32.
"""

from __future__ import annotations

import math

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance


def _inputs(shape, dtype, seed):
    """a (m, k) and b (k, n) uniform in [-1, 1)."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return {
        "a": torch.rand(shape["m"], shape["k"], generator=draw) * 2 - 1,
        "b": torch.rand(shape["k"], shape["n"], generator=draw) * 2 - 1,
    }


def _outputs(shape, dtype):
    return {"c": Output((shape["m"], shape["n"]), dtype)}


def _reference(a, b):
    return {"c": a.double() @ b.double()}


def _rival(a, b):
    return a @ b


def _tolerance(shape, dtype, accumulator):
    k = shape["k"]
    return Tolerance(
        rtol=(6 * math.sqrt(k) + 2) * 2.0**-24,
        atol=2 * k * 2.0**-24,
        why="k serial additions in float32: with random signs a partial sum is about sqrt(p) / 3, "
        "and the roundings of all add up to 0.24 k 2^-24, times six standard deviations, plus "
        "the products; with equal signs 6 sqrt(k) 2^-24 of the result. Inputs rounded to tf32 "
        "or bfloat16 are off by 2^-12 sqrt(k) and more",
    )


def _whole_numbers(shape, dtype):
    """Small whole numbers, all different along a row: exact in float32, and a wrong pairing of
    indices shows.
    """
    import torch

    m, n, k = shape["m"], shape["n"], shape["k"]
    a = (torch.arange(m * k) % 7).float().reshape(m, k) / 8
    b = (torch.arange(k * n) % 5).float().reshape(k, n) / 8
    return {"a": a, "b": b}


def _identity(shape, dtype):
    """a is a piece of the identity: c is a piece of b."""
    import torch

    inputs = _inputs(shape, dtype, seed=71)
    inputs["a"] = torch.eye(shape["m"], shape["k"])
    return inputs


def _positive(shape, dtype):
    """All products positive, so the partial sums grow to k / 4: the largest rounding errors."""
    inputs = _inputs(shape, dtype, seed=72)
    return {name: tensor.abs() for name, tensor in inputs.items()}


def _one_nan(shape, dtype):
    """One NaN in the last row of a: that row of c is NaN, and no other. Padding a tile must not
    spread it.
    """
    inputs = _inputs(shape, dtype, seed=73)
    inputs["a"][-1, -1] = float("nan")
    return inputs


OPERATION = Operation(
    name="gemm_f32",
    title="c = a @ b in float32",
    axes=("m", "n", "k"),
    shapes=Shapes(
        tiny=({"m": 128, "n": 64, "k": 64},),
        ragged=(
            {"m": 1, "n": 1, "k": 1},
            {"m": 17, "n": 33, "k": 65},
            {"m": 65, "n": 31, "k": 19},
            {"m": 33, "n": 68, "k": 36},
        ),
        large=({"m": 4096, "n": 4096, "k": 4096},),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: (shape["m"] + shape["n"]) * shape["k"] * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: shape["m"] * shape["n"] * ITEMSIZE[dtype],
    flops=lambda shape, dtype: 2 * shape["m"] * shape["n"] * shape["k"],
    tolerance=_tolerance,
    ladder=(
        #    where                               the one idea that it adds
        Rung(
            "in_numba:one_thread_an_element",
            "start here: a thread walks along a row of a and a column of b",
        ),
        Rung("in_numba:shared_tile", "a block fetches each tile once and shares it", counts="sectors"),
        Rung(
            "in_numba:register_tile",
            "a thread computes 4 x 4 elements from 4 + 4 values: fewer fetches from memory and from shared memory",
            counts="shared_requests",
        ),
        Rung(
            "in_cupy:one_thread_an_element",
            "start here: a thread walks along a row of a and a column of b",
        ),
        Rung("in_cupy:shared_tile", "a block fetches each tile once and shares it", counts="sectors"),
        Rung(
            "in_cupy:register_tile",
            "a thread computes 4 x 4 elements from 4 + 4 values: fewer fetches from memory and from shared memory",
            counts="shared_requests",
        ),
        Rung(
            "in_cupy:async_copies",
            "the next tiles travel to shared memory while this one is multiplied",
            shows={"sm_80+": ("cp.async",)},
            when="k % 4 == 0 and n % 4 == 0",
        ),
        Rung(
            "in_triton:outer_products",
            "start here: a tile a program, one column of a times one row of b at a time",
        ),
        Rung("in_triton:tile_dot", "tl.dot on tiles, in float32 by input_precision", counts="sectors"),
        Rung(
            "in_triton:pipelined_dot",
            "the next tiles travel to shared memory while this one is multiplied",
            shows={"sm_80+": ("cp.async",)},
        ),
    ),
    adversarial={
        "whole_numbers": _whole_numbers,
        "identity": _identity,
        "positive": _positive,
        "one_nan": _one_nan,
    },
)
