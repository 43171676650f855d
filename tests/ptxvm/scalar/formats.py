"""Binary floating-point formats as integers: taking bits apart, exact arithmetic, one rounding at the end.

A finite number is (-1)^sign * m * 2^e with integers m >= 0 and e; nothing is lost until `rounded`.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Format(NamedTuple):
    """`bits` in all, `fraction` of them behind the point; `infinite`: the top exponent holds infinities."""

    bits: int
    fraction: int
    bias: int
    infinite: bool = True

    @property
    def lowest(self) -> int:
        """Exponent of the last bit of a subnormal number."""
        return 1 - self.bias - self.fraction

    @property
    def top(self) -> int:
        """Bits of infinity."""
        return ((1 << (self.bits - 1 - self.fraction)) - 1) << self.fraction

    @property
    def largest(self) -> int:
        """Bits of the largest finite number."""
        return self.top - 1 if self.infinite else (1 << (self.bits - 1)) - 2

    @property
    def sign(self) -> int:
        return 1 << (self.bits - 1)

    @property
    def nan(self) -> int:
        return (1 << (self.bits - 1)) - 1

    @property
    def smallest_normal(self) -> float:
        return math.ldexp(1.0, 1 - self.bias)


FORMATS = {
    "f16": Format(16, 10, 15),
    "bf16": Format(16, 7, 127),
    "f32": Format(32, 23, 127),
    "f64": Format(64, 52, 1023),
    "e5m2": Format(8, 2, 15),
    "e4m3": Format(8, 3, 7, infinite=False),
}
F32, F64 = FORMATS["f32"], FORMATS["f64"]


class Number(NamedTuple):
    """kind: "finite", "inf" or "nan"."""

    kind: str
    sign: int
    m: int = 0
    e: int = 0

    def negated(self) -> Number:
        return self._replace(sign=1 - self.sign)


NAN = Number("nan", 0)


def decode(pattern: int, format_: Format, flush: bool = False) -> Number:
    """The number of a bit pattern; `flush` makes subnormal ones zero, as `.ftz` does with operands."""
    sign = pattern >> (format_.bits - 1)
    rest = pattern & (format_.sign - 1)
    exponent, fraction = rest >> format_.fraction, rest & ((1 << format_.fraction) - 1)
    if format_.infinite and rest >= format_.top:
        return Number("inf", sign) if rest == format_.top else NAN
    if not format_.infinite and rest == format_.nan:
        return NAN
    if exponent == 0:
        return Number("finite", sign, 0 if flush else fraction, format_.lowest)
    return Number("finite", sign, fraction | (1 << format_.fraction), format_.lowest + exponent - 1)


def rounded(number: Number, format_: Format, mode: str = "rn", sticky: bool = False, flush: bool = False) -> int:
    """Bits of a number in a format. `sticky`: the true magnitude lies above m and below m + 1 (units of the last bit).

    mode: rn (ties to even), rna (ties away), rz, rm, rp. Too large becomes infinity or the largest number, as the mode
    says. `flush`: a subnormal result becomes a zero of its sign, as `.ftz` does with results.
    """
    sign = format_.sign if number.sign else 0
    if number.kind == "nan":
        return format_.nan
    if number.kind == "inf":
        return sign | (format_.top if format_.infinite else format_.nan)
    m, e = number.m, number.e
    if sticky:
        m, e = 2 * m + 1, e - 1
    if m == 0:
        return sign
    lowest = format_.lowest
    unit = max(m.bit_length() - 1 + e - format_.fraction, lowest)  # exponent of the result's last bit
    shift = unit - e
    if shift <= 0:
        kept = m << -shift
    else:
        kept, rest, half = m >> shift, m & ((1 << shift) - 1), 1 << (shift - 1)
        if mode == "rn":
            kept += rest > half or (rest == half and kept & 1)
        elif mode == "rna":
            kept += rest >= half
        elif (mode == "rm" and number.sign) or (mode == "rp" and not number.sign):
            kept += rest > 0
    pattern = ((unit - lowest) << format_.fraction) + kept  # the hidden bit counts as one exponent
    if flush and pattern < (1 << format_.fraction):
        return sign
    if pattern > format_.largest:
        outwards = mode in ("rn", "rna") or (mode == "rm" and number.sign) or (mode == "rp" and not number.sign)
        pattern = (format_.top if format_.infinite else format_.nan) if outwards else format_.largest
    return sign | pattern


# -- exact arithmetic ----------------------------------------------------------------------------------------------
def total(a: Number, b: Number, mode: str = "rn") -> Number:
    """a + b. Opposite values give +0, or -0 where the mode rounds down."""
    if a.kind == "nan" or b.kind == "nan" or (a.kind == b.kind == "inf" and a.sign != b.sign):
        return NAN
    if a.kind == "inf" or b.kind == "inf":
        return a if a.kind == "inf" else b
    e = min(a.e, b.e)
    signed = (-a.m if a.sign else a.m) * (1 << (a.e - e)) + (-b.m if b.sign else b.m) * (1 << (b.e - e))
    if signed == 0:
        sign = a.sign if a.sign == b.sign else int(mode == "rm")
        return Number("finite", sign, 0, 0)
    return Number("finite", int(signed < 0), abs(signed), e)


def product(a: Number, b: Number) -> Number:
    """a * b."""
    sign = a.sign ^ b.sign
    if a.kind == "nan" or b.kind == "nan":
        return NAN
    if a.kind == "inf" or b.kind == "inf":
        zero = (a.kind == "finite" and a.m == 0) or (b.kind == "finite" and b.m == 0)
        return NAN if zero else Number("inf", sign)
    return Number("finite", sign, a.m * b.m, a.e + b.e)


def quotient(a: Number, b: Number, format_: Format) -> tuple[Number, bool]:
    """(a / b cut off well below the last bit of the format, whether anything was cut)."""
    sign = a.sign ^ b.sign
    if a.kind == "nan" or b.kind == "nan" or (a.kind == b.kind == "inf"):
        return NAN, False
    if a.kind == "inf":
        return Number("inf", sign), False
    if b.kind == "inf":
        return Number("finite", sign), False
    if b.m == 0:
        return (NAN if a.m == 0 else Number("inf", sign)), False
    up = max(0, format_.fraction + 4 + b.m.bit_length() - a.m.bit_length())
    m, rest = divmod(a.m << up, b.m)
    return Number("finite", sign, m, a.e - b.e - up), rest != 0


def root(a: Number, format_: Format) -> tuple[Number, bool]:
    """(the square root cut off, whether anything was cut)."""
    if a.kind == "nan" or (a.sign and not (a.kind == "finite" and a.m == 0)):
        return NAN, False
    if a.kind == "inf" or a.m == 0:
        return a, False
    up = max(0, 2 * (format_.fraction + 4) - a.m.bit_length())
    up += (a.e - up) % 2
    square = a.m << up
    m = math.isqrt(square)
    return Number("finite", 0, m, (a.e - up) // 2), m * m != square


def as_float(number: Number) -> float:
    """The value as a Python float; only for formats that fit in one."""
    if number.kind == "nan":
        return math.nan
    value = math.inf if number.kind == "inf" else math.ldexp(number.m, number.e)
    return -value if number.sign else value


def of_float(value: float) -> Number:
    """The inverse of `as_float`."""
    sign = int(math.copysign(1, value) < 0)
    if math.isnan(value):
        return NAN
    if math.isinf(value):
        return Number("inf", sign)
    m, d = abs(value).as_integer_ratio()
    return Number("finite", sign, m, 1 - d.bit_length())


def less(a: Number, b: Number) -> bool:
    """a < b of numbers that are not NaN; zeros are equal."""
    return _key(a, b) < _key(b, a)


def _key(a: Number, other: Number) -> tuple[int, int]:
    """A pair that orders numbers: infinities outside, finite ones by their integer at a common exponent."""
    if a.kind == "inf":
        return (-1, 0) if a.sign else (1, 0)
    e = min(a.e, other.e) if other.kind == "finite" else a.e
    m = a.m << (a.e - e)
    return 0, -m if a.sign else m
