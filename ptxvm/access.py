"""One executed memory access, as the counters and the race detector see it."""

from __future__ import annotations

from dataclasses import dataclass
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
