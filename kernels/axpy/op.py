"""a x plus y, the oldest routine of BLAS.

    out[i] = a * x[i] + y[i]

    a            scalar, float32 on the card
    x, y, out    (n,)  contiguous, float32

Floor: read x and y once, write out once: 12 bytes an element for one multiply-add, 0.17 op/B.
Bandwidth decides. The ladder is about which thread takes which element: the way that suits a CPU is
the wrong one here.
"""

from __future__ import annotations

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance


def _inputs(shape, dtype, seed):
    """a scalar in [-2, 2), x and y (n,) uniform in [-1, 1)."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    n = shape["n"]
    a = torch.rand(1, generator=draw) * 4 - 2  # rounded to float32 here, so every side sees the same value
    return {
        "a": float(a),
        "x": torch.rand(n, generator=draw) * 2 - 1,
        "y": torch.rand(n, generator=draw) * 2 - 1,
    }


def _outputs(shape, dtype):
    return {"out": Output((shape["n"],), dtype)}


def _reference(a, x, y):
    return {"out": a * x.double() + y.double()}


def _rival(a, x, y):
    import torch

    return torch.add(y, x, alpha=a)


def _zero_scale(shape, dtype):
    """a = 0 leaves y; also where x is huge."""
    inputs = _inputs(shape, dtype, seed=21)
    inputs["a"] = 0.0
    inputs["x"] *= 1e38
    return inputs


def _offset(shape, dtype):
    """y around 1000 and x around 1: a result of the wrong element differs in the fourth digit only."""
    inputs = _inputs(shape, dtype, seed=22)
    inputs["y"] += 1000.0
    return inputs


def _not_finite(shape, dtype):
    """inf and NaN must come out where they went in, and nowhere else."""
    inputs = _inputs(shape, dtype, seed=23)
    inputs["x"][1::5] = float("inf")
    inputs["y"][2::5] = float("nan")
    return inputs


OPERATION = Operation(
    name="axpy",
    title="out = a * x + y",
    axes=("n",),
    shapes=Shapes(
        tiny=({"n": 8192},),
        ragged=({"n": 1}, {"n": 31}, {"n": 33}, {"n": 1000}, {"n": 4099}),
        large=({"n": 1 << 26},),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: 2 * shape["n"] * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: shape["n"] * ITEMSIZE[dtype],
    flops=lambda shape, dtype: 2 * shape["n"],
    tolerance=lambda shape, dtype, accumulator: Tolerance(
        rtol=2.0**-23,
        atol=2.0**-22,
        why="a fused multiply-add rounds once by 2^-24 of the result; an unfused one also rounds "
        "a * x, by 2^-24 of at most 2",
    ),
    ladder=(
        #    where                               the one idea that it adds
        Rung(
            "in_numba:a_chunk_a_thread",
            "start here: thread i takes the i-th stretch of the array, as on a CPU",
        ),
        Rung(
            "in_numba:grid_stride",
            "neighbouring lanes take neighbouring elements",
            counts="sectors",
        ),
        Rung("in_cupy:one_thread_an_element", "start here: thread i takes element i"),
        Rung(
            "in_cupy:four_floats_a_load",
            "16-byte loads and stores",
            shows={"sm_75+": ("ld.global .v4", "st.global .v4")},
        ),
        Rung(
            "in_triton:one_element_a_thread",
            "start here: a block of elements a program, the tail masked",
        ),
        Rung(
            "in_triton:persistent_programs",
            "a fixed number of programs, each walking over many blocks",
            shows={"sm_75+": ("%nctaid.x",)},
        ),
    ),
    adversarial={"zero_scale": _zero_scale, "offset": _offset, "not_finite": _not_finite},
)
