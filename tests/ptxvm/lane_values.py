"""Operand values of each class: the edges of its type, numbers near them, and any bits."""

from __future__ import annotations

import itertools
import random
import struct

from tests.ptxvm.scalar.formats import FORMATS, Format

REGISTER = {
    "pred": 1, "count": 32, "angle": 32, "exponent": 32, "u8": 32, "s8": 32, "bf16": 16, "tf32": 32,
    "f16x2": 32, "bf16x2": 32, "f32x2": 64, "u16x2": 32, "s16x2": 32, "e4m3x2": 16, "e5m2x2": 16,
}  # fmt: skip
PACKED = {
    "f16x2": ("f16", 16),
    "bf16x2": ("bf16", 16),
    "f32x2": ("f32", 32),
    "u16x2": ("u16", 16),
    "s16x2": ("s16", 16),
}
COUNTS = (
    0, 1, 2, 7, 8, 15, 16, 17, 24, 31, 32, 33, 39, 48, 63, 64, 65, 96, 127, 128, 255, 256, 0x10001, 0x80000000,
    0xFFFFFFFF,
)  # fmt: skip


# Bits behind the point of a format -> how many of them the narrower formats to which it is converted cut off.
HALFWAY = {52: (29, 42, 45), 23: (13, 16, 20, 21), 10: (3, 7, 8)}


def register_bits(kind: str) -> int:
    """Bits of the register that holds an operand or result of a class; 1 for a predicate."""
    return REGISTER.get(kind) or int(kind[1:])


def draw(kind: str, count: int, seed: str) -> list[int]:
    """`count` patterns of a class; the same for the same seed."""
    rng = random.Random(seed)
    values = [_one(kind, rng) for _ in range(count)]
    edges = _edges(kind)
    rng.shuffle(edges)
    for place, edge in zip(rng.sample(range(count), min(count // 2, len(edges))), edges, strict=False):
        values[place] = edge
    return values


def pairs(kind: str) -> list[tuple[int, int]]:
    """Operands that matter only together: zeros of both signs, NaN on either side, equal ones, opposite ones."""
    if kind in PACKED:
        element, bits = PACKED[kind]
        single = pairs(element)
        return [(a | b << bits, c | d << bits) for (a, c), (b, d) in itertools.pairwise(single)]
    if kind not in FORMATS:
        return []
    f = FORMATS[kind]
    one, zero = f.bias << f.fraction, f.sign
    return [
        (0, zero), (zero, 0), (zero, zero), (0, 0), (f.nan, one), (one, f.nan), (f.nan, f.nan), (f.top, f.top | f.sign),
        (f.top, 0), (one + 1, one + 1 | f.sign), (one + 3, one + 3), (1, f.sign | 1),
    ]  # fmt: skip


def _edges(kind: str) -> list[int]:
    if kind == "pred":
        return [0, 1]
    if kind == "count":
        return list(COUNTS)
    if kind in FORMATS:
        return _float_edges(FORMATS[kind])
    if kind in ("angle", "exponent"):
        return _float_edges(FORMATS["f32"])
    if kind in PACKED:
        element, bits = PACKED[kind]
        single = _edges(element)
        return [a | b << bits for a, b in zip(single, single[3:] + single[:3], strict=True)]
    bits = register_bits(kind)
    top, half = 1 << (bits - 1), 1 << bits // 2
    return [0, 1, 2, 3, top - 1, top, top + 1, 2 * top - 1, 2 * top - 2, 0x7F, 0x80, 0xFF, half - 1, half]


def _float_edges(f: Format) -> list[int]:
    one, ulp = f.bias << f.fraction, 1
    smallest = 1 << f.fraction
    positive = [
        0, 1, 2, smallest - 1, smallest, smallest + 1, one, one + ulp, one - ulp, one + smallest, one - smallest,
        f.largest, f.largest - 1, one + (smallest >> 1), one + smallest + (smallest >> 2),
    ]  # fmt: skip
    if f.infinite:
        positive += [f.top, f.nan, f.top + 1]
    else:
        positive += [f.nan]
    return [*positive, *(p | f.sign for p in positive)]


def _one(kind: str, rng: random.Random) -> int:
    if kind == "pred":
        return rng.getrandbits(1)
    if kind == "count":
        return rng.choice(COUNTS) if rng.random() < 0.3 else rng.randrange(0, 72)
    if kind == "angle":
        return _bits(rng.uniform(-7, 7) if rng.random() < 0.6 else rng.uniform(-300, 300))
    if kind == "exponent":
        return _bits(rng.uniform(-4, 4) if rng.random() < 0.6 else rng.uniform(-160, 135))
    if kind in FORMATS:
        return _float(FORMATS[kind], rng)
    if kind in PACKED:
        element, bits = PACKED[kind]
        return _one(element, rng) | _one(element, rng) << bits
    bits = register_bits(kind)
    if rng.random() < 0.3:  # small numbers of either sign, so that operands are often equal
        return rng.randrange(-9, 10) & ((1 << bits) - 1)
    return rng.getrandbits(bits) >> (rng.randrange(bits) if rng.random() < 0.3 else 0)


def _bits(value: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def _float(f: Format, rng: random.Random) -> int:
    choice = rng.random()
    if choice < 0.35:
        return rng.getrandbits(f.bits)
    sign = rng.getrandbits(1) * f.sign
    one = f.bias << f.fraction
    if choice < 0.75:  # near 1, so that sums cancel and quotients round
        return sign | (one + (rng.randrange(-3, 4) << f.fraction) + rng.getrandbits(f.fraction))
    if choice < 0.8:  # just between two numbers of a narrower format
        low = rng.choice(HALFWAY.get(f.fraction, (1,)))
        fraction = rng.getrandbits(f.fraction - low) << low | 1 << low - 1
        return sign | (one + (rng.randrange(-3, 4) << f.fraction) + fraction)
    if choice < 0.9:  # few bits: ties, small integers
        few = rng.getrandbits(3) << max(f.fraction - 3, 0)
        return sign | (one + (rng.randrange(-2, 12) << f.fraction) + few) & (f.top - 1)
    return sign | rng.getrandbits(f.fraction)
