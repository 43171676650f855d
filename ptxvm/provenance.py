"""From which pointer parameters an address may come.

A register holds a set of parameters; the empty set is a plain number, `UNKNOWN` what may be several
things of which not all are parameters. A pointer plus a number is that pointer. Whatever the flow
cannot tell comes out as unknown, never as a wrong parameter: the check that stands on it must not
accuse a right kernel.
"""

from __future__ import annotations

from collections import Counter

from ptxvm.types import (
    Address,
    Function,
    Immediate,
    Instruction,
    Operand,
    Register,
    Special,
    Symbol,
)

Origin = frozenset[str]
NUMBER: Origin = frozenset()
UNKNOWN: Origin = frozenset({"?"})

_ACCESSES = {"ld", "ldu", "st", "atom", "red", "cp", "wmma", "multimem"}
_OTHER_SPACES = ("shared", "local", "param", "const")
# A parameter that one of these takes directly counts and is no pointer.
_ARITHMETIC = {
    "mul", "mad", "div", "rem", "shl", "shr", "min", "max", "neg", "abs", "cvt", "popc", "clz",
    "not", "xor",
}  # fmt: skip
_ROUNDS = 24  # of the fixed point; what still changes then is unknown


def provenance(function: Function) -> dict[int, Origin]:
    """Index of each access to global or generic memory -> parameters, empty = unknown."""
    accesses = {i.index: base for i in function.instructions if (base := _base(i)) is not None}
    if not accesses or not function.entry:
        return dict.fromkeys(accesses, NUMBER)
    wide = {name for name, declared in function.registers.items() if declared in ("b64", "u64", "s64")}
    counting = _numbers(function, wide)
    definitions: list[tuple[str, Instruction]] = []
    for ins in function.instructions:
        first = ins.operands[0] if ins.operands else None
        if isinstance(first, Register) and first.name in wide and ins.parts[0] not in ("st", "red"):
            definitions.append((first.name, ins))
    origins: dict[str, Origin] = {}
    changed: set[str] = set()
    for _ in range(_ROUNDS):
        before = dict(origins)
        left = Counter(name for name, _ in definitions)
        joined: dict[str, Origin] = {}
        for name, ins in definitions:
            origin = _origin(ins, origins, counting, function)
            left[name] -= 1
            if origin is not None:
                joined[name] = _either(joined.get(name), origin) or NUMBER
            # what a loop carries is read between its definitions: until the last one the former round holds
            if name in joined and (left[name] == 0 or name not in before):
                origins[name] = joined[name]
        changed = {name for name, origin in origins.items() if before.get(name) != origin}
        if not changed:
            break
    for name in changed:
        origins[name] = UNKNOWN
    return {
        index: NUMBER if (origin := origins.get(base, NUMBER)) & UNKNOWN else origin for index, base in accesses.items()
    }


def _base(ins: Instruction) -> str | None:
    """The address register of an access to global or generic memory."""
    if ins.parts[0] not in _ACCESSES:
        return None
    addresses = [o for o in ins.operands if isinstance(o, Address)]
    if ins.parts[0] == "cp":
        addresses = addresses[1:]  # `cp.async [shared], [global]`
    elif any(p.startswith(_OTHER_SPACES) for p in ins.parts[1:]):
        return None
    if addresses and isinstance(addresses[0].base, Register):
        return addresses[0].base.name
    return None


def _numbers(function: Function, wide: set[str]) -> set[str]:
    """8-byte parameters that are sizes, strides or counts: used to compute, not to point."""
    holds: dict[str, str] = {}  # register -> parameter
    for ins in function.instructions:
        if ins.parts[:2] == ("ld", "param") and len(ins.operands) == 2:
            target, source = ins.operands
            into = target.name if isinstance(target, Register) else ""
            if into in wide and isinstance(source, Address) and isinstance(source.base, Symbol):
                holds[into] = source.base.name
    counts: set[str] = set()
    points: set[str] = set()
    for ins in function.instructions:
        base = ins.parts[0]
        ordered = base == "setp" and not {"eq", "ne"} & set(ins.parts)
        factors = ins.operands[1:3] if base == "mad" else ins.operands[1:]
        for operand in factors if base in _ARITHMETIC or ordered else ():
            if isinstance(operand, Register) and operand.name in holds:
                counts.add(holds[operand.name])
        for operand in ins.operands:
            register = operand.base if isinstance(operand, Address) else operand
            pointing = isinstance(operand, Address) or base == "cvta"
            if pointing and isinstance(register, Register) and register.name in holds:
                points.add(holds[register.name])
    return counts - points


def _origin(ins: Instruction, origins: dict[str, Origin], counting: set[str], function: Function) -> Origin | None:
    """What an instruction's first operand then holds; None while its sources are not known."""
    base = ins.parts[0]
    sources = ins.operands[1:]
    if base == "ld":
        source = sources[0] if sources else None
        if "param" in ins.parts and isinstance(source, Address) and isinstance(source.base, Symbol):
            for p in function.params:
                if p.name == source.base.name and p.bytes == 8 and source.offset == 0:
                    return NUMBER if p.name in counting else frozenset({p.name})
        return NUMBER
    if base in ("mov", "cvta"):
        return _value(sources[0], origins) if sources else NUMBER
    if base == "selp":
        return _either(_value(sources[0], origins), _value(sources[1], origins)) if len(sources) == 3 else NUMBER
    if base in ("and", "or") and len(sources) == 2:
        return _value(sources[0], origins) if isinstance(sources[1], Immediate) else NUMBER
    if base == "add" and len(sources) == 2:
        return _sum(_value(sources[0], origins), _value(sources[1], origins))
    if base == "sub" and len(sources) == 2:
        left, right = _value(sources[0], origins), _value(sources[1], origins)
        return NUMBER if left and right else left  # the distance of two pointers is a number
    if base == "mad" and len(sources) == 3:
        return _value(sources[2], origins)
    return NUMBER


def _value(operand: Operand, origins: dict[str, Origin]) -> Origin | None:
    if isinstance(operand, Register):
        return origins.get(operand.name)
    if isinstance(operand, Symbol):
        return UNKNOWN  # a variable of the module, or of the block
    if isinstance(operand, Immediate | Special):
        return NUMBER
    return UNKNOWN


def _sum(a: Origin | None, b: Origin | None) -> Origin | None:
    if a is None or b is None:
        return a or b or None  # a pointer plus what is not known yet is that pointer at least
    return a | b


def _either(a: Origin | None, b: Origin | None) -> Origin | None:
    """One of two values: a pointer or a number is unknown."""
    if a is None or b is None:
        return b if a is None else a
    if bool(a) != bool(b):
        return UNKNOWN
    return a | b
