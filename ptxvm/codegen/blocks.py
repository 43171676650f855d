"""Basic blocks to Python functions.

Each block becomes `def b<i>(g, rt)`: it takes the registers that it needs out of `g.regs`, runs, puts back those that
are still wanted, drops those that are not, and returns what `control.write_end` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import CodeType
from typing import Any

import numpy as np

from ptxvm import mma, numerics, sparse, warp, wmma
from ptxvm.access import Site
from ptxvm.codegen import asynchronous, atomic, call, chains, control, convert, floating, integer, matrix, memory  # noqa: F401  register
from ptxvm.codegen import warp as _warp  # noqa: F401  registers its emitters
from ptxvm.codegen.emitter import EMITTERS, BlockWriter, possible_sums, refuse
from ptxvm.codegen.targets import too_new
from ptxvm.counters import Holding, holdings
from ptxvm.errors import Unsupported
from ptxvm.flow import callee, meets
from ptxvm.group import Group
from ptxvm.ir import Block, Graph
from ptxvm.link import Linked, Part
from ptxvm.types import DTYPES, Function, Instruction, Register, Vector


@dataclass(frozen=True)
class CompiledBlock:
    """A block ready to run."""

    run: Callable[[Group, Any], Any]
    kind: control.BlockKind
    successors: tuple[int, ...]
    end: Site | None  # the branch, exit or barrier
    spins: bool  # may wait for another thread: has an atomic or an ordered load
    meets: bool  # begins with an operation for which lanes of a warp must be together
    callee: str = ""  # of a call: the function, where it is named
    results: tuple[str, ...] = ()  # of a call: the registers that it sets, "" where nobody wants the value


@dataclass(frozen=True)
class Compiled:
    """A kernel ready to run.

    instruction_at  line of the generated text -> the instruction written there
    functions       the functions that it may call, by name; itself is among them
    """

    blocks: tuple[CompiledBlock, ...]
    sites: tuple[Site, ...]
    graph: Graph
    file: str
    instruction_at: dict[int, int]
    functions: dict[str, Part]
    has_alloca: bool
    has_meetings: bool  # whether any block `meets`

    @cached_property
    def holdings(self) -> tuple[Holding, ...]:
        """What each block holds, for the counters."""
        return holdings(self.sites, self.graph.blocks)

    def part_of(self, block: int) -> Part:
        """The function that holds a block."""
        return [p for p in self.functions.values() if p.entry <= block][-1]


def compile_function(linked: Linked) -> Compiled:
    """Generate and execute the Python text of a kernel. Raises Unsupported for the first form that is not executed."""
    if linked.refusals:
        raise linked.refusals[0]
    function, graph = linked.function, linked.graph
    sites = tuple(Site(i.index, i, i.source, graph.provenance.get(i.index, frozenset())) for i in function.instructions)
    namespace: dict[str, Any] = {"np": np, "nm": numerics, "wp": warp, "mm": mma, "sp": sparse, "wm": wmma}
    lines: list[str] = []
    instruction_at: dict[int, int] = {}
    kinds: list[control.BlockKind] = []
    shared_constants: dict[str, Any] = {}
    sums = possible_sums(function.instructions, graph.dtypes)
    for block in graph.blocks:
        body, origins, kind = _write_block(function, graph, block, namespace, shared_constants, sums)
        kinds.append(kind)
        lines.append(f"def b{block.index}(g, rt):")
        for text, origin in zip(body, origins, strict=True):
            lines.append(f"    {text}")
            if origin is not None:
                instruction_at[len(lines)] = origin
    for site in sites:
        namespace[f"s{site.index}"] = site
    file = f"<ptxvm {function.name}>"
    code: CodeType = compile("\n".join(lines) + "\n", file, "exec")
    exec(code, namespace)
    blocks = tuple(
        _finish(function, graph, block, kind, namespace[f"b{block.index}"], sites)
        for block, kind in zip(graph.blocks, kinds, strict=True)
    )
    functions = {part.name: part for part in linked.parts}
    has_alloca = any(i.parts[0] in ("alloca", "stacksave", "stackrestore") for i in function.instructions)
    return Compiled(blocks, sites, graph, file, instruction_at, functions, has_alloca, any(b.meets for b in blocks))


def _finish(
    function: Function, graph: Graph, block: Block, kind: control.BlockKind, run: Any, sites: tuple[Site, ...]
) -> CompiledBlock:
    inside = function.instructions[block.first : block.last_exclusive]
    last = inside[-1] if inside else None
    first = next((i for i in inside if i.parts[0] != "pragma"), None)
    results: tuple[str, ...] = ()
    if kind == "call" and last is not None and isinstance(last.operands[0], Vector):
        results = tuple(o.name if isinstance(o, Register) else "" for o in last.operands[0].items)
    return CompiledBlock(
        run=run,
        kind=kind,
        successors=block.successors,
        end=sites[last.index] if last is not None and kind != "next" else None,
        spins=any(_may_wait(i) for i in inside),
        meets=first is not None and meets(first),
        callee=callee(last) if kind == "call" and last is not None else "",
        results=results,
    )


def _may_wait(ins: Instruction) -> bool:
    return bool({"atom", "nanosleep", "test_wait", "try_wait"} & set(ins.parts[:2])) or (
        ins.parts[0] == "ld" and bool(memory.ORDERED & set(ins.parts))
    )


def _write_block(
    function: Function,
    graph: Graph,
    block: Block,
    namespace: dict[str, Any],
    shared: dict[str, Any],
    sums: frozenset[str],
) -> tuple[list[str], list[int | None], control.BlockKind]:
    w = BlockWriter(graph.dtypes, sums, function.target)
    live_in, live_out = graph.live_in[block.index], graph.live_out[block.index]
    w.constants = namespace_constants = dict(shared)
    inside = function.instructions[block.first : block.last_exclusive]
    marks: list[tuple[int, int]] = []  # (number of lines before, instruction)
    end: Instruction | None = None
    for item in chains.arrange(inside, live_out):
        ins = item.last if isinstance(item, chains.Chains) else item
        w.instruction = ins
        marks.append((len(w.lines), ins.index))
        if ins is inside[-1] and control.ends_block(ins):
            emit(w, ins)  # checks the form
            end = ins
        elif isinstance(item, chains.Chains):
            chains.write(w, item)
        else:
            emit(w, ins)
    kind, result = control.write_end(w, end)
    shared.update({k: v for k, v in namespace_constants.items() if k not in shared})
    namespace.update(w.constants)

    before = ["r = g.regs"]
    for name, local in w.loaded.items():
        if name in live_in:
            before.append(f"{local} = r[{name!r}]" if name in live_out else f"{local} = r.pop({name!r})")
        elif name not in w.written or name == "%cc":
            zero = w.constant(np.zeros((1, 1), DTYPES[graph.dtypes.get(name, "pred")]))
            namespace.update(w.constants)
            before.append(f"{local} = {zero}")
    origins: list[int | None] = [None] * len(before)
    positions = dict(marks)
    current: int | None = None
    for i in range(len(w.lines)):
        current = positions.get(i, current)
        origins.append(current)
    after = [f"out = {result}"] if result != "None" else []
    after += [f"r[{name!r}] = {w.loaded[name]}" for name in sorted(w.written & set(live_out))]
    dead = sorted((live_in | set(w.loaded)) - live_out)
    after += [f"r.pop({name!r}, None)" for name in dead if name in live_in and name not in w.loaded]
    after.append("return out" if result != "None" else "return None")
    origins += [end.index if end else None] * len(after)
    return _drop_early(before + w.lines, after) + after, origins, kind


_LOCAL = re.compile(r"\b[vt]\d+\b")
_ASSIGNED = re.compile(r"([vt]\d+) = ")


def _drop_early(lines: list[str], after: list[str]) -> list[str]:
    """The lines of a block, each with a `del` of the locals that are not wanted below it.

    Freed at once, an array's memory is still in the processor's cache when the next result is written to it.
    """
    wanted = {name for line in after for name in _LOCAL.findall(line)}
    assigned = {m[1] for line in lines if (m := _ASSIGNED.match(line))}
    result = []
    for line in reversed(lines):
        last = sorted((set(_LOCAL.findall(line)) & assigned) - wanted)
        wanted.update(last)
        result.append(f"{line}; del {', '.join(last)}" if last else line)
    return result[::-1]


# Least and most operands of instructions whose emitters do not count them.
OPERAND_COUNTS = {
    "activemask": (1, 1), "atom": (3, 5), "red": (2, 3), "ld": (2, 3), "ldu": (2, 2), "st": (2, 4), "set": (3, 4),
    "setp": (3, 4), "min": (3, 4), "max": (3, 4), "lop3": (5, 6), "cvt": (2, 4), "shfl": (5, 5), "vote": (3, 3),
    "match": (3, 3), "redux": (3, 3), "elect": (2, 2), "ldmatrix": (2, 2), "stmatrix": (2, 2),
    "call": (3, 4), "bar": (0, 4), "barrier": (0, 4), "createpolicy": (1, 5),
}  # fmt: skip


def emitter_for(ins: Instruction) -> Callable[[BlockWriter, Instruction], None]:
    """The emitter of an instruction. Raises Unsupported if there is none, or for too few or too many operands."""
    emitter = EMITTERS.get(ins.parts[0])
    least, most = OPERAND_COUNTS.get(ins.parts[0], (0, len(ins.operands)))
    if emitter is None:
        raise refuse(ins)
    if not least <= len(ins.operands) <= most:
        raise refuse(ins, f"with {len(ins.operands)} operands")
    return emitter


def emit(w: BlockWriter, ins: Instruction) -> None:
    """Write an instruction. Raises Unsupported with its opcode and line."""
    if reason := too_new(ins.opcode, w.target):
        raise refuse(ins, reason)
    try:
        emitter_for(ins)(w, ins)
    except Unsupported as refusal:
        if refusal.line is not None:
            raise
        raise refuse(ins, refusal.reason or refusal.form) from None


def unsupported(function: Function, graph: Graph) -> list[Unsupported]:
    """Every form of a kernel that is not executed, each once, in the order of the text."""
    found: dict[str, Unsupported] = {}
    for block in graph.blocks:
        for ins in function.instructions[block.first : block.last_exclusive]:
            w = BlockWriter(graph.dtypes, target=function.target)
            w.instruction = ins
            try:
                emit(w, ins)
            except Unsupported as refusal:
                found.setdefault(refusal.form, refusal)
    return list(found.values())
