"""A trace holds what the warps that it names touch, lane by lane, however the threads are grouped."""

import pytest

import ptxvm
from tests.ptxvm.kernels import kernel, run


def traced(body, warps, most=1000, **more):
    trace = ptxvm.Trace(warps, most)
    run(kernel(body, shared=".shared .align 16 .b8 s[4096];"), grid=3, block=64, trace=trace, **more)
    return trace


def test_lanes_and_where_they_touch_a_tensor():
    trace = traced("ld.global.f32 %f1, [%xi]; st.global.f32 [%yi], %f1;", {(1, 1)})
    load, store = trace.touches
    first = 4 * (64 + 32)  # of warp 1 of block 1
    assert (load.space, load.kind, load.width, load.tensor, load.dtype) == ("global", "load", 4, "x", "<f4")
    assert (store.kind, store.tensor, store.opcode) == ("store", "y", "st.global.f32")
    for one in trace.touches:
        assert (one.block, one.warp, one.lanes) == (1, 1, tuple(range(32)))
        assert one.offsets == tuple(range(first, first + 128, 4))
        assert one.alignment % 4 == 0


@pytest.mark.parametrize("schedule", [ptxvm.Schedule.normal(1), ptxvm.Schedule.normal(64), ptxvm.Schedule.fuzz(3)])
def test_predicates_branches_and_schedules(schedule):
    body = """
    and.b32 %r9, %t, 1; setp.eq.s32 %p1, %r9, 1;
    @%p1 ld.global.f32 %f1, [%xi];
    @%p1 bra ODD; ld.global.f32 %f1, [%x]; bra JOIN;
    ODD: mov.u32 %r2, s; shl.b32 %r1, %t, 3; add.s32 %r3, %r2, %r1; st.shared.f32 [%r3], %f1;
    JOIN: """
    trace = traced(body, {(2, 0), (0, 1)}, schedule=schedule)
    for shared in [one for one in trace.touches if one.space == "shared"]:
        warp = shared.warp
        assert shared.lanes == tuple(range(1, 32, 2))
        assert shared.offsets == tuple(8 * (32 * warp + lane) for lane in shared.lanes)
    assert {(one.block, one.warp) for one in trace.touches} == trace.warps
    loads = [one for one in trace.touches if one.kind == "load"]
    assert sorted((one.block, one.warp, one.lanes[:2], set(one.offsets) == {0}) for one in loads) == [
        (0, 1, (0, 2), True), (0, 1, (1, 3), False), (2, 0, (0, 2), True), (2, 0, (1, 3), False),
    ]  # fmt: skip


def test_a_long_loop_is_kept_to_its_beginning():
    body = "mov.u32 %r1, 0; L: ld.global.f32 %f1, [%xi]; add.s32 %r1, %r1, 1; setp.lt.s32 %p1, %r1, 9; @%p1 bra L;"
    trace = traced(body, {(0, 0), (0, 1)}, most=4)
    assert len(trace.touches) == 8
    assert trace.lost == 10
