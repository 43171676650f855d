"""What arithmetic emitters share: reading an opcode's words, choosing a dtype without views, values of any operand."""

from __future__ import annotations

from ptxvm.codegen.emitter import BlockWriter, refuse
from ptxvm.types import DTYPES, Immediate, Instruction, Operand, Register, Symbol, bits_of

INTEGERS = frozenset({"u16", "s16", "u32", "s32", "u64", "s64"})
WORDS = frozenset({"b16", "b32", "b64"})
FLOATS = frozenset({"f16", "f16x2", "bf16", "bf16x2", "f32", "f32x2", "f64"})
ROUNDINGS = ("rn", "rz", "rm", "rp")


def form(ins: Instruction, allowed: str) -> tuple[set[str], list[str]]:
    """(modifiers, types) of an opcode. Raises Unsupported for a modifier that is not among the words of `allowed`."""
    types = [word for word in ins.parts[1:] if word in DTYPES]
    words = {word for word in ins.parts[1:] if word not in DTYPES}
    if not types or not words <= set(allowed.split()):
        raise refuse(ins)
    return words, types


def operands(ins: Instruction, count: int) -> tuple[Operand, ...]:
    """The operands, which must be `count`."""
    if len(ins.operands) != count:
        raise refuse(ins, f"{count} operands expected, {len(ins.operands)} found")
    return ins.operands


def rounding(words: set[str]) -> str:
    """The rounding mode among the words; to nearest even if none."""
    return next((mode for mode in ROUNDINGS if mode in words), "rn")


def natural(w: BlockWriter, ins: Instruction, type_name: str) -> str:
    """The dtype in which an operation that does not care about sign needs no views: the result register's own.

    A float dtype is taken only where no operand is a literal, whose bits would be read as a number.
    """
    target = ins.operands[0]
    if not isinstance(target, Register):
        return type_name
    own = w.dtypes.get(target.name, type_name)
    if own == "pred" or bits_of(own) != bits_of(type_name) or type_name in ("f16x2", "bf16x2"):
        return type_name
    if own in FLOATS and any(isinstance(o, Immediate) for o in ins.operands):
        return type_name
    return own


def value(w: BlockWriter, operand: Operand, type_name: str, apart: bool = False) -> str:
    """`w.use`, and the address of a symbol too."""
    if isinstance(operand, Symbol):
        text = f"rt.address_of({operand.name!r}, {operand.offset})"
        return text if type_name in ("u64", "b64") else f"{text}.astype(np.{DTYPES[type_name].name})"
    return w.use(operand, type_name, apart)


def named(w: BlockWriter, expression: str) -> str:
    """A name for an expression that is used more than once."""
    return expression if expression.isidentifier() else w.let(expression)
