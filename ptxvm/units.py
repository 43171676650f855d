"""What an instruction is: its class in the instruction mix, and the unit that its arithmetic belongs to.

Both are of PTX opcodes. A unit's operations are those of one thread (of a warp for a matrix instruction); where ptxas
makes a division or an exact square root of many instructions, PTX has one, and one is counted.

    units       what is counted there
    f16, bf16   operations of the scalar units of that type, packed ones (f16x2) two at a time; a multiply-add is 2
    f32, f64    the same; a division is 1
    special     rcp, sqrt, rsqrt, ex2, lg2, sin, cos, tanh of any type: the special-function unit and what uses it
    tensor T    2 * m * n * k of a matrix instruction whose A is of type T: f16, bf16, tf32, f64, s8, e4m3, ...
    integer     integer arithmetic, logic, shifts and bit fields, one an instruction and thread (a multiply-add too)

All units but "integer" together are `Counters.flops`.
"""

from __future__ import annotations

from functools import cache

from ptxvm.types import Instruction

FLOP_BASES = {"add": 1, "sub": 1, "mul": 1, "fma": 2, "mad": 2, "div": 1, "rcp": 1, "sqrt": 1, "rsqrt": 1, "ex2": 1,
              "lg2": 1, "sin": 1, "cos": 1, "tanh": 1}  # fmt: skip
FLOP_TYPES = {"f16": 1, "bf16": 1, "f32": 1, "f64": 1, "f16x2": 2, "bf16x2": 2, "f32x2": 2}
SPECIAL = frozenset({"rcp", "sqrt", "rsqrt", "ex2", "lg2", "sin", "cos", "tanh"})
MATRIX_TYPES = frozenset({"f16", "bf16", "tf32", "f32", "f64", "s8", "u8", "s4", "u4", "b1", "s32", "e4m3", "e5m2",
                          "e3m2", "e2m3", "e2m1"})  # fmt: skip
INTEGER = frozenset({
    "add", "sub", "mul", "mad", "mul24", "mad24", "sad", "div", "rem", "abs", "neg", "min", "max", "addc", "subc",
    "madc", "and", "or", "xor", "not", "cnot", "lop3", "shl", "shr", "shf", "bfe", "bfi", "bfind", "fns", "popc",
    "clz", "brev", "prmt", "szext", "bmsk", "dp4a", "dp2a",
})  # fmt: skip
FLOATING = frozenset({"f16", "bf16", "f32", "f64", "f16x2", "bf16x2", "f32x2"})
# base of the opcode -> its class, where the base alone says it; else by memory space or type
CLASSES = {
    **dict.fromkeys(("mma", "wmma", "wgmma", "ldmatrix", "stmatrix", "movmatrix"), "matrix"),
    **dict.fromkeys(("atom", "red"), "atomic"),
    **dict.fromkeys(("shfl", "vote", "match", "redux", "activemask", "elect"), "warp"),
    **dict.fromkeys(("bar", "barrier", "membar", "fence", "mbarrier", "nanosleep"), "barrier"),
    **dict.fromkeys(("bra", "brx", "call", "ret", "exit", "trap", "brkpt"), "control"),
    **dict.fromkeys(("mov", "cvta", "isspacep", "mapa"), "move"),
    **dict.fromkeys(("setp", "set", "selp", "slct"), "compare"),
    **dict.fromkeys(("cp", "prefetch", "prefetchu", "discard", "applypriority"), "copy"),
    "cvt": "convert",
}  # fmt: skip
SPACES = frozenset({"global", "shared", "local", "param", "const"})


def flops_of(ins: Instruction) -> int:
    """Floating-point operations of one thread at an instruction; 0 for matrix instructions (they count per warp)."""
    return FLOP_BASES.get(ins.parts[0], 0) * FLOP_TYPES.get(ins.parts[-1], 0)


def mma_flops_of(ins: Instruction) -> int:
    """2 * m * n * k of a warp's matrix instruction, else 0; `mma` m8n8k4 of f16 makes four products."""
    if ins.parts[0] not in ("mma", "wmma") or (ins.parts[0] == "wmma" and ins.parts[1] != "mma"):
        return 0
    shape = next((p for p in ins.parts if p[0] == "m" and "n" in p and "k" in p and p[1].isdigit()), "")
    if not shape:
        return 0
    m, _, rest = shape[1:].partition("n")
    n, _, k = rest.partition("k")
    products = 4 if ins.parts[0] == "mma" and shape == "m8n8k4" and "f64" not in ins.parts else 1
    return products * 2 * int(m) * int(n) * int(k)


def unit_of(ins: Instruction) -> str:
    """The unit that an instruction's operations belong to; "" for one that computes nothing."""
    return _unit(ins.parts)


def class_of(ins: Instruction) -> str:
    """The class of an instruction in the mix: "global", "shared", "float", "integer", "control", ..."""
    return _class(ins.parts)


@cache
def _unit(parts: tuple[str, ...]) -> str:
    base = parts[0]
    if base in ("mma", "wmma", "wgmma"):
        types = [part for part in parts if part in MATRIX_TYPES]
        # D, A, B, C; `wmma` of f16 names D and C alone, and `wgmma` no C
        return f"tensor {types[1] if len(types) >= 3 else 'f16'}"
    if parts[-1] in FLOATING and base in FLOP_BASES:
        return "special" if base in SPECIAL else parts[-1].removesuffix("x2")
    return "integer" if base in INTEGER and parts[-1] not in FLOATING else ""


@cache
def _class(parts: tuple[str, ...]) -> str:
    base = parts[0]
    if base in CLASSES:
        return CLASSES[base]
    if base in ("ld", "ldu", "st"):
        spaces = (part.partition("::")[0] for part in parts[1:])
        return next((space for space in spaces if space in SPACES), "generic")
    if parts[-1] in FLOATING:
        return "float"
    return "integer" if base in INTEGER else "other"
