"""Logic, shifts, bit fields and byte permutes, from the sections of that name in the PTX ISA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.ptxvm.scalar.integer import pattern, value, width
from tests.ptxvm.scalar.results import Anything, Result

Words = tuple[str, ...]
ONES = 0xFFFFFFFF


def _mask(words: Words) -> int:
    return 1 if words[-1] == "pred" else (1 << width(words[-1])) - 1


def logic(operation: Callable[[int, int], int]) -> Callable[[Words, int, int], Result]:
    """`and`, `or`, `xor`."""
    return lambda words, a, b: operation(a, b) & _mask(words)


def invert(words: Words, a: int) -> Result:
    return ~a & _mask(words)


def cnot(words: Words, a: int) -> Result:
    return int(a & _mask(words) == 0)


def shl(words: Words, a: int, b: int) -> Result:
    """Counts above the width are clamped to the width."""
    return (a << min(b, width(words[-1]))) & _mask(words)


def shr(words: Words, a: int, b: int) -> Result:
    return pattern(value(a, words[-1]) >> min(b, width(words[-1])), words[-1])


def shf(words: Words, a: int, b: int, c: int) -> Result:
    """The 64 bits {b, a}: a is the lower word."""
    count = c & 31 if "wrap" in words else min(c, 32)
    both = (b << 32) | a
    return (both << count) >> 32 & ONES if words[0] == "l" else both >> count & ONES


def lop3(words: Words, a: int, b: int, c: int, table: int, q: int = 0) -> tuple[Result, ...]:
    """The table is the value of the function for a = 0xF0, b = 0xCC, c = 0xAA."""
    d = 0
    for i in range(32):
        place = ((a >> i) & 1) << 2 | ((b >> i) & 1) << 1 | ((c >> i) & 1)
        d |= ((table >> place) & 1) << i
    if words[0] == "b32":
        return (d,)
    flag = int(d != 0)
    return d, flag & q if words[0] == "and" else flag | q


def prmt(words: Words, a: int, b: int, c: int) -> Result:
    both = [(((b << 32) | a) >> (8 * i)) & 0xFF for i in range(8)]
    if words[-1] == "b32":
        picks = [(c >> (4 * i)) & 15 for i in range(4)]
        out = [(0xFF if both[p & 7] & 0x80 else 0) if p & 8 else both[p & 7] for p in picks]
    else:
        out = [both[p] for p in _mode_picks(words[-1] if words[-1] != "b32" else words[0], c & 3)]
    return sum(byte << (8 * i) for i, byte in enumerate(out))


def _mode_picks(mode: str, c: int) -> list[int]:
    """Source bytes of result bytes 0 to 3, from the tables of `prmt`."""
    if mode == "f4e":
        return [c + i for i in range(4)]
    if mode == "b4e":
        return [(c - i) % 8 for i in range(4)]
    if mode == "rc8":
        return [c] * 4
    if mode == "ecl":
        return [max(i, c) for i in range(4)]
    if mode == "ecr":
        return [min(i, c) for i in range(4)]
    return [2 * (c & 1) + (i & 1) for i in range(4)]  # rc16


def bfe(words: Words, a: int, b: int, c: int) -> Result:
    kind = words[-1]
    top = width(kind) - 1
    position, length = b & 0xFF, c & 0xFF
    sign = 0 if kind[0] == "u" or length == 0 else (a >> min(position + length - 1, top)) & 1
    d = 0
    for i in range(top + 1):
        d |= ((a >> (position + i)) & 1 if i < length and position + i <= top else sign) << i
    return d


def bfi(words: Words, a: int, b: int, c: int, d: int) -> Result:
    top = width(words[-1]) - 1
    position, length, f = c & 0xFF, d & 0xFF, b
    for i in range(length):
        if position + i <= top:
            f = f & ~(1 << (position + i)) | ((a >> i) & 1) << (position + i)
    return f


def bmsk(words: Words, a: int, b: int) -> Result:
    first = (ONES << (a & 31)) & ONES
    end = (a & 31) + (b & 31)
    second = (ONES << end) & ONES
    clamps = words[0] == "clamp"
    if clamps and a >= 32:
        first = 0
    if end >= 32 or (clamps and (a >= 32 or b >= 32)):
        second = 0
    elif b & 31 == 0:
        second = ONES
    return first & ~second


def szext(words: Words, a: int, b: int) -> Result:
    size, large = b & 31, words[0] == "clamp" and b >= 32
    mask = 0 if large else (ONES << size) & ONES
    negative = words[1] == "s32" and size and not large and (a >> (size - 1)) & 1
    return (a & ~mask) | (mask if negative else 0)


def popc(words: Words, a: int) -> Result:
    return a.bit_count()


def clz(words: Words, a: int) -> Result:
    return width(words[-1]) - a.bit_length()


def brev(words: Words, a: int) -> Result:
    return int(f"{a:0{width(words[-1])}b}"[::-1], 2)


def bfind(words: Words, a: int) -> Result:
    kind = words[-1]
    top = width(kind) - 1
    if kind[0] == "s" and a >> top:
        a = ~a & ((1 << (top + 1)) - 1)
    if a == 0:
        return ONES
    position = a.bit_length() - 1
    return top - position if words[0] == "shiftamt" else position


def fns(words: Words, mask: int, base: int, offset: int) -> Result:
    """The place of the n-th set bit from `base`; a base above 31 is left open."""
    if base > 31:
        return Anything()
    if offset == 0:
        return base if mask >> base & 1 else ONES
    step = 1 if offset < 1 << 31 else -1
    left, position = offset if step > 0 else (1 << 32) - offset, base
    while 0 <= position < 32:
        if mask >> position & 1:
            left -= 1
            if left == 0:
                return position
        position += step
    return ONES


TABLE: dict[str, Callable[..., Any]] = {
    "and": logic(lambda a, b: a & b), "or": logic(lambda a, b: a | b), "xor": logic(lambda a, b: a ^ b),
    "not": invert, "cnot": cnot, "shl": shl, "shr": shr, "shf": shf, "lop3": lop3, "prmt": prmt, "bfe": bfe,
    "bfi": bfi, "bmsk": bmsk, "szext": szext, "popc": popc, "clz": clz, "fns": fns, "brev": brev, "bfind": bfind,
}  # fmt: skip
