"""Bitwise operations: and or xor not cnot shl shr shf lop3 prmt, bit fields and bit counts."""

from __future__ import annotations

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.codegen.forms import WORDS, form, named, natural, operands
from ptxvm.integers import PRMT_MODES
from ptxvm.types import DTYPES, Immediate, Instruction, Operand, Pair, Register, bits_of

LOGIC = {"and": "&", "or": "|", "xor": "^"}


def bit_type(w: BlockWriter, ins: Instruction, type_name: str) -> str:
    """The integer dtype for a bitwise operation that needs fewest views."""
    own = natural(w, ins, type_name)
    return own if DTYPES[own].kind in "iub" else type_name


@emits("and", "or", "xor")
def logic(w: BlockWriter, ins: Instruction) -> None:
    """`and`, `or`, `xor` of bits or predicates."""
    _, types = form(ins, "")
    d, a, b = operands(ins, 3)
    if types[0] not in WORDS | {"pred"}:
        raise refuse(ins)
    kind = bit_type(w, ins, types[0])
    if isinstance(d, Register) and d.name in w.sums and ins.parts[0] == "or":  # a sum of bits that do not meet
        return w.define(d, f"nm.either({w.use(a, kind, True)}, {w.use(b, kind, True)})", kind)
    w.define(d, f"{w.use(a, kind)} {LOGIC[ins.parts[0]]} {w.use(b, kind)}", kind)


@emits("not", "cnot")
def invert(w: BlockWriter, ins: Instruction) -> None:
    """`not`: every bit; `cnot`: 1 for zero, else 0."""
    _, types = form(ins, "")
    d, a = operands(ins, 2)
    if types[0] not in WORDS | {"pred"} or (ins.parts[0] == "cnot" and types[0] == "pred"):
        raise refuse(ins)
    if ins.parts[0] == "cnot":
        return w.define(d, f"({w.use(a, types[0])} == 0).astype(np.{DTYPES[types[0]].name})", types[0])
    kind = bit_type(w, ins, types[0])
    w.define(d, f"~{w.use(a, kind)}", kind)


# -- shifts ------------------------------------------------------------------------------------------------------
@emits("shl", "shr")
def shift(w: BlockWriter, ins: Instruction) -> None:
    """`shl`, `shr`: a count of the width or more gives 0, or the sign for `shr.s`."""
    _, types = form(ins, "")
    d, a, b = operands(ins, 3)
    kind = types[0]
    left = ins.parts[0] == "shl"
    if kind not in WORDS | ({"u16", "u32", "u64", "s16", "s32", "s64"} if not left else set()):
        raise refuse(ins)
    if left:
        kind = bit_type(w, ins, kind)
    w.define(d, f"{w.use(a, kind, True)} {'<<' if left else '>>'} {_count(w, b, kind)}", kind)


def _count(w: BlockWriter, count: Operand, kind: str) -> str:
    """A u32 shift count in the dtype that is shifted. NumPy clamps counts at the width, negative ones too."""
    width = bits_of(kind)
    if isinstance(count, Immediate):
        return w.use(Immediate(min(count.value & 0xFFFFFFFF, width)), kind)
    if width == 32:
        return w.use(count, "s32" if DTYPES[kind].kind == "i" else "u32")
    text = w.use(count, "u32")
    name = DTYPES[kind].name
    return f"np.minimum({text}, np.uint32(16)).astype(np.{name})" if width == 16 else f"{text}.astype(np.{name})"


@emits("shf")
def funnel(w: BlockWriter, ins: Instruction) -> None:
    """`shf`: shift of the 64 bits {b, a}; `.l` keeps the upper, `.r` the lower half. Counts clamp at 32 or wrap."""
    words, types = form(ins, "l r wrap clamp")
    d, a, b, c = operands(ins, 4)
    if types != ["b32"] or len(words) != 2 or not words & {"l", "r"} or not words & {"wrap", "clamp"}:
        raise refuse(ins)
    low, high = w.use(a, "u32"), w.use(b, "u32")
    if isinstance(c, Immediate):
        amount = c.value & 31 if "wrap" in words else min(c.value & 0xFFFFFFFF, 32)
        count, rest = w.use(Immediate(amount), "u32"), w.use(Immediate(32 - amount), "u32")
    else:
        count = w.let(
            f"{w.use(c, 'u32')} & np.uint32(31)" if "wrap" in words else f"np.minimum({w.use(c, 'u32')}, np.uint32(32))"
        )
        rest = f"(np.uint32(32) - {count})"
    if "l" in words:
        w.define(d, f"({high} << {count}) | ({low} >> {rest})", "u32")
    else:
        w.define(d, f"({low} >> {count}) | ({high} << {rest})", "u32")


# -- lookup and permute ------------------------------------------------------------------------------------------
# Functions of two bits by their truth table: bit 3 is the value for (1, 1), bit 2 for (1, 0), bit 1 for (0, 1).
_TWO = (
    "", "~({a} | {b})", "~{a} & {b}", "~{a}", "{a} & ~{b}", "~{b}", "{a} ^ {b}", "~({a} & {b})",
    "{a} & {b}", "~({a} ^ {b})", "{b}", "~{a} | {b}", "{a}", "{a} | ~{b}", "{a} | {b}", "~",
)  # fmt: skip


def _two_inputs(table: int, a: str, b: str) -> str:
    """Expression of a two-input truth table; "" for all zeros, "~" for all ones."""
    return _TWO[table].format(a=a, b=b)


def lookup(table: int, a: str, b: str, c: str) -> str:
    """Expression of a three-input truth table: f = f0 ^ (c & (f0 ^ f1)), f0 and f1 its halves for c = 0 and 1.

    Bit (4a + 2b + c) of the table is the value, as in PTX: a is 0xF0, b 0xCC, c 0xAA.
    """
    f0 = sum(((table >> (2 * i)) & 1) << i for i in range(4))
    f1 = sum(((table >> (2 * i + 1)) & 1) << i for i in range(4))
    base, change = _two_inputs(f0, a, b), _two_inputs(f0 ^ f1, a, b)
    if not change:
        return {"": f"{a} ^ {a}", "~": f"~({a} ^ {a})"}.get(base, base)
    change = c if change == "~" else f"({c} & ({change}))"
    if not base:
        return change
    return f"~{change}" if base == "~" else f"({base}) ^ {change}"


@emits("lop3")
def lop3(w: BlockWriter, ins: Instruction) -> None:
    """`lop3`: any function of three bits; `.and`/`.or` also give (d != 0) combined with a predicate."""
    words, types = form(ins, "and or")
    d, a, b, c, table, *rest = ins.operands
    if types != ["b32"] or len(words) > 1 or len(rest) != len(words) or not isinstance(table, Immediate):
        raise refuse(ins)
    names = [named(w, w.use(o, "u32")) for o in (a, b, c)]
    expression = lookup(table.value & 0xFF, *names)
    if not words:
        return w.define(d, expression, "u32")
    if not isinstance(d, Pair):
        raise refuse(ins)
    result = w.let(expression)
    flag = w.let(f"({result} != 0) {LOGIC[words.pop()]} {w.use(rest[0], 'pred')}")
    w.define(d.first, result, "u32")
    w.define(d.second, flag, "pred")


@emits("prmt")
def prmt(w: BlockWriter, ins: Instruction) -> None:
    """`prmt`: bytes of two words picked by nibbles, or by one of six modes."""
    words, types = form(ins, " ".join(PRMT_MODES))
    d, a, b, c = operands(ins, 4)
    if types != ["b32"] or len(words) > 1:
        raise refuse(ins)
    mode = words.pop() if words else ""
    if isinstance(c, Immediate):
        selector = PRMT_MODES[mode][c.value & 3] if mode else c.value & 0xFFFF
        if not selector & 0x8888:
            return w.define(d, _picked(w, selector, a, b), "u32")
        c, mode = Immediate(selector), ""
    given = ", ".join(w.use(o, "u32") for o in (a, b, c))
    w.define(d, f"nm.prmt_mode({given}, {mode!r})" if mode else f"nm.prmt({given})", "u32")


def _picked(w: BlockWriter, selector: int, a: Operand, b: Operand) -> str:
    """A constant selector without signs as masks and shifts: bytes that move together are one term."""
    terms: dict[tuple[bool, int], int] = {}
    for i in range(4):
        source = (selector >> (4 * i)) & 7
        key = (source >= 4, i - source % 4)  # (from b, bytes to move up)
        terms[key] = terms.get(key, 0) | (0xFF << (8 * i))
    texts = []
    for (second, up), mask in terms.items():
        text = w.use(b if second else a, "u32")
        if up > 0:
            text = f"({text} << np.uint32({8 * up}))"
        elif up < 0:
            text = f"({text} >> np.uint32({-8 * up}))"
        reachable = (0xFFFFFFFF << (8 * up)) & 0xFFFFFFFF if up >= 0 else 0xFFFFFFFF >> (-8 * up)
        texts.append(text if mask == reachable else f"({text} & np.uint32({mask:#x}))")
    return " | ".join(texts)


# -- fields and counts -------------------------------------------------------------------------------------------
@emits("bfe")
def bfe(w: BlockWriter, ins: Instruction) -> None:
    """`bfe`: a bit field, extended by its sign or by zero."""
    _, types = form(ins, "")
    d, a, b, c = operands(ins, 4)
    if types[0] not in ("u32", "s32", "u64", "s64"):
        raise refuse(ins)
    w.define(d, f"nm.bfe({w.use(a, types[0])}, {w.use(b, 'u32')}, {w.use(c, 'u32')})", types[0])


@emits("bfi")
def bfi(w: BlockWriter, ins: Instruction) -> None:
    """`bfi`: a bit field put into a word."""
    _, types = form(ins, "")
    f, a, b, c, d = operands(ins, 5)
    if types[0] not in ("b32", "b64"):
        raise refuse(ins)
    words = f"{w.use(a, types[0])}, {w.use(b, types[0])}"
    w.define(f, f"nm.bfi({words}, {w.use(c, 'u32')}, {w.use(d, 'u32')})", types[0])


@emits("bmsk", "szext")
def masks(w: BlockWriter, ins: Instruction) -> None:
    """`bmsk`: ones at a place; `szext`: extension from a bit."""
    words, types = form(ins, "clamp wrap")
    d, a, b = operands(ins, 3)
    if len(words) != 1 or types[0] not in (("b32",) if ins.parts[0] == "bmsk" else ("u32", "s32")):
        raise refuse(ins)
    w.define(d, f"nm.{ins.parts[0]}({w.use(a, types[0])}, {w.use(b, 'u32')}, {'clamp' in words})", types[0])


@emits("fns")
def fns(w: BlockWriter, ins: Instruction) -> None:
    """`fns d, mask, base, n`: the place of the n-th bit that is set, from the bit `base` on: upwards, or downwards for
    a negative n; 0 asks for the bit at `base` itself. All ones where there is none."""
    _, types = form(ins, "")
    d, mask, base, offset = operands(ins, 4)
    if types != ["b32"]:
        raise refuse(ins)
    w.define(d, f"nm.fns({w.use(mask, 'u32')}, {w.use(base, 'u32')}, {w.use(offset, 's32')})", "u32")


@emits("popc", "clz", "brev", "bfind")
def count(w: BlockWriter, ins: Instruction) -> None:
    """`popc`, `clz`, `bfind`: a u32 count or position; `brev`: the bits reversed."""
    words, types = form(ins, "shiftamt")
    d, a = operands(ins, 2)
    name, kind = ins.parts[0], types[0]
    allowed = ("u32", "s32", "u64", "s64") if name == "bfind" else ("b32", "b64")
    if kind not in allowed or (words and name != "bfind"):
        raise refuse(ins)
    function = "bfind_shift" if words else name
    w.define(d, f"nm.{function}({w.use(a, kind)})", kind if name == "brev" else "u32")
