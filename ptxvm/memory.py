"""Loads and stores of a group: bounds, alignment, provenance, uninitialised reads, and who is told of each access.

Addresses are int64 arrays that broadcast to the group's shape. Global addresses are offsets in the arena; a shared
address is a byte in the CTA's own shared memory; a local one a byte in the thread's. A *generic* address carries its
space: shared memory begins at 1 << 40, local at 1 << 41.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

from ptxvm import blockwise
from ptxvm.access import Access, Kind, Site, Space
from ptxvm.arena import Arena
from ptxvm.blockwise import SHIFT, Row
from ptxvm.bounds import Bounds
from ptxvm.errors import LaneFault
from ptxvm.group import Array, Group
from ptxvm.sums import Sum
from ptxvm.written import POISON, Written

if TYPE_CHECKING:
    from ptxvm.report import Finding

SHARED_WINDOW = 1 << 40
LOCAL_WINDOW = 1 << 41
MOST_ROWS = 64  # that are remembered of one instruction

Observer = Callable[[Access], None]


class Memory:
    """The memory of one batch of CTAs: shared bytes are (ctas, shared_stride), local ones (ctas * threads, local)."""

    def __init__(
        self,
        arena: Arena,
        ctas: int,
        threads: int,
        shared_bytes: int,
        local_bytes: int,
        *,
        check_bounds: bool = True,
        check_alignment: bool = True,
        check_provenance: bool = True,
        check_shared_init: bool = True,
        written_bytes: Array | None = None,
    ) -> None:
        self.arena = arena
        self.ctas, self.threads = ctas, threads
        self.shared_bytes = shared_bytes
        self.shared_stride = -(-shared_bytes // 16) * 16
        self.local_bytes = -(-local_bytes // 16) * 16
        self.shared = np.full((ctas, self.shared_stride), POISON, np.uint8)
        self.local = np.full((ctas * threads, self.local_bytes), POISON, np.uint8)
        self.shared_state = np.zeros((ctas, self.shared_stride), np.uint8) if check_shared_init else None
        local_state = np.zeros(self.local.shape, np.uint8) if check_shared_init else None
        self.global_state = written_bytes  # (capacity,) bool, only where uninitialised global reads are asked for
        self.written = Written(self.shared_state, local_state, written_bytes)
        self.bounds = Bounds(arena, shared_bytes, check_bounds, check_alignment, check_provenance)
        self.observers: list[Observer] = []
        self.changes = 0  # stores, and atomics that changed something: what a waiting loop may wait for
        self.report: Callable[[Site, Group, LaneFault], Finding] | None = None  # for findings that do not stop the run
        self._rows: dict[int, dict[bytes, Row]] = {}  # by instruction: addresses that were the same in all CTAs
        self._shared_rows = {n: self.shared.view(f"u{n}") for n in (1, 2, 4, 8)}
        self._views = {
            "shared": {n: self.shared.reshape(-1).view(f"u{n}") for n in (1, 2, 4, 8)},
            "local": {n: self.local.reshape(-1).view(f"u{n}") for n in (1, 2, 4, 8)},
            "global": arena.views,
        }

    # -- the two entries -----------------------------------------------------------------------------------------
    def load(
        self, g: Group, site: Site, space: str, address: Array | Sum, mask: Array | None, size: int, count: int
    ) -> list[Array]:
        """`count` unsigned arrays of `size` bytes each, from consecutive places; lanes out of `mask` hold 0."""
        if mask is not None and mask.all():
            mask = None
        if mask is not None and not mask.any():
            return [np.zeros((1, 1), f"u{size}")] * count
        if isinstance(address, Sum):
            if mask is None and _is_global(space, address) and self._check_sum(g, site, address, size, count, "load"):
                return blockwise.load(self.arena, address, size, count)
            address = address.whole()
        if space == "generic":
            return self._generic_load(g, site, address, mask, size, count)
        if space == "shared" and mask is None and (row := self._row(g, site, address, size, count, "load")) is not None:
            return row.load(self._shared_rows[size], count)
        self.check(g, site, space, address, mask, size * count, "load")  # type: ignore[arg-type]
        index = self._index(g, space, address) if size == 1 else self._index(g, space, address) >> SHIFT[size]
        view = self._views[space][size]
        if mask is None:
            return [view.take(index if i == 0 else index + i) for i in range(count)]
        shape = np.broadcast_shapes(index.shape, mask.shape)
        lanes = np.broadcast_to(mask, shape)
        compressed = np.broadcast_to(index, shape)[lanes]
        results = []
        for i in range(count):
            value = np.zeros(shape, view.dtype)
            value[lanes] = view.take(compressed + i)
            results.append(value)
        return results

    def store(
        self, g: Group, site: Site, space: str, address: Array | Sum, mask: Array | None, values: list[Array]
    ) -> None:
        """Store unsigned arrays of one size to consecutive places. Where lanes collide the last one wins."""
        if mask is not None and mask.all():
            mask = None
        if mask is not None and not mask.any():
            return
        size, count = values[0].dtype.itemsize, len(values)
        if isinstance(address, Sum):
            apart = mask is None and _is_global(space, address)
            if apart and self._check_sum(g, site, address, size, count, "store", values):
                self.changes += 1
                blockwise.store(self.arena, address, values)
                return
            address = address.whole()
        if space == "generic":
            for real, lanes, offset in self._by_space(g, address, mask):
                self.store(g, site, real, address - offset, lanes, values)
            return
        row = self._row(g, site, address, size, count, "store", values) if space == "shared" and mask is None else None
        if row is None:
            self.check(g, site, space, address, mask, size * count, "store", values)  # type: ignore[arg-type]
        self.changes += 1
        if row is not None and row.store(self._shared_rows[size], g, values):
            return
        index = self._index(g, space, address) >> SHIFT[size]
        view = self._views[space][size]
        if mask is None:
            target = index if index.shape == g.shape else np.broadcast_to(index, g.shape)
            for i, value in enumerate(values):
                view[target + i if i else target] = value
        else:
            lanes = np.broadcast_to(mask, g.shape)
            target = np.broadcast_to(index, g.shape)[lanes]
            for i, value in enumerate(values):
                view[target + i] = np.broadcast_to(value, g.shape)[lanes]

    def atomic_cells(
        self, g: Group, site: Site, space: str, address: Array, mask: Array | None, size: int
    ) -> list[tuple[Array, Array, Array]]:
        """For each space touched: the view of `size`-byte cells, each active lane's cell in lane order, the lanes."""
        parts = []
        spaces = self._by_space(g, address, mask) if space == "generic" else [(space, mask, 0)]
        for real, lanes, offset in spaces:
            if lanes is not None and not lanes.any():
                continue
            self.check(g, site, real, address - offset, lanes, size, "atomic")  # type: ignore[arg-type]
            index = np.broadcast_to(self._index(g, real, address - offset) >> SHIFT[size], g.shape)
            active = np.broadcast_to(np.True_ if lanes is None else lanes, g.shape)
            parts.append((self._views[real][size], index[active], active))
        return parts

    def cells(self, space: Space, shift: int, index: Array) -> Array:
        """The cells of 1 << `shift` bytes at flat indices of the global memory or of all CTAs' shared memory."""
        return self._views[space][1 << shift].take(index, mode="clip")

    def words(self) -> Array:
        """The 64-bit words of the shared memory of all CTAs, flat."""
        return self._views["shared"][8]

    # -- addresses -----------------------------------------------------------------------------------------------
    def _index(self, g: Group, space: str, address: Array) -> Array:
        """Byte index into the flat view of a space."""
        if space == "global":
            return address
        if space == "shared":
            return address if self.ctas == 1 else address + g.ctas * self.shared_stride
        return address + (g.ctas * self.threads + g.tids) * self.local_bytes

    def _by_space(self, g: Group, address: Array, mask: Array | None) -> list[tuple[str, Array | None, int]]:
        """Generic addresses, sorted into (space, lanes, offset to subtract)."""
        low, high = int(address.min()), int(address.max())
        if high < SHARED_WINDOW:
            return [("global", mask, 0)]
        if low >= LOCAL_WINDOW:
            return [("local", mask, LOCAL_WINDOW)]
        if low >= SHARED_WINDOW and high < LOCAL_WINDOW:
            return [("shared", mask, SHARED_WINDOW)]
        base = np.True_ if mask is None else mask
        out: list[tuple[str, Array | None, int]] = []
        for space, lanes, offset in (
            ("global", address < SHARED_WINDOW, 0),
            ("shared", (address >= SHARED_WINDOW) & (address < LOCAL_WINDOW), SHARED_WINDOW),
            ("local", address >= LOCAL_WINDOW, LOCAL_WINDOW),
        ):
            if (lanes & base).any():
                out.append((space, lanes & base, offset))
        return out

    def _generic_load(
        self, g: Group, site: Site, address: Array, mask: Array | None, size: int, count: int
    ) -> list[Array]:
        parts = self._by_space(g, address, mask)
        if len(parts) == 1:
            space, lanes, offset = parts[0]
            return self.load(g, site, space, address - offset, lanes, size, count)
        total = [np.zeros((1, 1), f"u{size}")] * count
        for space, lanes, offset in parts:  # lanes of the parts are disjoint and the others hold 0
            total = [
                a | b
                for a, b in zip(total, self.load(g, site, space, address - offset, lanes, size, count), strict=True)
            ]
        return total

    # -- checks --------------------------------------------------------------------------------------------------
    def check(
        self,
        g: Group,
        site: Site,
        space: Space,
        address: Array,
        mask: Array | None,
        width: int,
        kind: Kind,
        values: list[Array] | None = None,
    ) -> None:
        """Raise LaneFault for lanes that may not touch their address; note writes; tell the observers."""
        low, high = self.bounds.check(site, space, address, mask, width, kind, self.local_bytes)
        self._track(g, site, space, address, mask, width, kind, low, high)
        self._tell(g, site, space, address, mask, width, kind, values)

    def _tell(
        self,
        g: Group,
        site: Site,
        space: Space,
        address: Array | Sum,
        mask: Array | None,
        width: int,
        kind: Kind,
        values: list[Array] | None,
    ) -> None:
        """Show an access to the observers."""
        if self.observers:
            access = Access(site, g, space, kind, width, address, mask, values)
            for observer in self.observers:
                observer(access)

    def _row(
        self,
        g: Group,
        site: Site,
        address: Array,
        size: int,
        count: int,
        kind: Literal["load", "store"],
        values: list[Array] | None = None,
    ) -> Row | None:
        """Check an access to shared memory whose addresses are the same in all CTAs; None if they are not.

        A loop comes back with the same addresses: then there is nothing to check again but what was written.
        """
        if address.shape[0] != 1 or not g.product or g.shape[0] != self.ctas:
            return None
        width, key = size * count, address.tobytes()
        rows = self._rows.setdefault(site.index, {})
        row = rows.get(key)
        if row is None:
            low, high = self.bounds.check(site, "shared", address, None, width, kind, self.local_bytes)
            if len(rows) >= MOST_ROWS:
                rows.clear()
            row = rows[key] = Row(address, SHIFT[size], low, high)
        self._track(g, site, "shared", address, None, width, kind, row.low, row.high)
        self._tell(g, site, "shared", address, None, width, kind, values)
        return row

    def _check_sum(
        self,
        g: Group,
        site: Site,
        address: Sum,
        size: int,
        count: int,
        kind: Literal["load", "store"],
        values: list[Array] | None = None,
    ) -> bool:
        """Check an access to global memory as a whole; False where it needs a look at single lanes."""
        width, bounds = size * count, address.bounds()
        if bounds is None or self.global_state is not None:
            return False
        if not address.aligned(width if self.bounds.alignment else size):
            return False
        if self.bounds.owner(site, bounds[0], bounds[1] + width, kind) is None:
            return False
        self._tell(g, site, "global", address, None, width, kind, values)
        return True

    def _track(
        self,
        g: Group,
        site: Site,
        space: Space,
        address: Array,
        mask: Array | None,
        width: int,
        kind: Kind,
        low: int,
        high: int,
    ) -> None:
        """Note what is written, and report reads of what is not. All bytes lie in [low, high)."""
        if self.written.settles(space, kind, low, high):
            return
        index = self._index(g, space, address)
        bad = self.written.access(g, space, index, mask, width, kind)
        if bad is not None and self.report is not None:
            self.report(site, g, self.written.fault(g, space, bad, index, mask, width))


def _is_global(space: str, address: Sum) -> bool:
    """Whether the space is global memory, or all addresses, being generic, lie in it."""
    if space != "generic":
        return space == "global"
    bounds = address.bounds()
    return bounds is not None and bounds[0] >= 0 and bounds[1] < SHARED_WINDOW
