"""Floating-point arithmetic, comparisons and conversions: the second half of the forms that act on one lane."""

from __future__ import annotations

from tests.ptxvm.lane_forms import BITS, INTEGER, INTEGERS, Form, Reference, each, literal, plain
from tests.ptxvm.scalar import evaluate
from tests.ptxvm.scalar.results import Result

PACKED = {"f16x2": "b32", "bf16x2": "b32", "f32x2": "b64"}
HALVES = "{f16 f16x2 bf16 bf16x2}"
ROUND = "{- .rn .rz .rm .rp}"
DIRECTED = "{rn rz rm rp}"


def special(pattern: str, *inputs: str) -> list[Form]:
    """Forms of functions whose operands are drawn where the function is interesting."""
    return [Form(o, (o.split(".")[-1],), inputs) for o in each(pattern)]


FLOATING = [
    *plain("{add sub mul}" + ROUND + "{- .ftz}{- .sat}.f32", 2),
    *plain("{add sub mul}" + ROUND + ".f64", 2),
    *plain("{add sub mul}" + ROUND + "{- .ftz}.f32x2", 2),
    *plain("{add sub mul}{- .rn}{- .ftz}{- .sat}.{f16 f16x2}", 2),
    *plain("{add sub mul}{- .rn}.{bf16 bf16x2}", 2),
    *(Form(o, ("f32",), (o.split(".")[-1], "f32")) for o in each("{add sub}" + ROUND + "{- .sat}.f32.{f16 bf16}")),
    *plain("{fma mad}." + DIRECTED + "{- .ftz}{- .sat}.f32", 3),
    *plain("{fma mad}." + DIRECTED + ".f64", 3),
    *plain("fma." + DIRECTED + "{- .ftz}.f32x2", 3),
    *plain("fma.rn{- .ftz}{- .sat .relu}.{f16 f16x2}", 3),
    *plain("fma.rn{- .relu}.{bf16 bf16x2}", 3),
    *(
        Form(o, ("f32",), (k := o.split(".")[-1], k, "f32"))
        for o in each("fma." + DIRECTED + "{- .sat}.f32.{f16 bf16}")
    ),
    *plain("div." + DIRECTED + "{- .ftz}.f32", 2),
    *plain("div." + DIRECTED + ".f64", 2),
    *plain("div.{full approx}{- .ftz}.f32", 2),
    *plain("{rcp sqrt}." + DIRECTED + "{- .ftz}.f32", 1),
    *plain("{rcp sqrt}." + DIRECTED + ".f64", 1),
    *plain("{rcp sqrt rsqrt}.approx{- .ftz}.f32", 1),
    *plain("{rcp rsqrt}.approx.ftz.f64", 1),
    *plain("rsqrt.approx.f64", 1),
    *special("ex2.approx{- .ftz}.f32", "exponent"),
    *(Form(o, (k := o.split(".")[-1],), (k,)) for o in each("ex2.approx{.f16 .f16x2 .ftz.bf16 .ftz.bf16x2}")),
    *special("lg2.approx{- .ftz}.f32", "f32"),
    *special("{sin cos}.approx{- .ftz}.f32", "angle"),
    *special("tanh.approx.f32", "exponent"),
    *plain("tanh.approx." + HALVES, 1),
    *plain("{abs neg}{- .ftz}.{f32 f16 f16x2}", 1),
    *plain("{abs neg}.{f64 bf16 bf16x2}", 1),
    *plain("copysign.{f32 f64}", 2),
    *plain("{min max}{- .ftz}{- .NaN}{- .xorsign.abs}.{f32 f16 f16x2}", 2),
    *plain("{min max}{- .NaN}{- .xorsign.abs}.{bf16 bf16x2}", 2),
    *(Form(o, ("f32",), ("f32",) * 3, note="of three") for o in each("{min max}{- .ftz}{- .NaN}.f32")),
    *plain("{min max}.f64", 2),
    literal("add.f32", "f32", ("f32",), "0f3DCCCCCD", 0x3DCCCCCD),
    literal("mul.f64", "f64", ("f64",), "0d3FB999999999999A", 0x3FB999999999999A),
    literal("max.f32", "f32", ("f32",), "0f00000000", 0),
]


# -- comparisons -----------------------------------------------------------------------------------------------------
ORDERED, UNORDERED = "eq ne lt le gt ge", "equ neu ltu leu gtu geu num nan"
FLOAT_COMPARES = f"{{{ORDERED} {UNORDERED}}}"


def compares(pattern: str, results: int = 1, join: bool = False, negated: bool = False) -> list[Form]:
    """`setp` with one or two results; with a predicate to join, negated or not."""
    forms = []
    for opcode in each(pattern):
        base, *words = opcode.split(".")
        kind = words[-1]
        target = "|".join(f"{{d{i}}}" for i in range(results))
        line = f"{opcode} {target}, {{a0}}, {{a1}}{(', !{a2}' if negated else ', {a2}') if join else ''};"
        reference: Reference | None = None
        if negated:
            reference = _with_negated(base, tuple(words))
        inputs = (kind, kind, "pred") if join else (kind, kind)
        note = "two results" * (results == 2) + " !c" * negated
        forms.append(Form(opcode, ("pred",) * results, inputs, (line,), reference, note))
    return forms


def _with_negated(base: str, words: tuple[str, ...]) -> Reference:
    return lambda a, b, c: evaluate(base, words, a, b, 1 - c)


def sets(pattern: str, join: bool = False) -> list[Form]:
    forms = []
    for opcode in each(pattern):
        target, source = opcode.split(".")[-2:]
        forms.append(Form(opcode, (target,), (source, source, "pred") if join else (source, source)))
    return forms


def slcts(pattern: str) -> list[Form]:
    forms = []
    for opcode in each(pattern):
        kind, test = opcode.split(".")[-2:]
        bits = f"b{kind[1:]}"  # copied whatever the type says, so NaN keep their bits
        forms.append(Form(opcode, (bits,), (bits, bits, test)))
    return forms


COMPARE = [
    *compares(f"setp.{{{ORDERED}}}.{{{' '.join(INTEGERS)}}}"),
    *compares("setp.{lo ls hi hs}.{u16 u32 u64}"),
    *compares("setp.{eq ne}.{b16 b32 b64}"),
    *compares("setp.{eq ne}.{s32 b32}", 2),
    *compares("setp.{lt ge}.{u16 s32 u64}", 2),
    *compares("setp.{eq lt ge}.{and or xor}.{s32 u64}", join=True),
    *compares("setp.lt.{and or xor}.s32", 2, join=True, negated=True),
    *compares(f"setp.{FLOAT_COMPARES}{{- .ftz}}.{{f32 f16}}"),
    *compares(f"setp.{FLOAT_COMPARES}.{{f64 bf16}}"),
    *compares(f"setp.{FLOAT_COMPARES}{{- .ftz}}.f16x2", 2),
    *compares(f"setp.{FLOAT_COMPARES}.bf16x2", 2),
    *compares("setp.{lt neu}.f32", 2),
    *compares("setp.{lt geu}.{and or xor}{- .ftz}.f32", join=True),
    *compares("setp.gt.{and or xor}.f64", join=True, negated=True),
    *compares("setp.{le nan}.{and or xor}.{f16x2 bf16x2}", 2, join=True),
    *sets("set.{eq ne lt le gt ge}.{u32 s32 f32}.{u16 s16 u32 s32 u64 s64}"),
    *sets("set.{lo hs}.{u32 f32}.u32"),
    *sets("set.{eq ne}.{u32 s32 f32}.{b16 b32 b64}"),
    *sets("set.{lt geu num}{- .ftz}.{u32 s32 f32}.f32"),
    *sets("set.{gt equ nan}.{u32 s32 f32}.f64"),
    *sets(f"set.{FLOAT_COMPARES}.f16x2.f16x2"),
    *sets("set.{eq ltu nan}{- .ftz}.{u32 s32 u16 s16 f16}.f16"),
    *sets("set.{gt neu}.{u32 s32}.f16x2"),
    *sets("set.{le num}.{u16 s16 u32 s32 bf16}.bf16"),
    *sets("set.{ge nan}.{u32 s32 bf16x2}.bf16x2"),
    *sets("set.lt.{f16 bf16}.{s32 u16 f32}"),
    *sets("set.lt.{and or xor}.{u32 f32}.{s32 f32}", join=True),
    *sets("set.gt.{and or xor}.f16x2.f16x2", join=True),
    *(
        Form(o, ("pred",), (o.split(".")[-1],))
        for o in each("testp.{finite infinite number notanumber normal subnormal}.{f32 f64}")
    ),
    *(
        Form(o, (bits,), (bits, bits, "pred"))
        for o in each("selp.{b16 b32 b64 u16 u32 u64 s16 s32 s64 f32 f64}")
        for bits in [f"b{o[-2:]}"]
    ),
    *slcts("slct.{b16 b32 b64 u16 u32 u64 s16 s32 s64 f32 f64}.{s32 f32}"),
    *slcts("slct.ftz.{b16 b32 b64 u16 u32 u64 s16 s32 s64 f32 f64}.f32"),
]


# -- conversions -----------------------------------------------------------------------------------------------------
def conversions(pattern: str) -> list[Form]:
    """`cvt` of one value. 8-bit results stand extended in a register of 32 bits."""
    forms = []
    for opcode in each(pattern):
        words = opcode.split(".")
        target, source = words[-2:]
        if target[1:] == "8":
            forms.append(Form(opcode, ("b32",), (source,), (), _extended(tuple(words[1:]), target)))
        else:
            forms.append(Form(opcode, (target,), (source,)))
    return forms


def _extended(words: tuple[str, ...], target: str) -> Reference:
    def reference(a: int) -> tuple[Result, ...]:
        (byte,) = evaluate("cvt", words, a)
        assert isinstance(byte, int)
        return (byte | 0xFFFFFF00 if target == "s8" and byte >> 7 else byte,)

    return reference


def pairs(pattern: str) -> list[Form]:
    return [Form(o, (o.split(".")[-2],), ("f32", "f32")) for o in each(pattern)]


WHOLE = "{rni rzi rmi rpi}"
INTS = "{u8 s8 u16 s16 u32 s32 u64 s64}"
WIDE_INTS = "{u16 s16 u32 s32 u64 s64}"


def may_clamp(target: str, source: str) -> bool:
    """Whether the source type has values that the target type lacks; only then is there a `.sat`."""
    bits, from_bits = int(target[1:]), int(source[1:])
    if target[0] == source[0]:
        return from_bits > bits
    return source[0] == "s" or from_bits >= bits


CONVERT = [
    *conversions(f"cvt.{INTS}.{INTS}"),
    *(form for form in conversions(f"cvt.sat.{INTS}.{INTS}") if may_clamp(*form.opcode.split(".")[2:])),
    *conversions(f"cvt.{DIRECTED}.{{f16 f32 f64}}.{INTS}"),
    *conversions(f"cvt.{DIRECTED}.bf16.{WIDE_INTS}"),
    *conversions(f"cvt.{DIRECTED}.sat.{{f16 f32 f64}}.{INTS}"),
    *conversions(f"cvt.{DIRECTED}.ftz{{- .sat}}.f32.{INTS}"),
    *conversions(f"cvt.{WHOLE}{{- .sat}}.{INTS}.{{f16 f32 f64}}"),
    *conversions(f"cvt.{WHOLE}.{WIDE_INTS}.bf16"),
    *conversions(f"cvt.{WHOLE}.ftz{{- .sat}}.{INTS}.f32"),
    *conversions(f"cvt.{WHOLE}{{- .sat}}.{{f16.f16 f32.f32 f64.f64}}"),
    *conversions(f"cvt.{WHOLE}.bf16.bf16"),
    *conversions(f"cvt.{WHOLE}.ftz{{- .sat}}.f32.f32"),
    *conversions(f"cvt.{DIRECTED}{{- .sat}}.{{f16.f32 f16.f64 f32.f64}}"),
    *conversions(f"cvt.{DIRECTED}.ftz{{- .sat}}.{{f16.f32 f32.f64}}"),
    *conversions(f"cvt.{DIRECTED}{{- .ftz}}.{{bf16.f32 f32.bf16}}"),
    *conversions(f"cvt.{DIRECTED}.{{bf16.f64 f64.bf16 f16.bf16 bf16.f16}}"),
    *conversions("cvt.{f16.bf16 bf16.f16 bf16.bf16 f32.bf16 f64.bf16}"),
    *conversions("cvt{- .sat}.{f32.f16 f64.f16 f64.f32 f16.f16 f32.f32 f64.f64}"),
    *conversions("cvt.ftz{- .sat}.{f32.f32 f32.f16 f64.f32}"),
    *conversions("cvt.ftz.f32.bf16"),
    *conversions("cvt.{rn rz}{.relu .satfinite .relu.satfinite}.{f16 bf16}.f32"),
    *conversions("cvt.rna{- .satfinite}.tf32.f32"),
    *conversions("cvt.{rn rz}{- .satfinite}{- .relu}.tf32.f32"),
    *pairs("cvt.{rn rz}{- .relu}{- .satfinite}.{f16x2 bf16x2}.f32"),
    *pairs("cvt.rn.satfinite{- .relu}.{e4m3x2 e5m2x2}.f32"),
    *conversions("cvt.rn.satfinite{- .relu}.{e4m3x2 e5m2x2}.f16x2"),
    *conversions("cvt.rn{- .relu}.f16x2.{e4m3x2 e5m2x2}"),
    *(Form(o, ("b32",), ("s32", "s32")) for o in each("cvt.pack.sat.{u16 s16}.s32")),
    *(Form(o, ("b32",), ("s32", "s32", "b32")) for o in each("cvt.pack.sat.{u8 s8 u4 s4 u2 s2}.s32.b32")),
    *(
        Form(o, (bits,), (bits,))
        for o in each("mov.{b16 b32 b64 u16 u32 u64 s16 s32 s64 f32 f64 pred}")
        for bits in ["pred" if o.endswith("pred") else f"b{o[-2:]}"]
    ),
    Form("mov.b32", ("b32",), ("b16", "b16"), ("mov.b32 {d0}, {{{a0}, {a1}}};",), lambda a, b: (a | b << 16,), "pack"),
    Form("mov.b64", ("b64",), ("b32", "b32"), ("mov.b64 {d0}, {{{a0}, {a1}}};",), lambda a, b: (a | b << 32,), "pack"),
    Form(
        "mov.b64",
        ("b64",),
        ("b16",) * 4,
        ("mov.b64 {d0}, {{{a0}, {a1}, {a2}, {a3}}};",),
        lambda a, b, c, d: (a | b << 16 | c << 32 | d << 48,),
        "pack of four",
    ),
    Form(
        "mov.b32",
        ("b16", "b16"),
        ("b32",),
        ("mov.b32 {{{d0}, {d1}}}, {a0};",),
        lambda a: (a & 0xFFFF, a >> 16),
        "unpack",
    ),
    Form(
        "mov.b64",
        ("b32", "b32"),
        ("b64",),
        ("mov.b64 {{{d0}, {d1}}}, {a0};",),
        lambda a: (a & 0xFFFFFFFF, a >> 32),
        "unpack",
    ),
    Form("mov.b64", ("b32",), ("b64",), ("mov.b64 {{_, {d0}}}, {a0};",), lambda a: (a >> 32,), "unpack to a sink"),
    Form("mov.u32", ("b32",), (), ("mov.u32 {d0}, -5;",), lambda: (0xFFFFFFFB,), "literal"),
    Form("mov.f32", ("b32",), (), ("mov.f32 {d0}, 0f7FC12345;",), lambda: (0x7FC12345,), "literal"),
    Form("mov.b64", ("b64",), (), ("mov.b64 {d0}, 0x8000000000000001;",), lambda: (0x8000000000000001,), "literal"),
    Form("mov.pred", ("pred",), (), ("mov.pred {d0}, -1;",), lambda: (1,), "literal"),
]

# Every comparison with every way to join a predicate and every pair of types: the rest of what the emitters take.
ALL_COMPARES = [
    *compares(f"setp.{{{ORDERED}}}.{{and or xor}}.{{{' '.join(INTEGERS)}}}", join=True),
    *compares("setp.{lo ls hi hs}.{and or xor}.{u16 u32 u64}", join=True),
    *compares("setp.{eq ne}.{and or xor}.{b16 b32 b64}", join=True),
    *compares(f"setp.{FLOAT_COMPARES}.{{and or xor}}{{.f32 .f64 .f16 .bf16 .ftz.f32 .ftz.f16}}", join=True),
    *compares(f"setp.{FLOAT_COMPARES}.{{and or xor}}{{.f16x2 .bf16x2 .ftz.f16x2}}", 2, join=True),
    *(
        form
        for join in ("", ".{and or xor}")
        for pattern in (
            f"set.{{{ORDERED}}}{join}.{{u32 s32 f32 f16 bf16}}.{{{' '.join(INTEGERS)}}}",
            f"set.{{lo ls hi hs}}{join}.{{u32 s32 f32 f16 bf16}}.{{u16 u32 u64}}",
            f"set.{{eq ne}}{join}.{{u32 s32 f32 f16 bf16}}.{{b16 b32 b64}}",
            f"set.{FLOAT_COMPARES}{join}.{{u32 s32 f32 f16 bf16}}.{{f32 f64}}",
            f"set.{FLOAT_COMPARES}{join}.ftz.{{u32 s32 f32 f16}}.f32",
            f"set.{FLOAT_COMPARES}{join}{{- .ftz}}.{{u16 s16 u32 s32 f16}}.f16",
            f"set.{FLOAT_COMPARES}{join}.bf16.f16",
            f"set.{FLOAT_COMPARES}{join}.{{u16 s16 u32 s32 bf16}}.bf16",
            f"set.{FLOAT_COMPARES}{join}{{- .ftz}}.{{f16x2 u32 s32}}.f16x2",
            f"set.{FLOAT_COMPARES}{join}.{{bf16x2 u32 s32}}.bf16x2",
        )
        for form in sets(pattern, join=bool(join))
    ),
]

LANE_FORMS: tuple[Form, ...] = (*INTEGER, *BITS, *FLOATING, *COMPARE, *CONVERT)
