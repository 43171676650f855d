"""Where an access may go: alignment, the ends of memory, and the tensor that a pointer belongs to."""

from __future__ import annotations

import numpy as np

from ptxvm.access import Kind, Site, Space
from ptxvm.arena import NULL_BYTES, Allocation, Arena
from ptxvm.errors import LaneFault
from ptxvm.group import Array


class Bounds:
    """The checks of one batch.

    bounds, alignment, provenance   which of them are made
    parameters                      the allocation that each pointer parameter points into
    """

    def __init__(self, arena: Arena, shared_bytes: int, bounds: bool, alignment: bool, provenance: bool) -> None:
        self.arena, self.shared_bytes = arena, shared_bytes
        self.bounds, self.alignment, self.provenance = bounds, alignment, provenance
        self.parameters: dict[str, Allocation] = {}

    def check(
        self,
        site: Site,
        space: Space,
        address: Array,
        mask: Array | None,
        width: int,
        kind: Kind,
        local_bytes: int,
    ) -> tuple[int, int]:
        """Alignment and bounds. The first byte touched, and the one behind the last."""
        active = address if mask is None else _active(address, mask)
        if self.alignment and width > 1 and int(np.bitwise_or.reduce(active, axis=None)) & (width - 1):
            bad = (address & (width - 1)) != 0
            raise LaneFault(
                "misaligned",
                f"{kind} of {width} bytes at an address that is no multiple of {width}",
                _and(bad, mask),
                address,
                space,
            )
        low, high = int(active.min()), int(active.max()) + width
        if space == "global":
            self._check_global(site, address, mask, low, high, width, kind)
        else:
            limit = self.shared_bytes if space == "shared" else local_bytes
            if low < 0 or high > limit:
                bad = (address < 0) | (address + width > limit)
                owner = "block" if space == "shared" else "thread"
                detail = f"{kind} of {width} bytes; {space} memory of a {owner} has {limit:,} bytes"
                if space == "shared" and limit == 0:
                    detail += " (was dynamic shared memory passed at the launch?)"
                raise LaneFault("out of bounds", detail, _and(bad, mask), address, space)
        return low, high

    def _check_global(
        self, site: Site, address: Array, mask: Array | None, low: int, high: int, width: int, kind: Kind
    ) -> None:
        if self.owner(site, low, high, kind) is not None:
            return
        allowed = self._allowed(site, low)
        if not self.bounds:
            if low < 0 or high > self.arena.capacity:
                raise LaneFault(
                    "out of bounds",
                    f"{kind} of {width} bytes outside all memory",
                    _and(address == address, mask),
                    address,
                    "global",
                )
            return
        if self.provenance and site.provenance and allowed:
            good = np.zeros(address.shape, bool)
            for a in allowed:
                good |= (address >= a.start) & (address + width <= a.end)
        else:
            good = self._inside_any(address, width)
        bad = _and(~good, mask)
        if not bad.any():
            if kind != "load":
                self._mark_written(address if mask is None else _active(address, mask))
            return
        null = _and((address >= 0) & (address < NULL_BYTES), bad)
        # an address made from pointers that are all there left its tensor: the first allocation lies right behind null
        nowhere = not (self.provenance and site.provenance) or len(allowed) < len(site.provenance)
        if nowhere and null.any():
            raise LaneFault("null pointer", f"{kind} of {width} bytes through a null pointer", null, address, "global")
        raise LaneFault("out of bounds", f"{kind} of {width} bytes", bad, address, "global", width)

    def _allowed(self, site: Site, address: int) -> list[Allocation]:
        """The allocations that an instruction may touch, or the one that an address lies in."""
        if self.provenance and site.provenance:
            allowed = [a for p in site.provenance if (a := self.parameters.get(p)) is not None]
            if allowed:
                return allowed
        owner = self.arena.find(address)
        return [owner] if owner is not None else []

    def owner(self, site: Site, low: int, high: int, kind: Kind) -> Allocation | None:
        """The allocation that all bytes of an access lie in, marked if it is written to."""
        for allocation in self._allowed(site, low):
            if low >= allocation.start and high <= allocation.end:
                if kind != "load":
                    allocation.written = True
                return allocation
        return None

    def _inside_any(self, address: Array, width: int) -> Array:
        good = np.zeros(address.shape, bool)
        for start in np.unique(address >> 9 << 9):  # 512-byte lines: an allocation never begins inside one
            allocation = self.arena.find(int(start)) or self.arena.below(int(start) + 511)
            if allocation is not None:
                good |= (address >= allocation.start) & (address + width <= allocation.end)
        return good

    def _mark_written(self, active: Array) -> None:
        for start in np.unique(active >> 9 << 9):
            allocation = self.arena.below(int(start) + 511)
            if allocation is not None:
                allocation.written = True


def _active(address: Array, mask: Array) -> Array:
    shape = np.broadcast_shapes(address.shape, mask.shape)
    return np.broadcast_to(address, shape)[np.broadcast_to(mask, shape)]


def _and(lanes: Array, mask: Array | None) -> Array:
    return lanes if mask is None else lanes & mask
