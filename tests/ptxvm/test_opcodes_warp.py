"""Do shuffles, votes, matches and reductions give each lane what the scalar reference says, with part of a warp too?"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

import ptxvm
from tests.ptxvm.lane_values import draw
from tests.ptxvm.ptx_kernel import FILL, Program
from tests.ptxvm.scalar import warp
from tests.ptxvm.scalar.warp import WARP, Results

OLD = 0x5A5A
FULL = 0xFFFFFFFF
SHUFFLES = tuple(f"shfl.sync.{mode}.b32" for mode in ("up", "down", "bfly", "idx"))
VOTES = tuple(f"vote.sync.{mode}" for mode in ("all.pred", "any.pred", "uni.pred", "ballot.b32"))
MATCHES = tuple(f"match.{mode}.sync.{kind}" for mode in ("any", "all") for kind in ("b32", "b64"))
REDUCTIONS = tuple(f"redux.sync.{o}.{k}" for o in ("add", "min", "max") for k in ("u32", "s32")) + tuple(
    f"redux.sync.{o}.b32" for o in ("and", "or", "xor")
)
OPCODES = (*SHUFFLES, *VOTES, *MATCHES, *REDUCTIONS, "activemask.b32")
# c operands of a shuffle: lane limits and segments of 32, 16, 8 and 4 lanes.
SEGMENTS = {"up": (0x0000, 0x1000, 0x1800, 0x1C00), "other": (0x001F, 0x101F, 0x181F, 0x1C1F, 0x0007)}


@dataclass(frozen=True)
class Case:
    """lanes: all of a warp, those behind a branch or whose guard holds, or all in two parts with a mask each.

    shape: of the operand a.
    """

    lanes: str
    shape: str


CASES = (
    Case("all", "uniform"), Case("all", "block"), Case("all", "thread"), Case("all", "both"),
    Case("guard", "both"), Case("guard", "thread"), Case("branch", "both"), Case("branch", "block"),
    Case("parts", "both"), Case("parts", "thread"),
)  # fmt: skip


@dataclass
class Run:
    opcode: str
    case: Case
    operands: list[list[int]]  # a, and b and c of a shuffle; of each lane
    slots: list[int]
    kinds: tuple[str, ...]


class Warps(Program):
    """Blocks of `threads` threads; %some is a predicate of random lanes, %members the mask of those of the own warp."""

    def __init__(self, threads: int, seed: str) -> None:
        super().__init__(2, threads)
        self.rng = random.Random(seed)
        self.warps = [
            [first + i for i in range(min(WARP, threads - first % threads))]
            for block in range(self.ctas)
            for first in range(block * threads, (block + 1) * threads, WARP)
        ]
        self.some = [self.rng.getrandbits(1) for _ in range(self.lanes)]
        for lanes in self.warps:
            self.some[self.rng.choice(lanes)] = 1
        masks, parts = [0] * self.lanes, [0] * self.lanes
        for lanes in self.warps:
            for lane in lanes:
                masks[lane] = sum(self.some[other] << i for i, other in enumerate(lanes))
                parts[lane] = sum((self.some[other] == self.some[lane]) << i for i, other in enumerate(lanes))
        self.load("%some", "pred", "both", self.words(self.some))
        self.load("%members", "b32", "both", self.words(masks))
        self.load("%parts", "b32", "both", self.words(parts))
        self.register("%d", "b32")
        self.register("%q", "pred")

    def active(self, case: Case, lanes: list[int]) -> list[int]:
        """Which of the 32 lanes of a warp execute an instruction."""
        return [sum(here) for here in zip(*self.parts(case, lanes), strict=True)]

    def parts(self, case: Case, lanes: list[int]) -> list[list[int]]:
        """Which of them do it together."""
        some = [self.some[lane] for lane in lanes]
        parts = {"all": [[1] * len(lanes)], "parts": [some, [1 - one for one in some]]}.get(case.lanes, [some])
        return [part + [0] * (WARP - len(lanes)) for part in parts]


def check(opcodes: Sequence[str], seed: str, threads: int = 64, cases: Sequence[Case] = CASES) -> int:
    """Run and compare; how many runs there were. Raises AssertionError for the first wrong lane."""
    program = Warps(threads, seed)
    runs: list[Run] = []
    for case in sorted(cases, key=lambda c: c.lanes == "branch"):
        if case.lanes == "branch":
            program.add(f"@!%some bra END{len(runs)};")
        first = len(runs)
        runs += [_run(program, opcode, case) for opcode in opcodes]
        if case.lanes == "branch":
            program.add(f"END{first}:")
    results = program.launch()
    for run in runs:
        _compare(program, run, results)
    return len(runs)


def _run(program: Warps, opcode: str, case: Case) -> Run:
    guard = "@%some " if case.lanes == "guard" else ""
    members = {"all": f"{FULL:#x}", "parts": "%parts"}.get(case.lanes, "%members")
    base, *words = opcode.split(".")
    program.add(f"mov.b32 %d, {OLD};", "setp.eq.u32 %q, 0, 0;")
    rng = program.rng
    kinds: tuple[str, ...] = ("b32",)
    operands: list[list[int]] = []
    if base == "activemask":
        program.add(f"{guard}{opcode} %d;")
    elif base == "vote":
        chance = rng.choice((0.02, 0.5, 0.98))
        operands = [[int(rng.random() < chance) for _ in range(program.lanes)]]
        program.load("%said", "pred", case.shape, program.words(operands[0]))
        kinds = ("b32",) if words[1] == "ballot" else ("pred",)
        program.add(f"{guard}{opcode} {'%d' if kinds == ('b32',) else '%q'}, %said, {members};")
    elif base == "shfl":
        operands, kinds = _shuffle_operands(program, words[1], case), ("b32", "pred")
        program.load("%a", "b32", case.shape, program.words(operands[0]))
        for name, values in zip(("%b", "%c"), operands[1:], strict=True):
            program.load(name, "b32", "both", program.words(values))
        program.add(f"{guard}{opcode} %d|%q, %a, %b, %c, {members};")
    else:
        kind = f"b{words[-1][1:]}"
        first = draw(kind, 1, str(rng.random()))[0]
        pool = [first, first ^ 1, first ^ (1 << (int(kind[1:]) - 1))]  # they differ in one bit
        few = base == "match" and (words[0] == "any" or rng.random() < 0.5)
        values = [rng.choice(pool if words[0] == "any" else pool[:1]) for _ in range(program.lanes)]
        operands = [values if few else draw(words[-1], program.lanes, str(rng.random()))]
        program.load(f"%a{kind}", kind, case.shape, program.words(operands[0]))
        both = base == "match" and words[0] == "all"
        kinds = ("b32", "pred") if both else ("b32",)
        program.add(f"{guard}{opcode} {'%d|%q' if both else '%d'}, %a{kind}, {members};")
    slots = [program.store("%q" if kind == "pred" else "%d", 1 if kind == "pred" else 32) for kind in kinds]
    return Run(opcode, case, operands, slots, kinds)


def _shuffle_operands(program: Warps, mode: str, case: Case) -> list[list[int]]:
    """a, b, c such that no lane reads from one that is not there: with part of a warp, b is drawn until that holds."""
    rng = program.rng
    a = draw("b32", program.lanes, str(rng.random()))
    b, c = [0] * program.lanes, [0] * program.lanes
    uniform = case.lanes == "all" and rng.random() < 0.5  # the usual case: one step for every lane
    step, segment = rng.randrange(40), rng.choice(SEGMENTS["up" if mode == "up" else "other"])
    for lanes in program.warps:
        parts = program.parts(case, lanes)
        for i, lane in enumerate(lanes):
            active = next((part for part in parts if part[i]), parts[0])
            while True:
                b[lane] = step if uniform else rng.randrange(64)
                c[lane] = segment if uniform else rng.choice(SEGMENTS["up" if mode == "up" else "other"])
                one = [[x[lane]] * WARP for x in (b, c)]
                got = warp.shfl(("sync", mode), [1] * WARP, *one, active)[0][i]
                if got is not None or not active[i]:
                    break
                if uniform:  # the last warp of the block is short: these lanes read themselves
                    b[lane] = 0 if mode != "idx" else i
                    c[lane] = 0x1F if mode != "up" else 0
                    break
    return [a, b, c]


def _expected(run: Run, values: list[list[int]], active: list[int]) -> tuple[Results, ...]:
    base, *words = run.opcode.split(".")
    functions: dict[str, Callable[[], Results | tuple[Results, ...]]] = {
        "shfl": lambda: warp.shfl(tuple(words), *values, active),
        "vote": lambda: warp.vote(tuple(words), *values, active),
        "match": lambda: warp.match_any(*values, active) if words[0] == "any" else warp.match_all(*values, active),
        "redux": lambda: warp.redux(tuple(words), *values, active),
        "activemask": lambda: warp.activemask(active),
    }
    result = functions[base]()
    return result if isinstance(result, tuple) else (result,)


def _compare(program: Warps, run: Run, results: list[list[int]]) -> None:
    shapes = [run.case.shape, "both", "both"]
    for lanes in program.warps:
        parts = program.parts(run.case, lanes)
        if run.opcode.startswith("activemask"):
            parts = [program.active(run.case, lanes)]
        values = [[o[program.place[s][lane]] for lane in lanes] for o, s in zip(run.operands, shapes, strict=False)]
        padded = [v + [0] * (WARP - len(v)) for v in values]
        wants = zip(*(_expected(run, padded, active) for active in parts if any(active)), strict=True)
        for slot, kind, want in zip(run.slots, run.kinds, wants, strict=True):
            for i, lane in enumerate(lanes):
                got = results[slot][lane] & FULL
                wanted = next((of_part[i] for of_part in want if of_part[i] is not None), None)
                if wanted is None:
                    wanted = FILL & FULL if run.case.lanes == "branch" else 1 if kind == "pred" else OLD
                where = f"{run.opcode}, {run.case}, lane {lane}, {kind}"
                assert got == wanted, f"{where}: {got:#x}, not {wanted:#x}, for {[hex(v[i]) for v in padded]}"


@pytest.mark.parametrize("threads", [64, 32, 80])
@pytest.mark.parametrize("seed", range(3))
def test_warp_operations(threads: int, seed: int) -> None:
    """80 threads: the last warp has 16, and the full mask still names 32."""
    assert check(OPCODES, f"warps {seed}", threads) == len(OPCODES) * len(CASES)


@pytest.mark.parametrize("threads", [64, 80])
@pytest.mark.parametrize("lanes", ["all", "guard", "branch"])
def test_elect_picks_one_member(threads: int, lanes: str) -> None:
    """Any member will do, the same for all: the ISA does not say which."""
    program, case = Warps(threads, f"elect {lanes}"), Case(lanes, "both")
    program.add("" if lanes != "branch" else "@!%some bra END;")
    members = f"{FULL:#x}" if lanes == "all" else "%members"
    program.add(f"{'@%some ' if lanes == 'guard' else ''}elect.sync %d|%q, {members};")
    leaders, chosen = program.store("%d", 32), program.store("%q", 1)
    program.add("" if lanes != "branch" else "END:")
    results = program.launch()
    for warp_lanes in program.warps:
        active = program.active(case, warp_lanes)
        here = [i for i in range(len(warp_lanes)) if active[i]]
        leader = {results[leaders][warp_lanes[i]] & FULL for i in here}
        assert len(leader) == 1
        assert leader <= set(here)
        assert [i for i in here if results[chosen][warp_lanes[i]] & 1] == list(leader)


@pytest.mark.parametrize("members", ["0xfffffffe", "%members"])
def test_a_lane_that_its_mask_does_not_name_is_a_fault(members: str) -> None:
    """Undefined in PTX; ptxvm says so."""
    program = Warps(64, "unnamed")
    assert 0 in program.some
    program.add(f"redux.sync.add.u32 %d, %lane, {members};")
    with pytest.raises(ptxvm.Fault) as caught:
        program.launch()
    assert caught.value.finding.kind == "mask mismatch"


def test_the_lanes_of_a_warp_see_what_the_others_stored() -> None:
    """`bar.warp.sync` of the lanes behind a branch, and of all."""
    program = Warps(64, "barrier")
    program.variables = ".shared .align 4 .b32 tile[64];\n"
    for name in ("%at", "%other"):
        program.register(name, "b32")
    program.add("mov.u32 %at, tile;", "mad.lo.u32 %at, %thread, 4, %at;", "st.shared.b32 [%at], %lane;")
    program.add(f"bar.warp.sync {FULL:#x};", "xor.b32 %other, %at, 64;", "ld.shared.b32 %d, [%other];")
    first = program.store("%d", 32)
    program.add("@!%some bra END;", "bar.warp.sync %members;", "ld.shared.b32 %d, [%at];")
    second = program.store("%d", 32)
    program.add("END:")
    results = program.launch()
    for lane in range(program.lanes):
        assert results[first][lane] & FULL == lane ^ 16
        assert results[second][lane] & FULL == (lane if program.some[lane] else FILL & FULL)
