"""Float32 and float64 arithmetic as PTX defines it: one rounding, four rounding modes, `.ftz`, `.sat`, min and max.

Every function takes arrays that broadcast and returns an array of the same dtype. Python scalars never decide a dtype.

Rounding to odd is the tool for one correct rounding through a wider format (Boldo and Melquiond, "Emulation of FMA and
correctly rounded sums: proved algorithms using rounding to odd", 2008): a float64 sum that was inexact keeps its last
bit set, so that a later rounding to at most 51 bits, in any mode, sees on which side the true value lies.

Not imitated but in `approximate`: the payload and the sign of a NaN. NVIDIA cards deliver 0x7fffffff; here it is what
the CPU gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
TINY = {np.dtype(t): np.finfo(t).smallest_normal for t in (np.float16, np.float32, np.float64)}
_LOW_28 = np.int64(36)  # shifting a float64 left by this leaves its 28 lowest bits
_BIT_28 = np.int64(1 << 28)
_LEAST = np.iinfo(np.int64).min
LANES_TOGETHER = 32768  # of `fma_chains`: more, and its arrays leave the processor's second cache
_SMALL, _TOP = np.uint32(0xFFFFFF), np.uint32(0xFFFFFFFF)  # twice the bits of the smallest normal float32, less 1


# -- selection -------------------------------------------------------------------------------------------------------
_INTEGERS: dict[int, Any] = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}


def select(mask: Array, new: Array, old: Array) -> Array:
    """`new` where `mask`, else `old`: arrays of one dtype. With a mask of size 1, one of the two as it is.

    np.where costs six times more where the mask is not predictable (measured), so larger arrays go through bits.
    """
    if mask.size == 1:
        return new if mask.item() else old
    if max(mask.size, new.size, old.size) < 1024 or new.dtype.kind == "b":
        return np.where(mask, new, old)
    kind = _INTEGERS[new.dtype.itemsize]
    ones = np.negative(mask.view(np.int8), dtype=kind)  # -1 where true
    below = old.view(kind)
    picked: Array = ones & (new.view(kind) ^ below)
    picked ^= below
    return picked.view(new.dtype)


# -- modifiers -------------------------------------------------------------------------------------------------------
def ftz(x: Array) -> Array:
    """`.ftz`: subnormals become zero of the same sign. f32 (and f16 values held as f16)."""
    if x.dtype == F32:
        doubled = x.view(np.uint32) << np.uint32(1)
        # Whether zeros or subnormals are there at all takes a third of the time that comparing every lane does.
        if np.minimum.reduce(doubled, axis=None, initial=_TOP) > _SMALL:
            return x
        doubled -= np.uint32(1)  # zero wraps to the top
        small = doubled < _SMALL
        return np.where(small, np.copysign(np.float32(0), x), x) if small.any() else x
    return flush(x, TINY[x.dtype])


def flush(x: Array, limit: Any) -> Array:
    """Values of magnitude below `limit` become zero of the same sign."""
    return np.where(np.abs(x) < limit, np.copysign(x.dtype.type(0), x), x)


def saturate(x: Array) -> Array:
    """`.sat`: clamp to [0, 1]; NaN and -0 become +0."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    return np.where(x > zero, np.minimum(x, one), zero)


def relu(x: Array) -> Array:
    """`.relu`: negative values and -0 become +0; NaN stays NaN."""
    return np.where(x <= x.dtype.type(0), x.dtype.type(0), x)


# -- min, max --------------------------------------------------------------------------------------------------------
def minimum(a: Array, b: Array) -> Array:
    """`min`: the operand that is not NaN wins; -0 is below +0."""
    return _number(minimum_nan(a, b), a, b)


def maximum(a: Array, b: Array) -> Array:
    """`max`: the operand that is not NaN wins; -0 is below +0."""
    return _number(maximum_nan(a, b), a, b)


def minimum_nan(a: Array, b: Array) -> Array:
    """`min.NaN`: NaN if either operand is."""
    return _least_zero(np.minimum(a, b), a, b)


def maximum_nan(a: Array, b: Array) -> Array:
    """`max.NaN`: NaN if either operand is."""
    return _greatest_zero(np.maximum(a, b), a, b)


def _number(r: Array, a: Array, b: Array) -> Array:
    """Where one operand alone is NaN, the other. (np.fmin lets a signalling NaN win in some lanes.)"""
    nan = r != r
    return select(nan, select(np.isnan(a) & ~np.isnan(b), b, a), r) if nan.any() else r


def _least_zero(r: Array, a: Array, b: Array) -> Array:
    """Where the minimum came out as +0 and the other operand was -0, -0: minus the sum of the negated zeros."""
    if not (r.view(_INTEGERS[r.dtype.itemsize]) == 0).any():
        return r
    zeros = (a == 0) & (b == 0)
    return select(zeros, -(-a - b), r) if zeros.any() else r


def _greatest_zero(r: Array, a: Array, b: Array) -> Array:
    """Where the maximum came out as -0 and the other operand was +0, +0: a sum of zeros is -0 only if both are."""
    kind = _INTEGERS[r.dtype.itemsize]
    if not (r.view(kind) == np.iinfo(kind).min).any():
        return r
    zeros = (a == 0) & (b == 0)
    return select(zeros, a + b, r) if zeros.any() else r


# -- one rounding ----------------------------------------------------------------------------------------------------
def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """(s, e) with s = a + b rounded and s + e = a + b exactly (Knuth). No overflow."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def sum_odd(p: Array, c: Array) -> Array:
    """p + c in float64, rounded to odd. Infinities and NaN as in p + c."""
    s, e = two_sum(p, c)
    inexact = np.abs(e) > 0  # not where the sum is infinite: e is then NaN
    if not inexact.any():
        return s
    return _odd(s, inexact, (e < 0) != (s < 0))


def _odd(near: Array, inexact: Array, beyond: Array) -> Array:
    """A nearest rounding made odd: truncated where it lies `beyond` the true value, and then the last bit set."""
    kind = _INTEGERS[near.dtype.itemsize]
    bits = near.view(kind)
    return ((bits - (inexact & beyond)) | inexact).view(near.dtype)


def odd32(x: Array) -> Array:
    """float64 -> float32 rounded to odd, so that a later rounding to fewer bits is correct."""
    r = x.astype(np.float32)
    size, true = np.abs(r.astype(np.float64)), np.abs(x)
    beyond = size > true
    inexact = beyond | (size < true)
    return _odd(r, inexact, beyond) if inexact.any() else r


def f32_sum(p: Array, c: Array) -> Array:
    """p + c as the nearest float32: p float64, c float32.

    Rounding twice, to float64 and then to float32, goes wrong only where the float64 sum is a midpoint between two
    float32 numbers. Midpoints have 28 low bits of zero, subnormal ones too, so one cheap test finds an array that
    needs care: the least of those bits as unsigned numbers (a minimum takes half the time of comparing or counting).
    """
    wide = c.astype(np.float64)
    s = np.add(p, wide, out=wide) if p.size == 1 or p.shape == wide.shape else p + wide
    low = s.view(np.int64) << _LOW_28
    if np.minimum.reduce(low.view(np.uint64), axis=None, initial=1) == 0:
        _mend_midpoints(s, p, c, low == 0)
    return s.astype(np.float32)


def _mend_midpoints(s: Array, p: Array, c: Array, candidates: Array) -> None:
    """Round to odd those sums p + c in `s` that are midpoints of float32, so that a second rounding is right.

    candidates  where their 28 low bits are zero
    """
    flat = s.reshape(-1)
    if np.count_nonzero(candidates) > flat.size >> 4 and not _has_midpoint(s):  # sums of small integers end here
        return
    lanes = np.flatnonzero(candidates)
    # A sum that is itself a normal float32 needs no care.
    some = flat[lanes]
    lanes = lanes[((some.view(np.int64) & _BIT_28) != 0) | ((np.abs(some) < TINY[F32]) & (some != 0))]
    if lanes.size:
        first, second = (
            x.reshape(-1) if x.shape == s.shape else np.broadcast_to(x, s.shape).reshape(-1) for x in (p, c)
        )
        flat[lanes] = sum_odd(first[lanes], second[lanes].astype(np.float64))


def _has_midpoint(s: Array) -> bool:
    """Whether some sum may be a midpoint, normal or subnormal."""
    # A normal one's last 29 bits are a one and zeros: shifted to the top, the least signed number.
    if np.minimum.reduce(s.view(np.int64) << (_LOW_28 - np.int64(1)), axis=None) == _LEAST:
        return True
    return bool(((np.abs(s) < TINY[F32]) & (s != 0)).any())


def fma32(a: Array, b: Array, c: Array) -> Array:
    """`fma.rn.f32`, correctly rounded: the product of two float32 is exact in float64."""
    return f32_sum(a.astype(np.float64) * b.astype(np.float64), c)


@dataclass(frozen=True)
class Links:
    """One step of `fma_chains`: to the first of the sums, the products of some factors, given by their numbers.

    grid   the products are those of each factor on the left with each on the right; else `pairs` says which
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    grid: bool


def fma_chains(factors: list[Array], starts: list[Array], plan: tuple[Links, ...], flush: bool) -> Array:
    """Many sums of products by `fma.rn.f32`, all at once: (n, nc, nt), in the order of `starts`.

    flush   `.ftz`: subnormal factors, starts and sums become zero
    """
    rows, columns = max(x.shape[0] for x in factors + starts), max(x.shape[1] for x in factors + starts)
    total = np.empty((len(starts), rows, columns), np.float32)
    for sum_, start in zip(total, starts, strict=True):
        sum_[...] = start
    together = max(1, LANES_TOGETHER // (rows * columns))
    if flush:
        total = ftz(total)
        factors = [
            x for i in range(0, len(factors), together) for x in ftz(_stack(factors[i : i + together], np.float32))
        ]
    products = np.empty((min(together, len(starts)), rows, columns))
    for links in plan:
        left, right = (_stack([factors[i] for i in side], np.float64) for side in (links.left, links.right))
        lines = together // len(links.right) if links.grid else 0  # of the grid, that fit
        step = lines * len(links.right) or together
        for first in range(0, len(links.pairs), step):
            part = slice(first, min(first + step, len(links.pairs)))
            made = products[: part.stop - first]
            if lines:
                line = first // len(links.right)
                table = made.reshape(-1, len(links.right), rows, columns)
                np.multiply(left[line : line + lines, None], right, table)
            else:
                for place, (a, b) in zip(made, links.pairs[part], strict=True):
                    np.multiply(left[a], right[b], place)
            sums = f32_sum(made, total[part])
            total[part] = ftz(sums) if flush else sums
    return total


def _stack(arrays: list[Array], dtype: Any) -> Array:
    """Arrays that broadcast together as one of a dtype, (n, rows, columns)."""
    rows, columns = max(x.shape[0] for x in arrays), max(x.shape[1] for x in arrays)
    stack = np.empty((len(arrays), rows, columns), dtype)
    for place, x in zip(stack, arrays, strict=True):
        place[...] = x
    return stack


def narrow32(x: Array, mode: str) -> Array:
    """A float64 that is exact or was rounded to odd, as float32. `mode`: rn, rz, rm, rp."""
    r = x.astype(np.float32)
    return r if mode == "rn" else directed(r, x, mode)


def directed(r: Array, x: Array, mode: str) -> Array:
    """Correct a nearest rounding `r` (float16 or float32) of the float64 `x` to rz, rm or rp.

    The bits of a float, without its sign, count its distance from zero: one step is one more or one less.
    """
    back = r.astype(np.float64)
    kind = _INTEGERS[r.dtype.itemsize]
    bits = r.view(kind)
    if mode == "rz":
        moved = bits - (np.abs(back) > np.abs(x))
    else:
        wrong = back > x if mode == "rm" else back < x
        outwards = np.signbit(r) == (mode == "rm")
        moved = bits + (wrong & outwards) - (wrong & ~outwards)
    return moved.view(r.dtype)


def zero_down(s: Array, p: Array, c: Array) -> Array:
    """Rounding down makes the exact sum of opposite values -0."""
    return np.where((s == 0) & (np.signbit(p) != np.signbit(c)), s.dtype.type(-0.0), s)


def fma32_mode(a: Array, b: Array, c: Array, mode: str) -> Array:
    """`fma.{rz,rm,rp}.f32`."""
    p, wide = a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64)
    s = sum_odd(p, wide)
    return narrow32(zero_down(s, p, wide) if mode == "rm" else s, mode)


def add32_mode(a: Array, b: Array, mode: str) -> Array:
    """`add.{rz,rm,rp}.f32`; subtract by negating b."""
    p, c = a.astype(np.float64), b.astype(np.float64)
    s = sum_odd(p, c)
    return narrow32(zero_down(s, p, c) if mode == "rm" else s, mode)


def mul32_mode(a: Array, b: Array, mode: str) -> Array:
    """`mul.{rz,rm,rp}.f32`."""
    return narrow32(a.astype(np.float64) * b.astype(np.float64), mode)


def div32_mode(a: Array, b: Array, mode: str) -> Array:
    """`div` and `rcp` `.{rz,rm,rp}.f32`.

    A quotient of two 24-bit numbers that is not a float32 differs from every float32 by more than 2^-49 of itself, so
    the float64 quotient lies on the right side.
    """
    return narrow32(a.astype(np.float64) / b.astype(np.float64), mode)


def sqrt32_mode(a: Array, mode: str) -> Array:
    """`sqrt.{rz,rm,rp}.f32`, by the same argument as `div32_mode`."""
    return narrow32(np.sqrt(a.astype(np.float64)), mode)


# -- approximate functions -------------------------------------------------------------------------------------------
def rcp_approx_f64(x: Array) -> Array:
    """`rcp.approx.ftz.f64`: only the upper 32 bits of the operand and of the result count."""
    upper = np.uint64(0xFFFFFFFF00000000)
    top = ftz((x.view(np.uint64) & upper).view(np.float64))
    nan = np.isnan(x)
    r = (ftz(np.float64(1) / top).view(np.uint64) & upper).view(np.float64)
    return np.where(nan, x, r) if nan.any() else r


def rsqrt_approx_f64(x: Array) -> Array:
    """`rsqrt.approx.ftz.f64`: only the upper 32 bits of the operand and of the result count."""
    upper = np.uint64(0xFFFFFFFF00000000)
    top = ftz((x.view(np.uint64) & upper).view(np.float64))
    nan = np.isnan(x)
    r = (ftz(np.float64(1) / np.sqrt(top)).view(np.uint64) & upper).view(np.float64)
    return np.where(nan, x, r) if nan.any() else r


# -- classes and signs -----------------------------------------------------------------------------------------------
def is_normal(x: Array) -> Array:
    """`testp.normal`: finite and not subnormal; PTX counts zeros as normal."""
    return np.isfinite(x) & ~is_subnormal(x)


def is_subnormal(x: Array) -> Array:
    """`testp.subnormal`."""
    return (np.abs(x) < TINY[x.dtype]) & (x != 0)


def xorsign(size: Array, a: Array, b: Array) -> Array:
    """`size` (not negative, or NaN) with the sign of a * b."""
    return np.where(np.signbit(a) != np.signbit(b), -size, size)
