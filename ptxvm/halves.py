"""Narrow floating-point formats: float16, bfloat16, tf32, e4m3, e5m2, and packed pairs.

bfloat16 values are uint16 bits, fp8 values uint8 bits; their arithmetic is done on float32. Packed pairs (f16x2,
bf16x2, f32x2) are unpacked to a new last axis, lower half first: (r, c) -> (r, c, 2).

Not imitated: the sign and payload of a NaN in float16.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptxvm.integers import join16
from ptxvm.rounding import Array, directed, odd32, sum_odd

BF16_NAN = np.uint32(0x7FFF)  # the canonical NaN of NVIDIA's bfloat16


# -- bfloat16 --------------------------------------------------------------------------------------------------------
def from_bf16(x: Array) -> Array:
    """uint16 bits -> float32, exact."""
    return (x.astype(np.uint32) << np.uint32(16)).view(np.float32)


def to_bf16(x: Array, mode: str = "rn") -> Array:
    """float32 -> uint16 bits of bfloat16. `mode`: rn, rz, rm, rp, rna. NaN becomes 0x7fff."""
    bits = x.view(np.uint32)
    if mode == "rn":
        rounded = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
    elif mode == "rna":
        rounded = bits + np.uint32(0x8000)
    elif mode == "rz":
        rounded = bits
    else:
        away = (bits >> np.uint32(31)) == np.uint32(1 if mode == "rm" else 0)
        rounded = np.where(away & np.isfinite(x), bits + np.uint32(0xFFFF), bits)
    top = rounded >> np.uint32(16)
    nan = np.isnan(x)
    if nan.any():
        top = np.where(nan, BF16_NAN, top)
    return top.astype(np.uint16)


def bf16_of_f64(x: Array, mode: str = "rn") -> Array:
    """float64 (exact or rounded to odd) -> uint16 bits of bfloat16, one rounding."""
    return to_bf16(odd32(x), mode)


def to_f16(x: Array, mode: str = "rn") -> Array:
    """float32 or float64 (exact or rounded to odd) -> float16. `mode`: rn, rz, rm, rp."""
    r = x.astype(np.float16)
    return r if mode == "rn" else directed(r, x.astype(np.float64), mode)


def mul_bf16(a: Array, b: Array) -> Array:
    """Product of float32 values that hold bfloat16, rounded once: float32 bits on the bfloat16 grid.

    The float32 product is exact except below the normal range, so the product goes through float64.
    """
    return odd32(a.astype(np.float64) * b.astype(np.float64))


def fma_odd(a: Array, b: Array, c: Array) -> Array:
    """a * b + c of float32 values that hold float16 or bfloat16, as float32 rounded to odd: round once more."""
    return odd32(sum_odd(a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64)))


# -- packed pairs ----------------------------------------------------------------------------------------------------
def split_f16(x: Array) -> Array:
    """f16x2 (r, c) uint32 -> (r, c, 2) float32."""
    return x[..., None].view(np.float16).astype(np.float32)


def join_f16(x: Array, mode: str = "rn") -> Array:
    """(r, c, 2) float32 -> f16x2 (r, c) uint32, rounded."""
    return join16(to_f16(x, mode))


def split_bf16(x: Array) -> Array:
    """bf16x2 (r, c) uint32 -> (r, c, 2) float32."""
    return from_bf16(x[..., None].view(np.uint16))


def join_bf16(x: Array, mode: str = "rn") -> Array:
    """(r, c, 2) float32 -> bf16x2 (r, c) uint32, rounded."""
    return join16(to_bf16(x, mode))


def split_f32(x: Array) -> Array:
    """f32x2 (r, c) uint64 -> (r, c, 2) float32."""
    return x[..., None].view(np.float32)


def join_f32(x: Array) -> Array:
    """(r, c, 2) float32 -> f32x2 (r, c) uint64."""
    return np.ascontiguousarray(x).view(np.uint64)[..., 0]


def pair(low: Array, high: Array) -> Array:
    """Two arrays as one with a last axis of 2, broadcast against each other."""
    return np.stack(np.broadcast_arrays(low, high), axis=-1)


# -- tf32 ------------------------------------------------------------------------------------------------------------
def to_tf32(x: Array, mode: str = "rna") -> Array:
    """`cvt.{rna,rn,rz}.tf32.f32`: uint32 bits with the 13 lowest at zero. NaN becomes 0x7fffffff."""
    bits = x.view(np.uint32)
    if mode == "rna":
        bits = bits + np.uint32(0x1000)
    elif mode == "rn":
        bits = bits + (np.uint32(0xFFF) + ((bits >> np.uint32(13)) & np.uint32(1)))
    bits = bits & np.uint32(0xFFFFE000)
    special = ~np.isfinite(x)
    if special.any():
        bits = np.where(special, np.where(np.isnan(x), np.uint32(0x7FFFFFFF), x.view(np.uint32)), bits)
    return bits


# -- fp8 -------------------------------------------------------------------------------------------------------------
# Name -> (mantissa bits, smallest normal exponent, code of the largest finite value).
FP8 = {"e4m3": (3, -6, 0x7E), "e5m2": (2, -14, 0x7B)}


def to_fp8(x: Array, kind: str) -> Array:
    """`cvt.rn.satfinite`: float32 or float64 -> uint8 bits. Too large becomes the largest; NaN becomes 0x7f."""
    mantissa, smallest, largest = FP8[kind]
    size = np.minimum(np.abs(x).astype(np.float64), 2.0**16)
    exponent = np.where(size > 0, np.maximum(np.frexp(size)[1] - 1, smallest), smallest)
    steps = np.rint(np.ldexp(size, mantissa - exponent)).astype(np.int64)  # a carry moves into the exponent
    code = np.minimum(((exponent - smallest) << mantissa) + steps, largest)
    code = np.where(np.isnan(x), 0x7F, code | (np.signbit(x).astype(np.int64) << 7))
    return code.astype(np.uint8)


def _fp8_table(kind: str) -> np.ndarray[Any, np.dtype[np.float16]]:
    """The 256 values of a format, all exact in float16."""
    mantissa, smallest, _ = FP8[kind]
    codes = np.arange(256)
    exponent, fraction = (codes & 0x7F) >> mantissa, codes & ((1 << mantissa) - 1)
    normal = exponent > 0
    value = np.ldexp(
        np.where(normal, fraction + (1 << mantissa), fraction).astype(np.float64),
        smallest - mantissa + np.maximum(exponent, 1) - 1,
    )
    if kind == "e5m2":
        value[exponent == 31] = np.where(fraction[exponent == 31] == 0, np.inf, np.nan)
    else:
        value[(codes & 0x7F) == 0x7F] = np.nan
    return np.where(codes >= 128, -value, value).astype(np.float16)


_FP8_VALUES = {kind: _fp8_table(kind) for kind in FP8}


def from_fp8(x: Array, kind: str) -> Array:
    """uint8 bits -> float16, exact."""
    return _FP8_VALUES[kind][x]


def pack_fp8(x: Array, kind: str) -> Array:
    """(r, c, 2) floats -> (r, c) uint16 bits of e4m3x2 or e5m2x2."""
    return np.ascontiguousarray(to_fp8(x, kind)).view(np.uint16)[..., 0]


def unpack_fp8(x: Array, kind: str) -> Array:
    """uint16 bits of e4m3x2 or e5m2x2 -> (r, c, 2) float16."""
    return from_fp8(x[..., None].view(np.uint8), kind)


# -- conversions -----------------------------------------------------------------------------------------------------
def satfinite(x: Array, largest: float) -> Array:
    """`.satfinite`: clamp to the largest finite value of the target; NaN stays."""
    limit = x.dtype.type(largest)
    return np.minimum(np.maximum(x, -limit), limit)


def int64_odd(x: Array) -> Array:
    """A 64-bit integer as a float64 rounded to odd."""
    kind = x.dtype.type
    high = (x >> kind(32)).astype(np.float64) * np.float64(2.0**32)
    return sum_odd(high, (x & kind(0xFFFFFFFF)).astype(np.float64))
