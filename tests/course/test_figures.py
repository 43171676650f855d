"""The figures of `checks`: what each measures, from counts that are known and from kernels that are compiled here."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import ptxvm
from warpbench.course import compiled, figures
from warpbench.course.figures import Run, parse

COUNTS = ptxvm.Counters(
    global_load_requests=8, global_load_sectors=64, global_store_requests=8, global_store_sectors=32,
    global_lanes=384, shared_requests=20, shared_wavefronts=40, barriers=32, atomics=70,
    shared_atomics=30, flops=512,
)  # fmt: skip
OPCODES = {"fma.rn.f32": 12, "mad.lo.s32": 100, "ld.shared.f32": 4, "ld.shared::cta.v4.f32": 2, "ld.global.f32": 99}


def launch(counters=COUNTS, opcodes=OPCODES, grid=(4, 1, 1), block=(128, 1, 1)):
    lines = {("mine.py", 12): counters}
    report = SimpleNamespace(counters=counters, lines=lines, opcodes=opcodes)
    return SimpleNamespace(report=report, grid=grid, block=block)


def run(*launches, case="n=256", read=1024, written=512, elements=256):
    return Run(case, read, written, elements, launches or (launch(),))


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("M1", 8.0), ("M1 loads", 8.0), ("M1 stores", 4.0),
        ("M2", 96 * 32 / 1536), ("M2 loads", 2.0), ("M2 stores", 2.0),
        ("M3", 2.0), ("M6", 0.25), ("R4", 2.0), ("R4 atomics", 10.0),
        ("W1 adds", 2.0), ("W1 warps", 5.0), ("W1 fma/shared", 2.0), ("P3", 1.0),
    ],
)  # fmt: skip
def test_what_a_quantity_measures(quantity, value):
    assert set(figures.COUNTED) >= {quantity}
    figure = parse(f"{quantity}<={value}")
    found = figures.measure(figure, [run()])
    assert found.value == value
    assert found.ok
    assert not figures.measure(figure, [run()], goal=[0, value - 0.01]).ok
    assert not figures.measure(parse(f"{quantity}>={value + 0.01}"), [run()]).ok


def test_every_quantity_is_tested_here():
    tested = {row[0] for row in test_what_a_quantity_measures.pytestmark[0].args[1]}
    assert tested == set(figures.COUNTED)


def test_the_worst_decides_and_is_named():
    worse = ptxvm.Counters(shared_requests=10, shared_wavefronts=320)
    found = figures.measure(parse("M3<=1"), [run(case="n=64"), run(launch(worse), case="n=512")])
    assert (found.value, found.file, found.line) == (32.0, "mine.py", 12)
    assert "at n=512" in found.evidence[0]
    fewer = figures.measure(parse("R4==1"), [run(launch(ptxvm.Counters(barriers=16))), run()])
    assert (fewer.ok, fewer.value) == (False, 2.0)
    assert not figures.measure(parse("R4==2"), [run(launch(ptxvm.Counters(barriers=0))), run()]).ok


def test_totals_are_taken_at_the_largest_shape_over_all_launches():
    small = run(case="n=1", read=4, written=4, elements=1)
    both = run(launch(), launch(), case="n=256")
    assert figures.measure(parse("M2<=4"), [small, both]).value == 4.0
    assert figures.measure(parse("W1 adds<=4"), [small, both]).value == 4.0
    assert figures.measure(parse("P3<=1"), [small, both]).value == 2


def test_what_is_not_there_is_met_and_said():
    found = figures.measure(parse("M3<=1"), [run(launch(ptxvm.Counters()))])
    assert (found.ok, found.value, found.evidence) == (True, None, ("nothing to measure",))


@pytest.mark.parametrize(
    "text",
    ["M1 is small", "M1<4", "M9<=4", "M3 loads<=1", "R4 barriers<=2", "X2<=4", "X3", "M1<=4 on sm_86", "X1<=0 on 86",
     "C4<=1", "W1 adds<=2n", ""],
)  # fmt: skip
def test_what_is_not_understood_is_refused(text):
    with pytest.raises(ValueError, match="is not understood"):
        parse(text)


def test_words_and_architectures():
    one = parse("X3 sass LDG.E.128 on sm_86,sm_120")
    assert (one.code, one.words, one.sass, one.static) == ("X3", ("LDG.E.128",), True, True)
    assert (one.on("sm_86"), one.on("sm_90")) == (True, False)
    assert parse("X4 cvt.rn.f32.s32 %f").words == ("cvt.rn.f32.s32", "%f")
    assert parse("X2 occupancy>=50 on sm_120").archs == ("sm_120",)
    assert not parse("C4").static


# -- compiled ------------------------------------------------------------------------------------------------------
PTX = """.version 8.7
.target sm_86
.address_size 64
.file 1 "mine.py"
.visible .entry k(.param .u64 x)
{
    .local .align 4 .b8 a[64]; .shared .align 4 .b8 s[2048];
    .reg .b32 %r<9>; .reg .b64 %x, %l<9>; .reg .f32 %f<9>; .reg .f64 %d<9>;
    .loc 1 3 0
    ld.param.u64 %x, [x]; mov.u32 %r1, %tid.x; mul.wide.u32 %l1, %r1, 16; add.s64 %x, %x, %l1;
    .loc 1 4 0
    ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%x];
    mov.u64 %l2, a; ld.global.u32 %r2, [%x+64]; and.b32 %r2, %r2, 15; mul.wide.u32 %l3, %r2, 4; add.s64 %l2, %l2, %l3;
    and.b32 %r4, %r1, 12; mul.wide.u32 %l4, %r4, 4; mov.u64 %l5, a; add.s64 %l4, %l4, %l5;
    st.local.f32 [%l2], %f1; st.local.f32 [a+4], %f2; st.local.f32 [a+8], %f3; st.local.f32 [a+60], %f4;
    ld.local.f32 %f5, [%l4];
    mov.u32 %r3, s; st.shared.f32 [%r3], %f2; bar.sync 0; ld.shared.f32 %f6, [%r3+4];
    .loc 1 5 0
    cvt.f64.f32 %d1, %f5;
    cvt.rn.f32.f64 %f5, %d1; add.f32 %f5, %f5, %f6;
    st.global.f32 [%x], %f5;
    ret;
}
"""


@pytest.fixture
def kernel():
    return SimpleNamespace(ptx=PTX, kernel="k", entry="k", dsl="cupy", dynamic_shared_bytes=1024, block=(256, 1, 1))


def measured(kernel, text, goal=None):
    return compiled.measure(parse(text), [kernel], ["mine.py"], "sm_86", goal)


def test_what_the_assembler_says(kernel):
    stack = measured(kernel, "X1<=0")
    assert (stack.ok, stack.value) == (False, 64.0)
    assert "64 bytes of stack, 0 bytes of spills" in stack.evidence[0]
    assert measured(kernel, "X2 shared<=3072").value == 3072
    assert not measured(kernel, "X2 shared<=3072", goal=[3000, 3071]).ok
    assert 8 <= measured(kernel, "X2 registers<=40").value <= 40
    kernel.dynamic_shared_bytes = 45 << 10  # two of these blocks fit: 16 of 48 warps
    found = measured(kernel, "X2 occupancy>=50")
    assert not found.ok
    assert found.value == pytest.approx(100 * 16 / 48)
    assert "shared memory" in found.evidence[0]


def test_instructions_that_are_wanted_or_not(kernel):
    assert measured(kernel, "X3 ld.global v4.f32").ok
    assert measured(kernel, "X3 sass LDG.E.128").ok
    missing = measured(kernel, "X3 sass LDGSTS")
    assert missing.evidence == ("no SASS instruction of k holds LDGSTS on sm_86",)
    unwanted = measured(kernel, "X4 .f64")
    assert (unwanted.ok, unwanted.file, unwanted.line) == (False, "mine.py", 5)
    assert "holds 2 instructions with .f64, 2 on this line" in unwanted.evidence[0]
    assert measured(kernel, "X4 sass HMMA").ok


def test_more_shared_memory_than_an_architecture_has(kernel):
    assert compiled.exceeds([kernel], "sm_86") == ""
    kernel.dynamic_shared_bytes = 99 << 10
    assert "103,424 bytes of shared memory a block; sm_86 has 101,376" in compiled.exceeds([kernel], "sm_86")
