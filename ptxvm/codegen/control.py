"""Control flow, barriers, fences: what ends a block or makes threads wait. `schedule.py` acts on it."""

from __future__ import annotations

from typing import Literal

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.codegen.warp import warp_barrier
from ptxvm.types import Immediate, Instruction, Operand

BlockKind = Literal["next", "branch", "exit", "barrier"]
BARRIERS = {"bar", "barrier"}
EXITS = {"ret", "exit"}


def is_barrier(ins: Instruction) -> bool:
    """A barrier of the CTA (`bar.warp.sync` and cluster barriers are other things)."""
    return ins.parts[0] in BARRIERS and "warp" not in ins.parts and "cluster" not in ins.parts


def write_end(w: BlockWriter, ins: Instruction | None) -> tuple[BlockKind, str]:
    """What a block's function returns for its last instruction, and what the scheduler shall make of it.

    branch   the lanes that take the branch
    exit     the lanes that exit
    barrier  (id, count or None, lanes or None); `arrive` does not wait
    """
    if ins is None:
        return "next", "None"
    w.instruction = ins
    if ins.parts[0] == "bra":
        guard = w.guard()
        return ("branch", guard) if guard else ("next", "None")
    if ins.parts[0] in EXITS:
        return "exit", w.guard() or "None"
    if is_barrier(ins):
        return "barrier", _barrier(w, ins)
    return "next", "None"


def _barrier(w: BlockWriter, ins: Instruction) -> str:
    words = [p for p in ins.parts[1:] if p not in ("cta", "aligned")]
    if words not in (["sync"], ["arrive"]):
        raise refuse(ins)
    name: Operand = ins.operands[0] if ins.operands else Immediate(0)
    count = w.use(ins.operands[1], "u32") if len(ins.operands) > 1 else "None"
    return f"({w.use(name, 'u32')}, {count}, {w.guard()}, {words == ['arrive']})"


@emits("trap", "brkpt")
def trap(w: BlockWriter, ins: Instruction) -> None:
    w.line(f"rt.trap(g, {w.site()}, {w.guard()})")


@emits("membar", "fence", "nanosleep", "pragma", "griddepcontrol", "setmaxnreg")
def nothing(w: BlockWriter, ins: Instruction) -> None:
    """Memory operations run in order and in one place, and there is no time: fences and sleeps change nothing."""
    words = set(ins.parts[1:])
    known = {
        "gl", "cta", "sys", "gpu", "cluster", "sc", "acq_rel", "acquire", "release", "u32", "launch_dependents", "wait",
        "proxy", "async", "inc", "dec", "sync", "aligned", "global", "shared::cta", "shared::cluster",
    }  # fmt: skip
    if words - known or ins.parts[0] in ("setmaxnreg", "griddepcontrol") or "proxy" in words:
        raise refuse(ins)
    if ins.parts[0] in ("membar", "fence"):
        w.line("rt.fence(g)")


@emits("bar", "barrier", "bra", "ret", "exit")
def at_block_end(w: BlockWriter, ins: Instruction) -> None:
    """Written by `write_end`; here only the form is checked. `bar.warp.sync` ends no block."""
    if "warp" in ins.parts:
        warp_barrier(w, ins)
        return
    if ins.parts[0] in BARRIERS and not is_barrier(ins):
        raise refuse(ins)
    write_end(w, ins)
    if ins.parts[0] == "bra" and set(ins.parts[1:]) - {"uni"}:
        raise refuse(ins)
