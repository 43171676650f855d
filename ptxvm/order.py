"""What orders the threads of a CTA: barriers, named barriers, and operations of a warp.

Time is the number of memory accesses seen so far. For each thread the question is up to which time it knows the
accesses of another thread to be complete:

    any two threads of a CTA      the last barrier of the whole CTA            `met[cta]`
    two warps                     the last named barrier that joined them,     `known[cta, mine, theirs]`
                                  or joined one of them to a third that knew
    a warp and a thread           what the thread left at an mbarrier or atomic
                                  of shared memory and the warp found there    `heard[cta, mine, theirs]`
    two lanes of a warp           the last operation of the whole warp         `synced[cta, warp]`
                                  the last one whose mask named both           `lanes[cta, warp, mine, theirs]`

The last four tables are made only when something happens that needs them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptxvm.group import WARP, Array, Group

_BITS = np.arange(WARP, dtype=np.uint64)


class Order:
    """The barriers of one batch of `ctas` CTAs. `now` is the time at which it starts."""

    def __init__(self, ctas: int, threads: int, now: int) -> None:
        self.ctas, self.threads = ctas, threads
        self.warps = -(-threads // WARP)
        self.floor = now  # what happened until then is known to every thread of the batch
        self.met = np.full(ctas, now, np.int64)
        self.synced = np.full((ctas, self.warps), now, np.int64)
        self.known: Array | None = None
        self.heard: Array | None = None
        self.lanes: Array | None = None
        self._gathered: dict[int, Array] = {}  # address in shared memory -> (ctas, threads): what was left there
        self._ended: dict[int, Array] = {}  # the same, as far as others may hear it
        self._group: Group | None = None  # of which `_whole` holds
        self._whole = False
        self._last = -1  # time of the last warp operation of `_group`

    def barrier(self, ctas: Array, now: int) -> bool:
        """All threads of these CTAs have met. Whether that were all CTAs of the batch."""
        if ctas.size == self.ctas:
            self.floor = now
            self.met[:] = now
            return True
        self.met[ctas] = now
        self.floor = int(self.met.min())
        return False

    def named_barrier(self, parts: Sequence[tuple[Array, Array]], now: int) -> bool:
        """Some warps of each CTA have met; (ctas, tids) of each part broadcast together. Whether all CTAs did alike."""
        hit = np.zeros((self.ctas, self.warps), bool)
        for ctas, tids in parts:
            hit[ctas, tids // WARP] = True
        if self.known is None:
            self.known = np.zeros((self.ctas, self.warps, self.warps), np.int64)
        if self.heard is not None:
            heard = np.where(hit[:, :, None], self.heard, 0).max(axis=1)
            self.heard = np.where(hit[:, :, None], heard[:, None, :], self.heard)
        joint = np.where(hit, now, np.where(hit[:, :, None], self.known, 0).max(axis=1))
        self.known = np.where(hit[:, :, None], joint[:, None, :], self.known)
        return bool((hit == hit[0]).all())

    def tell(self, address: Array, ctas: Array, tids: Array, until: Array, ends: Array, passes_on: bool) -> None:
        """Threads leave what they know at a word of shared memory. 1-D arrays over threads.

        until      of its own accesses those up to then
        ends       others may hear now what was left there until here (the phase of an mbarrier is over)
        passes_on  and what it knows of others
        """
        for place in np.unique(address).tolist():
            here = address == place
            c, t = ctas[here], tids[here]
            row = self._gathered.setdefault(place, np.zeros((self.ctas, self.threads), np.int64))
            if passes_on:
                np.maximum(row, self._knowledge(c, t), out=row)
            np.maximum.at(row, (c, t), until[here])
            over = np.unique(c[ends[here]])
            if over.size:
                ended = self._ended.setdefault(place, np.zeros_like(row))
                ended[over] = row[over]

    def _knowledge(self, ctas: Array, tids: Array) -> Array:
        """(ctas, threads) until when what each thread did is known to one of these."""
        hit = np.zeros((self.ctas, self.warps), bool)
        hit[ctas, tids // WARP] = True
        known = np.where(hit, self.synced, 0)
        if self.known is not None:
            known = np.maximum(known, np.where(hit[:, :, None], self.known, 0).max(axis=1))
        result = np.repeat(known, WARP, axis=1)
        if self.lanes is not None:
            chosen = np.zeros((self.ctas, self.warps * WARP), bool)
            chosen[ctas, tids] = True
            within = np.where(chosen.reshape(self.ctas, self.warps, WARP, 1), self.lanes, 0).max(axis=2)
            result = np.maximum(result, within.reshape(self.ctas, -1))
        result = np.maximum(result[:, : self.threads], np.where(hit.any(axis=1), self.met, 0)[:, None])
        if self.heard is not None:
            result = np.maximum(result, np.where(hit[:, :, None], self.heard, 0).max(axis=1))
        return result

    def hear(self, address: Array, ctas: Array, tids: Array, at_once: bool) -> bool:
        """Threads, each for its warp, learn what was left at words of shared memory; or will, with the next fence.

        Whether all CTAs know the same.
        """
        if self.heard is None:
            self.heard = np.zeros((self.ctas, self.warps, self.threads), np.int64)
            self._pending = np.zeros_like(self.heard)
        for place in np.unique(address).tolist():
            if place in self._ended:
                here = address == place
                hit = np.zeros((self.ctas, self.warps), bool)
                hit[ctas[here], tids[here] // WARP] = True
                table = self.heard if at_once else self._pending
                np.maximum(table, self._ended[place][:, None, :], out=table, where=hit[:, :, None])
        return not at_once or bool((self.heard == self.heard[:1]).all())

    def hear_pending(self, ctas: Array, tids: Array) -> bool:
        """Threads, each for its warp, learn what was left at words that they have read before. As `hear`."""
        if self.heard is None:
            return True
        hit = np.zeros((self.ctas, self.warps), bool)
        hit[ctas, tids // WARP] = True
        np.maximum(self.heard, self._pending, out=self.heard, where=hit[:, :, None])
        return bool((self.heard == self.heard[:1]).all())

    def warp_sync(self, g: Group, membermask: Array, now: int) -> bool:
        """Lanes of each warp of the group have met. Whether all CTAs of the batch did alike."""
        if g is self._group and now == self._last:
            return True  # no access since: nothing new is ordered, and what it would change is said already
        if g is not self._group:
            self._group, self._whole = g, self._whole_warps(g)
        self._last = now
        everybody = membermask.size == 1 and int(membermask.flat[0]) == 0xFFFFFFFF
        if not (self._whole and (everybody or self._names_all(g, membermask))):
            self._last = -1
            self._some_lanes(g, membermask, now)
            return g.product and g.shape[0] == self.ctas and membermask.shape[0] == 1
        _, _, row_cta, row_warp = g.warp_slots()
        if not g.product:
            self.synced[row_cta, row_warp] = now
            return self.ctas == 1
        if g.shape[0] == self.ctas:
            self.synced[:, row_warp] = now
            return True
        self.synced[g.ctas, row_warp] = now
        return False

    def _whole_warps(self, g: Group) -> bool:
        """Whether every warp of the group has all the threads that the block has of it."""
        slot, rows, _, row_warp = g.warp_slots()
        if slot is None:
            return True
        here = np.bincount(slot // WARP, minlength=rows)
        return bool((here == np.minimum(WARP, self.threads - row_warp * WARP)).all())

    def _names_all(self, g: Group, membermask: Array) -> bool:
        """Whether every lane's mask names all the threads of its warp that exist."""
        warp = g.tids // WARP
        lanes = np.minimum(WARP, self.threads - warp * WARP).astype(np.uint64)
        wanted = (np.uint64(1) << lanes) - np.uint64(1)
        return bool(((membermask.astype(np.uint64) & wanted) == wanted).all())

    def _some_lanes(self, g: Group, membermask: Array, now: int) -> None:
        """Note which pairs of lanes met, and that each knows now what the others knew."""
        if self.lanes is None:
            self.lanes = np.zeros((self.ctas, self.warps, WARP, WARP), np.int64)
        here = g.warp_lanes()
        named = (
            (g.by_warp(np.broadcast_to(membermask, g.shape)).astype(np.uint64)[..., None] >> _BITS) & np.uint64(1)
        ) != 0
        if here is not None:
            named = named & here[..., :, None] & here[..., None, :]
        _, _, row_cta, row_warp = g.warp_slots()
        ctas = g.ctas if g.product else row_cta[None, :]
        old = self.lanes[ctas, row_warp]  # (c, w, 32, 32)
        joint = np.zeros_like(old)
        for lane in range(WARP):
            joint = np.maximum(joint, np.where(named[..., lane, None], old[..., lane, None, :], 0))
        self.lanes[ctas, row_warp] = np.maximum(old, np.where(named, now, joint))

    def unordered(self, when: Array, theirs: Array, mine: Array, cta: Array) -> Array:
        """Whether what thread `theirs` did at a time may still go on for thread `mine` of the same CTA. 1-D arrays."""
        own, other = mine // WARP, theirs // WARP
        same = own == other
        seen = np.maximum(self.met[cta], np.where(same, self.synced[cta, own], 0))
        if self.known is not None:
            seen = np.maximum(seen, self.known[cta, own, other])
        if self.heard is not None:
            seen = np.maximum(seen, self.heard[cta, own, theirs])
        if self.lanes is not None:
            seen = np.maximum(seen, np.where(same, self.lanes[cta, own, mine % WARP, theirs % WARP], 0))
        return when > seen
