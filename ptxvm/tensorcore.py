"""The sum of products that a matrix instruction forms, bit by bit as an NVIDIA H200 (compute capability 9.0) forms it.

Read from that card with `tests/gpu/silicon_values.py`; all 36,864 results of each instruction are equal
(`tests/ptxvm/test_silicon.py` holds a sample). One instruction adds k products and the accumulator like this:

1.  A product is exact, and its exponent is the sum of its factors' exponents (not raised by one where the product of
    the significands reaches 2). A zero has none.
2.  All products and the accumulator are aligned to the largest exponent E among them, and cut off, towards zero, below
    2^(E - 25): two bits more than float32 has.
3.  What is left is added exactly, all k products at once: there is no grouping inside of k = 4, 8 or 16.
4.  The sum is cut off to float32 towards zero, or rounded to the nearest float16.

That holds for f16, bf16 and tf32. On this card `mma.sync` has no fp8: ptxas unpacks each register of four elements to
f16 and issues two instructions, the first with the lower two elements of every register on a zero accumulator, the
second with the upper two on its result; an ordinary addition, to nearest, adds C. So fp8 loses nothing here against
f16. `wgmma`, `mma.sp` (computed likewise), and `mma.sync` on cards with fp8 instructions (8.9, 12.0), are not covered
by these readings.

Other architectures differ (Khattak and Mikaitis, "Accurate models of NVIDIA tensor cores", 2025, tell of groups of 4
and 8 and of fewer bits on 7.0 and 8.0); ptxvm computes every architecture by this rule. Not in the readings, and
computed as IEEE 754 does or as it is simplest: NaN, infinite factors, results that overflow or are subnormal, factors
that are subnormal (taken by their own leading bit), and sums of products that are all zero.

Layout: the axes behind the matrix are those of the warps, so that every NumPy call runs along many warps.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from ptxvm.exact import fma64, fma64_mode
from ptxvm.group import Array

EXTRA = 25  # the lowest bit that is kept lies this far below the largest exponent
_TOGETHER = 16  # so many integers below 2^27 fit into an int32 together

LEAST = -100  # what E is at least in float32: of a sum of zeros

# dtype -> (unsigned type, bits of 1.0)
_LAYOUT: dict[Any, tuple[Any, int]] = {
    np.dtype(np.float32): (np.uint32, 127 << 23),
    np.dtype(np.float64): (np.uint64, 1023 << 52),
}


class Factors:
    """A tile of A or B with what is asked of it again for each tile that it is multiplied with.

    numbers  float32; float64 of an f64 tile, for which there is no more to ask
    """

    def __init__(self, numbers: Array) -> None:
        self.numbers = numbers

    @cached_property
    def _own(self) -> Array:
        return _exponents(self.numbers)

    @cached_property
    def fits(self) -> bool:
        """Whether products of two such tiles, and their scales, stay normal float32."""
        return _within(self.numbers, self._own, -50, 60)

    @cached_property
    def narrow(self) -> bool:
        """Whether the sums of two exponents fit into a byte, as all of float16 do."""
        return _within(self.numbers, self._own, -24, 16)

    @cached_property
    def low_exponents(self) -> Array:
        """int8, if `narrow`; for zero so low that its sums are below those of all others."""
        return np.maximum(self._own, np.int8(-64))

    @cached_property
    def wide_exponents(self) -> Array:
        """int16, if `fits`; for zero so low that its sums are below those of all others."""
        return np.where(self._own == -127, np.int16(-1000), self._own)


def dot(a: Array | Factors, b: Array | Factors, c: Array, half: bool = False) -> Array:
    """A B + C by one instruction, float32; with `half`, rounded to float16 numbers.

    a (k, m, ...), b (k, n, ...), c (m, n, ...), all float32; the axes `...` broadcast. b may be (k, m, n, ...), with
    factors of its own for each row of A.
    """
    left, right = (x if isinstance(x, Factors) else Factors(x) for x in (a, b))
    if left.fits and right.fits:
        exponents = _exponents(c)
        if _within(c, exponents, -100, 128):
            return _dot(left.numbers, right.numbers, c, half, _unit(left, right, exponents))
    x, y, z = (one.astype(np.float64) for one in (left.numbers, right.numbers, c))
    largest = _largest(x, y, z)
    total = _dot(x, y, z, half, largest.view(np.uint64) - np.uint64(EXTRA << 52))
    finite = np.isfinite(largest)
    if finite.all():
        return total
    plain = sum((np.add.reduce(one * other, axis=0) for one, other in _pieces(x, y)), z)
    return np.where(finite, total, plain.astype(np.float16) if half else plain).astype(np.float32)


def fp8_dot(a: Factors, b: Factors, c: Array, half: bool = False) -> Array:
    """A B + C of fp8 factors: two instructions and an addition. Axes as in `dot`; k is a multiple of 4."""
    sums = np.zeros((1,) * c.ndim, np.float32)
    for part in (slice(0, 2), slice(2, 4)):
        left, right = (_every_fourth(x.numbers, part) for x in (a, b))
        sums = dot(left, right, sums, half)
    total: Array = c + sums
    return total.astype(np.float16).astype(np.float32) if half else total


def double_dot(a: Array, b: Array, c: Array, mode: str = "rn") -> Array:
    """A B + C of float64: fused multiply-adds in the order of k, each rounded in a mode. Axes as in `dot`.

    The PTX ISA says that f64 products and sums are IEEE 754 operations, rounded once a multiply-add, and leaves their
    order open. That it is the order of k is not read from a card.
    """
    total = c
    for x, y in zip(a[:, :, None], b[:, None], strict=True):
        total = fma64(x, y, total) if mode == "rn" else fma64_mode(x, y, total, mode)
    return total


def _every_fourth(x: Array, part: slice) -> Array:
    """Two of each four neighbours along k."""
    return x.reshape(-1, 4, *x.shape[1:])[:, part].reshape(-1, *x.shape[1:])


def _within(x: Array, exponents: Array, low: int, high: int) -> bool:
    """Whether every number is 0 or has a magnitude in [2^low, 2^high): products and scales then stay normal float32."""
    if exponents.min() >= low and exponents.max() < high:
        return True
    size = x.view(np.uint32) & np.uint32(0x7FFFFFFF)
    first, span = np.uint32((127 + low) << 23), np.uint32((high - low) << 23)
    return not ((size - first >= span) & (size != 0)).any()


def _dot(a: Array, b: Array, c: Array, half: bool, unit_bits: Array) -> Array:
    """`dot` in one floating-point type that no product and no scale leaves; `unit_bits` are those of 2^(E - 25)."""
    unsigned, one = _LAYOUT[a.dtype]
    scale = (unsigned(2 * one) - unit_bits).view(a.dtype)  # 1 / unit
    total = (c * scale).astype(np.int32).astype(np.float64)
    for x, y in _pieces(a, b):
        products = x * y
        same = products.shape[1:] == scale.shape  # not where only C differs between warps
        products = np.multiply(products, scale, out=products if same else None)
        total += np.add.reduce(products.astype(np.int32), axis=0, dtype=np.int32)  # cut off towards zero
    if not half:  # keep the leading 24 of 53 bits
        total = (total.view(np.int64) & np.int64(-1 << 29)).view(np.float64)
    total *= unit_bits.view(a.dtype)
    return total.astype(np.float16).astype(np.float32) if half else total.astype(np.float32)


def _unit(a: Factors, b: Factors, c: Array) -> Array:
    """The bits of 2^(E - 25) for each sum, float32; c the exponents of the accumulator.

    Exponents are added as small integers, which have few bytes.
    """
    largest: Array = np.maximum(c, np.int8(LEAST))
    if a.narrow and b.narrow:
        left, right = a.low_exponents, b.low_exponents
    else:
        left, right = a.wide_exponents, b.wide_exponents
    for x, y in _pieces(left, right):
        largest = np.maximum(largest, np.maximum.reduce(x + y, axis=0))
    return (largest.astype(np.int32) + np.int32(127 - EXTRA) << np.int32(23)).view(np.uint32)


def _exponents(x: Array) -> Array:
    """The exponents of float32 numbers, int8; -127 for zero and subnormal numbers, -128 for infinity and NaN."""
    field = (x.view(np.uint32) >> np.uint32(23)).astype(np.uint8)  # without the sign, which is cut off
    return (field - np.uint8(127)).view(np.int8)


def _largest(a: Array, b: Array, c: Array) -> Array:
    """2^E for each sum, in float64; infinite or NaN where an operand is."""
    largest = np.maximum(_power(c), 2.0**-400)
    for x, y in _pieces(_power(a), _power(b)):
        largest = np.maximum(largest, np.maximum.reduce(x * y, axis=0))
    return largest


def _pieces(a: Array, b: Array) -> Iterator[tuple[Array, Array]]:
    """Factors of the products of a few k at a time: (k, m, 1, ...) and (k, 1 or m, n, ...)."""
    for i in range(0, len(a), _TOGETHER):
        piece = slice(i, i + _TOGETHER)
        yield a[piece, :, None], b[piece] if b.ndim > a.ndim else b[piece, None]


def _power(x: Array) -> Array:
    """The greatest power of two that is not above |x|, float64; 0 for 0, infinity for infinity and NaN."""
    return (x.view(np.uint64) & np.uint64(0x7FF << 52)).view(np.float64)
