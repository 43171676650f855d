"""Outer sum of two vectors.

    out[i, j] = a[i] + b[j]

    a      (rows,)       contiguous, float32
    b      (cols,)       contiguous, float32
    out    (rows, cols)  contiguous, float32

Floor: write out once: 4 bytes an element for one addition; a and b are nothing beside it. Both vectors are
broadcast: an element of a serves a whole row, an element of b a whole column.
"""

from __future__ import annotations

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance


def _inputs(shape, dtype, seed):
    """a (rows,) and b (cols,) uniform in [-1, 1)."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return {
        "a": torch.rand(shape["rows"], generator=draw) * 2 - 1,
        "b": torch.rand(shape["cols"], generator=draw) * 2 - 1,
    }


def _outputs(shape, dtype):
    return {"out": Output((shape["rows"], shape["cols"]), dtype)}


def _reference(a, b):
    return {"out": a.double()[:, None] + b.double()[None, :]}


def _rival(a, b):
    return a[:, None] + b[None, :]


def _position(shape, dtype):
    """a[i] = 1000 i and b[j] = j: a wrong element says which row and which column it was made of."""
    import torch

    return {"a": torch.arange(shape["rows"]).float() * 1000, "b": torch.arange(shape["cols"]).float()}


def _not_finite(shape, dtype):
    """An infinite row and a NaN column stay a row and a column."""
    inputs = _inputs(shape, dtype, seed=63)
    inputs["a"][shape["rows"] // 2] = float("inf")
    inputs["b"][shape["cols"] // 2] = float("nan")
    return inputs


OPERATION = Operation(
    name="outer_add",
    title="out[i, j] = a[i] + b[j]",
    axes=("rows", "cols"),
    shapes=Shapes(
        tiny=({"rows": 64, "cols": 128},),
        ragged=(
            {"rows": 1, "cols": 1},
            {"rows": 3, "cols": 257},
            {"rows": 33, "cols": 31},
            {"rows": 100, "cols": 36},
        ),
        large=({"rows": 8192, "cols": 8192},),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: (shape["rows"] + shape["cols"]) * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: shape["rows"] * shape["cols"] * ITEMSIZE[dtype],
    flops=lambda shape, dtype: shape["rows"] * shape["cols"],
    tolerance=lambda shape, dtype, accumulator: Tolerance(
        rtol=2.0**-23,
        atol=2.0**-126,
        why="one addition, rounded by 2^-24 of the result at most, taken twice",
    ),
    ladder=(
        #    where                          the one idea that it adds
        Rung("in_numba:threads_down_a_column", "start here: thread x takes the row, as in the formula"),
        Rung("in_numba:threads_along_a_row", "thread x takes the column: neighbours in memory", counts="sectors"),
        Rung("in_cupy:one_thread_an_element", "start here: a thread for each element of out"),
        Rung(
            "in_cupy:four_floats_a_store",
            "16-byte stores: a thread keeps one element of a and adds four of b",
            shows={"sm_75+": ("st.global .v4",)},
            when="cols % 4 == 0",
        ),
        Rung("in_triton:one_row_a_program", "start here: a program loads one element of a and all of b"),
        Rung(
            "in_triton:one_tile_a_program",
            "a tile of several rows: what was loaded of b serves them all",
            counts="sectors",
        ),
    ),
    adversarial={"position": _position, "not_finite": _not_finite},
)
