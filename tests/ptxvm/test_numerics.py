"""Are integer instructions of the virtual GPU right, bit for bit, against Python integers?

Each test writes instructions with the real emitters, runs the generated lines on arrays and compares each lane.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ptxvm import numerics
from ptxvm.codegen import bits as bits_module
from ptxvm.types import DTYPES, Immediate, Pair, Register
from tests.ptxvm.lanes import RNG, Lines, expect, integers, run, wrap


# -- integers --------------------------------------------------------------------------------------------------------
def truncated(a: int, b: int) -> int:
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q


def high(a: int, b: int, kind: str) -> int:
    return (a * b) >> (8 * DTYPES[kind].itemsize)


BINARY: dict[str, tuple[tuple[str, ...], Callable[[int, int, str], int]]] = {
    "add": (("u16", "s16", "u32", "s32", "u64", "s64"), lambda a, b, k: a + b),
    "sub": (("u16", "s16", "u32", "s32", "u64", "s64"), lambda a, b, k: a - b),
    "mul.lo": (("u16", "s16", "u32", "s32", "u64", "s64"), lambda a, b, k: a * b),
    "mul.hi": (("u16", "s16", "u32", "s32", "u64", "s64"), high),
    "min": (("u16", "s16", "u32", "s32", "u64", "s64"), lambda a, b, k: min(a, b)),
    "max": (("u16", "s16", "u32", "s32", "u64", "s64"), lambda a, b, k: max(a, b)),
    "div": (("u16", "s16", "u32", "s32", "u64", "s64"), lambda a, b, k: truncated(a, b) if b else -1),
    "rem": (("u16", "s16", "u32", "s32", "u64", "s64"), lambda a, b, k: a - b * truncated(a, b) if b else a),
    "and": (("b16", "b32", "b64"), lambda a, b, k: a & b),
    "or": (("b16", "b32", "b64"), lambda a, b, k: a | b),
    "xor": (("b16", "b32", "b64"), lambda a, b, k: a ^ b),
    "mul24.lo": (("u32", "s32"), lambda a, b, k: low24(a, k) * low24(b, k)),
    "mul24.hi": (("u32", "s32"), lambda a, b, k: (low24(a, k) * low24(b, k)) >> 16),
}


def low24(a: int, kind: str) -> int:
    a &= 0xFFFFFF
    return a - (1 << 24) if kind == "s32" and a >> 23 else a


@pytest.mark.parametrize(("opcode", "kind"), [(o, k) for o, (kinds, _) in BINARY.items() for k in kinds])
def test_integer_binary(opcode: str, kind: str) -> None:
    a, b = integers(kind), integers(kind)
    got = run(f"{opcode}.{kind}", kind, (kind, a), (kind, b))
    reference = BINARY[opcode][1]
    expect(got, [wrap(reference(int(x), int(y), kind), kind) for x, y in zip(a, b, strict=True)], a, b)


def test_division_by_zero_does_not_warn() -> None:
    """Warnings are errors here, and this is outside the machine that silences NumPy."""
    a, b = np.array([[7, -7, 6]], "i4"), np.array([[0, 2, 0]], "i4")
    assert numerics.div(a, b).tolist() == [[-1, -3, -1]]
    assert numerics.rem(a, b).tolist() == [[7, -1, 6]]


@pytest.mark.parametrize("kind", ["u16", "s16", "u32", "s32"])
def test_wide_products(kind: str) -> None:
    double = {"u16": "u32", "s16": "s32", "u32": "u64", "s32": "s64"}[kind]
    a, b, c = integers(kind), integers(kind), integers(double)[: integers(kind).size]
    n = min(a.size, b.size, c.size)
    a, b, c = a[:n], b[:n], c[:n]
    got = run(f"mul.wide.{kind}", double, (kind, a), (kind, b))
    expect(got, [int(x) * int(y) for x, y in zip(a, b, strict=True)], a, b)
    got = run(f"mad.wide.{kind}", double, (kind, a), (kind, b), (double, c))
    expect(got, [wrap(int(x) * int(y) + int(z), double) for x, y, z in zip(a, b, c, strict=True)], a, b, c)


def test_wide_product_with_a_literal() -> None:
    a = integers("u32")
    got = run("mul.wide.u32", "u64", ("u32", a), Immediate(-4))  # 0xfffffffc as u32
    expect(got, [int(x) * 0xFFFFFFFC for x in a], a)
    got = run("mul.wide.s32", "s64", ("s32", a.view("i4")), Immediate(-4))
    expect(got, [int(x) * -4 for x in a.view("i4")], a)


TERNARY: dict[str, tuple[tuple[str, ...], Callable[[int, int, int, str], int]]] = {
    "mad.lo": (("u16", "s16", "u32", "s32", "u64", "s64"), lambda a, b, c, k: a * b + c),
    "mad.hi": (("u16", "s16", "u32", "s32", "u64", "s64"), lambda a, b, c, k: high(a, b, k) + c),
    "mad24.lo": (("u32", "s32"), lambda a, b, c, k: low24(a, k) * low24(b, k) + c),
    "mad24.hi": (("u32", "s32"), lambda a, b, c, k: ((low24(a, k) * low24(b, k)) >> 16) + c),
    "sad": (("u16", "s16", "u32", "s32", "u64", "s64"), lambda a, b, c, k: c + abs(a - b)),
}


@pytest.mark.parametrize(("opcode", "kind"), [(o, k) for o, (kinds, _) in TERNARY.items() for k in kinds])
def test_integer_ternary(opcode: str, kind: str) -> None:
    a, b, c = integers(kind), integers(kind), integers(kind)
    got = run(f"{opcode}.{kind}", kind, (kind, a), (kind, b), (kind, c))
    reference = TERNARY[opcode][1]
    lanes = zip(a.tolist(), b.tolist(), c.tolist(), strict=True)
    expect(got, [wrap(reference(x, y, z, kind), kind) for x, y, z in lanes], a, b, c)


def clamp(value: int, kind: str) -> int:
    limits = np.iinfo(DTYPES[kind])
    return max(int(limits.min), min(int(limits.max), value))


def test_saturating_sums() -> None:
    a, b, c = integers("s32"), integers("s32"), integers("s32")
    lanes = list(zip(a.tolist(), b.tolist(), c.tolist(), strict=True))
    expect(run("add.sat.s32", "s32", ("s32", a), ("s32", b)), [clamp(x + y, "s32") for x, y, _ in lanes])
    expect(run("sub.sat.s32", "s32", ("s32", a), ("s32", b)), [clamp(x - y, "s32") for x, y, _ in lanes])
    got = run("mad.hi.sat.s32", "s32", ("s32", a), ("s32", b), ("s32", c))
    expect(got, [clamp(high(x, y, "s32") + z, "s32") for x, y, z in lanes])


@pytest.mark.parametrize("kind", ["s16", "s32", "s64"])
def test_abs_and_neg(kind: str) -> None:
    a = integers(kind)
    expect(run(f"abs.{kind}", kind, (kind, a)), [wrap(abs(x), kind) for x in a.tolist()], a)
    expect(run(f"neg.{kind}", kind, (kind, a)), [wrap(-x, kind) for x in a.tolist()], a)


@pytest.mark.parametrize("kind", ["u32", "u64"])
@pytest.mark.parametrize("sign", [1, -1])
def test_carry_chain_is_one_long_sum(kind: str, sign: int) -> None:
    """Three words added with .cc are one number of three times the width."""
    width = 8 * DTYPES[kind].itemsize
    block = Lines()
    words = [(block.register(kind, integers(kind)), block.register(kind, integers(kind))) for _ in range(3)]
    out = [block.register(kind) for _ in range(3)]
    first, later = ("add", "addc") if sign > 0 else ("sub", "subc")
    block.add(f"{first}.cc.{kind}", out[0], *words[0])
    block.add(f"{later}.cc.{kind}", out[1], *words[1])
    block.add(f"{later}.{kind}", out[2], *words[2])
    get = block.run()

    def whole(registers: list[Any], values: Callable[[Register], Any]) -> list[int]:
        lanes = zip(*(values(r).ravel().tolist() for r in registers), strict=True)
        return [sum(w << (i * width) for i, w in enumerate(lane)) for lane in lanes]

    a = whole([x for x, _ in words], lambda r: block.values[r.name])
    b = whole([y for _, y in words], lambda r: block.values[r.name])
    want = [(x + sign * y) % (1 << (3 * width)) for x, y in zip(a, b, strict=True)]
    assert whole(out, get) == want


def test_product_chain_of_mad_cc() -> None:
    """A 64 x 32 bit product plus 96 bits, by mad.lo.cc, madc.hi.cc, madc: as compilers write it."""
    block = Lines()
    a0, a1, b, c0, c1, c2 = (block.register("u32", integers("u32")) for _ in range(6))
    low, middle, top, d1, d2 = (block.register("u32") for _ in range(5))
    block.add("mad.lo.cc.u32", low, a0, b, c0)
    block.add("madc.hi.cc.u32", middle, a0, b, c1)
    block.add("addc.u32", top, c2, Immediate(0))
    block.add("mad.lo.cc.u32", d1, a1, b, middle)
    block.add("madc.hi.u32", d2, a1, b, top)
    get = block.run()
    given = zip(*(block.values[r.name].ravel().tolist() for r in (a0, a1, b, c0, c1, c2)), strict=True)
    lanes = list(zip(*(get(r).ravel().tolist() for r in (low, d1, d2)), strict=True))
    want = [((x0 | x1 << 32) * y + (z0 | z1 << 32 | z2 << 64)) % (1 << 96) for x0, x1, y, z0, z1, z2 in given]
    assert [x | y << 32 | z << 64 for x, y, z in lanes] == want


def test_carry_of_a_guarded_instruction_is_kept() -> None:
    block = Lines()
    p = block.register("pred", [True, False])
    a, b, d, e = (
        block.register("u32", [0xFFFFFFFF] * 2),
        block.register("u32", [1, 1]),
        *(block.register("u32", [7, 7]) for _ in range(2)),
    )
    zero = block.register("u32", [0, 0])
    block.add("add.cc.u32", d, a, zero)
    block.add("add.cc.u32", d, a, b, guard=p)
    block.add("addc.u32", e, zero, zero)
    get = block.run()
    assert get(d).tolist() == [[0, 0xFFFFFFFF]]
    assert get(e).tolist() == [[1, 0]]


def parts(x: int, width: int, signed: bool) -> list[int]:
    found = [(x >> i) & ((1 << width) - 1) for i in range(0, 32, width)]
    return [v - (1 << width) if signed and v >> (width - 1) else v for v in found]


@pytest.mark.parametrize("ta", ["u32", "s32"])
@pytest.mark.parametrize("tb", ["u32", "s32"])
def test_byte_dot_products(ta: str, tb: str) -> None:
    a, b, c = integers("u32"), integers("u32"), integers("u32")
    got = run(f"dp4a.{ta}.{tb}", "u32", ("u32", a), ("u32", b), ("u32", c))
    want = []
    for x, y, z in zip(a.tolist(), b.tolist(), c.tolist(), strict=True):
        dot = sum(i * j for i, j in zip(parts(x, 8, ta == "s32"), parts(y, 8, tb == "s32"), strict=True))
        want.append(wrap(dot + z, "u32"))
    expect(got, want, a, b, c)
    for half, first in (("lo", 0), ("hi", 2)):
        got = run(f"dp2a.{half}.{ta}.{tb}", "u32", ("u32", a), ("u32", b), ("u32", c))
        want = []
        for x, y, z in zip(a.tolist(), b.tolist(), c.tolist(), strict=True):
            dot = sum(i * j for i, j in zip(parts(x, 16, ta == "s32"), parts(y, 8, tb == "s32")[first:], strict=False))
            want.append(wrap(dot + z, "u32"))
        expect(got, want, a, b, c)


@pytest.mark.parametrize("opcode", ["add.u16x2", "add.s16x2", "min.u16x2", "max.s16x2", "max.u16x2", "max.relu.s16x2"])
def test_packed_integers(opcode: str) -> None:
    name, *_, kind = opcode.split(".")
    a, b = integers("u32"), integers("u32")
    got = run(opcode, "u32", ("u32", a), ("u32", b))
    function: Callable[[int, int], int] = {
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "min": min,
        "max": max,
    }[name]
    want = []
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        lanes = [
            function(i, j) for i, j in zip(parts(x, 16, kind[0] == "s"), parts(y, 16, kind[0] == "s"), strict=True)
        ]
        lanes = [max(v, 0) for v in lanes] if "relu" in opcode else lanes
        want.append((lanes[0] & 0xFFFF) | (lanes[1] & 0xFFFF) << 16)
    expect(got, want, a, b)


# -- bits ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["b16", "b32", "b64", "u16", "u32", "u64", "s16", "s32", "s64"])
def test_shifts_clamp(kind: str) -> None:
    width = 8 * DTYPES[kind].itemsize
    a = integers(kind)
    n = integers("u32")
    n = np.resize(
        np.concatenate([n[:80], RNG.integers(0, 70, 200).astype("u4"), [0xFFFFFFFF, 0x10001, 1 << 31]]), a.size
    ).astype("u4")
    right = [x >> min(c, width) if c < width or x < 0 else 0 for x, c in zip(a.tolist(), n.tolist(), strict=True)]
    expect(run(f"shr.{kind}", kind, (kind, a), ("u32", n)), right, a, n)
    if kind[0] == "b":
        left = [wrap(x << min(c, width), kind) for x, c in zip(a.tolist(), n.tolist(), strict=True)]
        expect(run(f"shl.{kind}", kind, (kind, a), ("u32", n)), left, a, n)
        for c in (0, 1, width - 1, width, width + 1, -1):
            expect(
                run(f"shl.{kind}", kind, (kind, a), Immediate(c)),
                [wrap(x << min(c & 0xFFFFFFFF, width), kind) for x in a.tolist()],
            )
    else:
        for c in (0, 1, width - 1, width, width + 1, -1):
            expect(
                run(f"shr.{kind}", kind, (kind, a), Immediate(c)), [x >> min(c & 0xFFFFFFFF, width) for x in a.tolist()]
            )


@pytest.mark.parametrize("side", ["l", "r"])
@pytest.mark.parametrize("clamps", [True, False])
@pytest.mark.parametrize("literal", [None, 0, 5, 31, 32, 40])
def test_funnel_shift(side: str, clamps: bool, literal: int | None) -> None:
    a, b = integers("u32"), integers("u32")
    n = integers("u32") if literal is None else np.full(a.size, literal, "u4")
    count = ("u32", n) if literal is None else Immediate(literal)
    got = run(f"shf.{side}.{'clamp' if clamps else 'wrap'}.b32", "u32", ("u32", a), ("u32", b), count)
    want = []
    for x, y, c in zip(a.tolist(), b.tolist(), n.tolist(), strict=True):
        c = min(c, 32) if clamps else c & 31
        both = y << 32 | x
        want.append((both << c >> 32 if side == "l" else both >> c) & 0xFFFFFFFF)
    expect(got, want, a, b, n)


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
def test_bit_fields(kind: str) -> None:
    """The loops of the PTX manual, bit by bit."""
    top = 8 * DTYPES[kind].itemsize - 1
    a, plain = integers(kind), f"b{top + 1}"
    pos = np.resize(np.concatenate([RNG.integers(0, 72, 150), [255, 256, 300]]), a.size).astype("u4")
    length = np.resize(np.concatenate([RNG.integers(0, 72, 170), [0, 32, 64, 255, 256]]), a.size).astype("u4")
    b = integers(plain)[: a.size]
    got = run(f"bfe.{kind}", kind, (kind, a), ("u32", pos), ("u32", length))
    put = run(f"bfi.{plain}", plain, (plain, a.view(DTYPES[plain])), (plain, b), ("u32", pos), ("u32", length))
    fields, inserted = [], []
    for x, y, p, n in zip(a.tolist(), b.tolist(), pos.tolist(), length.tolist(), strict=True):
        p, n = p & 0xFF, n & 0xFF
        sign = 0 if kind[0] == "u" or n == 0 else x >> min(p + n - 1, top) & 1
        value = sum((x >> (p + i) & 1 if i < n and p + i <= top else sign) << i for i in range(top + 1))
        fields.append(wrap(value, kind))
        for i in range(n):
            if p + i <= top:
                y = y & ~(1 << (p + i)) | (x >> i & 1) << (p + i)
        inserted.append(y)
    expect(got, fields, a, pos, length)
    expect(put, inserted, a, b, pos, length)


@pytest.mark.parametrize("width", [32, 64])
def test_bit_counts(width: int) -> None:
    a = integers(f"u{width}")
    values = a.tolist()
    plain = f"b{width}"
    expect(run(f"popc.{plain}", "u32", (plain, a)), [x.bit_count() for x in values], a)
    expect(run(f"clz.{plain}", "u32", (plain, a)), [width - x.bit_length() for x in values], a)
    expect(run(f"brev.{plain}", plain, (plain, a)), [int(f"{x:0{width}b}"[::-1], 2) for x in values], a)
    none = 0xFFFFFFFF
    expect(run(f"bfind.u{width}", "u32", (f"u{width}", a)), [x.bit_length() - 1 if x else none for x in values], a)
    shifts = [width - x.bit_length() if x else none for x in values]
    expect(run(f"bfind.shiftamt.u{width}", "u32", (f"u{width}", a)), shifts, a)
    signed = a.view(f"i{width // 8}")
    found = [(x if x >= 0 else ~x).bit_length() - 1 for x in signed.tolist()]
    expect(run(f"bfind.s{width}", "u32", (f"s{width}", signed)), [x if x >= 0 else none for x in found], a)


def test_every_lookup_table() -> None:
    a, b, c = np.uint32(0xF0), np.uint32(0xCC), np.uint32(0xAA)
    for table in range(256):
        expression = bits_module.lookup(table, "a", "b", "c")
        got = eval(expression, {"a": np.array([[a]]), "b": np.array([[b]]), "c": np.array([[c]])})
        assert int(got[0, 0]) & 0xFF == table, expression
    x, y, z = integers("u32"), integers("u32"), integers("u32")
    got = run("lop3.b32", "u32", ("u32", x), ("u32", y), ("u32", z), Immediate(0xE8))
    expect(got, [(i & j) | (i & k) | (j & k) for i, j, k in zip(x.tolist(), y.tolist(), z.tolist(), strict=True)])


def test_lop3_with_a_predicate() -> None:
    block = Lines()
    a, b, c = (block.register("u32", v) for v in ([1, 2, 0, 0], [1, 0, 0, 5], [0, 0, 0, 0]))
    q, p, d = block.register("pred", [True, True, True, False]), block.register("pred"), block.register("u32")
    block.add("lop3.and.b32", Pair(d, p), a, b, c, Immediate(0xFC), q)
    get = block.run()
    assert get(d).tolist() == [[1, 2, 0, 5]]
    assert get(p).tolist() == [[True, True, False, False]]


def permuted(a: int, b: int, selector: int) -> int:
    both = b << 32 | a
    result = 0
    for i in range(4):
        nibble = selector >> (4 * i) & 15
        byte = both >> (8 * (nibble & 7)) & 0xFF
        result |= ((0xFF if byte >> 7 else 0) if nibble & 8 else byte) << (8 * i)
    return result


def test_byte_permute() -> None:
    a, b, c = integers("u32"), integers("u32"), integers("u32")
    got = run("prmt.b32", "u32", ("u32", a), ("u32", b), ("u32", c))
    expect(got, [permuted(x, y, z) for x, y, z in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)], a, b, c)
    for selector in (
        0x5410,
        0x7632,
        0x0123,
        0x3210,
        0x7654,
        0x4440,
        0x1054,
        0x7777,
        0x9180,
        0xBA98,
        *RNG.integers(0, 1 << 16, 40).tolist(),
    ):
        got = run("prmt.b32", "u32", ("u32", a), ("u32", b), Immediate(selector))
        expect(got, [permuted(x, y, selector) for x, y in zip(a.tolist(), b.tolist(), strict=True)], a, b)


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize(
    ("mode", "rows"),
    {
        "f4e": ("3210", "4321", "5432", "6543"),
        "b4e": ("5670", "6701", "7012", "0123"),
        "rc8": ("0000", "1111", "2222", "3333"),
        "ecl": ("3210", "3211", "3222", "3333"),
        "ecr": ("0000", "1110", "2210", "3210"),
        "rc16": ("1010", "3232", "1010", "3232"),
    }.items(),
)
def test_byte_permute_modes(mode: str, rows: tuple[str, ...], literal: bool) -> None:
    """Bytes of {b, a}, numbered, so that the result spells the row of the manual's table."""
    for c, row in enumerate(rows):
        count = Immediate(c + 4) if literal else ("u32", [c + 4])
        got = run(f"prmt.b32.{mode}", "u32", ("u32", [0x03020100]), ("u32", [0x07060504]), count)
        assert f"{int(got[0]):08x}"[1::2] == row


def test_masks_and_extension() -> None:
    for clamps in (True, False):
        for a in (0, 3, 31, 32, 40):
            for b in (0, 1, 8, 31, 32, 33):
                i, j = (a, b) if clamps else (a & 31, b & 31)
                word = "clamp" if clamps else "wrap"
                mask = ((1 << min(j, 32)) - 1) << i & 0xFFFFFFFF if i < 32 else 0
                assert run(f"bmsk.{word}.b32", "u32", ("u32", [a]), ("u32", [b])).tolist() == [mask]
        for n in (0, 1, 5, 31, 32, 35):
            width = min(n, 32) if clamps else n & 31
            x = 0xDEADBEEF
            low = x & ((1 << width) - 1)
            signed = low - (1 << width) if width and low >> (width - 1) else low
            word = "clamp" if clamps else "wrap"
            assert run(f"szext.{word}.u32", "u32", ("u32", [x]), ("u32", [n])).tolist() == [low]
            got = run(f"szext.{word}.s32", "s32", ("s32", [x - (1 << 32)]), ("u32", [n]))
            assert got.tolist() == [wrap(signed, "s32")]


def test_not_and_cnot() -> None:
    a = integers("u32")
    expect(run("not.b32", "u32", ("u32", a)), [~x & 0xFFFFFFFF for x in a.tolist()])
    expect(run("cnot.b32", "u32", ("u32", a)), [int(x == 0) for x in a.tolist()])
    assert run("not.pred", "pred", ("pred", [True, False])).tolist() == [False, True]
