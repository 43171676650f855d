"""Integer arithmetic: add sub mul mad div rem abs neg min max sad dp4a dp2a, and the carry chain.

Signed and unsigned sums and low products have the same bits, so those use the result register's own dtype. Carries
live in one pseudo-register a thread, `%cc`.
"""

from __future__ import annotations

from ptxvm.codegen import bits, compare, floating  # noqa: F401  bits and compare register their emitters
from ptxvm.codegen.emitter import BlockWriter, emits, immediate_array, refuse
from ptxvm.codegen.forms import FLOATS, INTEGERS, form, named, natural, operands
from ptxvm.types import DTYPES, Immediate, Instruction, Operand, Register, bits_of

CARRY = Register("%cc")
DOUBLE = {"u16": "u32", "s16": "s32", "u32": "u64", "s32": "s64"}
PACKED = {"u16x2": "np.uint16", "s16x2": "np.int16"}


@emits("add", "sub")
def add_sub(w: BlockWriter, ins: Instruction) -> None:
    """`add`, `sub`: modulo 2^n; `.sat.s32` clamps; `.cc` sets the carry."""
    if ins.parts[-1] in FLOATS:
        return floating.add_sub(w, ins)
    words, types = form(ins, "cc sat")
    sign = "+" if ins.parts[0] == "add" else "-"
    d, a, b = operands(ins, 3)
    kind = types[0]
    if kind in PACKED and not words and sign == "+":
        halves = [f"nm.split16({w.use(o, kind)}, np.uint16)" for o in (a, b)]
        return w.define(d, f"nm.join16({halves[0]} + {halves[1]})", kind)
    if len(types) != 1 or kind not in INTEGERS or len(words) > 1:
        raise refuse(ins)
    if "cc" in words:
        return carried(w, ins, sign, d, a, w.use(b, _unsigned(ins, kind)), kind, takes=False, gives=True)
    if "sat" in words:
        if kind != "s32":
            raise refuse(ins)
        return w.define(d, f"nm.{ins.parts[0]}_sat({w.use(a, kind)}, {w.use(b, kind)})", kind)
    kind = natural(w, ins, kind) if _integer_result(w, ins) else kind
    x, y = w.use(a, kind, True), w.use(b, kind, True)
    w.define(d, added(w, d, x, y) if sign == "+" else f"{x} - {y}", kind)


def added(w: BlockWriter, target: Operand, a: str, b: str) -> str:
    """The sum of two integers, which may stay apart."""
    return f"nm.plus({a}, {b})" if isinstance(target, Register) and target.name in w.sums else f"{a} + {b}"


def _integer_result(w: BlockWriter, ins: Instruction) -> bool:
    target = ins.operands[0]
    return isinstance(target, Register) and w.dtypes.get(target.name, "f32") not in FLOATS


def _unsigned(ins: Instruction, kind: str) -> str:
    if bits_of(kind) not in (32, 64):
        raise refuse(ins)
    return f"u{bits_of(kind)}"


# -- carries -----------------------------------------------------------------------------------------------------
def carried(
    w: BlockWriter,
    ins: Instruction,
    sign: str,
    d: Operand,
    a: Operand | str,
    b: str,
    kind: str,
    *,
    takes: bool,
    gives: bool,
) -> None:
    """d = a + b or a - b with the carry or borrow flag taken in, given out, or both."""
    kind = _unsigned(ins, kind)
    if CARRY.name not in w.dtypes:
        if not isinstance(w.dtypes, dict):
            raise refuse(ins, "no carry flag here")
        w.dtypes[CARRY.name] = "pred"
    first = a if isinstance(a, str) else w.use(a, kind)
    flag = f", {w.read(CARRY)}" if takes else ""
    both = w.let(f"nm.{'add_carry' if sign == '+' else 'sub_borrow'}({first}, {b}{flag})")
    w.define(d, f"{both}[0]", kind)
    if gives:
        w.define(CARRY, f"{both}[1]", "pred")


@emits("addc", "subc")
def add_sub_carry(w: BlockWriter, ins: Instruction) -> None:
    """`addc`, `subc`: with the carry (borrow) of the instruction before."""
    words, types = form(ins, "cc")
    d, a, b = operands(ins, 3)
    if types[0] not in INTEGERS:
        raise refuse(ins)
    sign = "+" if ins.parts[0] == "addc" else "-"
    second = w.use(b, _unsigned(ins, types[0]))
    carried(w, ins, sign, d, a, second, types[0], takes=True, gives="cc" in words)


# -- products ----------------------------------------------------------------------------------------------------
def wide(w: BlockWriter, operand: Operand, kind: str) -> str:
    """An operand of 16 or 32 bits as a number of twice the width."""
    target = DTYPES[DOUBLE[kind]]
    if isinstance(operand, Immediate):
        return w.constant(immediate_array(operand, kind).astype(target))
    return f"{w.use(operand, kind, True)}.astype(np.{target.name})"


def product(w: BlockWriter, ins: Instruction, part: str, kind: str) -> tuple[str, str]:
    """(expression, type) of the product of operands 1 and 2. `part`: lo, hi or wide."""
    a, b = ins.operands[1], ins.operands[2]
    if part == "lo":
        same = natural(w, ins, kind) if _integer_result(w, ins) else kind
        return f"{w.use(a, same, True)} * {w.use(b, same, True)}", same
    if part == "hi" and bits_of(kind) == 64:
        return f"nm.mul_hi_{kind}({w.use(a, kind)}, {w.use(b, kind)})", kind
    if kind not in DOUBLE:
        raise refuse(ins)
    full = f"{wide(w, a, kind)} * {wide(w, b, kind)}"
    if part == "wide":
        return full, DOUBLE[kind]
    name = DTYPES[DOUBLE[kind]].name
    return f"(({full}) >> np.{name}({bits_of(kind)})).astype(np.{DTYPES[kind].name})", kind


def _part(ins: Instruction, words: set[str]) -> str:
    parts = words & {"lo", "hi", "wide"}
    if len(parts) != 1:
        raise refuse(ins)
    return parts.pop()


@emits("mul")
def mul(w: BlockWriter, ins: Instruction) -> None:
    """`mul`: the low half, the high half or the whole product."""
    if ins.parts[-1] in FLOATS:
        return floating.mul(w, ins)
    words, types = form(ins, "lo hi wide")
    operands(ins, 3)
    if len(types) != 1 or types[0] not in INTEGERS:
        raise refuse(ins)
    expression, kind = product(w, ins, _part(ins, words), types[0])
    w.define(ins.operands[0], expression, kind)


@emits("mad", "madc")
def mad(w: BlockWriter, ins: Instruction) -> None:
    """`mad`: product plus c, modulo 2^n. `madc` adds the carry, `.cc` sets it; `.hi.sat.s32` clamps the sum."""
    if ins.parts[-1] in FLOATS:
        return floating.fma(w, ins)
    words, types = form(ins, "lo hi wide cc sat")
    d, _, _, c = operands(ins, 4)
    part, kind = _part(ins, words - {"cc", "sat"}), types[0]
    if len(types) != 1 or kind not in INTEGERS:
        raise refuse(ins)
    carry = ins.parts[0] == "madc"
    if "sat" in words:
        if part != "hi" or kind != "s32" or carry or "cc" in words:
            raise refuse(ins)
        return w.define(d, f"nm.add_sat({product(w, ins, part, kind)[0]}, {w.use(c, kind)})", kind)
    expression, result = product(w, ins, part, kind)
    if carry or "cc" in words:
        if part == "wide":
            raise refuse(ins)
        plain = _unsigned(ins, kind)
        expression = f"nm.whole({expression})"
        if result != plain:
            expression = f"{expression}.view(np.{DTYPES[plain].name})"
        return carried(w, ins, "+", d, expression, w.use(c, plain), kind, takes=carry, gives="cc" in words)
    w.define(d, added(w, d, expression, w.use(c, result, True)), result)


@emits("mul24", "mad24")
def mul24(w: BlockWriter, ins: Instruction) -> None:
    """`mul24`, `mad24`: the lower or upper 32 of the 48 bits of a 24-bit product; `.hi.sat.s32` clamps the sum."""
    words, types = form(ins, "lo hi sat")
    kind, adds = types[0], ins.parts[0] == "mad24"
    given = operands(ins, 4 if adds else 3)
    part = _part(ins, words - {"sat"})
    if kind not in ("u32", "s32") or part == "wide" or ("sat" in words and (not adds or part != "hi" or kind != "s32")):
        raise refuse(ins)
    text = f"nm.mul24({w.use(given[1], kind)}, {w.use(given[2], kind)}, {part == 'hi'})"
    if adds:
        c = w.use(given[3], kind)
        text = f"nm.add_sat({text}, {c})" if "sat" in words else f"{text} + {c}"
    w.define(given[0], text, kind)


@emits("dp4a", "dp2a")
def dot(w: BlockWriter, ins: Instruction) -> None:
    """`dp4a`, `dp2a`: c plus a dot product of bytes, or of halves with bytes; modulo 2^32."""
    words, types = form(ins, "lo hi")
    d, a, b, c = operands(ins, 4)
    two = ins.parts[0] == "dp2a"
    if len(types) != 2 or not set(types) <= {"u32", "s32"} or len(words) != int(two):
        raise refuse(ins)
    given = ", ".join(w.use(o, "u32") for o in (a, b, c))
    high = f", {'hi' in words}" if two else ""
    w.define(d, f"nm.{ins.parts[0]}({given}, {types[0]!r}, {types[1]!r}{high})", "u32")


# -- the rest ----------------------------------------------------------------------------------------------------
@emits("div", "rem")
def divide(w: BlockWriter, ins: Instruction) -> None:
    """`div`, `rem`: towards zero. By zero, which PTX leaves open: all ones, and the dividend; and a lint."""
    if ins.parts[-1] in FLOATS:
        return floating.div(w, ins)
    _, types = form(ins, "")
    d, a, b = operands(ins, 3)
    if types[0] not in INTEGERS:
        raise refuse(ins)
    divisor = w.use(b, types[0])
    if not isinstance(b, Immediate) or b.value == 0:
        divisor = w.let(divisor)
        w.line(f"rt.divisor(g, {w.site()}, {divisor}, {w.guard()})")
    w.define(d, f"nm.{ins.parts[0]}({w.use(a, types[0])}, {divisor})", types[0])


@emits("abs", "neg")
def sign(w: BlockWriter, ins: Instruction) -> None:
    """`abs`, `neg`: the most negative number stays as it is."""
    if ins.parts[-1] in FLOATS:
        return floating.sign(w, ins)
    _, types = form(ins, "")
    d, a = operands(ins, 2)
    if types[0] not in ("s16", "s32", "s64"):
        raise refuse(ins)
    text = w.use(a, types[0])
    w.define(d, f"np.abs({text})" if ins.parts[0] == "abs" else f"-{text}", types[0])


@emits("min", "max")
def min_max(w: BlockWriter, ins: Instruction) -> None:
    """`min`, `max`; `.relu` of signed types clamps the result at 0."""
    if ins.parts[-1] in FLOATS:
        return floating.min_max(w, ins)
    words, types = form(ins, "relu")
    d, a, b = operands(ins, 3)
    kind = types[0]
    if kind not in INTEGERS | set(PACKED) or ("relu" in words and kind not in ("s32", "s16x2")):
        raise refuse(ins)
    first, second = w.use(a, kind), w.use(b, kind)
    if kind in PACKED:
        first, second = (f"nm.split16({text}, {PACKED[kind]})" for text in (first, second))
    text = f"np.{ins.parts[0]}imum({first}, {second})"
    if "relu" in words:
        text = f"np.maximum({text}, {'np.int16(0)' if kind in PACKED else 'np.int32(0)'})"
    w.define(d, f"nm.join16({text})" if kind in PACKED else text, kind)


@emits("vabsdiff2", "vabsdiff4")
def absolute_differences(w: BlockWriter, ins: Instruction) -> None:
    """`vabsdiff2`, `vabsdiff4` of halves or bytes of one sign, side by side; with `.add` c plus their sum.

    Other video instructions, and choices of parts of an operand, are not executed.
    """
    words, types = form(ins, "add sat")
    d, a, b, c = operands(ins, 4)
    if types not in (["u32", "u32", "u32"], ["u32", "s32", "s32"]) or len(words) > 1 or ins.parts[1:4] != (*types,):
        raise refuse(ins)
    part = f"np.{'uint' if types[1] == 'u32' else 'int'}{32 // int(ins.parts[0][-1])}"
    text = f"nm.vabsdiff({w.use(a, 'u32')}, {w.use(b, 'u32')}, {part}, {'add' in words})"
    w.define(d, f"{text} + {w.use(c, 'u32')}" if "add" in words else text, "u32")


@emits("sad")
def sad(w: BlockWriter, ins: Instruction) -> None:
    """`sad`: c plus the absolute difference of a and b."""
    _, types = form(ins, "")
    d, a, b, c = operands(ins, 4)
    kind = types[0]
    if kind not in INTEGERS:
        raise refuse(ins)
    x, y = named(w, w.use(a, kind)), named(w, w.use(b, kind))
    w.define(d, f"{w.use(c, kind)} + (np.maximum({x}, {y}) - np.minimum({x}, {y}))", kind)
