"""Matrix multiplication of 8-bit floats (e4m3), summed in float32.

    c[i, j] = sum_p a[i, p] * b[j, p]

    a    (m, k)  contiguous, e4m3
    b    (n, k)  contiguous, e4m3, stored turned: fp8 tensor cores read both factors along k
    c    (m, n)  contiguous, float32

An e4m3 number has 1 sign, 4 exponent and 3 mantissa bits: (8 + mantissa) * 2^(exponent - 10), or
mantissa * 2^-9 if the exponent is 0; 448 is the largest, 0x7f and 0xff are NaN, there is no
infinity.

Floor: 2 m n k operations on (m + n) k + 4 m n bytes: a quarter of the traffic of float32. A card
with fp8 tensor cores does the arithmetic twice as fast as in 16 bits; one without must decode, and
keeps only the saving in bytes.
"""

from __future__ import annotations

import math

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance


def _inputs(shape, dtype, seed):
    """a (m, k) and b (n, k), uniform in [-1, 1) and then rounded to e4m3: multiples of 2^-9."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return {
        "a": (torch.rand(shape["m"], shape["k"], generator=draw) * 2 - 1).to(torch.float8_e4m3fn),
        "b": (torch.rand(shape["n"], shape["k"], generator=draw) * 2 - 1).to(torch.float8_e4m3fn),
    }


def _outputs(shape, dtype):
    return {"c": Output((shape["m"], shape["n"]), "f32")}


def _reference(a, b):
    return {"c": a.double() @ b.double().t()}


def _rival(a, b):
    import torch

    one = torch.ones((), device=a.device)
    return torch._scaled_mm(a, b.t(), scale_a=one, scale_b=one, out_dtype=torch.float32)


def _tolerance(shape, dtype, accumulator):
    k = shape["k"]
    if accumulator == "fp8_mma":
        # one instruction adds 32 products; each is cut to 13 bits below the largest of them and of the sum so far
        return Tolerance(
            rtol=0.0,
            atol=2.0**-13 * 33 * math.ceil(k / 32) * max(1.0, 2 * math.sqrt(k) / 3),
            why="fp8 tensor cores align 32 products and the sum to their largest and keep about "
            "13 bits below it: 33 * 2^-13 of that largest an instruction, k / 32 "
            "instructions, partial sums up to six standard deviations, 6 sqrt(k) / 9. The 13 "
            "bits are from publications on fp8 instructions (wgmma on 9.0, mma on 8.9 and 12.0); "
            "unverified on hardware here. mma.sync of an H200 unpacks fp8 to 16 bits (measured) "
            "and stays well below",
        )
    if accumulator == "f16_mma":
        return Tolerance(
            rtol=0.0,
            atol=2.0**-23 * 17 * math.ceil(k / 16) * max(1.0, 2 * math.sqrt(k) / 3),
            why="16-bit tensor cores align 16 products and the sum to their largest and cut them, "
            "at 2^-23 of it or lower: 17 * 2^-23 of that largest an instruction, k / 16 "
            "instructions, partial sums up to six standard deviations, 6 sqrt(k) / 9. An H200 "
            "cuts at 2^-25 and the result at 24 bits (measured): a third of that",
        )
    if k <= 1024:
        return Tolerance(
            rtol=0.0,
            atol=2.0**-19,
            why="products are multiples of 2^-18 and partial sums stay below 64 (six standard "
            "deviations, 6 sqrt(k) / 3), so float32 holds each of them exactly, in any order: "
            "the answer lies within half a step or is wrong",
        )
    return Tolerance(
        rtol=0.0,
        atol=2 * k * 2.0**-24,
        why="k serial additions in float32 with partial sums of about sqrt(p) / 3: 0.24 k 2^-24, "
        "times six standard deviations",
    )


def _every_code(shape, dtype):
    """a runs through all 254 numbers of e4m3, divided among rows so that sums stay exact; b picks
    one of them a column.
    """
    import torch

    m, n, k = shape["m"], shape["n"], shape["k"]
    codes = torch.arange(m * k, dtype=torch.int64).mul(37).remainder(256)
    codes[codes.remainder(128) == 127] = 0x38  # both NaNs become 1
    a = codes.to(torch.uint8).reshape(m, k).view(torch.float8_e4m3fn)
    b = torch.zeros(n, k)
    b[torch.arange(n), torch.arange(n) % k] = 1.0
    return {"a": a, "b": b.to(torch.float8_e4m3fn)}


def _smallest(shape, dtype):
    """Only subnormal numbers, below 2^-6: decoded as normal ones they come out twice as large."""
    inputs = _inputs(shape, dtype, seed=91)
    return {name: (tensor.float() * 2.0**-6).to(tensor.dtype) for name, tensor in inputs.items()}


def _one_nan(shape, dtype):
    """One NaN in the last row of a: that row of c is NaN, and no other."""
    inputs = _inputs(shape, dtype, seed=92)
    inputs["a"][-1, -1] = float("nan")
    return inputs


OPERATION = Operation(
    name="gemm_fp8",
    title="c = a @ b turned, e4m3 factors, float32 sum",
    axes=("m", "n", "k"),
    shapes=Shapes(
        tiny=({"m": 64, "n": 64, "k": 64},),
        ragged=(
            {"m": 1, "n": 1, "k": 1},
            {"m": 17, "n": 33, "k": 65},
            {"m": 33, "n": 20, "k": 48},
        ),
        large=({"m": 4096, "n": 4096, "k": 4096},),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: (shape["m"] + shape["n"]) * shape["k"] * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: shape["m"] * shape["n"] * ITEMSIZE["f32"],
    flops=lambda shape, dtype: 2 * shape["m"] * shape["n"] * shape["k"],
    tolerance=_tolerance,
    ladder=(
        #    where                               the one idea that it adds
        Rung(
            "in_numba:one_thread_an_element",
            "start here: a thread decodes what it multiplies",
            dtypes=("e4m3",),
        ),
        Rung(
            "in_numba:shared_tile",
            "a block decodes each tile once and shares it",
            counts="sectors",
            dtypes=("e4m3",),
        ),
        Rung(
            "in_cupy:one_thread_an_element",
            "start here: a thread decodes what it multiplies",
            dtypes=("e4m3",),
        ),
        Rung(
            "in_cupy:shared_tile",
            "a block decodes each tile once and shares it",
            counts="sectors",
            dtypes=("e4m3",),
        ),
        Rung(
            "in_triton:decoded_to_f16",
            "start here: every e4m3 number is also a 16-bit float, so decode and use the 16-bit tensor cores",
            dtypes=("e4m3",),
            accumulator="f16_mma",
        ),
        Rung(
            "in_triton:fp8_dot",
            "the tensor cores take e4m3 as it is: no decoding, twice the rate",
            needs=("fp8",),
            shows={"sm_89": ("mma e4m3",), "sm_90": ("wgmma e4m3",), "sm_120": ("mma e4m3",)},
            dtypes=("e4m3",),
            accumulator="fp8_mma",
        ),
    ),
    adversarial={"every_code": _every_code, "smallest": _smallest, "one_nan": _one_nan},
)
