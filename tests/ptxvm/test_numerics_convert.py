"""Are conversions and moves right, lane by lane, against exact references?"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ptxvm.errors import Unsupported
from ptxvm.types import DTYPES, Immediate, Sink, Special, Symbol, Vector
from tests.ptxvm.lanes import MODES, RNG, Lines, expect, expect_floats, floats, integers, rounded, run, wrap

INTEGERS = ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64")


# -- integers ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("target", "source"), list(itertools.product(INTEGERS, INTEGERS)))
def test_integer_to_integer(target: str, source: str) -> None:
    a = integers(source)
    expect(run(f"cvt.{target}.{source}", target, (source, a)), [wrap(x, target) for x in a.tolist()], a)
    limits, given = np.iinfo(DTYPES[target]), np.iinfo(DTYPES[source])
    if limits.min <= given.min and given.max <= limits.max:
        with pytest.raises(Unsupported, match="nothing to clamp"):
            run(f"cvt.sat.{target}.{source}", target, (source, a))
        return
    want = [max(int(limits.min), min(int(limits.max), x)) for x in a.tolist()]
    expect(run(f"cvt.sat.{target}.{source}", target, (source, a)), want, a)


def test_narrow_types_in_wide_registers() -> None:
    """`cvt.s32.s8` reads the low byte of a 16-bit register and `cvt.u8.u32` writes one, extended."""
    block = Lines()
    source, small, out = block.register("u16", [0x1280, 0xFF7F]), block.register("s16"), block.register("s32")
    block.add("cvt.s32.s8", out, source)
    block.add("cvt.s8.s32", small, out)
    get = block.run()
    assert get(out).tolist() == [[-128, 127]]
    assert get(small).tolist() == [[-128, 127]]


@pytest.mark.parametrize(
    ("target", "source"),
    [p for p in itertools.product(("f16", "bf16", "f32", "f64"), INTEGERS) if p[0] != "bf16" or p[1][1:] != "8"],
)
@pytest.mark.parametrize("mode", MODES)
def test_integer_to_float(target: str, source: str, mode: str) -> None:
    a = integers(source, 60)
    if DTYPES[source].itemsize == 8:  # one beside the middle between two float32 or bfloat16
        ties = (1 << np.arange(40, 63, dtype="i8")) + (1 << np.arange(15, 38, dtype="i8")) + 1
        a = np.concatenate([a, ties.astype(a.dtype), (ties - 2).astype(a.dtype)])
    got = run(f"cvt.{mode}.{target}.{source}", target, (source, a))
    want = [rounded(Fraction(x), target, mode) for x in a.tolist()]
    expect_floats((got.astype("u4") << 16).view("f4") if target == "bf16" else got, want, a)


WHOLE = {"rni": lambda x: round(Fraction(x)), "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}


@pytest.mark.parametrize("source", ["f16", "f32", "f64"])
@pytest.mark.parametrize("target", INTEGERS)
@pytest.mark.parametrize("mode", WHOLE)
def test_float_to_integer(target: str, source: str, mode: str) -> None:
    a = floats(source)
    limits = np.iinfo(DTYPES[target])
    with np.errstate(all="ignore"):
        edges = np.array(
            [limits.max, limits.min, float(limits.max) + 1, 2.0**31, 2.0**63, -(2.0**63), 0.5, 1.5, -0.5, -1.5]
        )
        a = np.concatenate(
            [a, edges.astype(a.dtype), (RNG.standard_normal(80) * float(limits.max) * 0.7).astype(a.dtype)]
        )
    top = int(limits.min) or 1 << (limits.bits - 1)
    want = []
    for x in a.tolist():
        if math.isnan(x):
            want.append(top if source == "f64" or limits.bits == 64 else 0)
        elif math.isinf(x):
            want.append(int(limits.max if x > 0 else limits.min))
        else:
            want.append(max(int(limits.min), min(int(limits.max), WHOLE[mode](x))))
    expect(run(f"cvt.{mode}.{target}.{source}", target, (source, a)), want, a)


def test_float_to_integer_from_bf16_and_ftz() -> None:
    assert run("cvt.rni.s32.bf16", "s32", ("u16", [0x4020, 0xC060, 0x7FC0])).tolist() == [2, -4, 0]  # 2.5, -3.5, NaN
    assert run("cvt.rpi.ftz.s32.f32", "s32", ("f32", [1e-40, 1e-30])).tolist() == [0, 1]


# -- floats --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("target", "source"), [("f16", "f32"), ("f16", "f64"), ("bf16", "f32"), ("bf16", "f64"), ("f32", "f64")]
)
@pytest.mark.parametrize("mode", MODES)
def test_narrowing(target: str, source: str, mode: str) -> None:
    a = floats(source)
    bits = {"f16": 11, "bf16": 8, "f32": 24}[target]
    ties = (1 + (2 * RNG.integers(0, 1 << (bits - 1), 300) + 1) * 2.0**-bits) * 2.0 ** RNG.integers(-4, 5, 300)
    with np.errstate(all="ignore"):
        beside = np.nextafter(ties.astype(a.dtype), RNG.choice([np.inf, -np.inf], ties.size).astype(a.dtype))
        a = np.concatenate(
            [a, ties.astype(a.dtype), beside, (a * 2.0**-14).astype(a.dtype), (a * 2.0**10).astype(a.dtype)]
        )
    want = [rounded(Fraction(x), target, mode, x) if math.isfinite(x) else x for x in a.tolist()]
    want = [math.copysign(v, x) if v == 0 else v for v, x in zip(want, a.tolist(), strict=True)]
    got = run(f"cvt.{mode}.{target}.{source}", target, (source, a))
    expect_floats((got.astype("u4") << 16).view("f4") if target == "bf16" else got, want, a)


def test_widening_is_exact() -> None:
    a = np.arange(1 << 16, dtype="u2")
    expect_floats(run("cvt.f32.f16", "f32", ("u16", a)), a.view("f2").astype("f4").tolist(), a)
    expect_floats(run("cvt.f64.f16", "f64", ("u16", a)), a.view("f2").astype("f8").tolist(), a)
    expect_floats(run("cvt.f32.bf16", "f32", ("u16", a)), (a.astype("u4") << 16).view("f4").tolist(), a)
    b = floats("f32")
    expect_floats(run("cvt.f64.f32", "f64", ("f32", b)), b.tolist(), b)
    want = [rounded(Fraction(x), "bf16") if math.isfinite(x) else x for x in a.view("f2").tolist()]
    got = run("cvt.rn.bf16.f16", "u16", ("u16", a))
    want = [math.copysign(v, x) if v == 0 else v for v, x in zip(want, a.view("f2").tolist(), strict=True)]
    expect_floats((got.astype("u4") << 16).view("f4"), want, a)


@pytest.mark.parametrize(
    ("opcode", "values", "want"),
    [
        ("cvt.rni.f32.f32", [0.5, 1.5, -0.5, 2.5, -2.5, math.inf], [0.0, 2.0, -0.0, 2.0, -2.0, math.inf]),
        ("cvt.rmi.f32.f32", [1.7, -1.2, -0.0], [1.0, -2.0, -0.0]),
        ("cvt.rpi.ftz.f32.f32", [1.2, -0.7, 1e-40], [2.0, -0.0, 0.0]),
        ("cvt.rzi.f32.f32", [1.7, -1.7], [1.0, -1.0]),
        ("cvt.sat.f32.f32", [-1.0, 0.25, 7.0, math.nan], [0.0, 0.25, 1.0, 0.0]),
        ("cvt.ftz.sat.f32.f32", [1e-40, 0.5], [0.0, 0.5]),
        ("cvt.ftz.f32.f32", [-1e-40, 2.0], [-0.0, 2.0]),
    ],
)
def test_same_type_conversions(opcode: str, values: list[float], want: list[float]) -> None:
    expect_floats(run(opcode, "f32", ("f32", values)), want, values)


def test_clamping_conversions_to_half() -> None:
    values = ("f32", [1e6, -1e6, -1.0, math.inf, 0.5])
    assert run("cvt.rn.satfinite.f16.f32", "f16", values).tolist() == [65504, -65504, -1, 65504, 0.5]
    assert run("cvt.rn.relu.f16.f32", "f16", values).tolist() == [math.inf, 0, 0, math.inf, 0.5]
    assert run("cvt.rn.relu.bf16.f32", "u16", values).tolist() == [0x4974, 0, 0, 0x7F80, 0x3F00]
    assert run("cvt.rn.sat.f16.f32", "f16", values).tolist() == [1, 0, 0, 1, 0.5]


# -- packed, fp8, tf32 -----------------------------------------------------------------------------------------------
def test_packed_conversion_puts_the_first_operand_on_top() -> None:
    high, low = ("f32", [1.0, -2.0]), ("f32", [0.5, 70000.0])
    assert run("cvt.rn.f16x2.f32", "b32", high, low).tolist() == [0x3C003800, 0xC0007C00]
    assert run("cvt.rz.f16x2.f32", "b32", high, low).tolist() == [0x3C003800, 0xC0007BFF]
    assert run("cvt.rn.relu.f16x2.f32", "b32", high, low).tolist() == [0x3C003800, 0x00007C00]
    assert run("cvt.rn.bf16x2.f32", "b32", high, low).tolist() == [0x3F803F00, 0xC0004789]
    assert run("cvt.rz.bf16x2.f32", "b32", high, low).tolist() == [0x3F803F00, 0xC0004788]


def fp8_values(kind: str) -> dict[int, float]:
    """Code -> value of the finite codes, from the definition of the format."""
    mantissa, bias = (3, 7) if kind == "e4m3" else (2, 15)
    found = {}
    for code in range(128):
        exponent, fraction = code >> mantissa, code & ((1 << mantissa) - 1)
        if (kind == "e4m3" and code == 0x7F) or (kind == "e5m2" and exponent == 31):
            continue
        size = (
            2.0**-mantissa * fraction * 2.0 ** (1 - bias)
            if exponent == 0
            else (1 + fraction * 2.0**-mantissa) * 2.0 ** (exponent - bias)
        )
        found[code] = size
    return found


@pytest.mark.parametrize("kind", ["e4m3", "e5m2"])
def test_fp8(kind: str) -> None:
    values = fp8_values(kind)
    codes = np.arange(1 << 16, dtype="u2")
    got = run(f"cvt.rn.f16x2.{kind}x2", "b32", ("u16", codes)).view("f2").reshape(-1, 2)
    for code in range(256):
        size = values.get(code & 0x7F, math.inf if kind == "e5m2" and code & 0x7F == 0x7C else math.nan)
        want = -size if code & 0x80 else size
        assert np.array_equal(got[codes & 0xFF == code][:, 0], np.full(256, want), equal_nan=True)
        assert np.array_equal(got[codes >> 8 == code][:, 1], np.full(256, want), equal_nan=True)
    # nearest, ties to the even code, clamped at the largest
    sizes = sorted(values.values())
    points = [
        *sizes,
        *((a + b) / 2 for a, b in itertools.pairwise(sizes)),
        *((a + b) / 2 * 1.001 for a, b in itertools.pairwise(sizes)),
    ]
    points += [*((a + b) / 2 * 0.999 for a, b in itertools.pairwise(sizes)), 1e30, math.inf, 460.0, 480.0, 464.0]
    given = np.array(points + [-p for p in points], "f4")
    packed = run(f"cvt.rn.satfinite.{kind}x2.f32", "u16", ("f32", given), ("f32", given[::-1].copy()))
    by_size = sorted((v, c) for c, v in values.items())
    for x, y, both in zip(given.tolist(), given[::-1].tolist(), packed.tolist(), strict=True):
        for number, code in ((x, both >> 8), (y, both & 0xFF)):
            distance = min(abs(abs(number) - v) for v, _ in by_size) if abs(number) <= by_size[-1][0] else None
            near = (
                [c for v, c in by_size if abs(abs(number) - v) == distance]
                if distance is not None
                else [by_size[-1][1]]
            )
            want = next(c for c in near if len(near) == 1 or c % 2 == 0)
            assert code == want | (0x80 if math.copysign(1, number) < 0 else 0), number
    assert run(f"cvt.rn.satfinite.{kind}x2.f32", "u16", ("f32", [math.nan]), ("f32", [-math.nan])).tolist() == [0x7F7F]
    assert run(f"cvt.rn.satfinite.relu.{kind}x2.f32", "u16", ("f32", [-3.0]), ("f32", [1.0]))[0] >> 8 == 0
    halves = np.array([1.0, -2.0], "f2").view("u4")
    one = next(c for c, v in values.items() if v == 1.0)
    two = next(c for c, v in values.items() if v == 2.0)
    assert run(f"cvt.rn.satfinite.{kind}x2.f16x2", "u16", ("b32", halves)).tolist() == [(two | 0x80) << 8 | one]


@pytest.mark.parametrize("mode", ["rna", "rn", "rz"])
def test_tf32(mode: str) -> None:
    a = floats("f32")
    a[:60] = ((1 + np.arange(60) * 2.0**-11) * RNG.choice([-1, 1], 60)).astype("f4")  # ties
    a = np.concatenate([a[np.isfinite(a)], [np.float32(np.inf)]])
    got = run(f"cvt.{mode}.tf32.f32", "b32", ("f32", a)).view("f4")
    want = [rounded(Fraction(x), "tf32", mode, x) if math.isfinite(x) else x for x in a.tolist()]
    expect_floats(got, want, a)
    assert run(f"cvt.{mode}.tf32.f32", "b32", ("f32", [math.nan])).tolist() == [0x7FFFFFFF]


def test_pack_of_integers() -> None:
    a, b = ("s32", [70000, -5, 3]), ("s32", [-70000, 300, -1])
    assert run("cvt.pack.sat.s16.s32", "b32", a, b).tolist() == [0x7FFF8000, 0xFFFB012C, 0x0003FFFF]
    assert run("cvt.pack.sat.u16.s32", "b32", a, b).tolist() == [0xFFFF0000, 0x0000012C, 0x00030000]
    got = run("cvt.pack.sat.u8.s32.b32", "b32", a, b, ("b32", [0xABCD, 1, 0xFFFFFFFF]))
    assert got.tolist() == [0xABCDFF00, 0x000100FF, 0xFFFF0300]


@pytest.mark.parametrize(
    "opcode",
    [
        "cvt.f32.s32x",
        "cvt.s32.f32",
        "cvt.rn.e4m3x2.f32",
        "cvt.rs.f16x2.f32",
        "cvt.rn.rz.f32.f64",
        "cvt.rni.relu.s32.f32",
    ],
)
def test_other_conversions_are_refused(opcode: str) -> None:
    with pytest.raises(Unsupported):
        run(opcode, "b32", ("f32", [1.0]), ("f32", [1.0]))


# -- mov -------------------------------------------------------------------------------------------------------------
def test_mov_packs_and_unpacks() -> None:
    block = Lines()
    halves = [block.register("u16", [v]) for v in (0x1111, 0x2222, 0x3333, 0x4444)]
    word, wide, bits = block.register("f32"), block.register("s64"), block.register("u32", [0xA1B2C3D4])
    low, high, top = block.register("u16"), block.register("f32"), block.register("u16")
    pieces = [block.register("s16") for _ in range(4)]
    block.add("mov.b32", word, Vector((halves[0], halves[1])))
    block.add("mov.b64", wide, Vector(tuple(halves)))
    block.add("mov.b64", Vector((Sink(), high)), wide)
    block.add("mov.b32", Vector((low, top)), bits)
    block.add("mov.b64", Vector(tuple(pieces)), wide)
    get = block.run()
    assert get(word).view("u4").tolist() == [[0x22221111]]
    assert get(wide).tolist() == [[0x4444333322221111]]
    assert get(high).view("u4").tolist() == [[0x44443333]]
    assert (get(low).tolist(), get(top).tolist()) == ([[0xC3D4]], [[0xA1B2]])
    assert [get(p).item() for p in pieces] == [0x1111, 0x2222, 0x3333, 0x4444]


def test_mov_may_unpack_into_its_own_source() -> None:
    block = Lines()
    a, b = block.register("u32", [5]), block.register("u32", [6])
    wide = block.register("b64")
    block.add("mov.b64", wide, Vector((a, b)))
    block.add("mov.b64", Vector((b, a)), wide)
    get = block.run()
    assert (get(a).item(), get(b).item()) == (6, 5)


def test_mov_of_literals() -> None:
    block = Lines()
    f, r, d, p, q = (block.register(k) for k in ("f32", "u32", "f64", "pred", "pred"))
    block.add("mov.b32", f, Immediate(0x3F800000))
    block.add("mov.b32", r, Immediate(0x40000000, "f32"))
    block.add("mov.f64", d, Immediate(0x4008000000000000, "f64"))
    block.add("mov.pred", p, Immediate(-1))
    block.add("mov.pred", q, Immediate(0))
    get = block.run()
    assert [get(x).item() for x in (f, r, d, p, q)] == [1.0, 0x40000000, 3.0, True, False]


class Runtime:
    """What generated moves ask of the machine."""

    @property
    def who(self) -> Runtime:
        return self

    def special(self, g: Any, name: str) -> Any:
        return np.array([[7, 8]], "u4") if name == "%tid.x" else np.array([[1 << 33]], "u8")

    def address_of(self, name: str, offset: int) -> Any:
        return np.array([[{"table": 512}[name] + offset]], "u8")

    def cvta(self, g: Any, space: str, address: Any, to: bool) -> Any:
        window = np.uint64({"shared": 1 << 40, "local": 1 << 41}[space])
        return address - window if to else address + window


def test_mov_of_special_registers_and_symbols_and_cvta() -> None:
    block = Lines()
    t, clock, a, small, s, back, same = (block.register(k) for k in ("s32", "u64", "s64", "u32", "u64", "u64", "s64"))
    block.add("mov.u32", t, Special("%tid.x"))
    block.add("mov.u64", clock, Special("%clock64"))
    block.add("mov.u64", a, Symbol("table", 8))
    block.add("mov.u32", small, Symbol("table"))
    block.add("cvta.shared.u64", s, a)
    block.add("cvta.to.shared.u64", back, s)
    block.add("cvta.to.global.u64", same, a)
    get = block.run(Runtime())
    assert get(t).tolist() == [[7, 8]]
    assert [get(r).item() for r in (clock, a, small, s, back, same)] == [1 << 33, 520, 512, 520 + (1 << 40), 520, 520]
