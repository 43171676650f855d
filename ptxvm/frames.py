"""Memory with a stack for each thread: frames of called functions, and looks at memory that nobody counts."""

from __future__ import annotations

import numpy as np

from ptxvm.blockwise import SHIFT
from ptxvm.errors import LaneFault
from ptxvm.group import Array, Group
from ptxvm.link import MOST_STACK_BYTES, TOP
from ptxvm.memory import LOCAL_WINDOW, SHARED_WINDOW, Memory
from ptxvm.written import POISON, UNWRITTEN


class FramedMemory(Memory):
    """Local memory grows as calls go deeper."""

    def new_frame(self, g: Group, start: Array, size: int) -> None:
        """Bytes [start, start + size) of a group's local memory belong to a new call: nobody has written them."""
        top = int(start.max()) + size
        if top > self.local_bytes:
            self._grow(top)
        rows = (g.ctas * self.threads + g.tids)[..., None]
        columns = start[..., None] + np.arange(size)
        self.local[rows, columns] = POISON
        if self.written.local is not None:
            self.written.local[rows, columns] = UNWRITTEN

    def alloca(self, g: Group, mask: Array | None, size: Array, align: int) -> Array:
        """`alloca`: where `size` bytes of each lane's stack begin, in local memory. Raises LaneFault."""
        old = g.regs[TOP]
        start = (old + (align - 1)) & ~np.int64(align - 1)
        top = start + size.astype(np.int64)
        wanted = top if mask is None else np.where(mask, top, old)
        high = int(wanted.max())
        if high > MOST_STACK_BYTES:
            detail = f"{high:,} bytes of local memory for one thread's calls"
            raise LaneFault("stack overflow", detail, wanted > MOST_STACK_BYTES)
        self.new_frame(g, start, int((wanted - start).max()))
        g.regs[TOP] = wanted
        return start.view(np.uint64)

    def stack_restore(self, g: Group, mask: Array | None, top: Array) -> None:
        """`stackrestore`."""
        value = top.astype(np.int64)
        g.regs[TOP] = value if mask is None else np.where(mask, value, g.regs[TOP])

    def _grow(self, wanted: int) -> None:
        size = -(-max(wanted, 2 * self.local_bytes) // 16) * 16
        rows, kept = self.local.shape
        local = np.full((rows, size), POISON, np.uint8)
        local[:, :kept] = self.local
        if self.written.local is not None:
            state = np.full((rows, size), UNWRITTEN, np.uint8)
            state[:, :kept] = self.written.local
            self.written.renew_local(state)
        self.local, self.local_bytes = local, size
        self._views["local"] = {n: local.reshape(-1).view(f"u{n}") for n in (1, 2, 4, 8)}

    def peek(self, g: Group, address: Array, lanes: Array, size: int) -> list[int]:
        """Numbers of `size` bytes at generic addresses of some lanes, in lane order; outside all memory any."""
        result = np.zeros(g.shape, np.uint64)
        for space, here, offset in self._by_space(g, np.broadcast_to(address, g.shape), lanes):
            active = lanes if here is None else np.broadcast_to(here, g.shape)
            index = np.broadcast_to(self._index(g, space, address - offset) >> SHIFT[size], g.shape)[active]
            result[active] = self._views[space][size].take(index, mode="clip")
        return [int(n) for n in result[lanes]]

    def bytes_at(self, address: int, cta: int, tid: int, most: int) -> Array:
        """Up to `most` bytes from a generic address of one thread on."""
        if address < SHARED_WINDOW:
            return self.arena.bytes[max(address, 0) : max(address, 0) + most]
        if address < LOCAL_WINDOW:
            start = address - SHARED_WINDOW
            return self.shared[cta, start : start + most]
        start = address - LOCAL_WINDOW
        return self.local[cta * self.threads + tid, start : start + most]
