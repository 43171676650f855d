"""`.approx` and `.full` float32 functions, with the range reduction and the special values of a card.

An H200 (compute capability 9.0) was asked with `tests/gpu/silicon_values.py`, 8192 operands an instruction; how ptxas
13.0 builds each function for that card explains its special values. Zeros, infinities, NaN (always 0x7fffffff) and
what `.ftz` flushes are the same here, bit by bit. Elsewhere a card reads tables that are not public, and results here
are exact but for the last bit. Greatest difference on those operands, in units of the last place (ulp):

    ex2, div.approx, div.full    2
    rcp, rsqrt, sqrt             1
    lg2                          2; for operands in [0.5, 2], where the result is near 0, 1.5 * 2^-23 absolute
    sin, cos                     1.5 * 2^-23 absolute, for every angle: see `sine`
    tanh                         126, which is 2^-16.6 of the result; none below 2^-8

`tests/ptxvm/test_silicon.py` holds ptxvm to these. Other architectures may differ in the tables.
"""

from __future__ import annotations

import numpy as np

from ptxvm.rounding import Array, mul32_mode

_NAN = np.array([0x7FFFFFFF], np.uint32).view(np.float32)
_TURNS_A_RADIAN = np.array([0x3E22F983], np.uint32).view(np.float32)  # 1 / (2 pi)
_QUARTER_BITS = np.int32(23)
_QUARTER = np.int32(1 << _QUARTER_BITS)  # steps of a quarter of a turn
_LOW, _HIGH = np.float32(2.0**-126), np.float32(2.0**126)


def one_nan(x: Array) -> Array:
    """float32 with every NaN as a card gives it."""
    nan = np.isnan(x)
    return np.where(nan, _NAN, x) if nan.any() else x


def ex2_approx(x: Array) -> Array:
    """`ex2.approx.f32`. Float64 makes these functions the same on every CPU."""
    return one_nan(np.exp2(x.astype(np.float64)).astype(np.float32))


def lg2_approx(x: Array) -> Array:
    """`lg2.approx.f32`."""
    return one_nan(np.log2(x.astype(np.float64)).astype(np.float32))


def rsqrt_approx(x: Array) -> Array:
    """`rsqrt.approx.f32`."""
    return one_nan((1 / np.sqrt(x.astype(np.float64))).astype(np.float32))


def div_approx(a: Array, b: Array) -> Array:
    """`div.approx.f32`: a times 1/b, each rounded. Above 2^126, 1/b is subnormal and a card takes it for 0."""
    size = np.abs(b)
    if (size > _HIGH).any():
        b = np.where(size > _HIGH, np.copysign(np.float32(np.inf), b), b)
    return _by_reciprocal(a, b, size, np.float32(1))


def div_full(a: Array, b: Array) -> Array:
    """`div.full.f32`: as `div_approx`, with both scaled so that 1/b is a normal number."""
    return _by_reciprocal(a, b, np.abs(b), np.float32(0.25))


def _by_reciprocal(a: Array, b: Array, size: Array, shrink: np.float32) -> Array:
    large, small = size > _HIGH, size < _LOW
    if large.any() or small.any():
        scale = np.where(small, np.float32(2.0**24), np.where(large, shrink, np.float32(1)))
        a, b = a * scale, b * scale
    return one_nan(a * (np.float32(1) / b))


def sine(x: Array) -> Array:
    """`sin.approx.f32`: the angle becomes turns in float32, cut off towards zero, of whose fraction 25 bits count.

    So angles below 2 pi 2^-25 give 0, and a large angle is as wrong as its product with 1 / (2 pi). The first two bits
    are the quarter. In the second and the last the other 23 are inverted, which is one step short of the mirror image.
    """
    return _wave(x, 0, np.signbit(x))


def cosine(x: Array) -> Array:
    """`cos.approx.f32`: a sine a quarter of a turn ahead."""
    return _wave(x, 1, np.zeros((1, 1), bool))


def _wave(x: Array, ahead: int, negative: Array) -> Array:
    turns = np.abs(mul32_mode(x, _TURNS_A_RADIAN, "rz")).astype(np.float64)
    steps = ((turns - np.floor(turns)) * (4 * _QUARTER)).astype(np.int32)
    quarter = (steps >> _QUARTER_BITS) + np.int32(ahead)
    place = (steps & (_QUARTER - 1)) ^ np.where(quarter & 1, _QUARTER - 1, np.int32(0))
    size = np.sin(place * (np.pi / 2 / _QUARTER)).astype(np.float32)
    wave = np.where(((quarter & 2) != 0) != negative, -size, size)  # zeros have the sign of their quarter too
    finite = np.isfinite(x)
    return wave if finite.all() else np.where(finite, wave, _NAN)


def tanh_approx(x: Array) -> Array:
    """`tanh.approx.f32`: x itself below 2^-8, as on a card."""
    exact = np.tanh(x.astype(np.float64)).astype(np.float32)
    return one_nan(np.where(np.abs(x) < np.float32(2.0**-8), x, exact))
