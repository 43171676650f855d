"""The race detector: two accesses to one word, at least one of them a write, with nothing that orders them.

For every word it keeps the last writer and the last reader as one integer each:

    bits 0-10   thread + 1 (0: nobody)        bits 28-43  sub-epoch of the writer's warp
    bit 11      the access was atomic         bits 44-62  clock of the writer's warp
    bits 12-27  instruction

Each warp has a clock; `known[a, b]` is the newest clock of warp b that warp a has met at a barrier. An access by another warp is
ordered if its clock is known; one by the same warp if a warp-level operation (`bar.warp.sync`, a shuffle, ...) came between,
which raises the warp's sub-epoch. A third integer, `many`, says that several threads have read a word since, and of which warp
they were. For global memory the CTA is kept beside it: accesses from two CTAs of one launch are ordered by nothing but the end of
the launch; where the first CTA has executed a fence or an atomic since, the finding is a lint ("ordered by atomics").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ptxvm.access import Access, Site
from ptxvm.group import WARP, Array, Group

THREAD_MASK = (1 << 11) - 1
ATOMIC = 1 << 11
SITE_SHIFT, SUB_SHIFT, CLOCK_SHIFT = 12, 28, 44
SITE_MASK = (1 << 16) - 1
SUB_MASK = (1 << 16) - 1
MIXED = 1 << 6  # in `many`: readers of several warps; below it the warp + 1
Side = tuple[Site, str, int, int]  # site, "read"/"write"/"atomic", linear block of the launch, thread


@dataclass
class RaceFact:
    """One pair of source places that race. `sides`: the earlier access, then the later one."""

    kind: Literal["race", "ordered by atomics"]
    detail: str
    space: str
    address: int
    sides: tuple[Side, Side]
    count: int = 1


@dataclass
class _Table:
    """Records of a memory, one a word (or byte). `*_cta` only for global memory: CTA + 1, 0 nobody, -1 several."""

    writer: Array
    reader: Array
    many: Array
    writer_cta: Array | None = None
    reader_cta: Array | None = None

    @classmethod
    def of(cls, cells: int, ctas: bool) -> _Table:
        made = [np.zeros(cells, np.int64) for _ in range(3)]
        return cls(*made, *([np.zeros(cells, np.int32) for _ in range(2)] if ctas else [None, None]))


@dataclass
class RaceDetector:
    """Watches one launch.

    mode "shared" or "all" (global memory too); `extent` is the number of arena bytes in use; `byte_wide` keeps records by
    byte, for kernels with accesses narrower than a word.
    """

    mode: str
    threads: int
    sites: Sequence[Site]
    total_ctas: int
    extent: int = 0
    byte_wide: bool = False
    facts: dict[tuple[int, int, str], RaceFact] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shift = 0 if self.byte_wide else 2
        self.warps = -(-self.threads // WARP)
        self.globals = _Table.of((self.extent >> self.shift) + 1, ctas=True) if self.mode == "all" else None
        self.published = np.zeros(self.total_ctas, bool)  # CTAs that have executed a fence or an atomic

    def begin_batch(self, cta_ids: Array, shared_stride: int) -> None:
        """CTAs `cta_ids` (linear block numbers of the launch) start, with fresh shared memory."""
        self.cta_ids = cta_ids
        self.stride = shared_stride
        ctas = cta_ids.size
        self.shared = _Table.of((ctas * shared_stride >> self.shift) + 1, ctas=False)
        self.clock = np.ones((ctas, self.warps), np.int64)
        self.sub = np.zeros((ctas, self.warps), np.int64)
        self.known = np.zeros((ctas, self.warps, self.warps), np.int64)
        self.full_only = True  # only barriers of whole CTAs so far: an older clock is always known
        self.oldest = 1  # smallest clock of any warp

    # -- what orders threads -------------------------------------------------------------------------------------
    def barrier(self, ctas: Array) -> None:
        """All threads of these CTAs (batch indices) have met."""
        self.known[ctas] = self.clock[ctas][:, None, :]
        self.clock[ctas] += 1
        self.oldest = int(self.clock.min())

    def named_barrier(self, ctas: Array, tids: Array) -> None:
        """Some warps of a CTA have met. ctas, tids broadcast to each other."""
        self.full_only = False
        pairs = np.unique(np.broadcast_to((ctas << 16) + tids // WARP, np.broadcast_shapes(ctas.shape, tids.shape)))
        for cta in np.unique(pairs >> 16):
            warps = pairs[pairs >> 16 == cta] & 0xFFFF
            own = self.known[cta, warps].copy()
            own[np.arange(warps.size), warps] = self.clock[cta, warps]
            self.known[cta, warps] = own.max(axis=0)
            self.clock[cta, warps] += 1

    def warp_sync(self, g: Group, membermask: Array) -> None:
        """Lanes of each warp of the group met. A partial mask orders too few of them, so it counts for nothing."""
        if membermask.size == 1 and int(membermask.flat[0]) != 0xFFFFFFFF:
            return
        _, _, row_cta, row_warp = g.warp_slots()
        if g.product:
            self.sub[g.ctas, row_warp[None, :]] += 1
        else:
            self.sub[row_cta, row_warp] += 1

    def fence(self, g: Group) -> None:
        """A memory fence: what these CTAs wrote before may be meant for others."""
        self.published[self.cta_ids[g.ctas]] = True

    # -- accesses ------------------------------------------------------------------------------------------------
    def access(self, a: Access) -> None:
        """Check an access against the records, then record it."""
        if a.space == "local" or (a.space == "global" and self.globals is None):
            return
        g = a.group
        lanes = np.broadcast_to(np.True_ if a.mask is None else a.mask, g.shape)
        address = np.broadcast_to(a.address, g.shape)
        mine = np.broadcast_to(self._record(a), g.shape)
        ctas = np.broadcast_to(g.ctas, g.shape)
        if a.space == "shared":
            address = address + ctas * self.stride
        if not lanes.all():
            address, mine, ctas = address[lanes], mine[lanes], ctas[lanes]
        else:
            address, mine, ctas = address.ravel(), mine.ravel(), ctas.ravel()
        for step in range(0, a.width, 1 << self.shift):
            cells = (address + step) >> self.shift
            if a.space == "shared":
                self._visit(self.shared, a, cells, mine, ctas, None)
            else:
                assert self.globals is not None
                self._visit(self.globals, a, cells, mine, ctas, (self.cta_ids[ctas] + 1).astype(np.int32))
        if a.kind == "atomic" and a.space == "global":
            self.published[self.cta_ids[np.unique(ctas)]] = True

    def _record(self, a: Access) -> Array:
        g = a.group
        warp = g.tids // WARP
        head = (self.clock[g.ctas, warp] << CLOCK_SHIFT) | ((self.sub[g.ctas, warp] & SUB_MASK) << SUB_SHIFT)
        return head | (a.site.index & SITE_MASK) << SITE_SHIFT | (ATOMIC if a.kind == "atomic" else 0) | (g.tids + 1)

    def _visit(self, t: _Table, a: Access, cells: Array, mine: Array, ctas: Array, own_cta: Array | None) -> None:
        wrote = t.writer.take(cells)
        atomic = a.kind == "atomic"
        bad = self._unordered(wrote, mine, ctas)
        if own_cta is not None:
            assert t.writer_cta is not None
            bad = self._across(bad, t.writer_cta.take(cells), own_cta)
        if atomic:
            bad &= (wrote & ATOMIC) == 0
        if bad.any():
            self._found(a, bad, wrote, mine, cells, ctas, own_cta, None if own_cta is None else t.writer_cta, "write")
        if a.kind == "load":
            self._note_read(t, cells, mine, own_cta)
            return
        read = t.reader.take(cells)
        bad = self._unordered(read, mine, ctas)
        if own_cta is not None:
            assert t.reader_cta is not None
            bad = self._across(bad, t.reader_cta.take(cells), own_cta)
        bad |= self._many_unordered(t.many.take(cells), mine, ctas)
        if bad.any():
            self._found(a, bad, read, mine, cells, ctas, own_cta, None if own_cta is None else t.reader_cta, "read")
        t.writer[cells] = mine
        if own_cta is not None:
            assert t.writer_cta is not None
            t.writer_cta[cells] = own_cta
        if not atomic:
            left = t.writer.take(cells)  # two lanes of one instruction wrote one word: only one of them is left
            clash = left != mine
            if own_cta is not None and t.writer_cta is not None:
                clash |= t.writer_cta.take(cells) != own_cta
            if clash.any():
                self._found(a, clash, left, mine, cells, ctas, own_cta, None if own_cta is None else t.writer_cta, "write")

    def _note_read(self, t: _Table, cells: Array, mine: Array, own_cta: Array | None) -> None:
        before = t.reader.take(cells)
        t.reader[cells] = mine
        after = t.reader.take(cells)
        # another thread in the same epoch, before this instruction or in it
        other = ((before ^ mine) & THREAD_MASK != 0) & (before >> CLOCK_SHIFT == mine >> CLOCK_SHIFT) & (before != 0)
        several = other | (after != mine)
        if several.any():
            where = cells[several]
            warp = (mine[several] & THREAD_MASK) - 1 >> 5
            last = np.where(other, before, after)[several]
            same = ((last & THREAD_MASK) - 1 >> 5) == warp
            old = t.many.take(where)
            kept = (old >> CLOCK_SHIFT == mine[several] >> CLOCK_SHIFT) & (old & (2 * MIXED - 1) != 0)
            same &= ~kept | ((old & (2 * MIXED - 1)) == warp + 1)
            head = mine[several] >> SUB_SHIFT << SUB_SHIFT
            t.many[where] = head | np.where(same, warp + 1, MIXED)
        if own_cta is not None:
            assert t.reader_cta is not None
            earlier = t.reader_cta.take(cells)
            t.reader_cta[cells] = np.where((earlier != 0) & (earlier != own_cta), -1, own_cta)
            shared = t.reader_cta.take(cells) != own_cta  # several CTAs in this very instruction
            t.reader_cta[cells[shared]] = -1

    def _unordered(self, record: Array, mine: Array, ctas: Array) -> Array:
        """Which recorded accesses are by another thread and not ordered before this one (same CTA assumed)."""
        if self.full_only and int(record.max(initial=0)) < (self.oldest << CLOCK_SHIFT):
            return np.zeros(record.shape, bool)
        theirs = (record & THREAD_MASK) - 1
        me = (mine & THREAD_MASK) - 1
        warp, own = theirs >> 5, me >> 5
        clock = record >> CLOCK_SHIFT
        met = self.known[ctas, own, np.maximum(warp, 0)] >= clock
        synced = (warp == own) & ((record >> SUB_SHIFT & SUB_MASK) < (mine >> SUB_SHIFT & SUB_MASK))
        return (record != 0) & (theirs != me) & ~met & ~synced

    def _many_unordered(self, many: Array, mine: Array, ctas: Array) -> Array:
        """Which words were read by several threads, of which at least one is not ordered before this write."""
        if self.full_only and int(many.max(initial=0)) < (self.oldest << CLOCK_SHIFT):
            return np.zeros(many.shape, bool)
        own = ((mine & THREAD_MASK) - 1 >> 5) + 1
        readers = many & (2 * MIXED - 1)
        clock = many >> CLOCK_SHIFT
        met = self.known[ctas, own - 1, np.clip(readers - 1, 0, self.warps - 1)] >= clock
        met |= (readers == MIXED) & (self.known[ctas, own - 1].min(axis=-1) >= clock)
        synced = (readers == own) & ((many >> SUB_SHIFT & SUB_MASK) < (mine >> SUB_SHIFT & SUB_MASK))
        return (many != 0) & ~met & ~synced

    @staticmethod
    def _across(bad: Array, their_cta: Array, own_cta: Array) -> Array:
        """Records of another CTA are never ordered; those of the own one as said."""
        return np.where(their_cta == own_cta, bad, their_cta != 0)

    # -- findings ------------------------------------------------------------------------------------------------
    def _found(
        self,
        a: Access,
        bad: Array,
        record: Array,
        mine: Array,
        cells: Array,
        ctas: Array,
        own_cta: Array | None,
        their_ctas: Array | None,
        earlier_kind: str,
    ) -> None:
        i = int(np.argmax(bad))
        other = int(record[i])
        other_site = self.sites[other >> SITE_SHIFT & SITE_MASK] if other else a.site
        cta = int(self.cta_ids[ctas[i]])
        other_cta = cta
        kind: Literal["race", "ordered by atomics"] = "race"
        if own_cta is not None and their_ctas is not None:
            recorded = int(their_ctas[cells[i]])
            other_cta = recorded - 1 if recorded > 0 else cta
            across = their_ctas.take(cells[bad]) != own_cta[bad]
            writers = np.maximum(their_ctas.take(cells[bad]), 1) - 1
            if earlier_kind == "write" and bool(across.all()) and bool(self.published[writers].all()):
                kind = "ordered by atomics"
        key = (other_site.index, a.site.index, kind)
        if key in self.facts:
            self.facts[key].count += int(np.count_nonzero(bad))
            return
        later_kind = {"load": "read", "atomic": "atomic"}.get(a.kind, "write")
        earlier = "atomic" if other & ATOMIC else earlier_kind
        between = "two blocks, nothing orders them" if other_cta != cta else "no barrier between"
        detail = f"{earlier} and {later_kind} of one word of {a.space} memory, {between}"
        address = int(cells[i]) << self.shift
        if a.space == "shared":
            address -= int(ctas[i]) * self.stride
        sides: tuple[Side, Side] = (
            (other_site, earlier, other_cta, max((other & THREAD_MASK) - 1, 0)),
            (a.site, later_kind, cta, int((mine[i] & THREAD_MASK) - 1)),
        )
        self.facts[key] = RaceFact(kind, detail, a.space, address, sides, int(np.count_nonzero(bad)))

    def findings(self) -> list[RaceFact]:
        """What was found so far, once a pair of places."""
        return list(self.facts.values())
