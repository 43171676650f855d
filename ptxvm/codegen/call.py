"""Calls of functions, where the block ends with them (`control.write_end`) or the runtime has the function; stacks."""

from __future__ import annotations

from ptxvm.codegen.control import is_call, write_end
from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.flow import callee
from ptxvm.link import TOP
from ptxvm.types import Immediate, Instruction, Register, Vector

# Function of the runtime -> (number of arguments, method of the runtime, whether it gives a value)
SERVICES = {
    "__assertfail": (5, "assertion", False),
    "vprintf": (2, "vprintf", True),
    "malloc": (1, "malloc", True),
    "free": (1, "free", False),
}


@emits("alloca", "stacksave", "stackrestore")
def stack(w: BlockWriter, ins: Instruction) -> None:
    """Room on the thread's stack until the function returns, or until a `stackrestore` of what `stacksave` gave."""
    kind = ins.parts[1] if len(ins.parts) == 2 else ""
    if kind not in ("u32", "u64") or not ins.operands:
        raise refuse(ins)
    if ins.parts[0] == "alloca":
        align = ins.operands[2] if len(ins.operands) == 3 else Immediate(8)
        if len(ins.operands) not in (2, 3) or not isinstance(align, Immediate):
            raise refuse(ins)
        size = w.use(ins.operands[1], kind)
        w.define(ins.operands[0], f"rt.memory.alloca(g, {w.guard()}, {size}, {align.value})", "u64")
    elif len(ins.operands) != 1:
        raise refuse(ins)
    elif ins.parts[0] == "stacksave":
        w.define(ins.operands[0], f"g.regs[{TOP!r}].view(np.uint64)", "u64")
    else:
        w.line(f"rt.memory.stack_restore(g, {w.guard()}, {w.use(ins.operands[0], kind)})")


@emits("call")
def call(w: BlockWriter, ins: Instruction) -> None:
    if is_call(ins):
        write_end(w, ins)  # checks the form
        return
    name = callee(ins)
    count, method, gives = SERVICES[name]
    results, arguments = ins.operands[0], ins.operands[2]
    if not isinstance(results, Vector) or not isinstance(arguments, Vector) or len(arguments.items) != count:
        raise refuse(ins, f"the function {name} with other parameters than it has")
    if any(not isinstance(o, Register | Immediate) for o in arguments.items):
        raise refuse(ins, f"parameters of {name} that are not registers")
    given = ", ".join(w.use(o, "u64") for o in arguments.items)
    text = f"rt.services.{method}(rt, g, {w.site()}, {w.guard()}, {given})"
    if gives and results.items:
        w.define(results.items[0], text, "u64")
    else:
        w.line(text)
