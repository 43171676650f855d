"""What parsed PTX is made of: operands, instructions, variables, functions; and its type names as NumPy dtypes."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

# PTX type -> NumPy dtype of an array that holds it. Bit types are unsigned. bf16 and the packed forms have no NumPy
# dtype and stay raw bits; an emitter converts them.
DTYPES: dict[str, np.dtype] = {
    name: np.dtype(kind)
    for name, kind in {
        "pred": "bool",
        "b8": "u1", "u8": "u1", "s8": "i1", "e4m3": "u1", "e5m2": "u1",
        "b16": "u2", "u16": "u2", "s16": "i2", "f16": "f2", "bf16": "u2", "e4m3x2": "u2", "e5m2x2": "u2",
        "b32": "u4", "u32": "u4", "s32": "i4", "f32": "f4", "f16x2": "u4", "bf16x2": "u4", "tf32": "u4",
        "u16x2": "u4", "s16x2": "u4",
        "b64": "u8", "u64": "u8", "s64": "i8", "f64": "f8", "f32x2": "u8",
    }.items()
}  # fmt: skip


def bits_of(type_name: str) -> int:
    """Width in bits of a PTX type; a predicate counts 1."""
    return 1 if type_name == "pred" else 8 * DTYPES[type_name].itemsize


@dataclass(frozen=True, slots=True)
class Register:
    """`%f4`. Registers of an inner scope are renamed by the parser so that names are unique in a function."""

    name: str


@dataclass(frozen=True, slots=True)
class Special:
    """A read-only register such as `%tid.x`, `%laneid` or `%clock64`."""

    name: str


@dataclass(frozen=True, slots=True)
class Immediate:
    """A literal. `kind` is "int" (value is a Python int), "f32" or "f64" (value holds the IEEE bits)."""

    value: int
    kind: str = "int"


@dataclass(frozen=True, slots=True)
class Symbol:
    """The name of a variable, parameter, label or function, with a byte offset."""

    name: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Address:
    """`[base+offset]`, offset in bytes."""

    base: Register | Symbol | Immediate
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Sink:
    """`_`: a result that nobody wants."""


@dataclass(frozen=True, slots=True)
class Not:
    """`!%p1`."""

    register: Register


@dataclass(frozen=True, slots=True)
class Pair:
    """`%r1|%p1`: two results of one instruction."""

    first: Register | Sink
    second: Register | Sink


@dataclass(frozen=True, slots=True)
class Vector:
    """`{a, b}`; also the parenthesised lists of a call."""

    items: tuple[Operand, ...]


Operand = Register | Special | Immediate | Symbol | Address | Sink | Not | Pair | Vector


@dataclass(frozen=True, slots=True)
class Source:
    """A line of the kernel file that the learner wrote."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Instruction:
    """One PTX instruction.

    `parts` are the words of the opcode between dots: `ld.global.v4.f32` gives ("ld", "global", "v4", "f32").
    """

    index: int  # position in the function, 0-based
    parts: tuple[str, ...]
    operands: tuple[Operand, ...]
    guard: Register | Not | None
    ptx_line: int  # 1-based line of the PTX text
    source: Source | None

    @property
    def opcode(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A kernel or function parameter; `offset` is its place in the packed parameter block."""

    name: str
    type: str
    bytes: int
    align: int
    offset: int


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a state space; `initial` are its bytes, None where it has no initialiser.

    `relocations` are the addresses that the initialiser names, and whose bytes `initial` leaves 0:
    (byte offset, variable, bytes to add).
    """

    name: str
    space: str  # "global", "const", "shared", "local", "param"
    bytes: int
    align: int
    initial: builtins.bytes | None = None  # `bytes` is the field above here
    extern: bool = False  # `.extern .shared`: dynamic shared memory
    relocations: tuple[tuple[int, str, int], ...] = ()


@dataclass(frozen=True)
class Function:
    """One `.entry` or `.func` with a body."""

    name: str
    entry: bool
    params: tuple[Parameter, ...]
    returns: tuple[Parameter, ...]
    registers: Mapping[str, str]  # name -> declared PTX type
    variables: tuple[Variable, ...]  # shared, local and param variables declared inside
    instructions: tuple[Instruction, ...]
    labels: Mapping[str, int]  # label -> index of the instruction that it stands before
    directives: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # "reqntid": (128,), ...
    target: str = ""  # of its module, such as "sm_86"; "": not known


@dataclass(frozen=True)
class Program:
    """A parsed PTX module."""

    isa_version: tuple[int, int]
    target: str
    functions: Mapping[str, Function]
    variables: tuple[Variable, ...]  # of module scope
    files: Mapping[int, str]  # `.file` table
