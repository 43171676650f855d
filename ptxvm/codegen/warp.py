"""`shfl`, `vote`, `match`, `redux`, `activemask`, `elect`, `bar.warp.sync`: operations between the lanes of a warp."""

from __future__ import annotations

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.types import Instruction, Operand, Pair, Sink


def _sync(w: BlockWriter, members: Operand) -> str:
    """The member mask, without lanes that the block does not have; the race detector is told that its lanes met."""
    return w.let(f"rt.warp_sync(g, {w.use(members, 'u32')})")


def _two(operand: Operand) -> tuple[Operand, Operand]:
    return (operand.first, operand.second) if isinstance(operand, Pair) else (operand, Sink())


def _define_unless_sink(w: BlockWriter, operand: Operand, text: str, type_name: str) -> None:
    if not isinstance(operand, Sink):
        w.define(operand, text, type_name)


@emits("shfl")
def shfl(w: BlockWriter, ins: Instruction) -> None:
    if len(ins.parts) != 4 or ins.parts[1] != "sync" or ins.parts[2] not in ("up", "down", "bfly", "idx"):
        raise refuse(ins)
    if ins.parts[3] != "b32":
        raise refuse(ins)
    target, a, b, c, members = ins.operands
    value, inside = _two(target)
    if isinstance(value, Sink) and not isinstance(inside, Sink):
        raise refuse(ins, "its value must have a register")
    lanes = _sync(w, members)
    operands = f"{w.use(a, 'u32')}, {w.use(b, 'u32')}, {w.use(c, 'u32')}"
    result = w.let(f"wp.shfl(g, {ins.parts[2]!r}, {operands}, {lanes}, {w.guard()})")
    _define_unless_sink(w, value, f"{result}[0]", "u32")
    _define_unless_sink(w, inside, f"{result}[1]", "pred")


@emits("vote")
def vote(w: BlockWriter, ins: Instruction) -> None:
    form = ins.parts[1:]
    kinds = {("all", "pred"): "pred", ("any", "pred"): "pred", ("uni", "pred"): "pred", ("ballot", "b32"): "u32"}
    if len(form) != 3 or form[0] != "sync" or form[1:] not in kinds:
        raise refuse(ins)
    target, predicate, members = ins.operands
    lanes = _sync(w, members)
    text = f"wp.vote(g, {form[1]!r}, {w.use(predicate, 'pred')}, {lanes}, {w.guard()})"
    w.define(target, text, kinds[form[1:]])


@emits("match")
def match(w: BlockWriter, ins: Instruction) -> None:
    if len(ins.parts) != 4 or ins.parts[1] not in ("any", "all") or ins.parts[2] != "sync":
        raise refuse(ins)
    kind = {"b32": "u32", "b64": "u64"}.get(ins.parts[3])
    if kind is None:
        raise refuse(ins)
    target, a, members = ins.operands
    lanes = _sync(w, members)
    call = f"wp.match_{ins.parts[1]}(g, {w.use(a, kind)}, {lanes}, {w.guard()})"
    if ins.parts[1] == "any":
        w.define(target, call, "u32")
        return
    value, same = _two(target)
    result = w.let(call)
    _define_unless_sink(w, value, f"{result}[0]", "u32")
    _define_unless_sink(w, same, f"{result}[1]", "pred")


@emits("redux")
def redux(w: BlockWriter, ins: Instruction) -> None:
    forms: dict[tuple[str, ...], str] = {
        **{(o, t): t for o in ("add", "min", "max") for t in ("u32", "s32")},
        **{(o, "b32"): "u32" for o in ("and", "or", "xor")},
    }
    if ins.parts[1] != "sync" or ins.parts[2:] not in forms:
        raise refuse(ins)
    kind = forms[ins.parts[2:]]
    target, a, members = ins.operands
    lanes = _sync(w, members)
    w.define(target, f"wp.redux(g, {ins.parts[2]!r}, {w.use(a, kind)}, {lanes}, {w.guard()})", kind)


@emits("activemask")
def activemask(w: BlockWriter, ins: Instruction) -> None:
    if ins.parts != ("activemask", "b32"):
        raise refuse(ins)
    w.define(ins.operands[0], f"wp.activemask(g, {w.guard()})", "u32")


@emits("elect")
def elect(w: BlockWriter, ins: Instruction) -> None:
    if ins.parts != ("elect", "sync"):
        raise refuse(ins)
    leader, chosen = _two(ins.operands[0])
    lanes = _sync(w, ins.operands[1])
    result = w.let(f"wp.elect(g, {lanes}, {w.guard()})")
    _define_unless_sink(w, leader, f"{result}[0]", "u32")
    _define_unless_sink(w, chosen, f"{result}[1]", "pred")


def warp_barrier(w: BlockWriter, ins: Instruction) -> None:
    """`bar.warp.sync`: lanes are together already; what is left is the check of the mask."""
    if ins.parts != ("bar", "warp", "sync") or len(ins.operands) != 1:
        raise refuse(ins)
    lanes = _sync(w, ins.operands[0])
    w.line(f"wp.check_members(g, {lanes}, {w.guard()})")
