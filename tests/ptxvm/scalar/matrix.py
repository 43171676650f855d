"""`mma.sync`, `ldmatrix` and `stmatrix`, from the fragment tables of the PTX ISA: one warp at a time.

The ISA leaves open how a sum is rounded; it is done here as `ptxvm.tensorcore` says that a card does it, on integers.

groupID = lane >> 2 and threadID_in_group = lane % 4 are the ISA's names; a fragment is a list of 32-bit registers for
each of the 32 lanes.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.ptxvm.scalar.convert import TF32
from tests.ptxvm.scalar.formats import FORMATS, Number, decode, product, rounded, total
from tests.ptxvm.scalar.integer import clamp, pattern, value
from tests.ptxvm.scalar.results import Result

Fragment = Sequence[Sequence[int]]  # [lane][register]
WIDTH = {"f16": 16, "bf16": 16, "tf32": 32, "s8": 8, "u8": 8, "e4m3": 8, "e5m2": 8}
WARP = 32
KEPT = 25  # the place of the last bit kept, below the largest exponent
ZERO = Number("finite", 0, 0, 0)


def number(kind: str, bits: int) -> Number:
    """The value of an element; tf32 is the upper 19 bits of a register."""
    if kind in ("s8", "u8"):
        integer = value(bits, kind)
        return Number("finite", int(integer < 0), abs(integer), 0)
    return decode(bits >> 13, TF32) if kind == "tf32" else decode(bits, FORMATS[kind])


def element(fragment: Fragment, lane: int, i: int, kind: str) -> Number:
    """Element i of a lane's registers, lowest bits first."""
    per_register = 32 // WIDTH[kind]
    word = fragment[lane][i // per_register]
    return number(kind, (word >> (WIDTH[kind] * (i % per_register))) & ((1 << WIDTH[kind]) - 1))


def place_of_a(lane: int, i: int, kind: str) -> tuple[int, int]:
    """(row, column) of element a_i. A register holds neighbours of a row; odd ones are 8 rows down, 2 and 3 right."""
    per_register = 32 // WIDTH[kind]
    group, thread = lane >> 2, lane % 4
    register, j = divmod(i, per_register)
    row = group + 8 if register % 2 else group
    return row, thread * per_register + j + (4 * per_register if register >= 2 else 0)


def place_of_b(lane: int, i: int, kind: str) -> tuple[int, int]:
    """(row, column) of element b_i."""
    per_register = 32 // WIDTH[kind]
    register, j = divmod(i, per_register)
    return lane % 4 * per_register + j + 4 * per_register * register, lane >> 2


def place_of_c(lane: int, i: int) -> tuple[int, int]:
    """(row, column) of element c_i or d_i."""
    return (lane >> 2) + (8 if i >= 2 else 0), lane % 4 * 2 + (i & 1)


def mma(words: tuple[str, ...], a: Fragment, b: Fragment, c: Fragment) -> list[list[Result]]:
    """d_0 .. d_3 of each lane.

    c holds f32 or s32 registers, or f16 pairs.
    """
    shape = next(w for w in words if w.startswith("m16"))
    k = int(shape.partition("k")[2])
    d_kind, a_kind, b_kind, c_kind = words[-4:]
    left = _matrix(a, 16, k, a_kind, place_of_a)
    right = _matrix(b, k, 8, b_kind, place_of_b)
    out: list[list[Result]] = []
    for lane in range(WARP):
        row_of_results: list[Result] = []
        for i in range(4):
            row, column = place_of_c(lane, i)
            pairs = [(left[row][j], right[j][column]) for j in range(k)]
            if c_kind == "s32":
                row_of_results.append(_integers(words, pairs, c[lane][i]))
            else:
                bits = c[lane][i] if c_kind == "f32" else (c[lane][i // 2] >> (16 * (i % 2))) & 0xFFFF
                row_of_results.append(_floats(a_kind, pairs, bits, d_kind))
        out.append(row_of_results)
    return out


def _matrix(fragment: Fragment, rows: int, columns: int, kind: str, place) -> list[list[Number]]:  # type: ignore[no-untyped-def]
    table = [[ZERO] * columns for _ in range(rows)]
    for lane in range(WARP):
        for i in range(rows * columns // WARP):
            row, column = place(lane, i, kind)
            table[row][column] = element(fragment, lane, i, kind)
    return table


def _integers(words: tuple[str, ...], pairs: list[tuple[Number, Number]], c: int) -> Result:
    signed = [product(x, y) for x, y in pairs]
    total_of_all = sum(-p.m if p.sign else p.m for p in signed) + value(c, "s32")
    return pattern(clamp(total_of_all, "s32") if "satfinite" in words else total_of_all, "s32")


def _floats(a_kind: str, pairs: list[tuple[Number, Number]], c: int, kind: str) -> Result:
    """One instruction, or for fp8 two (elements 0, 1 and 2, 3 of each register) and an addition of c."""
    format_ = FORMATS[kind]
    if a_kind not in ("e4m3", "e5m2"):
        return fused(pairs, c, kind)
    lower = [p for i, p in enumerate(pairs) if i % 4 < 2]
    upper = [p for i, p in enumerate(pairs) if i % 4 >= 2]
    sums = fused(upper, fused(lower, 0, kind), kind)
    return rounded(total(decode(c, format_), decode(sums, format_)), format_)


def fused(pairs: list[tuple[Number, Number]], c: int, kind: str) -> int:
    """Products and c, aligned to the largest exponent, cut off, added, rounded: f32 towards zero, f16 to nearest."""
    format_ = FORMATS[kind]
    start = decode(c, format_)
    terms = [(product(x, y), _exponent(x) + _exponent(y)) for x, y in pairs] + [(start, _exponent(start))]
    if any(term.kind != "finite" for term, _ in terms):
        result = start
        for term, _ in terms[:-1]:
            result = total(result, term)
        return rounded(result, format_)
    exponents = [exponent for term, exponent in terms if term.m]
    if not exponents:
        return 0
    unit = max(exponents) - KEPT
    signed = sum(_cut(term, unit) * (-1 if term.sign else 1) for term, _ in terms)
    mode = "rz" if kind == "f32" else "rn"
    return rounded(Number("finite", int(signed < 0), abs(signed), unit), format_, mode)


def _exponent(x: Number) -> int:
    """Exponent of the leading bit."""
    return x.e + x.m.bit_length() - 1 if x.kind == "finite" else 0


def _cut(x: Number, unit: int) -> int:
    """Magnitude in units of 2^unit, the rest cut off."""
    return x.m << (x.e - unit) if x.e >= unit else x.m >> (unit - x.e)


def ldmatrix(rows: Sequence[bytes], count: int, transpose: bool) -> list[list[int]]:
    """The registers of each lane; `rows`: 16 bytes of each row of each matrix, in the order of the lanes' addresses."""
    out = []
    for lane in range(WARP):
        registers = []
        for matrix in range(count):
            halves = []
            for j in (0, 1):
                row, column = lane // 4, 2 * (lane % 4) + j
                if transpose:
                    row, column = column, row
                line = rows[8 * matrix + row]
                halves.append(int.from_bytes(line[2 * column : 2 * column + 2], "little"))
            registers.append(halves[0] | halves[1] << 16)
        out.append(registers)
    return out
