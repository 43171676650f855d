"""What single warps touch, access by access: for a picture of a launch, not for counting.

trace = ptxvm.Trace(warps={(0, 0), (0, 1)})
device.launch(kernel, grid, block, args, trace=trace)
for touch in trace.touches: ...
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ptxvm.access import Access, Kind, Space
from ptxvm.arena import Arena
from ptxvm.group import Array
from ptxvm.types import Source


@dataclass(frozen=True)
class Touch:
    """One access to memory by one warp.

    block      linear index in the grid
    lanes      active lanes, ascending; `offsets` is where each of them touches `width` bytes: bytes from the first
               element of the tensor that is named, or from the beginning of the block's shared or the thread's local
               memory
    alignment  bytes between the tensor's first element and the start of the 32-byte sector that it lies in
    """

    source: Source | None
    opcode: str
    space: Space
    kind: Kind
    width: int
    block: int
    warp: int
    lanes: tuple[int, ...]
    offsets: tuple[int, ...]
    tensor: str = ""
    dtype: str = ""
    shape: tuple[int, ...] = ()
    alignment: int = 0


class Trace:
    """The accesses of some warps in the order in which they were executed.

    warps   (block, warp) pairs that are recorded
    most    accesses that are kept of one warp; `lost` counts those beyond
    """

    def __init__(self, warps: Iterable[tuple[int, int]], most: int = 1000) -> None:
        self.warps = frozenset(warps)
        self.most = most
        self.touches: list[Touch] = []
        self.lost = 0
        self._kept: dict[tuple[int, int], int] = {}

    def access(self, cta_ids: Array, arena: Arena, a: Access) -> None:
        """An observer of memory; `cta_ids` are the blocks of the batch that runs."""
        rows = self._rows(cta_ids, a)
        if not rows:
            return
        table = a.group.by_warp(a.address)
        active = a.group.warp_lanes(a.mask)
        for block, warp, cta, row in rows:
            lanes = np.arange(32) if active is None else np.flatnonzero(active[cta % active.shape[0], row])
            if not lanes.size:
                continue
            kept = self._kept[block, warp] = self._kept.get((block, warp), 0) + 1
            if kept > self.most:
                self.lost += 1
                continue
            self.touches.append(_touch(arena, a, block, warp, lanes, table[cta % table.shape[0], row][lanes]))

    def _rows(self, cta_ids: Array, a: Access) -> list[tuple[int, int, int, int]]:
        """(block, warp, first index, second index) of the recorded warps in the tables of `Group.by_warp`."""
        _, _, row_cta, row_warp = a.group.warp_slots()
        if not a.group.product:
            pairs = zip(cta_ids[row_cta].tolist(), row_warp.tolist(), strict=True)
            return [(*pair, 0, row) for row, pair in enumerate(pairs) if pair in self.warps]
        return [
            (block, warp, cta, row)
            for cta, block in enumerate(cta_ids[a.group.ctas[:, 0]].tolist())
            for row, warp in enumerate(row_warp.tolist())
            if (block, warp) in self.warps
        ]


def _touch(arena: Arena, a: Access, block: int, warp: int, lanes: Array, addresses: Array) -> Touch:
    """An access as plain data. Which tensor it is decides its first lane."""
    site, first = a.site, 0
    tensor: tuple[str, str, tuple[int, ...]] = ("", "", ())
    if a.space == "global":
        found = arena.find(int(addresses[0]))
        if found is not None:
            first = found.start + found.view_offset
            tensor = (found.name, found.dtype, found.shape)
    return Touch(
        site.source, site.ins.opcode, a.space, a.kind, a.width, block, warp,
        tuple(lanes.tolist()), tuple((addresses - first).tolist()), *tensor, alignment=first % 32,
    )  # fmt: skip
