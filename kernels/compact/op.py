"""Compaction: the positive elements, in their order.

    out[k] = the k-th positive element of x, for k below their number;  0 behind them
    count[0] = their number

    x        (n,)  contiguous, float32
    out      (n,)  float32
    count    (1,)  int32

Floor: read x once, write out once: 8 bytes an element and next to no arithmetic. Where an element goes depends on
how many before it stay: the address is a prefix sum of zeros and ones.
"""

from __future__ import annotations

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance


def _inputs(shape, dtype, seed):
    """x (n,) uniform in [-1, 1): about half of them stay."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return {"x": torch.rand(shape["n"], generator=draw) * 2 - 1}


def _outputs(shape, dtype):
    return {"out": Output((shape["n"],), dtype), "count": Output((1,), "i32")}


def _reference(x):
    import torch

    kept = x[x > 0]
    out = torch.zeros_like(x, dtype=torch.float64)
    out[: kept.numel()] = kept
    return {"out": out, "count": torch.tensor([kept.numel()])}


def _rival(x):
    return x[x > 0]


def _none(shape, dtype):
    """Nothing stays: out is 0 and so is the count."""
    import torch

    return {"x": -torch.rand(shape["n"])}


def _all(shape, dtype):
    """All stay, each in its place: x[i] = i + 1."""
    import torch

    return {"x": torch.arange(shape["n"]).float() + 1}


def _edges(shape, dtype):
    """0, -0.0 and NaN do not stay, the smallest number above 0 and infinity do."""
    import torch

    some = torch.tensor([0.0, -0.0, float("nan"), 2.0**-126, float("inf"), -float("inf")])
    return {"x": some.repeat(shape["n"] // 6 + 1)[: shape["n"]]}


OPERATION = Operation(
    name="compact",
    title="the positive elements, in order",
    axes=("n",),
    shapes=Shapes(
        tiny=({"n": 2048},),
        ragged=({"n": 1}, {"n": 33}, {"n": 257}, {"n": 1000}),
        large=({"n": 1 << 26},),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: shape["n"] * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: shape["n"] * ITEMSIZE[dtype] + ITEMSIZE["i32"],
    flops=lambda shape, dtype: 0,
    tolerance=lambda shape, dtype, accumulator: Tolerance(rtol=0.0, atol=0.0, why="values are moved, not computed"),
    ladder=(
        #    where                          the one idea that it adds
        Rung("in_numba:one_block_walks", "start here: one block scans the flags of a tile after the other"),
        Rung(
            "in_numba:ballot",
            "a warp's flags are 32 bits of a vote: a lane counts those below its own",
            shows={"sm_75+": ("vote.sync.ballot",)},
        ),
        Rung("in_cupy:one_block_walks", "start here: one block scans the flags of a tile after the other"),
        Rung(
            "in_cupy:ballot",
            "a warp's flags are 32 bits of a vote: a lane counts those below its own",
            shows={"sm_75+": ("vote.sync.ballot",)},
        ),
        Rung("in_triton:one_program_walks", "start here: one program scans the flags of a block after the other"),
        Rung(
            "in_triton:totals_first",
            "the number of each block first, then every program moves its own, at the same time",
            counts="barriers",
        ),
    ),
    adversarial={"none": _none, "all": _all, "edges": _edges},
)
