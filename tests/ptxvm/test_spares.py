"""Threads whose copy of a word nobody uses do not race for it; those whose copy goes anywhere do."""

from __future__ import annotations

import pytest

import ptxvm
from ptxvm.device import _compiled
from ptxvm.spares import ends_of_loads
from tests.ptxvm.kernels import kernel, run

# All threads load element t % 32 of x; `own` says who of them stores, with %p1 true for the first 32.
LOADS = (
    "and.b32 %r1, %t, 31; mul.wide.u32 %rd1, %r1, 4; add.s64 %rd2, %x, %rd1; ld.global.f32 %f1, [%rd2];"
    "fma.rn.f32 %f2, %f1, 0f40000000, 0f3F800000; setp.lt.u32 %p1, %t, 32;"
)
IN_PLACE = "@%p1 st.global.f32 [%rd2], %f2;"
UNUSED = {
    "masked": LOADS + IN_PLACE,
    "behind a branch": LOADS + "@!%p1 bra END; st.global.f32 [%rd2], %f2; END:",
    "and out of place by the same threads": LOADS + "@%p1 st.global.f32 [%yi], %f2;" + IN_PLACE,
    "in a loop": "mov.u32 %r3, 0; AGAIN: " + LOADS + IN_PLACE
    + "add.u32 %r3, %r3, 1; setp.lt.u32 %p2, %r3, 3; @%p2 bra AGAIN;",
    "what another thread stores": "xor.b32 %r1, %t, 1; mul.wide.u32 %rd1, %r1, 4; add.s64 %rd2, %x, %rd1;"
    "ld.global.f32 %f1, [%rd2]; and.b32 %r2, %t, 1; setp.eq.u32 %p1, %r2, 0; @%p1 st.global.f32 [%xi], %f1;",
}  # fmt: skip
USED = {
    "by a store before": LOADS + "st.global.f32 [%yi], %f1;" + IN_PLACE,
    "by a store after": LOADS + IN_PLACE + "st.global.f32 [%yi], %f1;",
    "by a store in shared memory": LOADS + "mov.u32 %r2, s; st.shared.f32 [%r2], %f1;" + IN_PLACE,
    "by the same store": "add.s64 %rd2, %xi, 4; ld.global.f32 %f1, [%rd2]; st.global.f32 [%xi], %f1;",
    "as a condition": LOADS + IN_PLACE + "setp.gt.f32 %p2, %f1, 0f00000000; @%p2 bra END; add.u32 %r5, %r5, 1; END:",
    "as a mask": LOADS + "setp.gt.f32 %p2, %f1, 0f00000000; @%p2 st.global.f32 [%yi], %f2;" + IN_PLACE,
    "as an address": LOADS + IN_PLACE + "mov.b32 %r4, %f1; cvt.u64.u32 %rd3, %r4; and.b64 %rd3, %rd3, 4;"
    "add.s64 %rd3, %rd3, %y; st.global.u32 [%rd3], %t;",
    "by an atomic": LOADS + IN_PLACE + "red.global.add.f32 [%y], %f1;",
}  # fmt: skip
SHARED = ".shared .align 4 .b8 s[16];"
SCHEDULES = [None, *(ptxvm.Schedule.fuzz(seed) for seed in range(4))]


def races(body, schedule):
    report, _, _ = run(kernel(body, shared=SHARED), grid=1, block=128, schedule=schedule)
    return [f for f in report.races if f.object.startswith("x[")]


@pytest.mark.parametrize("name", UNUSED)
def test_no_race_where_a_copy_goes_nowhere(name):
    assert not [f.message() for schedule in SCHEDULES for f in races(UNUSED[name], schedule)]


@pytest.mark.parametrize("name", USED)
def test_a_race_where_it_is_used(name):
    for schedule in SCHEDULES:
        assert {found.kind for found in races(USED[name], schedule)} == {"race"}


def test_values_of_another_block_count():
    """Block 1 reads what block 0 writes, and nobody uses it: still told, nothing orders the two."""
    body = LOADS + "setp.eq.u32 %p2, %b, 0; and.pred %p1, %p1, %p2;" + IN_PLACE
    report, _, _ = run(kernel(body, shared=SHARED), grid=2, block=32)
    assert [f.kind for f in report.races] == ["race"]


def test_where_values_end():
    def ends(body):
        sites = _compiled(kernel(body, shared=SHARED)).sites
        return [
            sorted(sites[i].ins.opcode for i in found)
            for load, found in ends_of_loads(tuple(sites)).items()
            if sites[load].ins.parts[1] == "global"
        ]

    assert ends(LOADS + IN_PLACE) == [["st.global.f32"]]
    assert ends(USED["by a store in shared memory"]) == [["st.global.f32", "st.shared.f32"]]
    assert ends(LOADS + "st.global.f32 [%yi], %f2;") == [], "not in place"
    assert ends(USED["as a condition"]) == ends(USED["as an address"]) == ends(USED["by an atomic"]) == []
