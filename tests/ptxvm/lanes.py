"""One or a few PTX instructions on arrays of lanes, run through the real emitters; and exact references."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np

from ptxvm import numerics
from ptxvm.codegen import convert, floating, integer  # noqa: F401  register their emitters
from ptxvm.codegen.emitter import EMITTERS, BlockWriter
from ptxvm.types import DTYPES, Instruction, Not, Register

RNG = np.random.default_rng(20240607)
_SILENT = SimpleNamespace(divisor=lambda *_: None)  # a machine that takes no notes


# -- harness -------------------------------------------------------------------------------------------------------
class Lines:
    """A sequence of instructions on registers, run as one block."""

    def __init__(self) -> None:
        self.dtypes: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self.code: list[Instruction] = []

    def register(self, kind: str, values: Any = None, canonical: str | None = None) -> Register:
        name = f"%{kind}_{len(self.dtypes)}"
        self.dtypes[name] = canonical or kind
        if values is not None:
            array = np.atleast_2d(np.asarray(values))
            self.values[name] = array.astype(DTYPES[kind]).view(DTYPES[canonical or kind])
        return Register(name)

    def add(self, opcode: str, *operands: Any, guard: Register | Not | None = None) -> None:
        parts = tuple(opcode.split("."))
        self.code.append(Instruction(len(self.code), parts, tuple(operands), guard, 1, None))

    def run(self, runtime: Any = None) -> Callable[[Register], Any]:
        w = BlockWriter(self.dtypes)
        for ins in self.code:
            w.instruction = ins
            EMITTERS[ins.parts[0]](w, ins)
        space = {"np": np, "nm": numerics, "rt": runtime or _SILENT, "g": None, **w.constants}
        space |= {f"s{ins.index}": ins for ins in self.code}
        for name, local in w.loaded.items():
            if name in self.values:
                space[local] = self.values[name]
        with np.errstate(all="ignore"):
            exec("\n".join(w.lines), space)
        for name in w.written:
            assert space[w.loaded[name]].dtype == DTYPES[self.dtypes[name]], name
            assert space[w.loaded[name]].ndim == 2, name
        return lambda register: space[w.loaded[register.name]]


def run(opcode: str, result: str, *inputs: Any) -> Any:
    """One instruction. An input is (type, values) or an operand. The result as a flat array."""
    block = Lines()
    target = block.register(result)
    block.add(opcode, target, *(block.register(*i) if isinstance(i, tuple) else i for i in inputs))
    return block.run()(target).ravel()


def integers(kind: str, n: int = 200) -> Any:
    """Random integers of a type, its edges among them; a square of edge pairs needs two permutations."""
    limits = np.iinfo(DTYPES[kind])
    edges = [limits.min, limits.max, 0, 1, limits.max - 1, limits.min + 1, 2, 3, 31, 32, 33, 0x80, 0x7FFF]
    edges = [e for e in edges if limits.min <= e <= limits.max]
    words = RNG.integers(limits.min, limits.max, n, DTYPES[kind], endpoint=True)
    small = RNG.integers(0, 40, n).astype(DTYPES[kind])
    return RNG.permutation(np.concatenate([np.array(edges * 6, DTYPES[kind]), words, small]))


def wrap(value: int, kind: str) -> int:
    """An integer modulo the width of a type, in its range."""
    width = 8 * DTYPES[kind].itemsize
    value &= (1 << width) - 1
    return value - (1 << width) if kind[0] == "s" and value >> (width - 1) else value


def expect(got: Any, want: list[int], *inputs: Any) -> None:
    """Equality lane by lane; the message shows the first wrong lane."""
    assert got.size == len(want) > 0
    for i, (x, y) in enumerate(zip(got.tolist(), want, strict=True)):
        assert x == y, f"lane {i}: {x} instead of {y} for {[values[i] for values in inputs]}"


# -- exact rounding --------------------------------------------------------------------------------------------------
# Format -> (bits of the significand, smallest and largest exponent of a normal number).
FORMATS = {
    "f64": (53, -1022, 1023),
    "f32": (24, -126, 127),
    "f16": (11, -14, 15),
    "bf16": (8, -126, 127),
    "tf32": (11, -126, 127),
}
MODES = ("rn", "rz", "rm", "rp")


def rounded(x: Fraction, kind: str, mode: str = "rn", zero: float = 1.0) -> float:
    """A rational rounded once to a format. An exact zero has the sign of `zero`."""
    if x == 0:
        return math.copysign(0.0, zero)
    precision, lowest, highest = FORMATS[kind]
    size = abs(x)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= Fraction(2) ** exponent > size
    unit = Fraction(2) ** (max(exponent, lowest) - precision + 1)
    down, rest = divmod(size / unit, 1)
    half = Fraction(1, 2)
    up = {
        "rn": rest > half or (rest == half and down % 2 == 1),
        "rna": rest >= half,
        "rz": False,
        "rm": rest > 0 and x < 0,
        "rp": rest > 0 and x > 0,
    }[mode]
    result = (down + up) * unit
    largest = (2 - Fraction(2) ** (1 - precision)) * Fraction(2) ** highest
    if result > largest:
        infinite = mode in ("rn", "rna") or (mode == "rm" and x < 0) or (mode == "rp" and x > 0)
        result_float = math.inf if infinite else float(largest)
    else:
        result_float = float(result)
    return -result_float if x < 0 else result_float


def same(got: float, want: float) -> bool:
    """Equal with the sign of zero; NaN equals NaN."""
    return (math.isnan(got) and math.isnan(want)) or (got == want and math.copysign(1, got) == math.copysign(1, want))


def expect_floats(got: Any, want: list[float], *inputs: Any) -> None:
    """`same` lane by lane."""
    assert got.size == len(want) > 0
    for i, (x, y) in enumerate(zip(got.tolist(), want, strict=True)):
        given = [float(values[i]).hex() for values in inputs]
        assert same(x, y), f"lane {i}: {x.hex()} instead of {float(y).hex()} for {given}"


def floats(kind: str, n: int = 250) -> Any:
    """Values of f16, f32 or f64: any bits, numbers near 1, subnormals, zeros, infinities, NaN. Shuffled."""
    dtype = DTYPES[kind]
    info = np.finfo(dtype)
    word = f"u{dtype.itemsize}"
    any_bits = RNG.integers(0, np.iinfo(word).max, n, word, endpoint=True).view(dtype)
    near = RNG.standard_normal(n).astype(dtype)
    small = RNG.integers(0, 1 << info.nmant, n // 4, word).view(dtype)
    edges = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        np.inf,
        -np.inf,
        np.nan,
        info.max,
        info.min,
        info.tiny,
        -info.tiny,
        info.smallest_subnormal,
        0.5,
        2.5,
        1 + info.eps,
    ]
    with np.errstate(all="ignore"):
        return RNG.permutation(np.concatenate([any_bits, near, small, -small, np.array(edges * 3, dtype)]))


def hidden_ties(kind: str, n: int = 200) -> tuple[Any, Any, Any]:
    """a, b, c such that a * b + c lies just beside the middle between two numbers: rounding twice gets it wrong."""
    dtype = DTYPES[kind]
    info = np.finfo(dtype)
    bits = info.nmant
    c = 1 + RNG.integers(0, 1 << bits, n).astype(np.float64) * 2.0**-bits
    exponent = RNG.integers(-5, 6, n)
    lowest = int(info.minexp)
    exponent[: n // 3] = lowest - RNG.integers(0, bits, n // 3)  # subnormal c
    unit = np.maximum(exponent, lowest) - bits  # exponent of the distance between neighbours
    c = (np.rint(np.ldexp(c, exponent - unit)) * np.ldexp(1.0, unit)).astype(dtype)
    small = RNG.integers(1, 5, n) * 2.0**-bits
    first = (unit - 1) // 2
    a = np.ldexp(1 + small, first).astype(dtype)
    b = np.ldexp(1 - small, unit - 1 - first).astype(dtype)
    sign = RNG.choice([-1, 1], n).astype(dtype)
    return a * sign, b, c * RNG.choice([-1, 1], n).astype(dtype)
