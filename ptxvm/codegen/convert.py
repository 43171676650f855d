"""`cvt`, `mov` and `cvta`: from one type to another, register to register, address space to address space."""

from __future__ import annotations

import re

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.codegen.forms import INTEGERS, ROUNDINGS, form, natural, operands, value
from ptxvm.codegen.forms import WORDS as BITS
from ptxvm.types import DTYPES, Instruction, Operand, Register, Sink, Symbol, Vector, bits_of

TO_INTEGER = {"rni": "np.rint", "rzi": "np.trunc", "rmi": "np.floor", "rpi": "np.ceil"}
WORDS = f"{' '.join(ROUNDINGS)} rna {' '.join(TO_INTEGER)} ftz sat satfinite relu"
SCALARS = frozenset({"u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"})
FLOATS = frozenset({"f16", "bf16", "f32", "f64"})
LARGEST = {"f16": 65504.0, "bf16": 3.3895313892515355e38, "tf32": 3.4011621342146535e38}
EXACT = {"f16": 16, "bf16": 16, "f32": 32, "f64": 64}  # a float type holds every value of a smaller one
FP8 = {"e4m3x2": "e4m3", "e5m2x2": "e5m2"}


@emits("cvt")
def cvt(w: BlockWriter, ins: Instruction) -> None:
    """`cvt`."""
    if "pack" in ins.parts:
        return pack_integers(w, ins)
    words, types = form(ins, WORDS)
    if len(types) != 2:
        raise refuse(ins)
    target, source = types
    if target in SCALARS and source in SCALARS and words <= {"sat"}:
        d, a = operands(ins, 2)
        if "sat" in words and limits(target)[0] <= limits(source)[0] and limits(source)[1] <= limits(target)[1]:
            raise refuse(ins, "it has nothing to clamp")
        return w.define(d, integer_to_integer(w, a, target, source, "sat" in words), target)
    if target in SCALARS and source in FLOATS:
        return float_to_integer(w, ins, words, target, source)
    if target in FLOATS and (source in FLOATS or source in SCALARS):
        return to_float(w, ins, words, target, source)
    if target in ("f16x2", "bf16x2", "tf32", *FP8) or source in FP8:
        return packed(w, ins, words, target, source)
    raise refuse(ins)


# -- integers ----------------------------------------------------------------------------------------------------
def limits(kind: str) -> tuple[int, int]:
    """(smallest, largest) of an integer type."""
    bits = bits_of(kind)
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if kind[0] == "s" else (0, (1 << bits) - 1)


def integer_to_integer(w: BlockWriter, a: Operand, target: str, source: str, sat: bool) -> str:
    """Truncates, or extends as the source's sign says; `.sat` clamps."""
    text, name = w.use(a, source, not sat), f"np.{DTYPES[target].name}"
    if not sat:
        return f"{text}.astype({name})"
    (low, high), (lowest, highest) = limits(target), limits(source)
    return f"nm.saturate_int({text}, {max(low, lowest)}, {min(high, highest)}, {name})"


_PACKS = re.compile(r"cvt\.pack\.sat\.(?:([us])(16)\.s32|([us])([842])\.s32\.b32)")


def pack_integers(w: BlockWriter, ins: Instruction) -> None:
    """`cvt.pack.sat.T.s32 d, a, b{, c}`: a and b clamped to T, a above b; but for 16 bits c moves up to make room."""
    known = _PACKS.fullmatch(ins.opcode)
    if known is None:
        raise refuse(ins)
    sign, bits = known[1] or known[3], int(known[2] or known[4])
    d, a, b, *third = operands(ins, 3 if bits == 16 else 4)
    least = -(1 << bits - 1) if sign == "s" else 0
    mask = (1 << bits) - 1
    low, high = (
        f"(nm.saturate_int({w.use(o, 's32')}, {least}, {least + mask}, np.int32).view(np.uint32) & np.uint32({mask}))"
        for o in (b, a)
    )
    text = f"{low} | ({high} << np.uint32({bits}))"
    if third:
        text += f" | ({w.use(third[0], 'u32')} << np.uint32({2 * bits}))"
    w.define(d, text, "u32")


# -- floats ------------------------------------------------------------------------------------------------------
def exact(w: BlockWriter, a: Operand, source: str) -> tuple[str, str]:
    """(expression, dtype name) of a float operand as float32 or float64 without loss."""
    text = w.use(a, source)
    if source == "f16":
        return f"{text}.astype(np.float32)", "f32"
    return (f"nm.from_bf16({text})", "f32") if source == "bf16" else (text, source)


def float_to_integer(w: BlockWriter, ins: Instruction, words: set[str], target: str, source: str) -> None:
    """Rounds to a whole number and clamps. NaN: 0, or the top bit if the source is f64 or the target has 64 bits."""
    ways = words & set(TO_INTEGER)
    if len(ways) != 1 or not words <= {"ftz", "sat", *TO_INTEGER} or ("ftz" in words and source != "f32"):
        raise refuse(ins)
    if source == "bf16" and ("sat" in words or bits_of(target) == 8):
        raise refuse(ins)
    d, a = operands(ins, 2)
    text, _ = exact(w, a, source)
    if "ftz" in words:
        text = f"nm.ftz({text})"
    bits = bits_of(target)
    nan = 0
    if source == "f64" or bits == 64:
        nan = limits(target)[0] or 1 << (bits - 1)
    w.define(d, f"nm.float_to_int({TO_INTEGER[ways.pop()]}({text}), np.{DTYPES[target].name}, {nan})", target)


def to_float(w: BlockWriter, ins: Instruction, words: set[str], target: str, source: str) -> None:
    """To f16, bf16, f32 or f64 from any number, with one rounding."""
    d, a = operands(ins, 2)
    modes, whole = words & set(ROUNDINGS), words & set(TO_INTEGER)
    if len(modes) + len(whole) > 1 or "rna" in words or ("ftz" in words and "f32" not in (target, source)):
        raise refuse(ins)
    if words & {"relu", "satfinite"} and (
        target not in ("f16", "bf16") or source != "f32" or not modes <= {"rn", "rz"} or words & {"sat", "ftz"}
    ):
        raise refuse(ins)
    inexact = source in SCALARS or EXACT[source] > EXACT[target]
    widens = source not in SCALARS and EXACT[source] < EXACT[target]
    if (inexact and not modes) or (modes and (target == source or (widens and source != "bf16"))):
        raise refuse(ins)  # the opcode must say how it rounds where it may have to, and only there
    if (whole and source != target) or ("sat" in words and "bf16" in (target, source)):
        raise refuse(ins)
    mode = modes.pop() if modes else "rn"
    if source in SCALARS:
        if whole or words & {"relu", "satfinite"} or (target == "bf16" and bits_of(source) == 8):
            raise refuse(ins)
        text = from_integer(w.use(a, source), target, source, mode)
    else:
        text, wide = exact(w, a, source)
        if "ftz" in words and source == "f32":
            text = f"nm.ftz({text})"
        if whole:
            text = f"{TO_INTEGER[whole.pop()]}({text})"
        for word in ("sat", "relu", "satfinite"):
            if word in words:
                text = f"nm.satfinite({text}, {LARGEST[target]})" if word == "satfinite" else _clamp(text, word)
        text = from_float(text, target, wide, mode)
        words = words - {"sat"}
    if "sat" in words:
        text = f"nm.saturate({text})" if target != "bf16" else f"nm.to_bf16(nm.saturate(nm.from_bf16({text})))"
    if "ftz" in words and target == "f32":
        text = f"nm.ftz({text})"
    w.define(d, text, target)


def _clamp(text: str, word: str) -> str:
    return f"nm.saturate({text})" if word == "sat" else f"nm.relu({text})"


def from_float(text: str, target: str, wide: str, mode: str) -> str:
    """A float32 or float64 expression in the type `target`."""
    if target == "f64":
        return text if wide == "f64" else f"{text}.astype(np.float64)"
    if target == "f32":
        if wide == "f32":
            return text
        return f"({text}).astype(np.float32)" if mode == "rn" else f"nm.narrow32({text}, {mode!r})"
    if target == "f16":
        return f"({text}).astype(np.float16)" if mode == "rn" else f"nm.to_f16({text}, {mode!r})"
    return f"nm.{'bf16_of_f64' if wide == 'f64' else 'to_bf16'}({text}{'' if mode == 'rn' else f', {mode!r}'})"


def from_integer(text: str, target: str, source: str, mode: str) -> str:
    """An integer expression as a `target`. 64 bits do not fit in a float64: they go there rounded to odd."""
    large = bits_of(source) == 64
    if target in ("f32", "f64") and mode == "rn":
        return f"{text}.astype(np.{DTYPES[target].name})"
    if target == "f64":
        return f"nm.from_int64_mode({text}, {mode!r})" if large else f"{text}.astype(np.float64)"
    wide = f"nm.int64_odd({text})" if large else f"{text}.astype(np.float64)"
    return from_float(wide, target, "f64", mode)


def packed(w: BlockWriter, ins: Instruction, words: set[str], target: str, source: str) -> None:
    """Two values at once (a is the upper one), fp8 pairs, and tf32."""
    modes = words & {"rn", "rz", "rna"}
    if not words <= {"rn", "rz", "rna", "relu", "satfinite", "ftz"} or len(modes) != 1 or "ftz" in words:
        raise refuse(ins)
    mode, relu = modes.pop(), "relu" in words
    d, *given = ins.operands
    if source == "f32" and target in ("f16x2", "bf16x2", *FP8) and len(given) == 2:
        high, low = (w.use(o, "f32") for o in given)
        pair = f"nm.pair({low}, {high})"
    elif source == "f16x2" and target in FP8 and len(given) == 1:
        pair = f"nm.split_f16({w.use(given[0], source)})"
    elif source in FP8 and target == "f16x2" and len(given) == 1 and mode == "rn" and "satfinite" not in words:
        values = f"nm.unpack_fp8({w.use(given[0], source)}, {FP8[source]!r})"
        return w.define(d, f"nm.join16({f'nm.relu({values})' if relu else values})", target)
    elif (target, source) == ("tf32", "f32") and len(given) == 1 and not (relu and mode == "rna"):
        text = w.use(given[0], "f32")
        for word, function in (("relu", "nm.relu({})"), ("satfinite", f"nm.satfinite({{}}, {LARGEST['tf32']})")):
            text = function.format(text) if word in words else text
        return w.define(d, f"nm.to_tf32({text}, {mode!r})", "tf32")
    else:
        raise refuse(ins)
    if relu:
        pair = f"nm.relu({pair})"
    if target in FP8:
        if mode != "rn" or "satfinite" not in words:
            raise refuse(ins)
        return w.define(d, f"nm.pack_fp8({pair}, {FP8[target]!r})", target)
    if mode == "rna":
        raise refuse(ins)
    if "satfinite" in words:
        pair = f"nm.satfinite({pair}, {LARGEST[target[:-2]]})"
    w.define(d, f"nm.join_{target[:-2]}({pair}{'' if mode == 'rn' else f', {mode!r}'})", target)


# -- mov ---------------------------------------------------------------------------------------------------------
@emits("mov")
def mov(w: BlockWriter, ins: Instruction) -> None:
    """`mov`: a copy, a special register, the address of a symbol, or packing and unpacking of a vector."""
    _, types = form(ins, "")
    d, a = operands(ins, 2)
    kind = types[0]
    if len(types) != 1 or kind not in INTEGERS | BITS | {"pred", "f32", "f64"}:
        raise refuse(ins)
    if isinstance(a, Vector):
        return pack(w, ins, kind, d, a)
    if isinstance(d, Vector):
        return unpack(w, ins, kind, d, a)
    if kind != "pred" and not isinstance(a, Symbol):
        kind = natural(w, ins, kind)
    w.define(d, value(w, a, kind, True), kind)


def _parts(ins: Instruction, kind: str, vector: Vector) -> int:
    """Bits of one element of a vector operand of `mov`."""
    bits, count = bits_of(kind), len(vector.items)
    if kind not in ("b16", "b32", "b64") or bits // count not in (8, 16, 32) or bits % count or count == 1:
        raise refuse(ins)
    return bits // count


def pack(w: BlockWriter, ins: Instruction, kind: str, d: Operand, a: Vector) -> None:
    """`mov.b64 d, {x, y}`: the first element is the lowest."""
    width, name = _parts(ins, kind, a), f"np.{DTYPES[kind].name}"
    terms = []
    for i, item in enumerate(a.items):
        text = f"{w.use(item, f'b{width}')}.astype({name})"
        terms.append(f"({text} << {name}({i * width}))" if i else text)
    w.define(d, " | ".join(terms), kind)


def unpack(w: BlockWriter, ins: Instruction, kind: str, d: Vector, a: Operand) -> None:
    """`mov.b64 {x, y}, a`; elements may be `_`."""
    width, name = _parts(ins, kind, d), f"np.{DTYPES[kind].name}"
    part = f"np.uint{width}"
    source = w.let(value(w, a, kind))  # an element may be the source's own register
    for i, item in enumerate(d.items):
        if not isinstance(item, Sink):
            text = f"({source} >> {name}({i * width}))" if i else source
            w.define(item, f"{text}.astype({part})", f"b{width}")


# -- address spaces ----------------------------------------------------------------------------------------------
@emits("isspacep")
def isspacep(w: BlockWriter, ins: Instruction) -> None:
    """`isspacep.space p, a`: whether a generic address lies in a space. Global is all that no other space has."""
    d, a = operands(ins, 2)
    spaces = ("const", "global", "local", "shared", "shared::cta", "param", "param::entry")
    if len(ins.parts) != 2 or ins.parts[1] not in spaces:
        raise refuse(ins)
    w.define(d, f"rt.is_space({ins.parts[1].partition('::')[0]!r}, {value(w, a, 'u64')})", "pred")


@emits("cvta")
def cvta(w: BlockWriter, ins: Instruction) -> None:
    """`cvta.space`: an address of a space as a generic one; `cvta.to.space` back. Global, const and param: the same."""
    words, types = form(ins, "to global const param param::entry shared shared::cta local")
    d, a = operands(ins, 2)
    spaces = words - {"to"}
    if len(spaces) != 1 or types != ["u64"]:  # addresses have 64 bits
        raise refuse(ins)
    space = spaces.pop().partition("::")[0]
    text = value(w, a, types[0])
    if space in ("global", "const", "param"):
        own = natural(w, ins, types[0]) if isinstance(a, Register) else types[0]
        return w.define(d, value(w, a, own, True), own)
    w.define(d, f"rt.cvta(g, {space!r}, {text}, to={'to' in words})", types[0])
