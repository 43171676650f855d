"""What an operand's text means. Names are resolved by the caller."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from ptxvm.types import Address, Immediate, Not, Operand, Pair, Register, Sink, Symbol, Vector

Resolve = Callable[[str], Operand]


class Malformed(ValueError):
    """Text that is not PTX; the parser adds the line."""


_PIECE = re.compile(r"[^,{}()\[\]]+|[,{}()\[\]]")
_REFERENCE = re.compile(r"[A-Za-z_$%][\w$]*(?:\.[a-z]\w*)?")
_INTEGER = re.compile(
    r"([+-]?)([!~]?)(?:0[xX]([0-9a-fA-F]{1,32})|0[bB]([01]{1,128})"
    r"|(0[0-7]{0,44})|([1-9][0-9]{0,38}))U?"
)
_F32 = re.compile(r"([+-]?)0[fF]([0-9a-fA-F]{8})")
_F64 = re.compile(r"([+-]?)0[dD]([0-9a-fA-F]{16})")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,40}\.[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?")
_BASE = re.compile(r"([A-Za-z_$%][\w$]*|0[xX][0-9a-fA-F]{1,16}U?|[0-9]{1,20}U?)((?:[+-][+-]?\w{1,40})*)")
_TERM = re.compile(r"([+-][+-]?)(\w+)")
FARTHEST = 1 << 31  # of the constant in `[register+constant]`, which has 32 bits, with a sign or without
_LEAST, _GREATEST = -(1 << 127), (1 << 128) - 1  # `mov.b128` is the widest


def split(text: str) -> list[str]:
    """The pieces of `text` between commas that stand outside every bracket."""
    if not ("{" in text or "[" in text or "(" in text):
        return text.split(",")
    pieces: list[str] = []
    current: list[str] = []
    open_brackets: list[str] = []
    for piece in _PIECE.findall(text):
        if piece in "{[(":
            open_brackets.append(piece)
        elif piece in "}])":
            if not open_brackets or open_brackets.pop() + piece not in ("{}", "[]", "()"):
                raise Malformed(f"unbalanced `{piece}`")
        elif piece == "," and not open_brackets:
            pieces.append("".join(current))
            current = []
            continue
        current.append(piece)
    if open_brackets:
        raise Malformed(f"`{open_brackets[-1]}` is not closed")
    pieces.append("".join(current))
    return pieces


def literal(text: str) -> Immediate | None:
    """A number, or None if `text` is not one."""
    if m := _INTEGER.fullmatch(text):
        sign, prefix, hexadecimal, binary, octal, decimal = m.groups()
        if hexadecimal:
            value = int(hexadecimal, 16)
        elif binary:
            value = int(binary, 2)
        else:
            value = int(octal, 8) if octal else int(decimal)
        if prefix:
            value = ~value if prefix == "~" else int(not value)
        value = -value if sign == "-" else value
        if not _LEAST <= value <= _GREATEST:
            raise Malformed(f"`{text}` is too large")
        return Immediate(value)
    if m := _F32.fullmatch(text):
        return Immediate(int(m[2], 16) ^ (0x80000000 if m[1] == "-" else 0), "f32")
    if m := _F64.fullmatch(text):
        return Immediate(int(m[2], 16) ^ (1 << 63 if m[1] == "-" else 0), "f64")
    if _DECIMAL.fullmatch(text):
        return Immediate(int.from_bytes(struct.pack("<d", float(text)), "little"), "f64")
    return None


def integer(text: str) -> int:
    """An integer literal."""
    value = literal(text)
    if value is None or value.kind != "int":
        raise Malformed(f"an integer was expected, not `{text}`")
    return value.value


def read(text: str, resolve: Resolve) -> Operand:
    """One operand. A tensor address `[map, {x, y}]` is a Vector: the Address, what follows it."""
    s = "".join(text.split())
    if _REFERENCE.fullmatch(s):
        return resolve(s)
    first, last = s[:1], s[-1:]
    if first == "[" and last == "]":
        pieces = split(s[1:-1])
        base = _address(pieces[0], resolve)
        return base if len(pieces) == 1 else Vector((base, *(read(p, resolve) for p in pieces[1:])))
    if (first == "{" and last == "}") or (first == "(" and last == ")"):
        inner = s[1:-1]
        if inner[:1] in ("{", "("):
            raise Malformed(f"`{s}`: a vector inside a vector")
        return Vector(tuple(read(p, resolve) for p in split(inner)) if inner else ())
    if first in ("[", "{", "("):
        raise Malformed(f"`{first}` is not closed in `{text.strip()}`")
    value = literal(s)
    if value is not None:
        return value
    if first == "!":
        return Not(_register(s[1:], resolve))
    if "|" in s:
        left, _, right = s.partition("|")
        return Pair(_result(left, resolve), _result(right, resolve))
    m = _BASE.fullmatch(s)
    if m and m[2]:
        base_operand = _address(s, resolve)
        if isinstance(base_operand.base, Symbol):
            return Symbol(base_operand.base.name, base_operand.offset)
    raise Malformed(f"`{text.strip()}` is not an operand" if s else "an operand is missing")


def _address(text: str, resolve: Resolve) -> Address:
    m = _BASE.fullmatch(text)
    if not m:
        raise Malformed(f"`[{text}]` is not an address")
    base = literal(m[1]) or resolve(m[1])
    if not isinstance(base, Register | Symbol | Immediate):
        raise Malformed(f"`[{text}]`: {m[1]} cannot hold an address")
    offset = 0
    for signs, term in _TERM.findall(m[2]):
        offset += -integer(term) if signs in ("-", "+-") else integer(term)
    if not -FARTHEST <= offset < 2 * FARTHEST or (isinstance(base, Immediate) and base.value >= 1 << 63):
        raise Malformed(f"`[{text}]` is too large for an address")
    return Address(base, offset)


def _register(text: str, resolve: Resolve) -> Register:
    operand = resolve(text) if _REFERENCE.fullmatch(text) else None
    if not isinstance(operand, Register):
        raise Malformed(f"`{text}` is not a register")
    return operand


def _result(text: str, resolve: Resolve) -> Register | Sink:
    return Sink() if text == "_" else _register(text, resolve)
