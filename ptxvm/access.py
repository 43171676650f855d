"""One executed memory access, as the counters and the race detector see it."""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ptxvm.group import Array, Group
from ptxvm.sums import Sum, whole
from ptxvm.types import Instruction, Source

Space = Literal["global", "shared", "local"]
Kind = Literal["load", "store", "atomic", "async"]


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A static instruction: what counters are kept for and findings point at."""

    index: int  # position in the function
    ins: Instruction
    source: Source | None
    provenance: frozenset[str]  # pointer parameters that its address may come from; empty = unknown


def source_of(site: Site, calls: Iterable[Site]) -> Source | None:
    """The line of an instruction; of the innermost of these calls that has one where it has none itself."""
    return site.source or next((call.source for call in calls if call.source), None)


def line_of(site: Site, calls: Iterable[Site]) -> str:
    """`on line 30`."""
    source = source_of(site, calls)
    return f"on line {source.line}" if source else f"on PTX line {site.ins.ptx_line}"


def source_text(source: Source | None) -> str:
    """The learner's line, stripped; empty where there is none or the file cannot be read."""
    return linecache.getline(source.file, source.line).strip() if source else ""


@dataclass(slots=True)
class Access:
    """One instruction executed by a group.

    place    int64, broadcasts to the group's shape: byte offset in the arena (global), in the CTA's shared memory
             (shared), in the thread's local memory (local). In global memory it may be a `Sum`; `address` is always the
             array
    mask     bool, broadcasts to the group's shape; None where every thread of the group is active
    width    bytes that each thread touches, the whole vector
    """

    site: Site
    group: Group
    space: Space
    kind: Kind
    width: int
    place: Array | Sum
    mask: Array | None
    values: Sequence[Array] | None = None  # of a store: the unsigned arrays written, one after the other
    _starts: Array | Literal[False] | None = field(default=False, init=False)  # of `row_starts`; False: not known yet

    @property
    def address(self) -> Array:
        """The address of every lane, an array that broadcasts to the group's shape."""
        return whole(self.place)

    def cell_values(self, shift: int, alike: bool) -> Array:
        """(rows, cells) what a store puts into each cell of 1 << `shift` bytes, of its active threads in lane order.

        alike   the mask is the same in all CTAs: a row a CTA; else one row of all threads
        """
        assert self.values is not None
        shape = self.group.shape
        whole = np.stack([np.broadcast_to(v, shape) for v in self.values], axis=-1)  # (nc, nt, count)
        cells = whole.view(f"u{min(1 << shift, whole.itemsize)}")  # (nc, nt, cells of a lane)
        if alike:
            kept = cells if self.mask is None else cells[:, np.broadcast_to(self.mask, (1, shape[1]))[0]]
            return kept.reshape(shape[0], -1)
        return (cells if self.mask is None else cells[np.broadcast_to(self.mask, shape)]).reshape(1, -1)

    def row_starts(self) -> Array | None:
        """(nc, 1) address of each CTA's first thread, if all are active and follow it without a gap; else None.

        The usual access of a coalesced kernel; who knows that it is one need not look at its single addresses.
        """
        if self._starts is False:
            self._starts = self._find_starts()
        return self._starts

    def _find_starts(self) -> Array | None:
        a = self.place
        if type(a) is Sum:
            return a.starts() if self.mask is None and a.parts.steps[1] == self.width else None
        assert isinstance(a, np.ndarray)
        if self.mask is not None or not self.group.product or a.shape != self.group.shape or a.shape[1] < 2:
            return None
        if int(a[0, 1]) - int(a[0, 0]) != self.width or int(a[-1, -1]) - int(a[-1, 0]) != self.width * (a.shape[1] - 1):
            return None
        return a[:, :1] if bool((a[:, 1:] - a[:, :-1] == self.width).all()) else None
