"""Threads that load what others work on, and whose copy nobody uses.

Where a tile of Triton's has fewer elements than the block has threads, several threads hold each element: all of them
load it and compute, one of them stores. In a kernel that works in place such a thread reads a word that another one
overwrites, with no barrier between, and whatever it reads goes nowhere. That is no race to report. So for each load
whose value ends in stores only, whether directly or through arithmetic, a conflict counts from the moment when the
thread that has read takes part in one of these stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ptxvm.access import Site
from ptxvm.group import Array
from ptxvm.roles import roles
from ptxvm.shadow import CTA, CTA_FIELD, EVENT_SHIFT, THREAD, THREAD_BITS, Event
from ptxvm.types import Address, Instruction, Not, Register, Vector

# Instructions that make a result of their operands and do nothing else.
_PURE = {
    "abs", "add", "and", "bfe", "bfi", "brev", "clz", "cnot", "copysign", "cos", "cvt", "div", "ex2", "fma", "fns",
    "lg2", "lop3", "mad", "max", "min", "mov", "mul", "neg", "not", "or", "popc", "prmt", "rcp", "rem", "rsqrt", "selp",
    "set", "setp", "shl", "shr", "sin", "slct", "sqrt", "sub", "szext", "tanh", "testp", "xor",
}  # fmt: skip


@dataclass
class Conflict:
    """Conflicts of one pair of instructions that nobody has suffered from yet, one for each thread that has read.

    what    the later access, and whether the earlier one was a read: for the report
    cells, theirs, mine   as the detector has them: cell, earlier record, later record
    ctas, tids            of the threads that have read, CTAs within the batch
    """

    what: tuple[Event, str]
    cells: Array
    theirs: Array
    mine: Array
    ctas: Array
    tids: Array

    def take(self, lanes: Array) -> Conflict:
        arrays = (one[lanes] for one in (self.cells, self.theirs, self.mine, self.ctas, self.tids))
        return Conflict(self.what, *arrays)

    def join(self, other: Conflict) -> Conflict:
        """Both, with a thread that stands in both once."""
        names = ("cells", "theirs", "mine", "ctas", "tids")
        both = Conflict(self.what, *(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))
        return both.take(np.unique(both.ctas << THREAD_BITS | both.tids, return_index=True)[1])


class Spares:
    """The threads of one launch that may be such.

    of_access  the site of each access of the launch, the first one with the number `start` + 1
    """

    def __init__(self, sites: Sequence[Site], of_access: Sequence[Site], start: int) -> None:
        self._of_access, self._start = of_access, start
        self._ends = ends_of_loads(tuple(sites))
        self.stores = frozenset().union(*self._ends.values())
        self._used: dict[int, Array] = {}  # store -> number of each thread's last access there
        self._conflicts: dict[tuple[int, int], Conflict] = {}  # by the load and the other instruction

    def begin_batch(self, ctas: int, threads: int) -> None:
        self._used = {site: np.zeros((ctas, threads), np.int64) for site in self.stores}
        self._conflicts.clear()

    def store(self, number: int, ctas: Array, tids: Array, site: int) -> Iterator[Conflict]:
        """Threads run one of the stores: the conflicts that count from now on."""
        used = self._used[site]
        used[ctas, tids] = number
        for key, one in self._conflicts.items():
            if site in self._ends[key[0]]:
                counts = used[one.ctas, one.tids] == number
                if counts.any():
                    self._conflicts[key] = one.take(~counts)
                    yield one.take(counts)

    def suffered(self, e: Event, earlier: str, cells: Array, theirs: Array, mine: Array, base: int) -> Array:
        """Which conflicts of an access with earlier ones ("read" or "write") count: all but those with a thread of the
        same CTA that has not used what it read. These are kept. `base`: number of the batch's first CTA.
        """
        result = np.ones(cells.size, bool)
        if e.atomic or (earlier == "write") != (e.access.kind == "load"):
            return result
        reader, other = (mine, theirs) if e.access.kind == "load" else (theirs, mine)
        ctas, tids = ((reader >> THREAD_BITS) & CTA) - base, reader & THREAD
        numbers = reader >> EVENT_SHIFT
        same = (theirs ^ mine) & CTA_FIELD == 0
        for number in np.unique(numbers[same]):
            load = self._site(number)
            at = np.flatnonzero(same & (numbers == number))
            at = at[self._unused(load, int(number), ctas[at], tids[at])]
            if at.size:
                result[at] = False
                key = load, self._site(other[at[0]] >> EVENT_SHIFT)
                conflict = Conflict((e, earlier), cells[at], theirs[at], mine[at], ctas[at], tids[at])
                old = self._conflicts.get(key)
                self._conflicts[key] = conflict if old is None else old.join(conflict)
        return result

    def _site(self, number: Any) -> int:
        return self._of_access[int(number) - self._start - 1].index

    def _unused(self, load: int, number: int, ctas: Array, tids: Array) -> Array:
        """By which threads a value that a load gave them, as access `number`, has not been used so far."""
        ends = self._ends.get(load)
        if not ends:
            return np.zeros(ctas.shape, bool)
        return np.logical_and.reduce([self._used[site][ctas, tids] < number for site in ends])


@lru_cache(maxsize=64)  # a kernel is launched again and again, and its sites are compared by identity
def ends_of_loads(sites: tuple[Site, ...]) -> dict[int, frozenset[int]]:
    """For each global load whose value ends in stores only, one of them into the same tensor, these stores."""
    users: dict[str, list[Site]] = {}
    for site in sites:
        for name in {*roles(site.ins)[1], *_guard(site.ins)}:
            users.setdefault(name, []).append(site)
    found = {}
    for site in sites:
        if site.ins.parts[0] == "ld" and "global" in site.ins.parts and site.provenance:
            ends = _ends(site, users)
            if ends and any(site.provenance & one.provenance for one in ends if "global" in one.ins.parts):
                found[site.index] = frozenset(one.index for one in ends)
    return found


def _ends(load: Site, users: dict[str, list[Site]]) -> set[Site] | None:
    """The stores that a loaded value may end in; None where it may have another use."""
    ends: set[Site] = set()
    seen = set(roles(load.ins)[0])
    todo = list(seen)
    while todo:
        name = todo.pop()
        for site in users.get(name, ()):
            ins = site.ins
            if name in _guard(ins):
                return None
            if ins.parts[0] == "st":
                if name in _registers(ins.operands[0]):
                    return None
                ends.add(site)
            elif ins.parts[0] == "ld" and name not in _registers(ins.operands[1]):
                pass  # a guarded load: other lanes keep what the register held
            elif ins.parts[0] in _PURE:
                new = set(roles(ins)[0]) - seen
                seen |= new
                todo += new
            else:
                return None
    return ends


def _guard(ins: Instruction) -> set[str]:
    if ins.guard is None:
        return set()
    return {ins.guard.register.name if isinstance(ins.guard, Not) else ins.guard.name}


def _registers(operand: Any) -> set[str]:
    if isinstance(operand, Address):
        operand = operand.base
    if isinstance(operand, Vector):
        return set().union(*map(_registers, operand.items))
    return {operand.name} if isinstance(operand, Register) else set()
