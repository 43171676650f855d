"""Control flow, barriers, fences: what ends a block or makes threads wait. `schedule.py` acts on it."""

from __future__ import annotations

import re
from typing import Literal

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.codegen.warp import warp_barrier
from ptxvm.flow import BUILT_IN, callee
from ptxvm.types import Immediate, Instruction, Operand, Register, Vector

BlockKind = Literal["next", "branch", "exit", "barrier", "call", "return", "table"]
Reduction = tuple[str, str]  # what a `bar.red` does (popc, and, or), and the register of its result
BARRIERS = {"bar", "barrier"}
EXITS = {"ret", "exit"}


def is_barrier(ins: Instruction) -> bool:
    """A barrier of the CTA (`bar.warp.sync` and cluster barriers are other things)."""
    return ins.parts[0] in BARRIERS and "warp" not in ins.parts and "cluster" not in ins.parts


def is_call(ins: Instruction) -> bool:
    """A call of a function of the module, or through a register."""
    return ins.parts[0] == "call" and callee(ins) not in BUILT_IN


def ends_block(ins: Instruction) -> bool:
    """Whether an instruction is written by `write_end`."""
    return ins.parts[0] in ("bra", "brx", *EXITS) or is_barrier(ins) or is_call(ins)


def write_end(w: BlockWriter, ins: Instruction | None) -> tuple[BlockKind, str]:
    """What a block's function returns for its last instruction, and what the scheduler shall make of it.

    branch   the lanes that take the branch
    exit     the lanes that exit
    barrier  (id, count or None, lanes or None, whether it does not wait, reduction and predicate of `bar.red` or None)
    call     (lanes or None, address or None where the callee is named, arguments)
    return   (lanes or None, results)
    table    (lanes that take the branch or None, number of the target of each)
    """
    if ins is None:
        return "next", "None"
    w.instruction = ins
    if ins.parts[0] == "bra":
        guard = w.guard()
        return ("branch", guard) if guard else ("next", "None")
    if ins.parts[0] == "brx":
        if ins.parts[1:] not in (("idx",), ("idx", "uni")) or len(ins.operands) != 2:
            raise refuse(ins)
        return "table", f"({w.guard()}, {w.use(ins.operands[0], 'u32')})"
    if ins.parts[0] == "ret" and ins.operands:  # of a function, see `link.py`
        return "return", f"({w.guard()}, {_values(w, ins, ins.operands[0])})"
    if ins.parts[0] in EXITS:
        return "exit", w.guard() or "None"
    if is_barrier(ins):
        return "barrier", _barrier(w, ins)
    if is_call(ins):
        if set(ins.parts[1:]) - {"uni"}:
            raise refuse(ins)
        target = w.use(ins.operands[1], "u64") if isinstance(ins.operands[1], Register) else "None"
        return "call", f"({w.guard()}, {target}, {_values(w, ins, ins.operands[2])})"
    return "next", "None"


def _barrier(w: BlockWriter, ins: Instruction) -> str:
    words = [p for p in ins.parts[1:] if p not in ("cta", "aligned")]
    if "aligned" in ins.parts and ins.parts[0] == "bar":  # `bar` is aligned anyway
        raise refuse(ins)
    operands = list(ins.operands)
    reduction = "None, None"
    if words[:1] == ["red"]:
        if words[1:] not in (["popc", "u32"], ["and", "pred"], ["or", "pred"]) or len(operands) not in (3, 4):
            raise refuse(ins)
        target, predicate = operands.pop(0), operands.pop()
        if not isinstance(target, Register):
            raise refuse(ins, "a result in a register is missing")
        reduction = f"({words[1]!r}, {target.name!r}), {w.use(predicate, 'pred')}"
    elif words not in (["sync"], ["arrive"]) or len(operands) > 2 or (words == ["arrive"] and len(operands) != 2):
        raise refuse(ins)
    name: Operand = operands[0] if operands else Immediate(0)
    count = w.use(operands[1], "u32") if len(operands) > 1 else "None"
    return f"({w.use(name, 'u32')}, {count}, {w.guard()}, {words == ['arrive']}, {reduction})"


def _values(w: BlockWriter, ins: Instruction, vector: Operand) -> str:
    """The arguments or results of a function as a list of arrays."""
    if not isinstance(vector, Vector):
        raise refuse(ins)
    texts = []
    for item in vector.items:
        if isinstance(item, Register):
            texts.append(w.use(item, w.dtypes.get(item.name, "u64")))
        elif isinstance(item, Immediate):
            texts.append(w.use(item, "s64" if item.kind == "int" else item.kind))
        else:
            raise refuse(ins, "a parameter that is neither a register nor a number")
    return f"[{', '.join(texts)}]"


@emits("trap", "brkpt")
def trap(w: BlockWriter, ins: Instruction) -> None:
    w.line(f"rt.trap(g, {w.site()}, {w.guard()})")


_NOTHING = re.compile(
    r"membar\.(cta|gl|sys|proxy\.alias)|fence(\.sc|\.acq_rel|\.acquire|\.release)?\.(cta|cluster|gpu|sys)|fence\.proxy\.alias"
    r"|nanosleep\.u32|pmevent(\.mask)?|pragma"
)


@emits("membar", "fence", "nanosleep", "pmevent", "pragma")
def nothing(w: BlockWriter, ins: Instruction) -> None:
    """Memory operations run in order and in one place, and there is no time: fences and sleeps change nothing."""
    if not _NOTHING.fullmatch(ins.opcode):
        raise refuse(ins)
    if ins.parts[0] in ("membar", "fence"):
        w.line("rt.fence(g)")


@emits("bar", "barrier", "bra", "brx", "ret", "exit")
def at_block_end(w: BlockWriter, ins: Instruction) -> None:
    """Written by `write_end`; here only the form is checked. `bar.warp.sync` ends no block."""
    if "warp" in ins.parts:
        warp_barrier(w, ins)
        return
    if ins.parts[0] in BARRIERS and not is_barrier(ins):
        raise refuse(ins)
    write_end(w, ins)
    if ins.parts[0] in ("bra", "ret", "exit") and set(ins.parts[1:]) - ({"uni"} if ins.parts[0] != "exit" else set()):
        raise refuse(ins)
