"""Counters against closed formulas: what a warp's request must count, by arithmetic and not by another program."""

from types import SimpleNamespace

import pytest

import ptxvm
from ptxvm import units
from tests.ptxvm.kernels import kernel, run

WIDE = 1 << 15  # elements of each tensor, room for every stride below


def count(body, shared="", grid=4, block=256, **more):
    report, _, _ = run(kernel(body, shared=shared), grid=grid, block=block, elements=WIDE, **more)
    assert report.ok, report.findings
    return report.counters


def load_at(index: str, width: str = "f32", registers: str = "%f1") -> str:
    """A load of x at 4 bytes times a register computed by `index` into %r1."""
    return f"{index} mul.wide.s32 %rd1, %r1, 4; add.s64 %rd2, %x, %rd1; ld.global.{width} {registers}, [%rd2];"


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16, 32])
def test_a_strided_load_touches_one_sector_more_for_each_doubling_up_to_one_a_lane(stride):
    c = count(load_at(f"mul.lo.s32 %r1, %i, {stride};"))
    warps = 4 * 8
    assert c.global_load_requests == warps
    assert c.global_load_sectors == warps * min(4 * stride, 32)
    assert c.global_load_bytes == 4 * 32 * warps
    assert c.unique_load_sectors == c.global_load_sectors, "no two warps share a sector here"


def test_a_load_shifted_by_one_element_touches_five_sectors():
    c = count(load_at("add.s32 %r1, %i, 1;"))
    assert c.global_load_sectors == 5 * c.global_load_requests


def test_sixteen_byte_loads_touch_sixteen_sectors():
    c = count(load_at("shl.b32 %r1, %i, 2;", "v4.f32", "{%f1, %f2, %f3, %f4}"))
    assert c.global_load_sectors == 16 * c.global_load_requests
    assert c.global_load_bytes == 16 * 1024


def test_a_broadcast_touches_one_sector():
    c = count(load_at("mov.u32 %r1, 5;"))
    assert c.global_load_sectors == c.global_load_requests == 32
    assert c.unique_load_sectors == 1


def test_lanes_in_reverse_order_touch_no_more_sectors():
    c = count(load_at("xor.b32 %r1, %i, 31;"))
    assert c.global_load_sectors == 4 * c.global_load_requests


@pytest.mark.parametrize("active", [1, 7, 8, 9, 31])
def test_only_active_lanes_count(active):
    body = f"and.b32 %r2, %t, 31; setp.lt.s32 %p1, %r2, {active}; @%p1 ld.global.f32 %f1, [%xi];"
    c = count(body)
    warps = 32
    assert c.global_load_requests == warps
    assert c.global_load_sectors == warps * -(-active // 8)
    assert c.global_load_bytes == warps * active * 4
    assert (c.global_lanes, c.global_lanes_off) == (warps * active, warps * (32 - active))


def test_lanes_that_a_branch_or_the_end_of_the_block_leaves_out_are_off():
    branch = "and.b32 %r2, %t, 31; setp.ge.s32 %p1, %r2, 5; @%p1 bra END; st.global.f32 [%yi], %f1; END:"
    c = count(branch)
    assert (c.global_lanes, c.global_lanes_off) == (32 * 5, 32 * 27)
    c = count("st.global.f32 [%yi], %f1;", grid=1, block=40)
    assert (c.global_lanes, c.global_lanes_off) == (40, 24)


def test_a_warp_without_an_active_lane_makes_no_request():
    c = count("setp.lt.s32 %p1, %t, 32; @%p1 st.global.f32 [%yi], %f1;")
    assert c.global_store_requests == 4, "one warp of each of four blocks"
    assert c.global_lanes_off == 0, "a warp that is off as a whole accesses nothing"


TILE = ".shared .align 16 .b8 s[65536];"


def shared_access(index: str, width: str = "f32", registers: str = "%f1", unit: int = 4) -> str:
    place = f"mov.u32 %r2, s; {index} mul.lo.s32 %r1, %r1, {unit}; add.s32 %r3, %r2, %r1;"
    return f"{place} st.shared.{width} [%r3], {registers};"


@pytest.mark.parametrize(
    ("index", "wavefronts"),
    [
        ("mov.u32 %r1, %t;", 1),
        ("shl.b32 %r1, %t, 1;", 2),
        ("shl.b32 %r1, %t, 2;", 4),
        ("shl.b32 %r1, %t, 5;", 32),
        ("mul.lo.s32 %r1, %t, 33;", 1),
        ("mul.lo.s32 %r1, %t, 3;", 1),
        ("mul.lo.s32 %r1, %t, 6;", 2),
    ],
)
def test_bank_conflicts_of_a_stride(index, wavefronts):
    """Stride s has gcd(s, 32) lanes on each bank that it uses."""
    c = count(shared_access(index), shared=TILE)
    assert c.shared_requests == 32
    assert c.shared_wavefronts == 32 * wavefronts
    assert c.shared_wavefronts_ideal == 32


@pytest.mark.parametrize(
    ("width", "registers", "lanes"), [("v2.f32", "{%f1, %f2}", 16), ("v4.f32", "{%f1, %f2, %f3, %f4}", 8)]
)
def test_wide_shared_accesses_go_by_half_and_quarter_warps(width, registers, lanes):
    unit = 4 * 32 // lanes
    c = count(shared_access("mov.u32 %r1, %t;", width, registers, unit), shared=TILE)
    assert c.shared_wavefronts == c.shared_wavefronts_ideal == 32 * (32 // lanes)


PAIRS = "shr.u32 %r1, %t, 1;"  # elements 0 0 1 1 2 2 ..
TWO_APART = "shr.u32 %r1, %t, 2; shl.b32 %r1, %r1, 1; and.b32 %r9, %t, 1; add.s32 %r1, %r1, %r9;"  # 0 1 0 1 2 3 2 3 ..
FOUR_APART = "shr.u32 %r1, %t, 3; shl.b32 %r1, %r1, 2; and.b32 %r9, %t, 3; add.s32 %r1, %r1, %r9;"


def wide_load(index: str, unit: int) -> str:
    """A load of `unit` bytes at `unit` times the index, after the whole tile was written; 4 blocks of 8 warps."""
    width, registers = {8: ("v2.f32", "{%f1, %f2}"), 16: ("v4.f32", "{%f1, %f2, %f3, %f4}")}[unit]
    fill = "mov.u32 %r2, s; shl.b32 %r1, %t, 4; add.s32 %r3, %r2, %r1; st.shared.v4.f32 [%r3], {%f1, %f2, %f3, %f4};"
    load = f"{index} mul.lo.s32 %r1, %r1, {unit}; add.s32 %r3, %r2, %r1; ld.shared.{width} {registers}, [%r3];"
    return f"{fill} bar.sync 0; {load}"


FILL = 32 * 4  # wavefronts of the store in `wide_load`: 32 warps, a quarter at a time


@pytest.mark.parametrize(
    ("index", "halves"),
    [
        ("mov.u32 %r1, %t;", 2),
        ("mov.u32 %r1, 5;", 1),
        (PAIRS, 1),
        (TWO_APART, 1),
        (FOUR_APART, 2),  # as few words as in pairs, and yet
    ],
)
@pytest.mark.parametrize("unit", [8, 16])
def test_loads_of_agreeing_lanes_go_two_groups_at_a_time(index, halves, unit):
    """8 bytes: two halves of a warp; 16 bytes: twice two quarters. No two words on one bank in any of these."""
    c = count(wide_load(index, unit), shared=TILE)
    assert c.shared_wavefronts - FILL == c.shared_wavefronts_ideal - FILL == 32 * halves * unit // 8


@pytest.mark.parametrize(
    "exception",
    [
        "setp.eq.s32 %p1, %r9, 5; @%p1 add.s32 %r1, %r1, 6;",  # lane 5 reads the first word of the other half
        "setp.ge.s32 %p1, %r9, 16; @%p1 and.b32 %r1, %t, -3;",  # pairs in the first half, two apart in the second
    ],
)
def test_one_rule_must_hold_in_the_whole_warp(exception):
    c = count(wide_load(f"{PAIRS} and.b32 %r9, %t, 31; {exception}", 8), shared=TILE)
    assert c.shared_wavefronts - FILL == 32 * 2


def test_lanes_that_are_off_agree_with_any():
    pairs = f"and.b32 %r9, %t, 3; setp.ne.s32 %p1, %r9, 3; {PAIRS}"
    c = count(wide_load(pairs, 8).replace("ld.shared", "@%p1 ld.shared"), shared=TILE)
    assert c.shared_wavefronts - FILL == c.shared_wavefronts_ideal - FILL == 32


def test_going_together_that_saves_nothing_is_no_conflict():
    """Pairs 8 bytes wide, 16 banks apart in the two halves of the warp or on the same ones: 1 pass together, or 2."""
    together = "shr.u32 %r1, %t, 1; and.b32 %r1, %r1, 15;"
    meeting = "and.b32 %r9, %t, 15; shr.u32 %r1, %r9, 1; and.b32 %r9, %t, 16; add.s32 %r1, %r1, %r9;"
    for index, passes in ((together, 1), (meeting, 2)):
        c = count(wide_load(index, 8), shared=TILE)
        assert c.shared_wavefronts - FILL == c.shared_wavefronts_ideal - FILL == 32 * passes


@pytest.mark.parametrize(
    ("width", "registers", "unit"), [("v2.f32", "{%f1, %f2}", 8), ("v4.f32", "{%f1, %f2, %f3, %f4}", 16)]
)
def test_stores_of_agreeing_lanes_go_one_group_at_a_time(width, registers, unit):
    c = count(shared_access(PAIRS, width, registers, unit), shared=TILE)
    assert c.shared_wavefronts == c.shared_wavefronts_ideal == 32 * unit // 4


def test_lanes_below_the_first_ones_address_count():
    """Lane l at word 32 * (31 - l): all on one bank, the first lane has the highest address."""
    c = count(shared_access("and.b32 %r1, %t, 31; xor.b32 %r1, %r1, 31; shl.b32 %r1, %r1, 5;"), shared=TILE)
    assert c.shared_wavefronts == 32 * 32


def test_a_shared_broadcast_is_one_wavefront():
    body = shared_access("mov.u32 %r1, %t;") + "bar.sync 0; ld.shared.f32 %f2, [%r2];"
    c = count(body, shared=TILE)
    assert c.shared_wavefronts == 32 + 32
    assert c.barriers == 32


@pytest.mark.parametrize(("modulus", "contention"), [(1, 32), (4, 8), (32, 1)])
def test_contention_of_atomics(modulus, contention):
    body = (
        f"rem.u32 %r1, %t, {modulus}; mul.wide.u32 %rd1, %r1, 4; add.s64 %rd2, %y, %rd1; red.global.add.u32 [%rd2], 1;"
    )
    c = count(body)
    assert c.atomics == 1024
    assert c.atomic_contention == contention


def add_at(index: str, space: str) -> str:
    """One is added at the word of this index, of y or of shared memory that holds zeros."""
    if space == "global":
        return f"{index} mul.wide.u32 %rd1, %r1, 4; add.s64 %rd2, %y, %rd1; red.global.add.u32 [%rd2], 1;"
    fill = "mov.u32 %r2, s; shl.b32 %r1, %t, 2; add.s32 %r3, %r2, %r1; st.shared.u32 [%r3], 0; bar.sync 0;"
    return f"{fill} {index} shl.b32 %r1, %r1, 2; add.s32 %r3, %r2, %r1; red.shared.add.u32 [%r3], 1;"


@pytest.mark.parametrize(
    ("index", "sectors", "wavefronts"),
    [
        ("and.b32 %r1, %t, 31;", 4, 1),  # neighbours: every lane on its own
        ("mov.u32 %r1, 5;", 32, 32),  # all lanes one after another
        ("and.b32 %r1, %t, 31; shr.u32 %r1, %r1, 2;", 4, 4),  # 8 words of one sector, 4 lanes at each
        (
            "and.b32 %r1, %t, 7; shl.b32 %r1, %r1, 3;",
            8 * 4,
            8,
        ),  # 8 sectors, 4 lanes at each; two words on each of 4 banks
        ("and.b32 %r1, %t, 31; min.u32 %r1, %r1, 8;", 1 + 24, 24),  # words 0 to 7 once, word 8 of the next 24 times
    ],
)
def test_atomics_that_meet_go_one_after_another(index, sectors, wavefronts):
    c = count(add_at(index, "global"))
    assert (c.atomics, c.shared_atomics) == (1024, 0)
    assert c.global_store_requests == 32
    assert c.global_store_sectors == 32 * sectors
    c = count(add_at(index, "shared"), shared=TILE)
    assert c.shared_wavefronts - 32 == 32 * wavefronts
    assert c.shared_wavefronts_ideal == 2 * 32
    assert (c.atomics, c.shared_atomics) == (1024, 1024)


def test_only_active_lanes_of_an_atomic_meet():
    body = f"and.b32 %r9, %t, 31; setp.lt.s32 %p1, %r9, 5; {add_at('mov.u32 %r1, 5;', 'global')}"
    c = count(body.replace("red.", "@%p1 red."))
    assert c.global_store_sectors == 5 * c.global_store_requests == 5 * 32


def test_divergent_branches_count_warps_that_take_both_ways():
    body = "setp.lt.s32 %p1, %t, 80; @%p1 bra SKIP; add.f32 %f1, %f1, %f1; SKIP:"
    c = count(body)
    assert c.divergent_branches == 4, "only the third warp of each block is split"
    none = count(body.replace("80", "64"))
    assert none.divergent_branches == 0


def test_a_loop_counts_its_instructions_and_operations():
    trips = 10
    step = f"fma.rn.f32 %f1, %f1, %f1, %f1; add.s32 %r1, %r1, 1; setp.lt.s32 %p1, %r1, {trips};"
    body = f"mov.u32 %r1, 0; L: {step} @%p1 bra L;"
    c = count(body)
    assert c.flops == 2 * trips * 1024
    empty = count("")
    assert c.instructions - empty.instructions == 32 * (1 + 4 * trips)
    assert c.thread_instructions == 32 * c.instructions


@pytest.mark.parametrize("schedule", [ptxvm.Schedule.normal(64), ptxvm.Schedule.normal(512), ptxvm.Schedule.fuzz(3)])
def test_counters_do_not_depend_on_the_schedule(schedule):
    body = """
    and.b32 %r9, %i, 5; setp.eq.s32 %p1, %r9, 1; @%p1 bra ODD;
    ld.global.f32 %f1, [%xi]; bra JOIN;
    ODD: ld.global.f32 %f1, [%x];
    JOIN: st.global.f32 [%yi], %f1;"""
    assert count(body, schedule=schedule) == count(body)


def test_the_lines_add_up_to_the_launch():
    text = """.version 8.7
.target sm_86
.address_size 64
.file 1 "some/kernel.cu"
.visible .entry k(.param .u64 x)
{
    .reg .b32 %t; .reg .b64 %x, %a; .reg .f32 %f;
    .loc 1 3 0
    ld.param.u64 %x, [x]; mov.u32 %t, %tid.x; mul.wide.u32 %a, %t, 4; add.s64 %x, %x, %a;
    .loc 1 4 0
    ld.global.f32 %f, [%x];
    .loc 1 5 0
    st.global.f32 [%x], %f;
    ret;
}
"""
    device = ptxvm.Device(memory_bytes=1 << 20)
    x = device.array((64,), name="x")
    report = device.launch(ptxvm.Module.from_ptx(text).kernel(), (1,), (64,), (x,))
    by_line = {line: c for (_, line), c in report.lines.items()}
    assert set(by_line) == {3, 4, 5}
    assert by_line[4].global_load_sectors == 8
    assert by_line[5].global_store_sectors == 8
    assert sum(c.instructions for c in by_line.values()) == report.counters.instructions == 2 * 7


UNITS = [
    ("fma.rn.f32 %f1, %f1, %f1, %f1;", "float", "f32", 2 * 1024),
    ("add.f64 %rd1, %rd1, %rd1;", "float", "f64", 1024),
    ("ex2.approx.f32 %f1, %f1;", "float", "special", 1024),
    ("mad.lo.s32 %r1, %r1, %r1, %r1;", "integer", "integer", 1024),
    ("setp.lt.s32 %p1, %r1, 1;", "compare", "", 0),
    ("cvt.rn.f32.s32 %f1, %r1;", "convert", "", 0),
    ("bar.sync 0;", "barrier", "", 0),
    ("st.global.f32 [%xi], %f1;", "global", "", 0),
]


@pytest.mark.parametrize(("body", "kind", "unit", "operations"), UNITS)
def test_an_instruction_counts_in_its_class_and_unit(body, kind, unit, operations):
    """1,024 threads in 32 warps run it once more than the empty kernel."""
    c, empty = count(body), count("")
    assert {key: n - empty.mix.get(key, 0) for key, n in c.mix.items() if n != empty.mix.get(key, 0)} == {kind: 32}
    more = {key: n - empty.units.get(key, 0) for key, n in c.units.items() if n != empty.units.get(key, 0)}
    assert more == ({unit: operations} if unit else {})
    assert sum(c.mix.values()) == c.instructions
    assert sum(n for key, n in c.units.items() if key != "integer") == c.flops


@pytest.mark.parametrize(
    ("opcode", "unit", "flops"),
    [
        ("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "tensor f16", 2 * 16 * 8 * 16),
        ("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "tensor tf32", 2 * 16 * 8 * 8),
        ("mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.u8.s32", "tensor s8", 2 * 16 * 8 * 32),
        ("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32", "tensor e4m3", 2 * 16 * 8 * 32),
        ("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64", "tensor f64", 2 * 8 * 8 * 4),
        ("wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32", "tensor f16", 2 * 16 * 16 * 16),
        ("wmma.mma.sync.aligned.row.col.m16n16k16.f32.bf16.bf16.f32", "tensor bf16", 2 * 16 * 16 * 16),
        ("wmma.load.a.sync.aligned.row.m16n16k16.f16", "tensor f16", 0),
        ("fma.rn.bf16x2", "bf16", 4),
        ("add.rn.f16x2", "f16", 2),
        ("rsqrt.approx.f32", "special", 1),
        ("rcp.rn.f64", "special", 1),
        ("and.b32", "integer", 0),
        ("mov.b32", "", 0),
        ("min.f32", "", 0),
    ],
)
def test_the_unit_of_an_opcode(opcode, unit, flops):
    one = SimpleNamespace(parts=tuple(opcode.split(".")))
    assert units.unit_of(one) == unit
    assert units.flops_of(one) + units.mma_flops_of(one) == flops


def test_shared_efficiency_and_unique_bytes_follow_from_the_counts():
    c = count(load_at("mul.lo.s32 %r1, %i, 8;"))
    assert c.efficiency == 4 / 32
    assert (c.unique_load_bytes, c.unique_store_bytes) == (32 * 1024, 0)
    assert count(shared_access("shl.b32 %r1, %t, 1;"), shared=TILE).shared_excess == 32
    assert count("").efficiency is None


def test_counting_can_be_left_out():
    report, _, _ = run(kernel("st.global.f32 [%yi], %f1;"), checks=ptxvm.Checks(counters=False))
    assert report.counters == ptxvm.Counters()
