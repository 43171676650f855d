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
from ptxvm.codegen.blocks import Compiled, CompiledBlock
from ptxvm.counters import Counting
from ptxvm.errors import Fault, LaneFault
from ptxvm.group import WARP, Array, Group, merge
from ptxvm.machine import Machine, source_text
from ptxvm.report import Finding
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


@dataclass
class _Waiting:
    """A group that stands at a barrier."""

    group: Group
    name: int
    count: int | None
    successor: int
    site: Site
    mixed_allowed: bool  # `barrier.sync` and named barriers may be awaited from several places


class BatchRun:
    """Runs one batch of CTAs to the end."""

    def __init__(self, compiled: Compiled, machine: Machine, schedule: Schedule, counting: Counting | None) -> None:
        self.compiled, self.machine, self.counting = compiled, machine, counting
        self.schedule = schedule
        self.threads = machine.memory.threads
        self.ctas = machine.memory.ctas
        self.random = random.Random(schedule.seed) if schedule.seed is not None else None
        self.queues: dict[int, dict[int, list[Group]]] = {}  # strand -> block -> groups
        self.strand = 0
        self.spun = 0
        self.idle = 0  # visits of blocks that may wait since anything changed
        self.changes = 0
        self.waiting: list[_Waiting] = []
        self.arrived: dict[int, Array] = {}
        self.exited = np.zeros(self.ctas, np.int64)

    def run(self) -> None:
        """Execute every thread. Raises Fault."""
        self._start()
        while True:
            picked = self._pick()
            if picked is None:
                break
            self._step(*picked)
        if self.waiting:
            raise self._deadlock()

    # -- choosing ------------------------------------------------------------------------------------------------
    def _start(self) -> None:
        ctas = np.arange(self.ctas, dtype=np.int64)[:, None]
        live = self.compiled.graph.live_in[0]

        def registers() -> dict[str, Array]:
            return {name: np.zeros((1, 1), DTYPES[self.compiled.graph.dtypes[name]]) for name in live}

        if self.random is None:
            tids = np.arange(self.threads, dtype=np.int64)[None, :]
            self._push(Group(0, ctas, tids, registers()), 0)
            return
        for first in range(0, self.threads, WARP):
            tids = np.arange(first, min(first + WARP, self.threads), dtype=np.int64)[None, :]
            self._push(Group(0, ctas, tids, registers()), 0)

    def _push(self, group: Group, block: int) -> None:
        group.block = block
        strand = 0 if self.random is None else int(group.tids.flat[0]) // WARP
        self.queues.setdefault(strand, {}).setdefault(block, []).append(group)

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
        block = min(queue)
        if self.compiled.blocks[block].spins and (len(queue) > 1 or len(self.queues) > 1):
            self.spun += 1
            if self.spun > SPIN_LIMIT:
                others = [b for b in queue if b != block and self._can_go_on(b, queue[b])]
                if others:
                    block = min(others)
                else:
                    self.spun = 0 if self.random is None else self.spun
        groups = queue.pop(block)
        if not queue:
            del self.queues[self.strand]
        return merge(groups, self.compiled.graph.live_in[block]), block

    def _can_go_on(self, block: int, groups: Sequence[Group]) -> bool:
        """Whether groups may run before the ones that spin: where lanes must meet, if none of their warps spins."""
        if not self.compiled.blocks[block].meets:
            return True
        lanes = np.zeros((self.ctas, -(-self.threads // WARP)), np.int64)
        for group in groups:
            np.add.at(lanes, np.broadcast_arrays(group.ctas, group.tids // WARP), 1)
        full = np.minimum(self.threads - WARP * np.arange(lanes.shape[1]), WARP)
        return bool(((lanes == 0) | (lanes == full)).all())

    # -- running -------------------------------------------------------------------------------------------------
    def _step(self, group: Group, index: int) -> None:
        block = self.compiled.blocks[index]
        machine = self.machine
        machine.visits += 1
        if machine.visits > self.schedule.max_visits:
            raise self._endless(group, block, f"stopped after {self.schedule.max_visits:,} steps without an end")
        if block.spins:
            self.idle = self.idle + 1 if machine.memory.changes == self.changes else 0
            self.changes = machine.memory.changes
            if self.idle > IDLE_LIMIT:
                raise self._endless(
                    group, block, f"{IDLE_LIMIT:,} rounds of waiting, and no thread has changed anything"
                )
        if self.counting is not None:
            self.counting.visit(index, group)
        try:
            result = block.run(group, machine)
        except LaneFault as fault:
            raise machine.fault(self._site_of(fault), group, fault) from None
        if block.kind == "next":
            if block.successors:
                self._push(group, block.successors[0])
            else:
                self._exit(group)
        elif block.kind == "branch":
            self._branch(group, block, result)
        elif block.kind == "exit":
            self._exit_some(group, block, result)
        else:
            self._barrier(group, block, *result)

    def _branch(self, group: Group, block: CompiledBlock, taken: Array) -> None:
        yes, no = block.successors[0], block.successors[-1]
        if taken.size == 1 or yes == no:
            self._push(group, yes if taken.flat[0] else no)
            return
        live = self.compiled.graph.live_in
        first = group.take(taken, live[yes])
        second = group.take(~taken, live[no])
        if self.counting is not None and block.end is not None and first is not None and second is not None:
            self.counting.branch(block.end, group, taken)
        if first is not None:
            self._push(first, yes)
        if second is not None:
            self._push(second, no)

    def _exit_some(self, group: Group, block: CompiledBlock, lanes: Array | None) -> None:
        if lanes is not None:
            left = group.take(np.broadcast_to(~lanes, lanes.shape), self.compiled.graph.live_in[block.successors[0]])
            if left is not None:
                self._push(left, block.successors[0])
            gone = group.take(lanes, ())
            if gone is None:
                return
            group = gone
        self._exit(group)

    def _exit(self, group: Group) -> None:
        self.idle = 0
        self.machine.copies.wait(group, None, None)
        self._add(self.exited, group)
        for name, count in {(w.name, w.count) for w in self.waiting}:
            self._release(name, count)

    def _add(self, totals: Array, group: Group) -> None:
        """Count a group's threads to their CTAs."""
        if group.product:
            totals[group.ctas[:, 0]] += group.shape[1]
        else:
            np.add.at(totals, group.ctas[:, 0], 1)

    # -- barriers ------------------------------------------------------------------------------------------------
    def _barrier(
        self, group: Group, block: CompiledBlock, names: Array, counts: Array | None, lanes: Array | None, arrive: bool
    ) -> None:
        assert block.end is not None
        successor = block.successors[0]
        live = self.compiled.graph.live_in[successor]
        if lanes is not None and not lanes.all():
            rest = group.take(~lanes, live)
            if rest is not None:
                self._push(rest, successor)
            inside = group.take(lanes, live)
            if inside is None:
                return
            group = inside
        if names.size > 1 or (counts is not None and counts.size > 1):
            key = np.broadcast_to(names.astype(np.int64) << 32, group.shape) + (0 if counts is None else counts)
            for value in np.unique(key):
                part = group.take(key == value, live)
                assert part is not None
                self._arrive(part, block.end, int(value) >> 32, int(value) & 0xFFFFFFFF or None, successor, arrive)
            return
        count = None if counts is None else int(counts.flat[0])
        self._arrive(group, block.end, int(names.flat[0]), count, successor, arrive)

    def _arrive(self, group: Group, site: Site, name: int, count: int | None, successor: int, arrive: bool) -> None:
        if self.counting is not None:
            self.counting.barrier(site, group)
        whole = group.product and group.shape[1] == self.threads and count in (None, self.threads) and not arrive
        if whole and not any(w.name == name for w in self.waiting):
            if self.machine.races is not None:
                self.machine.races.barrier(group.ctas[:, 0])
            self._push(group, successor)
            return
        self._add(self.arrived.setdefault(name, np.zeros(self.ctas, np.int64)), group)
        if arrive:
            self._push(group, successor)
        else:
            several = site.ins.parts[0] == "barrier" or count is not None or name != 0
            self.waiting.append(_Waiting(group, name, count, successor, site, several))
        self._release(name, count)

    def _release(self, name: int, count: int | None) -> None:
        """Let go the CTAs whose barrier `name` is complete."""
        arrived = self.arrived.get(name)
        if arrived is None:
            return
        needed = self.threads - self.exited if count is None else np.full(self.ctas, count)
        complete = (arrived >= needed) & (arrived > 0)
        if not complete.any():
            return
        self.idle = 0
        left: list[_Waiting] = []
        sites: dict[int, list[_Waiting]] = {}
        released: list[tuple[Group, int]] = []
        for w in self.waiting:
            go = complete[w.group.ctas] if w.name == name else np.zeros((1, 1), bool)
            live = self.compiled.graph.live_in[w.successor]
            part = w.group.take(go, live) if go.any() else None
            if part is None:
                left.append(w)
                continue
            for cta in np.unique(part.ctas):
                sites.setdefault(int(cta), []).append(w)
            released.append((part, w.successor))
            rest = w.group.take(~go, live)
            if rest is not None:
                left.append(_Waiting(rest, w.name, w.count, w.successor, w.site, w.mixed_allowed))
        self._check_release(name, count, np.flatnonzero(complete), sites)
        self.waiting = left
        arrived[complete] = 0
        if self.machine.races is not None:
            if count is None or count >= self.threads:
                self.machine.races.barrier(np.flatnonzero(complete))
            else:
                self.machine.races.named_barrier([(part.ctas, part.tids) for part, _ in released])
        for part, successor in released:
            self._push(part, successor)

    def _check_release(self, name: int, count: int | None, ctas: Array, sites: dict[int, list[_Waiting]]) -> None:
        for cta, waits in sites.items():
            places = {w.site.index: w for w in waits}
            if len(places) > 1 and not any(w.mixed_allowed for w in waits):
                first, second = list(places.values())[:2]
                finding = self._finding(
                    "two barriers", f"threads of one block wait at two places for barrier {name}", first, cta
                )
                raise Fault(self._with_other(finding, self._finding("two barriers", "", second, cta), first.site))
        early = [int(c) for c in ctas if self.exited[c] > 0 and int(c) in sites] if count is None else []
        if early:
            wait = sites[early[0]][0]
            detail = (
                f"{int(self.exited[early[0]])} of {self.threads} threads of the block have returned and never reach it"
            )
            self.machine.findings.add(
                self._finding("barrier after early return", detail, wait, early[0], len(early)), wait.site.index
            )

    def _finding(self, kind: str, detail: str, wait: _Waiting, cta: int, count: int = 1) -> Finding:
        inside = wait.group.ctas == cta
        tids = wait.group.tids if wait.group.product else wait.group.tids[inside[:, 0]]
        return Finding(
            kind=kind,
            detail=detail,
            file=wait.site.source.file if wait.site.source else None,
            line=wait.site.source.line if wait.site.source else None,
            text=source_text(wait.site),
            block=self.machine.block_coordinates(cta),
            thread=self.machine.thread_coordinates(int(tids.flat[0])),
            count=count,
        )

    def _with_other(self, finding: Finding, other: Finding, site: Site) -> Finding:
        both = Finding(**{**finding.__dict__, "other": other})
        return self.machine.findings.add(both, site.index)

    # -- being stuck ---------------------------------------------------------------------------------------------
    def _deadlock(self) -> Fault:
        wait = self.waiting[0]
        cta = int(wait.group.ctas.flat[0])
        parts = []
        for w in self.waiting:
            here = int(np.count_nonzero(np.broadcast_to(w.group.ctas == cta, w.group.shape)))
            if here:
                line = f"line {w.site.source.line}" if w.site.source else f"PTX line {w.site.ins.ptx_line}"
                parts.append(f"{here} at barrier {w.name} on {line}")
        needs = f" which wants {wait.count}" if wait.count is not None else ""
        returned = int(self.exited[cta])
        detail = f"of {self.threads} threads of the block wait {', '.join(parts)}{needs}; {returned} have returned"
        finding = self._finding("deadlock", detail, wait, cta)
        return Fault(self.machine.findings.add(finding, wait.site.index))

    def _endless(self, group: Group, block: CompiledBlock, detail: str) -> Fault:
        site = block.end or self.compiled.sites[self.compiled.graph.blocks[group.block].first]
        return self.machine.fault(site, group, LaneFault("endless loop", detail, np.ones((1, 1), bool)))

    def _site_of(self, fault: LaneFault) -> Site:
        """The instruction whose generated line raised."""
        trace = fault.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self.compiled.file:
                return self.compiled.sites[self.compiled.instruction_at[trace.tb_lineno]]
            trace = trace.tb_next
        return self.compiled.sites[0]
