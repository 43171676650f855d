"""The body of a function: statements, scopes and names, instructions.

Names of an inner scope `{ }` (inline assembler, call sequences) get the number of the scope behind
them, `p.3`, so that names are unique in a function. `call` always has the operands (results,
callee, arguments[, prototype]), results and arguments being Vectors; the last operand of `brx.idx`
is the Vector of its labels. A function whose last instruction can be run past ends in a `ret` that
the text does not hold.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field, replace

from ptxvm.declarations import SIZES, Header, variables
from ptxvm.errors import PtxSyntaxError
from ptxvm.lines import FILE, LOC, LineTable
from ptxvm.operands import Malformed, read, split
from ptxvm.types import (
    Address,
    Function,
    Immediate,
    Instruction,
    Not,
    Operand,
    Register,
    Sink,
    Special,
    Symbol,
    Variable,
    Vector,
)

MOST_REGISTERS = 1 << 21  # of a function; `%r<...>` of a damaged text must not exhaust memory

_BODY = re.compile(
    r"\s*(?:"
    rf"(?P<loc>{LOC})"
    r"|(?P<label>[A-Za-z_$%][\w$]*)\s*:(?!:)"
    r"|(?P<guard>@\s*+!?\s*+[A-Za-z_$%][\w$]*+\s++)?"
    r"(?P<op>[a-z]\w*(?:(?:\.|::)\w+)*)(?![\w.:$%@])(?P<operands>[^;]*);"
    r"|(?P<open>\{)"
    r"|(?P<close>\})"
    r"|\.reg\s*\.(?P<reg>\w+)\s(?P<names>[^;]*);"
    r"|(?P<targets>\.branchtargets\s[^;]*);"
    r"|(?P<prototype>\.(?:callprototype|calltargets)\b[^;]*);"
    r"|(?P<pragma>\.pragma\b[^;]*);"
    rf"|(?P<file>{FILE})"
    r'|(?P<variable>\.\w(?:[^;"]++|"(?:[^"\\\n]|\\.)*+")*+);'
    r"|(?P<nothing>;)"
    r"|(?P<bad>\S)"
    r")"
)  # fmt: skip
_NAMES = re.compile(r"\s*([A-Za-z_$%][\w$]*)\s*(?:<\s*(\d{1,7})\s*>)?\s*")
_SPECIAL = re.compile(
    r"%(?:(?:tid|ntid|ctaid|nctaid|clusterid|nclusterid|cluster_ctaid|cluster_nctaid)(?:\.[xyzw])?"
    r"|laneid|warpid|nwarpid|smid|nsmid|gridid|is_explicit_cluster|cluster_ctarank"
    r"|cluster_nctarank|lanemask_(?:eq|le|lt|ge|gt)|clock|clock_hi|clock64|pm[0-7](?:_64)?"
    r"|envreg(?:[12]?[0-9]|3[01])|globaltimer(?:_lo|_hi)?|reserved_smem_offset_(?:begin|end|cap|[01])"
    r"|total_smem_size|aggr_smem_size|dynamic_smem_size|current_graph_exec)"
)
_ENDS = {"bra", "ret", "exit", "trap", "brx"}


@dataclass(frozen=True)
class Text:
    """A module's text without comments.

    newlines    where its lines end
    files       the `.file` table
    comments    line -> comment behind a `.loc` that tells where it was inlined
    unresolved  name -> line of its first use, for names that the module must declare
    """

    text: str
    newlines: list[int]
    files: dict[int, str]
    comments: dict[int, str]
    unresolved: dict[str, int] = field(default_factory=dict)

    def line(self, position: int) -> int:
        """1-based line of a place in the text."""
        return bisect_left(self.newlines, position) + 1


@dataclass
class _Scope:
    """What is declared between a `{` and its `}`. `cache`: operand text -> what it means here."""

    number: int
    first: int  # number of instructions before it
    names: dict[str, Operand] = field(default_factory=dict)
    cache: dict[str, Operand] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)


class Body:
    """One function's body."""

    def __init__(self, text: Text, head: Header) -> None:
        self.text, self.head = text, head
        self.registers: dict[str, str] = {}
        self.variables: list[Variable] = []
        self.instructions: list[Instruction] = []
        self.labels: dict[str, int] = {}
        self.tables: dict[str, tuple[str, ...]] = {}  # `.branchtargets`; empty for prototypes
        self.branches: list[int] = []  # instructions that name labels
        self.unresolved: dict[str, int] = {}
        self.lines = LineTable(text.files, text.comments)
        self.scopes: list[_Scope] = []
        self.scope_count = 0
        self.line = 1
        self._opcodes: dict[str, tuple[str, ...]] = {}

    # -- statements --------------------------------------------------------------------------------
    def read(self, position: int) -> int:
        """Read from the opening brace on; returns the place of the closing one."""
        text = self.text.text
        self._open()
        for name, type_name in self.head.registers.items():
            self._declare_register(name, type_name)
        for parameter in (*self.head.params, *self.head.returns):
            if parameter.name not in self.head.registers:
                self.scopes[0].names.setdefault(parameter.name, Symbol(parameter.name))
        last = position + 1
        self.line = self.text.line(position)
        label = ""  # the last one read, which names a table or a prototype
        position = last
        while m := _BODY.match(text, position):
            position = m.end()
            kind = m.lastgroup
            start = m.start("op" if kind == "operands" else kind or 0)
            self.line += text.count("\n", last, start)
            last = start
            try:
                if kind == "operands":
                    self._instruction(m["guard"], m["op"], m["operands"])
                elif kind == "loc":
                    self._loc(m)
                elif kind == "label":
                    label = m["label"]
                    self._label(label)
                elif kind == "names":
                    self._declare(m["reg"], m["names"])
                elif kind == "open":
                    self._open()
                elif kind == "close":
                    self._close()
                    if not self.scopes:
                        return start
                elif kind == "targets":
                    self._table(label, tuple(t.strip() for t in m["targets"][14:].split(",")))
                elif kind == "prototype":
                    self._table(label, ())
                elif kind == "variable":
                    self._variable(m["variable"])
                elif kind == "bad":
                    raise Malformed(f"`{excerpt(text, start)}` is not a statement")
            except Malformed as error:
                raise PtxSyntaxError(self.line, str(error)) from None
        raise PtxSyntaxError(self.text.line(len(text)), f"the body of {self.head.name} is not closed")

    def _loc(self, m: re.Match[str]) -> None:
        first = m.re.groupindex["loc"]
        file, line, column, outer_file, outer_line, outer_column = m.groups()[first : first + 6]
        outer = (int(outer_file), int(outer_line), int(outer_column)) if outer_file else None
        self.lines.loc((int(file), int(line), int(column)), outer, self.line)

    def _instruction(self, guard: str | None, op: str, operands: str) -> None:
        parts = self._opcodes.get(op)
        if parts is None:
            parts = self._opcodes[op] = tuple(op.split("."))
        cache = self.scopes[-1].cache
        if "{" in operands or "(" in operands:
            pieces = split(operands)
        else:
            pieces = operands.split(",") if operands and not operands.isspace() else []
        read_operands = tuple([cache.get(p) or self._operand(p) for p in pieces])
        if op[:2] == "br" or parts[0] == "call":
            if parts[0] == "call":
                read_operands = _call_operands(read_operands)
            elif parts[0] in ("bra", "brx"):
                self.branches.append(len(self.instructions))
        predicate = None if guard is None else self._guard(guard)
        self.instructions.append(
            Instruction(
                len(self.instructions),
                parts,
                read_operands,
                predicate,
                self.line,
                self.lines.current,
            )
        )

    def _guard(self, text: str) -> Register | Not:
        operand = self.scopes[-1].cache.get(text[1:]) or self._operand(text[1:])
        register = operand.register if isinstance(operand, Not) else operand
        if not isinstance(register, Register) or self.registers[register.name] != "pred":
            raise Malformed(f"`{text.strip()}` does not name a predicate register")
        return Not(register) if isinstance(operand, Not) else register

    # -- names -------------------------------------------------------------------------------------
    def _operand(self, text: str) -> Operand:
        """What an operand's text means in the current scope; kept there."""
        operand = self.scopes[-1].cache[text] = read(text, self._resolve)
        return operand

    def _resolve(self, name: str) -> Operand:
        if name == "_":
            return Sink()
        for scope in reversed(self.scopes):
            if name in scope.names:
                return scope.names[name]
        if name in self.registers and "." not in name:
            return Register(name)
        if name[0] == "%":
            if _SPECIAL.fullmatch(name):
                return Special(name)
            raise Malformed(f"register {name} is not declared")
        if "." in name:
            raise Malformed(f"`{name}` is not known")
        if name == "WARP_SZ":
            return Immediate(32)
        self.unresolved.setdefault(name, self.line)
        return Symbol(name)

    def _scoped(self, name: str) -> str:
        number = self.scopes[-1].number
        return f"{name}.{number}" if number else name

    def _open(self) -> None:
        inherited = self.scopes[-1].cache if self.scopes else {}
        self.scopes.append(_Scope(self.scope_count, len(self.instructions), cache=inherited))
        self.scope_count += 1

    def _own_cache(self) -> None:
        """A declaration changes what names mean: the scope no longer shares its parent's cache."""
        self.scopes[-1].cache = {}

    def _declare(self, type_name: str, names: str) -> None:
        if type_name not in SIZES and type_name != "pred":
            raise Malformed(f"`.{type_name}` is not a type of register")
        self._own_cache()
        for piece in names.split(","):
            m = _NAMES.fullmatch(piece)
            if not m:
                raise Malformed(f"`{piece.strip()}` is not the name of a register")
            if m[2] is None:
                self._declare_register(m[1], type_name)
                continue
            if len(self.registers) + int(m[2]) > MOST_REGISTERS:
                raise Malformed(f"more than {MOST_REGISTERS:,} registers")
            for i in range(int(m[2])):
                self._declare_register(f"{m[1]}{i}", type_name)

    def _declare_register(self, name: str, type_name: str) -> None:
        scope = self.scopes[-1]
        unique = self._scoped(name)
        if unique in self.registers or name in scope.names:
            raise Malformed(f"{name} is declared twice")
        self.registers[unique] = type_name
        if scope.number:
            scope.names[name] = Register(unique)

    def _variable(self, text: str) -> None:
        scope = self.scopes[-1]
        self._own_cache()
        for variable in variables(text):
            unique = self._scoped(variable.name)
            if variable.name in scope.names or unique in self.registers:
                raise Malformed(f"{variable.name} is declared twice")
            self.variables.append(replace(variable, name=unique))
            scope.names[variable.name] = Symbol(unique)

    def _label(self, name: str) -> None:
        unique = self._scoped(name)
        if unique in self.labels or unique in self.tables:
            raise Malformed(f"label {name} stands twice")
        self.labels[unique] = len(self.instructions)
        if self.scopes[-1].number:
            self.scopes[-1].labels.add(name)

    def _table(self, name: str, labels: tuple[str, ...]) -> None:
        """The label before `.branchtargets` or `.callprototype` names it, and no place in the code."""
        if self.labels.pop(self._scoped(name), None) is None:
            raise Malformed("a list of targets, or a prototype, needs a label")
        self.tables[self._scoped(name)] = labels

    def _close(self) -> None:
        """Leave a scope: what was said of its labels now gets their unique names."""
        scope = self.scopes.pop()
        if not scope.labels:
            return
        names = {label: f"{label}.{scope.number}" for label in scope.labels}
        for i in range(scope.first, len(self.instructions)):
            ins = self.instructions[i]
            if any(isinstance(o, Symbol) and o.name in names for o in ins.operands):
                renamed = tuple(
                    Symbol(names[o.name], o.offset) if isinstance(o, Symbol) and o.name in names else o
                    for o in ins.operands
                )
                self.instructions[i] = replace(ins, operands=renamed)
        for table, labels in self.tables.items():
            if table.endswith(f".{scope.number}"):
                self.tables[table] = tuple(names.get(label, label) for label in labels)

    # -- the result --------------------------------------------------------------------------------
    def function(self, end: int) -> Function:
        """Everything that was read; `end` is the place of the closing brace."""
        for i in self.branches:
            self._check_branch(i)
        for ins in self.instructions:
            if ins.parts[:2] == ("ld", "param"):
                self._check_parameter(ins)
        bare = {label.partition(".")[0] for label in (*self.labels, *self.tables)}
        for name, line in self.unresolved.items():
            if name not in bare:
                self.text.unresolved.setdefault(name, line)
        last = self.instructions[-1] if self.instructions else None
        count = len(self.instructions)
        if last is None or last.guard is not None or last.parts[0] not in _ENDS or count in self.labels.values():
            line = self.text.line(end)
            self.instructions.append(Instruction(count, ("ret",), (), None, line, self.lines.current))
        return Function(
            self.head.name,
            self.head.entry,
            self.head.params,
            self.head.returns,
            self.registers,
            tuple(self.variables),
            tuple(self.instructions),
            self.labels,
            self.head.directives,
        )

    def _check_parameter(self, ins: Instruction) -> None:
        """What is loaded from a parameter lies within it."""
        place = ins.operands[-1] if ins.operands else None
        if not isinstance(place, Address) or not isinstance(place.base, Symbol):
            return
        start = place.base.offset + place.offset
        width = SIZES.get(ins.parts[-1], 1) * next((int(p[1]) for p in ins.parts if p in ("v2", "v4", "v8")), 1)
        for p in self.head.params:
            if p.name == place.base.name and not 0 <= start <= p.bytes - width:
                here = f"{p.name} has {p.bytes} bytes, and none at {start} to {start + width}"
                raise PtxSyntaxError(ins.ptx_line, here)

    def _check_branch(self, index: int) -> None:
        ins = self.instructions[index]
        if ins.parts[0] == "bra":
            targets = ins.operands
        else:
            table = ins.operands[-1] if ins.operands else None
            names = self.tables.get(table.name, ()) if isinstance(table, Symbol) else ()
            targets = tuple(Symbol(name) for name in names)
            self.instructions[index] = replace(ins, operands=(*ins.operands[:-1], Vector(targets)))
        if not targets or (len(targets) != 1 and ins.parts[0] == "bra"):
            raise PtxSyntaxError(ins.ptx_line, f"`{ins.opcode}` needs a label")
        for target in targets:
            if not isinstance(target, Symbol) or target.name not in self.labels:
                name = target.name if isinstance(target, Symbol) else "this operand"
                raise PtxSyntaxError(ins.ptx_line, f"{name} is not a label of {self.head.name}")


def _call_operands(operands: tuple[Operand, ...]) -> tuple[Operand, ...]:
    """`(results), callee, (arguments)[, prototype]`; what is left out is an empty Vector."""
    rest = list(operands)
    results: Operand = Vector(())
    arguments: Operand = Vector(())
    if rest and isinstance(rest[0], Vector):
        results = rest.pop(0)
    callee = rest.pop(0) if rest else results
    if not isinstance(callee, Symbol | Register):
        raise Malformed("`call` needs the name of a function")
    if rest and isinstance(rest[0], Vector):
        arguments = rest.pop(0)
    if len(rest) > 1 or any(not isinstance(o, Symbol) for o in rest):
        raise Malformed("`call` has too many operands")
    return (results, callee, arguments, *rest)


def excerpt(text: str, start: int) -> str:
    """The beginning of a statement, for a message."""
    return text[start : start + 60].split("\n", 1)[0].strip()
