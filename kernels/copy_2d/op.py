"""Copy of a matrix.

    out[i, j] = x[i, j]

    x, out    (rows, cols)  contiguous, float32

Floor: read x once, write out once: 8 bytes an element and no arithmetic. It is the roof that every
other memory-bound kernel is measured against, and the shortest kernel in which to meet a card's
copy engines.
"""

from __future__ import annotations

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance


def _inputs(shape, dtype, seed):
    """x (rows, cols) uniform in [-1, 1)."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return {"x": torch.rand(shape["rows"], shape["cols"], generator=draw) * 2 - 1}


def _outputs(shape, dtype):
    return {"out": Output((shape["rows"], shape["cols"]), dtype)}


def _reference(x):
    return {"out": x.double()}


def _rival(x):
    return x.clone()


def _position(shape, dtype):
    """x[i, j] = i * cols + j: a wrong element says where it came from."""
    import torch

    rows, cols = shape["rows"], shape["cols"]
    return {"x": torch.arange(rows * cols).float().reshape(rows, cols)}


def _not_finite(shape, dtype):
    """inf and NaN are moved like any other value."""
    inputs = _inputs(shape, dtype, seed=51)
    inputs["x"].view(-1)[::3] = float("inf")
    inputs["x"].view(-1)[1::7] = float("nan")
    return inputs


OPERATION = Operation(
    name="copy_2d",
    title="out = x, a matrix",
    axes=("rows", "cols"),
    shapes=Shapes(
        tiny=({"rows": 64, "cols": 128},),
        ragged=(
            {"rows": 1, "cols": 1},
            {"rows": 3, "cols": 257},
            {"rows": 33, "cols": 31},
            {"rows": 33, "cols": 68},
            {"rows": 100, "cols": 36},
        ),
        large=({"rows": 8192, "cols": 8192},),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: shape["rows"] * shape["cols"] * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: shape["rows"] * shape["cols"] * ITEMSIZE[dtype],
    flops=lambda shape, dtype: 0,
    tolerance=lambda shape, dtype, accumulator: Tolerance(rtol=0.0, atol=0.0, why="values are moved, not computed"),
    ladder=(
        #    where                               the one idea that it adds
        Rung(
            "in_numba:threads_down_a_column",
            "start here: thread x takes the row, as in the formula",
        ),
        Rung(
            "in_numba:threads_along_a_row",
            "thread x takes the column: neighbours in memory",
            counts="sectors",
        ),
        Rung("in_cupy:threads_along_a_row", "start here: thread x takes the column"),
        Rung(
            "in_cupy:four_floats_a_load",
            "16-byte loads and stores",
            shows={"sm_75+": ("ld.global .v4", "st.global .v4")},
            when="cols % 4 == 0",
        ),
        Rung(
            "in_triton:tile_of_pointers",
            "start here: a tile a program, an address for each element",
        ),
        Rung(
            "in_triton:tensor_descriptors",
            "the copy engine moves the tile: one instruction, no addresses, no masks",
            needs=("tma",),
            shows={"sm_90+": ("cp.async.bulk.tensor",)},
            when="cols % 4 == 0",
        ),
    ),
    adversarial={"position": _position, "not_finite": _not_finite},
)
