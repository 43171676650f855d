"""Which group runs next, who waits at which barrier, and when a launch is stuck.

Normal order: the waiting group with the lowest block in reverse post-order, merged with all groups at that block, so
structured code reconverges where a GPU's would. Under `Schedule.fuzz` the warps of a CTA run one after another in
random order between barriers, which makes a racy kernel give wrong numbers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ptxvm.access import Site
from ptxvm.barriers import Barriers
from ptxvm.calls import FRAME, Context, Path, enter, leave
from ptxvm.codegen.blocks import Compiled, CompiledBlock
from ptxvm.counters import Counting
from ptxvm.errors import Fault, LaneFault
from ptxvm.group import WARP, Array, Group, merge
from ptxvm.link import TOP
from ptxvm.machine import Machine
from ptxvm.meeting import Meetings
from ptxvm.types import DTYPES

IDLE_LIMIT = 20_000  # visits of such blocks during which nothing changes, before it is called an endless loop
SPIN_LIMIT = 64  # visits of a block that may wait for another thread before others get their turn


@dataclass(frozen=True)
class Schedule:
    """In which order threads run. Results of a race-free kernel do not depend on it.

    batch_threads  threads that run together (CTAs are never split). More cost less time for each, until the registers
                   of a batch no longer fit into the processor's cache
    seed           None: deterministic and reconverging; a number: random order of warps and CTAs
    blocks         linear block numbers to run instead of the whole grid, for counters only
    max_visits     basic blocks that one batch may run before it is called an endless loop
    """

    batch_threads: int = 65536
    seed: int | None = None
    blocks: tuple[int, ...] | None = None
    max_visits: int = 500_000

    @classmethod
    def normal(cls, batch_threads: int = 65536, blocks: Sequence[int] | None = None) -> Schedule:
        """Deterministic; atomics in lane order."""
        return cls(batch_threads=batch_threads, blocks=None if blocks is None else tuple(blocks))

    @classmethod
    def fuzz(cls, seed: int, blocks: Sequence[int] | None = None) -> Schedule:
        """Random order of CTAs, and of warps between barriers."""
        return cls(batch_threads=16384, seed=seed, blocks=None if blocks is None else tuple(blocks))


class BatchRun:
    """Runs one batch of CTAs to the end."""

    def __init__(self, compiled: Compiled, machine: Machine, schedule: Schedule, counting: Counting | None) -> None:
        self.compiled, self.machine, self.counting = compiled, machine, counting
        self.schedule = schedule
        self.threads = machine.memory.threads
        self.ctas = machine.memory.ctas
        self.random = random.Random(schedule.seed) if schedule.seed is not None else None
        self.queues: dict[int, dict[Path, list[Group]]] = {}  # strand -> calls and block -> groups
        self.contexts: dict[Path, Context] = {(): Context(compiled)}
        self.context = self.contexts[()]  # of the group that runs
        self.strand = 0
        self.spun = 0
        self.idle = 0  # visits of blocks that may wait since anything changed
        self.changes = 0
        self.barriers = Barriers(self)
        self.meetings = Meetings(self)
        self.turns: dict[Path, int] = {}  # when a place that spins was last run while others waited

    def run(self) -> None:
        """Execute every thread. Raises Fault."""
        self._start()
        while True:
            picked = self._pick()
            if picked is None:
                break
            self._step(*picked)
        if self.meetings.held:
            raise self.meetings.stuck()
        if self.barriers.waiting:
            raise self.barriers.deadlock()

    # -- choosing ------------------------------------------------------------------------------------------------
    def _start(self) -> None:
        ctas = np.arange(self.ctas, dtype=np.int64)[:, None]
        live = self.compiled.graph.live_in[0]

        def registers() -> dict[str, Array]:
            regs = {name: np.zeros((1, 1), DTYPES[self.compiled.graph.dtypes[name]]) for name in live}
            if self.compiled.has_alloca:
                regs[TOP] = np.array([[self.compiled.part_of(0).frame_bytes]])
            return regs

        if self.random is None:
            tids = np.arange(self.threads, dtype=np.int64)[None, :]
            self.push(Group(0, ctas, tids, registers()), 0)
            return
        for first in range(0, self.threads, WARP):
            tids = np.arange(first, min(first + WARP, self.threads), dtype=np.int64)[None, :]
            self.push(Group(0, ctas, tids, registers()), 0)

    def live(self, block: int) -> frozenset[str]:
        """Registers to keep for a block that runs within the present calls."""
        return self.context.live(block)

    def push(self, group: Group, block: int, context: Context | None = None) -> None:
        """Let a group run a block next, within the present calls or others."""
        group.block = block
        strand, place = key = self.place_of(group, block, context)
        groups = self.queues.setdefault(strand, {}).setdefault(place, [])
        groups.append(group)
        if self.meetings.held:
            groups += self.meetings.come(key)

    def place_of(self, group: Group, block: int, context: Context | None = None) -> tuple[int, Path]:
        """(strand, calls and block) of a group that runs a block within the present calls or others."""
        strand = 0 if self.random is None else int(group.tids.flat[0]) // WARP
        return strand, (*(context or self.context).path, block)

    def _pick(self) -> tuple[Group, int] | None:
        queue = self.queues.get(self.strand)
        if not queue or (self.random is not None and self.spun > SPIN_LIMIT and len(self.queues) > 1):
            if not queue:
                self.queues.pop(self.strand, None)
            if not self.queues:
                return None
            others = [s for s in sorted(self.queues) if s != self.strand] or [self.strand]
            self.strand = self.random.choice(others) if self.random is not None else others[0]
            self.spun = 0
            queue = self.queues[self.strand]
        place = min(queue)
        if self.compiled.blocks[place[-1]].spins and (len(queue) > 1 or len(self.queues) > 1):
            self.spun += 1
            if self.spun > SPIN_LIMIT and len(queue) > 1:
                place = min(queue, key=self._turn)
                self.turns[place] = self.machine.who.visits
        groups = queue.pop(place)
        if not queue:
            del self.queues[self.strand]
        self.enter_context(self.contexts[place[:-1]])
        return merge(groups, self.live(place[-1])), place[-1]

    def _turn(self, place: Path) -> tuple[bool, int, Path]:
        """Whose turn it is when somebody has waited for long: first who waits for nobody, then who ran longest ago."""
        return self.compiled.blocks[place[-1]].spins, self.turns.get(place, -1), place

    def enter_context(self, context: Context) -> None:
        """From now on a group runs within these calls."""
        self.context = context
        self.machine.calls = context.calls

    # -- running -------------------------------------------------------------------------------------------------
    def _step(self, group: Group, index: int) -> None:
        block = self.compiled.blocks[index]
        machine = self.machine
        machine.who.visits += 1
        if machine.who.visits > self.schedule.max_visits:
            raise self._endless(group, block, f"stopped after {self.schedule.max_visits:,} steps without an end")
        if block.spins:
            self.idle = self.idle + 1 if machine.memory.changes == self.changes else 0
            self.changes = machine.memory.changes
            if self.idle > IDLE_LIMIT:
                raise self._endless(
                    group, block, f"{IDLE_LIMIT:,} rounds of waiting, and no thread has changed anything"
                )
        if block.meets and group.warp_slots()[0] is not None:
            left = self.meetings.hold(group, index)
            if left is None:
                return
            group = left
        if self.counting is not None:
            self.counting.visit(index, group)
        machine.frame = group.regs.get(FRAME) if self.context.path else None
        try:
            result = block.run(group, machine)
        except LaneFault as fault:
            raise machine.fault(self._site_of(fault), group, fault) from None
        if block.kind == "next":
            if block.successors:
                self.push(group, block.successors[0])
            else:
                self._exit(group)
        elif block.kind == "branch":
            self._branch(group, block, result)
        elif block.kind == "table":
            self._jump(group, block, *result)
        elif block.kind == "exit":
            self._exit_some(group, block, result)
        elif block.kind == "call":
            enter(self, group, index, *result)
        elif block.kind == "return":
            leave(self, group, index, *result)
        else:
            self.barriers.reach(group, block, *result)

    def _branch(self, group: Group, block: CompiledBlock, taken: Array) -> None:
        yes, no = block.successors[0], block.successors[-1]
        if taken.size == 1 or yes == no:
            self.push(group, yes if taken.flat[0] else no)
            return
        first = group.take(taken, self.live(yes))
        second = group.take(~taken, self.live(no))
        if self.counting is not None and block.end is not None and first is not None and second is not None:
            self.counting.branch(block.end, group, taken)
        if first is not None:
            self.push(first, yes)
        if second is not None:
            self.push(second, no)

    def _jump(self, group: Group, block: CompiledBlock, lanes: Array | None, chosen: Array) -> None:
        """`brx.idx`: each lane goes to the target of its number."""
        assert block.end is not None
        targets = block.successors if lanes is None else block.successors[:-1]
        taken = np.True_ if lanes is None else lanes
        wild = taken & (chosen >= len(targets))
        if wild.any():
            detail = f"a jump to target {int(chosen.max())} of {len(targets)}"
            raise self.machine.fault(block.end, group, LaneFault("wrong target", detail, wild))
        if lanes is not None:
            chosen = np.where(lanes, chosen, len(targets))
        for number in np.unique(chosen):
            successor = block.successors[number]
            part = group.take(chosen == number, self.live(successor))
            if part is not None:
                self.push(part, successor)

    def _exit_some(self, group: Group, block: CompiledBlock, lanes: Array | None) -> None:
        if lanes is not None:
            left = group.take(np.broadcast_to(~lanes, lanes.shape), self.live(block.successors[0]))
            if left is not None:
                self.push(left, block.successors[0])
            gone = group.take(lanes, ())
            if gone is None:
                return
            group = gone
        self._exit(group)

    def _exit(self, group: Group) -> None:
        self.idle = 0
        self.machine.copies.wait(group, None, None)
        if self.compiled.has_meetings:
            self.machine.exit(group)
            self.meetings.look_again()
        self.barriers.exit(group)

    # -- being stuck ---------------------------------------------------------------------------------------------
    def _endless(self, group: Group, block: CompiledBlock, detail: str) -> Fault:
        site = block.end or self.compiled.sites[self.compiled.graph.blocks[group.block].first]
        others = self.barriers.who_waits(int(group.ctas.flat[0]))
        if others:
            detail += f". Of the other threads of the block {others}"
        return self.machine.fault(site, group, LaneFault("endless loop", detail, np.ones((1, 1), bool)))

    def _site_of(self, fault: LaneFault) -> Site:
        """The instruction whose generated line raised."""
        trace = fault.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self.compiled.file:
                return self.compiled.sites[self.compiled.instruction_at[trace.tb_lineno]]
            trace = trace.tb_next
        return self.compiled.sites[0]
