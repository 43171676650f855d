"""Floating-point arithmetic, from the "Floating Point", "Half Precision" and "Mixed Precision" sections of the PTX ISA.

Operations are exact on integers and rounded once. `.approx` and `.full` give the interval that the ISA allows; it is
computed from Python's float functions, whose error (2^-52) does not count beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tests.ptxvm.scalar.formats import (
    F32,
    FORMATS,
    NAN,
    Format,
    Number,
    as_float,
    decode,
    less,
    of_float,
    product,
    quotient,
    root,
    rounded,
    total,
)
from tests.ptxvm.scalar.results import PACKED, Anything, Between, OneOf, Parts, Result

Words = tuple[str, ...]
MODES = ("rn", "rz", "rm", "rp")


def is_float(words: Words) -> bool:
    """Whether an opcode such as `add` is one of floating-point numbers."""
    return words[-1] in FORMATS or words[-1] in PACKED


def mode_of(words: Words) -> str:
    """The rounding mode; to nearest even if none."""
    return next((w for w in words if w in MODES), "rn")


def elementwise(function: Callable[..., Result]) -> Callable[..., Result]:
    """A function of one element, on each element of a packed type."""

    def apply(words: Words, *operands: int) -> Result:
        if words[-1] not in PACKED:
            return function(words, *operands)
        element, bits = PACKED[words[-1]]
        scalar = (*words[:-1], element)
        mask = (1 << bits) - 1
        return Parts(tuple(function(scalar, *((o >> shift) & mask for o in operands)) for shift in (0, bits)))

    return apply


def _types(words: Words) -> tuple[Format, Format]:
    """(format of the result and the last operand, of the others): `add.f32.f16` mixes them."""
    named = [FORMATS[w] for w in words if w in FORMATS]
    return named[0], named[-1]


def finish(number: Number, format_: Format, words: Words, sticky: bool = False) -> Result:
    """Round, flush, clamp."""
    bits = rounded(number, format_, mode_of(words), sticky, "ftz" in words)
    return limited(bits, format_, words)


def limited(bits: int, format_: Format, words: Words) -> Result:
    """`.sat` clamps to [0, 1] and makes NaN +0; `.relu` makes negative numbers 0. The sign of a -0 is left open."""
    number = decode(bits, format_)
    if "sat" in words:
        one = rounded(Number("finite", 0, 1, 0), format_)
        if number.kind == "nan":
            return 0
        if bits == format_.sign:
            return OneOf((0, format_.sign))
        return 0 if number.sign else min(bits, one)
    if "relu" in words and number.kind != "nan" and number.sign:
        return OneOf((0, format_.sign)) if bits == format_.sign else 0
    return bits


# -- sums and products ---------------------------------------------------------------------------------------------
def add(words: Words, a: int, b: int) -> Result:
    return _sum(words, a, b, False)


def sub(words: Words, a: int, b: int) -> Result:
    return _sum(words, a, b, True)


def _sum(words: Words, a: int, b: int, minus: bool) -> Result:
    format_, first = _types(words)
    flush = "ftz" in words
    x, y = decode(a, first, flush), decode(b, format_, flush)
    return finish(total(x, y.negated() if minus else y, mode_of(words)), format_, words)


def mul(words: Words, a: int, b: int) -> Result:
    format_ = FORMATS[words[-1]]
    x, y = (decode(o, format_, "ftz" in words) for o in (a, b))
    return finish(product(x, y), format_, words)


def fma(words: Words, a: int, b: int, c: int) -> Result:
    format_, first = _types(words)
    flush = "ftz" in words
    x, y, z = decode(a, first, flush), decode(b, first, flush), decode(c, format_, flush)
    return finish(total(product(x, y), z, mode_of(words)), format_, words)


# -- approximations ------------------------------------------------------------------------------------------------
def unit(value: float, format_: Format) -> float:
    """Distance between the numbers of a format around a value."""
    if value == 0:
        return math.ldexp(1.0, format_.lowest)
    return math.ldexp(1.0, max(math.frexp(value)[1] - 1 - format_.fraction, format_.lowest))


def near(value: float, error: float, format_: Format, words: Words) -> Between:
    """Within `error` of a value, or infinite if that passes the largest number."""
    largest = as_float(decode(format_.largest, format_))
    low, high = value - error, value + error
    return Between(-math.inf if low < -largest else low, math.inf if high > largest else high, "ftz" in words)


def relative(value: float, bound: float, format_: Format, words: Words) -> Between:
    """Within a relative error; never tighter than one unit of the last place below the normal range."""
    return near(value, max(abs(value) * bound, unit(0, format_)), format_, words)


def ulps(value: float, count: int, format_: Format, words: Words) -> Between:
    return near(value, count * unit(value, format_), format_, words)


def special(number: Number) -> bool:
    return number.kind != "finite" or number.m == 0


# -- division and roots ----------------------------------------------------------------------------------------------
def div(words: Words, a: int, b: int) -> Result:
    """`.full`: 2 ulp. `.approx`: 2 ulp for |b| in [2^-126, 2^126], beyond 0 (NaN for infinite a)."""
    format_ = FORMATS[words[-1]]
    x, y = (decode(o, format_, "ftz" in words) for o in (a, b))
    q, cut = quotient(x, y, format_)
    if not {"approx", "full"} & set(words):
        return finish(q, format_, words, cut)
    if "approx" in words and y.kind == "finite" and y.m:
        size = abs(as_float(y))
        if size < 2.0**-126:
            return Anything()
        if size > 2.0**126:
            return OneOf((0, format_.sign)) if x.kind == "finite" else format_.nan
    if special(q):
        return rounded(q, format_)
    return ulps(as_float(q), 2, format_, words)


def rcp(words: Words, a: int) -> Result:
    """`.approx.f32`: 1 ulp. `.approx.ftz.f64`: from and to the upper word only."""
    format_ = FORMATS[words[-1]]
    if words == ("approx", "ftz", "f64"):
        return _upper_word(a, lambda x: 1 / x if x else math.copysign(math.inf, x), lambda x: math.copysign(0.0, x))
    x = decode(a, format_, "ftz" in words)
    q, cut = quotient(Number("finite", 0, 1, 0), x, format_)
    if "approx" not in words:
        return finish(q, format_, words, cut)
    return rounded(q, format_) if special(q) else ulps(as_float(q), 1, format_, words)


def _upper_word(a: int, function: Callable[[float], float], at_infinity: Callable[[float], float]) -> Result:
    """A gross approximation of f64: 20 bits of significand, the lower word of the result is zero."""
    format_ = FORMATS["f64"]
    if decode(a, format_).kind == "nan":
        return format_.nan
    x = decode(a & ~0xFFFFFFFF, format_, True)
    value = at_infinity(as_float(x)) if x.kind == "inf" else function(as_float(x))
    if value == 0 or not math.isfinite(value):
        return rounded(of_float(value), format_)
    between = near(value, abs(value) * 2.0**-19, format_, ("ftz",))
    return Between(between.low, between.high, True, zeros=0xFFFFFFFF)


def sqrt(words: Words, a: int) -> Result:
    """`.approx.f32`: relative error 2^-23."""
    format_ = FORMATS[words[-1]]
    x = decode(a, format_, "ftz" in words)
    r, cut = root(x, format_)
    if "approx" not in words:
        return finish(r, format_, words, cut)
    return rounded(r, format_) if special(r) else relative(as_float(r), 2.0**-23, format_, words)


def rsqrt(words: Words, a: int) -> Result:
    """f32: relative error 2^-22.9."""

    def at(x: float) -> float:
        return math.nan if x < 0 else 1 / math.sqrt(x) if x else math.copysign(math.inf, x)

    if words == ("approx", "ftz", "f64"):
        return _upper_word(a, at, lambda x: 0.0 if x > 0 else math.nan)
    format_ = FORMATS[words[-1]]
    x = decode(a, format_, "ftz" in words)
    if x.kind == "nan" or x.kind == "inf":
        return 0 if x.kind == "inf" and not x.sign else format_.nan
    value = at(as_float(x))
    if not math.isfinite(value):
        return rounded(of_float(value), format_)
    return relative(value, 2.0**-22.9, format_, words)


# -- functions -----------------------------------------------------------------------------------------------------
EXP2_ERROR = {"f32": 2.0**-22, "f16": 2.0**-9.9, "bf16": 2.0**-7}
TANH_ERROR = {"f32": 2.0**-11, "f16": 2.0**-10.987, "bf16": 2.0**-8}


def ex2(words: Words, a: int) -> Result:
    format_ = FORMATS[words[-1]]
    x = decode(a, format_, "ftz" in words)
    if x.kind != "finite":
        return format_.nan if x.kind == "nan" else 0 if x.sign else format_.top
    if x.m == 0:
        return rounded(Number("finite", 0, 1, 0), format_)
    value = as_float(x)
    if abs(value) > 1000:
        return format_.top if value > 0 else 0
    return relative(2.0**value, EXP2_ERROR[words[-1]], format_, words)


def lg2(words: Words, a: int) -> Result:
    """Absolute error 2^-22 in (0.5, 2), relative error 2^-22 outside."""
    x = decode(a, F32, "ftz" in words)
    if x.kind == "finite" and x.m == 0:
        return F32.sign | F32.top
    if x.kind == "nan" or x.sign:
        return F32.nan
    if x.kind == "inf":
        return F32.top
    value = math.log2(as_float(x))
    return near(value, 2.0**-22 * max(abs(value), 1), F32, words)


def wave(function: Callable[[float], float]) -> Callable[[Words, int], Result]:
    """`sin`, `cos`: absolute error 2^-20.5 in [-2 pi, 2 pi], 2^-14.7 in [-100 pi, 100 pi], open beyond."""

    def apply(words: Words, a: int) -> Result:
        x = decode(a, F32, "ftz" in words)
        if x.kind != "finite":
            return F32.nan
        value = as_float(x)
        if value == 0:
            return rounded(of_float(function(value)), F32)
        if abs(value) > 100 * math.pi:
            return Anything()
        return near(function(value), 2.0**-20.5 if abs(value) <= 2 * math.pi else 2.0**-14.7, F32, words)

    return apply


def tanh(words: Words, a: int) -> Result:
    format_ = FORMATS[words[-1]]
    x = decode(a, format_)
    if x.kind == "nan":
        return format_.nan
    if x.kind == "finite" and x.m == 0:
        return a
    value = math.tanh(as_float(x))
    if x.kind == "inf":
        return rounded(of_float(value), format_)
    return relative(value, TANH_ERROR[words[-1]], format_, words)


# -- signs, minima ---------------------------------------------------------------------------------------------------
def absolute(words: Words, a: int) -> Result:
    format_ = FORMATS[words[-1]]
    return rounded(decode(a, format_, "ftz" in words)._replace(sign=0), format_)


def neg(words: Words, a: int) -> Result:
    format_ = FORMATS[words[-1]]
    return rounded(decode(a, format_, "ftz" in words).negated(), format_)


def copysign(words: Words, a: int, b: int) -> Result:
    """The sign of a with the magnitude of b."""
    sign = FORMATS[words[-1]].sign
    return (a & sign) | (b & (sign - 1))


def minimum(words: Words, *operands: int) -> Result:
    return _extreme(words, operands, below)


def maximum(words: Words, *operands: int) -> Result:
    return _extreme(words, operands, lambda x, y: below(y, x))


def below(x: Number, y: Number) -> bool:
    """x < y of numbers that are not NaN, where -0 is below +0."""
    return x.sign > y.sign if is_zero(x) and is_zero(y) else less(x, y)


def is_zero(x: Number) -> bool:
    return x.kind == "finite" and x.m == 0


def _extreme(words: Words, operands: tuple[int, ...], before: Callable[[Number, Number], bool]) -> Result:
    """The number wins over NaN unless `.NaN`; -0 < +0. `.xorsign.abs`: of the magnitudes, with the product's sign."""
    format_ = FORMATS[words[-1]]
    numbers = [decode(o, format_, "ftz" in words) for o in operands]
    if "abs" in words:
        numbers = [n._replace(sign=0) for n in numbers]
    best = numbers[0]
    for other in numbers[1:]:
        if best.kind == "nan" or other.kind == "nan":
            best = NAN if "NaN" in words or best.kind == other.kind else other if best.kind == "nan" else best
        elif before(other, best):
            best = other
    if "xorsign" in words and best.kind != "nan":
        best = best._replace(sign=(operands[0] ^ operands[1]) >> (format_.bits - 1))
    return rounded(best, format_)


TABLE: dict[str, Callable[..., Any]] = {
    name: elementwise(function)
    for name, function in {
        "add": add, "sub": sub, "mul": mul, "fma": fma, "mad": fma, "div": div, "rcp": rcp, "sqrt": sqrt,
        "rsqrt": rsqrt, "ex2": ex2, "lg2": lg2, "sin": wave(math.sin), "cos": wave(math.cos), "tanh": tanh,
        "abs": absolute, "neg": neg, "copysign": copysign, "min": minimum, "max": maximum,
    }.items()
}  # fmt: skip
