"""Which operands of an instruction are results, and the PTX type that it gives to each.

A vote is (register, type, strong). Moves, loads, stores, selects and shuffles copy bits whatever
their type says, so their votes are weak: they decide only where no arithmetic does.
"""

from __future__ import annotations

from functools import lru_cache

from ptxvm.types import (
    DTYPES,
    Address,
    Immediate,
    Instruction,
    Not,
    Operand,
    Pair,
    Register,
    Sink,
    Special,
    Symbol,
    Vector,
)

Vote = tuple[str, str, bool]
CARRY = "%cc"  # the carry flag of a thread: defined by `.cc`, used by addc, subc, madc

NO_RESULT = {
    "st", "red", "bra", "brx", "ret", "exit", "trap", "brkpt", "bar", "barrier", "membar", "fence",
    "cp", "prefetch", "prefetchu", "pmevent", "nanosleep", "call", "stmatrix", "tensormap",
    "applypriority", "discard", "setmaxnreg", "griddepcontrol", "stackrestore",
}  # fmt: skip
MOVES = {"mov", "ld", "ldu", "st", "selp", "shfl", "mapa"}
_TYPES = set(DTYPES) | {"b128"}
_MATRIX = {"mma", "wmma", "wgmma"}
_MATRIX_TYPES = _TYPES | {"b1", "u4", "s4", "e2m1", "e2m3", "e3m2"}
_DOUBLE = {"u16": "u32", "s16": "s32", "u32": "u64", "s32": "s64", "u64": "b128", "s64": "b128"}


@lru_cache(maxsize=4096)
def types_of(parts: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """The type of each operand of an opcode in turn ("" = unknown), the last one standing for the
    rest; and whether the votes are strong.
    """
    base, words = parts[0], set(parts[1:])
    named = [p for p in parts[1:] if p in _TYPES]
    t = named[0] if named else ""
    second = named[1] if len(named) > 1 else t
    strong = base not in MOVES and not ("exch" in words and base == "atom")
    if base in _MATRIX:
        return _matrix_types(parts), True
    if "wide" in words and base in ("mul", "mad"):
        wide = _DOUBLE.get(t, "")
        return (wide, t, t, wide), True
    if base in ("shl", "shr"):
        return (t, t, "u32"), True
    table: dict[str, tuple[str, ...]] = {
        "shf": (t, t, t, "u32"),
        "bfe": (t, t, "u32"),
        "bfi": (t, t, t, "u32"),
        "popc": ("u32", t),
        "clz": ("u32", t),
        "bfind": ("u32", t),
        "fns": ("u32", "u32", "u32", "s32"),
        "selp": (t, t, t, "pred"),
        "slct": (t, t, t, second),
        "setp": ("pred", t, t, "pred"),
        "set": (t, second, second, "pred"),
        "testp": ("pred", t),
        "isspacep": ("pred", "u64"),
        "match": ("u32", t, "u32"),
        "redux": (t, t, "u32"),
        "shfl": (t, t, "u32"),
        "activemask": ("u32",),
        "elect": ("u32", "u32"),
        "vote": ("u32" if "ballot" in words else "pred", "pred", "u32"),
        "lop3": (t, t, t, t, "", "pred"),
        "dp4a": ("s32" if "s32" in words else "u32", t, second, "s32" if "s32" in words else "u32"),
        "dp2a": ("s32" if "s32" in words else "u32", t, second, "s32" if "s32" in words else "u32"),
        "cvt": (t, *(named[1:2] if "pack" not in words else named[1:2] * 2), *(named[2:3])),
        "ldmatrix": ("u32",),
        "stmatrix": ("u32",),
        "movmatrix": ("u32",),
        "nanosleep": ("u32",),
        "bar": (t, "u32", "u32", "pred") if "red" in words else ("u32",),
        "barrier": (t, "u32", "u32", "pred") if "red" in words else ("u32",),
        "mbarrier": _mbarrier_types(words),
        "cp": ("", "", "u32"),
        "prmt": ("u32",),
        "call": ("",),
    }
    if base in table:
        return table[base], strong
    if len(named) > 1 and base in (
        "add",
        "sub",
    ):  # `add.f32.f16 d, a, c`: only a is of the second type
        return (t, second, t), True
    if len(named) > 1 and base == "fma":
        return (t, second, second, t), True
    return (t, second), strong


def _matrix_types(parts: tuple[str, ...]) -> tuple[str, ...]:
    """D, A, B, C of the matrix instructions; "" where the opcode does not say it."""
    named = [p for p in parts[1:] if p in _MATRIX_TYPES]
    if parts[0] == "wgmma":
        return (named[0] if named else "", "", "", "pred", "")
    if parts[0] == "wmma" and parts[1] != "mma":
        return (named[0] if named else "", "")
    if len(named) >= 4:
        return (named[0], named[1], named[2], named[3], "")
    if len(named) == 2:
        return (named[0], "", "", named[1], "")
    return ("",)


def _mbarrier_types(words: set[str]) -> tuple[str, ...]:
    if words & {"test_wait", "try_wait"}:
        return ("pred", "", "u32" if "parity" in words else "u64", "u32")
    if "pending_count" in words:
        return ("u32", "u64")
    return ("u64", "", "u32") if words & {"arrive", "arrive_drop"} else ("", "u32")


def has_result(ins: Instruction) -> bool:
    """Whether the first operand is written."""
    base, words = ins.parts[0], ins.parts
    if base in NO_RESULT:
        return base in ("bar", "barrier") and "red" in words
    if not ins.operands or isinstance(ins.operands[0], Address | Immediate | Symbol | Special):
        return False
    if base == "wgmma":
        return "mma_async" in words
    first = ins.operands[0]
    return not (isinstance(first, Vector) and first.items and isinstance(first.items[0], Address))


def roles(ins: Instruction) -> tuple[list[str], list[str], list[Vote]]:
    """Registers that an instruction defines, registers that it uses, and its votes on their types.

    A guarded definition keeps the old value of some lanes, so it uses the register too; so does a
    `wgmma` accumulator.
    """
    types, strong = types_of(ins.parts)
    defined: list[str] = []
    used: list[str] = []
    votes: list[Vote] = []
    last = len(types) - 1
    passing = ins.parts[:2] == ("st", "param")
    written = passing or ins.parts[0] == "call" or has_result(ins)
    for i, operand in enumerate(ins.operands):
        kind = operand.__class__
        type_name = types[i if i < last else last]
        if kind is Register:
            assert isinstance(operand, Register)
            (defined if written and i == 0 else used).append(operand.name)
            if type_name:
                votes.append((operand.name, type_name, strong))
        elif kind is not Immediate:
            _visit(operand, type_name, strong, defined if written and i == 0 else used, used, votes)
    if ins.guard is not None:
        register = ins.guard.register if isinstance(ins.guard, Not) else ins.guard
        used.append(register.name)
    if "cc" in ins.parts:
        defined.append(CARRY)
    if ins.parts[0] in ("addc", "subc", "madc"):
        used.append(CARRY)
    partly = passing and len(ins.operands) < 4  # a part of the words of a parameter: the rest is kept (see `link.py`)
    if ins.guard is not None or ins.parts[0] == "wgmma" or partly:
        used += defined
    return defined, used, votes


def _visit(
    operand: Operand,
    type_name: str,
    strong: bool,
    into: list[str],
    used: list[str],
    votes: list[Vote],
) -> None:
    """Sort the registers of an operand that is not just a register. Elements of a vector get the
    operand's type: where they are narrower (`mov.b64 {%r1, %r2}, %rd1`), the width check of
    `ir.canonical_types` drops the vote.
    """
    if isinstance(operand, Address):
        if isinstance(operand.base, Register):
            used.append(operand.base.name)
            votes.append((operand.base.name, "s64", True))  # what the runtime indexes with
    elif isinstance(operand, Vector):
        for item in operand.items:
            if isinstance(item, Register):
                into.append(item.name)
                if type_name:
                    votes.append((item.name, type_name, strong))
            elif not isinstance(item, Immediate | Sink):
                _visit(item, type_name, strong, used, used, votes)
    elif isinstance(operand, Pair):
        if isinstance(operand.first, Register):
            into.append(operand.first.name)
            if type_name:
                votes.append((operand.first.name, type_name, strong))
        if isinstance(operand.second, Register):
            into.append(operand.second.name)
            votes.append((operand.second.name, "pred", True))
    elif isinstance(operand, Not):
        used.append(operand.register.name)
        votes.append((operand.register.name, "pred", True))
    elif isinstance(operand, Register):
        into.append(operand.name)
