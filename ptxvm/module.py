"""A PTX module and its kernels, as a launch wants them."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ptxvm import ir
from ptxvm.errors import LaunchError, Unsupported
from ptxvm.link import Linked, link
from ptxvm.parse import parse
from ptxvm.types import (
    Address,
    Function,
    Instruction,
    Operand,
    Parameter,
    Program,
    Special,
    Symbol,
    Variable,
    Vector,
)

_CACHED = 256
_cache: OrderedDict[str, Module] = OrderedDict()


@dataclass(eq=False)
class Module:
    """A parsed PTX text. Make one with `Module.from_ptx`, which keeps the latest ones."""

    program: Program
    sha256: str = ""
    _kernels: dict[str, Kernel] = field(default_factory=dict, repr=False)

    @classmethod
    def from_ptx(cls, text: str) -> Module:
        """Parse a PTX text. Raises PtxSyntaxError with the line of what cannot be read."""
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        if digest in _cache:
            _cache.move_to_end(digest)
            return _cache[digest]
        module = _cache[digest] = cls(parse(text), digest)
        if len(_cache) > _CACHED:
            _cache.popitem(last=False)
        return module

    @property
    def isa_version(self) -> tuple[int, int]:
        """`.version` as (major, minor)."""
        return self.program.isa_version

    @property
    def target(self) -> str:
        """`.target`, such as "sm_86"."""
        return self.program.target

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the kernels, in the order of the text."""
        return tuple(name for name, f in self.program.functions.items() if f.entry)

    @property
    def source_files(self) -> tuple[str, ...]:
        """Paths of the `.file` table."""
        return tuple(self.program.files.values())

    def kernel(self, name: str | None = None) -> Kernel:
        """A kernel by name, or the only one. Raises LaunchError with the names that there are."""
        entries = self.entries
        if name is None:
            if len(entries) != 1:
                raise LaunchError(f"this module holds {len(entries)} kernels ({', '.join(entries)}): name one.")
            name = entries[0]
        if name not in entries:
            raise LaunchError(f"there is no kernel {name}; this module holds {', '.join(entries) or 'none'}.")
        if name not in self._kernels:
            self._kernels[name] = Kernel(self, self.program.functions[name])
        return self._kernels[name]

    def reachable(self, entry: str) -> list[Function]:
        """A kernel and the functions with a body that it names, directly, through others or in a table of functions."""
        found = {entry: self.kernel(entry).function}
        tables = {v.name: {target for _, target, _ in v.relocations} for v in self.program.variables}
        todo = sorted(_names(found[entry]))
        seen = set(todo)
        while todo:
            name = todo.pop()
            function = self.program.functions.get(name)
            more = tables.get(name, set())
            if function is not None and name not in found:
                found[name] = function
                more = _names(function)
            todo += sorted(more - seen)
            seen |= more
        return list(found.values())

    def opcodes(self, entry: str | None = None) -> Counter[str]:
        """How often each opcode stands in a kernel and the functions that it calls."""
        functions = self.reachable(self.kernel(entry).name)
        return Counter(ins.opcode for f in functions for ins in f.instructions)

    def unsupported(self, entry: str | None = None) -> list[Unsupported]:
        """Every opcode form of a kernel that ptxvm does not execute, each once, with its line."""
        return list(self.kernel(entry).unsupported)


@dataclass(eq=False)
class Kernel:
    """One `.entry` of a module. `compiled` is where code generation keeps its result."""

    module: Module = field(repr=False)
    function: Function = field(repr=False)
    compiled: Any = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.function.name

    @property
    def params(self) -> tuple[Parameter, ...]:
        """Parameters in order, with size, alignment and place in the packed block."""
        return self.function.params

    @cached_property
    def graph(self) -> ir.Graph:
        """Blocks, liveness, types and provenance of it and the functions that it calls, made at the first use."""
        return self.linked.graph

    @cached_property
    def linked(self) -> Linked:
        """The kernel and the functions that it may call, joined."""
        return link(self.module.program, self.module.reachable(self.name))

    @cached_property
    def unsupported(self) -> tuple[Unsupported, ...]:
        """Every opcode form in it, or in a function that it calls, that ptxvm does not execute, each once."""
        from ptxvm.codegen.blocks import unsupported

        found: dict[str, Unsupported] = {}
        for refusal in (*self.linked.refusals, *unsupported(self.linked.function, self.graph)):
            found.setdefault(refusal.form, refusal)
        return tuple(found.values())

    @cached_property
    def names(self) -> frozenset[str]:
        """Every symbol in the kernel or in a function that it calls."""
        return frozenset(name for f in self.module.reachable(self.name) for name in _names(f))

    @cached_property
    def shared_variables(self) -> tuple[Variable, ...]:
        """The shared variables that the kernel names, static ones first, then `.extern .shared`."""
        named = [
            v
            for v in (*self.module.program.variables, *self._own_variables())
            if v.space == "shared" and v.name in self.names
        ]
        return (*(v for v in named if not v.extern), *(v for v in named if v.extern))

    def _own_variables(self) -> Iterator[Variable]:
        for function in self.module.reachable(self.name):
            yield from function.variables

    @property
    def static_shared_bytes(self) -> int:
        """Shared memory a block that the kernel declares itself, each variable aligned."""
        size = 0
        for v in self.shared_variables:
            if not v.extern:
                size = -(-size // v.align) * v.align + v.bytes
        return size

    @property
    def required_block(self) -> tuple[int, int, int] | None:
        """The block that `.reqntid` demands, None if any will do."""
        return self._dims("reqntid")

    @property
    def max_block(self) -> int | None:
        """Most threads a block that `.maxntid` or `.reqntid` allows, None if neither is there."""
        dims = self._dims("maxntid") or self._dims("reqntid")
        return math.prod(dims) if dims else None

    @property
    def cluster(self) -> tuple[int, int, int] | None:
        """Blocks a cluster that `.reqnctapercluster` demands, None if there is no cluster."""
        return self._dims("reqnctapercluster")

    @cached_property
    def needs_cooperative(self) -> bool:
        """Whether it waits for the whole grid: it asks for a handle of cooperative groups."""
        if "cudaCGGetIntrinsicHandle" in self.names:
            return True
        return any(
            isinstance(o, Special) and o.name in ("%envreg1", "%envreg2")
            for f in self.module.reachable(self.name)
            for ins in f.instructions
            for o in ins.operands
        )

    def _dims(self, directive: str) -> tuple[int, int, int] | None:
        values = self.function.directives.get(directive)
        if not values:
            return None
        x, y, z = (*values, 1, 1)[:3]
        return x, y, z


def _names(function: Function) -> set[str]:
    """Every symbol in the operands of a function."""
    names: set[str] = set()
    for ins in function.instructions:
        _collect(ins, names)
    return names


def _collect(ins: Instruction, names: set[str]) -> None:
    todo: list[Operand] = list(ins.operands)
    while todo:
        operand = todo.pop()
        if isinstance(operand, Symbol):
            names.add(operand.name)
        elif isinstance(operand, Address):
            todo.append(operand.base)
        elif isinstance(operand, Vector):
            todo += operand.items
