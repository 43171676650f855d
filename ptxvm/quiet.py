"""Loads that cannot race: those of tensors that the kernel never writes. Told from the text, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ptxvm.access import Site
from ptxvm.arena import Allocation

_WRITES = {"st", "atom", "red", "cp", "multimem", "wmma"}


def read_only_sites(sites: Sequence[Site], allocations: Mapping[str, Allocation]) -> frozenset[int]:
    """Loads from tensors that the kernel never writes, by index; `allocations` are those of its pointer parameters.

    Nothing is known where a write may go anywhere: then no load is among them.
    """
    written: set[int] = set()
    for site in sites:
        words = site.ins.parts
        if words[0] == "call":
            return frozenset()
        if words[0] not in _WRITES or not _writes_global(words):
            continue
        if not site.provenance or not all(p in allocations for p in site.provenance):
            return frozenset()
        written |= {allocations[p].start for p in site.provenance}
    return frozenset(
        s.index
        for s in sites
        if s.ins.parts[0] in ("ld", "ldu", "cp", "wmma")
        and s.provenance
        and all(p in allocations and allocations[p].start not in written for p in s.provenance)
    )


def _writes_global(words: tuple[str, ...]) -> bool:
    """Whether an instruction may write global memory."""
    if words[0] == "cp":  # cp.async to shared memory does not; the bulk forms name their target first
        spaces = [w for w in words if w.startswith(("shared", "global"))]
        return "bulk" in words and spaces[:1] == ["global"]
    if words[0] == "wmma":
        return words[1] == "store" and not any(w.startswith("shared") for w in words)
    return not any(w.startswith(("shared", "local", "param")) for w in words[1:])
