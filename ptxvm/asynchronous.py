"""`cp.async`: copies from global to shared memory that land when they are waited for.

The source is read at issue; the bytes are written at the `wait_group` of the issuing thread that covers them, so a wait
that was forgotten shows as stale data and as a "missing wait". Commit groups belong to threads: the queue keeps the
number of groups that each thread has committed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptxvm.access import Site
from ptxvm.blockwise import SHIFT
from ptxvm.group import Array, Group
from ptxvm.memory import Memory
from ptxvm.written import IN_FLIGHT, WRITTEN


@dataclass
class _Copy:
    """Some bytes on their way. All arrays are 1-D over threads, `data` is (threads, width) bytes."""

    threads: Array  # cta * threads_per_cta + tid
    batch: Array  # commit group of the issuing thread
    target: Array  # byte in the flat view of shared memory
    data: Array
    number: int  # of the copy
    solid: tuple[int, int] | None = None  # see `CopyQueue._solid`; None for a part of a copy

    def part(self, lanes: Array) -> _Copy:
        """Of some threads."""
        return _Copy(self.threads[lanes], self.batch[lanes], self.target[lanes], self.data[lanes], self.number)


class CopyQueue:
    """Copies of one batch that have not landed."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.pending: list[_Copy] = []
        self.issued = 0  # copies so far
        self.committed: Array | None = None  # groups committed by each thread, made at the first copy
        self._solids: dict[bytes, tuple[int, int] | None] = {}

    def issue(
        self,
        g: Group,
        site: Site,
        target: Array,
        source: Array,
        mask: Array | None,
        width: int,
        source_bytes: Array | None,
    ) -> None:
        """Copy `width` bytes a lane; `source_bytes` of them are read and the rest is zero.

        target  shared address, int64; source  global address, int64; both broadcast to the group's shape.
        """
        memory = self.memory
        mask = None if mask is None or mask.all() else mask
        if mask is not None and not mask.any():
            return
        reads = mask
        if source_bytes is not None and not source_bytes.all():
            some = source_bytes > 0
            reads = some if mask is None else some & mask
        if reads is None or reads.any():
            memory.check(g, site, "global", source, reads, width, "load")
        memory.check(g, site, "shared", target, mask, width, "async")

        def active(x: Array) -> Array:
            """Of each lane that copies, 1-D."""
            whole = np.broadcast_to(x, g.shape)
            return whole.reshape(-1) if mask is None else whole[np.broadcast_to(mask, g.shape)]

        start = active(source)
        if reads is not mask:
            start = np.where(active(reads), start, 0)  # type: ignore[arg-type]
        unit = _unit(start, width)
        cells = (start >> SHIFT[unit])[:, None] + np.arange(width // unit)
        data = memory.arena.views[unit].take(cells).view(np.uint8)  # (threads, width)
        if source_bytes is not None and not bool((source_bytes == width).all()):
            data = np.where(np.arange(width) < active(source_bytes)[:, None], data, 0).astype(np.uint8)
        where = active(target + g.ctas * memory.shared_stride)
        threads = active(g.ctas * memory.threads + g.tids)
        if self.committed is None:
            self.committed = np.zeros(memory.ctas * memory.threads, np.int64)
        alike = mask is None and g.product and g.shape[0] == memory.ctas and target.shape[0] == 1
        self.issued += 1
        solid = self._solid(target, width) if alike else None
        copy = _Copy(threads, self.committed[threads], where, data, self.issued, solid)
        self.pending.append(copy)
        self._mark(copy, IN_FLIGHT)

    def _solid(self, target: Array, width: int) -> tuple[int, int] | None:
        """The bytes [low, high) of a CTA that a copy fills without a gap; None if it leaves one."""
        key = target.tobytes()
        if key not in self._solids:
            low, high = int(target.min()), int(target.max()) + width
            filled = np.unique(target).size * width == high - low
            self._solids[key] = (low, high) if filled else None
        return self._solids[key]

    def _mark(self, copy: _Copy, state: int) -> None:
        """Set the state of the bytes that a copy writes."""
        states = self.memory.shared_state
        if states is None:
            return
        if copy.solid is not None:  # the same bytes of all CTAs
            states[:, copy.solid[0] : copy.solid[1]] = state
            return
        unit, cells = _cells(copy)
        states.reshape(-1).view(f"u{unit}")[cells] = int.from_bytes(bytes([state]) * unit, "little")

    def commit(self, g: Group, mask: Array | None) -> None:
        """`cp.async.commit_group`."""
        if self.committed is None:
            self.committed = np.zeros(self.memory.ctas * self.memory.threads, np.int64)
        self.committed[self._threads(g, mask)] += 1

    def wait(self, g: Group, mask: Array | None, allowed: int | None) -> None:
        """`cp.async.wait_group allowed`; None is `wait_all`, which also covers copies not committed yet."""
        if not self.pending or self.committed is None:
            return
        waiting = np.zeros(self.committed.size, bool)
        waiting[self._threads(g, mask)] = True
        done = []
        for copy in self.pending:
            lands = waiting[copy.threads]
            if allowed is not None:
                lands &= copy.batch < self.committed[copy.threads] - allowed
            done.append(lands)
        self._land_some(done)

    def finish(self, threads: Array, number: int) -> None:
        """The first `number` copies of the batch, as far as some threads issued them, are complete."""
        if self.pending:
            assert self.committed is not None
            waiting = np.zeros(self.committed.size, bool)
            waiting[threads] = True
            self._land_some([waiting[copy.threads] & (copy.number <= number) for copy in self.pending])

    def _land_some(self, done: list[Array]) -> None:
        """Write the bytes of these threads of each pending copy."""
        left: list[_Copy] = []
        for copy, lands in zip(self.pending, done, strict=True):
            if lands.all():
                self._land(copy)
            elif lands.any():
                self._land(copy.part(lands))
                left.append(copy.part(~lands))
            else:
                left.append(copy)
        self.pending = left

    def _threads(self, g: Group, mask: Array | None) -> Array:
        threads = np.broadcast_to(g.ctas * self.memory.threads + g.tids, g.shape)
        return threads.ravel() if mask is None else threads[np.broadcast_to(mask, g.shape)]

    def _land(self, copy: _Copy) -> None:
        unit, cells = _cells(copy)
        self.memory.shared.reshape(-1).view(f"u{unit}")[cells] = copy.data.view(f"u{unit}")
        self._mark(copy, WRITTEN)


def _cells(copy: _Copy) -> tuple[int, Array]:
    """(bytes that are moved as one number, (threads, n) numbers of such cells that a copy writes)."""
    width = copy.data.shape[1]
    unit = _unit(copy.target, width)
    return unit, (copy.target >> SHIFT[unit])[:, None] + np.arange(width // unit)


def _unit(places: Array, width: int) -> int:
    """Bytes that are moved as one number: as many as all places are a multiple of, 8 at most."""
    unit = min(width, 8)
    return unit if not int(np.bitwise_or.reduce(places)) & (unit - 1) else 1
