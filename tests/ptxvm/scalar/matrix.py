"""`mma.sync`, `ldmatrix` and `stmatrix`, from the fragment tables of the PTX ISA: one warp at a time.

groupID = lane >> 2 and threadID_in_group = lane % 4 are the ISA's names; a fragment is a list of 32-bit registers for
each of the 32 lanes.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.ptxvm.scalar.convert import TF32
from tests.ptxvm.scalar.formats import FORMATS, as_float, decode
from tests.ptxvm.scalar.integer import clamp, pattern, value
from tests.ptxvm.scalar.results import Between, Result

Fragment = Sequence[Sequence[int]]  # [lane][register]
WIDTH = {"f16": 16, "bf16": 16, "tf32": 32, "s8": 8, "u8": 8, "e4m3": 8, "e5m2": 8}
WARP = 32


def number(kind: str, bits: int) -> float:
    """The value of an element; tf32 is the upper 19 bits of a register."""
    if kind in ("s8", "u8"):
        return value(bits, kind)
    return as_float(decode(bits >> 13, TF32)) if kind == "tf32" else as_float(decode(bits, FORMATS[kind]))


def element(fragment: Fragment, lane: int, i: int, kind: str) -> float:
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
    """d_0 .. d_3 of each lane. Floating-point sums may be rounded on the way, as often as they have terms.

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
            terms = [left[row][j] * right[j][column] for j in range(k)]
            row_of_results.append(_sum(words, terms, c[lane], i, c_kind, d_kind))
        out.append(row_of_results)
    return out


def _matrix(fragment: Fragment, rows: int, columns: int, kind: str, place) -> list[list[float]]:  # type: ignore[no-untyped-def]
    table = [[float("nan")] * columns for _ in range(rows)]
    for lane in range(WARP):
        for i in range(rows * columns // WARP):
            row, column = place(lane, i, kind)
            table[row][column] = element(fragment, lane, i, kind)
    return table


def _sum(words: tuple[str, ...], terms: list[float], c: Sequence[int], i: int, c_kind: str, d_kind: str) -> Result:
    if c_kind == "s32":
        total = int(sum(terms)) + value(c[i], "s32")
        return pattern(clamp(total, "s32") if "satfinite" in words else total, "s32")
    bits = c[i] if c_kind == "f32" else (c[i // 2] >> (16 * (i % 2))) & 0xFFFF
    start = as_float(decode(bits, FORMATS[c_kind]))
    exact = sum(terms) + start
    size = sum(abs(t) for t in terms) + abs(start)
    error = size * (len(terms) + 1) * 2.0**-23 + (abs(exact) * 2.0**-10 + 2.0**-24 if d_kind == "f16" else 0)
    return Between(exact - error, exact + error)


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
