"""Reads of bytes that nobody has written: one state a byte of shared, local and (on request) global memory."""

from __future__ import annotations

import numpy as np

from ptxvm.access import Kind, Space
from ptxvm.blockwise import SHIFT
from ptxvm.errors import LaneFault
from ptxvm.group import Array, Group

UNWRITTEN, WRITTEN, IN_FLIGHT = 0, 1, 2  # state of a byte
POISON = 0xCD  # what shared and local memory hold before


class Written:
    """States of the memory of one batch: shared (ctas, bytes), local (ctas * threads, bytes), global (bytes,).

    None where reads are not looked at. Whoever makes shared bytes IN_FLIGHT shows an access of kind "async" first.
    """

    def __init__(self, shared: Array | None, local: Array | None, global_: Array | None) -> None:
        self.shared, self.local = shared, local
        self._flat: dict[Space, Array | None] = {
            "shared": None if shared is None else shared.reshape(-1),
            "local": None if local is None else local.reshape(-1),
            "global": global_,
        }
        self._own_bytes = {
            "shared": 1 if shared is None else shared.shape[1],  # of a CTA
            "local": 1 if local is None else local.shape[1],  # of a thread
        }
        self._known = (0, 0)  # bytes of shared memory that are WRITTEN in all CTAs
        self._tries = 4  # to find more of them; a padded tile has holes that nobody writes

    def renew_local(self, state: Array) -> None:
        """Local memory has grown: its states, in an array of the new size."""
        self.local, self._flat["local"] = state, state.reshape(-1)

    def settles(self, space: Space, kind: Kind, low: int, high: int) -> bool:
        """Whether an access somewhere in [low, high) needs no look at single lanes.

        So it is where states are not kept, and where all bytes of the range are known to be WRITTEN.
        """
        if self._flat[space] is None:
            return True
        if kind == "async":  # the copy queue keeps the states of what it brings
            self._known = (0, 0)
            return True
        if space != "shared" or self.shared is None:
            return False
        first, last = self._known
        if first <= low and high <= last:
            return True
        if kind != "load" or not self._tries:
            return False
        if not bool((self.shared[:, low:high] == WRITTEN).all()):
            self._tries -= 1
            return False
        meets = low <= last and high >= first
        self._known = (min(low, first), max(high, last)) if meets else (low, high)
        return True

    def access(self, g: Group, space: Space, index: Array, mask: Array | None, width: int, kind: Kind) -> Array | None:
        """Note what is written. Of the active lanes those that read what is not, None if there are none."""
        state = self._flat[space]
        assert state is not None
        active = index if mask is None else _active(index, mask)
        unit = min(width, 8)  # states of a whole access move as one integer of up to 8 bytes
        cells = state.view(f"u{unit}")
        first = active >> SHIFT[unit]
        written = int.from_bytes(bytes([WRITTEN]) * unit, "little")
        bad = None
        if kind != "store":
            good = cells.take(first) == written
            for i in range(1, width // unit):
                good &= cells.take(first + i) == written
            if not good.all():
                bad = ~good
        if kind != "load":
            if mask is None and index.shape != g.shape:
                first = np.broadcast_to(first, g.shape)
            for i in range(width // unit):
                cells[first + i] = written
        return bad

    def fault(self, g: Group, space: Space, bad: Array, index: Array, mask: Array | None, width: int) -> LaneFault:
        """What to say of lanes that read what nobody wrote. `bad` is over the active lanes."""
        lanes = np.zeros(np.broadcast_shapes(index.shape, bad.shape if mask is None else mask.shape), bool)
        if mask is None:
            lanes |= bad
        else:
            lanes[np.broadcast_to(mask, lanes.shape)] = bad
        lanes = np.broadcast_to(lanes, g.shape)
        flat = np.broadcast_to(index, g.shape)
        place = int(flat[lanes][0])
        state = self._flat[space]
        flying = state is not None and bool((state[place : place + width] == IN_FLIGHT).any())
        kind = "missing wait" if flying else "uninitialised read"
        what = "that an asynchronous copy is still writing" if flying else "that nobody has written"
        address = flat if space == "global" else flat % self._own_bytes[space]
        return LaneFault(kind, f"load of {width} bytes of {space} memory {what}", lanes, address, space)


def _active(address: Array, mask: Array) -> Array:
    shape = np.broadcast_shapes(address.shape, mask.shape)
    return np.broadcast_to(address, shape)[np.broadcast_to(mask, shape)]
