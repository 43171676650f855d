"""Do `mma`, `ldmatrix` and their kin hold each element where the ISA's tables say, and add up the right products?"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

import ptxvm
from tests.ptxvm.lane_forms import each
from tests.ptxvm.matrix_kernel import CTAS, LANES, SHAPES, THREADS, WARP, branch, check_mma, registers
from tests.ptxvm.ptx_kernel import Program
from tests.ptxvm.scalar import matrix

MMA = [
    *each("mma.sync.aligned.m16n8k8.row.col.{f32.f16.f16.f32 f16.f16.f16.f16 f32.bf16.bf16.f32 f32.tf32.tf32.f32}"),
    *each("mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32"),
    *each("mma.sync.aligned.m16n8k16.row.col.{f32.f16.f16.f32 f16.f16.f16.f16 f32.bf16.bf16.f32}"),
    *each("mma.sync.aligned.m16n8{k16 k32}.row.col{- .satfinite}.s32{.s8.s8 .u8.u8 .s8.u8 .u8.s8}.s32"),
    *each("mma.sync.aligned.m16n8{k16 k32}.row.col.{f32 f16}{.e4m3.e4m3 .e5m2.e5m2 .e4m3.e5m2 .e5m2.e4m3}.{f32 f16}"),
    *each("mma.sync.aligned.m16n8{k16 k32}.row.col.kind::f8f6f4.{f32 f16}.{e4m3 e5m2}.{e4m3 e5m2}.{f32 f16}"),
]
MMA = [o for o in MMA if o.split(".")[-1] == o.split(".")[-4]]  # the accumulator has one type
REST = [
    *each("mma.sync.aligned.m8n8k4{.row .col}{.row .col}{.f16.f16.f16.f16 .f32.f16.f16.f16 .f32.f16.f16.f32}"),
    *each("mma.sync.aligned.{m8n8k4 m16n8k4 m16n8k8 m16n8k16}.row.col.f64.f64.f64.f64"),
    *each("mma.sync.aligned.m8n8k16.row.col{- .satfinite}.s32{.s8 .u8}{.s8 .u8}.s32"),
    *each("mma.sync.aligned.{m8n8k32 m16n8k32 m16n8k64}.row.col{- .satfinite}.s32{.s4 .u4}{.s4 .u4}.s32"),
    *each("mma.sync.aligned.{m8n8k128 m16n8k128 m16n8k256}.row.col.s32.b1.b1.s32{.xor .and}.popc"),
]
SPACES = "{- .shared .shared::cta}"
LOADS = list(each("ldmatrix.sync.aligned.m8n8.{x1 x2 x4}{- .trans}" + SPACES + ".b16"))
STORES = list(each("stmatrix.sync.aligned.m8n8.{x1 x2 x4}{- .trans}" + SPACES + ".b16"))
MOVE = "movmatrix.sync.aligned.m8n8.trans.b16"


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
            generic = "shared" not in opcode
            wide = generic or rng.random() < 0.5
            kind, base, address = ("b64", "%tile64", "%row64") if wide else ("b32", "%at", "%row")
            offset = program.load(f"%off{kind}", kind, shape, program.words(rows))
            program.add(f"add.u{kind[1:]} {address}, {offset}, {base};")
            if generic:
                program.add(f"cvta.shared.u64 {address}, {address};")
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
    for name, kind in (
        ("%at", "b32"),
        ("%row", "b32"),
        ("%row64", "b64"),
        ("%back0", "b64"),
        ("%back1", "b64"),
        ("%zero", "b64"),
    ):
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
            address = "%row" if "shared" in opcode else "%row64"
            program.add("cvt.u64.u32 %row64, %row;", "cvta.shared.u64 %row64, %row64;")
            program.add("bar.warp.sync 0xffffffff;", f"{opcode} [{address}], {{{', '.join(names)}}};")
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


@pytest.mark.parametrize(
    ("part", "spread"),
    [(0, 2), (1, 58), pytest.param(0, 58, marks=pytest.mark.slow), pytest.param(1, 2, marks=pytest.mark.slow)],
)
def test_products(part: int, spread: int) -> None:
    """Products of like size, and of so unlike ones that float32 does not hold their scales."""
    forms = MMA[part::2]
    assert check_mma(forms, f"mma {part}", spread, every=5) == (len(SHAPES) + 1) * len(forms)


@pytest.mark.parametrize("part", range(4))
def test_products_of_the_other_shapes(part: int) -> None:
    forms = REST[part::4]
    assert check_mma(forms, f"rest {part}", 20, (SHAPES[part], "both"), every=3) == 2 * len(forms)


@pytest.mark.parametrize("how", ["flat", "guarded"])
def test_some_warps(how: str) -> None:
    """Whole warps in a flat group, as the warps of each block that go on differ; and under a predicate."""
    forms = [MMA[0], *REST[::7]]
    assert check_mma(forms, how, 2, ("both",), every=3, how=how) == len(forms)


@pytest.mark.parametrize("flat", [False, True])
def test_loads_of_matrices(flat: bool) -> None:
    assert check_ldmatrix(LOADS, "ldmatrix", flat) == 2 * len(LOADS)


@pytest.mark.parametrize("flat", [False, True])
def test_stores_of_matrices(flat: bool) -> None:
    assert check_stmatrix(STORES, "stmatrix", flat) == len(SHAPES) * len(STORES)


def check_movmatrix() -> None:
    rng, program, runs = random.Random("movmatrix"), Program(CTAS, THREADS), []
    for shape in SHAPES:
        (values,) = registers(1, "s8", rng)
        name = program.load("%a", "b32", shape, program.words(values))
        program.add(f"{MOVE} {program.register('%d', 'b32')}, {name};")
        runs.append((shape, values, program.store("%d", 32)))
    results = program.launch()
    for shape, values, slot in runs:
        for first in range(0, LANES, WARP):
            want = matrix.movmatrix([values[place] for place in program.place[shape][first : first + WARP]])
            assert [g & 0xFFFFFFFF for g in results[slot][first : first + WARP]] == want, f"{shape}, lane {first}"


def test_matrices_turned_over() -> None:
    check_movmatrix()


PARTLY = [
    "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%c0, %c1, %c2, %c3}, {%r0, %r1}, {%r2}, {%c0, %c1, %c2, %c3};",
    f"{MOVE} %r0, %r1;",
    "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [tile];",
    "stmatrix.sync.aligned.m8n8.x1.shared.b16 [tile], {%r0};",
    "wmma.load.a.sync.aligned.row.m8n8k32.shared.s4 {%r0}, [tile];",
]


@pytest.mark.parametrize("statement", PARTLY, ids=[p.split(".")[0] for p in PARTLY])
def test_half_a_warp_is_a_fault(statement: str) -> None:
    """Whether the other lanes are behind a branch or their predicate is false."""
    registers_ = ".reg .b32 %r<4>, %t; .reg .f32 %c<4>; .reg .pred %p;"
    for how in (f"@%p bra END;\n{statement}\nEND:", f"@!%p {statement}"):
        text = f""".version 9.0
.target sm_90
.address_size 64
.visible .entry k()
{{ {registers_} .shared .align 128 .b8 tile[256];
mov.u32 %t, %tid.x;
setp.gt.u32 %p, %t, 40;
{how}
ret; }}
"""
        with pytest.raises(ptxvm.Fault) as caught:
            ptxvm.Device("sm_90", memory_bytes=1 << 16).launch(ptxvm.Module.from_ptx(text).kernel(), (2,), (64,), ())
        assert caught.value.finding.kind == "inactive lane"
        assert caught.value.finding.thread == (32, 0, 0)
