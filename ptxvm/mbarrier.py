"""`mbarrier`: a word of shared memory that threads arrive at, and whose phases others wait for.

    bits 0-19    arrivals that this phase still waits for       bit 62   made by `mbarrier.init`
    bits 20-39   arrivals that a phase waits for                bit 63   the phase, 0 or 1

When nobody is waited for any more, the phase turns and the count starts anew. What `mbarrier.arrive` gives back is the
word before. The layout is ours: PTX does not tell NVIDIA's. Bytes of transactions, for which cards from 9.0 on wait
too, have no field yet.

Copies that `cp.async.mbarrier.arrive` puts under a barrier land, and the arrival happens, when somebody looks at that
barrier; so a forgotten wait reads stale bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptxvm.access import Site
from ptxvm.asynchronous import CopyQueue
from ptxvm.errors import LaneFault
from ptxvm.group import Array, Group
from ptxvm.memory import Memory
from ptxvm.races import RaceDetector

COUNT_BITS = 20
COUNT = (1 << COUNT_BITS) - 1
EXPECTED = 1 << COUNT_BITS
MADE, PHASE = 1 << 62, 1 << 63
_FIXED = PHASE - (1 << 2 * COUNT_BITS)  # the bits that are the same in all barriers


@dataclass
class _Tracked:
    """Arrivals that wait for copies. Arrays are 1-D over threads."""

    threads: Array  # cta * threads_per_cta + tid
    address: Array  # of the barrier, in the CTA's shared memory
    copies: int  # how many copies had been issued
    when: int  # time of the race detector


class MBarriers:
    """The barriers of one batch. Addresses are int64, in a CTA's shared memory, and broadcast to the group's shape."""

    def __init__(self, memory: Memory, copies: CopyQueue, races: RaceDetector | None) -> None:
        self.memory, self.copies, self.races = memory, copies, races
        self.tracked: list[_Tracked] = []

    def init(self, g: Group, site: Site, address: Array, count: Array, mask: Array | None) -> None:
        """`mbarrier.init`: phase 0, waiting for `count` arrivals."""
        wrong = (count == 0) | (count > COUNT)
        if mask is not None:
            wrong = wrong & mask
        if wrong.any():
            raise LaneFault("broken mbarrier", f"its count must lie between 1 and {COUNT:,}", wrong, address, "shared")
        wide = count.astype(np.uint64)
        self._write(g, site, address, wide | wide << np.uint64(COUNT_BITS) | np.uint64(MADE), mask)

    def inval(self, g: Group, site: Site, address: Array, mask: Array | None) -> None:
        """`mbarrier.inval`: the word may serve for something else."""
        self._cells(g, site, address, mask)
        self._write(g, site, address, np.zeros((1, 1), np.uint64), mask)

    def arrive(
        self,
        g: Group,
        site: Site,
        address: Array,
        count: Array | None,
        mask: Array | None,
        drop: bool,
        complete: bool,
    ) -> Array:
        """`mbarrier.arrive` of `count` (None: 1) by every active thread, in lane order; the words before.

        `drop`: later phases wait for so many less. Not `complete`: the phase must not end by it.
        """
        words, lanes, at = self._cells(g, site, address, mask, "atomic")
        counts = np.ones(at.size, np.int64)
        if count is not None:
            counts = np.broadcast_to(count, g.shape)[lanes].astype(np.int64)
        ctas, tids = _of_lanes(g, lanes)
        place = np.broadcast_to(address, g.shape)[lanes]
        old, wrong = self._arrive(words, at, counts, ctas, tids, place, drop, complete, None)
        if wrong.any():
            bad = np.zeros(g.shape, bool)
            bad[lanes] = wrong
            what = (
                "more arrivals than its phase still waits for"
                if complete
                else "an arrival without completion ends its phase"
            )
            raise LaneFault("broken mbarrier", what, bad, address, "shared")
        result = np.zeros(g.shape, np.uint64)
        result[lanes] = old
        return result

    def track(self, g: Group, site: Site, address: Array, mask: Array | None, counted: bool) -> None:
        """`cp.async.mbarrier.arrive`: arrive once the thread's copies have landed.

        `counted` (`.noinc`): the phase waits for it already; else the phase waits for one more.
        """
        words, lanes, at = self._cells(g, site, address, mask, "atomic")
        if not counted:
            np.add.at(words, at, np.uint64(1))
        ctas, tids = _of_lanes(g, lanes)
        when = 0 if self.races is None else self.races.now
        place = np.broadcast_to(address, g.shape)[lanes]
        self.tracked.append(_Tracked(ctas * self.memory.threads + tids, place, self.copies.issued, when))
        self.memory.changes += 1

    def test(
        self, g: Group, site: Site, address: Array, mask: Array | None, token: Array | None, parity: Array | None
    ) -> Array:
        """`mbarrier.test_wait`: whether the phase of a token, or that of a parity, is over."""
        self._settle(g, address, mask)
        words, lanes, at = self._cells(g, site, address, mask, "load")
        now = words[at] >> np.uint64(63)
        if token is not None:
            asked = np.broadcast_to(token, g.shape)[lanes] >> np.uint64(63)
        else:
            assert parity is not None
            asked = np.broadcast_to(parity, g.shape)[lanes].astype(np.uint64) & np.uint64(1)
        over = now != asked
        result = np.zeros(g.shape, bool)
        result[lanes] = over
        if self.races is not None and over.any():
            ctas, tids = _of_lanes(g, result)
            self.races.mbarrier_wait(np.broadcast_to(address, g.shape)[result], ctas, tids)
        return result

    # -- words -------------------------------------------------------------------------------------------------------
    def _cells(
        self, g: Group, site: Site, address: Array, mask: Array | None, kind: str = "load"
    ) -> tuple[Array, Array, Array]:
        """(words of shared memory, active lanes, the word of each). LaneFault where `init` made no barrier."""
        self.memory.check(g, site, "shared", address, mask, 8, kind)  # type: ignore[arg-type]
        words = self.memory.words()
        lanes = np.broadcast_to(np.True_ if mask is None else mask, g.shape)
        at = np.broadcast_to((address + g.ctas * self.memory.shared_stride) >> 3, g.shape)[lanes]
        dead = words[at] & np.uint64(_FIXED) != np.uint64(MADE)
        if dead.any():
            bad = np.zeros(g.shape, bool)
            bad[lanes] = dead
            raise LaneFault("broken mbarrier", "no mbarrier.init made this word a barrier", bad, address, "shared")
        return words, lanes, at

    def _write(self, g: Group, site: Site, address: Array, word: Array, mask: Array | None) -> None:
        self.memory.store(g, site, "shared", address, mask, [word])

    def _arrive(
        self,
        words: Array,
        at: Array,
        counts: Array,
        ctas: Array,
        tids: Array,
        place: Array,
        drop: bool,
        complete: bool,
        when: int | None,
    ) -> tuple[Array, Array]:
        """Let threads arrive, in their order. (words before each, which of them may not). 1-D arrays over threads."""
        old, wrong = np.zeros(at.size, np.uint64), np.zeros(at.size, bool)
        left = np.arange(at.size)
        while left.size:  # a turn of all barriers at a time: who comes after a phase's end belongs to the next turn
            order = left[np.argsort(at[left], kind="stable")]
            cells, first, number = np.unique(at[order], return_index=True, return_counts=True)
            up_to = np.cumsum(counts[order])
            before = up_to - counts[order] - np.repeat(up_to[first] - counts[order][first], number)
            pending = np.repeat((words[cells] & np.uint64(COUNT)).astype(np.int64), number)
            now = (before < pending) | (before == 0)
            inside, sizes = order[now], counts[order][now]
            wrong[inside] = (before + counts[order])[now] > pending[now] - (not complete)
            base = words[at[inside]]
            old[inside] = base - before[now].astype(np.uint64)
            if wrong.any():
                return old, wrong
            arrived = np.zeros(cells.size, np.int64)
            np.add.at(arrived, np.searchsorted(cells, at[inside]), sizes)
            words[cells] -= (arrived.astype(np.uint64)) * np.uint64(1 + (EXPECTED if drop else 0))
            over = words[cells] & np.uint64(COUNT) == 0
            if over.any():
                ended = words[cells[over]] ^ np.uint64(PHASE)
                words[cells[over]] = ended | (ended >> np.uint64(COUNT_BITS)) & np.uint64(COUNT)
            if self.races is not None:
                ends = over[np.searchsorted(cells, at[inside])]
                self.races.mbarrier_arrive(place[inside], ctas[inside], tids[inside], ends, when)
            self.memory.changes += 1
            left = np.sort(order[~now])
        return old, wrong

    # -- copies ------------------------------------------------------------------------------------------------------
    def _settle(self, g: Group, address: Array, mask: Array | None) -> None:
        """Let copies land whose barrier somebody looks at, and their threads arrive."""
        if not self.tracked:
            return
        memory = self.memory
        lanes = np.broadcast_to(np.True_ if mask is None else mask, g.shape)
        looked_at = np.unique(np.broadcast_to(address + g.ctas * memory.shared_stride, g.shape)[lanes])
        tracked, self.tracked = self.tracked, []
        for t in tracked:
            ctas, tids = np.divmod(t.threads, memory.threads)
            where = t.address + ctas * memory.shared_stride
            lands = np.isin(where, looked_at)
            if lands.any():
                self.copies.finish(t.threads[lands], t.copies)
                one = np.ones(int(lands.sum()), np.int64)
                given = (where[lands] >> 3, one, ctas[lands], tids[lands], t.address[lands])
                self._arrive(memory.words(), *given, False, True, t.when)
            if not lands.all():
                self.tracked.append(_Tracked(t.threads[~lands], t.address[~lands], t.copies, t.when))


def _of_lanes(g: Group, lanes: Array) -> tuple[Array, Array]:
    """(cta, tid) of each chosen thread, 1-D."""
    return np.broadcast_to(g.ctas, g.shape)[lanes], np.broadcast_to(g.tids, g.shape)[lanes]
