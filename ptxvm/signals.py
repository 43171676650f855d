"""What fences and ordered atomics make known to other threads.

Within a CTA: a thread that stores to a word of shared memory with `release`, or after a fence, leaves there what it
knows; a thread that loads it with `acquire`, or fences after having loaded it, learns that (for its warp). That it
really read what the other one stored is not looked at. So locks, flags and counters of a block order what they should.

Between CTAs only so much is kept that a race can be told as "ordered by atomics": whether the first one has executed a
fence or a release since its access, and the second one an acquire.
"""

from __future__ import annotations

import numpy as np

from ptxvm.access import Access
from ptxvm.group import Array, Group
from ptxvm.order import Order
from ptxvm.shadow import CTA, EVENT_SHIFT, THREAD, THREAD_BITS

ORDERED = {"relaxed", "acquire", "release", "acq_rel", "mmio"}
MOST_WORDS = 32  # that one instruction touches; more are no locks and flags


class Signals:
    """Of one launch. `across`: global memory is watched too."""

    def __init__(self, threads: int, across: bool) -> None:
        self.threads, self.across = threads, across
        self._base = 0
        self._released: dict[int, Array] = {}  # base of a batch -> time of each thread's last fence or release
        self._covered: dict[int, Array] = {}  # the same for what a CTA had done before a barrier before such a thing
        self._acquired: Array | None = None  # of this batch: time of each thread's last acquire
        self._acquired_cta: Array | None = None  # and of any thread of the CTA, before the CTA's last barrier
        self._fenced: Array | None = None  # of this batch: time of each thread's last fence

    def begin_batch(self, base: int, order: Order) -> None:
        """`base` is the number of the first CTA of the batch among all those of the launch."""
        self._base, self._order = base, order
        self._acquired = self._acquired_cta = self._fenced = None

    @property
    def any_across(self) -> bool:
        """Whether there was a fence, release or acquire."""
        return bool(self._released) or self._acquired is not None

    def barrier(self, ctas: Array) -> None:
        """All threads of these CTAs have met."""
        if self._acquired is not None and self._acquired_cta is not None:
            self._acquired_cta[ctas] = self._acquired[ctas].max(axis=1)

    def fence(self, g: Group, now: int) -> bool:
        """A memory fence of the threads of a group, in both directions. Whether all CTAs of the batch know the same."""
        if self.across:
            self._release(g, None, now)
            self._acquire(g, None, now)
        if self._fenced is None:
            self._fenced = np.zeros((self._order.ctas, self.threads), np.int64)
        self._fenced[g.ctas, g.tids] = now
        return self._order.hear_pending(*threads_of(g, None))

    def access(self, a: Access, now: int) -> bool:
        """An atomic, or an access that counts as one. Whether all CTAs of the batch know the same."""
        words = set(a.site.ins.parts)
        if self.across:
            if words & {"release", "acq_rel"}:
                self._release(a.group, a.mask, now)
            if words & {"acquire", "acq_rel", "volatile"} or (a.kind == "load" and "relaxed" in words):
                self._acquire(a.group, a.mask, now)
        releases, acquires = words & {"release", "acq_rel"}, words & {"acquire", "acq_rel"}
        if a.space != "shared" or "mbarrier" in words or not (releases or acquires or self._fenced is not None):
            return True
        ctas, tids = (x.ravel() for x in np.broadcast_arrays(*threads_of(a.group, a.mask)))
        place = np.broadcast_to(a.address, a.group.shape)
        place = place.ravel() if a.mask is None else place[np.broadcast_to(a.mask, a.group.shape)]
        if np.unique(place).size > MOST_WORDS:
            return True
        if a.kind != "load":
            until = np.full(ctas.size, now)
            if not releases:
                until = np.zeros(ctas.size, np.int64) if self._fenced is None else self._fenced[ctas, tids]
            tells = until > 0
            if tells.any():
                ends = np.ones(int(tells.sum()), bool)
                self._order.tell(place[tells], ctas[tells], tids[tells], until[tells], ends, True)
        return a.kind == "store" or self._order.hear(place, ctas, tids, bool(acquires))

    def _release(self, g: Group, mask: Array | None, now: int) -> None:
        """What these threads wrote, and what their CTAs had written before the last barrier, may be for others."""
        released = self._released.get(self._base)
        if released is None:
            released = self._released[self._base] = np.zeros((self._order.ctas, self.threads), np.int64)
            self._covered[self._base] = np.zeros(self._order.ctas, np.int64)
        ctas, tids = threads_of(g, mask)
        released[ctas, tids] = now
        self._covered[self._base][ctas] = self._order.met[ctas]

    def _acquire(self, g: Group, mask: Array | None, now: int) -> None:
        if self._acquired is None:
            self._acquired = np.zeros((self._order.ctas, self.threads), np.int64)
            self._acquired_cta = np.zeros(self._order.ctas, np.int64)
        ctas, tids = threads_of(g, mask)
        self._acquired[ctas, tids] = now

    def may_order(self, theirs: Array, mine: Array) -> Array:
        """Of records of two CTAs: whether the earlier has released since then, or the later acquired."""
        when, cta, thread = theirs >> EVENT_SHIFT, (theirs >> THREAD_BITS) & CTA, theirs & THREAD
        result = np.zeros(when.shape, bool)
        for base, released in self._released.items():
            here = (cta >= base) & (cta < base + released.shape[0])
            if here.any():
                local = cta[here] - base
                seen = np.maximum(released[local, thread[here]], self._covered[base][local])
                result[here] = seen >= when[here]
        if self._acquired is not None and self._acquired_cta is not None:
            own = ((mine >> THREAD_BITS) & CTA) - self._base
            result |= np.maximum(self._acquired[own, mine & THREAD], self._acquired_cta[own]) >= when
        return result


def threads_of(g: Group, mask: Array | None) -> tuple[Array, Array]:
    """(ctas, tids) of the active threads, as indices that go together."""
    if mask is None:
        return g.ctas, g.tids
    active = np.broadcast_to(mask, g.shape)
    return np.broadcast_to(g.ctas, g.shape)[active], np.broadcast_to(g.tids, g.shape)[active]
