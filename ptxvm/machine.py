"""The runtime of one batch of CTAs: what generated code calls as `rt`.

Memory, addresses of variables, asynchronous copies, and the translation of a fault of some lanes into a `Finding` in
the learner's coordinates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ptxvm import atomics, mma
from ptxvm.access import Site, source_of, source_text
from ptxvm.arena import NULL_BYTES, Allocation
from ptxvm.asynchronous import CopyQueue
from ptxvm.errors import Fault, LaneFault, Unsupported
from ptxvm.frames import FramedMemory
from ptxvm.group import WARP, Array, Group
from ptxvm.link import plain
from ptxvm.mbarrier import MBarriers
from ptxvm.memory import LOCAL_WINDOW, SHARED_WINDOW
from ptxvm.races import RaceDetector
from ptxvm.report import Finding
from ptxvm.services import Output, Services
from ptxvm.specials import Dim3, Threads
from ptxvm.sums import Sum, whole
from ptxvm.types import DTYPES, Variable


@dataclass(frozen=True)
class Layout:
    """Byte offsets of a kernel's variables in shared and local memory, addresses of its global ones and its functions.

    Offsets in local memory count from the frame of the function that holds the variable. `windows` are the ranges of
    generic addresses of the spaces const and param.
    """

    shared: Mapping[str, int]
    local: Mapping[str, int]
    globals: Mapping[str, int]
    functions: Mapping[str, int] = field(default_factory=dict)
    shared_variables: tuple[Variable, ...] = ()
    windows: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)


@dataclass
class Findings:
    """Findings of a launch, at most one a kind and line (with a count), so that a report stays readable."""

    limit_a_kind: int = 5
    items: dict[tuple[str, str | None, int | None, int], Finding] = field(default_factory=dict)

    def add(self, finding: Finding, site: int) -> Finding:
        key = (finding.kind, finding.file, finding.line, -1 if finding.file else site)
        if key in self.items:
            old = self.items[key]
            finding = Finding(**{**old.__dict__, "count": old.count + finding.count})
        self.items[key] = finding
        return finding


class Machine:
    """One batch: `cta_ids` are the linear block numbers of the launch that run together."""

    def __init__(
        self,
        memory: FramedMemory,
        layout: Layout,
        parameters: Mapping[str, Array],
        grid: Dim3,
        block: Dim3,
        cta_ids: Array,
        findings: Findings,
        *,
        dynamic_shared_bytes: int = 0,
        workspace: int = 0,
        services: Services | None = None,
        races: RaceDetector | None = None,
        collect: bool = False,
    ) -> None:
        self.memory, self.layout, self.parameters = memory, layout, parameters
        self.grid, self.block, self.cta_ids = grid, block, cta_ids
        self.findings = findings
        self.races, self.collect = races, collect
        self.copies = CopyQueue(memory)
        self.mbarriers = MBarriers(memory, self.copies, races)
        self.services = services or Services(Output(), None)
        self.frame: Array | None = None  # where local variables begin, of the call that runs; None in the kernel itself
        self.functions = {address: name for name, address in layout.functions.items()}
        self.calls: tuple[Site, ...] = ()  # that the threads which run are in, the innermost first
        # (CTAs, warps) uint64: a bit for each lane that has not returned
        lanes = [min(WARP, memory.threads - first) for first in range(0, memory.threads, WARP)]
        self.alive = np.tile(np.array([(1 << n) - 1 for n in lanes], np.uint64), (memory.ctas, 1))
        self._all_alive = memory.threads % WARP == 0
        memory.report = self.note
        self.who = Threads(grid, block, cta_ids, memory.shared_bytes, dynamic_shared_bytes, workspace)
        self._workspace = workspace  # address of the words by which a cooperative grid waits for itself
        self._turned = False  # the top bit of the second one: it turns when all blocks have come to the grid's barrier

    # -- values --------------------------------------------------------------------------------------------------
    def param(self, name: str, offset: int, size: int, count: int) -> list[Array]:
        """`count` values of `size` bytes from the parameter block, each (1, 1)."""
        raw = self.parameters[name]
        return [raw[offset + i * size : offset + (i + 1) * size].view(f"u{size}").reshape(1, 1) for i in range(count)]

    def address_of(self, name: str, offset: int = 0) -> Array:
        """Address of a variable in its own space (not generic), (1, 1) uint64."""
        local = self.layout.local.get(name)
        if local is not None and self.frame is not None:
            return (self.frame + (local + offset)).view(np.uint64)
        for table in (self.layout.shared, self.layout.local, self.layout.globals, self.layout.functions):
            if name in table:
                return np.array([[table[name] + offset]], np.uint64)
        raise Unsupported(name, None, "the address of this symbol is not known")

    def cvta(self, g: Group, space: str, address: Array, to: bool) -> Array:
        """Generic address of an address in a space, or back with `to` (`cvta.to.space`)."""
        window = {"shared": SHARED_WINDOW, "local": LOCAL_WINDOW}.get(space, 0)
        return address if window == 0 else address - np.uint64(window) if to else address + np.uint64(window)

    def is_space(self, space: str, address: Array) -> Array:
        """Which generic addresses (uint64) lie in a space. Parameters lie in global memory too, as PTX has it."""
        if space == "shared":
            return (address >= SHARED_WINDOW) & (address < LOCAL_WINDOW)
        if space == "local":
            return (address >= LOCAL_WINDOW) & (address < 2 * LOCAL_WINDOW)
        ranges = self.layout.windows.get("const" if space == "global" else space, ())
        inside = np.zeros(address.shape, bool)
        for start, end in ranges:
            inside |= (address >= start) & (address < end)
        return (address < SHARED_WINDOW) & ~inside if space == "global" else inside

    # -- memory --------------------------------------------------------------------------------------------------
    def load(
        self, g: Group, site: Site, space: str, address: Array | Sum, mask: Array | None, size: int, count: int
    ) -> list[Array]:
        if space == "const":
            address = whole(address)
            lanes = address if mask is None else np.where(mask, address, self.memory.arena.capacity - 16)
            return [self.memory.arena.views[size].take((lanes >> (size.bit_length() - 1)) + i) for i in range(count)]
        try:
            return self.memory.load(g, site, space, address, mask, size, count)
        except LaneFault as fault:
            return self.load(g, site, space, address, self._without(g, site, fault, mask), size, count)

    def store(
        self, g: Group, site: Site, space: str, address: Array | Sum, mask: Array | None, values: list[Array]
    ) -> None:
        try:
            self.memory.store(g, site, space, address, mask, values)
        except LaneFault as fault:
            self.store(g, site, space, address, self._without(g, site, fault, mask), values)

    def atomic(
        self,
        g: Group,
        site: Site,
        space: str,
        operation: str,
        type_name: str,
        address: Array,
        b: Array,
        c: Array | None,
        mask: Array | None,
        want: bool,
    ) -> Array | None:
        """An atomic or reduction of every active lane, in lane order; the old values where `want`."""
        dtype = DTYPES[type_name]
        result = np.zeros(g.shape, dtype) if want else None
        try:
            cells = self.memory.atomic_cells(g, site, space, address, mask, dtype.itemsize)
        except LaneFault as fault:
            left = self._without(g, site, fault, mask)
            return self.atomic(g, site, space, operation, type_name, address, b, c, left, want)
        for view, index, lanes in cells:
            second = None if c is None else np.broadcast_to(c, g.shape)[lanes]
            flushes = operation == "add" and type_name == "f32" and view is self.memory.arena.views[4]
            kind = atomics.FLUSHED if flushes else type_name
            first = np.broadcast_to(b, g.shape)[lanes]
            old = atomics.apply(view.view(dtype), index, operation, kind, first, second, want)
            if result is not None and old is not None:
                result[lanes] = old
            if old is None or not np.array_equal(old, view.view(dtype)[index]):
                self.memory.changes += 1
        if self._workspace and self.races is not None and self._grid_turned() != self._turned:
            self._turned = not self._turned
            self.races.grid_barrier()
        return result

    def _grid_turned(self) -> bool:
        return bool(self.memory.arena.views[4][(self._workspace >> 2) + 1] >> 31)

    def ldmatrix(
        self, g: Group, site: Site, space: str, address: Array, count: int, transpose: bool, guard: Array | None
    ) -> list[Array]:
        """`ldmatrix` of `count` 8x8 matrices of 16-bit elements; lanes 8i to 8i+7 give the rows of matrix i."""
        place = address - SHARED_WINDOW if space == "generic" else address  # always of shared memory
        lanes = _giving(g, count, guard)
        try:
            mma.whole_warps(g, guard)
            if lanes is None or lanes.any():
                self.memory.check(g, site, "shared", place, lanes, 16, "load")
        except LaneFault as fault:
            raise self.fault(site, g, fault) from None
        rows = mma.ldmatrix_addresses(g, place if guard is None else np.where(guard, place, 0), count)
        return mma.ldmatrix(g, self.memory.shared, rows, transpose)

    def stmatrix(
        self,
        g: Group,
        site: Site,
        space: str,
        address: Array,
        registers: list[Array],
        transpose: bool,
        guard: Array | None,
    ) -> None:
        """`stmatrix`: the other way round; each lane stores the 16 bytes of one row."""
        place = address - SHARED_WINDOW if space == "generic" else address
        lanes = _giving(g, len(registers), guard)
        try:
            mma.whole_warps(g, guard)
            self.memory.store(g, site, "shared", place, lanes, mma.stmatrix_rows(g, registers, transpose))
        except LaneFault as fault:
            raise self.fault(site, g, fault) from None

    def warp_sync(self, g: Group, membermask: Array) -> Array:
        """Threads of a warp met: tell the race detector. Returns the mask without lanes that nobody waits for.

        A warp waits for the lanes of its mask that have not returned, and a block of 80 threads has no lane 16 of
        warp 2.
        """
        if self.races is not None:
            self.races.warp_sync(g, membermask)
        if self._all_alive or g.warp_slots()[0] is None:
            return membermask
        return membermask & self.alive[g.ctas, g.tids // WARP].astype(np.uint32)

    def exit(self, g: Group) -> None:
        """Threads have returned."""
        self._all_alive = False
        if g.warp_slots()[0] is None:
            self.alive[g.ctas, g.tids // WARP] = 0
            return
        lanes = ~(np.uint64(1) << (g.tids % WARP).astype(np.uint64))
        np.bitwise_and.at(self.alive, (g.ctas, g.tids // WARP), lanes)

    def fence(self, g: Group) -> None:
        """A memory fence: orders nothing here, but the race detector may say so."""
        if self.races is not None:
            self.races.fence(g)

    def divisor(self, g: Group, site: Site, divisor: Array, mask: Array | None) -> None:
        """Note the lanes that are about to divide an integer by zero."""
        if not divisor.all():
            zero = divisor == 0 if mask is None else (divisor == 0) & mask
            if zero.any():
                self.note(site, g, LaneFault("division by zero", "an integer is divided by zero", zero))

    def trap(self, g: Group, site: Site, mask: Array | None) -> None:
        """`trap`: the kernel stops itself."""
        if mask is None or mask.any():
            lanes = np.ones((1, 1), bool) if mask is None else mask
            raise self.fault(site, g, LaneFault("trap", "the kernel stopped itself", lanes))

    # -- findings ------------------------------------------------------------------------------------------------
    def _without(self, g: Group, site: Site, fault: LaneFault, mask: Array | None) -> Array:
        """Stop at a fault, or in collecting mode note it and return the lanes that may go on."""
        if not self.collect:
            raise self.fault(site, g, fault) from None
        self.note(site, g, fault)
        return ~fault.lanes if mask is None else mask & ~fault.lanes

    def fault(self, site: Site, g: Group, fault: LaneFault) -> Fault:
        return Fault(self.note(site, g, fault))

    def note(self, site: Site, g: Group, fault: LaneFault) -> Finding:
        """Record a fault of some lanes of a group at an instruction."""
        lanes = np.broadcast_to(fault.lanes, g.shape)
        row, column = np.unravel_index(int(np.argmax(lanes)), g.shape)
        cta = int(g.ctas[row, 0])
        tid = int(g.tids[0, column] if g.product else g.tids[row, 0])
        address = None if fault.address is None else int(np.broadcast_to(fault.address, g.shape)[row, column])
        source = source_of(site, self.calls)
        finding = Finding(
            kind=fault.kind,
            detail=fault.detail,
            file=source.file if source else None,
            line=source.line if source else None,
            text=source_text(source),
            block=self.who.block_coordinates(cta),
            thread=self.who.thread_coordinates(tid),
            object="" if address is None else self.describe(site, fault.space, address, fault.width),
            count=int(np.count_nonzero(lanes)),
        )
        return self.findings.add(finding, site.index)

    def describe(self, site: Site, space: str, address: int, width: int = 1) -> str:
        """The tensor element, or the shared variable and byte, at an address; of a tensor also what `width` passes."""
        if space == "global":
            owners = [a for p in site.provenance if (a := self.memory.bounds.parameters.get(p)) is not None]
            if not owners and address < NULL_BYTES:
                return f"address {address:#x}"
            allocation: Allocation | None = owners[0] if len(owners) == 1 else self.memory.arena.nearest(address)
            return allocation.describe(address, width) if allocation else f"address {address:#x}"
        if space != "shared":
            return f"byte {address} of local memory"
        before = [v for v in self.layout.shared_variables if self.layout.shared[v.name] <= address]
        if not before:
            return f"byte {address} of shared memory"
        variable = max(before, key=lambda v: self.layout.shared[v.name])
        name, byte = source_name(plain(variable.name)), address - self.layout.shared[variable.name]
        beyond = f"past its end, {name} has {variable.bytes:,} bytes"
        where = f"shared memory byte {address}" if byte < variable.bytes else beyond
        return f"{name}, byte {byte} ({where})"


def source_name(name: str) -> str:
    """`tile` for `_ZZ4haloE4tile`: what a variable within a C++ function is called in the source."""
    for found in re.finditer(r"E(\d+)(?=\D)", name) if name.startswith("_ZZ") else ():
        last = re.fullmatch(rf"(\w{{{found[1]}}})(_\d+_?)?", name[found.end() :])
        if last:
            return last[1]
    return name


def _giving(g: Group, count: int, guard: Array | None) -> Array | None:
    """The lanes that give an address of `count` 8x8 matrices; None where all do."""
    if count == 4:
        return guard
    first = np.broadcast_to((g.tids % WARP) < 8 * count, g.shape)
    return first if guard is None else first & guard
