"""Exclusive prefix sum.

    out[i] = x[0] + ... + x[i-1],  out[0] = 0

    x, out    (n,)  contiguous, float32

Floor: read x once, write out once: 8 bytes an element for one addition, 0.13 op/B. Bandwidth decides, but
each result needs all elements before it: the question is how threads that run at the same time learn what
came before them without waiting in line.

Inputs are multiples of 2^-12. As long as every partial sum stays below 2^12, each has at most 24
significant bits, so a float32 sum is exact in *any* order: trees and lines give the same bits, and one
element too many or too few shows.
"""

from __future__ import annotations

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance

_STEP = 2.0**-12  # what every input is a multiple of
_EXACT_UP_TO = 1 << 20  # |partial sum| <= 5 sqrt(n / 3) = 2956 < 2^12 there, five standard deviations of a random walk


def _inputs(shape, dtype, seed):
    """x (n,) uniform on the multiples of 2^-12 in [-1, 1)."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return {"x": torch.randint(-4096, 4096, (shape["n"],), generator=draw).float() * _STEP}


def _outputs(shape, dtype):
    return {"out": Output((shape["n"],), dtype)}


def _reference(x):
    import torch

    before = torch.zeros(x.numel(), dtype=torch.float64)
    before[1:] = x.double()[:-1].cumsum(0)
    return {"out": before}


def _rival(x):
    return x.cumsum(0) - x


def _tolerance(shape, dtype, accumulator):
    n = shape["n"]
    if n <= _EXACT_UP_TO:
        return Tolerance(
            rtol=0.0,
            atol=_STEP / 2,
            why="inputs are multiples of 2^-12, so every partial sum is exact: the answer lies "
            "within half a step or is wrong",
        )
    # as for reduce_sum: serial additions of a random walk, each rounded by 2^-24 |S_k| at most
    return Tolerance(
        rtol=0.0,
        atol=2.45 * 2.0**-24 * n,
        why="serial float32 additions of a random walk, six standard deviations",
    )


def _ones(shape, dtype):
    """out[i] is i steps: whoever counts an element twice, or begins with the wrong one, is off by a step."""
    import torch

    return {"x": torch.full((shape["n"],), _STEP)}


def _only_the_first(shape, dtype):
    """All zero but the first element: out is 0, then 1 up to the end, over every seam of blocks."""
    import torch

    x = torch.zeros(shape["n"])
    x[0] = 1.0
    return {"x": x}


def _one_nan(shape, dtype):
    """All results after a NaN are NaN, and those before it are not."""
    inputs = _inputs(shape, dtype, seed=62)
    inputs["x"][shape["n"] // 2] = float("nan")
    return inputs


OPERATION = Operation(
    name="scan",
    title="out = sums of x before each",
    axes=("n",),
    shapes=Shapes(
        tiny=({"n": 2048},),
        ragged=({"n": 1}, {"n": 31}, {"n": 33}, {"n": 257}, {"n": 1000}),
        large=({"n": 1 << 26},),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: shape["n"] * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: shape["n"] * ITEMSIZE[dtype],
    flops=lambda shape, dtype: shape["n"],
    tolerance=_tolerance,
    ladder=(
        #    where                          the one idea that it adds
        Rung(
            "in_numba:one_block_walks", "start here: one block scans a tile after the other and carries the sum along"
        ),
        Rung(
            "in_numba:totals_first",
            "the total of each block first, then every block scans its own by shuffles, at the same time",
            shows={"sm_75+": ("shfl.sync",)},
        ),
        Rung("in_cupy:one_block_walks", "start here: one block scans a tile after the other and carries the sum along"),
        Rung(
            "in_cupy:totals_first",
            "the total of each block first, then every block scans its own by shuffles, at the same time",
            shows={"sm_75+": ("shfl.sync",)},
        ),
        Rung("in_triton:one_program_walks", "start here: one program scans a block after the other, tl.cumsum in each"),
        Rung(
            "in_triton:totals_first",
            "the total of each block first, then every program scans its own, at the same time",
            counts="barriers",
        ),
    ),
    adversarial={"ones": _ones, "only_the_first": _only_the_first, "one_nan": _one_nan},
)
