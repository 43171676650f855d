"""Results that are not one bit pattern, and whether an observed pattern agrees with what is wanted."""

from __future__ import annotations

from dataclasses import dataclass

from tests.ptxvm.scalar.formats import FORMATS, Format, as_float, decode

PACKED = {
    "f16x2": ("f16", 16),
    "bf16x2": ("bf16", 16),
    "f32x2": ("f32", 32),
    "e4m3x2": ("e4m3", 8),
    "e5m2x2": ("e5m2", 8),
}


@dataclass(frozen=True)
class Anything:
    """The ISA does not say: division by zero, approximations out of their range."""


@dataclass(frozen=True)
class OneOf:
    """One of several patterns: zeros whose sign the ISA leaves open."""

    patterns: tuple[int, ...]


@dataclass(frozen=True)
class Between:
    """A number of a format in [low, high]: an approximation with the error that the ISA allows.

    `flushed`: a subnormal number may come as zero. `zeros`: bits of the pattern that must be 0.
    """

    low: float
    high: float
    flushed: bool = False
    zeros: int = 0


@dataclass(frozen=True)
class Parts:
    """The elements of a packed register, lowest first."""

    elements: tuple[Result, ...]


Result = int | Anything | OneOf | Between | Parts


def agrees(kind: str, got: int, want: Result) -> bool:
    """Whether the bits `got` of a register of the type `kind` are what is wanted. All NaN of a format are equal."""
    if isinstance(want, int) and got == want:
        return True
    if kind in PACKED:
        element, width = PACKED[kind]
        mask = (1 << width) - 1
        count = 2
        wanted = want.elements if isinstance(want, Parts) else [_part(want, i * width, mask) for i in range(count)]
        return all(agrees(element, (got >> (i * width)) & mask, wanted[i]) for i in range(count))
    kind = "f32" if kind == "tf32" else kind
    if isinstance(want, Anything):
        return True
    if isinstance(want, OneOf):
        return got in want.patterns
    if isinstance(want, Between):
        return _between(FORMATS[kind], got, want)
    assert isinstance(want, int)
    if kind in FORMATS and decode(want, FORMATS[kind]).kind == "nan":
        return decode(got, FORMATS[kind]).kind == "nan"
    return got == want


def _part(want: Result, shift: int, mask: int) -> Result:
    return (want >> shift) & mask if isinstance(want, int) else want


def _between(format_: Format, got: int, want: Between) -> bool:
    number = decode(got, format_)
    if number.kind == "nan" or got & want.zeros:
        return False
    value = as_float(number)
    if want.low <= value <= want.high:
        return True
    return want.flushed and value == 0 and min(abs(want.low), abs(want.high)) < format_.smallest_normal
