"""Integer arithmetic, from the sections on (extended-precision) integers of the PTX ISA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.ptxvm.scalar.results import Anything, Result

Words = tuple[str, ...]


def width(kind: str) -> int:
    """Bits of an integer type."""
    return int(kind[1:])


def value(pattern: int, kind: str) -> int:
    """The integer that a pattern means."""
    bits = width(kind)
    pattern &= (1 << bits) - 1
    return pattern - (1 << bits) if kind[0] == "s" and pattern >> (bits - 1) else pattern


def pattern(number: int, kind: str) -> int:
    """The pattern of an integer, modulo the width."""
    return number & ((1 << width(kind)) - 1)


def clamp(number: int, kind: str) -> int:
    """The nearest integer that the type holds."""
    bits = width(kind)
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if kind[0] == "s" else (0, (1 << bits) - 1)
    return min(max(number, low), high)


def halves(function: Callable[[int, int], int], kind: str, *operands: int) -> int:
    """A function of two 16-bit integers on both halves of packed registers."""
    element = kind[:-2]
    low, high = (
        pattern(function(*(value(o >> shift, element) for o in operands)), element)  # type: ignore[call-arg]
        for shift in (0, 16)
    )
    return low | (high << 16)


def add(words: Words, a: int, b: int) -> Result:
    return _sum(words, a, b, 1)


def sub(words: Words, a: int, b: int) -> Result:
    return _sum(words, a, b, -1)


def _sum(words: Words, a: int, b: int, sign: int) -> Result:
    kind = words[-1]
    if kind.endswith("x2"):
        return halves(lambda x, y: x + sign * y, kind, a, b)
    number = value(a, kind) + sign * value(b, kind)
    return pattern(clamp(number, kind) if "sat" in words else number, kind)


# -- the carry chain: the flag is an operand and a result here ----------------------------------------------------
def add_with_carry(kind: str, a: int, b: int, flag: int) -> tuple[int, int]:
    """(d, carry out) of a + b + carry in."""
    number = pattern(a, kind) + pattern(b, kind) + flag
    return pattern(number, kind), number >> width(kind)


def subtract_with_borrow(kind: str, a: int, b: int, flag: int) -> tuple[int, int]:
    """(d, borrow out) of a - (b + borrow in)."""
    number = pattern(a, kind) - pattern(b, kind) - flag
    return pattern(number, kind), int(number < 0)


def multiply_add_with_carry(words: Words, a: int, b: int, c: int, flag: int) -> tuple[int, int]:
    """(d, carry out) of the low or high half of a * b, plus c and the carry."""
    kind = words[-1]
    return add_with_carry(kind, pattern(_part(words, a, b), kind), c, flag)


# -- products --------------------------------------------------------------------------------------------------------
def _part(words: Words, a: int, b: int) -> int:
    """The half of the product that the words ask for, as an integer not yet cut."""
    kind = words[-1]
    full = value(a, kind) * value(b, kind)
    return full >> width(kind) if "hi" in words else full


def mul(words: Words, a: int, b: int) -> Result:
    return mad(words, a, b, 0)


def mad(words: Words, a: int, b: int, c: int) -> Result:
    kind = words[-1]
    target = f"{kind[0]}{2 * width(kind)}" if "wide" in words else kind
    if "sat" in words:
        return pattern(clamp(value(_part(words, a, b), kind) + value(c, kind), kind), kind)
    return pattern(_part(words, a, b) + value(c, target), target)


def mul24(words: Words, a: int, b: int) -> Result:
    return mad24(words, a, b, 0)


def mad24(words: Words, a: int, b: int, c: int) -> Result:
    kind = words[-1]
    x, y = (value(o, f"{kind[0]}24") for o in (a, b))
    part = (x * y) >> 16 if "hi" in words else x * y
    number = value(part, kind) + value(c, kind)
    return pattern(clamp(number, kind) if "sat" in words else number, kind)


def dp4a(words: Words, a: int, b: int, c: int) -> Result:
    first, second = (f"{kind[0]}8" for kind in words)
    return (c + sum(value(a >> i, first) * value(b >> i, second) for i in (0, 8, 16, 24))) & 0xFFFFFFFF


def dp2a(words: Words, a: int, b: int, c: int) -> Result:
    first, second = f"{words[1][0]}16", f"{words[2][0]}8"
    start = 16 if words[0] == "hi" else 0
    pairs = ((0, start), (16, start + 8))
    return (c + sum(value(a >> i, first) * value(b >> j, second) for i, j in pairs)) & 0xFFFFFFFF


# -- the rest --------------------------------------------------------------------------------------------------------
def _towards_zero(x: int, y: int) -> int:
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def div(words: Words, a: int, b: int) -> Result:
    """Towards zero; division by zero gives an unspecified, machine-specific value."""
    x, y = value(a, words[-1]), value(b, words[-1])
    return pattern(_towards_zero(x, y), words[-1]) if y else Anything()


def rem(words: Words, a: int, b: int) -> Result:
    x, y = value(a, words[-1]), value(b, words[-1])
    return pattern(x - y * _towards_zero(x, y), words[-1]) if y else Anything()


def absolute(words: Words, a: int) -> Result:
    return pattern(abs(value(a, words[-1])), words[-1])


def neg(words: Words, a: int) -> Result:
    return pattern(-value(a, words[-1]), words[-1])


def minimum(words: Words, a: int, b: int) -> Result:
    return _extreme(words, min, a, b)


def maximum(words: Words, a: int, b: int) -> Result:
    return _extreme(words, max, a, b)


def _extreme(words: Words, pick: Callable[[int, int], int], a: int, b: int) -> Result:
    """`.relu` clamps a negative result to 0."""
    kind = words[-1]

    def one(x: int, y: int) -> int:
        return max(pick(x, y), 0) if "relu" in words else pick(x, y)

    if kind.endswith("x2"):
        return halves(one, kind, a, b)
    return pattern(one(value(a, kind), value(b, kind)), kind)


def sad(words: Words, a: int, b: int, c: int) -> Result:
    kind = words[-1]
    return pattern(value(c, kind) + abs(value(a, kind) - value(b, kind)), kind)


def vabsdiff(parts: int) -> Callable[..., Result]:
    """`vabsdiff2`, `vabsdiff4`: every part of a and b, and the results side by side, or added to c."""

    def evaluate(words: Words, a: int, b: int, c: int) -> Result:
        bits = 32 // parts
        kind = f"{words[1][0]}{bits}"
        gaps = [abs(value(a >> bits * i, kind) - value(b >> bits * i, kind)) for i in range(parts)]
        if "add" in words:
            return (sum(gaps) + c) & 0xFFFFFFFF
        return sum(gap << bits * i for i, gap in enumerate(gaps))

    return evaluate


TABLE: dict[str, Callable[..., Any]] = {
    "add": add, "sub": sub, "mul": mul, "mad": mad, "mul24": mul24, "mad24": mad24, "dp4a": dp4a, "dp2a": dp2a,
    "div": div, "rem": rem, "abs": absolute, "neg": neg, "min": minimum, "max": maximum, "sad": sad,
    "vabsdiff2": vabsdiff(2), "vabsdiff4": vabsdiff(4),
}  # fmt: skip
