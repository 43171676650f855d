"""Float64 operations with one rounding, in any mode.

Python 3.11 has no `math.fma`. `fma64` uses an error-free transformation where exponents are moderate (Boldo and
Melquiond 2008) and exact integers elsewhere. The directed modes, which compilers hardly ever emit for f64, always
use exact integers, lane by lane.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ptxvm.rounding import Array, select, sum_odd, two_sum

_SPLIT = np.float64((1 << 27) + 1)  # Veltkamp's constant for 53 bits


def fma64(a: Array, b: Array, c: Array) -> Array:
    """`fma.rn.f64`: a * b + c with one rounding."""
    p = a * b
    size = np.abs(p)
    small = size < 2.0**-900
    if small.any():
        small = small & (a != 0) & (b != 0)
    # Comparisons with NaN are false, so NaN counts as extreme.
    moderate = (size < 2.0**900) & ~small & (np.abs(a) < 2.0**500) & (np.abs(b) < 2.0**500) & (np.abs(c) < 2.0**900)
    if moderate.all():
        r = _fma_moderate(a, b, c, p)
        return r if r.all() else select(r == 0, p + c, r)  # p is exact if the sum is: p + c has the right zero
    return _fma_mixed(*np.broadcast_arrays(a, b, c, p, moderate))


def _fma_mixed(a: Array, b: Array, c: Array, p: Array, moderate: Array) -> Array:
    """`fma64` where some lanes hold infinities, NaN or extreme exponents."""
    # An infinite c decides over a product that is finite but too large for a float64.
    plain = np.where(np.isinf(c) & np.isfinite(a) & np.isfinite(b), c, p + c)
    special = ~(np.isfinite(a) & np.isfinite(b) & np.isfinite(c))
    result = np.where(special, plain, _fma_moderate(a, b, c, p))
    result = np.where(result == 0, plain, result)
    rest = ~(moderate | special)
    if rest.any():
        lanes = zip(a[rest].tolist(), b[rest].tolist(), c[rest].tolist(), strict=True)
        result[rest] = [_fma_exact(x, y, z, "rn") for x, y, z in lanes]
    return result


def _fma_moderate(a: Array, b: Array, c: Array, p: Array) -> Array:
    """Correctly rounded where nothing overflows or falls below the normal range on the way."""
    low = _product_error(a, b, p)
    uh, ul = two_sum(c, low)
    th, tl = two_sum(p, uh)
    return th + sum_odd(tl, ul)


def _product_error(a: Array, b: Array, p: Array) -> Array:
    """a * b - p exactly (Dekker)."""
    t = a * _SPLIT
    ah = t - (t - a)
    al = a - ah
    t = b * _SPLIT
    bh = t - (t - b)
    bl = b - bh
    return ((ah * bh - p) + ah * bl + al * bh) + al * bl


# -- exact integers --------------------------------------------------------------------------------------------------
def fma64_mode(a: Array, b: Array, c: Array, mode: str) -> Array:
    """`fma.{rz,rm,rp}.f64`."""
    return _lanes(lambda x, y, z: _fma_exact(x, y, z, mode), a, b, c)


def add64_mode(a: Array, b: Array, mode: str) -> Array:
    """`add.{rz,rm,rp}.f64`; subtract by negating b."""
    return _lanes(lambda x, y: _fma_exact(x, 1.0, y, mode), a, b)


def mul64_mode(a: Array, b: Array, mode: str) -> Array:
    """`mul.{rz,rm,rp}.f64`. A zero of the product's sign is added, which changes nothing."""
    return _lanes(
        lambda x, y: _fma_exact(x, y, math.copysign(0.0, math.copysign(1, x) * math.copysign(1, y)), mode), a, b
    )


def div64_mode(a: Array, b: Array, mode: str) -> Array:
    """`div` and `rcp` `.{rz,rm,rp}.f64`."""
    a, b = np.broadcast_arrays(a, b)
    plain = a / b
    lanes = np.isfinite(a) & np.isfinite(b) & (a != 0) & (b != 0)
    plain[lanes] = [_div_exact(x, y, mode) for x, y in zip(a[lanes].tolist(), b[lanes].tolist(), strict=True)]
    return plain


def sqrt64_mode(a: Array, mode: str) -> Array:
    """`sqrt.{rz,rm,rp}.f64`."""
    plain = np.sqrt(a)
    lanes = np.isfinite(a) & (a > 0)
    plain[lanes] = [_sqrt_exact(x, mode) for x in a[lanes].tolist()]
    return plain


def from_int64_mode(x: Array, mode: str) -> Array:
    """`cvt.{rz,rm,rp}.f64` of a 64-bit integer."""
    return _lanes(lambda n: round_ratio(int(n), 1, mode) if n else 0.0, x)


def _lanes(function: Callable[..., float], *arrays: Array) -> Array:
    broadcast = np.broadcast_arrays(*arrays)
    values = [function(*lane) for lane in zip(*(x.ravel().tolist() for x in broadcast), strict=True)]
    return np.array(values, np.float64).reshape(broadcast[0].shape)


def round_ratio(numerator: int, denominator: int, mode: str) -> float:
    """The non-zero rational as a float64 in a rounding mode. The denominator is positive."""
    try:
        near = numerator / denominator  # Python rounds the quotient of two integers correctly
    except OverflowError:
        near = math.inf if numerator > 0 else -math.inf
        side = -1 if numerator > 0 else 1
    else:
        if near == 0:
            near = 0.0 if numerator > 0 else -0.0
        n, d = near.as_integer_ratio()
        side = numerator * d - n * denominator  # > 0: the true value is above `near`
    return _adjust(near, side, mode)


def _adjust(near: float, side: int, mode: str) -> float:
    """Move the nearest float64 to the one that the mode wants; `side` is the sign of true value minus `near`."""
    if mode == "rn" or side == 0:
        return near
    down = mode == "rm" or (mode == "rz" and math.copysign(1, near) > 0)
    if down:
        return math.nextafter(near, -math.inf) if side < 0 else near
    return math.nextafter(near, math.inf) if side > 0 else near


def _fma_exact(a: float, b: float, c: float, mode: str) -> float:
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        return c if math.isfinite(a) and math.isfinite(b) else a * b + c
    (an, ad), (bn, bd), (cn, cd) = a.as_integer_ratio(), b.as_integer_ratio(), c.as_integer_ratio()
    numerator = an * bn * cd + cn * ad * bd
    if numerator:
        return round_ratio(numerator, ad * bd * cd, mode)
    product_sign = math.copysign(1, a) * math.copysign(1, b)
    if product_sign == math.copysign(1, c):
        return math.copysign(0.0, c)
    return -0.0 if mode == "rm" else 0.0


def _div_exact(a: float, b: float, mode: str) -> float:
    (an, ad), (bn, bd) = a.as_integer_ratio(), b.as_integer_ratio()
    numerator, denominator = an * bd, ad * bn
    return round_ratio(*((-numerator, -denominator) if denominator < 0 else (numerator, denominator)), mode)


def _sqrt_exact(x: float, mode: str) -> float:
    near = math.sqrt(x)
    (n, d), (xn, xd) = near.as_integer_ratio(), x.as_integer_ratio()
    return _adjust(near, xn * d * d - n * n * xd, mode)
