"""Do `mma`, `ldmatrix` and `stmatrix` hold each element where the ISA's tables say, and add up the right products?"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tests.ptxvm.lane_forms import each
from tests.ptxvm.ptx_kernel import Program
from tests.ptxvm.scalar import matrix
from tests.ptxvm.scalar.formats import FORMATS
from tests.ptxvm.scalar.results import agrees

CTAS, THREADS, WARP = 3, 64, 32
LANES = CTAS * THREADS
MMA = [
    *each("mma.sync.aligned.m16n8k8.row.col.{f32.f16.f16.f32 f16.f16.f16.f16 f32.bf16.bf16.f32 f32.tf32.tf32.f32}"),
    *each("mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32"),
    *each("mma.sync.aligned.m16n8k16.row.col.{f32.f16.f16.f32 f16.f16.f16.f16 f32.bf16.bf16.f32}"),
    *each("mma.sync.aligned.m16n8{k16 k32}.row.col{- .satfinite}.s32{.s8.s8 .u8.u8 .s8.u8 .u8.s8}.s32"),
    *each("mma.sync.aligned.m16n8k32.row.col.{f32 f16}{.e4m3.e4m3 .e5m2.e5m2 .e4m3.e5m2 .e5m2.e4m3}.{f32 f16}"),
    *each("mma.sync.aligned.m16n8k16.row.col.f32{.e4m3.e4m3 .e5m2.e5m2}.f32"),
    "mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e4m3.e5m2.f32",
]
MMA = [o for o in MMA if o.split(".")[-1] == o.split(".")[-4]]  # the accumulator has one type
LOADS = list(each("ldmatrix.sync.aligned.m8n8.{x1 x2 x4}{- .trans}.{shared shared::cta}.b16"))
STORES = list(each("stmatrix.sync.aligned.m8n8.{x1 x2 x4}{- .trans}.shared.b16"))
GOING = (0, 3, 5)  # warps of the launch that take a branch: other ones in each block, so that their group is flat
SHAPES = ("both", "thread", "block", "uniform")  # of the registers of a fragment


def number(kind: str, rng: random.Random, spread: int) -> int:
    """An element with an exponent within `spread` of 0, as far as its format goes. With much spread, now and then it is
    0 or subnormal, and seldom infinite or NaN."""
    if kind in ("s8", "u8"):
        return rng.getrandbits(8)
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
    width = matrix.WIDTH.get(kind, 32)
    return [
        [sum(number(kind, rng, spread) << (width * j) for j in range(32 // width)) for _ in range(LANES)]
        for _ in range(count)
    ]


def check_mma(opcodes: Sequence[str], seed: str, spread: int = 2) -> int:
    """Run and compare every element of every warp; how many products there were."""
    rng, program, runs = random.Random(seed), Program(CTAS, THREADS), []
    for opcode in opcodes:
        words = tuple(opcode.split("."))
        k = int(next(w for w in words if w.startswith("m16")).partition("k")[2])
        _, a_kind, b_kind, c_kind = words[-4:]
        per = 32 // matrix.WIDTH[a_kind]
        fragments = [
            registers(16 * k // WARP // per, a_kind, rng, spread),
            registers(8 * k // WARP // per, b_kind, rng, spread),
            _accumulators(c_kind, rng, spread),
        ]
        for shape in SHAPES:
            names = [
                [program.load(f"%{which}{i}", "b32", shape, program.words(v)) for i, v in enumerate(fragment)]
                for which, fragment in zip("abc", fragments, strict=True)
            ]
            target = [program.register(f"%d{i}", "b32") for i in range(len(names[2]))]
            program.add(f"{opcode} " + ", ".join(f"{{{', '.join(n)}}}" for n in (target, *names)) + ";")
            runs.append((opcode, words, shape, fragments, [program.store(t, 32) for t in target]))
    results = program.launch()
    for opcode, words, shape, fragments, slots in runs:
        places = program.place[shape]
        for first in range(0, LANES, WARP):
            lanes = range(first, first + WARP)
            given = [[[register[places[lane]] for register in f] for lane in lanes] for f in fragments]
            for i, want in enumerate(matrix.mma(words, *given)):
                got = [results[slot][first + i] & 0xFFFFFFFF for slot in slots]
                values = got if words[-1] != "f16" else [(g >> s) & 0xFFFF for g in got for s in (0, 16)]
                for j in range(4):
                    where = f"{opcode}, {shape}, lane {first + i}, element {j}"
                    assert agrees(words[-4], values[j], want[j]), f"{where}: {values[j]:#x}, not {want[j]}"
    return len(runs)


def _accumulators(kind: str, rng: random.Random, spread: int) -> list[list[int]]:
    if kind == "s32":  # near the limits now and then: `.satfinite` must show
        return [[rng.choice((rng.getrandbits(12), 0x7FFFFFF0, 0x80000010)) for _ in range(LANES)] for _ in range(4)]
    return registers(2 if kind == "f16" else 4, kind, rng, spread)


def branch(program: Program, flat: bool) -> list[int]:
    """The first lane of each warp that goes on: all, or behind a branch those of GOING."""
    warps = GOING if flat else range(LANES // WARP)
    if flat:
        program.load("%p", "pred", "both", program.words([int(lane // WARP in GOING) for lane in range(LANES)]))
        program.add("@!%p bra END;")
    return [WARP * warp for warp in warps]


def check_ldmatrix(opcodes: Sequence[str], seed: str, flat: bool = False) -> int:
    """Matrices from a tile of random bytes, at row addresses that differ from lane to lane, in 32 and 64 bits."""
    rng, runs = random.Random(seed), []
    size = 16 * THREADS
    program = Program(CTAS, THREADS, f".shared .align 16 .b8 tile[{size}];\n")
    content = [rng.getrandbits(64) for _ in range(2 * LANES)]
    for name, kind in (("%at", "b32"), ("%row", "b32"), ("%row64", "b64"), ("%tile64", "b64")):
        program.register(name, kind)
    program.add("mov.u32 %at, tile;", "mov.u64 %tile64, tile;", "mad.lo.u32 %row, %thread, 16, %at;")
    for i in (0, 1):
        program.load("%word64", "b64", "both", program.words(content[i::2]))
        program.add(f"st.shared.b64 [%row+{8 * i}], %word64;")
    program.add("bar.sync 0;")
    tiles = [
        b"".join(w.to_bytes(8, "little") for w in content[2 * c * THREADS : 2 * (c + 1) * THREADS]) for c in range(CTAS)
    ]
    going = branch(program, flat)
    for opcode in opcodes:
        count = int(opcode.partition(".x")[2][0])
        for shape in ("both", "thread"):
            rows = [16 * rng.randrange(size // 16) for _ in range(LANES)]
            wide = rng.random() < 0.5
            kind, base, address = ("b64", "%tile64", "%row64") if wide else ("b32", "%at", "%row")
            offset = program.load(f"%off{kind}", kind, shape, program.words(rows))
            program.add(f"add.u{kind[1:]} {address}, {offset}, {base};")
            target = [program.register(f"%d{i}", "b32") for i in range(count)]
            program.add(f"{opcode} {{{', '.join(target)}}}, [{address}];")
            runs.append((opcode, count, shape, rows, [program.store(t, 32) for t in target]))
    program.add("END:")
    results = program.launch()
    for opcode, count, shape, rows, slots in runs:
        for first in going:
            tile = tiles[first // THREADS]
            at = [rows[program.place[shape][first + i]] for i in range(8 * count)]
            want = matrix.ldmatrix([tile[p : p + 16] for p in at], count, "trans" in opcode)
            for i in range(WARP):
                got = [results[slot][first + i] & 0xFFFFFFFF for slot in slots]
                assert got == want[i], f"{opcode}, {shape}, lane {first + i}: {got}, not {want[i]}"
    return len(runs)


def check_stmatrix(opcodes: Sequence[str], seed: str, flat: bool = False) -> int:
    """What `stmatrix` stores, `ldmatrix` of the same rows must find again: by its reference, from the bytes stored."""
    rng, runs = random.Random(seed), []
    program = Program(CTAS, THREADS, f".shared .align 16 .b8 tile[{16 * THREADS}];\n")
    for name, kind in (("%at", "b32"), ("%row", "b32"), ("%back0", "b64"), ("%back1", "b64"), ("%zero", "b64")):
        program.register(name, kind)
    program.add("mov.u32 %at, tile;", "mov.b64 %zero, 0;")
    going = branch(program, flat)
    for opcode in opcodes:
        count = int(opcode.partition(".x")[2][0])
        for shape in SHAPES:
            order = [16 * (w * WARP + i) for w in range(THREADS // WARP) for i in rng.sample(range(WARP), WARP)]
            offset = program.load("%off", "b32", "thread", program.words(order + [0] * (LANES - THREADS)))
            program.add(f"add.u32 %row, {offset}, %at;")
            program.add("st.shared.b64 [%row], %zero;", "st.shared.b64 [%row+8], %zero;")
            values = registers(count, "s8", rng)
            names = [program.load(f"%a{i}", "b32", shape, program.words(v)) for i, v in enumerate(values)]
            program.add("bar.warp.sync 0xffffffff;", f"{opcode} [%row], {{{', '.join(names)}}};")
            program.add("bar.warp.sync 0xffffffff;", "ld.shared.b64 %back0, [%row];", "ld.shared.b64 %back1, [%row+8];")
            runs.append((opcode, count, shape, values, [program.store(f"%back{i}", 64) for i in (0, 1)]))
    program.add("END:")
    results = program.launch()
    for opcode, count, shape, values, slots in runs:
        for first in going:
            rows = [b"".join(results[slot][first + i].to_bytes(8, "little") for slot in slots) for i in range(WARP)]
            assert rows[8 * count :] == [bytes(16)] * (WARP - 8 * count), f"{opcode} stores more than its rows"
            found = matrix.ldmatrix(rows, count, "trans" in opcode)
            want = [[v[program.place[shape][first + i]] for v in values] for i in range(WARP)]
            assert found == want, f"{opcode}, {shape}, warp {first // WARP}"
    return len(runs)


@pytest.mark.parametrize("spread", [2, 58])
@pytest.mark.parametrize("part", range(2))
def test_products(part: int, spread: int) -> None:
    """Products of like size, and of so unlike ones that float32 does not hold their scales."""
    assert check_mma(MMA[part::2], f"mma {part}", spread) == len(SHAPES) * len(MMA[part::2])


@pytest.mark.parametrize("flat", [False, True])
def test_loads_of_matrices(flat: bool) -> None:
    assert check_ldmatrix(LOADS, "ldmatrix", flat) == 2 * len(LOADS)


@pytest.mark.parametrize("flat", [False, True])
def test_stores_of_matrices(flat: bool) -> None:
    assert check_stmatrix(STORES, "stmatrix", flat) == len(SHAPES) * len(STORES)


def test_a_warp_behind_a_branch() -> None:
    """Whole warps in a flat group: the warps of each block that go on differ."""
    rng, program = random.Random("branch"), Program(CTAS, THREADS)
    opcode = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"
    fragments = [registers(4, "f16", rng), registers(2, "f16", rng), registers(4, "f32", rng)]
    for which, fragment in zip("abc", fragments, strict=True):
        for i, values in enumerate(fragment):
            program.load(f"%{which}{i}", "b32", "both", program.words(values))
    names = {w: ", ".join(f"%{w}{i}" for i in range(n)) for w, n in (("a", 4), ("b", 2), ("c", 4), ("d", 4))}
    for i in range(4):
        program.register(f"%d{i}", "b32")
    going = branch(program, True)
    program.add(f"{opcode} {{{names['d']}}}, {{{names['a']}}}, {{{names['b']}}}, {{{names['c']}}};")
    slots = [program.store(f"%d{i}", 32) for i in range(4)]
    program.add("END:")
    results = program.launch()
    for first in going:
        given = [[[r[first + i] for r in f] for i in range(WARP)] for f in fragments]
        for i, want in enumerate(matrix.mma(tuple(opcode.split(".")), *given)):
            for slot, wanted in zip(slots, want, strict=True):
                assert agrees("f32", results[slot][first + i] & 0xFFFFFFFF, wanted)
