"""Comparisons and selection: setp, set, testp, selp, slct."""

from __future__ import annotations

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.codegen.floating import decode
from ptxvm.codegen.forms import FLOATS, INTEGERS, WORDS, form, named, natural, operands
from ptxvm.types import DTYPES, Instruction, Operand, Pair, Register, Sink

# Comparison -> expression. Floats: the first group is false, the second true if an operand is NaN.
ORDERED = {
    "eq": "{a} == {b}", "ne": "({a} < {b}) | ({a} > {b})", "lt": "{a} < {b}", "le": "{a} <= {b}",
    "gt": "{a} > {b}", "ge": "{a} >= {b}", "num": "({a} == {a}) & ({b} == {b})",
}  # fmt: skip
UNORDERED = {
    "equ": "~(({a} < {b}) | ({a} > {b}))", "neu": "{a} != {b}", "ltu": "~({a} >= {b})", "leu": "~({a} > {b})",
    "gtu": "~({a} <= {b})", "geu": "~({a} < {b})", "nan": "({a} != {a}) | ({b} != {b})",
}  # fmt: skip
SIGNED = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
UNSIGNED = SIGNED | {"lo": "<", "ls": "<=", "hi": ">", "hs": ">="}
BITS = {"eq": "==", "ne": "!="}
LOGIC = {"and": "&", "or": "|", "xor": "^"}
COMPARISONS = " ".join(ORDERED | UNORDERED | UNSIGNED)
# Result types of `set` for the sources that do not take all of SET_TARGETS.
SET_TARGETS = {"u32", "s32", "f32", "f16", "bf16"}
NARROW_SET_TARGETS = {
    "f16": {"u16", "s16", "u32", "s32", "f16", "bf16"},
    "bf16": {"u16", "s16", "u32", "s32", "bf16"},
    "f16x2": {"f16x2", "u32", "s32"},
    "bf16x2": {"bf16x2", "u32", "s32"},
}


def comparison(w: BlockWriter, ins: Instruction, words: set[str], kind: str, a: Operand, b: Operand) -> tuple[str, str]:
    """(expression of the comparison, its LOGIC word or ""). Packed types have a last axis of 2."""
    compares, joins = words & set(COMPARISONS.split()), words & set(LOGIC)
    if len(compares) != 1 or len(joins) > 1:
        raise refuse(ins)
    word, join = compares.pop(), joins.pop() if joins else ""
    if kind in FLOATS:
        text = (ORDERED | UNORDERED).get(word)
        if text is None or kind == "f32x2" or ("ftz" in words and kind not in ("f32", "f16", "f16x2")):
            raise refuse(ins)
        flush = "ftz" in words
        x, y = (decode(w, o, kind, flush) for o in (a, b))
        if text.count("{a}") > 1:
            x, y = named(w, x), named(w, y)
        return text.format(a=x, b=y), join
    table = {"b": BITS, "s": SIGNED, "u": UNSIGNED}.get(kind[0], {})
    if word not in table or "ftz" in words or kind not in INTEGERS | WORDS:
        raise refuse(ins)
    own = kind
    if word in BITS and isinstance(a, Register):  # equality does not care about sign
        own = w.dtypes.get(a.name, kind)
        if own in FLOATS or own == "pred" or DTYPES[own].itemsize != DTYPES[kind].itemsize:
            own = kind
    return f"{w.use(a, own, True)} {table[word]} {w.use(b, own, True)}", join


@emits("setp")
def setp(w: BlockWriter, ins: Instruction) -> None:
    """`setp`: p = compare, q = not compare, each combined with c. Packed types: p is the lower half."""
    words, types = form(ins, f"{COMPARISONS} and or xor ftz")
    d, a, b, *rest = ins.operands
    text, join = comparison(w, ins, words, types[0], a, b)
    if len(types) != 1 or len(rest) != (1 if join else 0):
        raise refuse(ins)
    tail = f" {LOGIC[join]} {w.use(rest[0], 'pred')}" if join else ""
    if types[0] in ("f16x2", "bf16x2"):
        both = w.let(text)
        first, second = f"{both}[..., 0]{tail}", f"{both}[..., 1]{tail}"
    elif isinstance(d, Pair):
        first = w.let(text)
        first, second = f"{first}{tail}", f"~{first}{tail}"
    else:
        return w.define(d, f"({text}){tail}" if tail else text, "pred")
    if not isinstance(d, Pair) or types[0] in ("f16", "bf16"):
        raise refuse(ins)
    predicates(w, [(d.first, first), (d.second, second)])


def predicates(w: BlockWriter, results: list[tuple[Operand, str]]) -> None:
    """Define several predicates of one instruction; none may change what the other, or the guard, still reads."""
    kept = [(target, w.let(text)) for target, text in results if not isinstance(target, Sink)]
    guard = w.guard()
    last = [r for r in kept if guard and isinstance(r[0], Register) and w.read(r[0]) in guard]
    for target, name in [r for r in kept if r not in last] + last:
        w.define(target, name, "pred")


@emits("set")
def set_value(w: BlockWriter, ins: Instruction) -> None:
    """`set`: all ones or 0 in an integer, 1.0 or 0.0 in a float; f16x2 and bf16x2 per half."""
    words, types = form(ins, f"{COMPARISONS} and or xor ftz")
    if len(types) != 2:
        raise refuse(ins)
    target, source = types
    if target not in NARROW_SET_TARGETS.get(source, SET_TARGETS) or (target == "bf16" and "ftz" in words):
        raise refuse(ins)
    d, a, b, *rest = ins.operands
    text, join = comparison(w, ins, words, source, a, b)
    if len(rest) != (1 if join else 0):
        raise refuse(ins)
    packed = source in ("f16x2", "bf16x2")
    if join:
        predicate = w.use(rest[0], "pred")
        text = f"({text}) {LOGIC[join]} {f'({predicate})[..., None]' if packed else predicate}"
    w.define(d, _truth(text, target, packed), "u32" if packed else target)  # packed: raw bits, whatever the type's sign


def _truth(text: str, target: str, packed: bool) -> str:
    """A bool expression as a value of the type `target`."""
    if packed:
        one = {"f16x2": "0x3C00", "bf16x2": "0x3F80"}.get(target, "0xFFFF")
        return f"nm.join16(({text}) * np.uint16({one}))"
    if target == "bf16":
        return f"({text}) * np.uint16(0x3F80)"
    cast = f"({text}).astype(np.{DTYPES[target].name})"
    return cast if target in FLOATS else f"-({cast})"


@emits("testp")
def testp(w: BlockWriter, ins: Instruction) -> None:
    """`testp`: finite, infinite, number, notanumber, normal (zeros too), subnormal."""
    words, types = form(ins, "finite infinite number notanumber normal subnormal")
    d, a = operands(ins, 2)
    if len(words) != 1 or types[0] not in ("f32", "f64"):
        raise refuse(ins)
    x = w.use(a, types[0])
    word = words.pop()
    plain = {
        "finite": "np.isfinite({})",
        "infinite": "np.isinf({})",
        "number": "~np.isnan({})",
        "notanumber": "np.isnan({})",
    }
    w.define(d, plain[word].format(x) if word in plain else f"nm.is_{word}({x})", "pred")


@emits("selp")
def selp(w: BlockWriter, ins: Instruction) -> None:
    """`selp`: a where the predicate, else b."""
    _, types = form(ins, "")
    d, a, b, p = operands(ins, 4)
    if types[0] not in INTEGERS | WORDS | {"f32", "f64"}:
        raise refuse(ins)
    kind = natural(w, ins, types[0])
    w.define(d, f"nm.select({w.use(p, 'pred')}, {w.use(a, kind)}, {w.use(b, kind)})", kind)


@emits("slct")
def slct(w: BlockWriter, ins: Instruction) -> None:
    """`slct`: a where c >= 0 (-0 counts, NaN does not), else b."""
    words, types = form(ins, "ftz")
    d, a, b, c = operands(ins, 4)
    if (
        len(types) != 2
        or types[1] not in ("s32", "f32")
        or (words and types[1] != "f32")
        or types[0] not in INTEGERS | WORDS | {"f32", "f64"}
    ):
        raise refuse(ins)
    kind = natural(w, ins, types[0])
    test = decode(w, c, "f32", "ftz" in words) if types[1] == "f32" else w.use(c, "s32")
    w.define(d, f"nm.select({test} >= 0, {w.use(a, kind)}, {w.use(b, kind)})", kind)
