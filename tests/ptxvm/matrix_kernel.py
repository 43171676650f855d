"""Kernels that multiply fragments of random numbers, every element compared with the scalar reference."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.ptxvm.ptx_kernel import FILL, Program
from tests.ptxvm.scalar import matrix
from tests.ptxvm.scalar.formats import FORMATS
from tests.ptxvm.scalar.fragments import WIDTH
from tests.ptxvm.scalar.results import agrees

CTAS, THREADS, WARP = 3, 64, 32
LANES = CTAS * THREADS
GOING = (0, 3, 5)  # warps of the launch that take a branch: other ones in each block, so that their group is flat
SHAPES = ("both", "thread", "block", "uniform")  # of the registers of a fragment
OWN = "thread thread both"  # those of A, B and C where they differ: only C from block to block
RISING = (0b0100, 0b1000, 0b1001, 0b1100, 0b1101, 0b1110)  # two places of four
ANY_ORDER = (*RISING, 0b0001, 0b0010, 0b0110, 0b0011, 0b0111, 0b1011)


def number(kind: str, rng: random.Random, spread: int) -> int:
    """An element with an exponent within `spread` of 0, as far as its format goes. With much spread, now and then it is
    0 or subnormal, and seldom infinite or NaN."""
    if kind in ("s8", "u8", "s4", "u4", "b1"):
        return rng.getrandbits(WIDTH[kind])
    if kind == "tf32":  # the lower 13 bits are not looked at
        return number("f32", rng, spread) & ~0x1FFF | rng.getrandbits(13)
    f = FORMATS[kind]
    if spread > 2 and rng.random() < 0.06:
        return rng.choice((0, f.sign, 1, f.top if rng.random() < 0.02 else 0, f.nan if rng.random() < 0.02 else 0))
    least, most = max(-spread, 1 - f.bias), min(spread, f.bias)
    exponent = (f.bias + rng.randint(least, most)) << f.fraction
    return rng.getrandbits(1) << (f.bits - 1) | exponent | rng.getrandbits(f.fraction)


def registers(count: int, kind: str, rng: random.Random, spread: int = 2) -> list[list[int]]:
    """`count` registers, each with a word a lane, of packed elements."""
    width = WIDTH.get(kind, 32)
    return [
        [sum(number(kind, rng, spread) << shift for shift in range(0, max(width, 32), width)) for _ in range(LANES)]
        for _ in range(count)
    ]


def accumulators(count: int, kind: str, rng: random.Random, spread: int) -> list[list[int]]:
    if kind == "s32":  # near the limits now and then: `.satfinite` must show
        near = (0x7FFFFFF0, 0x80000010)
        return [[rng.choice((rng.getrandbits(12), *near)) for _ in range(LANES)] for _ in range(count)]
    return registers(count, kind, rng, spread)


def counts(words: Sequence[str]) -> list[int]:
    """Registers of A, B and C."""
    shape, (_, a_kind, b_kind, c_kind) = matrix.parts(words)
    m, n, k = (int(s) for s in shape.replace("m", "").replace("n", " ").replace("k", " ").split())
    if shape == "m8n8k4" and a_kind == "f16":
        return [2, 2, 4 if c_kind == "f16" else 8]
    sizes = (m * k // (2 if words[1].startswith("sp") else 1), n * k, m * n)
    bits = (max(WIDTH.get(kind, 32), 1) for kind in (a_kind, b_kind, c_kind))
    return [size // WARP * b // max(b, 32) for size, b in zip(sizes, bits, strict=True)]


def metadata(words: Sequence[str], rng: random.Random) -> list[int]:
    """A word of valid metadata for each lane."""
    a_kind = matrix.parts(words)[1][1]
    ordered = words[1] == "sp::ordered_metadata"
    fields = (0b0100, 0b1110) if a_kind == "tf32" else RISING if ordered else ANY_ORDER
    return [sum(rng.choice(fields) << shift for shift in range(0, 32, 4)) for _ in range(LANES)]


def branch(program: Program, flat: bool) -> list[int]:
    """The first lane of each warp that goes on: all, or behind a branch those of GOING."""
    warps = GOING if flat else range(LANES // WARP)
    if flat:
        goes(program)
        program.add("@!%p bra END;")
    return [WARP * warp for warp in warps]


def goes(program: Program) -> None:
    """%p: whether the lane's warp is among GOING."""
    program.load("%p", "pred", "both", program.words([int(lane // WARP in GOING) for lane in range(LANES)]))


def check_mma(
    opcodes: Sequence[str],
    seed: str,
    spread: int = 2,
    shapes: Sequence[str] = (*SHAPES, OWN),
    every: int = 1,
    how: str = "",
) -> int:
    """Run and compare each `every`-th element of every warp; how many products there were.

    how: "flat": behind a branch that some warps take; "guarded": under a predicate that is true in those
    """
    rng, program, runs = random.Random(seed), Program(CTAS, THREADS), []
    warps = branch(program, how == "flat")
    if how == "guarded":
        goes(program)
    for opcode in opcodes:
        words = tuple(opcode.split("."))
        kinds = matrix.parts(words)[1]
        sparse = words[1].startswith("sp")
        numbers = counts(words)
        wide = kinds[0] == "f64"
        kind = "b64" if wide else "b32"
        for shape in shapes:
            fragments = [registers(n, k, rng, spread) for n, k in zip(numbers[:2], kinds[1:3], strict=True)]
            fragments.append(accumulators(numbers[2], kinds[3], rng, spread))
            said = metadata(words, rng) if sparse else []
            selector = rng.randrange(selectors(words)) if sparse else 0
            names = [
                [program.load(f"%{kind}{which}{i}", kind, own, program.words(v)) for i, v in enumerate(fragment)]
                for which, own, fragment in zip("abc", three(shape), fragments, strict=True)
            ]
            size = numbers[2] * (2 if kinds[0] != "f16" and kinds[3] == "f16" else 1)
            target = [program.register(f"%{kind}d{i}", kind) for i in range(size)]
            program.add(*(f"mov.{kind} {t}, {FILL & (2 ** int(kind[1:]) - 1)};" for t in target))
            text = f"{'@%p ' if how == 'guarded' else ''}{opcode} "
            text += ", ".join(f"{{{', '.join(n)}}}" for n in (target, *names))
            if sparse:
                text += f", {program.load('%e', 'b32', three(shape)[0], program.words(said))}, {selector}"
            program.add(f"{text};")
            runs.append(
                (opcode, words, shape, fragments, said, selector, [program.store(t, int(kind[1:])) for t in target])
            )
    program.add("END:")
    results = program.launch()
    for opcode, words, shape, fragments, said, selector, slots in runs:
        d_kind = matrix.parts(words)[1][0]
        places = [program.place[own] for own in three(shape)]
        for first in warps:
            lanes = range(first, first + WARP)
            mask = (1 << (64 if d_kind == "f64" else 32)) - 1
            if how == "guarded" and first // WARP not in GOING:
                assert all(results[s][lane] & mask == FILL & mask for s in slots for lane in lanes), (
                    f"{opcode}: not kept"
                )
                continue
            given = [
                [[register[at[lane]] for register in f] for lane in lanes]
                for at, f in zip(places, fragments, strict=True)
            ]
            data = [said[places[0][lane]] for lane in lanes] if said else []
            for (lane, i), want in matrix.mma(words, *given, data, selector, every).items():
                got = matrix.values_of_c([results[slot][first + lane] & mask for slot in slots], d_kind)[i]
                where = f"{opcode}, {shape}, lane {first + lane}, element {i}"
                assert agrees(d_kind, got, want), f"{where}: {got:#x}, not {want:#x}"
    return len(runs)


def three(shape: str) -> list[str]:
    """The shapes of the registers of A, B and C."""
    words = shape.split()
    return words if len(words) == 3 else words * 3


def selectors(words: Sequence[str]) -> int:
    """How many sparsity selectors there are: a lane, a pair or all four of a group hold the metadata of 16 rows."""
    shape, kinds = matrix.parts(words)
    chunks = int(shape.partition("k")[2]) // {32: 2, 16: 4, 8: 4, 4: 8}[WIDTH[kinds[1]]]
    return 4 // (16 * chunks * 4 // 32 // 8)
