"""A kernel and the functions that it calls as one list of instructions with one table of registers.

Names of registers and local variables of a called function get its number behind them, `%r1@2`. What lies in `.param`
space between caller and callee becomes registers, `param0.3#0`, `param0.3#1`, .., of 64 bits, or of 32 where a
parameter has no more bytes or is aligned to no more; `st.param`, `ld.param`, `call` and `ret` are rewritten to name
them. So calls need no memory, and everything else treats a function as it does a kernel.
The operands are then

    st.param  Vector of the words touched, value, byte offset in the first of them; a fourth operand `_` where nothing
              of those words is kept
    ld.param  target, Vector of the words, byte offset   (parameters of the kernel itself stay as they are)
    call      Vector of result registers, callee, Vector of arguments
    ret       Vector of what is returned (in a function only)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ptxvm import ir
from ptxvm.errors import Unsupported
from ptxvm.flow import BUILT_IN, Block
from ptxvm.types import (
    DTYPES,
    Address,
    Function,
    Immediate,
    Instruction,
    Not,
    Operand,
    Pair,
    Parameter,
    Program,
    Register,
    Sink,
    Symbol,
    Variable,
    Vector,
)

MOST_BYTES = 4096  # of one parameter: a longer one is refused
STACK_ALIGNMENT = 16
MOST_STACK_BYTES = 1 << 16  # of local memory a thread
TOP = "%top"  # hidden register: first free byte of the thread's stack, in kernels that use `alloca`


@dataclass(frozen=True)
class Part:
    """One function of a linked kernel.

    entry         its first block
    params        registers that the caller sets, in order
    returns       how many values it gives back
    frame_bytes   of local memory that a call of it takes
    """

    name: str
    entry: int
    params: tuple[str, ...]
    returns: int
    frame_bytes: int


@dataclass(frozen=True, eq=False)
class Linked:
    """The whole: `function` holds all instructions, registers and variables, `graph` all blocks, the kernel's first.

    local     byte offset of each local variable in the frame of its function
    refusals  what cannot be linked
    """

    function: Function
    graph: ir.Graph
    parts: tuple[Part, ...]
    local: dict[str, int]
    refusals: tuple[Unsupported, ...]


def link(program: Program, functions: Sequence[Function]) -> Linked:
    """Join a kernel (the first one) and the functions that it may call."""
    instructions: list[Instruction] = []
    blocks: list[Block] = []
    graphs: list[ir.Graph] = []
    parts: list[Part] = []
    local: dict[str, int] = {}
    refusals: list[Unsupported] = []
    registers: dict[str, str] = {}
    variables: list[Variable] = []
    for number, function in enumerate(functions):
        renamed = _Rewriter(program, function, number, len(instructions))
        part = renamed.function()
        frame_bytes = _place([*(program.variables if number == 0 else ()), *part.variables], local)
        refusals += renamed.refusals
        graph = ir.build(part)
        shift, first = len(blocks), len(instructions)
        for b in graph.blocks:
            successors = tuple(s + shift for s in b.successors)
            blocks.append(Block(b.index + shift, b.first + first, b.last_exclusive + first, successors, b.terminator))
        parts.append(Part(function.name, shift, renamed.params, len(renamed.returns), frame_bytes))
        graphs.append(graph)
        instructions += part.instructions
        registers |= part.registers
        variables += part.variables
    if len(functions) == 1:
        return Linked(graphs[0].function, graphs[0], tuple(parts), local, tuple(refusals))
    whole = replace(
        functions[0], registers=registers, variables=tuple(variables), instructions=tuple(instructions), labels={}
    )
    graph = ir.Graph(
        whole,
        blocks,
        [live for g in graphs for live in g.live_in],
        [live for g in graphs for live in g.live_out],
        {name: kind for g in graphs for name, kind in g.dtypes.items()},
        {index: names for g in graphs for index, names in g.provenance.items()},
    )
    return Linked(whole, graph, tuple(parts), local, tuple(refusals))


def _place(variables: Sequence[Variable], places: dict[str, int]) -> int:
    """Give each local variable its place in the frame; the frame's size."""
    size = 0
    for v in variables:
        if v.space == "local":
            size = -(-size // v.align) * v.align
            places[v.name] = size
            size += v.bytes
    return size


def plain(name: str) -> str:
    """A variable's name as the text has it."""
    return name.partition("@")[0]


@dataclass
class _Rewriter:
    """One function on its way into the whole. `number` 0 is the kernel, `first` the place of its instructions."""

    program: Program
    source: Function
    number: int
    first: int
    refusals: list[Unsupported] = field(default_factory=list)

    def __post_init__(self) -> None:
        own = [] if self.source.entry else [*self.source.params, *self.source.returns]
        passed: list[Parameter | Variable] = [p for p in own if p.name not in self.source.registers]
        passed += [v for v in self.source.variables if v.space == "param"]
        self._bytes = {p.name: p.bytes for p in passed if p.bytes <= MOST_BYTES}
        self._word = {p.name: 4 if p.bytes <= 4 or p.align <= 4 else 8 for p in passed}  # bytes of a register
        for p in passed:
            if p.name not in self._bytes:
                self.refusals.append(Unsupported(".param", None, f"parameter {plain(p.name)} of {p.bytes:,} bytes"))
        self._moved = {v.name for v in self.source.variables if v.space != "param"}
        self.params = self._flat(() if self.source.entry else self.source.params)
        self.returns = self._flat(() if self.source.entry else self.source.returns)

    def function(self) -> Function:
        instructions = tuple(
            self._instruction(replace(ins, index=self.first + i)) for i, ins in enumerate(self.source.instructions)
        )
        registers = {self._name(name): kind for name, kind in self.source.registers.items()}
        for name, size in self._bytes.items():
            registers |= dict.fromkeys(self._words(name, 0, size), f"b{8 * self._word[name]}")
        variables = tuple(replace(v, name=self._name(v.name)) for v in self.source.variables if v.space != "param")
        return replace(self.source, registers=registers, variables=variables, instructions=instructions)

    # -- names -------------------------------------------------------------------------------------------------------
    def _name(self, name: str) -> str:
        return f"{name}@{self.number}" if self.number else name

    def _words(self, name: str, start: int, end: int) -> tuple[str, ...]:
        """The registers that hold bytes [start, end) of something in `.param` space."""
        word = self._word[name]
        return tuple(self._name(f"{name}#{i}") for i in range(start // word, -(-end // word)))

    def _flat(self, parameters: Sequence[Parameter]) -> tuple[str, ...]:
        names: list[str] = []
        for p in parameters:
            names += self._words(p.name, 0, p.bytes) if p.name in self._bytes else [self._name(p.name)]
        return tuple(names)

    # -- instructions ------------------------------------------------------------------------------------------------
    def _instruction(self, ins: Instruction) -> Instruction:
        try:
            operands = self._operands(ins)
        except Unsupported as refusal:
            self.refusals.append(refusal)
            operands = ins.operands
        if self.number == 0:
            return ins if operands is ins.operands else replace(ins, operands=operands)
        guard = ins.guard
        if guard is not None:
            renamed = self._renamed(guard)
            guard = renamed if isinstance(renamed, Register | Not) else None
        return replace(ins, operands=operands, guard=guard)

    def _operands(self, ins: Instruction) -> tuple[Operand, ...]:
        words = ins.parts
        if words[0] in ("ld", "st") and "param" in {w.partition("::")[0] for w in words[1:]}:
            at = int(words[0] == "ld")
            place = ins.operands[at] if len(ins.operands) == 2 else None
            if isinstance(place, Address) and isinstance(place.base, Symbol) and place.base.name in self._bytes:
                vector, offset, whole = self._piece(ins, place.base.name, place.base.offset + place.offset)
                value = self._renamed(ins.operands[1 - at])
                return (value, vector, offset) if at else (vector, value, offset, *([Sink()] if whole else []))
            if words[0] == "st":
                raise Unsupported(ins.opcode, ins.ptx_line, "it names no parameter of a call")
        elif words[0] == "call":
            return self._call(ins)
        elif words[0] == "ret" and not self.source.entry:
            return (Vector(tuple(Register(name) for name in self.returns)),)
        if self.number == 0 and not self._bytes:
            return ins.operands
        for operand in ins.operands:
            base = operand.base if isinstance(operand, Address) else operand
            if isinstance(base, Symbol) and base.name in self._bytes:
                raise Unsupported(ins.opcode, ins.ptx_line, f"the address of parameter {plain(base.name)}")
        if self.number == 0:
            return ins.operands
        return tuple(self._renamed(o) for o in ins.operands)

    def _piece(self, ins: Instruction, name: str, start: int) -> tuple[Vector, Immediate, bool]:
        """The words that `ld.param` or `st.param` touches, where in the first one it begins, whether it fills them."""
        count = next((int(w[1]) for w in ins.parts if w in ("v2", "v4", "v8")), 1)
        kind = next((w for w in ins.parts if w in DTYPES), "b32")
        size, total, word = DTYPES[kind].itemsize, self._bytes[name], self._word[name]
        if size > word:
            raise Unsupported(ins.opcode, ins.ptx_line, f"{size} bytes of parameter {plain(name)}, aligned to {word}")
        if start % size or start < 0 or start + size * count > total:
            raise Unsupported(ins.opcode, ins.ptx_line, f"byte {start} of parameter {plain(name)}, which has {total}")
        words = self._words(name, start, start + size * count)
        end = start + size * count
        whole = start % word == 0 and (end % word == 0 or end == total)
        return Vector(tuple(Register(w) for w in words)), Immediate(start % word), whole

    def _call(self, ins: Instruction) -> tuple[Operand, ...]:
        results, target, arguments = ins.operands[:3]
        assert isinstance(results, Vector)
        assert isinstance(arguments, Vector)
        given, wanted = self._passed(arguments), self._passed(results)
        if isinstance(target, Symbol) and target.name not in BUILT_IN:
            function = self.program.functions.get(target.name)
            if function is None:
                raise Unsupported(ins.opcode, ins.ptx_line, f"the function {target.name}, which has no body here")
            if function.entry:
                raise Unsupported(ins.opcode, ins.ptx_line, f"{target.name} is a kernel")
            called = _Rewriter(self.program, function, 0, 0)
            if (len(given.items), len(wanted.items)) != (len(called.params), len(called.returns)):
                raise Unsupported(ins.opcode, ins.ptx_line, f"other parameters than {target.name} declares")
        return (wanted, target if isinstance(target, Symbol) else self._renamed(target), given)

    def _passed(self, vector: Vector) -> Vector:
        """The registers and literals that a list of a call stands for."""
        items: list[Operand] = []
        for item in vector.items:
            if isinstance(item, Symbol) and item.name in self._bytes:
                items += [Register(w) for w in self._words(item.name, 0, self._bytes[item.name])]
            else:
                items.append(self._renamed(item))
        return Vector(tuple(items))

    def _renamed(self, operand: Operand) -> Operand:
        if self.number == 0:
            return operand
        if isinstance(operand, Register):
            return Register(self._name(operand.name))
        if isinstance(operand, Symbol) and operand.name in self._moved:
            return Symbol(self._name(operand.name), operand.offset)
        if isinstance(operand, Address):
            base = self._renamed(operand.base)
            return Address(base, operand.offset) if isinstance(base, Register | Symbol | Immediate) else operand
        if isinstance(operand, Not):
            return Not(Register(self._name(operand.register.name)))
        if isinstance(operand, Pair):
            first, second = (
                Register(self._name(o.name)) if isinstance(o, Register) else o for o in (operand.first, operand.second)
            )
            return Pair(first, second)
        if isinstance(operand, Vector):
            return Vector(tuple(self._renamed(o) for o in operand.items))
        return operand
