"""Do the `mbarrier` instructions do what the scalar reference does, and order what they should?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

import ptxvm
from tests.ptxvm.lane_forms import each
from tests.ptxvm.ptx_kernel import FILL, Program
from tests.ptxvm.scalar.mbarrier import Barrier, State

CTAS, THREADS, BARRIERS = 2, 64, 4
SPACES = "{- .shared .shared::cta}"
ARRIVE = [
    *each(f"mbarrier.arrive{{- .release.cta}}{SPACES}.b64"),
    *each(f"mbarrier.arrive.noComplete{{- .release.cta}}{SPACES}.b64"),
]
DROP = [o.replace("arrive", "arrive_drop") for o in ARRIVE]
WAIT = [*each(f"mbarrier.{{test_wait try_wait}}{{- .parity}}{{- .acquire.cta}}{SPACES}.b64")]
INIT, INVAL = [*each(f"mbarrier.init{SPACES}.b64")], [*each(f"mbarrier.inval{SPACES}.b64")]
GUARDS = ("", "@%p ", "@!%p ")


def place(program: Program, opcode: str, shape: str, numbers: list[int]) -> str:
    """The address of the barriers of these numbers: of shared memory, or a generic one."""
    offset = program.load("%number", "b64", shape, program.words([8 * n for n in numbers]))
    base = "%shared_base" if ".shared" in opcode else "%generic_base"
    program.add(f"add.u64 %place, {offset}, {base};")
    return "%place"


def begin(seed: str) -> Program:
    program = Program(CTAS, THREADS, f".shared .align 8 .b64 barriers[{BARRIERS}];\n")
    for name, kind in (
        ("%place", "b64"), ("%shared_base", "b64"), ("%generic_base", "b64"), ("%state", "b64"), ("%over", "pred"),
        ("%left", "b32"), ("%p", "pred"), ("%count", "b32"), ("%first", "pred"),
    ):  # fmt: skip
        program.register(name, kind)
    program.add("mov.u64 %shared_base, barriers;", "cvta.shared.u64 %generic_base, %shared_base;")
    program.add("setp.eq.u32 %first, %thread, 0;")
    return program


def check(arrivals: Sequence[str], waits: Sequence[str], seed: str, **options: Any) -> int:
    """Arrivals of all threads at barriers, each followed by a look at the phase. How many results were compared."""
    rng, program = random.Random(seed), begin(seed)
    done = []
    for step, opcode in enumerate(arrivals):
        shape = rng.choice(("uniform", "thread", "both"))
        guard = GUARDS[step % 3]
        init, inval = INIT[step % 3], INVAL[step % 3]
        sizes = [rng.randrange(1, 200) for _ in range(BARRIERS)]
        for number, size in enumerate(sizes):
            program.load("%count", "b32", "uniform", program.words([size] * program.lanes))
            count = "%count" if number % 2 else str(size)
            program.add(f"@%first {init} [{place(program, init, 'uniform', [number] * program.lanes)}], {count};")
        program.add("bar.sync 0;")
        barriers = [[Barrier(size) for size in sizes] for _ in range(CTAS)]
        numbers = [rng.randrange(BARRIERS) for _ in range(program.lanes)]
        flags, states, counts = [], [State(0, 0)] * program.lanes, [rng.randrange(1, 4) for _ in range(program.lanes)]
        incomplete = "noComplete" in opcode
        for lane in range(program.lanes):
            barrier = barriers[lane // THREADS][numbers[program.place[shape][lane]]]
            count = counts[lane] if incomplete else 1
            arrives = rng.random() < 0.8 if guard else True
            if (incomplete and count >= barrier.pending) or ("drop" in opcode and count >= barrier.expected):
                arrives = False
            if arrives:
                states[lane] = barrier.arrive(count, "drop" in opcode, not incomplete)
            flags.append(int(arrives))
        if not guard and not all(flags):
            guard = "@%p "
        program.load("%p", "pred", "both", program.words([f ^ (guard == "@!%p ") for f in flags]))
        extra = f", {program.load('%count', 'b32', 'both', program.words(counts))}" if incomplete else ""
        program.add("mov.b64 %state, 0;")
        program.add(f"{guard}{opcode} %state, [{place(program, opcode, shape, numbers)}]{extra};")
        program.add("mbarrier.pending_count.b64 %left, %state;", "bar.sync 0;")
        left = program.store("%left", 32)
        wait = waits[step % len(waits)]
        parity = rng.randrange(2)
        asked = str(parity) if "parity" in wait else "%state"
        program.add("setp.ne.u32 %over, 0, 0;")
        program.add(f"{guard}{wait} %over, [{place(program, wait, shape, numbers)}], {asked};")
        over = program.store("%over", 1)
        program.add("bar.sync 0;")
        overs = []
        for lane in range(program.lanes):
            barrier = barriers[lane // THREADS][numbers[program.place[shape][lane]]]
            over_now = barrier.test_wait_parity(parity) if "parity" in wait else barrier.test_wait(states[lane])
            overs.append(over_now if flags[lane] else False)
        program.add(
            f"mbarrier.arrive.b64 %state, [{place(program, '', shape, numbers)}];"
        )  # the next phase shows drops
        program.add("mbarrier.pending_count.b64 %left, %state;", "bar.sync 0;")
        again = program.store("%left", 32)
        for lane in range(program.lanes):
            barrier = barriers[lane // THREADS][numbers[program.place[shape][lane]]]
            where = f"{guard}{opcode}, {wait}, {shape}, lane {lane}"
            done += [(where, left, lane, states[lane].pending), (where, over, lane, overs[lane])]
            done.append((f"{where}, once more", again, lane, barrier.arrive().pending))
        for number in range(BARRIERS):
            program.add(f"@%first {inval} [{place(program, inval, 'uniform', [number] * program.lanes)}];")
        program.add("bar.sync 0;")
    results = program.launch(**options)
    for where, slot, lane, want in done:
        assert want is None or results[slot][lane] & 0xFFFFFFFF == want, where
    return len(done)


def test_every_form() -> None:
    forms = [*ARRIVE, *DROP]
    assert check(forms, WAIT, "every form") == 3 * len(forms) * CTAS * THREADS


@pytest.mark.parametrize(
    "schedule",
    [ptxvm.Schedule.normal(batch_threads=64), ptxvm.Schedule.normal()],
    ids=["a block at a time", "together"],
)
def test_with_the_race_detector(schedule: ptxvm.Schedule) -> None:
    check([*ARRIVE[:2], *DROP[-2:]], WAIT[:5], "races", schedule=schedule, checks=ptxvm.Checks(races="shared"))


# -- waiting ----------------------------------------------------------------------------------------------------------
HANDOVER = """
setp.lt.u32 %q, %thread, 32;
@%first mbarrier.init.shared.b64 [%shared_base], 32;
bar.sync 0;
@!%q bra WAIT;
st.shared.b32 [%at], %lane;
{arrive}
bra END;
WAIT:
{test}
ld.shared.b32 %left, [%at+-128];
"""
LOOP = "AGAIN: mbarrier.test_wait.parity.acquire.cta.shared.b64 %over, [%shared_base], 0;\n@!%over bra AGAIN;"
ARRIVES = "mbarrier.arrive.release.cta.shared.b64 %state, [%shared_base];"


def handover(arrive: str, test: str, **options: Any) -> list[int]:
    """Warp 0 stores and arrives, warp 1 waits and reads what it stored."""
    program = begin("handover")
    program.variables += f".shared .align 4 .b32 tile[{THREADS}];\n"
    program.register("%q", "pred")
    program.register("%at", "b32")
    program.add("mov.u32 %at, tile;", "mad.lo.u32 %at, %thread, 4, %at;")
    program.add(*HANDOVER.format(arrive=arrive, test=test).strip().splitlines())
    slot = program.store("%left", 32)
    program.add("END:")
    return [r & 0xFFFFFFFF for r in program.launch(**options)[slot]]


RACES = ptxvm.Checks(races="shared")
WANT = [x for cta in range(CTAS) for x in [FILL & 0xFFFFFFFF] * 32 + [cta * THREADS + i for i in range(32)]]


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_who_waits_sees_what_was_stored_before_the_arrival(seed: int | None) -> None:
    schedule = ptxvm.Schedule.normal() if seed is None else ptxvm.Schedule.fuzz(seed)
    assert handover(ARRIVES, LOOP, checks=RACES, schedule=schedule) == WANT


@pytest.mark.parametrize(
    ("arrive", "test"),
    [
        (ARRIVES, ""),
        (ARRIVES + "\nst.shared.b32 [%at], %lane;", LOOP),
    ],
    ids=["no wait", "a store after the arrival"],
)
def test_a_race_past_an_mbarrier_is_found(arrive: str, test: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = []
    launch = ptxvm.Device.launch
    monkeypatch.setattr(ptxvm.Device, "launch", lambda *a, **k: reports.append(launch(*a, **k)))
    handover(arrive, test, checks=RACES)
    assert [finding.kind for finding in reports[0].races] == ["race"]


def test_waiting_for_nobody_is_an_endless_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptxvm.schedule.IDLE_LIMIT", 200)
    with pytest.raises(ptxvm.Fault, match="endless loop"):
        handover("", LOOP)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("mbarrier.arrive.shared.b64 %state, [%shared_base+8];", "no mbarrier.init made this word a barrier"),
        (
            "mbarrier.arrive.noComplete.shared.b64 %state, [%shared_base], 32;",
            "an arrival without completion ends its phase",
        ),
        ("mbarrier.arrive.noComplete.shared.b64 %state, [%shared_base], 33;", "an arrival without completion ends"),
        ("mbarrier.init.shared.b64 [%shared_base+16], 0;", "its count must lie between 1 and 1,048,575"),
        ("mbarrier.init.shared.b64 [%shared_base+16], 1048576;", "its count must lie between 1 and 1,048,575"),
        ("mbarrier.inval.shared.b64 [%shared_base];\nmbarrier.arrive.b64 _, [%generic_base];", "no mbarrier.init made"),
    ],
)
def test_what_the_isa_leaves_open_is_a_fault(line: str, what: str) -> None:
    with pytest.raises(ptxvm.Fault, match=what) as caught:
        handover(line, "")
    assert caught.value.finding.kind == "broken mbarrier"


def test_a_generic_address_must_point_to_shared_memory() -> None:
    with pytest.raises(ptxvm.Fault, match="out of bounds"):
        handover("mbarrier.arrive.b64 %state, [%given];", "")


# -- copies -----------------------------------------------------------------------------------------------------------
COPIES = [*each(f"cp.async.mbarrier.arrive{{- .noinc}}{SPACES}.b64")]


def copied(opcode: str, arrives: bool, waits: bool, **options: Any) -> list[int]:
    """Warp 0 copies 4 bytes a thread from global memory under a barrier; warp 1 waits for them."""
    copy = "cp.async.ca.shared.global [%at], [%from], 4;\n"
    copy += f"{opcode} [{'%shared_base' if '.shared' in opcode else '%generic_base'}];\n"
    program = begin("copied")
    program.variables += f".shared .align 4 .b32 tile[{THREADS}];\n"
    for name, kind in (("%q", "pred"), ("%at", "b32"), ("%from", "b64")):
        program.register(name, kind)
    program.add("mov.u32 %at, tile;", "mad.lo.u32 %at, %thread, 4, %at;", "mov.u64 %from, %at_both;")
    words = [random.Random("copied").getrandbits(32) for _ in range(program.lanes)]
    program.data = words
    text = HANDOVER.replace("st.shared.b32 [%at], %lane;", "")
    program.add(*text.format(arrive=copy + ARRIVES * arrives, test=LOOP * waits).strip().splitlines())
    slot = program.store("%left", 32)
    program.add("END:")
    got = [r & 0xFFFFFFFF for r in program.launch(**options)[slot]]
    assert got[32:64] != words[:32] or waits
    return [got[i] == words[i - 32] for i in range(program.lanes) if i % 64 >= 32]


@pytest.mark.parametrize("opcode", COPIES)
@pytest.mark.parametrize("seed", [None, 5])
def test_copies_under_a_barrier(opcode: str, seed: int | None) -> None:
    """`.noinc` is one of the arrivals that the phase waits for; without it each thread has to arrive as well."""
    schedule = ptxvm.Schedule.normal() if seed is None else ptxvm.Schedule.fuzz(seed)
    assert all(copied(opcode, "noinc" not in opcode, True, checks=RACES, schedule=schedule))


def test_a_copy_without_a_wait_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = []
    launch = ptxvm.Device.launch
    monkeypatch.setattr(ptxvm.Device, "launch", lambda *a, **k: reports.append(launch(*a, **k)))
    copied(COPIES[0], True, False, checks=RACES)
    assert "missing wait" in [finding.kind for finding in reports[0].findings]
