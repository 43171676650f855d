"""`setp`, `set`, `testp`, `selp`, `slct`, from "Comparison and Selection Instructions" of the PTX ISA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.ptxvm.scalar.formats import FORMATS, decode, less
from tests.ptxvm.scalar.integer import value, width
from tests.ptxvm.scalar.results import Result

Words = tuple[str, ...]
SAME = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}  # names for unsigned operands
HALVES = {"f16x2": "f16", "bf16x2": "bf16"}
JOIN: dict[str, Callable[[int, int], int]] = {
    "and": lambda t, c: t & c,
    "or": lambda t, c: t | c,
    "xor": lambda t, c: t ^ c,
}


def holds(word: str, kind: str, a: int, b: int, flush: bool = False) -> int:
    """Whether `a word b`. Ordered comparisons with NaN are false, those that end in u are true."""
    if kind not in FORMATS:
        word = SAME.get(word, word)
        x, y = (
            value(a, f"u{width(kind)}" if kind[0] == "b" else kind),
            value(b, f"u{width(kind)}" if kind[0] == "b" else kind),
        )
        return int(_relation(word, x < y, y < x))
    first, second = decode(a, FORMATS[kind], flush), decode(b, FORMATS[kind], flush)
    unordered = first.kind == "nan" or second.kind == "nan"
    if word in ("num", "nan"):
        return int(unordered == (word == "nan"))
    if unordered:
        return int(word.endswith("u"))
    return int(_relation(word.removesuffix("u"), less(first, second), less(second, first)))


def _relation(word: str, below: bool, above: bool) -> bool:
    return {
        "eq": not below and not above, "ne": below or above, "lt": below, "le": not above, "gt": above,
        "ge": not below,
    }[word]  # fmt: skip


def setp(words: Words, a: int, b: int, c: int = 0) -> tuple[Result, ...]:
    """(p, q): q is the comparison's complement, combined with c too. Packed types: p is the lower half, q the upper."""
    kind, flush = words[-1], "ftz" in words
    join = next((JOIN[w] for w in words if w in JOIN), lambda t, c: t)
    if kind in HALVES:
        return tuple(join(holds(words[0], HALVES[kind], _half(a, i), _half(b, i), flush), c) for i in (0, 1))
    t = holds(words[0], kind, a, b, flush)
    return join(t, c), join(1 - t, c)


def _half(pattern: int, i: int) -> int:
    return (pattern >> (16 * i)) & 0xFFFF


def set_value(words: Words, a: int, b: int, c: int = 0) -> Result:
    """1.0 or all ones where the comparison holds; per half for packed sources."""
    target, source = words[-2:]
    truth = setp((*words[:-2], source), a, b, c)
    if source in HALVES:
        one = {"f16x2": 0x3C00, "bf16x2": 0x3F80}.get(target, 0xFFFF)
        return sum(one << (16 * i) for i in (0, 1) if truth[i])
    ones = {"f32": 0x3F800000, "f16": 0x3C00, "bf16": 0x3F80}.get(target)
    if ones is None:
        ones = (1 << width(target)) - 1
    return ones if truth[0] else 0


def testp(words: Words, a: int) -> Result:
    """Zeros count as normal."""
    format_ = FORMATS[words[-1]]
    number = decode(a, format_)
    finite = number.kind == "finite"
    subnormal = finite and 0 < number.m < (1 << format_.fraction)
    return int({
        "finite": finite, "infinite": number.kind == "inf", "number": number.kind != "nan",
        "notanumber": number.kind == "nan", "normal": finite and not subnormal, "subnormal": subnormal,
    }[words[0]])  # fmt: skip


def selp(words: Words, a: int, b: int, c: int) -> Result:
    return a if c else b


def slct(words: Words, a: int, b: int, c: int) -> Result:
    """a where c >= 0: -0 counts, NaN does not."""
    if words[-1] == "s32":
        return a if value(c, "s32") >= 0 else b
    return a if holds("ge", "f32", c, 0, "ftz" in words) else b


TABLE: dict[str, Callable[..., Any]] = {
    "setp": setp, "set": set_value, "testp": testp, "selp": selp, "slct": slct,
}  # fmt: skip
