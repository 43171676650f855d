"""`cvt`, `cvt.pack` and `mov`, from "Data Movement and Conversion Instructions" of the PTX ISA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.ptxvm.scalar.floating import limited, mode_of
from tests.ptxvm.scalar.formats import FORMATS, Format, Number, decode, rounded
from tests.ptxvm.scalar.integer import clamp, pattern, value, width
from tests.ptxvm.scalar.results import PACKED, OneOf, Parts, Result

Words = tuple[str, ...]
INTEGERS = {f"{sign}{bits}" for sign in "us" for bits in (8, 16, 32, 64)}
TO_WHOLE = {"rni": "rn", "rzi": "rz", "rmi": "rm", "rpi": "rp"}
TF32 = Format(19, 10, 127)  # the upper 19 bits of a 32-bit register


def cvt(words: Words, *operands: int) -> Result:
    if words[0] == "pack":
        return pack(words, *operands)
    target, source = words[-2:]
    if target in PACKED or source in PACKED:
        return _packed(words, target, source, operands)
    a = operands[0]
    if target == "tf32":
        upper = _narrow(decode(a, FORMATS["f32"]), TF32, words)
        return OneOf((0, 1 << 31)) if isinstance(upper, OneOf) else upper << 13  # type: ignore[operator]
    if target in INTEGERS:
        return _to_integer(words, target, source, a)
    return _to_float(words, FORMATS[target], source, a)


def _to_integer(words: Words, target: str, source: str, a: int) -> Result:
    if source in INTEGERS:
        number = value(a, source)
        return pattern(clamp(number, target) if "sat" in words else number, target)
    number = decode(a, FORMATS[source], "ftz" in words)  # type: ignore[assignment]
    assert isinstance(number, Number)
    if number.kind == "nan":
        top = source == "f64" or width(target) == 64
        return 1 << (width(target) - 1) if top else 0
    if number.kind == "inf":
        whole = -(1 << 200) if number.sign else 1 << 200
    else:
        whole = _whole(number, next(TO_WHOLE[w] for w in words if w in TO_WHOLE))
    return pattern(clamp(whole, target), target)


def _whole(number: Number, mode: str) -> int:
    """A finite number rounded to an integer."""
    if number.e >= 0:
        size = number.m << number.e
    else:
        size, rest = number.m >> -number.e, number.m & ((1 << -number.e) - 1)
        half = 1 << (-number.e - 1)
        if mode == "rn":
            size += rest > half or (rest == half and size & 1)
        elif (mode == "rm" and number.sign) or (mode == "rp" and not number.sign):
            size += rest > 0
    return -size if number.sign else size


def _to_float(words: Words, target: Format, source: str, a: int) -> Result:
    if source in INTEGERS:
        integer = value(a, source)
        number = Number("finite", int(integer < 0), abs(integer), 0)
    else:
        number = decode(a, FORMATS[source], "ftz" in words and source == "f32")
        whole = next((TO_WHOLE[w] for w in words if w in TO_WHOLE), None)
        if whole and number.kind == "finite":  # the sign of a zero stays
            number = Number("finite", number.sign, abs(_whole(number, whole)), 0)
    return _narrow(number, target, words)


def _narrow(number: Number, target: Format, words: Words) -> Result:
    """Round to the target with `.ftz` (f32 results), `.sat`, `.relu` and `.satfinite` (the largest finite number)."""
    mode = "rna" if "rna" in words else mode_of(words)
    bits = rounded(number, target, mode, flush="ftz" in words and target.bits == 32)
    if "satfinite" in words and number.kind != "nan" and (bits & ~target.sign) > target.largest:
        bits = (bits & target.sign) | target.largest
    return limited(bits, target, words)


def _packed(words: Words, target: str, source: str, operands: tuple[int, ...]) -> Result:
    """Two values: the first operand, or the upper half of one, is the upper result."""
    if source in PACKED:
        element, bits = PACKED[source]
        given = [(operands[0] >> shift) & ((1 << bits) - 1) for shift in (0, bits)]
    else:
        element, given = source, [operands[1], operands[0]]
    result = FORMATS[PACKED[target][0]]
    return Parts(tuple(_narrow(decode(x, FORMATS[element]), result, words) for x in given))


def pack(words: Words, a: int, b: int, c: int = 0) -> Result:
    """`cvt.pack.sat.T.s32{.b32}`: a above b; the third operand moves up."""
    kind = words[2]
    bits = width(kind)
    low, high = (pattern(clamp(value(o, "s32"), kind), kind) for o in (b, a))
    both = low | (high << bits)
    return both if bits == 16 else both | (c << (2 * bits)) & 0xFFFFFFFF


def mov(words: Words, a: int) -> Result:
    return a


TABLE: dict[str, Callable[..., Any]] = {"cvt": cvt, "mov": mov}
