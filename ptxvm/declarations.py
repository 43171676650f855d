"""What PTX declares: variables with their initial bytes, parameters, heads of functions."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from ptxvm.operands import Malformed, integer, literal
from ptxvm.types import DTYPES, Parameter, Variable

SPACES = {"global", "const", "shared", "local", "param"}
SIZES = {name: dtype.itemsize for name, dtype in DTYPES.items() if name != "pred"} | {"b128": 16}
LINKAGE = {"visible", "weak", "common", "extern", "noreturn", "managed", "unified"}
MOST_BYTES = 1 << 40
MOST_INITIAL_BYTES = 1 << 26

_TOKEN = re.compile(
    r'\s*(\.[A-Za-z_]\w*(?:::\w+)?|"(?:[^"\\\n]|\\.)*+"|[A-Za-z_$%][\w$]*'
    r"|[0-9][\w.]*(?:[eE][+-][0-9]+)?|[^\s\w])"
)
_ESCAPES = {"n": 10, "t": 9, "r": 13, "0": 0, "\\": 92, '"': 34, "a": 7, "b": 8, "f": 12, "v": 11}


class Tokens:
    """The words of a declaration, read from left to right."""

    def __init__(self, text: str) -> None:
        self._words = _TOKEN.findall(text)
        self._at = 0

    @property
    def next(self) -> str:
        """The coming word, "" at the end."""
        return self._words[self._at] if self._at < len(self._words) else ""

    def take(self) -> str:
        word = self.next
        self._at += 1
        return word

    def accept(self, word: str) -> bool:
        if self.next == word:
            self._at += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise Malformed(f"`{word}` was expected, not `{self.next or 'the end'}`")

    def name(self) -> str:
        word = self.take()
        if not word or not (word[0].isalpha() or word[0] in "_$%"):
            raise Malformed(f"a name was expected, not `{word or 'the end'}`")
        return word

    def integer(self) -> int:
        sign = -1 if self.accept("-") else 1
        self.accept("+")
        return sign * integer(self.take())


@dataclass(frozen=True)
class Header:
    """`.visible .entry name(...)` up to its body."""

    entry: bool
    name: str
    params: tuple[Parameter, ...]
    returns: tuple[Parameter, ...]
    registers: Mapping[str, str]  # parameters that are registers
    directives: Mapping[str, tuple[int, ...]]


def variables(text: str) -> list[Variable]:
    """The variables of one declaration, its `;` taken off: `.shared .align 16 .b8 s[2048]`."""
    tokens = Tokens(text)
    extern, align, vector = False, 0, 1
    space = type_name = ""
    while tokens.next.startswith("."):
        word = tokens.take()[1:]
        if word in LINKAGE:
            extern = extern or word == "extern"
        elif word == "attribute":
            _skip_brackets(tokens)
        elif word == "align":
            align = _alignment(tokens)
        elif word.partition("::")[0] in SPACES and not space:
            space = word.partition("::")[0]
        elif word in ("v2", "v4", "v8"):
            vector = int(word[1])
        elif word in SIZES and not type_name:
            type_name = word
        else:
            raise Malformed(f"`.{word}` is not known in a declaration")
    if not space or not type_name:
        raise Malformed("a variable needs a state space and a type")
    found = []
    while True:
        found.append(_variable(tokens, space, type_name, vector, align, extern))
        if not tokens.accept(","):
            break
    if tokens.next:
        raise Malformed(f"`{tokens.next}` is not expected here")
    return found


def _variable(tokens: Tokens, space: str, type_name: str, vector: int, align: int, extern: bool) -> Variable:
    name = tokens.name()
    element = SIZES[type_name] * vector
    count, open_ended = _dimensions(tokens)
    align = align or element
    initial: bytes | None = None
    relocations: tuple[tuple[int, str, int], ...] = ()
    if tokens.accept("="):
        initial, relocations = _initialiser(tokens, type_name)
        if open_ended:
            count = -(-len(initial) // element)
        size = element * count
        if len(initial) > size:
            raise Malformed(f"{name} holds {size} bytes, its initialiser {len(initial)}")
        if size > MOST_INITIAL_BYTES:
            raise Malformed(f"{name} is too large to be initialised: {size} bytes")
        initial = initial.ljust(size, b"\0")
    elif open_ended:
        count = 0
        extern = True  # `[]` without values: its size comes from outside
    if element * count > MOST_BYTES:
        raise Malformed(f"{name} is too large: {element * count} bytes")
    return Variable(name, space, element * count, align, initial, extern, relocations)


def _dimensions(tokens: Tokens) -> tuple[int, bool]:
    """Number of elements, and whether the first dimension is left open."""
    count, open_ended = 1, False
    while tokens.accept("["):
        if tokens.accept("]"):
            open_ended = True
            continue
        size = tokens.integer()
        if size < 0:
            raise Malformed("a dimension is negative")
        count *= size
        tokens.expect("]")
        if count > MOST_BYTES:
            raise Malformed("an array is too large")
    return count, open_ended


def _initialiser(tokens: Tokens, type_name: str) -> tuple[bytes, tuple[tuple[int, str, int], ...]]:
    """The bytes, and (byte offset, symbol, addend) of each address in them, which is left 0."""
    raw = bytearray()
    relocations = []
    size, depth = SIZES[type_name], 0
    while True:
        word = tokens.next
        if word == "{":
            tokens.take()
            depth += 1
            continue
        if word == "}":
            tokens.take()
            depth -= 1
        elif word.startswith('"'):
            raw += _string(tokens.take())
        else:
            value = _value(tokens, type_name)
            if isinstance(value, tuple):
                relocations.append((len(raw), *value))
                raw += bytes(size)
            else:
                raw += value
        if len(raw) > MOST_INITIAL_BYTES:
            raise Malformed("an initialiser is too long")
        while depth > 0 and tokens.accept("}"):
            depth -= 1
        if depth <= 0:
            break
        tokens.expect(",")
    if depth < 0:
        raise Malformed("unbalanced `}`")
    return bytes(raw), tuple(relocations)


def _value(tokens: Tokens, type_name: str) -> bytes | tuple[str, int]:
    size = SIZES[type_name]
    negative = tokens.accept("-")
    word = tokens.take()
    number = literal(word)
    if number is not None:
        if number.kind != "int" or type_name in ("f32", "f64"):
            return _float_bytes(number.value, number.kind, type_name, negative)
        value = -number.value if negative else number.value
        return (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    if not word or negative or not (word[0].isalpha() or word[0] in "_$%"):
        raise Malformed(f"`{word or 'the end'}` is not a value")
    if word == "generic" and tokens.accept("("):
        word = tokens.name()
        tokens.expect(")")
    addend = 0
    while tokens.next in ("+", "-"):
        sign = -1 if tokens.take() == "-" else 1
        addend += sign * tokens.integer()
    return word, addend


def _float_bytes(bits: int, kind: str, type_name: str, negative: bool) -> bytes:
    """A number as the bytes of a float variable; literals of the other width are converted."""
    if kind == "int":
        number = float(bits)
    else:
        width = 4 if kind == "f32" else 8
        number = struct.unpack("<f" if kind == "f32" else "<d", bits.to_bytes(width, "little"))[0]
    if type_name not in ("f32", "f64"):
        if SIZES[type_name] != (4 if kind == "f32" else 8):
            raise Malformed(f"a float cannot initialise .{type_name}")
        return bits.to_bytes(SIZES[type_name], "little")
    if negative:
        number = -number
    try:
        return struct.pack("<f" if type_name == "f32" else "<d", number)
    except OverflowError:
        raise Malformed(f"{number} does not fit in .f32") from None


def _string(word: str) -> bytes:
    def unescape(m: re.Match[str]) -> str:
        return chr(_ESCAPES.get(m[1], ord(m[1]) & 0xFF))

    return re.sub(r"\\(.)", unescape, word[1:-1]).encode("utf-8") + b"\0"


def header(text: str) -> Header:
    """The head of a function, from its linkage up to the `{` or `;`."""
    tokens = Tokens(text)
    while tokens.next[1:] in LINKAGE or tokens.next == ".attribute":
        if tokens.take() == ".attribute":
            _skip_brackets(tokens)
    kind = tokens.take()
    if kind not in (".entry", ".func"):
        raise Malformed(f"`{kind}` does not begin a function")
    while tokens.next in (".noreturn", ".attribute"):
        if tokens.take() == ".attribute":
            _skip_brackets(tokens)
    registers: dict[str, str] = {}
    returns = _parameters(tokens, registers) if tokens.next == "(" else ()
    name = tokens.name()
    params = _parameters(tokens, registers) if tokens.next == "(" else ()
    directives: dict[str, tuple[int, ...]] = {}
    while tokens.next:
        word = tokens.take()
        if word == ".pragma":
            tokens.take()
            tokens.accept(";")
            continue
        if not word.startswith("."):
            raise Malformed(f"`{word}` is not expected before the body of {name}")
        values = []
        while tokens.next[:1].isdigit():
            values.append(tokens.integer())
            tokens.accept(",")
        directives[word[1:]] = tuple(values)
    return Header(kind == ".entry", name, params, returns, registers, directives)


def _parameters(tokens: Tokens, registers: dict[str, str]) -> tuple[Parameter, ...]:
    tokens.expect("(")
    found: list[Parameter] = []
    offset = 0
    while not tokens.accept(")"):
        if found:
            tokens.expect(",")
        parameter = _parameter(tokens, registers, offset)
        if any(p.name == parameter.name for p in found):
            raise Malformed(f"two parameters are called {parameter.name}")
        found.append(parameter)
        offset = parameter.offset + parameter.bytes
    return tuple(found)


def _parameter(tokens: Tokens, registers: dict[str, str], offset: int) -> Parameter:
    space = tokens.take()
    if space not in (".param", ".reg"):
        raise Malformed(f"a parameter begins with `.param`, not `{space or 'the end'}`")
    align, vector, type_name = 0, 1, ""
    pointee = False
    while tokens.next.startswith("."):
        word = tokens.take()[1:]
        if word == "align":
            value = _alignment(tokens)
            align = align if pointee else value  # behind `.ptr` it says how the pointee is aligned
        elif word == "ptr":
            pointee = True
        elif (word in SIZES or word == "pred") and not type_name:
            type_name = word
        elif word in ("v2", "v4"):
            vector = int(word[1])
        elif not (word in SPACES and (pointee or word == "const")):
            raise Malformed(f"`.{word}` is not known in a parameter")
    if not type_name:
        raise Malformed("a parameter needs a type")
    name = tokens.name()
    size = SIZES.get(type_name, 1) * vector
    align = align or size
    count, open_ended = _dimensions(tokens)
    if space == ".reg":
        registers[name] = type_name
    offset = -(-offset // align) * align
    return Parameter(name, type_name, 0 if open_ended else size * count, align, offset)


def _alignment(tokens: Tokens) -> int:
    value = tokens.integer()
    if value < 1 or value & (value - 1) or value > 1 << 20:
        raise Malformed(f"an alignment of {value} is not a power of two")
    return value


def _skip_brackets(tokens: Tokens) -> None:
    tokens.expect("(")
    depth = 1
    while depth:
        word = tokens.take()
        if not word:
            raise Malformed("`(` is not closed")
        depth += (word == "(") - (word == ")")
