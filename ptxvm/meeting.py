"""Lanes that wait at an operation of their warp (`shfl.sync`, `bar.warp.sync`, `mma`) for the lanes that it names.

PTX lets a lane go on when all lanes of its member mask have come to the operation or have returned. Where some are
still elsewhere, those that are here are held, and looked at again when others come to the same place or a thread
returns. If nobody else can run, the lanes that are named never come: a "mask mismatch". A card may pair two such
operations at different places, or never end; neither is to be relied on, so both are that fault here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ptxvm.access import line_of
from ptxvm.calls import Path, as_dtype
from ptxvm.errors import Fault, LaneFault
from ptxvm.group import WARP, Array, Group
from ptxvm.sums import whole
from ptxvm.types import Immediate, Instruction, Not, Register
from ptxvm.warp import BITS

if TYPE_CHECKING:
    from ptxvm.schedule import BatchRun

EVERYBODY = np.array([[0xFFFFFFFF]], np.uint32)
_MASK_OPERAND = {"shfl": -1, "vote": -1, "match": -1, "redux": -1, "elect": 1, "bar": 0}


class Meetings:
    """The groups of one batch that are held, by strand and place."""

    def __init__(self, run: BatchRun) -> None:
        self.run = run
        self.held: dict[tuple[int, Path], list[Group]] = {}

    def hold(self, group: Group, index: int) -> Group | None:
        """The threads of a group that may run a block which begins with such an operation; the others are held."""
        waits = self._missing(group, self._operation(index))
        if waits is None:
            return group
        live = self.run.live(index)
        part = group.take(waits, live)
        assert part is not None
        self.held.setdefault(self.run.place_of(part, index), []).append(part)
        return group.take(~waits, live)

    def come(self, place: tuple[int, Path]) -> list[Group]:
        """The groups that are held at a place: others have come there."""
        return self.held.pop(place, [])

    def look_again(self) -> None:
        """Threads have returned: let all that are held try again."""
        held, self.held = self.held, {}
        for (_, path), groups in held.items():
            for group in groups:
                self.run.push(group, path[-1], self.run.contexts[path[:-1]])

    def _operation(self, index: int) -> Instruction:
        block = self.run.compiled.graph.blocks[index]
        inside = (self.run.compiled.sites[i].ins for i in range(block.first, block.last_exclusive))
        return next(ins for ins in inside if ins.parts[0] != "pragma")

    def _missing(self, g: Group, ins: Instruction) -> Array | None:
        """The threads that must wait for others of their warp, as an array that splits the group; None: nobody."""
        guard = None
        if ins.guard is not None:
            negated = isinstance(ins.guard, Not)
            value = g.regs.get(ins.guard.register.name if isinstance(ins.guard, Not) else ins.guard.name)
            guard = np.array([[negated]]) if value is None else value ^ negated
        here = g.warp_lanes(guard)
        if here is None:
            return None
        named = g.by_warp(_members(g, ins)).astype(np.uint64)
        alive = self.run.machine.alive
        _, _, ctas, warps = g.warp_slots()
        there = alive[g.ctas, warps[None, :]] if g.product else alive[ctas, warps][None, :]  # (nc or 1, w)
        wanted = np.bitwise_or.reduce(np.where(here, named, np.uint64(0)), axis=-1) & there
        present = np.where(here, BITS, np.uint64(0)).sum(axis=-1, dtype=np.uint64)
        missing = wanted & ~present != 0
        if not missing.any():
            return None
        waits = g.from_warp(here & missing[..., None])
        return waits if waits.shape[0] in (1, g.shape[0]) else np.broadcast_to(waits, g.shape)

    def stuck(self) -> Fault:
        """What to raise when nobody can run and groups are held."""
        (_, path), groups = next(iter(self.held.items()))
        group, run = groups[0], self.run
        site = run.compiled.sites[self._operation(path[-1]).index]
        cta, warp = int(group.ctas.flat[0]), int(group.tids.flat[0]) // WARP
        others = []
        for (_, at), held in self.held.items():
            place = line_of(run.compiled.sites[self._operation(at[-1]).index], run.contexts[at[:-1]].calls)
            others.append((sum(_lanes(one, cta, warp) for one in held), f"a warp operation {place}", at))
        for w in run.barriers.waiting:
            place = line_of(w.site, w.context.calls)
            others.append((_lanes(w.group, cta, warp), f"barrier {w.name} {place}", ()))
        elsewhere = ", ".join(f"{lanes} wait at {where}" for lanes, where, at in others if lanes and at != path)
        detail = "the member mask names lanes that never come"
        if elsewhere:
            detail += f": of this warp {elsewhere}"
        run.enter_context(run.contexts[path[:-1]])
        inside = (group.ctas == cta) & (group.tids // WARP == warp)
        return run.machine.fault(site, group, LaneFault("mask mismatch", detail, inside))


def _members(g: Group, ins: Instruction) -> Array:
    """The member mask of each lane, uint32."""
    number = _MASK_OPERAND.get(ins.parts[0])
    operand = None if number is None else ins.operands[number]
    if isinstance(operand, Immediate):
        return np.array([[operand.value & 0xFFFFFFFF]], np.uint32)
    if isinstance(operand, Register) and operand.name in g.regs:
        return as_dtype(whole(g.regs[operand.name]), np.dtype(np.uint32))
    return EVERYBODY  # a matrix instruction: the whole warp


def _lanes(g: Group, cta: int, warp: int) -> int:
    """How many threads of a warp are in a group."""
    return int(np.count_nonzero(np.broadcast_to((g.ctas == cta) & (g.tids // WARP == warp), g.shape)))
