"""What `printf` makes of a format and its arguments: the conversions of the CUDA C++ Programming Guide, as C has them.

%[flags][width][.precision][size]type with flags `#`, space, `0`, `+`, `-`; width a number or `*`; size h, hh, l, ll;
type one of c d i o u x X p e E f F g G a A s. `%%` is a percent sign. Anything else is printed as it stands.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass

_SPEC = re.compile(r"%([-+ 0#]*)(\*|\d+)?(?:\.(\*|\d*))?(hh|h|ll|l)?([cdiouxXpeEfFgGaAs%])")
_BITS = {"hh": 8, "h": 16, "": 32, "l": 64, "ll": 64}
MOST_WIDTH = 4096  # of a field


@dataclass(frozen=True)
class Conversion:
    """One conversion. `width` and `precision` are None where they are absent and -1 where an argument gives them."""

    kind: str
    flags: str
    width: int | None
    precision: int | None
    bits: int

    @property
    def sizes(self) -> list[int]:
        """Bytes of each argument that it takes, in order."""
        stars = [4 for n in (self.width, self.precision) if n == -1]
        return [*stars, 8 if self.kind in "peEfFgGaAs" or self.bits == 64 else 4]

    @property
    def arguments(self) -> int:
        return len(self.sizes)


def conversions(text: str) -> list[str | Conversion]:
    """A format as plain pieces of text and conversions."""
    parts: list[str | Conversion] = []
    end = 0
    for m in _SPEC.finditer(text):
        parts.append(text[end : m.start()])
        end = m.end()
        flags, width, precision, size, kind = m.groups()
        if kind == "%":
            parts.append("%")
            continue
        bits = _BITS[size or ""]
        parts.append(Conversion(kind, flags, _number(width), _number(precision), bits))
    return [p for p in [*parts, text[end:]] if p != ""]


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    return -1 if text == "*" else int(text or "0")


def formatted(c: Conversion, bits: list[int], text: str | None = None) -> str:
    """One conversion of its arguments as raw bits; `text` is what a `%s` points to."""
    given = [_signed(b, 32) for b in bits[:-1]]
    flags, width, precision = c.flags, c.width, c.precision
    if width == -1:
        width = given.pop(0)
        if width < 0:
            flags, width = flags + "-", -width
    if precision == -1:
        precision = given.pop(0)
        precision = None if precision < 0 else precision
    width, precision = min(width or 0, MOST_WIDTH), None if precision is None else min(precision, MOST_WIDTH)
    value = bits[-1]
    if c.kind == "s":
        body = (text or "")[: len(text or "") if precision is None else precision]
        return _padded(body, "", flags.replace("0", ""), width)
    if c.kind == "c":
        return _padded(chr(value & 0xFF), "", flags.replace("0", ""), width)
    if c.kind == "p":
        return _padded(f"{value:#x}" if value else "(nil)", "", flags.replace("0", ""), width)
    if c.kind in "diouxX":
        sign, body = _integer(c.kind, value & ((1 << c.bits) - 1), c.bits, flags, precision)
        return _padded(body, sign, flags if precision is None else flags.replace("0", ""), width)
    sign, body = _float(c.kind, struct.unpack("<d", struct.pack("<Q", value))[0], flags, precision)
    return _padded(body, sign, flags if body[-1:].isdigit() or body[-1:] == "." else flags.replace("0", ""), width)


def _padded(body: str, sign: str, flags: str, width: int) -> str:
    if "-" in flags:
        return (sign + body).ljust(width)
    return sign + body.rjust(width - len(sign), "0") if "0" in flags else (sign + body).rjust(width)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def _sign(negative: bool, flags: str) -> str:
    return "-" if negative else "+" if "+" in flags else " " if " " in flags else ""


def _integer(kind: str, value: int, bits: int, flags: str, precision: int | None) -> tuple[str, str]:
    sign = ""
    if kind in "di":
        value = _signed(value, bits)
        sign = _sign(value < 0, flags)
    digits = format(abs(value), {"o": "o", "x": "x", "X": "X"}.get(kind, "d"))
    if precision == 0 and value == 0:
        digits = ""
    digits = digits.rjust(precision or 0, "0")
    if "#" in flags and kind == "o" and digits[:1] != "0":
        digits = "0" + digits
    if "#" in flags and kind in "xX" and value:
        sign = "0" + kind
    return sign, digits


def _float(kind: str, value: float, flags: str, precision: int | None) -> tuple[str, str]:
    sign = _sign(math.copysign(1.0, value) < 0, flags)
    upper = kind.isupper()
    if not math.isfinite(value):
        body = "nan" if math.isnan(value) else "inf"
        return sign, body.upper() if upper else body
    if kind in "aA":
        prefix, body = _hexadecimal(abs(value), flags, precision)
        return (sign + prefix).upper() if upper else sign + prefix, body.upper() if upper else body
    alternative = "#" if "#" in flags else ""
    return sign, format(abs(value), f"{alternative}.{6 if precision is None else precision}{kind}")


def _hexadecimal(value: float, flags: str, precision: int | None) -> tuple[str, str]:
    """("0x", digits and exponent) of a number that is not negative, as glibc prints it."""
    bits = struct.unpack("<Q", struct.pack("<d", value))[0]
    exponent, mantissa = bits >> 52, bits & ((1 << 52) - 1)
    lead = 1 if exponent else 0
    power = exponent - 1023 if exponent else (-1022 if mantissa else 0)
    if precision is None:
        digits = f"{mantissa:013x}".rstrip("0")
    elif precision < 13:
        unit = 1 << 4 * (13 - precision)
        whole = (lead << 52) + mantissa
        down, rest = divmod(whole, unit)
        down += rest * 2 > unit or (rest * 2 == unit and down & 1)
        lead, digits = (
            down >> 4 * precision,
            format(down & ((1 << 4 * precision) - 1), f"0{precision}x") if precision else "",
        )
    else:
        digits = f"{mantissa:013x}".ljust(precision, "0")
    point = "." if digits or "#" in flags else ""
    return "0x", f"{lead}{point}{digits}p{power:+d}"
