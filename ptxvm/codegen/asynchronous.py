"""`cp.async`: copies that the runtime holds back until they are waited for; `mbarrier`, by which they may be."""

from __future__ import annotations

import re

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.codegen.memory import SECTORS, address
from ptxvm.codegen.targets import too_new
from ptxvm.memory import SHARED_WINDOW
from ptxvm.types import Immediate, Instruction, Not, Operand, Register


@emits("cp")
def copy(w: BlockWriter, ins: Instruction) -> None:
    words = list(ins.parts[1:])
    if words[:1] != ["async"]:
        raise refuse(ins)
    hints = SECTORS | {"ca", "cg", "L2::cache_hint", "shared", "shared::cta", "global"}
    rest = [word for word in words[1:] if word not in hints]
    guard = w.guard()
    if "mbarrier" in words:
        return _arrive_later(w, ins)
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


_MBARRIER = re.compile(
    r"mbarrier\.((init|inval)|(arrive|arrive_drop)(\.noComplete)?(\.release\.cta)?|(test_wait|try_wait)(\.parity)?(\.acquire\.cta)?)"
    r"(\.shared|\.shared::cta)?\.b64|mbarrier\.pending_count\.b64"
)
_MBARRIER_OPERANDS = {"init": (2, 2), "inval": (1, 1), "test_wait": (3, 3), "try_wait": (3, 4), "pending_count": (2, 2)}


@emits("mbarrier")
def mbarrier(w: BlockWriter, ins: Instruction) -> None:
    """`mbarrier.init`, `.inval`, `.arrive`, `.arrive_drop`, `.test_wait`, `.try_wait`, `.pending_count`.

    `try_wait` may let a thread sleep on a card; here it looks, as `test_wait` does.
    """
    words = set(ins.parts)
    if not _MBARRIER.fullmatch(ins.opcode):
        raise refuse(ins)
    least, most = _MBARRIER_OPERANDS.get(ins.parts[1], (3, 3) if "noComplete" in words else (2, 3))
    if not least <= len(ins.operands) <= most:
        raise refuse(ins)
    if "pending_count" in words:
        return w.define(
            ins.operands[0], f"({w.use(ins.operands[1], 'u64')} & np.uint64(0xFFFFF)).astype(np.uint32)", "u32"
        )
    if words & {"init", "inval"}:
        count = f", {w.use(ins.operands[1], 'u32')}" if "init" in words else ""
        return w.line(
            f"rt.mbarriers.{ins.parts[1]}(g, {w.site()}, {_place(w, ins, ins.operands[0])}{count}, {w.guard()})"
        )
    target, place = ins.operands[0], _place(w, ins, ins.operands[1])
    if words & {"test_wait", "try_wait"}:
        phase = w.use(ins.operands[2], "u32" if "parity" in words else "u64")
        asked = f"None, {phase}" if "parity" in words else f"{phase}, None"
        return w.define(target, f"rt.mbarriers.test(g, {w.site()}, {place}, {w.guard()}, {asked})", "pred")
    count = "None"
    if len(ins.operands) == 3:
        if "noComplete" not in words and too_new("mbarrier.try_wait", w.target):
            raise refuse(ins, "a count without .noComplete is for sm_90 or newer")
        count = w.use(ins.operands[2], "u32")
    how = f"{w.guard()}, {'arrive_drop' in words}, {'noComplete' not in words}"
    w.define(target, f"rt.mbarriers.arrive(g, {w.site()}, {place}, {count}, {how})", "u64")


def _arrive_later(w: BlockWriter, ins: Instruction) -> None:
    """`cp.async.mbarrier.arrive{.noinc}{.shared{::cta}}.b64 [barrier];`"""
    if (
        not re.fullmatch(r"cp\.async\.mbarrier\.arrive(\.noinc)?(\.shared|\.shared::cta)?\.b64", ins.opcode)
        or len(ins.operands) != 1
    ):
        raise refuse(ins)
    place = _place(w, ins, ins.operands[0])
    w.line(f"rt.mbarriers.track(g, {w.site()}, {place}, {w.guard()}, {'noinc' in ins.parts})")


def _place(w: BlockWriter, ins: Instruction, operand: Operand) -> str:
    """The address in shared memory; a generic one must point there."""
    text = address(w, operand)
    return text if any(p.startswith("shared") for p in ins.parts) else f"({text}) - {SHARED_WINDOW}"


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
