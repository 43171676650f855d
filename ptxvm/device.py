"""The public face: a device with memory, and launches on it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal, TextIO

import numpy as np

from ptxvm.access import Site, source_text
from ptxvm.arena import Allocation, Arena, contiguous
from ptxvm.arguments import DeviceArray, Limits, Pointer, by_parameter, check_launch, dim3, pack, pointer_of
from ptxvm.codegen.blocks import Compiled, compile_function
from ptxvm.counters import Counting
from ptxvm.errors import Fault, LaunchError
from ptxvm.frames import FramedMemory
from ptxvm.group import Array
from ptxvm.machine import Findings, Layout, Machine
from ptxvm.quiet import read_only_sites
from ptxvm.races import RaceDetector
from ptxvm.report import KINDS, Finding, Report
from ptxvm.schedule import BatchRun, Schedule
from ptxvm.services import Heap, Output, Services
from ptxvm.specials import Dim3
from ptxvm.trace import Trace
from ptxvm.types import Address, Operand, Symbol, Variable, Vector
from ptxvm.written import UNWRITTEN, WRITTEN

if TYPE_CHECKING:
    from ptxvm.module import Kernel, Module


BATCH_SHARED_BYTES = 16 << 20  # of shared memory in one batch: more does not fit into the processor's caches
FUNCTIONS = 1 << 44  # where pointers to functions begin
WORKSPACE_BYTES = 8  # of a cooperative grid: a size, and the word at which blocks wait (cooperative_groups.h)


@dataclass(frozen=True)
class Checks:
    """What a launch looks for. See ptxvm's README for what each costs.

    races     "shared": races between threads of a block on shared memory; "all": on global memory too; "off"
    on_fault  "raise": stop at the first fault; "collect": note it, skip the lanes, go on
    """

    bounds: bool = True
    alignment: bool = True
    provenance: bool = True
    membermask: bool = True
    uninitialised_shared: bool = True
    uninitialised_global: bool = False
    races: Literal["shared", "all", "off"] = "shared"
    counters: bool = True
    on_fault: Literal["raise", "collect"] = "raise"


class Device:
    """A virtual card. `arch` is a target such as "sm_86"; `name` is only printed.

    memory_bytes are reserved and committed as they are touched. `limits` None: shared memory is not limited.
    """

    def __init__(
        self, arch: str = "sm_86", name: str = "", limits: Limits | None = None, memory_bytes: int = 1 << 30
    ) -> None:
        self.arch, self.name, self.limits = arch, name or arch, limits
        self.arena = Arena(memory_bytes)
        self._global_state = np.empty(0, np.uint8)  # see `_written_bytes`
        self._modules: dict[int, tuple[Module, dict[str, Allocation]]] = {}
        self._names = (f"array{i}" for i in itertools.count())
        self._heap: Heap | None = None

    # -- memory --------------------------------------------------------------------------------------------------
    def array(self, shape: int | Sequence[int], dtype: str = "float32", name: str = "") -> DeviceArray:
        """A zero-filled array in device memory. Raises LaunchError when the memory is full."""
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        kind = np.dtype(dtype)
        count = int(np.prod(sizes, dtype=np.int64))
        allocation = self.arena.allocate(
            max(count, 1) * kind.itemsize,
            name=name or next(self._names),
            dtype=kind.str,
            shape=sizes,
            strides=contiguous(sizes, kind.itemsize),
        )
        raw = self.arena.bytes[allocation.start : allocation.start + count * kind.itemsize]
        raw[:] = 0
        array = raw.view(kind).reshape(sizes).view(DeviceArray)
        array.pointer = Pointer(allocation)
        return array

    def bind(
        self,
        storage: Array,
        name: str = "",
        dtype: str = "uint8",
        shape: Sequence[int] = (),
        strides: Sequence[int] | None = None,
        offset_bytes: int = 0,
    ) -> Pointer:
        """Lend a host storage (1-D, uint8, writable) to the device until `release`.

        Its bytes are copied in at each launch and, if written, copied back after it. `strides` are in bytes. Two
        tensors over one storage share one allocation if they are bound through the pointer's allocation (see `alias`).
        """
        allocation = self.arena.allocate(
            max(storage.size, 1),
            name=name or next(self._names),
            dtype=np.dtype(dtype).str,
            shape=tuple(shape),
            strides=tuple(strides) if strides is not None else contiguous(tuple(shape), np.dtype(dtype).itemsize),
            view_offset=offset_bytes,
            storage=storage,
        )
        return Pointer(allocation, offset_bytes)

    def alias(self, pointer: Pointer, offset_bytes: int) -> Pointer:
        """A second tensor over the storage of a bound one, starting at another byte."""
        return Pointer(pointer.allocation, offset_bytes)

    def release(self, pointer: Pointer) -> None:
        """End a `bind` (or free an array)."""
        self.arena.free(pointer.allocation)
        self._global_state[pointer.allocation.start : pointer.allocation.end] = WRITTEN

    def symbol(self, module: Module, name: str) -> Array:
        """The bytes of a `__device__` or `__constant__` variable, writable. Raises KeyError for an unknown name."""
        allocation = self._load(module)[name]
        return self.arena.bytes[allocation.start : allocation.end]

    def _load(self, module: Module) -> dict[str, Allocation]:
        """Allocate and initialise a module's variables, once a device."""
        if id(module) not in self._modules:
            table = {}
            for v in module.program.variables:
                if v.space in ("global", "const"):
                    table[v.name] = allocation = self.arena.allocate(max(v.bytes, 1), name=v.name, shape=(v.bytes,))
                    self.arena.bytes[allocation.start : allocation.end] = 0
                    if v.initial:
                        end = allocation.start + len(v.initial)
                        self.arena.bytes[allocation.start : end] = np.frombuffer(v.initial, np.uint8)
            functions = function_addresses(module)
            for v in module.program.variables:
                for offset, name, addend in v.relocations if v.name in table else ():
                    start = table[name].start if name in table else functions.get(name)
                    if start is not None:
                        place = table[v.name].start + offset
                        self.arena.bytes[place : place + 8] = np.array([start + addend], "<u8").view(np.uint8)
            self._modules[id(module)] = (module, table)
        return self._modules[id(module)][1]

    def _constants(self, module: Module) -> list[tuple[int, int]]:
        """Where the constants of a module lie."""
        places = [self._load(module)[v.name] for v in module.program.variables if v.space == "const"]
        return [(a.start, a.end) for a in places]

    # -- launching -----------------------------------------------------------------------------------------------
    def launch(
        self,
        kernel: Kernel,
        grid: Sequence[int],
        block: Sequence[int],
        args: Sequence[Any] = (),
        dynamic_shared_bytes: int = 0,
        cluster: Sequence[int] | None = None,
        cooperative: bool = False,
        checks: Checks | None = None,
        schedule: Schedule | None = None,
        output: TextIO | None = None,
        trace: Trace | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Report:
        """Run a kernel to its end and say what it did.

        What the kernel prints goes to `output` when the launch ends (None: to standard output), and to the report.
        `trace` is shown each access to memory.
        `progress` is told now and then how many blocks have run, and of how many.

        Raises LaunchError for a launch that a card would refuse, Unsupported for a kernel that ptxvm cannot execute,
        Fault where the kernel is stopped (its `report` attribute holds what was counted until then).
        """
        checks, schedule = checks or Checks(), schedule or Schedule.normal()
        full_grid, full_block = dim3(grid, "grid"), dim3(block, "block")
        if cluster is not None and tuple(cluster) not in ((1,), (1, 1), (1, 1, 1)):
            raise LaunchError("clusters of more than one block are not executed. Nothing was launched.")
        compiled = _compiled(kernel)
        layout, shared_bytes, local_bytes = self._layout(kernel, dynamic_shared_bytes)
        check_launch(kernel, full_grid, full_block, shared_bytes, self.limits)
        allocations = [a.allocation for a in map(pointer_of, args) if a is not None]
        for allocation in allocations:
            if allocation.storage is not None:
                self.arena.bytes[allocation.start : allocation.start + allocation.storage.size] = allocation.storage
            allocation.written = False
        parameters = pack(kernel.params, args)
        copies = self._copy_parameters(kernel, parameters)
        workspace = self.arena.allocate(WORKSPACE_BYTES, name="workspace of the grid") if cooperative else None
        if workspace is not None:
            self.arena.bytes[workspace.start : workspace.end] = 0
        windows = {"const": self._constants(kernel.module), "param": [(a.start, a.end) for a in copies.values()]}
        layout = replace(
            layout, globals={**layout.globals, **{name: a.start for name, a in copies.items()}}, windows=windows
        )
        services = Services(Output(), self._heap_for(kernel))
        report = Report(kernel.name, full_grid, full_block, sampled=schedule.blocks is not None)
        findings = Findings()
        threads = full_block[0] * full_block[1] * full_block[2]
        counting = Counting(compiled.sites, compiled.holdings, self.arena.extent) if checks.counters else None
        ids = _block_order(full_grid, schedule)
        pointers = by_parameter(kernel.params, parameters, self.arena)
        races = None
        if checks.races != "off":
            quiet: frozenset[int] = frozenset()
            if checks.bounds and checks.provenance:
                quiet = read_only_sites(compiled.sites, pointers)
            races = RaceDetector(checks.races, threads, compiled.sites, self.arena.extent, _byte_wide(kernel), quiet)
        batch = ids.size if cooperative else _batch(schedule, threads, shared_bytes)
        try:
            with np.errstate(all="ignore"):
                for first in range(0, ids.size, batch):
                    cta_ids = ids[first : first + batch]
                    memory = self._memory(cta_ids.size, threads, shared_bytes, local_bytes, checks)
                    memory.bounds.parameters = pointers
                    machine = Machine(
                        memory, layout, parameters, full_grid, full_block, cta_ids, findings,
                        dynamic_shared_bytes=dynamic_shared_bytes, workspace=workspace.start if workspace else 0,
                        services=services,
                        races=races, collect=checks.on_fault == "collect",
                    )  # fmt: skip
                    if counting is not None:
                        memory.observers.append(counting.access)
                    if races is not None:
                        races.begin_batch(cta_ids, memory.shared_stride, memory)
                        memory.observers.append(races.access)
                    if trace is not None:
                        memory.observers.append(partial(trace.access, cta_ids, self.arena))
                    BatchRun(compiled, machine, schedule, counting).run()
                    if progress is not None:
                        progress(min(first + batch, ids.size), ids.size)
            if races is not None:
                _note_races(races, machine)
        except Fault as fault:
            _fill(report, findings, counting)
            report.printed = self._show(services, output)
            fault.report = report
            raise
        finally:
            for allocation in [*copies.values(), *([workspace] if workspace else [])]:
                self.arena.free(allocation)
        _fill(report, findings, counting)
        report.printed = self._show(services, output)
        for allocation in allocations:
            if allocation.storage is not None and allocation.written:
                allocation.storage[:] = self.arena.bytes[allocation.start : allocation.start + allocation.storage.size]
        return report

    def _memory(self, ctas: int, threads: int, shared_bytes: int, local_bytes: int, checks: Checks) -> FramedMemory:
        return FramedMemory(
            self.arena, ctas, threads, shared_bytes, local_bytes,
            check_bounds=checks.bounds, check_alignment=checks.alignment, check_provenance=checks.provenance,
            check_shared_init=checks.uninitialised_shared,
            written_bytes=self._written_bytes() if checks.uninitialised_global else None,
        )  # fmt: skip

    def _heap_for(self, kernel: Kernel) -> Heap | None:
        """The memory for `malloc`, made for the first kernel that wants some."""
        if self._heap is None and {"malloc", "free"} & kernel.names:
            self._heap = Heap(self.arena)
        if self._heap is not None:
            self._heap.begin_launch()
        return self._heap

    def _show(self, services: Services, output: TextIO | None) -> list[str]:
        """Write what a kernel printed; its lines."""
        text = services.output.text()
        if text:
            (output or sys.stdout).write(text)
        return text.splitlines()

    def forget(self, array: DeviceArray | Pointer) -> None:
        """Call an array's contents unwritten, for launches that check `uninitialised_global`."""
        allocation = (array if isinstance(array, Pointer) else array.pointer).allocation
        self._written_bytes()[allocation.start : allocation.end] = UNWRITTEN

    def _written_bytes(self) -> Array:
        """A state a byte of global memory, as far as it is in use: all are written but those that `forget` names."""
        more = -(-self.arena.extent // 16) * 16 - self._global_state.size
        if more > 0:
            self._global_state = np.concatenate([self._global_state, np.full(more, WRITTEN, np.uint8)])
        return self._global_state

    def _layout(self, kernel: Kernel, dynamic: int) -> tuple[Layout, int, int]:
        """Places of the variables that the kernel names, bytes of shared memory a block, of local memory a thread."""
        table = {name: a.start for name, a in self._load(kernel.module).items()}
        wanted = _symbols(kernel)
        shared: dict[str, int] = {}
        shared_variables: list[Variable] = []
        shared_size = 0
        own = [*kernel.module.program.variables, *kernel.linked.function.variables]
        for v in own:
            if v.space == "shared" and not v.extern and v.name in wanted:
                shared_size = -(-shared_size // v.align) * v.align
                shared[v.name] = shared_size
                shared_variables.append(v)
                shared_size += v.bytes
        start = -(-shared_size // 16) * 16 if dynamic else shared_size
        for v in own:
            if v.space == "shared" and v.extern and v.name in wanted:
                shared[v.name] = start
                shared_variables.append(Variable(v.name, "shared", dynamic, v.align, None, True))
        linked = kernel.linked
        layout = Layout(shared, linked.local, table, function_addresses(kernel.module), tuple(shared_variables))
        return layout, start + dynamic, linked.parts[0].frame_bytes

    def _copy_parameters(self, kernel: Kernel, parameters: dict[str, Array]) -> dict[str, Allocation]:
        """Copies in global memory of the parameters whose address the kernel takes."""
        wanted = _symbols(kernel)
        copies = {}
        for p in kernel.params:
            if p.name in wanted:
                copies[p.name] = allocation = self.arena.allocate(p.bytes, name=p.name, shape=(p.bytes,))
                self.arena.bytes[allocation.start : allocation.end] = parameters[p.name]
        return copies


def function_addresses(module: Module) -> dict[str, int]:
    """What a pointer to each function of a module holds: no address of memory."""
    return {name: FUNCTIONS + 16 * i for i, name in enumerate(module.program.functions)}


# -- helpers of a launch -----------------------------------------------------------------------------------------
def _compiled(kernel: Kernel) -> Compiled:
    """Generated code of a kernel, made once."""
    if kernel.compiled is None:
        kernel.compiled = compile_function(kernel.linked)
    return kernel.compiled


@lru_cache(maxsize=256)
def _symbols(kernel: Kernel) -> set[str]:
    """Names whose address the kernel takes, other than by `ld.param`."""
    names: set[str] = set()

    def visit(operand: Operand) -> None:
        if isinstance(operand, Symbol):
            names.add(operand.name)
        elif isinstance(operand, Address) and isinstance(operand.base, Symbol):
            names.add(operand.base.name)
        elif isinstance(operand, Vector):
            for item in operand.items:
                visit(item)

    for ins in kernel.linked.function.instructions:
        if ins.parts[:2] != ("ld", "param"):
            for operand in ins.operands:
                visit(operand)
    return names


@lru_cache(maxsize=256)
def _byte_wide(kernel: Kernel) -> bool:
    """Whether a kernel has accesses narrower than 4 bytes, so that races must be kept by byte."""
    narrow = {"b8", "u8", "s8", "b16", "u16", "s16", "f16", "bf16"}
    return any(
        i.parts[0] in ("ld", "st", "atom", "red") and narrow & set(i.parts) for i in kernel.linked.function.instructions
    )


def _batch(schedule: Schedule, threads: int, shared_bytes: int) -> int:
    """CTAs that run together."""
    return max(1, min(schedule.batch_threads // threads, BATCH_SHARED_BYTES // max(shared_bytes, 1)))


def _block_order(grid: Dim3, schedule: Schedule) -> Array:
    if schedule.blocks is not None:
        return np.array(schedule.blocks, np.int64)
    ids = np.arange(grid[0] * grid[1] * grid[2], dtype=np.int64)
    return ids if schedule.seed is None else np.random.default_rng(schedule.seed).permutation(ids)


def _note_races(races: RaceDetector, machine: Machine) -> None:
    """Turn the detector's facts into findings."""
    for fact in races.findings():
        sides = [
            Finding(
                kind=fact.kind,
                detail=fact.detail if i == 0 else "",
                file=site.source.file if site.source else None,
                line=site.source.line if site.source else None,
                text=_race_text(site, kind),
                block=machine.who.launch_coordinates(cta),
                thread=machine.who.thread_coordinates(tid),
                object=machine.describe(site, fact.space, fact.address) if i == 0 else "",
                count=fact.count if i == 0 else 1,
            )
            for i, (site, kind, cta, tid) in enumerate(fact.sides)
        ]
        machine.findings.add(replace(sides[0], other=sides[1]), fact.sides[0][0].index)


def _race_text(site: Site, kind: str) -> str:
    return f"{source_text(site.source)}   ({kind})".strip()


def _fill(report: Report, findings: Findings, counting: Counting | None) -> None:
    for finding in findings.items.values():
        level = KINDS[finding.kind][0]
        target = {"fault": report.faults, "fail": report.races, "lint": report.lints}[level]
        target.append(finding)
    if counting is not None:
        report.counters, report.lines, report.opcodes = counting.result()
