"""`mma.sync`, `ldmatrix` and `stmatrix`."""

from __future__ import annotations

import re

from ptxvm import mma as fragments
from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.codegen.memory import address
from ptxvm.types import Instruction, Operand, Vector

SHAPE = re.compile(r"m(\d+)n(\d+)k(\d+)")
WORDS = {"sync", "aligned", "row", "col", "satfinite", "kind::f8f6f4"}


def _items(operand: Operand) -> tuple[Operand, ...]:
    return operand.items if isinstance(operand, Vector) else (operand,)


@emits("mma")
def mma(w: BlockWriter, ins: Instruction) -> None:
    shape_word = next((SHAPE.fullmatch(p) for p in ins.parts if SHAPE.fullmatch(p)), None)
    rest = [p for p in ins.parts[1:] if p not in WORDS and not SHAPE.fullmatch(p)]
    if shape_word is None or len(rest) != 4 or ins.guard is not None or _layout(ins) != ("row", "col"):
        raise refuse(ins)
    m, n, k = (int(s) for s in shape_word.groups())
    d_kind, a_kind, b_kind, c_kind = rest
    integer = a_kind in ("s8", "u8")
    accumulators = ("s32",) if integer else ("f32",) if a_kind in ("bf16", "tf32") else ("f32", "f16")
    known = fragments.SHAPES.get((m, n, k), set())
    if a_kind not in known or b_kind not in known or d_kind != c_kind or c_kind not in accumulators:
        raise refuse(ins)
    if not integer and a_kind != b_kind and not {a_kind, b_kind} <= {"e4m3", "e5m2"}:
        raise refuse(ins)
    d, a, b, c = (_items(o) for o in ins.operands[:4])
    packed = c_kind == "f16"
    if len(d) != (2 if packed else 4) or len(c) != len(d):
        raise refuse(ins)
    # The same rows are multiplied with several columns, and the other way round: each is decoded once.
    left, right = (
        w.once(f"mm.factor(g, {one!r}, {name!r}, [{', '.join(w.use(o, 'u32') for o in items)}])")
        for name, items, one in (("a", a, a_kind), ("b", b, b_kind))
    )
    kind = "u32" if packed else c_kind
    addend = ", ".join(w.use(o, kind) for o in c)
    kinds = (a_kind, b_kind, c_kind)
    saturate = "satfinite" in ins.parts
    result = w.let(f"mm.mma(g, {(m, n, k)}, {kinds}, {left}, {right}, [{addend}], {saturate})")
    for i, target in enumerate(d):
        w.define(target, f"{result}[{i}]", kind)


def _layout(ins: Instruction) -> tuple[str, ...]:
    return tuple(p for p in ins.parts if p in ("row", "col"))


@emits("ldmatrix")
def ldmatrix(w: BlockWriter, ins: Instruction) -> None:
    target, place = ins.operands
    targets = _matrices(ins, target)
    call = f"rt.ldmatrix(g, {w.site()}, {address(w, place)}, {len(targets)}, {'trans' in ins.parts})"
    result = w.let(call)
    for i, register in enumerate(targets):
        w.define(register, f"{result}[{i}]", "u32")


@emits("stmatrix")
def stmatrix(w: BlockWriter, ins: Instruction) -> None:
    place, source = ins.operands
    registers = ", ".join(w.use(o, "u32") for o in _matrices(ins, source))
    w.line(f"rt.stmatrix(g, {w.site()}, {address(w, place)}, [{registers}], {'trans' in ins.parts})")


def _matrices(ins: Instruction, operand: Operand) -> tuple[Operand, ...]:
    """The register of each 8x8 matrix of 16-bit elements. Raises Unsupported for other shapes and element types."""
    counts = {"x1": 1, "x2": 2, "x4": 4}
    count = next((counts[p] for p in ins.parts if p in counts), None)
    left = set(ins.parts[1:]) - {"sync", "aligned", "m8n8", "trans", "shared", "shared::cta", "b16", *counts}
    items = _items(operand)
    if len(items) != count or left or "m8n8" not in ins.parts or ins.guard is not None:
        raise refuse(ins)
    return items
