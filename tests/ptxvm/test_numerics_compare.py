"""Are comparisons and selections right, lane by lane, NaN and signs included?"""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest

from ptxvm import numerics
from ptxvm.types import DTYPES, Immediate, Not, Pair, Register, Sink
from tests.ptxvm.lanes import RNG, Lines, expect, floats, integers, run

# -- comparisons -----------------------------------------------------------------------------------------------------
ORDER = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
UNSIGNED_NAMES = {"lo": operator.lt, "ls": operator.le, "hi": operator.gt, "hs": operator.ge}


def compared(word: str, x: float, y: float) -> bool:
    """A float comparison of the manual: the u forms are true if an operand is NaN, the others false."""
    unordered = math.isnan(x) or math.isnan(y)
    if word in ("num", "nan"):
        return unordered == (word == "nan")
    if word.endswith("u") and word != "u":
        return unordered or ORDER[word[:-1]](x, y)
    return not unordered and ORDER[word](x, y)


@pytest.mark.parametrize("kind", ["f32", "f64", "f16"])
@pytest.mark.parametrize("word", [*ORDER, *(f"{w}u" for w in ORDER), "num", "nan"])
def test_setp_of_floats(kind: str, word: str) -> None:
    a, b = floats(kind), floats(kind)
    a[:60] = b[:60]
    a[60:70], b[70:80] = np.nan, np.nan
    got = run(f"setp.{word}.{kind}", "pred", (kind, a), (kind, b))
    expect(got, [compared(word, x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)], a, b)


@pytest.mark.parametrize("kind", ["u16", "s16", "u32", "s32", "u64", "s64", "b16", "b32", "b64"])
def test_setp_of_integers(kind: str) -> None:
    a, b = integers(kind), integers(kind)
    a[:60] = b[:60]
    words = {"b": ("eq", "ne"), "s": tuple(ORDER), "u": (*ORDER, *UNSIGNED_NAMES)}[kind[0]]
    for word in words:
        got = run(f"setp.{word}.{kind}", "pred", (kind, a), (kind, b))
        reference = (ORDER | UNSIGNED_NAMES)[word]
        expect(got, [reference(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)], a, b)


def test_setp_reads_a_register_of_the_other_sign() -> None:
    """A register kept as unsigned is compared as signed, and the reverse."""
    block = Lines()
    a = block.register("s32", [-1, 1], canonical="u32")
    b = block.register("u32", [1, 1])
    p, q = block.register("pred"), block.register("pred")
    block.add("setp.lt.s32", p, a, b)
    block.add("setp.gt.u32", q, a, Immediate(1))
    get = block.run()
    assert get(p).tolist() == [[True, False]]
    assert get(q).tolist() == [[True, False]]


def test_setp_pairs_and_combinations() -> None:
    block = Lines()
    a, b = block.register("s32", [1, 2, 3, 4]), block.register("s32", [2, 2, 2, 2])
    c = block.register("pred", [True, False, True, False])
    p, q, r, s, t = (block.register("pred") for _ in range(5))
    block.add("setp.lt.and.s32", Pair(p, q), a, b, c)
    block.add("setp.ge.or.s32", r, a, b, Not(c))
    block.add("setp.eq.xor.s32", Pair(s, Sink()), a, b, c)
    block.add("setp.ltu.f32", t, block.register("f32", [math.nan, 1, 2, 3]), Immediate(2))
    get = block.run()
    assert get(p).tolist() == [[True, False, False, False]]
    assert get(q).tolist() == [[False, False, True, False]]
    assert get(r).tolist() == [[False, True, True, True]]
    assert get(s).tolist() == [[True, True, True, False]]
    assert get(t).tolist() == [[True, True, False, False]]


def test_a_guard_that_is_also_a_result() -> None:
    block = Lines()
    a = block.register("s32", [1, 5, 1, 5])
    p, q = block.register("pred", [True, True, False, False]), block.register("pred", [False] * 4)
    block.add("setp.lt.s32", Pair(p, q), a, Immediate(3), guard=p)
    get = block.run()
    assert get(p).tolist() == [[True, False, False, False]]
    assert get(q).tolist() == [[False, True, False, False]]


def test_setp_and_set_of_packed_halves() -> None:
    block = Lines()
    x = block.register("b32", np.array([[1.0, 2.0], [math.nan, 4.0]], "f2").view("u4").reshape(1, 2))
    y = block.register("b32", np.array([[1.0, 1.0], [1.0, 5.0]], "f2").view("u4").reshape(1, 2))
    p, q = block.register("pred"), block.register("pred")
    d, e, u = (block.register("b32") for _ in range(3))
    block.add("setp.eq.f16x2", Pair(p, q), x, y)
    block.add("set.eq.f16x2.f16x2", d, x, y)
    block.add("set.nan.f16x2.f16x2", e, x, y)
    block.add("set.geu.u32.f16x2", u, x, y)
    get = block.run()
    assert (get(p).tolist(), get(q).tolist()) == ([[True, False]], [[False, False]])
    assert get(d).tolist() == [[0x3C00, 0]]
    assert get(e).tolist() == [[0, 0x3C00]]
    assert get(u).tolist() == [[0xFFFFFFFF, 0xFFFF]]


def test_set() -> None:
    a, b = ("f32", [1.0, 2.0, math.nan]), ("f32", [1.0, 1.0, 1.0])
    assert run("set.gt.u32.f32", "u32", a, b).tolist() == [0, 0xFFFFFFFF, 0]
    assert run("set.gtu.s32.f32", "s32", a, b).tolist() == [0, -1, -1]
    assert run("set.eq.f32.f32", "f32", a, b).tolist() == [1.0, 0.0, 0.0]
    got = run("set.lt.or.u32.s32", "u32", ("s32", [-1, 5]), ("s32", [0, 0]), ("pred", [False, True]))
    assert got.tolist() == [0xFFFFFFFF, 0xFFFFFFFF]


# -- selection -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["b16", "b32", "b64", "f32", "f64", "pred"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (40, 1), (40, 50)])
def test_select(kind: str, shape: tuple[int, int]) -> None:
    """Every width and both paths; NaN payloads and zero signs must survive."""
    dtype = DTYPES[kind]
    raw = RNG.integers(0, 256, (40, 50 * dtype.itemsize), "u1")
    new = (raw & 1).astype(bool) if kind == "pred" else raw.view(dtype)
    old = new[::-1].copy()
    mask = RNG.integers(0, 2, shape).astype(bool)
    got = np.broadcast_to(numerics.select(mask, new, old), new.shape)
    assert got.dtype == dtype
    unsigned = f"u{dtype.itemsize}"
    assert np.array_equal(got.copy().view(unsigned), np.where(mask, new.view(unsigned), old.view(unsigned)))


def test_selp_and_slct() -> None:
    block = Lines()
    a, b = block.register("f32", [1.0, 2.0, 3.0]), block.register("f32", [-1.0, -2.0, -3.0])
    p = block.register("pred", [True, False, True])
    d, e, f, g = (block.register("f32") for _ in range(4))
    block.add("selp.b32", d, a, b, p)
    block.add("selp.f32", e, a, Immediate(0, "f32"), Not(p))
    block.add("slct.f32.f32", f, a, b, block.register("f32", [-0.0, math.nan, -1.0]))
    block.add("slct.b32.s32", g, a, b, block.register("s32", [-1, 0, 5]))
    get = block.run()
    assert get(d).tolist() == [[1.0, -2.0, 3.0]]
    assert get(e).tolist() == [[0.0, 2.0, 0.0]]
    assert get(f).tolist() == [[1.0, -2.0, -3.0]]
    assert get(g).tolist() == [[-1.0, 2.0, 3.0]]


def test_uniform_results_stay_uniform() -> None:
    block = Lines()
    n, m = block.register("s32", [[5]]), block.register("s32", [[3]])
    p = block.register("pred")
    results: list[Register] = [block.register(k) for k in ("s32", "s64", "f32", "s32", "s32", "u32")]
    block.add("setp.lt.s32", p, n, m)
    block.add("div.s32", results[0], n, m)
    block.add("mul.wide.s32", results[1], n, m)
    block.add("cvt.rn.f32.s32", results[2], n)
    block.add("selp.b32", results[3], n, m, p)
    block.add("shl.b32", results[4], n, Immediate(2))
    block.add("prmt.b32", results[5], n, m, Immediate(0x5410))
    get = block.run()
    assert [get(r).shape for r in (p, *results)] == [(1, 1)] * 7
    assert [get(r).item() for r in results] == [1, 15, 5.0, 3, 20, 5 | 3 << 16]
