"""Counting what a launch does, per source line.

    requests      warps with at least one active lane at a global load, store, atomic or asynchronous copy
    sectors       distinct 32-byte pieces that a request touches (an aligned access of up to 32 bytes lies in one).
                  Lanes of an atomic that meet at one address go one after another: a piece counts as often as its
                  fullest address has lanes, so 32 lanes that add to one word count 32
    bytes         active lanes times the width of the access
    lanes         active lanes of these accesses; lanes off: the others of the warps that came to the instruction,
                  whether a branch, the end of the block or a predicate switched them off
    wavefronts    passes that a shared-memory request takes: for each group of lanes the greatest number of distinct
                  4-byte words in one of the 32 banks. A group is the warp for up to 4 bytes a lane, half of it for 8
                  and a quarter for 16. Two such groups of a load go together, as one, if in the whole warp every
                  active lane has the address of lane ^ 1, or every one that of lane ^ 2 (inactive lanes agree with
                  any). Of an atomic every lane is a pass of its own in its bank, also where two have the same word
    ideal         the same request without conflicts: one wavefront a group that has an active lane, or two groups where
                  going together saves a pass
    divergent     warps whose lanes take both ways of a branch
    flops         per thread, a fused multiply-add counts 2; per warp 2 * m * n * k of a matrix instruction, of which
                  m8n8k4 of f16 does four; a sparse one counts as if it were dense. Threads whose predicate is false
                  at an instruction that they reach count too, as they take its time
    units         the same by the unit that does it, and integer operations (`units.py`)
    mix           warp instructions by class: "global", "shared", "float", "integer", "control", ... (`units.py`)
    barriers      warps that arrive at a barrier of the block
    atomics       active lanes of atomics, in global and in shared memory
    contention    the greatest number of lanes of a warp whose atomics hit one address
    unique        sectors of the launch, each counted once, loads and stores apart: what must come from memory and go
                  back to it at least, for memory moves 32 bytes at a time. In bytes: 32 times as many

All are of PTX instructions: the hardware's counters are equal unless ptxas changes the instruction. The rules for
sectors and wavefronts are those that Nsight Compute's counters showed on an H200, pattern by pattern
(`tests/calibration`). Not seen on any card: atomics of 8 and 16 bytes in shared memory. Instruction counts are the
number of times a warp (or thread) ran a block times what stands in it, so they cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ptxvm.access import Access, Kind, Site
from ptxvm.group import WARP, Array, Group
from ptxvm.ir import Block
from ptxvm.report import Counters, total
from ptxvm.sums import Sum
from ptxvm.types import Instruction
from ptxvm.units import class_of, flops_of, mma_flops_of, unit_of


@dataclass
class OnLine:
    """What a block of instructions holds on one source line, counted once for all launches of its kernel."""

    instructions: int = 0
    flops: int = 0  # of a thread
    matrix_flops: int = 0  # of a warp
    mma: int = 0
    units: dict[str, tuple[int, int]] = field(default_factory=dict)  # -> operations (of a thread, of a warp)
    mix: dict[str, int] = field(default_factory=dict)

    def hold(self, ins: Instruction) -> None:
        """Count an instruction in."""
        flops, matrix, unit, kind = flops_of(ins), mma_flops_of(ins), unit_of(ins), class_of(ins)
        self.instructions += 1
        self.flops += flops
        self.matrix_flops += matrix
        self.mma += matrix > 0
        self.mix[kind] = self.mix.get(kind, 0) + 1
        if flops or matrix or unit == "integer":
            of_thread, of_warp = self.units.get(unit, (0, 0))
            self.units[unit] = (of_thread + (flops or unit == "integer"), of_warp + matrix)

    def count(self, counters: Counters, warps: int, threads: int) -> None:
        """Add what it holds to the counters of its line, for so many warps and threads that ran the block."""
        counters.instructions += self.instructions * warps
        counters.thread_instructions += self.instructions * threads
        counters.flops += self.flops * threads + self.matrix_flops * warps
        counters.mma += self.mma * warps
        for unit, (of_thread, of_warp) in self.units.items():
            counters.units[unit] = counters.units.get(unit, 0) + of_thread * threads + of_warp * warps
        for kind, times in self.mix.items():
            counters.mix[kind] = counters.mix.get(kind, 0) + times * warps


@dataclass
class Holding:
    """What a block holds: by source line, and its opcodes."""

    lines: dict[tuple[str, int], OnLine] = field(default_factory=dict)
    opcodes: dict[str, int] = field(default_factory=dict)


def holdings(sites: Sequence[Site], blocks: Sequence[Block]) -> tuple[Holding, ...]:
    """What each block of a kernel holds."""
    found = []
    for block in blocks:
        holding = Holding()
        for site in sites[block.first : block.last_exclusive]:
            holding.lines.setdefault(_place(site), OnLine()).hold(site.ins)
            holding.opcodes[site.ins.opcode] = holding.opcodes.get(site.ins.opcode, 0) + 1
        found.append(holding)
    return tuple(found)


def _place(site: Site) -> tuple[str, int]:
    return (site.source.file, site.source.line) if site.source else ("", 0)


class Counting:
    """Counters of one launch. `extent` is the number of arena bytes that can be addressed."""

    def __init__(self, sites: Sequence[Site], blocks: Sequence[Holding], extent: int) -> None:
        self.sites, self.blocks = sites, blocks
        self.warps = [0] * len(blocks)
        self.threads = [0] * len(blocks)
        self.at: dict[int, Counters] = {}
        self.loaded = np.zeros(extent // 32 + 1, np.bool_)
        self.stored = np.zeros(extent // 32 + 1, np.bool_)
        self._patterns: dict[tuple[int, str, bytes], tuple[int, int]] = {}

    def _of(self, site: Site) -> Counters:
        found = self.at.get(site.index)
        if found is None:
            found = self.at[site.index] = Counters()
        return found

    # -- events --------------------------------------------------------------------------------------------------
    def visit(self, block: int, g: Group) -> None:
        """A group runs a block."""
        self.warps[block] += g.warp_count()
        self.threads[block] += g.size

    def branch(self, site: Site, g: Group, taken: Array) -> None:
        """A group splits at a branch."""
        table = g.by_warp(taken)
        lanes = g.warp_lanes()
        if lanes is None:
            both = table.any(axis=-1) & ~table.all(axis=-1)
        else:
            both = (table & lanes).any(axis=-1) & (~table & lanes).any(axis=-1)
        self._of(site).divergent_branches += int(np.count_nonzero(both)) * g.warp_weight(table)

    def barrier(self, site: Site, g: Group) -> None:
        """Warps arrive at a barrier."""
        self._of(site).barriers += g.warp_count()

    def access(self, a: Access) -> None:
        """A group touches memory."""
        counters = self._of(a.site)
        if a.space == "global":
            self._global(counters, a)
            if a.kind != "atomic":
                return
        table = a.group.by_warp(a.address)
        lanes = a.group.warp_lanes(a.mask)
        if a.space == "shared":
            requests, wavefronts, ideal = self._shared(a, table, lanes)
            counters.shared_requests += requests
            counters.shared_wavefronts += wavefronts
            counters.shared_wavefronts_ideal += ideal
        elif a.space == "local":
            counters.local_requests += _active_warps(a.group, table, lanes)
        if a.kind == "atomic":
            active = _active_lanes(a.group, table, lanes)
            counters.atomics += active
            counters.shared_atomics += active if a.space == "shared" else 0
            counters.atomic_contention = max(counters.atomic_contention, _meetings(table, lanes)[0])

    # -- global memory -------------------------------------------------------------------------------------------
    def _global(self, counters: Counters, a: Access) -> None:
        load = a.kind == "load"
        touched = self.loaded if load else self.stored
        requests, sectors, lanes = (
            self._coalesced(a, touched) or self._shifted(a, touched) or self._scattered(a, a.address, touched)
        )
        counters.global_lanes += lanes
        if load:
            counters.global_load_requests += requests
            counters.global_load_sectors += sectors
            counters.global_load_bytes += lanes * a.width
        else:
            counters.global_store_requests += requests
            counters.global_store_sectors += sectors
            counters.global_store_bytes += lanes * a.width

    def _coalesced(self, a: Access, touched: Array) -> tuple[int, int, int] | None:
        """(requests, sectors, active lanes) of an access whose lanes follow each other without a gap; else None."""
        starts = a.row_starts()
        if starts is None or a.group.warp_slots()[0] is not None:
            return None
        rows, lanes = a.group.shape
        warp_bytes = WARP * a.width
        if type(a.place) is Sum and a.place.parts.steps[0] == lanes * a.width:  # one row begins where the last one ends
            first = int(starts[0, 0])
            touched[first >> 5 : ((first + rows * lanes * a.width - 1) >> 5) + 1] = True
            requests = rows * (lanes // WARP)
            return requests, requests * (((first & 31) + warp_bytes + 31) >> 5), rows * lanes
        firsts = starts + np.arange(0, lanes * a.width, warp_bytes)  # (nc, warps)
        sectors = int((((firsts + (warp_bytes - 1)) >> 5) - (firsts >> 5)).sum()) + firsts.size
        begin = starts >> 5
        longest = int((((starts + (lanes * a.width - 1)) >> 5) - begin).max())
        places = np.minimum(begin + np.arange(longest + 1), (starts + (lanes * a.width - 1)) >> 5)
        touched[places] = True
        return firsts.size, sectors, rows * lanes

    def _shifted(self, a: Access, touched: Array) -> tuple[int, int, int] | None:
        """The same for an access at a sum: moved by a multiple of 32 bytes it gives the same counts, which are kept."""
        if type(a.place) is not Sum or a.mask is not None or a.group.warp_slots()[0] is not None:
            return None
        sectors, start = divmod(a.place.offset, 32)
        key = ("sectors", a.width, start)
        known = a.place.parts.notes.get(key)
        if known is None:
            base = a.place.parts.whole() + start
            lowest = int(base.min()) >> 5
            seen = np.zeros((int(base.max()) >> 5) - lowest + 1, np.bool_)
            counted = self._scattered(a, base - (lowest << 5), seen)
            known = a.place.parts.notes[key] = (counted, np.flatnonzero(seen) + lowest)
        touched[known[1] + sectors] = True
        counts: tuple[int, int, int] = known[0]
        return counts

    def _scattered(self, a: Access, address: Array, touched: Array) -> tuple[int, int, int]:
        """The same for any access; `address` stands for its own."""
        table = a.group.by_warp(address)
        lanes = a.group.warp_lanes(a.mask)
        sector = table >> 5
        if lanes is not None:
            sector = np.where(lanes, sector, -1)
        following, before = sector[..., 1:], sector[..., :-1]
        changes = following != before
        if not (following >= before).all():
            sector = np.sort(sector, axis=-1)
            following = sector[..., 1:]
            changes = following != sector[..., :-1]
        weight = a.group.warp_weight(sector)
        first = sector[..., 0]
        distinct = int(np.count_nonzero(changes)) + first.size
        requests = first.size
        if lanes is not None:
            outside = first == -1
            distinct -= int(np.count_nonzero(outside))
            requests -= int(np.count_nonzero(sector[..., -1] == -1))
            first = first[~outside]
        touched[first] = True
        touched[following[changes]] = True
        if a.kind == "atomic":
            distinct = _meetings(table, lanes)[1]
        return requests * weight, distinct * weight, _active_lanes(a.group, table, lanes)

    # -- shared memory -------------------------------------------------------------------------------------------
    def _shared(self, a: Access, table: Array, lanes: Array | None) -> tuple[int, int, int]:
        """(requests, wavefronts, ideal wavefronts)."""
        weight = a.group.warp_weight(table)
        if lanes is not None:
            shape = np.broadcast_shapes(table.shape, lanes.shape)
            weight = a.group.warp_weight(np.empty(shape, bool))
            rows = np.where(lanes, np.broadcast_to(table, shape), -1).reshape(-1, WARP)
            requests = int(np.count_nonzero((rows >= 0).any(axis=-1)))
            wavefronts, ideal = _wavefronts(rows, a.width, a.kind)
            return requests * weight, wavefronts * weight, ideal * weight
        rows = table.reshape(-1, WARP)
        # Adding a multiple of 4 to every address turns the banks round and changes nothing else, so a pattern is known
        # by its distances from the lowest address (below 0 is for inactive lanes).
        pattern = rows - rows.min(axis=1, keepdims=True)
        if rows.shape[0] > 1 and (pattern == pattern[0]).all():
            pattern = pattern[:1]
        times = rows.shape[0] // pattern.shape[0]
        key = (a.width, a.kind, pattern.tobytes()) if pattern.shape[0] <= 32 else None
        known = self._patterns.get(key) if key is not None else None
        if known is None:
            known = _wavefronts(pattern if a.width >= 4 else rows[: pattern.shape[0]], a.width, a.kind)
            if key is not None and a.width >= 4:
                self._patterns[key] = known
        return rows.shape[0] * weight, known[0] * times * weight, known[1] * times * weight

    # -- the result ----------------------------------------------------------------------------------------------
    def result(self) -> tuple[Counters, dict[tuple[str, int], Counters], dict[str, int]]:
        """(counters of the launch, of each source line, warp instructions by opcode)."""
        lines: dict[tuple[str, int], Counters] = {}
        opcodes: dict[str, int] = {}
        for holding, warps, threads in zip(self.blocks, self.warps, self.threads, strict=True):
            if warps:
                for place, on_line in holding.lines.items():
                    on_line.count(lines.setdefault(place, Counters()), warps, threads)
                for opcode, times in holding.opcodes.items():
                    opcodes[opcode] = opcodes.get(opcode, 0) + times * warps
        for index, counters in self.at.items():
            lines.setdefault(_place(self.sites[index]), Counters()).add(counters)
        whole = total(lines)
        whole.unique_load_sectors = int(np.count_nonzero(self.loaded))
        whole.unique_store_sectors = int(np.count_nonzero(self.stored))
        return whole, {place: c for place, c in lines.items() if place != ("", 0)}, opcodes


def _wavefronts(rows: Array, width: int, kind: Kind) -> tuple[int, int]:
    """(wavefronts, ideal) of warps; rows (n, 32) are byte addresses, -1 for inactive lanes."""
    if width <= 4:
        passes = _passes(rows, 1, kind)
        return int(passes.sum()), int(np.count_nonzero(passes))
    lanes, words = WARP * 4 // width, width // 4
    passes = _passes(rows.reshape(-1, lanes), words, kind)
    wavefronts, ideal = int(passes.sum()), int(np.count_nonzero(passes))
    if kind == "load":
        agreeing = _agree(rows, 1) | _agree(rows, 2)
        together = _passes(rows[agreeing].reshape(-1, 2 * lanes), words, kind)
        saved = passes.reshape(rows.shape[0], -1)[agreeing].reshape(-1, 2).sum(axis=1) - together
        wavefronts -= int(saved.sum())
        ideal -= int(np.count_nonzero(saved))
    return wavefronts, ideal


def _agree(rows: Array, apart: int) -> Array:
    """(n,) whether all active lanes of a warp have the address of lane ^ `apart`, where that one is active too."""
    other = rows[:, np.arange(WARP) ^ apart]
    return ((rows == other) | (rows < 0) | (other < 0)).all(axis=1)


def _passes(groups: Array, words_a_lane: int, kind: Kind) -> Array:
    """(n,) passes of groups (n, lanes), each as many as its fullest bank needs."""
    words = groups[:, :, None] >> 2
    if words_a_lane > 1:
        words = np.where(words >= 0, words + np.arange(words_a_lane), -1)
    words = np.sort(words.reshape(groups.shape[0], groups.shape[1] * words_a_lane), axis=-1)
    counted = words >= 0
    if kind != "atomic":
        counted[:, 1:] &= words[:, 1:] != words[:, :-1]
    row, column = np.nonzero(counted)
    counts = np.bincount(row * WARP + (words[row, column] & 31), minlength=groups.shape[0] * WARP)
    fullest: Array = counts.reshape(-1, WARP).max(axis=1)
    return fullest


def _active_lanes(g: Group, table: Array, lanes: Array | None) -> int:
    if lanes is None:
        return g.size
    shape = np.broadcast_shapes(table.shape, lanes.shape)
    return int(np.count_nonzero(lanes)) * (shape[0] // lanes.shape[0]) * g.warp_weight(np.empty(shape, bool))


def _active_warps(g: Group, table: Array, lanes: Array | None) -> int:
    if lanes is None:
        return g.warp_count()
    shape = np.broadcast_shapes(table.shape, lanes.shape)
    active = int(np.count_nonzero(lanes.any(axis=-1)))
    return active * (shape[0] // lanes.shape[0]) * g.warp_weight(np.empty(shape, bool))


def _meetings(table: Array, lanes: Array | None) -> tuple[int, int]:
    """(most lanes at one address of a warp; over the sectors of each warp, the most lanes at one address, summed)."""
    shape = table.shape if lanes is None else np.broadcast_shapes(table.shape, lanes.shape)
    rows = np.broadcast_to(table, shape) if lanes is None else np.where(lanes, table, -1)
    ordered = np.sort(rows.reshape(-1, WARP), axis=-1)
    begins = np.ones(ordered.shape, bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.flatnonzero(begins)
    meeting = np.diff(first, append=ordered.size)
    address = ordered.ravel()[first]
    active = address >= 0
    if not active.any():
        return 0, 0
    warp, sector, meeting = first[active] // WARP, address[active] >> 5, meeting[active]
    other = np.ones(warp.size, bool)  # another sector than the one before
    other[1:] = (warp[1:] != warp[:-1]) | (sector[1:] != sector[:-1])
    return int(meeting.max()), int(np.maximum.reduceat(meeting, np.flatnonzero(other)).sum())
