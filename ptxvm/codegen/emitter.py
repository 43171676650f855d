"""What every emitter stands on: how it reads operands, defines results and registers itself.

An emitter turns one PTX instruction into lines of Python that call NumPy. It is a function of `(w, ins)`: it checks
that it knows every word of the opcode (`Unsupported` otherwise), reads operands with `w.use`, and gives results with
`w.define`. In the generated code these names exist:

    np          NumPy
    nm          ptxvm.numerics: pure functions on arrays
    g           the Group that runs the block: g.ctas, g.tids, g.shape, g.by_warp, ...
    wp, mm      ptxvm.warp and ptxvm.mma
    sp, wm      ptxvm.sparse and ptxvm.wmma
    s0, s1, ..  the Site of instruction 0, 1, ..; `w.site()` names the current one
    rt          the runtime of the batch (ptxvm.machine.Machine): memory, warp operations, counters
    c0, c1, ..  constants made by `w.constant`
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ptxvm.codegen.targets import too_new
from ptxvm.errors import Unsupported
from ptxvm.specials import knows_special
from ptxvm.types import DTYPES, Immediate, Instruction, Not, Operand, Register, Sink, Special

# What may make or pass on a sum (see `ptxvm.sums`), as the first word of an opcode.
SUM_MAKERS = {"add", "sub", "mul", "mad", "shl", "or", "cvt", "cvta", "mov"}

EmitterFunction = Callable[["BlockWriter", Instruction], None]
EMITTERS: dict[str, EmitterFunction] = {}


def emits(*bases: str) -> Callable[[EmitterFunction], EmitterFunction]:
    """Register an emitter for the first word of an opcode (`add`, `ld`, `mma`, ...)."""

    def register(function: EmitterFunction) -> EmitterFunction:
        for base in bases:
            if base in EMITTERS:
                raise ValueError(f"two emitters for {base}")
            EMITTERS[base] = function
        return function

    return register


def refuse(ins: Instruction, reason: str = "") -> Unsupported:
    """The error to raise for a form that an emitter does not know: `raise refuse(ins)`."""
    return Unsupported(ins.opcode, ins.ptx_line, reason)


def array_of(value: int | float | np.generic, dtype: np.dtype) -> np.ndarray[Any, Any]:
    """A (1, 1) array; integers wrap modulo the width (`-1` as u32 is 0xffffffff)."""
    if dtype.kind in "iu" and isinstance(value, int):
        bits = 8 * dtype.itemsize
        raw = value & ((1 << bits) - 1)
        return np.array([[raw]], f"u{dtype.itemsize}").view(dtype)
    if dtype.kind == "f" and isinstance(value, int):  # an integer literal used as raw bits or as a number: see `use`
        value = float(value)
    return np.array([[value]], dtype)


class BlockWriter:
    """Writes the Python text of one basic block.

    `dtypes` maps each register to its canonical PTX type (see `ir.canonical_types`): the array stored for a register
    always has that dtype, and `use` and `define` reinterpret where an instruction wants another of the same width.
    `target` is that of the text, such as "sm_86"; "" has everything.
    """

    def __init__(self, dtypes: Mapping[str, str], sums: frozenset[str] = frozenset(), target: str = "") -> None:
        self.dtypes, self.target = dtypes, target
        self.sums = sums  # registers that may hold a `Sum` instead of an array
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self.loaded: dict[str, str] = {}  # register -> local name
        self.written: set[str] = set()
        self.passed: dict[str, str] = {}  # parameter of a call that is being prepared -> local name of its value
        self.flushed: set[str] = set()  # locals that hold no subnormal number, being results of `.ftz`
        self._made: dict[str, str] = {}  # see `once`
        self._count = 0
        self._constant_names: dict[Any, str] = {}
        self.instruction: Instruction | None = None

    # -- text ----------------------------------------------------------------------------------------------------
    def line(self, text: str) -> None:
        """Append a line to the block's body."""
        self.lines.append(text)

    def temp(self) -> str:
        """A fresh local name."""
        self._count += 1
        return f"t{self._count}"

    def let(self, expression: str) -> str:
        """Bind an expression to a fresh local name and return the name."""
        name = self.temp()
        self.line(f"{name} = {expression}")
        return name

    def once(self, expression: str) -> str:
        """A name for an expression that several instructions may want, made again only after its operands changed."""
        if expression not in self._made:
            self._made[expression] = self.let(expression)
        return self._made[expression]

    def constant(self, value: Any) -> str:
        """A name bound to `value` in the generated module. Equal small values share a name."""
        key = (type(value).__name__, value.dtype.str, value.tobytes()) if isinstance(value, np.ndarray) else id(value)
        if key not in self._constant_names:
            name = f"c{len(self.constants)}"
            self._constant_names[key] = name
            self.constants[name] = value
        return self._constant_names[key]

    # -- operands ------------------------------------------------------------------------------------------------
    def read(self, register: Register) -> str:
        """The local name that holds a register, in its canonical dtype."""
        name = register.name
        if name not in self.dtypes:
            raise Unsupported(name, self.instruction.ptx_line if self.instruction else None, "undeclared register")
        if name not in self.loaded:
            local = f"v{len(self.loaded)}"
            self.loaded[name] = local
        return self.loaded[name]

    def use(self, operand: Operand, type_name: str, apart: bool = False) -> str:
        """An expression for an operand as an array of a PTX type's dtype (same width: bits are reinterpreted).

        Narrower wants than the register's width take the low bits. Immediates: an integer literal is the number for
        integer types, and for float types too (PTX allows `mov.f32 %f, 0`); `0f...` and `0d...` literals are bits.
        `apart`: the value may be a `Sum`; who asks for it uses only what such a one has.
        """
        want = DTYPES[type_name]
        if isinstance(operand, Register):
            have = DTYPES[self.dtypes[operand.name]] if operand.name in self.dtypes else want
            local = self.read(operand)
            if operand.name in self.sums and not apart:
                local = f"nm.whole({local})"
            return _reinterpret(local, have, want)
        if isinstance(operand, Not):
            return f"~{self.read(operand.register)}"
        if isinstance(operand, Immediate):
            return self.constant(immediate_array(operand, type_name))
        if isinstance(operand, Special):
            if not knows_special(operand.name):
                raise Unsupported(operand.name, self.instruction.ptx_line if self.instruction else None)
            if reason := too_new(operand.name, self.target):
                raise Unsupported(operand.name, None, f"{operand.name}: {reason}")
            return f"rt.who.special(g, {operand.name!r}).astype(np.{want.name}, copy=False)"
        raise Unsupported(type(operand).__name__, None, "operand of this kind is not a value here")

    def define(self, operand: Operand, expression: str, type_name: str) -> None:
        """Assign the result of the current instruction. Lanes whose guard is false keep the old value."""
        if isinstance(operand, Sink):
            self.line(expression)
            return
        if not isinstance(operand, Register):
            raise Unsupported(type(operand).__name__, None, "operand of this kind cannot be written")
        have = DTYPES[self.dtypes[operand.name]] if operand.name in self.dtypes else DTYPES[type_name]
        value = _reinterpret(expression, DTYPES[type_name], have)
        guard = self.guard()
        if guard is None:
            self.line(f"{self._target(operand)} = {value}")
        else:
            old = self.read(operand)
            if operand.name in self.sums:
                value, old = f"nm.whole({value})", f"nm.whole({old})"
            self.line(f"{self._target(operand)} = nm.select({guard}, {value}, {old})")

    def _target(self, register: Register) -> str:
        changes = register.name in self.loaded
        local = self.read(register)
        self.written.add(register.name)
        self.flushed.discard(local)
        if changes and self._made:
            known = re.compile(rf"\b{local}\b")
            self._made = {text: name for text, name in self._made.items() if not known.search(text)}
        return local

    def site(self) -> str:
        """The name bound to the `Site` of the current instruction."""
        if self.instruction is None:
            raise RuntimeError("no instruction is being written")
        return f"s{self.instruction.index}"

    def guard(self) -> str | None:
        """The current instruction's guard as a bool array expression, or None."""
        guard = self.instruction.guard if self.instruction else None
        if guard is None:
            return None
        return self.use(guard, "pred")


def possible_sums(instructions: Sequence[Instruction], dtypes: Mapping[str, str]) -> frozenset[str]:
    """The registers of a function that may hold a `Sum`: integers of 32 and 64 bits that certain opcodes define."""
    names = set()
    for ins in instructions:
        target = ins.operands[0] if ins.operands else None
        if ins.parts[0] in SUM_MAKERS and isinstance(target, Register):
            kind = DTYPES.get(dtypes.get(target.name, ""))
            if kind is not None and kind.kind in "iu" and kind.itemsize >= 4:
                names.add(target.name)
    return frozenset(names)


def immediate_array(operand: Immediate, type_name: str) -> np.ndarray[Any, Any]:
    """A literal as a (1, 1) array of a PTX type."""
    want = DTYPES[type_name]
    if operand.kind == "int":
        if type_name in ("f32", "f64", "f16"):
            return np.array([[operand.value]], want)
        if type_name == "pred":
            return np.array([[operand.value != 0]], want)
        return array_of(operand.value, want)
    bits = np.array([[operand.value]], "u4" if operand.kind == "f32" else "u8")
    number = bits.view("f4" if operand.kind == "f32" else "f8")
    if want.kind == "f":
        return number.astype(want)  # `0d` literals may stand for f32 operands
    if want.itemsize == bits.itemsize:
        return bits.view(want)
    raise Unsupported(f"literal {operand.kind} as {type_name}")


def _reinterpret(expression: str, have: np.dtype, want: np.dtype) -> str:
    """Python text that turns an array of dtype `have` into `want` without changing bits."""
    if have == want:
        return expression
    if have.itemsize == want.itemsize and "bool" not in (have.name, want.name):
        return f"({expression}).view(np.{want.name})"
    if have.kind in "iu" and want.kind in "iu":  # other widths: low bits, or extension as the source's signedness
        return f"({expression}).astype(np.{want.name})"
    if "bool" in (have.name, want.name):
        return f"({expression}).astype(np.{want.name})"
    # a float register read or written at another width: go through its bits, which a signed source extends by its sign
    sign = "i" if have.kind == "i" else "u"
    narrowed = f"({expression}).view('{sign}{have.itemsize}').astype('{sign}{want.itemsize}')"
    return narrowed if want.kind == sign else f"{narrowed}.view(np.{want.name})"
