"""Barriers of a CTA: who waits where, when a barrier is complete, what `bar.red` gives, and deadlocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ptxvm.access import Site, line_of, source_of, source_text
from ptxvm.calls import Context, as_dtype
from ptxvm.codegen.control import Reduction
from ptxvm.errors import Fault
from ptxvm.group import Array, Group
from ptxvm.report import Finding
from ptxvm.types import DTYPES

if TYPE_CHECKING:
    from ptxvm.codegen.blocks import CompiledBlock
    from ptxvm.schedule import BatchRun

VALUE = "%red"  # a waiting group's register with the predicate of its `bar.red`


@dataclass
class Waiting:
    """A group that stands at a barrier, within some calls."""

    group: Group
    name: int
    count: int | None
    successor: int
    context: Context
    site: Site
    mixed_allowed: bool  # `barrier.sync` and named barriers may be awaited from several places
    reduction: Reduction | None = None

    @property
    def live(self) -> frozenset[str]:
        """Registers that the group must keep."""
        live = self.context.live(self.successor)
        return live if self.reduction is None else live | {VALUE}


class Barriers:
    """The barriers of one batch. `exited` counts the threads of each CTA that have returned."""

    def __init__(self, run: BatchRun) -> None:
        self.run = run
        self.threads, self.ctas, self.machine = run.threads, run.ctas, run.machine
        self.waiting: list[Waiting] = []
        self.arrived: dict[int, Array] = {}
        self.exited = np.zeros(self.ctas, np.int64)

    # -- arriving ------------------------------------------------------------------------------------------------
    def reach(
        self,
        group: Group,
        block: CompiledBlock,
        names: Array,
        counts: Array | None,
        lanes: Array | None,
        arrive: bool,
        reduction: Reduction | None,
        value: Array | None,
    ) -> None:
        """A group runs a block that ends in a barrier; lanes out of `lanes` (None: all are in) go on."""
        run = self.run
        assert block.end is not None
        wait = Waiting(group, 0, None, block.successors[0], run.context, block.end, False, reduction)
        if value is not None:
            group.regs[VALUE] = value
        if lanes is not None and not lanes.all():
            rest = group.take(~lanes, run.live(wait.successor))
            if rest is not None:
                run.push(rest, wait.successor)
            inside = group.take(lanes, wait.live)
            if inside is None:
                return
            group = inside
        if names.size > 1 or (counts is not None and counts.size > 1):
            key = np.broadcast_to(names.astype(np.int64) << 32, group.shape) + (0 if counts is None else counts)
            for one in np.unique(key):
                part = group.take(key == one, wait.live)
                assert part is not None
                self._arrive(
                    replace(wait, group=part, name=int(one) >> 32, count=int(one) & 0xFFFFFFFF or None), arrive
                )
            return
        count = None if counts is None else int(counts.flat[0])
        self._arrive(replace(wait, group=group, name=int(names.flat[0]), count=count), arrive)

    def _arrive(self, wait: Waiting, arrive: bool) -> None:
        group, name, count = wait.group, wait.name, wait.count
        if self.run.counting is not None:
            self.run.counting.barrier(wait.site, group)
        whole = group.product and group.shape[1] == self.threads and count in (None, self.threads) and not arrive
        if whole and not any(w.name == name for w in self.waiting):
            if self.machine.races is not None:
                self.machine.races.barrier(group.ctas[:, 0])
            self._reduce([wait])
            self.run.push(group, wait.successor)
            return
        _add(self.arrived.setdefault(name, np.zeros(self.ctas, np.int64)), group)
        if arrive:
            self.run.push(group, wait.successor)
        else:
            wait.mixed_allowed = wait.site.ins.parts[0] == "barrier" or count is not None or name != 0
            self.waiting.append(wait)
        self._release(name, count)

    def exit(self, group: Group) -> None:
        """Threads have returned: those that wait may not have to wait for them."""
        _add(self.exited, group)
        for name, count in {(w.name, w.count) for w in self.waiting}:
            self._release(name, count)

    # -- letting go ----------------------------------------------------------------------------------------------
    def _release(self, name: int, count: int | None) -> None:
        """Let go the CTAs whose barrier `name` is complete."""
        arrived = self.arrived.get(name)
        if arrived is None:
            return
        needed = self.threads - self.exited if count is None else np.full(self.ctas, count)
        complete = (arrived >= needed) & (arrived > 0)
        if not complete.any():
            return
        self.run.idle = 0
        left: list[Waiting] = []
        sites: dict[int, list[Waiting]] = {}
        released: list[Waiting] = []
        for w in self.waiting:
            go = complete[w.group.ctas] if w.name == name else np.zeros((1, 1), bool)
            part = w.group.take(go, w.live) if go.any() else None
            if part is None:
                left.append(w)
                continue
            for cta in np.unique(part.ctas):
                sites.setdefault(int(cta), []).append(w)
            released.append(replace(w, group=part))
            rest = w.group.take(~go, w.live)
            if rest is not None:
                left.append(replace(w, group=rest))
        self._check_release(name, count, np.flatnonzero(complete), sites)
        self.waiting = left
        arrived[complete] = 0
        if self.machine.races is not None:
            if count is None or count >= self.threads:
                self.machine.races.barrier(np.flatnonzero(complete))
            else:
                self.machine.races.named_barrier([(w.group.ctas, w.group.tids) for w in released])
        self._reduce(released)
        for w in released:
            self.run.push(w.group, w.successor, w.context)

    def _reduce(self, waits: list[Waiting]) -> None:
        """Give the threads that leave a `bar.red` what the predicates of all of them make."""
        if all(w.reduction is None for w in waits):
            return
        true, all_of_them = np.zeros(self.ctas, np.int64), np.zeros(self.ctas, np.int64)
        for w in waits:
            if w.reduction is not None:
                _add(all_of_them, w.group)
                flags = w.group.full(w.group.regs.pop(VALUE))
                np.add.at(true, np.broadcast_to(w.group.ctas, w.group.shape)[flags], 1)
        for w in waits:
            if w.reduction is not None:
                operation, register = w.reduction
                results = {"popc": true, "and": true == all_of_them, "or": true > 0}[operation]
                value = results[w.group.ctas].astype(np.uint32 if operation == "popc" else np.bool_)
                w.group.regs[register] = as_dtype(value, DTYPES[self.run.compiled.graph.dtypes[register]])

    def _check_release(self, name: int, count: int | None, ctas: Array, sites: dict[int, list[Waiting]]) -> None:
        for cta, waits in sites.items():
            places = {w.site.index: w for w in waits}
            if len(places) > 1 and not any(w.mixed_allowed for w in waits):
                first, second = list(places.values())[:2]
                finding = self._finding(
                    "two barriers", f"threads of one block wait at two places for barrier {name}", first, cta
                )
                other = self._finding("two barriers", "", second, cta)
                raise Fault(self.machine.findings.add(replace(finding, other=other), first.site.index))
        early = [int(c) for c in ctas if self.exited[c] > 0 and int(c) in sites] if count is None else []
        if early:
            wait = sites[early[0]][0]
            detail = (
                f"{int(self.exited[early[0]])} of {self.threads} threads of the block have returned and never reach it"
            )
            self.machine.findings.add(
                self._finding("barrier after early return", detail, wait, early[0], len(early)), wait.site.index
            )

    # -- messages ------------------------------------------------------------------------------------------------
    def deadlock(self) -> Fault:
        """What to raise when nobody can run and somebody waits."""
        wait = self.waiting[0]
        cta = int(wait.group.ctas.flat[0])
        detail = f"of {self.threads} threads of the block {self.who_waits(cta)}"
        finding = self._finding("deadlock", detail, wait, cta)
        return Fault(self.machine.findings.add(finding, wait.site.index))

    def who_waits(self, cta: int) -> str:
        """`64 wait at barrier 1 on line 30 which wants 128; 0 have returned`; "" where no thread of a CTA waits."""
        parts = []
        for w in self.waiting:
            here = int(np.count_nonzero(np.broadcast_to(w.group.ctas == cta, w.group.shape)))
            if here:
                wants = "" if w.count is None else f" which wants {w.count}"
                parts.append(f"{here} wait at barrier {w.name} {line_of(w.site, w.context.calls)}{wants}")
        return f"{', '.join(parts)}; {int(self.exited[cta])} have returned" if parts else ""

    def _finding(self, kind: str, detail: str, wait: Waiting, cta: int, count: int = 1) -> Finding:
        inside = wait.group.ctas == cta
        tids = wait.group.tids if wait.group.product else wait.group.tids[inside[:, 0]]
        source = source_of(wait.site, wait.context.calls)
        return Finding(
            kind=kind,
            detail=detail,
            file=source.file if source else None,
            line=source.line if source else None,
            text=source_text(source),
            block=self.machine.who.block_coordinates(cta),
            thread=self.machine.who.thread_coordinates(int(tids.flat[0])),
            count=count,
        )


def _add(totals: Array, group: Group) -> None:
    """Count a group's threads to their CTAs."""
    if group.product:
        totals[group.ctas[:, 0]] += group.shape[1]
    else:
        np.add.at(totals, group.ctas[:, 0], 1)
