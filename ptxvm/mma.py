"""`mma.sync`, `ldmatrix` and their kin: which lane holds which element. `tensorcore` says how products are added.

A matrix lies in the registers of a warp in pieces of 8 rows (A) or columns (B) by four registers' worth of k. e is the
number of elements in a register, l the lane, j < e, and / divides integers. In a piece that begins at row or column p
and at k = q

    A   row p + l/4            column q + (l%4)*e + j
    B   row q + (l%4)*e + j    column p + l/4
    C   row p + l/4            column p' + (l%4)*2 + i      two values i of an 8 x 8 piece

The registers take the pieces in this order, the last changing first: of A 16 rows, k, the 8 rows of the 16; of B 8
columns, k; of C 16 rows, 8 columns, the 8 rows of the 16. That is the PTX ISA's table for every `mma` but m8n8k4 of
f16, and how ptxas lays out `wmma` fragments on sm_75 to sm_90, of which the ISA says nothing.

So every part of an index is a part of a row or a column, and a tile is its registers with the axes in another order.
Tiles have the axes (k, row or column, c, w) and (row, column, c, w): the warps come last.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ptxvm import halves
from ptxvm.errors import LaneFault
from ptxvm.group import WARP, Array, Group
from ptxvm.matrix_forms import BITS, INTEGERS, MmaForm
from ptxvm.tensorcore import Factors, dot, double_dot, fp8_dot

_HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)  # faster than a conversion
_BYTES = {kind: halves.from_fp8(np.arange(256, dtype=np.uint8), kind).astype(np.float32) for kind in ("e4m3", "e5m2")}
_NIBBLES = np.arange(256)[:, None] >> np.array([0, 4]) & 15  # of a byte, the lower one first
_PAIRS = {"u4": _NIBBLES.astype(np.float32), "s4": ((_NIBBLES ^ 8) - 8).astype(np.float32)}


def _nibbles(kind: str) -> Callable[[Array], Array]:
    def decode(words: Array) -> Array:
        return _PAIRS[kind].take(words.view(np.uint8), axis=0).reshape(*words.shape[:-1], 8)

    return decode


# element type -> decoder of words (..., 1) to numbers (..., e)
_DECODERS: dict[str, Callable[[Array], Array]] = {
    "f16": lambda x: _HALVES.take(x.view(np.uint16)),
    "bf16": lambda x: halves.from_bf16(x.view(np.uint16)),
    "tf32": lambda x: (x & np.uint32(0xFFFFE000)).view(np.float32),  # the low 13 bits are ignored
    "e4m3": lambda x: _BYTES["e4m3"].take(x.view(np.uint8)),
    "e5m2": lambda x: _BYTES["e5m2"].take(x.view(np.uint8)),
    "s8": lambda x: x.view(np.int8).astype(np.float32),
    "u8": lambda x: x.view(np.uint8).astype(np.float32),
    "s4": _nibbles("s4"),
    "u4": _nibbles("u4"),
    "b1": lambda x: np.unpackbits(x.view(np.uint8), axis=-1, bitorder="little").astype(np.float32),
    "f64": lambda x: x,
}


def whole_warps(g: Group, guard: Array | None = None) -> None:
    """LaneFault for warps of which some lanes execute a matrix instruction and some do not."""
    lanes = g.warp_lanes(guard)
    if lanes is None:
        return
    partly = lanes.any(axis=-1, keepdims=True) & ~lanes.all(axis=-1, keepdims=True)
    if partly.any():
        here = g.from_warp(np.broadcast_to(partly, lanes.shape))
        raise LaneFault("inactive lane", "a matrix instruction needs all 32 lanes of the warp", here)


# -- registers to tiles --------------------------------------------------------------------------------------------
def words_of(g: Group, registers: list[Array], dtype: type) -> Array:
    """Registers of all warps as (registers, 8, 4, c, w): lane l is at [l/4, l%4]."""
    tables = [g.by_warp(r.view(dtype)) for r in registers]
    ctas, warps = max(t.shape[0] for t in tables), tables[0].shape[1]
    words = np.empty((len(tables), 8, 4, ctas, warps), dtype)
    for i, t in enumerate(tables):
        words[i] = t.reshape(-1, warps, 8, 4).transpose(2, 3, 0, 1)
    return words


def factor(g: Group, form: MmaForm, operand: int, registers: list[Array]) -> Factors:
    """The tile of A (operand 1) as (k, m, c, w) or of B (2) as (k, n, c, w), decoded; of a sparse A half of k."""
    m, n, _ = form.shape
    kind = form.kinds[operand]
    words = words_of(g, registers[: _needed(form, operand)], np.float64 if kind == "f64" else np.uint32)
    values = _DECODERS[kind](words[..., None])  # (registers, 8, 4, c, w, e)
    rest = values.shape[1:]
    if form.quads:
        return Factors(_quad_factor(values, operand, form.layouts[operand - 1]))
    if operand == 1:
        high = min(m // 8, 2)
        split = values.reshape(m // 8 // high, -1, high, *rest)
        return Factors(split.transpose(1, 4, 7, 0, 2, 3, 5, 6).reshape(-1, m, *rest[2:4]))
    split = values.reshape(n // 8, -1, *rest)
    return Factors(split.transpose(1, 3, 6, 0, 2, 4, 5).reshape(-1, n, *rest[2:4]))


def _needed(form: MmaForm, operand: int) -> int:
    """How many registers hold the matrix; what a `wmma` fragment has beyond them repeats it."""
    count, _ = form.registers[operand]
    if not form.wide:
        return count
    m, n, k = form.shape
    return (m if operand == 1 else n) * k // WARP * BITS[form.kinds[operand]] // 32


def _accumulator(form: MmaForm, values: Array) -> Array:
    """Values of all lanes, (values, 8, 4, c, w), as (m, n, c, w)."""
    m, n, _ = form.shape
    if form.quads:
        return _quad_accumulator(values, form.kinds[3])
    high = min(m // 8, 2)
    split = values.reshape(m // 8 // high, n // 8, high, 2, *values.shape[1:])
    return split.transpose(0, 2, 4, 1, 5, 3, 6, 7).reshape(m, n, *values.shape[3:])


def _values(form: MmaForm, tile: Array) -> Array:
    """The inverse of `_accumulator`, as (values, c, w, 32)."""
    m, n, _ = form.shape
    if form.quads:
        return _quad_values(tile, form.kinds[0])
    high = min(m // 8, 2)
    split = tile.reshape(m // 8 // high, high, 8, n // 8, 4, 2, *tile.shape[2:])
    return split.transpose(0, 3, 1, 5, 6, 7, 2, 4).reshape(-1, *tile.shape[2:], WARP)


# -- m8n8k4 of f16: four products a warp ---------------------------------------------------------------------------
# Lane l is in the product (l/4)%4; t is l%4, h is l/16. Element i of its four of A, four of B, eight of C:
#     A   rows: (t + 4h, i)    columns: (i + 4h, t)           B   rows: (t, i + 4h)    columns: (i, t + 4h)
#     C   f16: (t + 4h, i)     f32: ((t&1) + (i&2) + 4h, (i&4) + (t&2) + (i&1))
# The number of the product is an axis before those of the warps.
def _quad_factor(values: Array, operand: int, layout: str) -> Array:
    split = values.reshape(2, 2, 4, 4, *values.shape[3:])  # register, h, product, t, c, w, element
    own_row = layout == ("row" if operand == 1 else "col")  # whether i runs along k
    order = (0, 6, 1, 3, 2, 4, 5) if own_row else (3, 1, 0, 6, 2, 4, 5)
    return split.transpose(order).reshape(4, 8, 4, *values.shape[3:5])


def _quad_accumulator(values: Array, kind: str) -> Array:
    if kind == "f16":  # value, h, product, t
        return (
            values.reshape(8, 2, 4, 4, *values.shape[3:])
            .transpose(1, 3, 0, 2, 4, 5)
            .reshape(8, 8, 4, *values.shape[3:])
        )
    split = values.reshape(2, 2, 2, 2, 4, 2, 2, *values.shape[3:])  # i&4, i&2, i&1, h, product, t&2, t&1
    return split.transpose(3, 1, 6, 0, 5, 2, 4, 7, 8).reshape(8, 8, 4, *values.shape[3:])


def _quad_values(tile: Array, kind: str) -> Array:
    warps = tile.shape[3:]
    if kind == "f16":  # h, t, value, product
        return tile.reshape(2, 4, 8, 4, *warps).transpose(2, 4, 5, 0, 3, 1).reshape(8, *warps, WARP)
    split = tile.reshape(2, 2, 2, 2, 2, 2, 4, *warps)  # h, i&2, t&1, i&4, t&2, i&1, product
    return split.transpose(3, 1, 5, 7, 8, 0, 6, 4, 2).reshape(8, *warps, WARP)


# -- mma -----------------------------------------------------------------------------------------------------------
def mma(g: Group, form: MmaForm, a: Factors, b: Factors, c: list[Array], guard: Array | None) -> list[Array]:
    """D = A B + C for every warp of a group.

    a, b: from `factor`; c: registers, as `MmaForm.registers` says. Returns the registers of D in its form.
    guard: of the instruction; warps where it is false get any value.
    """
    whole_warps(g, guard)
    if form.kinds[1] not in INTEGERS:
        return floats(g, form, a, b, c)
    left, right = a.numbers, b.numbers
    product = np.matmul(left.transpose(2, 3, 1, 0), right.transpose(2, 3, 0, 1))  # (c, w, m, n)
    if form.logic == "xor":  # ones in either less twice the ones in both
        product = (
            left.sum(axis=0).transpose(1, 2, 0)[..., None]
            + right.sum(axis=0).transpose(1, 2, 0)[:, :, None]
            - 2 * product
        )
    return integers(g, form, product.transpose(2, 3, 0, 1), c)


def floats(g: Group, form: MmaForm, left: Factors, right: Factors, c: list[Array]) -> list[Array]:
    """The registers of D from the tiles of A and B, with the axes of `tensorcore.dot`, and the registers of C."""
    d_kind, a_kind, _, c_kind = form.kinds
    if d_kind == "f64":
        tile = _accumulator(form, words_of(g, c, np.float64))
        return [g.from_warp(one) for one in _values(form, double_dot(left.numbers, right.numbers, tile, form.rounding))]
    if c_kind == "f32":
        given = words_of(g, c, np.float32)
    else:  # a register of C holds two neighbours
        words = words_of(g, c, np.uint32)
        pairs = _HALVES.take(words.view(np.uint16)).reshape(*words.shape, 2)
        given = pairs.transpose(0, 5, 1, 2, 3, 4).reshape(-1, *words.shape[1:])
    add = fp8_dot if a_kind in _BYTES else dot
    total = _values(form, add(left, right, _accumulator(form, given), half=d_kind == "f16"))
    if d_kind == "f32":
        return [g.from_warp(one) for one in total]
    bits = total.astype(np.float16).view(np.uint16).astype(np.uint32)
    return [g.from_warp(bits[i] | bits[i + 1] << np.uint32(16)) for i in range(0, len(bits), 2)]


def integers(g: Group, form: MmaForm, product: Array, c: list[Array]) -> list[Array]:
    """The registers of D from the tile of A B, which float32 holds exactly: k * 255^2 < 2^24 for k up to 128."""
    out = []
    for one, start in zip(_values(form, product), c, strict=True):
        total = one.astype(np.int64) + g.by_warp(start).astype(np.int64)
        if form.saturate:
            total = np.clip(total, -(2**31), 2**31 - 1)
        out.append(g.from_warp(total.astype(np.int32)))
    return out


# -- 8 x 8 matrices of 16-bit elements -----------------------------------------------------------------------------
def transposed(words: Array) -> Array:
    """Registers (..., 32) of matrices of which lane l holds elements 2(l%4) and 2(l%4)+1 of row l/4, turned over."""
    rows = np.ascontiguousarray(words).view(np.uint16).reshape(*words.shape[:-1], 8, 8)
    return np.ascontiguousarray(rows.swapaxes(-1, -2)).view(np.uint32).reshape(words.shape)


def movmatrix(g: Group, a: Array, guard: Array | None = None) -> Array:
    """`movmatrix.trans`: a matrix of each warp turned over."""
    whole_warps(g, guard)
    return g.from_warp(transposed(g.by_warp(a)))


def ldmatrix_addresses(g: Group, address: Array, count: int) -> Array:
    """Address of the 16-byte row that each lane receives from, for each matrix: (c, w, count, 8 rows)."""
    table = g.by_warp(address)  # lanes 8i..8i+7 hold the row addresses of matrix i
    return table[:, :, : 8 * count].reshape(table.shape[0], table.shape[1], count, 8)


def ldmatrix(g: Group, shared: Array, rows: Array, transpose: bool) -> list[Array]:
    """Read 8x8 matrices of 16-bit elements.

    shared  (ctas of the batch, bytes) uint8
    rows    (c, w, count, 8) byte addresses in the CTA's shared memory, each a multiple of 16

    Lane l receives elements 2(l%4) and 2(l%4)+1 of row l/4, or of column l/4 with `transpose`. Returns `count` arrays
    of uint32.
    """
    stride = shared.shape[1]
    _, warps, row_cta, _ = g.warp_slots()
    count = rows.shape[2]
    # A row of 16 bytes moves as one complex number.
    if g.product and rows.shape[0] == 1 and g.shape[0] == shared.shape[0]:  # the same rows of all CTAs
        cells = shared.view(np.complex128).take((rows >> 4).reshape(-1), axis=1)
    else:
        base = g.ctas.reshape(-1, 1) * stride if g.product else (row_cta * stride).reshape(1, -1)
        start = rows + base.reshape(*base.shape, 1, 1) if g.product else rows + base.reshape(1, warps, 1, 1)
        cells = shared.reshape(-1).view(np.complex128).take(start >> 4)
    words = cells.view(np.uint32).reshape(-1, warps, count, WARP)
    if transpose:
        words = transposed(words)
    return [g.from_warp(words[:, :, i]) for i in range(count)]


def stmatrix_rows(g: Group, registers: list[Array], transpose: bool) -> list[Array]:
    """The four words that each lane stores: lane 8i + r holds row r of matrix i, of 8x8 elements of 16 bits.

    registers  one a matrix, uint32: lane l gives elements 2(l%4) and 2(l%4)+1 of row l/4 (column l/4 with `transpose`)
    """
    tables = [g.by_warp(r) for r in registers]
    ctas = max(t.shape[0] for t in tables)
    shape = (ctas, tables[0].shape[1], WARP)
    words = np.stack([np.broadcast_to(t, shape) for t in tables], axis=2)  # (c, w, count, 32)
    if transpose:
        words = transposed(words)
    whole = np.zeros((*shape, 4), np.uint32)
    whole[:, :, : 8 * len(registers)] = words.reshape(*shape[:2], -1, 4)
    return [g.from_warp(whole[..., j]) for j in range(4)]
