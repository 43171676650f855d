"""Every kind of bug that a launch looks for is found where it is, and a kernel without it gives no finding."""

import numpy as np
import pytest

import ptxvm
from ptxvm.machine import source_name
from tests.ptxvm.kernels import kernel, run

COPY = "ld.global.f32 %f1, [%xi]; st.global.f32 [%yi], %f1;"
GUARDED = "setp.ge.s32 %p1, %i, %n; @%p1 bra DONE;\n" + COPY + "\nDONE:"
S = ".shared .align 4 .b8 s[1024];"
TO_S = "shl.b32 %r1, %t, 2; mov.u32 %r2, s; add.s32 %r3, %r2, %r1; cvt.rn.f32.s32 %f1, %t; st.shared.f32 [%r3], %f1;"
FROM_MIRROR = (
    "sub.s32 %r4, 255, %t; shl.b32 %r4, %r4, 2; add.s32 %r5, %r2, %r4; "
    "ld.shared.f32 %f2, [%r5]; st.global.f32 [%yi], %f2;"
)


def stopped(body, **options):
    """The finding of a kernel with this body, which must not end well."""
    with pytest.raises(ptxvm.Fault) as caught:
        run(kernel(body), **options)
    return caught.value.finding


def test_a_guarded_copy_is_right_and_clean():
    report, x, y = run(kernel(GUARDED), n=1000)
    assert (x == y).all()
    assert report.ok
    assert not report.findings
    assert report.counters.global_load_requests == 32
    assert report.counters.global_load_bytes == 4000


def test_a_missing_guard_is_out_of_bounds_at_the_first_element_past_the_end():
    finding = stopped(COPY, n=1000)
    assert finding.kind == "out of bounds"
    assert finding.block == (3, 0, 0)
    assert finding.thread == (232, 0, 0)
    assert finding.count == 24
    assert finding.object == "x[1000]: first element past the end, x is (1000,)"


def test_a_wide_access_says_how_much_of_it_passes_the_end():
    """Thread 255 reads elements 1020 to 1023 of 1,022."""
    wide = "mul.wide.s32 %rd1, %i, 16; add.s64 %xi, %x, %rd1; ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%xi];"
    finding = stopped(wide, n=1022, grid=1)
    assert finding.detail == "load of 16 bytes"
    assert finding.object == "from x[1020] on, 2 of 4 elements past the end, x is (1022,)"


def test_reading_from_one_tensor_into_its_neighbour_is_out_of_bounds():
    """The address lies inside `y`, but it was computed from `x`."""
    body = "add.s64 %xi, %xi, 8192; ld.global.f32 %f1, [%xi];"
    device = ptxvm.Device("sm_86", memory_bytes=1 << 22)
    x = device.array((1024,), "float32", name="x")
    y = device.array((1024,), "float32", name="y")
    gap = y.pointer.address - x.pointer.address
    k = kernel(body.replace("8192", str(gap)))
    with pytest.raises(ptxvm.Fault, match="out of bounds"):
        device.launch(k, (1,), (32,), (x, y, 1024))
    device.launch(k, (1,), (32,), (x, y, 1024), checks=ptxvm.Checks(provenance=False))


def test_collecting_goes_on_without_the_faulty_lanes():
    checks = ptxvm.Checks(on_fault="collect")
    report, x, y = run(kernel(COPY), n=1000, checks=checks)
    assert (x == y).all()
    assert {f.kind for f in report.faults} == {"out of bounds"}


def test_null_pointer():
    device = ptxvm.Device("sm_86", memory_bytes=1 << 22)
    y = device.array((1024,), "float32", name="y")
    with pytest.raises(ptxvm.Fault) as caught:
        device.launch(kernel(COPY), (1,), (32,), (0, y, 32))
    assert caught.value.finding.kind == "null pointer"


def test_before_the_first_tensor_of_all_is_no_null_pointer():
    device = ptxvm.Device("sm_86", memory_bytes=1 << 22)
    x = device.array((1024,), "float32", name="x")
    y = device.array((1024,), "float32", name="y")
    with pytest.raises(ptxvm.Fault) as caught:
        device.launch(kernel("ld.global.f32 %f1, [%xi + -8];"), (1,), (32,), (x, y, 32))
    assert caught.value.finding.kind == "out of bounds"
    assert caught.value.finding.object == "x[-2]: before the first element, x is (1024,)"


def test_a_misaligned_vector_load():
    body = "ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%xi];"
    finding = stopped(body)
    assert finding.kind == "misaligned"
    assert finding.thread == (1, 0, 0)


def test_more_shared_memory_than_the_block_has():
    k = kernel(TO_S, shared=S.replace("[1024]", "[512]"))
    with pytest.raises(ptxvm.Fault, match="shared memory of a block has 512 bytes"):
        run(k)


def test_dynamic_shared_memory_that_was_not_passed():
    k = kernel(TO_S, shared=".extern .shared .align 16 .b8 s[];")
    with pytest.raises(ptxvm.Fault, match="was dynamic shared memory passed"):
        run(k)
    report, _, _ = run(k, dynamic=1024)
    assert report.ok


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("_ZZ4haloE4tile", "tile"),
        ("_ZZ4haloE4tile_0", "tile"),
        ("_ZZ5sumE8IfLi4EEvPKT_PfE5sums1", "sums1"),
        ("_ZZN2ns4haloEvE1E", "E"),
        ("_ZN2ns4tileE", "_ZN2ns4tileE"),
        ("global_smem", "global_smem"),
        ("_ZZ4haloE9tile", "_ZZ4haloE9tile"),
    ],
)
def test_a_shared_variable_is_called_as_in_the_source(name, source):
    assert source_name(name) == source


def test_mirror_through_shared_memory_with_its_barrier():
    report, _, y = run(kernel(TO_S + "bar.sync 0;" + FROM_MIRROR, shared=S))
    assert (y.reshape(4, 256) == np.arange(255, -1, -1)).all()
    assert report.ok
    assert report.counters.barriers == 32


@pytest.mark.parametrize("seed", range(4))
def test_results_and_counters_do_not_depend_on_the_schedule(seed):
    k = kernel(TO_S + "bar.sync 0;" + FROM_MIRROR, shared=S)
    normal, _, y = run(k)
    for schedule in (ptxvm.Schedule.fuzz(seed), ptxvm.Schedule.normal(batch_threads=256)):
        other, _, z = run(k, schedule=schedule)
        assert (y == z).all()
        assert other.counters == normal.counters
        assert other.ok


def test_mirror_without_its_barrier_is_a_race_and_wrong_under_fuzz():
    k = kernel(TO_S + FROM_MIRROR, shared=S)
    report, _, y = run(k)
    assert {f.kind for f in report.races} == {"race"}
    assert (y.reshape(4, 256) == np.arange(255, -1, -1)).all(), "the normal schedule hides it"
    fuzzed, _, z = run(k, schedule=ptxvm.Schedule.fuzz(1))
    assert not fuzzed.ok
    assert (z != y).any()


def test_two_threads_that_write_one_shared_word_race():
    body = "mov.u32 %r2, s; and.b32 %r1, %t, 127; shl.b32 %r1, %r1, 2; add.s32 %r3, %r2, %r1; st.shared.u32 [%r3], %t;"
    report, _, _ = run(kernel(body, shared=S))
    assert {f.kind for f in report.races} == {"race"}


def test_two_blocks_that_write_one_global_word_race():
    report, _, _ = run(kernel("mul.wide.s32 %rd1, %t, 4; add.s64 %rd2, %y, %rd1; st.global.u32 [%rd2], %b;"))
    assert {f.kind for f in report.races} == {"race"}
    alone, _, _ = run(kernel("mul.wide.s32 %rd1, %t, 4; add.s64 %rd2, %y, %rd1; st.global.u32 [%rd2], %b;"), grid=1)
    assert alone.ok


def test_atomics_do_not_race():
    report, _, y = run(kernel("mov.u32 %r1, 1; cvt.rn.f32.u32 %f1, %r1; red.global.add.f32 [%y], %f1;"))
    assert report.ok
    assert y[0] == 1024


def test_shared_memory_read_before_anybody_wrote_it():
    body = (
        "mov.u32 %r2, s; shl.b32 %r1, %t, 2; add.s32 %r3, %r2, %r1; ld.shared.f32 %f2, [%r3]; st.global.f32 [%yi], %f2;"
    )
    report, _, _ = run(kernel(body, shared=S))
    assert [f.kind for f in report.races] == ["uninitialised read"]


ASYNC = (
    "mov.u32 %r2, s; shl.b32 %r1, %t, 2; add.s32 %r3, %r2, %r1; cp.async.ca.shared.global [%r3], [%xi], 4; "
    "cp.async.commit_group; {wait} bar.sync 0; ld.shared.f32 %f2, [%r3]; st.global.f32 [%yi], %f2;"
)


def test_an_asynchronous_copy_lands_at_its_wait():
    report, x, y = run(kernel(ASYNC.format(wait="cp.async.wait_group 0;"), shared=S))
    assert report.ok
    assert (x == y).all()


def test_an_asynchronous_copy_that_nobody_waits_for():
    report, x, y = run(kernel(ASYNC.format(wait=""), shared=S))
    assert [f.kind for f in report.races] == ["missing wait"]
    assert (x != y).any()


def test_a_barrier_that_returned_threads_never_reach():
    report, _, _ = run(kernel("setp.ge.s32 %p1, %i, %n; @%p1 ret; bar.sync 0;"), n=1000, elements=1024)
    assert [f.kind for f in report.races] == ["barrier after early return"]


def test_warps_at_two_barriers():
    body = "setp.lt.s32 %p1, %t, 64; @%p1 bra A; bar.sync 0; bra B; A: bar.sync 0; B:"
    finding = stopped(body)
    assert finding.kind == "two barriers"


def test_a_deadlock_says_who_waits_where():
    body = "setp.lt.s32 %p1, %t, 64; @%p1 bar.sync 1, 128;"
    with pytest.raises(ptxvm.Fault, match=r"64 wait at barrier 1 .* wants 128") as caught:
        run(kernel(body))
    assert caught.value.finding.kind == "deadlock"


def test_an_endless_loop_is_stopped():
    with pytest.raises(ptxvm.Fault, match="without an end") as caught:
        run(kernel("LOOP: bra LOOP;"), schedule=ptxvm.Schedule(max_visits=1000))
    assert caught.value.finding.kind == "endless loop"


def test_a_spin_lock_ends():
    """Every block takes a lock in `y[0]`, adds one to `x[0]` without an atomic, and gives the lock back."""
    body = """
    setp.ne.s32 %p1, %t, 0; @%p1 bra OUT;
    SPIN: atom.global.cas.b32 %r1, [%y], 0, 1; setp.ne.s32 %p2, %r1, 0; @%p2 bra SPIN;
    ld.volatile.global.f32 %f1, [%x]; add.f32 %f1, %f1, 0f3F800000; st.volatile.global.f32 [%x], %f1;
    membar.gl;
    atom.global.exch.b32 %r2, [%y], 0;
    OUT:"""
    _, x, y = run(kernel(body), grid=40, block=32, checks=ptxvm.Checks(races="off"))
    assert x[0] == 40
    assert y[0] == 0


def test_a_spin_lock_of_whole_blocks_ends():
    """The owner of the lock stands where the lanes of a warp must meet, while all other blocks spin."""
    body = """
    mov.u32 %r5, s; setp.eq.s32 %p1, %t, 0; mov.b32 %r1, 0;
    SPIN: bar.sync 0; @%p1 atom.global.cas.b32 %r1, [%y], 0, 1; @%p1 st.shared.b32 [%r5], %r1;
    bar.sync 0; ld.shared.b32 %r2, [%r5]; setp.ne.s32 %p2, %r2, 0; @%p2 bra SPIN;
    ld.volatile.global.f32 %f1, [%xi]; setp.gt.f32 %p3, %f1, 0f00000000; @%p3 bra NEXT; add.f32 %f1, %f1, %f1;
    NEXT: bar.warp.sync -1; @%p1 ld.volatile.global.f32 %f2, [%x]; add.f32 %f2, %f2, 0f3F800000;
    bar.warp.sync -1; @%p1 st.volatile.global.f32 [%x], %f2; bar.sync 0; bar.warp.sync -1;
    @%p1 atom.global.exch.b32 %r3, [%y], 0;"""
    loaded = kernel(body, shared=".shared .align 4 .b8 s[4];")
    _, x, _ = run(loaded, grid=16, block=64, checks=ptxvm.Checks(races="off"))
    assert x[0] == 16


def test_trap():
    finding = stopped("setp.eq.s32 %p1, %i, 700; @%p1 trap;")
    assert finding.kind == "trap"
    assert (finding.block, finding.thread) == ((2, 0, 0), (188, 0, 0))


def test_a_shuffle_that_reads_an_exited_lane():
    body = "setp.ge.s32 %p1, %t, 16; @%p1 ret; shfl.sync.idx.b32 %r1, %t, 20, 31, 65535;"
    finding = stopped(body)
    assert finding.kind == "inactive lane"


BOTH = [None, ptxvm.Schedule.fuzz(7)]


@pytest.mark.parametrize("schedule", BOTH)
def test_a_membermask_may_name_lanes_that_have_returned(schedule):
    body = (
        "setp.ge.s32 %p1, %t, 16; @%p1 ret; shfl.sync.idx.b32 %r1, %t, 2, 31, -1;"
        "cvt.rn.f32.s32 %f1, %r1; st.global.f32 [%yi], %f1;"
    )
    report, _, y = run(kernel(body), grid=1, schedule=schedule)
    assert not report.findings
    assert y[:32].tolist() == 16 * [2] + 16 * [0]


@pytest.mark.parametrize("schedule", BOTH)
@pytest.mark.parametrize("guard", ["@%p1 bra A;", "@!%p1 bra B; bra A; B:"])
def test_lanes_wait_for_those_that_return_later(guard, schedule):
    """Lanes 0 and 1 come to a barrier of the whole warp; the other lanes of their warp write, and return."""
    store = "cvt.rn.f32.s32 %f1, {0}; st.global.f32 [%yi], %f1;"
    body = f"setp.ge.s32 %p1, %t, 2; {guard} bar.warp.sync -1; {store.format('%d')} ret; A: {store.format('%t')}"
    report, _, y = run(kernel(body), grid=1, schedule=schedule)
    assert not report.findings
    assert y[:5].tolist() == [256, 256, 2, 3, 4]  # %d is 256


STUCK = {
    "setp.lt.s32 %p1, %t, 16; @%p1 bra A; bar.sync 0; ret; A: bar.warp.sync -1;": "16 wait at barrier 0 on PTX line ",
    "setp.lt.s32 %p1, %t, 20; @%p1 bra A; bar.warp.sync -1; ret; A: shfl.sync.idx.b32 %r1, %t, 0, 31, -1;": (
        " wait at a warp operation on PTX line "
    ),
}


@pytest.mark.parametrize("schedule", BOTH)
@pytest.mark.parametrize("body", STUCK)
def test_lanes_that_wait_for_each_other_at_two_places(body, schedule):
    finding = stopped(body, grid=1, block=32, schedule=schedule)
    assert finding.kind == "mask mismatch"
    assert finding.detail.startswith("the member mask names lanes that never come: of this warp ")
    assert STUCK[body] in finding.detail


def test_of_several_that_spin_each_has_its_turn():
    """Thread 0 waits for thread 32, and that one for thread 64, whose atomic comes last in the text."""
    wait = "{0}: atom.global.add.u32 %r2, [%y+{1}], 0; setp.eq.s32 %p2, %r2, 0; @%p2 bra {0}; "
    come = "atom.global.add.u32 %r2, [%y+{0}], 1; ret; "
    body = (
        "setp.eq.s32 %p1, %t, 64; @%p1 bra C; setp.eq.s32 %p1, %t, 32; @%p1 bra B; setp.ne.s32 %p1, %t, 0; @%p1 ret; "
        f"{wait.format('A', 0)} ret; B: {wait.format('W', 4)} {come.format(0)} C: {come.format(4)}"
    )
    report, _, y = run(kernel(body), grid=1)
    assert not report.faults
    assert y.view(np.uint32)[:3].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("grid", "block", "args", "message"),
    [
        ((0,), (32,), 3, "empty"),
        ((1,), (2048,), 3, "at most 1024 threads"),
        ((1,), (32,), 2, "takes 3 arguments, 2 were given"),
    ],
)
def test_launches_that_a_card_refuses(grid, block, args, message):
    device = ptxvm.Device("sm_86", memory_bytes=1 << 22)
    x = device.array((32,), name="x")
    with pytest.raises(ptxvm.LaunchError, match=message):
        device.launch(kernel(COPY), grid, block, (x, x, 32)[:args])


def test_an_unknown_form_is_refused_by_name_and_line():
    with pytest.raises(ptxvm.Unsupported, match=r"`add\.sideways\.f32` \(PTX line \d+\)"):
        run(kernel("add.sideways.f32 %f1, %f2, %f3;"))
