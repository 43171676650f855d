"""One executed memory access, as the counters and the race detector see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ptxvm.group import Array, Group
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


@dataclass(slots=True)
class Access:
    """One instruction executed by a group.

    address  int64, broadcasts to the group's shape: byte offset in the arena (global), in the CTA's shared memory
             (shared), in the thread's local memory (local)
    mask     bool, broadcasts to the group's shape; None where every thread of the group is active
    width    bytes that each thread touches, the whole vector
    """

    site: Site
    group: Group
    space: Space
    kind: Kind
    width: int
    address: Array
    mask: Array | None
    _starts: Array | bool | None = field(default=False, init=False)  # of `row_starts`; False: not looked at yet

    def row_starts(self) -> Array | None:
        """(nc, 1) address of each CTA's first thread, where the others follow it without a gap and all are active; else None.

        The usual access of a coalesced kernel; who knows that it is one need not look at its single addresses.
        """
        if self._starts is False:
            self._starts = self._find_starts()
        return self._starts  # type: ignore[return-value]

    def _find_starts(self) -> Array | None:
        a = self.address
        if self.mask is not None or not self.group.product or a.shape != self.group.shape or a.shape[1] < 2:
            return None
        if int(a[0, 1]) - int(a[0, 0]) != self.width or int(a[-1, -1]) - int(a[-1, 0]) != self.width * (a.shape[1] - 1):
            return None
        return a[:, :1] if bool((a[:, 1:] - a[:, :-1] == self.width).all()) else None
