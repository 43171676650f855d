"""Scale and bias with constants.

    out[i] = 0.5 * x[i] + 1

    x, out    (n,)  contiguous, float32

Floor: read x once, write out once: 8 bytes an element for one multiply-add, 0.25 op/B. Bandwidth decides, as long as
the arithmetic stays in single precision: a consumer card has 64 times fewer units for double.
"""

from __future__ import annotations

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance


def _inputs(shape, dtype, seed):
    """x (n,) uniform in [-1, 1)."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return {"x": torch.rand(shape["n"], generator=draw) * 2 - 1}


def _outputs(shape, dtype):
    return {"out": Output((shape["n"],), dtype)}


def _reference(x):
    return {"out": x.double() * 0.5 + 1.0}


def _rival(x):
    import torch

    return torch.add(1.0, x, alpha=0.5)


def _not_finite(shape, dtype):
    """inf and NaN must come out where they went in, and nowhere else."""
    inputs = _inputs(shape, dtype, seed=33)
    inputs["x"][1::5] = float("inf")
    inputs["x"][2::5] = float("nan")
    return inputs


def _large(shape, dtype):
    """Values around 1e30: the bias must not overflow or vanish the wrong way."""
    inputs = _inputs(shape, dtype, seed=34)
    inputs["x"] *= 1e30
    return inputs


OPERATION = Operation(
    name="scale_bias",
    title="out = 0.5 * x + 1",
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
    bytes_read=lambda shape, dtype: shape["n"] * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: shape["n"] * ITEMSIZE[dtype],
    flops=lambda shape, dtype: 2 * shape["n"],
    tolerance=lambda shape, dtype, accumulator: Tolerance(
        rtol=2.0**-23,
        atol=2.0**-126,
        why="0.5 * x is exact, so one rounding of at most 2^-24 of the result is left, taken twice",
    ),
    ladder=(
        #    where                           the one idea that it adds
        Rung("in_numba:python_literals", "start here: 0.5 and 1.0 as one would write them"),
        Rung(
            "in_numba:single_precision",
            "float32 constants: no double in the kernel",
            shows={"sm_75+": ("fma.rn.f32",)},
        ),
        Rung("in_cupy:double_literals", "start here: 0.5 and 1.0, which are doubles in C++ too"),
        Rung(
            "in_cupy:single_precision",
            "0.5f and 1.0f: no double in the kernel",
            shows={"sm_75+": ("fma.rn .f32",)},
        ),
        Rung("in_triton:one_element_a_thread", "start here: Triton reads Python floats as float32"),
        Rung(
            "in_triton:eight_elements_a_thread",
            "a larger block: the compiler merges neighbours into 16-byte loads",
            shows={"sm_75+": ("ld.global .v4", "st.global .v4")},
        ),
    ),
    adversarial={"not_finite": _not_finite, "large": _large},
)
