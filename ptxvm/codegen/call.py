"""`call` of the functions that the runtime provides. Calls of other functions are not executed."""

from __future__ import annotations

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.flow import BUILT_IN, callee
from ptxvm.types import Instruction, Symbol, Vector


@emits("call")
def call(w: BlockWriter, ins: Instruction) -> None:
    """`__assertfail(condition, file, line, function, size of a character)`."""
    arguments = ins.operands[2]
    if callee(ins) not in BUILT_IN or not isinstance(arguments, Vector) or len(arguments.items) != 5:
        raise refuse(ins, f"the function {callee(ins) or 'in a register'}")
    names = [o.name for o in arguments.items if isinstance(o, Symbol)]
    condition, file, line = (w.passed.get(name, "None") for name in names[:3])
    w.line(f"rt.assertion(g, {w.site()}, {w.guard()}, {condition}, {file}, {line})")
