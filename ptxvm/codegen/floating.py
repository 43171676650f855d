"""Floating-point arithmetic: add sub mul fma div rcp sqrt rsqrt ex2 lg2 sin cos tanh copysign abs neg min max.

f32 and f64 are NumPy's own. float16 and bfloat16 are computed on float32 and rounded once; packed types on arrays with
a last axis of 2. `approximate` says how near `.approx` and `.full` of f32 come to a card.
"""

from __future__ import annotations

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.codegen.forms import FLOATS, form, operands, rounding
from ptxvm.codegen.targets import too_new
from ptxvm.types import Instruction, Operand, Register

HALVES = frozenset({"f16", "f16x2", "bf16", "bf16x2"})
BFLOATS = frozenset({"bf16", "bf16x2"})
MODES = "rn rz rm rp"
UNPACK = {"bf16": "from_bf16", "bf16x2": "split_bf16", "f32x2": "split_f32"}
PACK = {"bf16": "to_bf16", "bf16x2": "join_bf16", "f32x2": "join_f32"}


def decode(w: BlockWriter, operand: Operand, kind: str, flush: bool = False) -> str:
    """An operand as the float32 or float64 array on which its type is computed; `flush` applies `.ftz`."""
    text = w.use(operand, kind)
    if kind in ("f16", "f16x2"):
        text = f"nm.split16({text}, np.float16)" if kind == "f16x2" else text
        return f"nm.ftz({text}).astype(np.float32)" if flush else f"{text}.astype(np.float32)"
    if kind in UNPACK:
        text = f"nm.{UNPACK[kind]}({text})"
    return w.once(f"nm.ftz({text})") if flush and text not in w.flushed else text


def encode(text: str, kind: str, flush: bool = False) -> str:
    """The inverse: rounds to the narrow type and packs."""
    if kind in ("f16", "f16x2"):
        text = f"({text}).astype(np.float16)"
        text = f"nm.ftz({text})" if flush else text
        return f"nm.join16({text})" if kind == "f16x2" else text
    if flush:
        text = f"nm.ftz({text})"
    return f"nm.{PACK[kind]}({text})" if kind in PACK else text


def finish(w: BlockWriter, target: Operand, text: str, words: set[str], kind: str) -> None:
    """Apply `.sat`, `.relu` and `.ftz`, and define the result."""
    if "sat" in words:
        text = f"nm.saturate({text})"
    if "relu" in words:
        text = f"nm.relu({text})"
    w.define(target, encode(text, kind, "ftz" in words), kind)
    if kind == "f32" and "ftz" in words and isinstance(target, Register) and w.guard() is None:
        w.flushed.add(w.use(target, kind))


def check(ins: Instruction, words: set[str], kind: str) -> str:
    """The rounding mode of an add, sub, mul or fma. Raises Unsupported for modifiers that the type does not take."""
    modes = words & set(MODES.split())
    if kind not in FLOATS or len(modes) > 1 or (kind in HALVES and modes - {"rn"}):
        raise refuse(ins)
    if kind == "f64" and words & {"ftz", "sat", "relu"}:
        raise refuse(ins)
    if "relu" in words and (kind not in HALVES or "sat" in words):
        raise refuse(ins)
    if (kind in BFLOATS and words & {"ftz", "sat"}) or (kind == "f32x2" and "sat" in words):
        raise refuse(ins)
    return rounding(words)


def types_of(ins: Instruction, types: list[str]) -> tuple[str, str]:
    """(type of the result and the last operand, type of the others): `add.f32.f16` mixes them."""
    if len(types) == 1:
        return types[0], types[0]
    if len(types) == 2 and types[0] == "f32" and types[1] in ("f16", "bf16") and "ftz" not in ins.parts:
        return types[0], types[1]
    raise refuse(ins)


def add_sub(w: BlockWriter, ins: Instruction) -> None:
    """`add`, `sub`."""
    words, types = form(ins, f"{MODES} ftz sat")
    kind, first = types_of(ins, types)
    mode = check(ins, words, kind)
    d, a, b = operands(ins, 3)
    flush, sign = "ftz" in words, "+" if ins.parts[0] == "add" else "-"
    x, y = decode(w, a, first, flush), decode(w, b, kind, flush)
    if mode == "rn":
        text = f"{x} {sign} {y}"
    else:
        text = f"nm.add{_width(kind)}_mode({x}, {'-' if sign == '-' else ''}{y}, {mode!r})"
    finish(w, d, text, words, kind)


def _width(kind: str) -> str:
    return "64" if kind == "f64" else "32"


def mul(w: BlockWriter, ins: Instruction) -> None:
    """`mul`."""
    words, types = form(ins, f"{MODES} ftz sat")
    kind, mode = types[0], check(ins, words, types[0])
    d, a, b = operands(ins, 3)
    if len(types) != 1:
        raise refuse(ins)
    x, y = (decode(w, o, kind, "ftz" in words) for o in (a, b))
    if kind in ("bf16", "bf16x2"):
        text = f"nm.mul_bf16({x}, {y})"
    else:
        text = f"{x} * {y}" if mode == "rn" else f"nm.mul{_width(kind)}_mode({x}, {y}, {mode!r})"
    finish(w, d, text, words, kind)


@emits("fma")
def fma(w: BlockWriter, ins: Instruction) -> None:
    """`fma`, and `mad` of floats, which is the same: one rounding."""
    words, types = form(ins, f"{MODES} ftz sat relu")
    kind, first = types_of(ins, types)
    mode = check(ins, words, kind)
    if not words & set(MODES.split()) or (ins.parts[0] == "mad" and types not in (["f32"], ["f64"])):
        raise refuse(ins)
    d, a, b, c = operands(ins, 4)
    flush = "ftz" in words
    x, y, z = decode(w, a, first, flush), decode(w, b, first, flush), decode(w, c, kind, flush)
    given = f"{x}, {y}, {z}"
    if types == ["f32"] and mode == "rn":  # the usual one; its factors are often those of other products too
        x, y = (w.once(f"{text}.astype(np.float64)") for text in (x, y))
        text = f"nm.f32_sum({x} * {y}, {z})"
    elif kind in HALVES:
        text = f"nm.fma_odd({given})"
    else:
        text = f"nm.fma{_width(kind)}({given})" if mode == "rn" else f"nm.fma{_width(kind)}_mode({given}, {mode!r})"
    finish(w, d, text, words, kind)


# -- division and roots ------------------------------------------------------------------------------------------
def div(w: BlockWriter, ins: Instruction) -> None:
    """`div`: .rn .rz .rm .rp, .full, .approx."""
    words, types = form(ins, f"{MODES} full approx ftz")
    mode = _quotient(ins, words, types, "full approx")
    d, a, b = operands(ins, 3)
    kind = types[0]
    x, y = (decode(w, o, kind, "ftz" in words) for o in (a, b))
    near = next((word for word in ("approx", "full") if word in words), None)
    if near is not None:
        text = f"nm.div_{near}({x}, {y})"
    else:
        text = f"{x} / {y}" if mode == "rn" else f"nm.div{_width(kind)}_mode({x}, {y}, {mode!r})"
    finish(w, d, text, words, kind)


def _quotient(ins: Instruction, words: set[str], types: list[str], near: str) -> str:
    """Check a division or root and return its rounding mode; the words of `near` count as rn."""
    kind = types[0]
    ways = words & set(MODES.split() + near.split())
    if len(types) != 1 or kind not in ("f32", "f64") or len(ways) != 1:
        raise refuse(ins)
    if kind == "f64" and (ways & set(near.split()) or "ftz" in words):
        raise refuse(ins)
    return rounding(words)


@emits("rcp")
def rcp(w: BlockWriter, ins: Instruction) -> None:
    """`rcp`; `.approx.ftz.f64` keeps the upper 32 bits only, as PTX says."""
    d, a = operands(ins, 2)
    if ins.parts[1:] == ("approx", "ftz", "f64"):
        return w.define(d, f"nm.rcp_approx_f64({w.use(a, 'f64')})", "f64")
    words, types = form(ins, f"{MODES} approx ftz")
    mode = _quotient(ins, words, types, "approx")
    kind = types[0]
    one = f"np.float{_width(kind)}(1)"
    x = decode(w, a, kind, "ftz" in words)
    text = f"{one} / {x}" if mode == "rn" else f"nm.div{_width(kind)}_mode(np.full((1, 1), {one}), {x}, {mode!r})"
    finish(w, d, f"nm.one_nan({text})" if "approx" in words else text, words, kind)


@emits("sqrt")
def sqrt(w: BlockWriter, ins: Instruction) -> None:
    """`sqrt`."""
    words, types = form(ins, f"{MODES} approx ftz")
    mode = _quotient(ins, words, types, "approx")
    d, a = operands(ins, 2)
    kind = types[0]
    x = decode(w, a, kind, "ftz" in words)
    text = f"np.sqrt({x})" if mode == "rn" else f"nm.sqrt{_width(kind)}_mode({x}, {mode!r})"
    finish(w, d, f"nm.one_nan({text})" if "approx" in words else text, words, kind)


@emits("rsqrt")
def rsqrt(w: BlockWriter, ins: Instruction) -> None:
    """`rsqrt.approx`."""
    words, types = form(ins, "approx ftz")
    d, a = operands(ins, 2)
    kind = types[0]
    if "approx" not in words or kind not in ("f32", "f64"):
        raise refuse(ins)
    if kind == "f64":
        x = w.use(a, kind)
        return w.define(d, f"nm.rsqrt_approx_f64({x})" if "ftz" in words else f"np.float64(1) / np.sqrt({x})", kind)
    finish(w, d, f"nm.rsqrt_approx({decode(w, a, kind, 'ftz' in words)})", words, kind)


# -- functions ---------------------------------------------------------------------------------------------------
# name -> (function of f32, function of other types on float32, types)
FUNCTIONS = {
    "ex2": ("nm.ex2_approx({x})", "np.exp2({x})", frozenset({"f32", *HALVES})),
    "lg2": ("nm.lg2_approx({x})", "", frozenset({"f32"})),
    "sin": ("nm.sine({x})", "", frozenset({"f32"})),
    "cos": ("nm.cosine({x})", "", frozenset({"f32"})),
    "tanh": ("nm.tanh_approx({x})", "np.tanh({x})", frozenset({"f32", *HALVES})),
}


@emits(*FUNCTIONS)
def function(w: BlockWriter, ins: Instruction) -> None:
    """`ex2`, `lg2`, `sin`, `cos`, `tanh` `.approx`."""
    words, types = form(ins, "approx ftz")
    name = ins.parts[0]
    single, other, kinds = FUNCTIONS[name]
    d, a = operands(ins, 2)
    if "approx" not in words or len(types) != 1 or types[0] not in kinds:
        raise refuse(ins)
    if "ftz" in words and (name == "tanh" or types[0] in ("f16", "f16x2")):
        raise refuse(ins)
    if "ftz" not in words and name == "ex2" and types[0] in BFLOATS:
        raise refuse(ins)
    text = single if types[0] == "f32" else other
    finish(w, d, text.format(x=decode(w, a, types[0], "ftz" in words)), words, types[0])


# -- signs, min, max ---------------------------------------------------------------------------------------------
SIGN_BITS = {
    "f16": (0x8000, "u16"),
    "bf16": (0x8000, "u16"),
    "f16x2": (0x80008000, "u32"),
    "bf16x2": (0x80008000, "u32"),
}


def sign(w: BlockWriter, ins: Instruction) -> None:
    """`abs`, `neg`."""
    words, types = form(ins, "ftz")
    d, a = operands(ins, 2)
    kind, negate = types[0], ins.parts[0] == "neg"
    if len(types) != 1 or (kind in ("f64", *BFLOATS) and words) or kind == "f32x2":
        raise refuse(ins)
    if kind in SIGN_BITS and not words:
        bit, raw = SIGN_BITS[kind]
        name = f"np.uint{raw[1:]}"
        mask = bit if negate else bit ^ ((1 << int(raw[1:])) - 1)
        return w.define(d, f"{w.use(a, raw)} {'^' if negate else '&'} {name}({mask:#x})", raw)
    x = decode(w, a, kind, "ftz" in words)
    w.define(d, encode(f"-{x}" if negate else f"np.abs({x})", kind), kind)


@emits("copysign")
def copysign(w: BlockWriter, ins: Instruction) -> None:
    """`copysign d, a, b`: the sign of a, the magnitude of b."""
    _, types = form(ins, "")
    d, a, b = operands(ins, 3)
    if types[0] not in ("f32", "f64"):
        raise refuse(ins)
    w.define(d, f"np.copysign({w.use(b, types[0])}, {w.use(a, types[0])})", types[0])


def min_max(w: BlockWriter, ins: Instruction) -> None:
    """`min`, `max` of two or three: the operand that is not NaN wins unless `.NaN`; -0 is below +0.

    `.xorsign.abs` takes the magnitudes and gives the result the product's sign.
    """
    words, types = form(ins, "ftz NaN xorsign abs")
    d, a, *rest = ins.operands
    kind = types[0]
    xorsign = words >= {"xorsign", "abs"}
    if len(types) != 1 or kind not in FLOATS - {"f32x2"} or (kind == "f64" and words) or not 1 <= len(rest) <= 2:
        raise refuse(ins)
    if words & {"xorsign", "abs"} and (not xorsign or len(rest) != 1):
        raise refuse(ins)
    if (kind in BFLOATS and "ftz" in words) or (len(rest) == 2 and kind != "f32"):
        raise refuse(ins)
    if len(rest) == 2 and (reason := too_new("min of three", w.target)):
        raise refuse(ins, reason)
    function = f"nm.{ins.parts[0]}imum{'_nan' if 'NaN' in words else ''}"
    values = [decode(w, o, kind, "ftz" in words) for o in (a, *rest)]
    if xorsign:
        x, y = (w.let(text) for text in values)
        return w.define(d, encode(f"nm.xorsign({function}(np.abs({x}), np.abs({y})), {x}, {y})", kind), kind)
    text = values[0]
    for other in values[1:]:
        text = f"{function}({text}, {other})"
    w.define(d, encode(text, kind), kind)
