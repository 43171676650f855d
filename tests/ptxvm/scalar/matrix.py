"""`mma`, `wmma`, `ldmatrix`, `stmatrix` and `movmatrix`, from the PTX ISA: one warp at a time, one element at a time.

The ISA leaves open how a sum is rounded; it is done here as `ptxvm.tensorcore` says that a card does it, on integers.
A fragment is a list of registers for each of the 32 lanes: of 32 bits, or 64 for f64. `fragments` has its tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.ptxvm.scalar.convert import TF32
from tests.ptxvm.scalar.formats import FORMATS, Number, decode, product, rounded, total
from tests.ptxvm.scalar.fragments import CHUNK, HALF, WIDTH, column_of, field_of, place_of_a, place_of_b, place_of_c
from tests.ptxvm.scalar.integer import clamp, pattern, value

Fragment = Sequence[Sequence[int]]  # [lane][register]
Table = dict[tuple[int, int, int], int]  # (product of the warp, row, column) -> bits
WARP = 32
KEPT = 25  # the place of the last bit kept, below the largest exponent


def number(kind: str, bits: int) -> Number:
    """The value of an element; tf32 is the upper 19 bits of a register."""
    return decode(bits >> 13, TF32) if kind == "tf32" else decode(bits, FORMATS[kind])


def integer(kind: str, bits: int) -> int:
    return bits if kind == "b1" else value(bits, kind)


def elements(registers: Sequence[int], kind: str) -> list[int]:
    """The elements of a lane's registers, lowest bits first."""
    width = WIDTH[kind]
    size = max(width, 32)
    return [(word >> shift) & ((1 << width) - 1) for word in registers for shift in range(0, size, width)]


def parts(words: Sequence[str]) -> tuple[str, list[str]]:
    """(shape, types of D, A, B, C) of an `mma`."""
    shape = next(w for w in words if w[0] == "m" and w[1].isdigit())
    return shape, [w for w in words if w in WIDTH or w in ("f32", "s32")]


def values_of_c(registers: Sequence[int], kind: str) -> list[int]:
    """The bits of c_0, c_1, .. of a lane."""
    return elements(registers, "f16") if kind == "f16" else list(registers)


def mma(
    words: Sequence[str],
    a: Fragment,
    b: Fragment,
    c: Fragment,
    metadata: Sequence[int] = (),
    selector: int = 0,
    every: int = 1,
) -> dict[tuple[int, int], int]:
    """(lane, i) -> d_i, of each `every`-th element. metadata: of each lane, where A is sparse."""
    shape, (d_kind, a_kind, b_kind, c_kind) = parts(words)
    order = [w for w in words if w in ("row", "col")]
    many = shape == "m8n8k4" and a_kind != "f64"  # products that the warp makes
    left, right, start = Table(), Table(), Table()
    for lane in range(WARP):
        which = lane // 4 % 4 if many else 0
        for i, bits in enumerate(elements(b[lane], b_kind)):
            right[which, *place_of_b(shape, b_kind, lane, i, order[1])] = bits
        for i, bits in enumerate(elements(a[lane], a_kind)):
            left[which, *place_of_a(HALF[shape] if metadata else shape, a_kind, lane, i, order[0])] = bits
        for i, bits in enumerate(values_of_c(c[lane], c_kind)):
            start[which, *place_of_c(shape, c_kind, lane, i)] = bits
    size = len(start) // WARP
    out = {}
    for lane, i in ((n // size, n % size) for n in range(0, len(start), every)):
        place = (lane // 4 % 4 if many else 0, *place_of_c(shape, d_kind, lane, i))
        out[lane, i] = _sum(words, _pairs(left, right, shape, a_kind, place, metadata, selector), start[place])
    return out


def _pairs(
    left: Table,
    right: Table,
    shape: str,
    a_kind: str,
    place: tuple[int, int, int],
    metadata: Sequence[int],
    selector: int,
) -> list[tuple[int, int]]:
    """The factors of an element of A B, in the order of k."""
    which, row, column = place
    k = int(shape.partition("k")[2])
    if not metadata:
        return [(left[which, row, j], right[which, j, column]) for j in range(k)]
    fields = []
    for chunk in range(k // CHUNK[WIDTH[a_kind]]):
        lane, bit = field_of(shape, a_kind, row, chunk, selector)
        fields.append(metadata[lane] >> bit & 15)
    return [(left[0, row, j], right[0, column_of(a_kind, j, fields), column]) for j in range(k // 2)]


def _sum(words: Sequence[str], pairs: Sequence[tuple[int, int]], c: int) -> int:
    """The bits of an element of D."""
    _, (d_kind, a_kind, b_kind, c_kind) = parts(words)
    if d_kind == "s32":
        whole = [(integer(a_kind, x), integer(b_kind, y)) for x, y in pairs]
        if "xor" in words:
            result = sum(x ^ y for x, y in whole)
        else:
            result = sum(x * y for x, y in whole)  # of bits: and
        result += value(c, "s32")
        return pattern(clamp(result, "s32") if "satfinite" in words else result, "s32")
    factors = [(number(a_kind, x), number(b_kind, y)) for x, y in pairs]
    start = decode(c, FORMATS[c_kind])
    if d_kind == "f64":  # fused multiply-adds, in the order of k
        mode = next((w for w in words if w in ("rz", "rm", "rp")), "rn")
        for x, y in factors:
            c = rounded(total(product(x, y), decode(c, FORMATS["f64"]), mode), FORMATS["f64"], mode)
        return c
    if a_kind not in ("e4m3", "e5m2"):
        return fused(factors, start, d_kind)
    # two instructions (elements 0, 1 and 2, 3 of each register) and an addition of c
    lower = fused([p for i, p in enumerate(factors) if i % 4 < 2], decode(0, FORMATS[d_kind]), d_kind)
    both = fused([p for i, p in enumerate(factors) if i % 4 >= 2], decode(lower, FORMATS[d_kind]), d_kind)
    return rounded(total(start, decode(both, FORMATS[d_kind])), FORMATS[d_kind])


def fused(pairs: Iterable[tuple[Number, Number]], start: Number, kind: str) -> int:
    """Products and c, aligned to the largest exponent, cut off, added, rounded: f32 towards zero, f16 to nearest."""
    format_ = FORMATS[kind]
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


# -- wmma: matrices, whatever lane holds them ----------------------------------------------------------------------
def wmma(
    words: Sequence[str], a: Sequence[Sequence[int]], b: Sequence[Sequence[int]], c: Sequence[Sequence[int]], row: int
) -> list[int]:
    """A row of D from the bits of A (m, k), B (k, n) and C (m, n)."""
    _, kinds = parts(words)
    if len(kinds) == 2:  # of f16 only D and C are named
        words = (*(w for w in words if w not in kinds), kinds[0], "f16", "f16", kinds[1])
    return [_sum(words, [(x, b[j][n]) for j, x in enumerate(a[row])], c[row][n]) for n in range(len(c[row]))]


# -- 8 x 8 matrices of 16-bit elements -----------------------------------------------------------------------------
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


def movmatrix(a: Sequence[int]) -> list[int]:
    """The register of each lane: lane l has elements 2(l%4) and 2(l%4)+1 of row l/4, before and after."""
    rows = [[a[4 * row + column // 2] >> (16 * (column % 2)) & 0xFFFF for column in range(8)] for row in range(8)]
    return [rows[2 * (lane % 4)][lane // 4] | rows[2 * (lane % 4) + 1][lane // 4] << 16 for lane in range(WARP)]
