"""Are floating-point instructions rounded once, in the right direction, with the right zeros, against fractions?"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ptxvm.errors import Unsupported
from ptxvm.types import DTYPES, Immediate
from tests.ptxvm.lanes import MODES, RNG, Lines, expect_floats, floats, hidden_ties, rounded, run


def fma(a: float, b: float, c: float, kind: str, mode: str = "rn") -> float:
    """a * b + c with one rounding."""
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        # only the kind of result matters; a finite product must not overflow here
        product = (
            math.copysign(1, a) * math.copysign(1, b) if a and b and math.isfinite(a) and math.isfinite(b) else a * b
        )
        return product + c
    zero = c if math.copysign(1, a) * math.copysign(1, b) == math.copysign(1, c) else (-1.0 if mode == "rm" else 1.0)
    return rounded(Fraction(a) * Fraction(b) + Fraction(c), kind, mode, zero)


def add(a: float, b: float, kind: str, mode: str = "rn") -> float:
    return fma(a, 1.0, b, kind, mode)


def mul(a: float, b: float, kind: str, mode: str = "rn") -> float:
    return fma(a, b, math.copysign(0.0, math.copysign(1, a) * math.copysign(1, b)), kind, mode)


def div(a: float, b: float, kind: str, mode: str = "rn") -> float:
    sign = math.copysign(1, a) * math.copysign(1, b)
    if math.isnan(a) or math.isnan(b) or (a == 0 and b == 0) or (math.isinf(a) and math.isinf(b)):
        return math.nan
    if b == 0 or math.isinf(a):
        return math.copysign(math.inf, sign)
    return math.copysign(0.0, sign) if math.isinf(b) else rounded(Fraction(a) / Fraction(b), kind, mode, sign)


def sqrt(a: float, kind: str, mode: str = "rn") -> float:
    if a == 0 or math.isnan(a) or a == math.inf:
        return a
    if a < 0:
        return math.nan
    # 200 bits of the root, and one sticky bit below
    x = Fraction(a)
    shift = 400 + 2 * x.denominator.bit_length()
    scaled = (x.numerator << shift) // x.denominator
    root = math.isqrt(scaled)
    exact = root * root == scaled and (x.numerator << shift) % x.denominator == 0
    return rounded(Fraction(2 * root + (not exact), 1 << (shift // 2 + 1)), kind, mode)


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("opcode", "reference"), [("add", add), ("mul", mul), ("div", div)])
def test_binary(opcode: str, reference: Callable[..., float], kind: str, mode: str) -> None:
    a, b = floats(kind), floats(kind)
    near = slice(0, 60)
    with np.errstate(all="ignore"):
        b[near] = np.nextafter(-a[near], np.inf).astype(a.dtype)  # cancellation
    a[60:90] = -b[60:90]
    got = run(f"{opcode}.{mode}.{kind}", kind, (kind, a), (kind, b))
    expect_floats(got, [reference(x, y, kind, mode) for x, y in zip(a.tolist(), b.tolist(), strict=True)], a, b)
    if opcode == "add":
        got = run(f"sub.{mode}.{kind}", kind, (kind, a), (kind, b))
        expect_floats(got, [add(x, -y, kind, mode) for x, y in zip(a.tolist(), b.tolist(), strict=True)], a, b)


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("mode", MODES)
def test_fma(kind: str, mode: str) -> None:
    a, b, c = floats(kind), floats(kind), floats(kind)
    with np.errstate(all="ignore"):
        c[:150] = -(a[:150] * b[:150])  # the error of the product is all that remains
    ties = hidden_ties(kind)
    a, b, c = (np.concatenate(pair) for pair in zip((a, b, c), ties, strict=True))
    got = run(f"fma.{mode}.{kind}", kind, (kind, a), (kind, b), (kind, c))
    lanes = zip(a.tolist(), b.tolist(), c.tolist(), strict=True)
    expect_floats(got, [fma(x, y, z, kind, mode) for x, y, z in lanes], a, b, c)


def test_hidden_ties_are_hidden_ties() -> None:
    """The inputs above do catch two roundings."""
    a, b, c = hidden_ties("f32")
    twice = (a.astype("f8") * b.astype("f8") + c.astype("f8")).astype("f4")
    once = [fma(x, y, z, "f32") for x, y, z in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)]
    assert sum(x != y for x, y in zip(twice.tolist(), once, strict=True)) > 40


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("mode", MODES)
def test_roots_and_reciprocals(kind: str, mode: str) -> None:
    a = floats(kind)
    a[:100] = np.abs(a[:100])
    a[:30] = np.square(np.rint(RNG.standard_normal(30) * 1000)).astype(a.dtype)  # exact roots
    expect_floats(run(f"sqrt.{mode}.{kind}", kind, (kind, a)), [sqrt(x, kind, mode) for x in a.tolist()], a)
    expect_floats(run(f"rcp.{mode}.{kind}", kind, (kind, a)), [div(1.0, x, kind, mode) for x in a.tolist()], a)


def flush(x: float, limit: float = 2.0**-126) -> float:
    return math.copysign(0.0, x) if abs(x) < limit else x


def clamp(x: float) -> float:
    return min(x, 1.0) if x > 0 else 0.0


def test_ftz_and_sat() -> None:
    a, b, c = floats("f32"), floats("f32"), floats("f32")
    lanes = list(zip(a.tolist(), b.tolist(), c.tolist(), strict=True))
    given = (("f32", a), ("f32", b))
    got = run("add.ftz.f32", "f32", *given)
    expect_floats(got, [flush(add(flush(x), flush(y), "f32")) for x, y, _ in lanes], a, b)
    got = run("mul.rz.ftz.f32", "f32", *given)
    expect_floats(got, [flush(mul(flush(x), flush(y), "f32", "rz")) for x, y, _ in lanes], a, b)
    got = run("fma.rn.ftz.sat.f32", "f32", *given, ("f32", c))
    expect_floats(got, [flush(clamp(fma(flush(x), flush(y), flush(z), "f32"))) for x, y, z in lanes], a, b, c)
    got = run("sub.sat.f32", "f32", *given)
    expect_floats(got, [clamp(add(x, -y, "f32")) for x, y, _ in lanes], a, b)
    assert sum(flush(x) != x for x in a.tolist()) > 50  # there was something to flush


def test_fma_of_uniform_values_stays_uniform() -> None:
    block = Lines()
    a, b, c = (block.register("f32", [[v]]) for v in (2.0, 3.0, 1.0))
    d = block.register("f32")
    block.add("fma.rn.f32", d, a, b, c)
    assert block.run()(d).tolist() == [[7.0]]
    column = block.register("f32", np.arange(3.0)[:, None])
    row = block.register("f32", np.arange(4.0)[None, :])
    block.add("fma.rn.f32", d, column, row, c)
    assert block.run()(d).tolist() == [[i * j + 1.0 for j in range(4)] for i in range(3)]


# -- min and max -------------------------------------------------------------------------------------------------
def extreme(a: float, b: float, name: str, nan: bool = False) -> float:
    if math.isnan(a) or math.isnan(b):
        return math.nan if nan or (math.isnan(a) and math.isnan(b)) else (b if math.isnan(a) else a)
    order = sorted((a, b), key=lambda v: (v, math.copysign(1, v)))
    return order[0] if name == "min" else order[1]


@pytest.mark.parametrize("name", ["min", "max"])
@pytest.mark.parametrize("kind", ["f32", "f64", "f16"])
@pytest.mark.parametrize("word", ["", ".NaN"])
def test_min_max(name: str, kind: str, word: str) -> None:
    a, b = floats(kind), floats(kind)
    a[:40], b[:40] = RNG.choice([0.0, -0.0], 40), RNG.choice([0.0, -0.0], 40)
    if word and kind == "f64":
        with pytest.raises(Unsupported):
            run(f"{name}{word}.{kind}", kind, (kind, a), (kind, b))
        return
    got = run(f"{name}{word}.{kind}", kind, (kind, a), (kind, b))
    expect_floats(got, [extreme(x, y, name, bool(word)) for x, y in zip(a.tolist(), b.tolist(), strict=True)], a, b)


def test_signalling_nan_loses_in_every_lane() -> None:
    for n in range(1, 40):
        signalling = np.full(n, 0x7F800001, "u4").view("f4")
        assert run("max.f32", "f32", ("f32", signalling), ("f32", np.ones(n))).tolist() == [1.0] * n
        assert run("min.f32", "f32", ("f32", np.ones(n)), ("f32", signalling)).tolist() == [1.0] * n


def test_min_of_three_and_xorsign() -> None:
    a, b, c = ([1.0, 5.0, -2.0, math.nan], [3.0, -4.0, -2.5, 2.0], [2.0, 0.5, 7.0, 1.0])
    assert run("min.f32", "f32", ("f32", a), ("f32", b), ("f32", c)).tolist() == [1.0, -4.0, -2.5, 1.0]
    got = run("min.xorsign.abs.f32", "f32", ("f32", a), ("f32", b)).tolist()
    assert got == [1.0, -4.0, 2.0, 2.0]


def test_large_min_max_keeps_zero_signs() -> None:
    """Large arrays take another path in `select`."""
    a = RNG.choice([0.0, -0.0, 1.0, -1.0, math.nan], 3000)
    b = RNG.choice([0.0, -0.0, 1.0, -1.0, math.nan], 3000)
    got = run("max.f32", "f32", ("f32", a), ("f32", b))
    expect_floats(got, [extreme(x, y, "max") for x, y in zip(a.tolist(), b.tolist(), strict=True)], a, b)


# -- approximate functions ---------------------------------------------------------------------------------------
def near(got: Any, want: Any, relative: float) -> None:
    assert got.dtype == np.float32
    assert np.all(np.abs(got.astype("f8") - want) <= relative * np.abs(want) + 1e-44)


def test_functions_are_within_the_manual_error() -> None:
    x = RNG.standard_normal(500).astype("f4") * 8
    wide = x.astype("f8")
    near(run("ex2.approx.f32", "f32", ("f32", x)), np.exp2(wide), 2.0**-22)
    near(run("ex2.approx.ftz.f32", "f32", ("f32", x)), np.exp2(wide), 2.0**-22)
    positive = np.abs(x) + np.float32(2)
    near(run("lg2.approx.f32", "f32", ("f32", positive)), np.log2(positive.astype("f8")), 2.0**-22)
    near(run("rsqrt.approx.ftz.f32", "f32", ("f32", positive)), positive.astype("f8") ** -0.5, 2.0**-22.9)
    near(run("sqrt.approx.f32", "f32", ("f32", positive)), np.sqrt(positive.astype("f8")), 2.0**-23)
    near(run("rcp.approx.f32", "f32", ("f32", x)), 1 / wide, 2.0**-23)
    near(run("div.full.f32", "f32", ("f32", x), ("f32", positive)), wide / positive, 2.0**-22)
    near(run("div.approx.ftz.f32", "f32", ("f32", x), ("f32", positive)), wide / positive, 2.0**-22)
    near(run("tanh.approx.f32", "f32", ("f32", x)), np.tanh(wide), 2.0**-11)
    small = (x / 8).astype("f4")
    assert np.abs(run("sin.approx.f32", "f32", ("f32", small)) - np.sin(small.astype("f8"))).max() < 2.0**-20
    assert np.abs(run("cos.approx.ftz.f32", "f32", ("f32", small)) - np.cos(small.astype("f8"))).max() < 2.0**-20


@pytest.mark.parametrize(
    ("opcode", "values", "want"),
    [
        ("ex2.approx.f32", [-math.inf, -0.0, math.inf, -200.0], [0.0, 1.0, math.inf, 0.0]),
        ("ex2.approx.ftz.f32", [-127.0, -126.0], [0.0, 2.0**-126]),
        ("lg2.approx.f32", [0.0, -0.0, 1.0, -1.0, math.inf], [-math.inf, -math.inf, 0.0, math.nan, math.inf]),
        ("rsqrt.approx.f32", [0.0, -0.0, math.inf, -1.0], [math.inf, -math.inf, 0.0, math.nan]),
        (
            "rcp.approx.ftz.f32",
            [0.0, -0.0, math.inf, -math.inf, 2.0**127, 2.0**-149],
            [math.inf, -math.inf, 0.0, -0.0, 0.0, math.inf],
        ),
        ("sin.approx.ftz.f32", [-0.0, math.inf, -(2.0**-140)], [-0.0, math.nan, -0.0]),
        ("tanh.approx.f32", [math.inf, -math.inf, -0.0], [1.0, -1.0, -0.0]),
        ("sqrt.approx.ftz.f32", [-0.0, 2.0**-140, -1.0], [-0.0, 0.0, math.nan]),
        ("neg.ftz.f32", [2.0**-140, 0.0, 1.0], [-0.0, -0.0, -1.0]),
        ("abs.f32", [-0.0, -1.5, -math.inf], [0.0, 1.5, math.inf]),
    ],
)
def test_special_values(opcode: str, values: list[float], want: list[float]) -> None:
    expect_floats(run(opcode, "f32", ("f32", values)), want, values)


def test_gross_f64_reciprocal_has_only_an_upper_word() -> None:
    x = floats("f64")
    got = run("rcp.approx.ftz.f64", "f64", ("f64", x))
    normal = np.isfinite(x) & (np.abs(x) > 2.0**-1000) & (np.abs(x) < 2.0**1000)
    assert not (got[normal].view("u8") & 0xFFFFFFFF).any()
    assert np.all(np.abs(got[normal] * x[normal] - 1) < 2.0**-19)
    assert run("rcp.approx.ftz.f64", "f64", ("f64", [0.0, -math.inf, 1e-310])).tolist() == [math.inf, 0.0, math.inf]
    y = np.abs(x[normal])
    root = run("rsqrt.approx.ftz.f64", "f64", ("f64", y))
    assert np.all(np.abs(root * np.sqrt(y) - 1) < 2.0**-19)


def test_copysign_takes_the_sign_of_the_first() -> None:
    got = run("copysign.f32", "f32", ("f32", [-0.0, 2.0, -math.nan]), ("f32", [3.0, -4.0, 5.0])).tolist()
    assert got == [-3.0, 4.0, -5.0]


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_testp(kind: str) -> None:
    tiny = float(np.finfo(DTYPES[kind]).smallest_subnormal)
    x = (kind, [1.0, -0.0, tiny, math.inf, math.nan])
    table = {
        "finite": [1, 1, 1, 0, 0], "infinite": [0, 0, 0, 1, 0], "number": [1, 1, 1, 1, 0],
        "notanumber": [0, 0, 0, 0, 1], "normal": [1, 1, 0, 0, 0], "subnormal": [0, 0, 1, 0, 0],
    }  # fmt: skip
    for word, want in table.items():
        assert run(f"testp.{word}.{kind}", "pred", x).tolist() == [bool(v) for v in want]


# -- float16, bfloat16 and packed types --------------------------------------------------------------------------
def bf16_bits(x: float) -> int:
    return 0x7FFF if math.isnan(x) else int(np.float32(x).view(np.uint32)) >> 16


def bf16(n: int = 300) -> Any:
    """Random bfloat16 numbers as float32."""
    raw = np.concatenate(
        [RNG.integers(0, 1 << 16, n), RNG.integers(0, 256, 40), [0, 0x8000, 0x7F80, 0xFF80, 0x7FC0, 0x3F80]]
    )
    edges = RNG.integers(0x3E00, 0x4200, n)
    return (RNG.permutation(np.concatenate([raw, edges])).astype("u4") << 16).view("f4")


def raw_halves(kind: str, x: Any) -> Any:
    return x.view("u4").__rshift__(16).astype("u2") if kind == "bf16" else x.view("u2")


def numbers(kind: str, raw: Any) -> Any:
    return (raw.astype("u4") << 16).view("f4") if kind == "bf16" else raw.astype("u2").view("f2")


def relu(x: float) -> float:
    return 0.0 if x <= 0 else x


HALF_OPERATIONS: dict[str, tuple[int, Callable[..., float]]] = {
    "add": (2, add), "sub": (2, lambda x, y, k: add(x, -y, k)), "mul": (2, mul), "fma.rn": (3, fma),
    "min": (2, lambda x, y, k: extreme(x, y, "min")), "max": (2, lambda x, y, k: extreme(x, y, "max")),
    "neg": (1, lambda x, k: -x), "abs": (1, lambda x, k: abs(x)),
    "fma.rn.relu": (3, lambda x, y, z, k: relu(fma(x, y, z, k))),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["f16", "bf16"])
@pytest.mark.parametrize("opcode", HALF_OPERATIONS)
def test_half_precision(kind: str, opcode: str) -> None:
    count, reference = HALF_OPERATIONS[opcode]
    values = [bf16() if kind == "bf16" else floats("f16") for _ in range(count)]
    n = min(v.size for v in values) // 2 * 2
    values = [v[:n] for v in values]
    if opcode == "fma.rn" and kind == "f16":
        values = [np.concatenate(p) for p in zip(values, hidden_ties("f16"), strict=True)]
    raws = [raw_halves(kind, v) for v in values]
    want = [reference(*lane, kind) for lane in zip(*(v.tolist() for v in values), strict=True)]
    got = run(f"{opcode}.{kind}", "b16", *(("b16", r) for r in raws))
    expect_floats(numbers(kind, got), want, *values)
    pairs = [("b32", np.ascontiguousarray(r).view("u4")) for r in raws]
    packed = run(f"{opcode}.{kind}x2", "b32", *pairs)
    expect_floats(numbers(kind, np.ascontiguousarray(packed).view("u2")), want, *values)


def test_bf16_nan_is_canonical() -> None:
    assert run("add.bf16", "b16", ("b16", [0x7F80]), ("b16", [0xFF80])).tolist() == [0x7FFF]


def test_half_ftz_and_functions() -> None:
    a, b = floats("f16"), floats("f16")
    got = run("add.ftz.f16", "f16", ("f16", a), ("f16", b))
    limit = 2.0**-14
    lanes = zip(a.tolist(), b.tolist(), strict=True)
    expect_floats(got, [flush(add(flush(x, limit), flush(y, limit), "f16"), limit) for x, y in lanes], a, b)
    x = (RNG.standard_normal(64) * 3).astype("f2")
    got = run("ex2.approx.f16", "f16", ("f16", x))
    assert np.allclose(got.astype("f8"), np.exp2(x.astype("f8")), rtol=2.0**-10, atol=0)
    got = run("tanh.approx.f16x2", "b32", ("b32", x.view("u4"))).view("f2")
    assert np.allclose(got.astype("f8"), np.tanh(x.astype("f8")), rtol=2.0**-10, atol=0)
    got = run("ex2.approx.ftz.bf16x2", "b32", ("b32", np.array([0x3F80C000], "u4")))
    assert got.tolist() == [0x40003E80]  # 2^1 above 2^-2


def test_packed_f32() -> None:
    a, b, c = (floats("f32") for _ in range(3))
    n = a.size // 2 * 2
    a, b, c = a[:n], b[:n], c[:n]
    given = [("b64", np.ascontiguousarray(x).view("u8")) for x in (a, b, c)]
    lanes = list(zip(a.tolist(), b.tolist(), c.tolist(), strict=True))
    got = run("fma.rn.f32x2", "b64", *given).view("f4")
    expect_floats(got, [fma(x, y, z, "f32") for x, y, z in lanes], a, b, c)
    for opcode, reference in (("add", add), ("mul", mul), ("sub", lambda x, y, k: add(x, -y, k))):
        got = run(f"{opcode}.f32x2", "b64", *given[:2]).view("f4")
        expect_floats(got, [reference(x, y, "f32") for x, y, _ in lanes], a, b)


def test_packed_types_broadcast() -> None:
    """One operand varies by block, the other by thread."""
    block = Lines()
    a = block.register("b32", np.array([[0x3C003C00], [0x40003C00]], "u4"))  # {1, 1}, {1, 2}
    b = block.register("b32", np.array([[0x3C003C00, 0x44004200, 0]], "u4"))  # {1, 1}, {3, 4}, {0, 0}
    d = block.register("b32")
    block.add("add.f16x2", d, a, b)
    assert block.run()(d).view("f2").tolist() == [[2, 2, 4, 5, 1, 1], [2, 3, 4, 6, 1, 2]]


def test_mixed_precision() -> None:
    a, b = floats("f16"), floats("f32")
    n = min(a.size, b.size)
    a, b = a[:n], b[:n]
    lanes = list(zip(a.tolist(), b.tolist(), strict=True))
    got = run("sub.rn.f32.f16", "f32", ("f16", a), ("f32", b))
    expect_floats(got, [add(x, -y, "f32") for x, y in lanes], a, b)
    got = run("fma.rn.f32.f16", "f32", ("f16", a), ("f16", a), ("f32", b))
    expect_floats(got, [fma(x, x, y, "f32") for x, y in lanes], a, b)


@pytest.mark.parametrize(
    "opcode",
    ["add.rn.sat.f64", "fma.f32x4", "div.f32", "div.approx.f64", "mul.rz.f16", "ex2.f32", "add.rn.rz.f32", "sqrt.f32"],
)
def test_forms_that_are_not_ptx_are_refused(opcode: str) -> None:
    with pytest.raises(Unsupported):
        run(opcode, "f32", ("f32", [1.0]), ("f32", [1.0]), Immediate(0))
