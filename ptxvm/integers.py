"""Integer operations of PTX that NumPy does not have: division by zero, carries, bit fields, byte permutes.

Arrays broadcast; results have the dtype of the first operand unless said otherwise. Widths are 16, 32 and 64 bits.
Shifts need no help: NumPy gives 0 (or the sign) for a count of the width or more, as PTX does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptxvm.rounding import Array, select

_UNSIGNED: dict[int, Any] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def unsigned(x: Array) -> Array:
    """The same bits as an unsigned integer."""
    return x.view(_UNSIGNED[x.dtype.itemsize])


# -- division --------------------------------------------------------------------------------------------------------
def div(a: Array, b: Array) -> Array:
    """`div`: truncates towards zero. By zero: all ones. The most negative number by -1: itself."""
    zero = b == 0
    if zero.any():
        safe = np.where(zero, b.dtype.type(1), b)
        return select(
            zero, np.array([[-1 & np.iinfo(unsigned(a).dtype).max]], unsigned(a).dtype).view(a.dtype), div(a, safe)
        )
    q = a // b
    if a.dtype.kind == "u":
        return q
    short = ((a ^ b) < 0) & (q * b != a)  # NumPy rounds down
    return q + short


def rem(a: Array, b: Array) -> Array:
    """`rem`: sign of the dividend. By zero: the dividend."""
    zero = b == 0
    if zero.any():
        return select(zero, a, rem(a, np.where(zero, b.dtype.type(1), b)))
    return np.fmod(a, b)


# -- wide products ---------------------------------------------------------------------------------------------------
def mul_hi_u64(a: Array, b: Array) -> Array:
    """`mul.hi.u64`."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    ah, al, bh, bl = a >> half, a & low, b >> half, b & low
    cross = ah * bl + (al * bl >> half)  # at most 2^64 - 2^32
    other = al * bh + (cross & low)
    return ah * bh + (cross >> half) + (other >> half)


def mul_hi_s64(a: Array, b: Array) -> Array:
    """`mul.hi.s64`."""
    high = mul_hi_u64(a.view(np.uint64), b.view(np.uint64)).view(np.int64)
    return high - ((a >> np.int64(63)) & b) - ((b >> np.int64(63)) & a)


def mul24(a: Array, b: Array, high: bool) -> Array:
    """`mul24.lo` and `.hi`: the 48-bit product of the low 24 bits, its lower or upper 32 bits. int32 or uint32."""
    wide = np.int64 if a.dtype.kind == "i" else np.uint64
    eight = a.dtype.type(8)
    p = ((a << eight) >> eight).astype(wide) * ((b << eight) >> eight).astype(wide)
    return ((p >> wide(16)) if high else p).astype(a.dtype)


# -- carries ---------------------------------------------------------------------------------------------------------
def add_carry(a: Array, b: Array, carry: Array | None = None) -> tuple[Array, Array]:
    """(a + b + carry, carry out). a, b unsigned; carry bool."""
    s = a + b
    out = s < a
    if carry is None:
        return s, out
    t = s + carry
    return t, out | (t < s)


def sub_borrow(a: Array, b: Array, borrow: Array | None = None) -> tuple[Array, Array]:
    """(a - b - borrow, borrow out). a, b unsigned; borrow bool."""
    d = a - b
    out = a < b
    if borrow is None:
        return d, out
    return d - borrow, out | (borrow & (d == 0))


def add_sat(a: Array, b: Array) -> Array:
    """`add.sat.s32`."""
    return _clip32(a.astype(np.int64) + b)


def sub_sat(a: Array, b: Array) -> Array:
    """`sub.sat.s32`."""
    return _clip32(a.astype(np.int64) - b)


def _clip32(x: Array) -> Array:
    return np.clip(x, np.int64(-(1 << 31)), np.int64((1 << 31) - 1)).astype(np.int32)


def saturate_int(x: Array, low: int, high: int, dtype: Any) -> Array:
    """`cvt.sat` between integers; `low` and `high` lie in the range of both dtypes."""
    kind = x.dtype.type
    return np.minimum(np.maximum(x, kind(low)), kind(high)).astype(dtype)


def float_to_int(x: Array, dtype: Any, nan: int) -> Array:
    """A float that holds whole numbers as an integer: clamped to its range; NaN gives `nan`."""
    target = np.dtype(dtype)
    limits = np.iinfo(target)
    low, high = x.dtype.type(limits.min), x.dtype.type(float(limits.max) + 1 if limits.bits > 32 else limits.max)
    if x.dtype.itemsize < 8 and limits.bits == 32:
        return float_to_int(x.astype(np.float64), dtype, nan)
    with_top = limits.bits <= 32
    inside = (x >= low) & ((x <= high) if with_top else (x < high))
    if inside.all():
        return x.astype(target)
    r = np.where(inside, x, x.dtype.type(0)).astype(target)
    r = np.where(x > 0, np.where(inside, r, target.type(limits.max)), np.where(inside, r, target.type(limits.min)))
    return np.where(np.isnan(x), target.type(nan), r)


# -- bits ------------------------------------------------------------------------------------------------------------
def popc(x: Array) -> Array:
    """`popc`, uint32."""
    return np.bitwise_count(x).astype(np.uint32)


def _smear(x: Array) -> Array:
    """All bits below the highest set one, set too."""
    for step in (1, 2, 4, 8, 16, 32)[: 5 if x.dtype.itemsize == 4 else 6]:
        x = x | (x >> x.dtype.type(step))
    return x


def clz(x: Array) -> Array:
    """`clz`, uint32; the width for 0."""
    return np.uint32(8 * x.dtype.itemsize) - popc(_smear(x))


def bfind(x: Array) -> Array:
    """`bfind`: position of the highest bit that differs from the sign (signed) or is set; 0xffffffff if none."""
    if x.dtype.kind == "i":
        x = x ^ (x >> x.dtype.type(8 * x.dtype.itemsize - 1))
    return popc(_smear(unsigned(x))) - np.uint32(1)


def bfind_shift(x: Array) -> Array:
    """`bfind.shiftamt`: the left shift that brings that bit to the top; 0xffffffff if none."""
    position = bfind(x)
    none = np.uint32(0xFFFFFFFF)
    return np.where(position == none, none, np.uint32(8 * x.dtype.itemsize - 1) - position)


def brev(x: Array) -> Array:
    """`brev`: bits in reverse order."""
    kind = x.dtype.type
    steps = ((1, 0x5555555555555555), (2, 0x3333333333333333), (4, 0x0F0F0F0F0F0F0F0F))
    for step, mask in steps:
        m = kind(mask & np.iinfo(x.dtype).max)
        x = ((x >> kind(step)) & m) | ((x & m) << kind(step))
    return x.byteswap()


def vabsdiff(a: Array, b: Array, part: Any, add: bool) -> Array:
    """Absolute differences of the parts (8 or 16 bits) of uint32: side by side, or their sum."""
    x, y = (np.ascontiguousarray(v)[..., None].view(part).astype(np.int32) for v in (a, b))
    gaps = np.abs(x - y)
    if add:
        return gaps.sum(axis=-1).astype(np.uint32)
    return np.ascontiguousarray(gaps.astype(f"u{np.dtype(part).itemsize}")).view(np.uint32)[..., 0]


def fns(mask: Array, base: Array, offset: Array) -> Array:
    """`fns`: see the emitter. A base beyond bit 31 finds nothing."""
    mask, base, offset = np.broadcast_arrays(mask, base, offset)
    bits = (mask[..., None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1) != 0
    place = np.arange(32)
    start, step = base[..., None].astype(np.int64), offset[..., None].astype(np.int64)
    ahead = np.where(step >= 0, place >= start, place <= start) & (start < 32) & bits
    rank = np.where(step >= 0, np.cumsum(ahead, axis=-1), np.cumsum(ahead[..., ::-1], axis=-1)[..., ::-1])
    wanted = np.where(step == 0, place == start, rank == np.abs(step)) & ahead
    return np.where(wanted.any(axis=-1), wanted.argmax(axis=-1), 0xFFFFFFFF).astype(np.uint32)


def bfe(a: Array, b: Array, c: Array) -> Array:
    """`bfe`: the field of c bits at bit b. b, c uint32, of which 8 bits count. Bits above the top are the sign or 0."""
    kind, bits = a.dtype.type, 8 * a.dtype.itemsize
    pos = np.minimum(b & np.uint32(0xFF), np.uint32(bits)).astype(a.dtype)
    length = np.minimum(c & np.uint32(0xFF), np.uint32(bits)).astype(a.dtype)
    moved = a >> pos
    if a.dtype.kind == "u":
        return moved & ~(~kind(0) << length)
    rest = kind(bits) - length
    return (moved << rest) >> rest & np.where(length == 0, kind(0), kind(-1))


def bfi(a: Array, b: Array, c: Array, d: Array) -> Array:
    """`bfi`: b with the low d bits of a inserted at bit c. a, b unsigned."""
    kind = a.dtype.type
    pos = (c & np.uint32(0xFF)).astype(a.dtype)
    length = (d & np.uint32(0xFF)).astype(a.dtype)
    mask = ~(~kind(0) << length) << pos
    return (b & ~mask) | ((a << pos) & mask)


def bmsk(a: Array, b: Array, clamp: bool) -> Array:
    """`bmsk`: b ones at bit a, uint32."""
    if not clamp:
        a, b = a & np.uint32(31), b & np.uint32(31)
    return ~(~np.uint32(0) << b) << a


def szext(a: Array, b: Array, clamp: bool) -> Array:
    """`szext`: the low b bits of a, extended by sign (int32) or zero (uint32). b is uint32."""
    kind = a.dtype.type
    width = (np.minimum(b, np.uint32(32)) if clamp else b & np.uint32(31)).astype(a.dtype)
    rest = kind(32) - width
    return np.where(width == 0, kind(0), (a << rest) >> rest)


# -- bytes -----------------------------------------------------------------------------------------------------------
# Selector of the generic form for each mode of `prmt` and each value of c & 3.
PRMT_MODES = {
    "f4e": (0x3210, 0x4321, 0x5432, 0x6543),
    "b4e": (0x5670, 0x6701, 0x7012, 0x0123),
    "rc8": (0x0000, 0x1111, 0x2222, 0x3333),
    "ecl": (0x3210, 0x3211, 0x3222, 0x3333),
    "ecr": (0x0000, 0x1110, 0x2210, 0x3210),
    "rc16": (0x1010, 0x3232, 0x1010, 0x3232),
}


def prmt(a: Array, b: Array, selector: Array) -> Array:
    """`prmt.b32`: four bytes picked from {b, a} by nibbles; bit 3 of a nibble replicates the byte's sign."""
    both = a.astype(np.uint64) | (b.astype(np.uint64) << np.uint64(32))
    result = np.zeros((1, 1), np.uint32)
    for i in range(4):
        nibble = (selector >> np.uint32(4 * i)) & np.uint32(15)
        byte = (both >> ((nibble & np.uint32(7)) << np.uint32(3)).astype(np.uint64)).astype(np.uint8)
        sign = (byte.view(np.int8) >> np.int8(7)).view(np.uint8)
        byte = np.where(nibble > 7, sign, byte)
        result = result | (byte.astype(np.uint32) << np.uint32(8 * i))
    return result


def prmt_mode(a: Array, b: Array, c: Array, mode: str) -> Array:
    """`prmt` with a mode: see `PRMT_MODES`."""
    return prmt(a, b, np.array(PRMT_MODES[mode], np.uint32)[c & np.uint32(3)])


def _parts(x: Array, kind: str, count: int) -> list[Array]:
    """The `count` equal parts of 32-bit values, lowest first, as int32 or uint32 by `kind` ("s32" or "u32")."""
    target = np.dtype(np.int32 if kind == "s32" else np.uint32)
    width = 32 // count
    up = [target.type(32 - width * (i + 1)) for i in range(count)]
    return [(x.view(target) << shift) >> target.type(32 - width) for shift in up]


def dp4a(a: Array, b: Array, c: Array, a_kind: str, b_kind: str) -> Array:
    """`dp4a`: c plus the dot product of four bytes. uint32 bits; kinds are "s32" or "u32"."""
    total = c
    for x, y in zip(_parts(a, a_kind, 4), _parts(b, b_kind, 4), strict=True):
        total = total + x.view(np.uint32) * y.view(np.uint32)
    return total


def dp2a(a: Array, b: Array, c: Array, a_kind: str, b_kind: str, high: bool) -> Array:
    """`dp2a`: c plus two 16-bit parts of a times the lower (or upper) two bytes of b. uint32 bits."""
    bytes_of_b = _parts(b, b_kind, 4)[2 if high else 0 :]
    total = c
    for x, y in zip(_parts(a, a_kind, 2), bytes_of_b, strict=False):
        total = total + x.view(np.uint32) * y.view(np.uint32)
    return total


# -- packed 16-bit integers ------------------------------------------------------------------------------------------
def split16(x: Array, dtype: Any) -> Array:
    """Two 16-bit integers of a uint32 on a new last axis, lower first: (r, c) -> (r, c, 2)."""
    return x[..., None].view(dtype)


def join16(x: Array) -> Array:
    """Inverse of `split16`: (r, c, 2) of any 16-bit dtype -> (r, c) uint32."""
    return np.ascontiguousarray(x).view(np.uint32)[..., 0]
