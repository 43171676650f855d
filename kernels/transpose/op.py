"""Matrix transpose.

    out[j, i] = x[i, j]

    x      (rows, cols)  contiguous, float32
    out    (cols, rows)  contiguous, float32

Floor: read x once, write out once: 8 bytes an element and no arithmetic at all. The trouble is that
neighbours in x are not neighbours in out: whichever side a warp walks along, the other side is
scattered, unless the tile turns inside the chip.
"""

from __future__ import annotations

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance


def _inputs(shape, dtype, seed):
    """x (rows, cols) uniform in [-1, 1)."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return {"x": torch.rand(shape["rows"], shape["cols"], generator=draw) * 2 - 1}


def _outputs(shape, dtype):
    return {"out": Output((shape["cols"], shape["rows"]), dtype)}


def _reference(x):
    return {"out": x.double().t()}


def _rival(x):
    return x.t().contiguous()


def _position(shape, dtype):
    """x[i, j] = i * cols + j: a wrong element says where it came from."""
    import torch

    rows, cols = shape["rows"], shape["cols"]
    return {"x": torch.arange(rows * cols).float().reshape(rows, cols)}


def _not_finite(shape, dtype):
    """inf and NaN are moved like any other value."""
    inputs = _inputs(shape, dtype, seed=41)
    inputs["x"].view(-1)[::3] = float("inf")
    inputs["x"].view(-1)[1::7] = float("nan")
    return inputs


_RAGGED = (
    {"rows": 1, "cols": 1},
    {"rows": 1, "cols": 33},
    {"rows": 31, "cols": 65},
    {"rows": 100, "cols": 37},
)

OPERATION = Operation(
    name="transpose",
    title="out = x transposed",
    axes=("rows", "cols"),
    shapes=Shapes(
        tiny=({"rows": 128, "cols": 64},),
        ragged=_RAGGED,
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
        Rung("in_numba:one_thread_an_element", "start here: reads along rows, writes down columns"),
        Rung(
            "in_numba:shared_tile",
            "a tile turns in shared memory: both sides along rows",
            counts="sectors",
        ),
        Rung(
            "in_numba:padded_tile",
            "a column more in the tile: no bank conflict",
            counts="shared_wavefronts",
        ),
        Rung("in_cupy:one_thread_an_element", "start here: reads along rows, writes down columns"),
        Rung(
            "in_cupy:shared_tile",
            "a tile turns in shared memory: both sides along rows",
            counts="sectors",
        ),
        Rung(
            "in_cupy:padded_tile",
            "a column more in the tile: no bank conflict",
            counts="shared_wavefronts",
        ),
        Rung(
            "in_cupy:swizzled_tile",
            "columns permuted by exclusive or: no bank conflict and no padding",
            shows={"sm_75+": ("xor.b32",)},
        ),
        Rung(
            "in_triton:one_element_a_lane",
            "start here: a flat range of out, each element fetched from its place",
        ),
        Rung(
            "in_triton:tile_a_program",
            "a tile a program: the compiler turns it in shared memory",
            counts="sectors",
        ),
    ),
    adversarial={"position": _position, "not_finite": _not_finite},
)
