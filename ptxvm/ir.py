"""What code generation and scheduling need to know of a function: its `Graph`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ptxvm.flow import Block, blocks_of, liveness
from ptxvm.provenance import provenance
from ptxvm.roles import CARRY, Vote, roles
from ptxvm.types import DTYPES, Function, bits_of

__all__ = ["Block", "Graph", "build", "canonical_types"]

# What stands for each type in a register: bit types are unsigned, packed forms and bf16 raw bits.
_CANONICAL = {
    "b8": "u8", "e4m3": "u8", "e5m2": "u8",
    "b16": "u16", "bf16": "u16", "e4m3x2": "u16", "e5m2x2": "u16",
    "b32": "u32", "f16x2": "u32", "bf16x2": "u32", "tf32": "u32", "u16x2": "u32", "s16x2": "u32",
    "b64": "u64", "f32x2": "u64",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Graph:
    """A function as blocks.

    blocks      reachable ones, in the order that the scheduler prefers; block 0 is the entry
    live_in     registers wanted when a block begins; one that may be used undefined is live at
                the entry
    live_out    registers wanted when it ends
    dtypes      canonical PTX type of each register, always of the register's declared width
    provenance  index of an access to global or generic memory -> names of the parameters that its
                address may come from, empty = unknown
    """

    function: Function
    blocks: list[Block]
    live_in: list[frozenset[str]]
    live_out: list[frozenset[str]]
    dtypes: dict[str, str]
    provenance: dict[int, frozenset[str]]


def build(function: Function) -> Graph:
    """Analyse a function."""
    effects: list[tuple[list[str], list[str]]] = []
    votes: list[Vote] = []
    carries = False
    for ins in function.instructions:
        defined, used, here = roles(ins)
        effects.append((defined, used))
        votes += here
        carries = carries or CARRY in defined or CARRY in used
    blocks = blocks_of(function, effects)
    live_in, live_out = liveness(blocks, effects)
    dtypes = canonical_types(function.registers, votes)
    if carries:
        dtypes[CARRY] = "pred"
    return Graph(function, blocks, live_in, live_out, dtypes, provenance(function))


def canonical_types(registers: Mapping[str, str], votes: list[Vote]) -> dict[str, str]:
    """The type that most instructions use each register as; only types of its width count.

    Strong votes first, then weak ones, then the declared type. `.b128`, which has no NumPy type,
    stays "b128".
    """
    widths = {name: bits_of(name) for name in DTYPES}
    tallies: dict[str, dict[str, int]] = {}
    for name, type_name, strong in votes:
        declared = registers.get(name)
        if declared is None or widths.get(declared) != widths.get(type_name, -1):
            continue
        tally = tallies.setdefault(name, {})
        canonical = _CANONICAL.get(type_name, type_name)
        tally[canonical] = tally.get(canonical, 0) + (1 << 32 if strong else 1)
    result = {}
    for name, declared in registers.items():
        best = _CANONICAL.get(declared, declared)
        found = tallies.get(name)
        if found:
            most = max(found.values())
            if found.get(best, 0) < most:
                best = min(t for t, n in found.items() if n == most)
        result[name] = best
    return result
