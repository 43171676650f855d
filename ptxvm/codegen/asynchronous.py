"""`cp.async`: copies that the runtime holds back until they are waited for."""

from __future__ import annotations

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.codegen.memory import CACHE_WORDS, address
from ptxvm.types import Immediate, Instruction, Not, Operand, Register


@emits("cp")
def copy(w: BlockWriter, ins: Instruction) -> None:
    words = list(ins.parts[1:])
    if words[:1] != ["async"]:
        raise refuse(ins)
    rest = [word for word in words[1:] if word not in CACHE_WORDS and word not in ("shared", "shared::cta", "global")]
    guard = w.guard()
    if rest == ["commit_group"]:
        w.line(f"rt.copies.commit(g, {guard})")
    elif rest == ["wait_group"]:
        allowed = ins.operands[0] if ins.operands else None
        if not isinstance(allowed, Immediate):
            raise refuse(ins)
        w.line(f"rt.copies.wait(g, {guard}, {allowed.value})")
    elif rest == ["wait_all"]:
        w.line(f"rt.copies.wait(g, {guard}, None)")
    elif not rest and ("ca" in words or "cg" in words):
        _issue(w, ins, guard)
    else:
        raise refuse(ins)


def _issue(w: BlockWriter, ins: Instruction, guard: str | None) -> None:
    """cp.async.ca.shared.global [dst], [src], size{, src-size or ignore-src}{, cache-policy};"""
    size = ins.operands[2] if len(ins.operands) > 2 else None
    if not isinstance(size, Immediate) or size.value not in ((16,) if "cg" in ins.parts else (4, 8, 16)):
        raise refuse(ins)
    extra = list(ins.operands[3:])
    if "L2::cache_hint" in ins.parts and extra:
        extra.pop()
    if len(extra) > 1:
        raise refuse(ins)
    source_bytes = _source_bytes(w, extra[0], size.value) if extra else "None"
    target, source = address(w, ins.operands[0]), address(w, ins.operands[1])
    w.line(f"rt.copies.issue(g, {w.site()}, {target}, {source}, {guard}, {size.value}, {source_bytes})")


def _source_bytes(w: BlockWriter, operand: Operand, size: int) -> str:
    """How many bytes are read: the operand, or none of them where it is a predicate that holds (`ignore-src`)."""
    if isinstance(operand, Not) or (isinstance(operand, Register) and w.dtypes.get(operand.name) == "pred"):
        return f"np.where({w.use(operand, 'pred')}, np.uint32(0), np.uint32({size}))"
    return w.use(operand, "u32")
