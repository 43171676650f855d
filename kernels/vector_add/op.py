"""Vector addition.

    out[i] = x[i] + y[i]

    x, y, out    (n,)  contiguous, float32

Floor: read x and y once, write out once: 12 bytes an element for one addition, 0.083 op/B.
Bandwidth decides, nothing else, so every rung here is about how the bytes travel.
"""

from __future__ import annotations

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance


def _inputs(shape, dtype, seed):
    """x, y (n,) uniform in [-1, 1)."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    n = shape["n"]
    return {
        "x": torch.rand(n, generator=draw) * 2 - 1,
        "y": torch.rand(n, generator=draw) * 2 - 1,
    }


def _outputs(shape, dtype):
    return {"out": Output((shape["n"],), dtype)}


def _reference(x, y):
    return {"out": x.double() + y.double()}


def _rival(x, y):
    import torch

    return torch.add(x, y)


def _cancelling(shape, dtype):
    """y is -x, but for every seventh element: what is left must be exactly that difference."""
    inputs = _inputs(shape, dtype, seed=11)
    inputs["y"] = -inputs["x"]
    inputs["y"][::7] += 0.25
    return inputs


def _huge_and_small(shape, dtype):
    """Neighbours of 1e38 and 1e-30: a kernel that pairs the wrong elements is off by 68 orders of
    magnitude.
    """
    inputs = _inputs(shape, dtype, seed=12)
    for tensor in inputs.values():
        tensor[::2] *= 1e38
        tensor[1::2] *= 1e-30
    return inputs


def _not_finite(shape, dtype):
    """inf, -inf and NaN must come out where they went in, and nowhere else."""
    inputs = _inputs(shape, dtype, seed=13)
    inputs["x"][0::5] = float("inf")
    inputs["y"][0::10] = -float("inf")  # inf + -inf is NaN
    inputs["y"][3::5] = float("nan")
    return inputs


OPERATION = Operation(
    name="vector_add",
    title="out = x + y",
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
    flops=lambda shape, dtype: shape["n"],
    tolerance=lambda shape, dtype, accumulator: Tolerance(
        rtol=2.0**-23,
        atol=2.0**-126,
        why="one addition rounds by at most 2^-24 of its result, taken twice; results below "
        "2^-126 may be flushed to zero",
    ),
    ladder=(
        #    where                                 the one idea that it adds
        Rung("in_numba:one_thread_an_element", "start here: thread i adds element i"),
        Rung(
            "in_numba:grid_stride",
            "a fixed grid walks over the array",
            shows={"sm_75+": ("mov %nctaid.x",)},
        ),
        Rung(
            "in_numba:streaming_hints",
            "loads and stores that say: this is not used again",
            shows={"sm_75+": ("ld.global.cs", "st.global.cs")},
        ),
        Rung("in_cupy:one_thread_an_element", "start here: thread i adds element i"),
        Rung(
            "in_cupy:four_floats_a_load",
            "16-byte loads and stores",
            shows={"sm_75+": ("ld.global .v4", "st.global .v4")},
        ),
        Rung(
            "in_cupy:streaming_hints",
            "a fixed grid, two vectors in flight, evicted first",
            shows={"sm_75+": ("ld.global.cs .v4", "st.global.cs .v4")},
        ),
        Rung(
            "in_triton:one_element_a_thread",
            "start here: a block of elements a program, the tail masked",
        ),
        Rung(
            "in_triton:eight_elements_a_thread",
            "a larger block: the compiler merges neighbours into 16-byte loads",
            shows={"sm_75+": ("ld.global .v4", "st.global .v4")},
        ),
    ),
    adversarial={
        "cancelling": _cancelling,
        "huge_and_small": _huge_and_small,
        "not_finite": _not_finite,
    },
)
