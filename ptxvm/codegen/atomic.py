"""`atom` and `red`: read-modify-write through the runtime. Order and scope words change nothing here: the runtime is
sequentially consistent."""

from __future__ import annotations

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.codegen.memory import SCOPES, SPACES, address
from ptxvm.types import Instruction, Sink

ORDERS = {"relaxed", "acquire", "release", "acq_rel"}
HALVES = {"f16", "f16x2", "bf16", "bf16x2"}  # their sums must say that they do not flush
TYPES = {
    "add": {"u32", "s32", "u64", "f16", "f16x2", "bf16", "bf16x2", "f32", "f64"},
    "min": {"u32", "s32", "u64", "s64"},
    "max": {"u32", "s32", "u64", "s64"},
    "and": {"b32", "b64"},
    "or": {"b32", "b64"},
    "xor": {"b32", "b64"},
    "exch": {"b32", "b64"},
    "cas": {"b16", "b32", "b64"},
    "inc": {"u32"},
    "dec": {"u32"},
}


def form_of(ins: Instruction) -> tuple[str, str, str]:
    """(space, operation, type). Raises Unsupported for any other word."""
    space, operation, type_name = "generic", "", ""
    orders = set(ins.parts) & ORDERS
    for word in ins.parts[1:]:
        if word in SPACES and SPACES[word] in ("global", "shared"):
            space = SPACES[word]
        elif word in TYPES:
            operation = word
        elif word in ORDERS | SCOPES or word in ("noftz", "L2::cache_hint"):
            continue
        elif type_name:
            raise refuse(ins)
        else:
            type_name = word
    if "L2::cache_hint" in ins.parts and space == "shared":
        raise refuse(ins)
    if operation not in TYPES or type_name not in TYPES[operation] or len(orders) > 1:
        raise refuse(ins)
    if ins.parts[0] == "red" and orders & {"acquire", "acq_rel"}:  # it brings nothing back that could be ordered
        raise refuse(ins)
    if ("noftz" in ins.parts) != (type_name in HALVES) or (ins.parts[0] == "red" and operation in ("exch", "cas")):
        raise refuse(ins)
    return space, operation, type_name


@emits("atom", "red")
def atomic(w: BlockWriter, ins: Instruction) -> None:
    space, operation, type_name = form_of(ins)
    operands = list(ins.operands)
    target = operands.pop(0) if ins.parts[0] == "atom" else Sink()
    if "L2::cache_hint" in ins.parts:
        operands.pop()
    if len(operands) != (3 if operation == "cas" else 2):
        raise refuse(ins, f"with {len(ins.operands)} operands")
    kind = type_name.replace("b", "u") if type_name in ("b16", "b32", "b64") else type_name
    b = w.use(operands[1], kind)
    c = w.use(operands[2], kind) if operation == "cas" else "None"
    want = not isinstance(target, Sink)
    place = address(w, operands[0])
    call = f"rt.atomic(g, {w.site()}, {space!r}, {operation!r}, {kind!r}, {place}, {b}, {c}, {w.guard()}, {want})"
    if want:
        w.define(target, call, kind)
    else:
        w.line(call)
