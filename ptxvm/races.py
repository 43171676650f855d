"""The race detector: two accesses to one word, at least one of them a write, with nothing that orders them.

Every access gets a number and is compared with the records of its words (`shadow.py`). Two threads of a CTA are ordered
by a barrier that both reached, two lanes of a warp also by an operation of the warp (`order.py`). So
`s[t] = x; y = s[31 - t]` without `__syncwarp` is found, though it gives the right answer here. Two CTAs are ordered by
the barrier of a cooperative grid and by the end of the launch, by nothing else; where the first one has executed a
fence or a release after its access, or the second one an acquire before its own, the finding is the lint "ordered by
atomics": that they really order the two is not verified.
An atomic that does not say so is relaxed: it releases nothing without a fence.

Two atomics do not race with each other, nor do two lanes of one atomic instruction; a `relaxed`, `acquire` or `release`
access counts as one, in global memory also a `volatile` one. What they order within a block is kept (`signals.py`).
Two lanes of one store that hit one word race if their values differ: which one stays is not defined. Triton lets all
lanes store what each has summed up, in an order of its own: values that differ in their last bits are such a race.

A thread whose copy of a word goes nowhere does not race for it (`spares.py`).

Cost: while all CTAs of a batch do the same at the same shared addresses, which is nearly always, one of them is looked
at for all; a read is compared only if something was written since the last barrier; and global loads of tensors that
the kernel never writes are not looked at (`quiet.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ptxvm.access import Access, Site
from ptxvm.group import WARP, Array, Group
from ptxvm.memory import Memory
from ptxvm.order import Order
from ptxvm.shadow import (
    ATOMIC,
    ATOMICS,
    CTA,
    CTA_FIELD,
    EVENT_SHIFT,
    OWNER,
    READERS,
    SHELF,
    THREAD,
    THREAD_BITS,
    WRITERS,
    Event,
    Shadow,
)
from ptxvm.signals import ORDERED, Signals, threads_of
from ptxvm.spares import Spares
from ptxvm.stores import change, differ

Side = tuple[Site, str, int, int]  # site, "read"/"write"/"atomic", linear block of the launch, thread
STRONG = {"volatile", "relaxed", "acquire", "release", "mmio"}


@dataclass
class RaceFact:
    """One pair of instructions that race. `sides`: the earlier access, then the later one."""

    kind: Literal["race", "ordered by atomics"]
    detail: str
    space: str
    address: int  # of the first word found, within the CTA's shared memory or in the arena
    sides: tuple[Side, Side]
    count: int = 1  # lanes and words that met


class RaceDetector:
    """Watches one launch.

    mode       "shared", or "all" for global memory too
    threads    of a CTA
    sites      of the kernel
    extent     arena bytes in use
    byte_wide  keep records by byte: the kernel has accesses narrower than a word
    quiet      sites whose global reads cannot race (see `quiet.py`)
    """

    def __init__(
        self,
        mode: str,
        threads: int,
        sites: Sequence[Site],
        extent: int = 0,
        byte_wide: bool = False,
        quiet: frozenset[int] = frozenset(),
    ) -> None:
        self.threads = threads
        self.quiet = quiet
        self.shift = 0 if byte_wide else 2
        self.facts: dict[tuple[int, int, str], RaceFact] = {}
        self._now = self._start = SHELF.start()
        self._sites: list[Site] = []  # of each access of this launch, the first one with number _start + 1
        self._strong = frozenset(s.index for s in sites if STRONG & set(s.ins.parts))
        self._ordered = frozenset(
            s.index for s in sites if ORDERED & set(s.ins.parts) or {"test_wait", "try_wait"} & set(s.ins.parts)
        )
        self._spares = Spares(sites if mode == "all" else (), self._sites, self._start)
        self._global = Shadow((extent >> self.shift) + 1, 1, self.shift, self._start) if mode == "all" else None
        self._shared: Shadow | None = None
        self._ids = np.empty(0, np.int64)  # linear block of every CTA run so far
        self._base = 0  # where the batch begins in it
        self._owner: tuple[Group | None, Array] = (None, self._ids)
        self._floor = (
            self._start
        )  # global accesses until then are ordered before all that follow: the last grid-wide barrier
        self._signals = Signals(threads, mode == "all")

    def begin_batch(self, cta_ids: Array, shared_stride: int, memory: Memory | None = None) -> None:
        """CTAs `cta_ids` (linear block numbers) start, with fresh shared memory of `shared_stride` bytes each.

        `memory` is what accesses carry values for.
        """
        self._memory = memory
        self._base = self._ids.size
        self._ids = np.concatenate([self._ids, cta_ids])
        self._order = Order(cta_ids.size, self.threads, self._now)
        cells = (shared_stride >> self.shift) + 1
        if self._shared is None or self._shared.cells != cells:
            self._shared = Shadow(cells, cta_ids.size, self.shift, self._start)
        else:
            self._shared.start(cta_ids.size)
        self._owner = (None, self._ids)
        self._signals.begin_batch(self._base, self._order)
        self._spares.begin_batch(cta_ids.size, self.threads)

    # -- what orders threads -------------------------------------------------------------------------------------
    def barrier(self, ctas: Array) -> None:
        """All threads of these CTAs (batch indices) have met."""
        assert self._shared is not None
        self._signals.barrier(ctas)
        if self._order.barrier(ctas, self._now):
            self._shared.forget()
        else:
            self._expand()
            self._shared.prune(self._order.met)

    def named_barrier(self, parts: Sequence[tuple[Array, Array]]) -> None:
        """Some warps of some CTAs have met: (ctas, tids) of each group that waited, which broadcast to each other."""
        if not self._order.named_barrier(parts, self._now):
            self._expand()

    def warp_sync(self, g: Group, membermask: Array) -> None:
        """Lanes of each warp of a group have met."""
        if not self._order.warp_sync(g, membermask, self._now):
            self._expand()

    @property
    def now(self) -> int:
        """Accesses seen so far."""
        return self._now

    def mbarrier_arrive(self, address: Array, ctas: Array, tids: Array, ends: Array, when: int | None) -> None:
        """Threads arrived at mbarriers, whose phase ended with them where `ends`. 1-D arrays over threads.

        `when`: they had done it at that time, with a copy that is complete only now.
        """
        until = np.full(ctas.size, self._now if when is None else when)
        self._order.tell(address, ctas, tids, until, ends, when is None)

    def mbarrier_wait(self, address: Array, ctas: Array, tids: Array) -> None:
        """Threads saw that a phase of an mbarrier is over. A thread that waits does so for its warp."""
        if not self._order.hear(address, ctas, tids, True):
            self._expand()

    def grid_barrier(self) -> None:
        """All threads of the launch have met (a cooperative launch is one batch)."""
        self._floor = self._now
        self.barrier(np.arange(self._order.ctas))

    def fence(self, g: Group) -> None:
        """A memory fence, in both directions."""
        if not self._signals.fence(g, self._now):
            self._expand()

    def _expand(self) -> None:
        assert self._shared is not None
        if self._order.ctas > 1:
            self._shared.expand(self._order.floor)

    # -- accesses ------------------------------------------------------------------------------------------------
    def access(self, a: Access) -> None:
        """Compare an access with the records, then record it."""
        if a.space == "local":
            return
        shadow = self._shared if a.space == "shared" else self._global
        if shadow is None or (a.kind == "load" and a.space == "global" and a.site.index in self.quiet):
            return
        self._now += 1
        self._sites.append(a.site)
        g = a.group
        strong = a.kind == "atomic" or a.site.index in (self._strong if a.space == "global" else self._ordered)
        if a.space == "shared":
            alike = g.product and g.shape[0] == self._order.ctas and a.address.shape[0] == 1
            if shadow.uniform and not (alike and (a.mask is None or a.mask.shape[0] == 1)):
                self._expand()
            floor, owner = self._order.floor, g.tids
        else:
            if g is not self._owner[0]:
                self._owner = (g, ((g.ctas + self._base) << THREAD_BITS) | g.tids)
            floor, owner = self._floor, self._owner[1]
        e = Event(self._now, a, owner, strong)
        if a.site.index in self._spares.stores:
            for late in self._spares.store(e.number, *threads_of(g, a.mask), a.site.index):
                assert self._global is not None
                self._note("race", late.what[0], self._global, late.cells, late.theirs, late.mine, late.what[1])
        if a.kind == "load":
            if shadow.last_write > floor:
                cells, record = shadow.lanes(e)
                self._compare(e, shadow, WRITERS, cells, record, floor)
                if shadow.last_atomic > floor and not strong:
                    self._against_three(e, shadow, ATOMICS, cells, record, floor)
            shadow.put_read(e, floor)
        else:
            self._write(e, shadow, floor)
        if strong and not self._signals.access(a, self._now):
            self._expand()

    def _write(self, e: Event, shadow: Shadow, floor: int) -> None:
        shadow.work_off(e, floor)
        if shadow is self._global and not e.atomic and max(shadow.last_read, shadow.last_atomic) <= floor:
            block = shadow.block(e)
            if block is not None and (shadow.last_write <= floor or int(block[0].max()) < (floor + 1) << EVENT_SHIFT):
                block[0][...] = block[1]  # nobody has been there, and no two lanes meet
                shadow.last_write = e.number
                return
        cells, record = shadow.lanes(e)
        if not cells.size:
            return
        if shadow.last_write > floor:
            self._compare(e, shadow, WRITERS, cells, record, floor)
        if shadow.last_read > floor:
            self._against_three(e, shadow, READERS, cells, record, floor)
        if e.atomic:
            shadow.put_atomic(e, cells, record, floor)
            return
        if shadow.last_atomic > floor:
            self._against_three(e, shadow, ATOMICS, cells, record, floor)
        writers = shadow.table(WRITERS, int(cells.min()), int(cells.max()) + 1)
        writers[cells] = record
        shadow.last_write = e.number
        left = writers.take(cells)
        beaten = np.flatnonzero(left != record)
        if beaten.size:
            beaten = beaten[differ(e.access, cells, beaten, self.shift, self._alike(shadow))]
        if beaten.size:
            self._report(e, shadow, beaten, cells, left, record, "write")

    def _alike(self, shadow: Shadow) -> bool:
        """Whether one CTA is looked at for all."""
        return shadow is self._shared and shadow.uniform

    def _change(self, a: Access, shadow: Shadow, cells: Array, at: Array) -> Array:
        """Which of the lanes at `at` store another value than their cell holds."""
        if self._memory is None:
            return np.ones(at.size, bool)
        ctas = self._order.ctas if self._alike(shadow) else 0
        per_cta = shadow.cells if shadow is self._shared else 0
        return change(a, self._memory, cells, at, self.shift, per_cta, ctas)

    def _against_three(self, e: Event, shadow: Shadow, first: int, cells: Array, record: Array, floor: int) -> None:
        """Compare with the three tables of readers or of atomics. A lane that conflicts with several is told once."""
        tables = [which for which in range(first, first + 3) if shadow.has(which)]
        left: Array | None = None  # lanes that no conflict was found for
        hot = False
        for which in tables:
            at = self._compare(e, shadow, which, cells, record, floor, left)
            hot = hot or at is not None
            if at is not None and at.size:
                left = np.ones(cells.size, bool) if left is None else left
                left[at] = False
        if hot and e.access.kind != "load":  # whoever conflicts with these conflicts with this write too
            for which in tables:
                shadow.clear(which, cells)

    def _compare(
        self, e: Event, shadow: Shadow, which: int, cells: Array, record: Array, floor: int, among: Array | None = None
    ) -> Array | None:
        """Report the lanes (of `among`) that conflict with what a table holds, and return their positions.

        None: the table holds nothing that is not ordered for all.
        """
        if not cells.size:
            return None
        found = shadow.table(which, int(cells.min()), int(cells.max()) + 1).take(cells)
        threshold = (floor + 1) << EVENT_SHIFT
        if int(found.max()) < threshold:
            return None
        bad = (found >= threshold) & ((found ^ record) & OWNER != 0)
        if e.atomic:
            bad &= found & ATOMIC == 0
        if among is not None:
            bad &= among
        at = np.flatnonzero(bad)
        if at.size:
            at = at[self._unordered(shadow, cells[at], found[at], record[at])]
        if at.size and which == WRITERS and e.access.kind == "store":
            alike = self._of_site(found[at], e.access.site)
            if alike.any():
                at = at[~alike | self._change(e.access, shadow, cells, at)]
        if at.size:
            self._report(e, shadow, at, cells, found, record, "read" if READERS <= which < ATOMICS else "write")
        return at

    def _of_site(self, found: Array, site: Site) -> Array:
        """Which records were made by an instruction."""
        numbers, place = np.unique(found >> EVENT_SHIFT, return_inverse=True)
        return np.array([self._sites[int(n) - self._start - 1] is site for n in numbers])[place]

    def _unordered(self, shadow: Shadow, cells: Array, found: Array, record: Array) -> Array:
        """Which of the recorded accesses are not ordered before this one. All arrays 1-D and of one length."""
        if shadow is self._global:
            mine = (record >> THREAD_BITS) & CTA
            across = (found >> THREAD_BITS) & CTA != mine
            ctas = mine - self._base
        else:
            across = np.zeros(cells.shape, bool)
            ctas = np.zeros(cells.shape, np.int64) if shadow.uniform else cells // shadow.cells
        return across | self._order.unordered(found >> EVENT_SHIFT, found & THREAD, record & THREAD, ctas)

    # -- findings ------------------------------------------------------------------------------------------------
    def _report(
        self, e: Event, shadow: Shadow, at: Array, cells: Array, found: Array, record: Array, earlier: str
    ) -> None:
        theirs, mine, cells = found[at], record[at], cells[at]
        if shadow is self._global and self._spares.stores:
            counts = self._spares.suffered(e, earlier, cells, theirs, mine, self._base)
            theirs, mine, cells, at = theirs[counts], mine[counts], cells[counts], at[counts]
        lint = np.zeros(at.size, bool)
        if shadow is self._global:
            across = (theirs ^ mine) & CTA_FIELD != 0
            if across.any() and self._signals.any_across:
                lint = across & self._signals.may_order(theirs, mine)
        for kind, lanes in (("race", ~lint), ("ordered by atomics", lint)):
            if lanes.any():
                self._note(kind, e, shadow, cells[lanes], theirs[lanes], mine[lanes], earlier)  # type: ignore[arg-type]

    def _note(
        self,
        kind: Literal["race", "ordered by atomics"],
        e: Event,
        shadow: Shadow,
        cells: Array,
        theirs: Array,
        mine: Array,
        earlier: str,
    ) -> None:
        first, me = int(theirs[0]), int(mine[0])
        number = first >> EVENT_SHIFT
        site = self._sites[number - self._start - 1]
        count = cells.size * (self._order.ctas if self._alike(shadow) else 1)
        key = (site.index, e.access.site.index, kind)
        if key in self.facts:
            self.facts[key].count += count
            return
        if site.ins.parts[0] in ("atom", "red") and earlier == "write":
            earlier = "atomic"
        later = {"load": "read", "atomic": "atomic"}.get(e.access.kind, "write")
        if shadow is self._global:
            their_cta, my_cta = (first >> THREAD_BITS) & CTA, (me >> THREAD_BITS) & CTA
        else:
            their_cta = my_cta = self._base + (0 if shadow.uniform else int(cells[0]) // shadow.cells)
        space = e.access.space
        if number == e.number:  # all threads of a group run it at once: those of several warps and blocks
            who, how = "two threads", "no barrier between"
            if their_cta != my_cta:
                who, how = "two blocks", "which nothing orders"
            elif (first & THREAD) // WARP == (me & THREAD) // WARP:
                how = "in one instruction"
            comma = " " if how == "in one instruction" else ", "
            detail = f"{who} write different values to one word of {space} memory{comma}{how}"
        elif their_cta != my_cta:
            order = "which nothing orders" if kind == "race" else "which an atomic or a fence may order"
            detail = f"{earlier} and {later} of one word of {space} memory by two blocks, {order}"
        elif (first & THREAD) // WARP == (me & THREAD) // WARP:
            detail = (
                f"{earlier} and {later} of one word of {space} memory by two lanes of a warp, no __syncwarp between"
            )
        else:
            detail = f"{earlier} and {later} of one word of {space} memory, no barrier between"
        address = (int(cells[0]) if shadow is self._global else int(cells[0]) % shadow.cells) << self.shift
        sides: tuple[Side, Side] = (
            (site, earlier, int(self._ids[their_cta]), first & THREAD),
            (e.access.site, later, int(self._ids[my_cta]), me & THREAD),
        )
        self.facts[key] = RaceFact(kind, detail, space, address, sides, count)

    def findings(self) -> list[RaceFact]:
        """What was found, once a pair of instructions. Ends the watch."""
        for shadow in (self._shared, self._global):
            if shadow is not None:
                shadow.close(self._now)
        return list(self.facts.values())
