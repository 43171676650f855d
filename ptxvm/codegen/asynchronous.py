"""`cp.async`: copies that the runtime holds back until they are waited for."""

from __future__ import annotations

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.codegen.memory import CACHE_WORDS, address
from ptxvm.types import Immediate, Instruction


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
        allowed = ins.operands[0]
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
    """cp.async.ca.shared.global [dst], [src], size{, src-size}{, cache-policy};"""
    size = ins.operands[2]
    if not isinstance(size, Immediate) or size.value not in (4, 8, 16):
        raise refuse(ins)
    extra = list(ins.operands[3:])
    if "L2::cache_hint" in ins.parts and extra:
        extra.pop()
    source_bytes = w.use(extra[0], "u32") if extra else "None"
    target, source = address(w, ins.operands[0]), address(w, ins.operands[1])
    w.line(f"rt.copies.issue(g, {w.site()}, {target}, {source}, {guard}, {size.value}, {source_bytes})")
