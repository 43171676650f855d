"""Do branches, exits and barriers let each thread do what PTX says, and do special registers tell who it is?"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

import ptxvm
from tests.ptxvm.ptx_kernel import FILL, Program

THREADS = 128
FULL = 0xFFFFFFFF


def mirror(wait: str, swap: int = THREADS - 1) -> None:
    """Each thread reads what thread `own ^ swap` stored: the barrier must let it see that. Also in shuffled order."""
    for schedule in (ptxvm.Schedule.normal(), ptxvm.Schedule.fuzz(1), ptxvm.Schedule.fuzz(2)):
        program = Program(2, THREADS, f".shared .align 4 .b32 tile[{THREADS}];\n")
        for name, kind in (("%at", "b32"), ("%d", "b32"), ("%p", "pred"), ("%name", "b32"), ("%half", "b32")):
            program.register(name, kind)
        program.add("mov.u32 %at, tile;", "mad.lo.u32 %at, %thread, 4, %at;", "shr.u32 %half, %thread, 6;")
        program.add("st.shared.b32 [%at], %lane;", *(line.strip() for line in wait.splitlines()))
        program.add(f"xor.b32 %at, %thread, {swap};", "mov.u32 %d, tile;", "mad.lo.u32 %at, %at, 4, %d;")
        program.add("ld.shared.b32 %d, [%at];")
        slot = program.store("%d", 32)
        results = program.launch(schedule=schedule)
        assert [r & FULL for r in results[slot]] == [lane ^ swap for lane in range(2 * THREADS)]


BARRIERS = [
    "bar.sync 0;",
    "barrier.sync 0;",
    "barrier.sync.aligned 1;",
    "bar.cta.sync 3;",
    "barrier.cta.sync.aligned 2;",
    f"bar.sync 1, {THREADS};",
    "mov.u32 %name, 5;\nbar.sync %name;",
    # two halves from two places at one barrier, as warp-specialised kernels wait
    f"setp.eq.u32 %p, %half, 0;\n@%p bra A;\nbarrier.sync 1, {THREADS};\nbra B;\nA: barrier.sync 1, {THREADS};\nB:",
    f"setp.eq.u32 %p, %half, 0;\n@%p barrier.sync 1, {THREADS};\n@!%p barrier.sync 1, {THREADS};",
]
PARTS = ("64", "%name")
ARRIVALS = ("bar.arrive", "barrier.arrive", "barrier.cta.arrive.aligned")
EXITS = ("ret", "exit")
FENCES = (
    "membar.cta", "membar.gl", "membar.sys", "membar.proxy.alias", "fence.proxy.alias",
    "fence.acquire.gpu", "fence.sys", "pmevent 7",
    "fence.acq_rel.cta", "fence.acq_rel.gpu", "fence.sc.sys", "fence.sc.cta", "fence.sc.gpu",
    "nanosleep.u32 20", "nanosleep.u32 %lane",
)  # fmt: skip


@pytest.mark.parametrize("wait", BARRIERS)
def test_barriers_of_the_block(wait: str) -> None:
    mirror(wait)


@pytest.mark.parametrize("count", PARTS)
def test_barriers_of_a_part_of_the_block(count: str) -> None:
    """Each half of the block has a barrier of its own."""
    mirror(f"add.u32 %half, %half, 1;\nmov.u32 %name, 64;\nbar.sync %half, {count};", swap=63)


VOTES = [
    f"{barrier}.red.{operation}"
    for barrier in ("bar", "barrier", "bar.cta", "barrier.cta")
    for operation in ("popc.u32", "and.pred", "or.pred")
] + ["barrier.red.popc.aligned.u32", "barrier.red.and.aligned.pred", "barrier.cta.red.or.aligned.pred"]


@pytest.mark.parametrize("vote", VOTES)
@pytest.mark.parametrize("negated", ["", "!"])
def test_barriers_with_a_vote(vote: str, negated: str) -> None:
    """Every thread learns what the predicates of its barrier make: of the block, and of each half of it."""
    for chance, schedule in ((1, ptxvm.Schedule.normal()), (0.99, ptxvm.Schedule.fuzz(1)), (0, ptxvm.Schedule.fuzz(2))):
        program, rng = Program(3, THREADS), random.Random(f"{vote} {chance}")
        flags = [int(rng.random() < chance) for _ in range(program.lanes)]
        program.load("%p", "pred", "both", program.words(flags))
        program.register("%half", "b32")
        register, bits = ("%count", 32) if "popc" in vote else ("%all", 1)
        program.register(register, "b32" if bits == 32 else "pred")
        program.add("shr.u32 %half, %thread, 6;", "add.u32 %half, %half, 1;")
        slots = []
        for operands in ("0", f"%half, {THREADS // 2}"):
            program.add(f"{vote} {register}, {operands}, {negated}%p;")
            slots.append(program.store(register, bits))
        results = program.launch(schedule=schedule)
        votes = [flag ^ (negated == "!") for flag in flags]
        for slot, size in zip(slots, (THREADS, THREADS // 2), strict=True):
            for lane in range(program.lanes):
                of = votes[lane // size * size : lane // size * size + size]
                want = sum(of) if "popc" in vote else all(of) if ".and." in vote else any(of)
                assert results[slot][lane] & FULL == want, (operands, lane)


@pytest.mark.parametrize("arrive", ARRIVALS)
def test_arriving_does_not_wait(arrive: str) -> None:
    """Half 0 stores and arrives, half 1 waits and reads; half 0 goes on at once and never reads."""
    program = Program(1, THREADS, f".shared .align 4 .b32 tile[{THREADS}];\n")
    for name, kind in (("%at", "b32"), ("%d", "b32"), ("%p", "pred")):
        program.register(name, kind)
    program.add("mov.u32 %at, tile;", "mad.lo.u32 %at, %thread, 4, %at;", "setp.ge.u32 %p, %thread, 64;")
    program.add("@%p bra READ;", "st.shared.b32 [%at], %lane;", f"{arrive} 1, {THREADS};", "bra END;")
    program.add(f"READ: bar.sync 1, {THREADS};", "ld.shared.b32 %d, [%at+-256];")
    slot = program.store("%d", 32)
    program.add("END:")
    results = program.launch()
    assert [r & FULL for r in results[slot]] == [FILL & FULL] * 64 + list(range(64))


@pytest.mark.parametrize("leave", EXITS)
def test_leaving(leave: str) -> None:
    """Guarded and behind a branch; what a thread stored before it left stays."""
    program, rng = Program(2, THREADS), random.Random(leave)
    flags = [rng.getrandbits(1) for _ in range(program.lanes)]
    more = [rng.getrandbits(1) for _ in range(program.lanes)]
    program.load("%p", "pred", "both", program.words(flags))
    program.load("%q", "pred", "both", program.words(more))
    first = program.store("%lane", 32)
    program.add(f"@%p {leave};")
    second = program.store("%lane", 32)
    program.add("@!%q bra ON;", f"{leave};", "ON:")
    third = program.store("%lane", 32)
    results = program.launch()
    for lane in range(program.lanes):
        row = [results[slot][lane] & FULL for slot in (first, second, third)]
        stays = [True, not flags[lane], not flags[lane] and not more[lane]]
        assert row == [lane if s else FILL & FULL for s in stays]


def test_branches() -> None:
    """Collatz steps of each lane: nested divergent branches, a loop with its own count in each lane, `bra.uni`."""
    program, rng = Program(2, THREADS), random.Random("collatz")
    starts = [rng.randrange(1, 1000) for _ in range(program.lanes)]
    program.load("%n", "b32", "both", program.words(starts))
    for name, kind in (("%steps", "b32"), ("%odd", "b32"), ("%p", "pred")):
        program.register(name, kind)
    program.add(
        "mov.u32 %steps, 0;",
        "LOOP: setp.eq.u32 %p, %n, 1;",
        "@%p bra DONE;",
        "add.u32 %steps, %steps, 1;",
        "and.b32 %odd, %n, 1;",
        "setp.ne.u32 %p, %odd, 0;",
        "@!%p bra EVEN;",
        "mad.lo.u32 %n, %n, 3, 1;",
        "bra.uni LOOP;",
        "EVEN: shr.u32 %n, %n, 1;",
        "bra LOOP;",
        "DONE:",
    )
    slot = program.store("%steps", 32)
    results = program.launch()
    for start, got in zip(starts, results[slot], strict=True):
        steps = 0
        while start != 1:
            start, steps = (3 * start + 1 if start % 2 else start // 2), steps + 1
        assert got & FULL == steps


@pytest.mark.parametrize("opcode", FENCES)
def test_fences_and_sleeps_change_nothing(opcode: str) -> None:
    program = Program(1, THREADS)
    before = program.store("%lane", 32)
    program.add(f"{opcode};")
    after = program.store("%lane", 32)
    results = program.launch()
    assert results[before] == results[after] != [FILL] * THREADS


@pytest.mark.parametrize(("guard", "stops"), [("", True), ("@%p ", True), ("@!%p ", False)])
def test_trap(guard: str, stops: bool) -> None:
    program = Program(1, THREADS)
    program.register("%p", "pred")
    program.add("setp.lt.u32 %p, %thread, 1000;", f"{guard}trap;")
    slot = program.store("%lane", 32)
    if stops:
        with pytest.raises(ptxvm.Fault, match="trap"):
            program.launch()
    else:
        assert [r & FULL for r in program.launch()[slot]] == list(range(THREADS))


@pytest.mark.parametrize("call", ["call", "call.uni"])
@pytest.mark.parametrize("holds", [True, False])
def test_assertions(call: str, holds: bool) -> None:
    """`__assertfail` is the one function that may be called: its parameters are passed by `st.param`."""
    text = f""".version 9.0
.target sm_90
.address_size 64
.extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 d, .param .b64 e);
.global .align 1 .b8 condition[6] = {{105, 32, 60, 32, 110, 0}};
.global .align 1 .b8 file[7] = {{97, 47, 98, 46, 99, 117, 0}};
.visible .entry k(.param .u32 limit)
{{
    .reg .b32 %r<4>;
    .reg .b64 %d<4>;
    .reg .pred %p;
    ld.param.u32 %r0, [limit];
    mov.u32 %r1, %tid.x;
    setp.lt.u32 %p, %r1, %r0;
    @%p bra END;
    mov.u64 %d0, condition;
    cvta.global.u64 %d0, %d0;
    mov.u64 %d1, file;
    cvta.global.u64 %d1, %d1;
    mov.b32 %r2, 17;
    mov.b64 %d2, 1;
    {{
    .param .b64 p0;
    st.param.b64 [p0+0], %d0;
    .param .b64 p1;
    st.param.b64 [p1+0], %d1;
    .param .b32 p2;
    st.param.b32 [p2+0], %r2;
    .param .b64 p3;
    st.param.b64 [p3+0], %d1;
    .param .b64 p4;
    st.param.b64 [p4+0], %d2;
    {call} __assertfail, (p0, p1, p2, p3, p4);
    }}
END: ret;
}}
"""
    kernel = ptxvm.Module.from_ptx(text).kernel()
    device = ptxvm.Device("sm_90", memory_bytes=1 << 16)
    if holds:
        assert device.launch(kernel, (1,), (32,), (32,)).ok
        return
    with pytest.raises(ptxvm.Fault) as caught:
        device.launch(kernel, (1,), (32,), (20,))
    assert caught.value.finding.kind == "assertion"
    assert caught.value.finding.thread == (20, 0, 0)
    assert "`i < n` does not hold (b.cu:17)" in str(caught.value)


# -- special registers ---------------------------------------------------------------------------------------------
GRID, BLOCK = (3, 2, 2), (5, 4, 3)
SPECIALS: dict[str, Callable[[dict[str, int]], int]] = {
    "%tid.x": lambda i: i["t"] % 5,
    "%tid.y": lambda i: i["t"] // 5 % 4,
    "%tid.z": lambda i: i["t"] // 20,
    "%ntid.x": lambda i: 5,
    "%ntid.y": lambda i: 4,
    "%ntid.z": lambda i: 3,
    "%ctaid.x": lambda i: i["c"] % 3,
    "%ctaid.y": lambda i: i["c"] // 3 % 2,
    "%ctaid.z": lambda i: i["c"] // 6,
    "%nctaid.x": lambda i: 3,
    "%nctaid.y": lambda i: 2,
    "%nctaid.z": lambda i: 2,
    "%laneid": lambda i: i["t"] % 32,
    "%lanemask_eq": lambda i: 1 << i["t"] % 32,
    "%lanemask_lt": lambda i: (1 << i["t"] % 32) - 1,
    "%lanemask_le": lambda i: (2 << i["t"] % 32) - 1,
    "%lanemask_gt": lambda i: FULL & ~((2 << i["t"] % 32) - 1),
    "%lanemask_ge": lambda i: FULL & ~((1 << i["t"] % 32) - 1),
    "%dynamic_smem_size": lambda i: 48,
    "%warpid": lambda i: i["t"] // 32,
    "%nwarpid": lambda i: 2,
}


@pytest.mark.parametrize("name", SPECIALS)
def test_special_registers(name: str) -> None:
    text = f""".version 9.0
.target sm_90
.address_size 64
.visible .entry k(.param .u64 out)
{{
    .reg .b32 %r<8>;
    .reg .b64 %at;
    ld.param.u64 %at, [out];
    mov.u32 %r0, %tid.x;  mov.u32 %r1, %tid.y;  mov.u32 %r2, %tid.z;
    mad.lo.u32 %r1, %r2, 4, %r1;
    mad.lo.u32 %r0, %r1, 5, %r0;
    mov.u32 %r3, %ctaid.x;  mov.u32 %r4, %ctaid.y;  mov.u32 %r5, %ctaid.z;
    mad.lo.u32 %r4, %r5, 2, %r4;
    mad.lo.u32 %r3, %r4, 3, %r3;
    mad.lo.u32 %r0, %r3, 60, %r0;
    mad.wide.u32 %at, %r0, 4, %at;
    mov.u32 %r6, {name};
    st.global.u32 [%at], %r6;
    ret;
}}
"""
    device = ptxvm.Device("sm_90", memory_bytes=1 << 16)
    out = device.array((720,), "uint32")
    kernel = ptxvm.Module.from_ptx(text).kernel()
    device.launch(kernel, GRID, BLOCK, (out,), dynamic_shared_bytes=48)
    want = [SPECIALS[name]({"c": lane // 60, "t": lane % 60}) for lane in range(720)]
    assert np.array(out).tolist() == want


@pytest.mark.parametrize("name", ["%clock", "%clock64", "%globaltimer"])
def test_clocks_do_not_go_back(name: str) -> None:
    program = Program(1, 32)
    for register in ("%before", "%after"):
        program.register(register, "b64" if name.endswith(("64", "timer")) else "b32")
    bits = 64 if name.endswith(("64", "timer")) else 32
    program.add(f"mov.u{bits} %before, {name};", "bra.uni NEXT;", f"NEXT: mov.u{bits} %after, {name};")
    slots = [program.store(register, bits) for register in ("%before", "%after")]
    before, after = (program.launch()[slot] for slot in slots)
    assert all(a <= b for a, b in zip(before, after, strict=True))
