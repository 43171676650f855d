"""`cp.async`: copies from global to shared memory that land when they are waited for.

The source is read at issue; the bytes are written at the `wait_group` of the issuing thread that covers them, so a wait
that was forgotten shows as stale data and as a "missing wait". Commit groups belong to threads: the queue keeps the
number of groups that each thread has committed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptxvm.access import Site
from ptxvm.group import Array, Group
from ptxvm.memory import IN_FLIGHT, WRITTEN, Memory


@dataclass
class _Copy:
    """Some bytes on their way. All arrays are 1-D over threads, `data` is (threads, width) bytes."""

    threads: Array  # cta * threads_per_cta + tid
    batch: Array  # commit group of the issuing thread
    target: Array  # byte in the flat view of shared memory
    data: Array


class CopyQueue:
    """Copies of one batch that have not landed."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.pending: list[_Copy] = []
        self.committed: Array | None = None  # groups committed by each thread, made at the first copy

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
        lanes = np.broadcast_to(np.True_ if mask is None else mask, g.shape)
        if not lanes.any():
            return
        reads = lanes if source_bytes is None else lanes & (np.broadcast_to(source_bytes, g.shape) > 0)
        if reads.any():
            memory.check(g, site, "global", np.broadcast_to(source, g.shape), reads, width, "load")
        memory.check(g, site, "shared", np.broadcast_to(target, g.shape), lanes, width, "async")
        start = np.broadcast_to(source, g.shape)[lanes]
        offsets = np.arange(width)
        index = np.where(reads[lanes][:, None], start[:, None] + offsets, 0)
        data = memory.arena.bytes.take(index)
        if source_bytes is not None:
            data = np.where(offsets < np.broadcast_to(source_bytes, g.shape)[lanes][:, None], data, 0).astype(np.uint8)
        where = np.broadcast_to(target + g.ctas * memory.shared_stride, g.shape)[lanes]
        threads = np.broadcast_to(g.ctas * memory.threads + g.tids, g.shape)[lanes]
        if self.committed is None:
            self.committed = np.zeros(memory.ctas * memory.threads, np.int64)
        self.pending.append(_Copy(threads, self.committed[threads], where, data))
        if memory.shared_state is not None:
            memory.shared_state.reshape(-1)[where[:, None] + offsets] = IN_FLIGHT

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
        left: list[_Copy] = []
        for copy in self.pending:
            lands = waiting[copy.threads]
            if allowed is not None:
                lands &= copy.batch < self.committed[copy.threads] - allowed
            if lands.all():
                self._land(copy)
            elif lands.any():
                stays = ~lands
                self._land(_Copy(copy.threads[lands], copy.batch[lands], copy.target[lands], copy.data[lands]))
                left.append(_Copy(copy.threads[stays], copy.batch[stays], copy.target[stays], copy.data[stays]))
            else:
                left.append(copy)
        self.pending = left

    def _threads(self, g: Group, mask: Array | None) -> Array:
        threads = np.broadcast_to(g.ctas * self.memory.threads + g.tids, g.shape)
        return threads.ravel() if mask is None else threads[np.broadcast_to(mask, g.shape)]

    def _land(self, copy: _Copy) -> None:
        bytes_ = copy.target[:, None] + np.arange(copy.data.shape[1])
        self.memory.shared.reshape(-1)[bytes_] = copy.data
        if self.memory.shared_state is not None:
            self.memory.shared_state.reshape(-1)[bytes_] = WRITTEN
