"""Calls of device functions: entering, returning, and what a thread keeps meanwhile.

A group runs within a *context*, the calls that its threads are in, as the blocks that hold those calls, outermost
first. Threads at one block but in different contexts do not join. Of equally deep ones the scheduler runs first whoever
comes first in the outermost function, so threads that part at a call meet again behind it.

A caller's registers stay in the group's register file while the callee runs, with the depth of the call before their
names (`0|%r5`): so they are split and joined with the threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ptxvm.access import Site
from ptxvm.errors import LaneFault
from ptxvm.group import Array, Group
from ptxvm.link import MOST_STACK_BYTES, STACK_ALIGNMENT, TOP
from ptxvm.types import DTYPES

if TYPE_CHECKING:
    from ptxvm.codegen.blocks import Compiled, CompiledBlock
    from ptxvm.link import Part
    from ptxvm.schedule import BatchRun

Path = tuple[int, ...]

FRAME = "%frame"  # hidden register: where the local variables of the running call begin; absent in the kernel itself
TARGET = "%target"  # hidden register: the address that an indirect call goes to
HIDDEN = frozenset({FRAME, TOP})
MOST_CALLS = 512  # calls within each other; a card's default stack of 1 KiB a thread holds fewer


class Context:
    """The calls that some threads are in: `path` holds the blocks that call.

    calls    the instructions that call, the innermost first
    kept     (register of the caller, its name meanwhile), of the innermost call
    saved    all such names of all calls
    """

    __slots__ = ("_known", "calls", "compiled", "kept", "parent", "path", "saved")

    def __init__(self, compiled: Compiled, parent: Context | None = None, call: int = -1) -> None:
        self.compiled, self.parent = compiled, parent
        self.path: Path = ()
        self.calls: tuple[Site, ...] = ()
        self.kept: tuple[tuple[str, str], ...] = ()
        self.saved: frozenset[str] = frozenset({TOP}) if compiled.has_alloca else frozenset()
        self._known: dict[int, frozenset[str]] = {}
        if parent is not None:
            block = compiled.blocks[call]
            depth = len(parent.path)
            wanted = compiled.graph.live_in[block.successors[0]] - set(block.results)
            self.path = (*parent.path, call)
            assert block.end is not None
            self.calls = (block.end, *parent.calls)
            self.kept = tuple((name, f"{depth}|{name}") for name in sorted(wanted | HIDDEN))
            self.saved = parent.saved | {name for _, name in self.kept} | HIDDEN

    def live(self, block: int) -> frozenset[str]:
        """The registers that threads at a block must keep."""
        found = self._known.get(block)
        if found is None:
            inside = self.compiled.graph.live_in[block]
            found = self._known[block] = inside | self.saved if self.saved else inside
        return found


def as_dtype(value: Array, dtype: np.dtype) -> Array:
    """A value as a register of another dtype holds it: its bits, or the number where the widths differ."""
    if value.dtype == dtype:
        return value
    if value.dtype.itemsize == dtype.itemsize and np.bool_ not in (value.dtype, dtype):
        return value.view(dtype)
    return value.astype(dtype)


def enter(
    run: BatchRun, group: Group, index: int, lanes: Array | None, target: Array | None, arguments: list[Array]
) -> None:
    """A group runs a block that calls: a function by its name, or (with `target`) at an address in each lane."""
    block = run.compiled.blocks[index]
    successor = block.successors[0]
    names = [f"%argument{i}" for i in range(len(arguments))]
    group.regs.update(zip(names, arguments, strict=True))
    if target is not None:
        group.regs[TARGET] = target
    wanted = run.live(successor).union(names, HIDDEN, (TARGET,))
    if lanes is not None and not lanes.all():
        rest = group.take(~lanes, run.live(successor))
        if rest is not None:
            run.push(rest, successor)
        inside = group.take(lanes, wanted)
        if inside is None:
            return
        group = inside
    target = group.regs.pop(TARGET, None)
    if target is None:
        _call(run, group, index, run.compiled.functions[block.callee], names)
        return
    for address in np.unique(target):
        part = group.take(np.broadcast_to(target == address, target.shape), wanted)
        assert part is not None
        function = run.compiled.functions.get(run.machine.functions.get(int(address), ""))
        if function is None:
            raise _fault(run, part, block, "wrong target", f"a call of address {int(address):#x}, no function")
        if (len(function.params), function.returns) != (len(names), len(block.results)):
            detail = f"a call of {function.name} with other parameters than it has"
            raise _fault(run, part, block, "wrong target", detail)
        _call(run, part, index, function, names)


def _call(run: BatchRun, group: Group, index: int, function: Part, names: list[str]) -> None:
    compiled, block = run.compiled, run.compiled.blocks[index]
    path = (*run.context.path, index)
    context = run.contexts.get(path)
    if context is None:
        context = run.contexts[path] = Context(compiled, run.context, index)
    if len(path) > MOST_CALLS:
        raise _fault(run, group, block, "stack overflow", f"{MOST_CALLS} calls within each other")
    frame = _frame(run, group, index, function, block)
    old = group.regs
    regs = {name: old[name] for name in context.saved if name in old}
    regs |= {away: old[name] for name, away in context.kept if name in old}
    entry = compiled.graph.live_in[function.entry]
    dtypes = compiled.graph.dtypes
    for name, register in zip(names, function.params, strict=True):
        if register in entry:
            regs[register] = as_dtype(old[name], DTYPES[dtypes[register]])
    for register in entry.difference(regs):
        regs[register] = np.zeros((1, 1), DTYPES[dtypes[register]])
    regs[FRAME] = frame
    if compiled.has_alloca:
        regs[TOP] = frame + function.frame_bytes
    group.regs = regs
    run.push(group, function.entry, context)


def _frame(run: BatchRun, group: Group, index: int, function: Part, block: CompiledBlock) -> Array:
    """The callee's frame on the stack of each thread, its bytes unwritten."""
    memory = run.machine.memory
    frame: Array | None = group.regs.get(TOP)
    if frame is None:
        own = group.regs.get(FRAME)
        size = run.compiled.part_of(index).frame_bytes
        frame = np.array([[size]], np.int64) if own is None else own + size
    frame = (frame + (STACK_ALIGNMENT - 1)) & ~np.int64(STACK_ALIGNMENT - 1)
    top = int(frame.max()) + function.frame_bytes
    if top > MOST_STACK_BYTES:
        raise _fault(run, group, block, "stack overflow", f"{top:,} bytes of local memory for one thread's calls")
    if function.frame_bytes:
        memory.new_frame(group, frame, function.frame_bytes)
    return frame


def leave(run: BatchRun, group: Group, index: int, lanes: Array | None, values: list[Array]) -> None:
    """A group runs a block that returns."""
    context = run.context
    names = [f"%result{i}" for i in range(len(values))]
    group.regs.update(zip(names, values, strict=True))
    if lanes is not None and not lanes.all():
        successor = run.compiled.blocks[index].successors[0]
        rest = group.take(~lanes, run.live(successor))
        if rest is not None:
            run.push(rest, successor)
        gone = group.take(lanes, context.saved.union(names))
        if gone is None:
            return
        group = gone
    assert context.parent is not None
    call = run.compiled.blocks[context.path[-1]]
    old = group.regs
    outer = context.parent.saved
    regs = {name: old[name] for name in outer if name in old and name not in HIDDEN}
    regs |= {name: old[away] for name, away in context.kept if away in old}
    for name, register in zip(names, call.results, strict=False):
        if register:
            regs[register] = as_dtype(old[name], DTYPES[run.compiled.graph.dtypes[register]])
    group.regs = regs
    run.push(group, call.successors[0], context.parent)


def _fault(run: BatchRun, group: Group, block: CompiledBlock, kind: str, detail: str) -> Exception:
    assert block.end is not None
    return run.machine.fault(block.end, group, LaneFault(kind, detail, np.ones((1, 1), bool)))
