"""`mma.sync` and `ldmatrix`: which lane holds which element. `tensorcore` says how the products are added.

Fragments of all 16-row shapes follow one rule. e is the number of elements in a 32-bit register, l the lane, j < e,
and / divides integers:

    A, register r      row l/4 + 8*(r&1)               column (l%4)*e + j + (r>>1)*4e
    B, register r      row (l%4)*e + j + r*4e          column l/4
    C and D, value i   row l/4 + 8*(i>>1)              column (l%4)*2 + (i&1)

So every part of an index is a part of a row or a column, and a tile is its registers with the axes in another order.
Tiles have the axes (k, row or column, c, w) and (row, column, c, w): the warps come last.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ptxvm import halves
from ptxvm.errors import LaneFault
from ptxvm.group import WARP, Array, Group
from ptxvm.tensorcore import Factors, dot, fp8_dot

_HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)  # faster than a conversion
_BYTES = {kind: halves.from_fp8(np.arange(256, dtype=np.uint8), kind).astype(np.float32) for kind in ("e4m3", "e5m2")}

# element type -> (elements in a 32-bit register, decoder of unsigned elements to float32)
ELEMENTS: dict[str, tuple[int, Callable[[Array], Array]]] = {
    "f16": (2, _HALVES.take),
    "bf16": (2, halves.from_bf16),
    "tf32": (1, lambda x: (x & np.uint32(0xFFFFE000)).view(np.float32)),  # the low 13 bits are ignored
    "e4m3": (4, _BYTES["e4m3"].take),
    "e5m2": (4, _BYTES["e5m2"].take),
    "s8": (4, lambda x: x.view(np.int8).astype(np.float32)),
    "u8": (4, lambda x: x.astype(np.float32)),
}
SHAPES: dict[tuple[int, int, int], set[str]] = {
    (16, 8, 4): {"tf32"},
    (16, 8, 8): {"f16", "bf16", "tf32"},
    (16, 8, 16): {"f16", "bf16", "s8", "u8", "e4m3", "e5m2"},
    (16, 8, 32): {"s8", "u8", "e4m3", "e5m2"},
}


def _whole_warps(g: Group) -> None:
    lanes = g.warp_lanes()
    if lanes is not None and not lanes.all():
        raise LaneFault("inactive lane", "a matrix instruction needs all 32 lanes of the warp", np.ones((1, 1), bool))


def _words(g: Group, registers: list[Array]) -> Array:
    """Registers of all warps as (registers, 8, 4, c, w): lane l is at [l/4, l%4]."""
    tables = [g.by_warp(r.view(np.uint32)) for r in registers]
    ctas, warps = max(t.shape[0] for t in tables), tables[0].shape[1]
    words = np.empty((len(tables), 8, 4, ctas, warps), np.uint32)
    for i, t in enumerate(tables):
        words[i] = t.reshape(-1, warps, 8, 4).transpose(2, 3, 0, 1)
    return words


def factor(g: Group, kind: str, operand: str, registers: list[Array]) -> Factors:
    """The tile of A as (k, 16, c, w), or of B as (k, 8, c, w), decoded to float32."""
    elements, decode = ELEMENTS[kind]
    words = _words(g, registers)
    count, _, _, ctas, warps = words.shape
    values = decode(words.view(f"u{4 // elements}"))
    if operand == "a":  # register (2 r + s), lane (l, m), element j: row (s, l), column (r, m, j)
        split = values.reshape(count // 2, 2, 8, 4, ctas, warps, elements)
        return Factors(split.transpose(0, 3, 6, 1, 2, 4, 5).reshape(-1, 16, ctas, warps))
    split = values.reshape(count, 8, 4, ctas, warps, elements)  # register r, lane (l, m): row (r, m, j), column l
    return Factors(split.transpose(0, 2, 5, 1, 3, 4).reshape(-1, 8, ctas, warps))


def _accumulator(words: Array) -> Array:
    """Four values of a lane, (4, 8, 4, c, w), as (16, 8, c, w).

    Value (2 s + t), lane (l, m): row (s, l), column (m, t).
    """
    return words.reshape(2, 2, 8, 4, *words.shape[3:]).transpose(0, 2, 3, 1, 4, 5).reshape(16, 8, *words.shape[3:])


def _values(tile: Array) -> Array:
    """The inverse of `_accumulator`, as (4, c, w, 32)."""
    split = tile.reshape(2, 8, 4, 2, *tile.shape[2:])
    return split.transpose(0, 3, 4, 5, 1, 2).reshape(4, *tile.shape[2:], WARP)


def mma(
    g: Group,
    shape: tuple[int, int, int],
    kinds: tuple[str, str, str],
    left: Factors,
    right: Factors,
    c: list[Array],
    saturate: bool,
) -> list[Array]:
    """D = A B + C for every warp of a group.

    shape (m, n, k); kinds are the types of A, B and the accumulator ("f32", "f16" or "s32"). a, b: registers as uint32;
    c: four float32 or int32 arrays, or two uint32 arrays of packed f16. Returns registers of D in the form of c.
    """
    _whole_warps(g)
    if kinds[2] == "s32":
        return _integers(g, left.numbers, right.numbers, c, saturate)
    add = fp8_dot if kinds[0] in _BYTES else dot
    words = _words(g, c)
    if kinds[2] == "f32":
        total = _values(add(left, right, _accumulator(words.view(np.float32))))
        return [g.from_warp(one) for one in total]
    # a register of C holds two values: the first register 0 and 1, the second 2 and 3
    pairs = _HALVES.take(words.view(np.uint16)).reshape(*words.shape, 2)
    given = pairs.transpose(0, 5, 1, 2, 3, 4).reshape(4, *words.shape[1:])
    total = _values(add(left, right, _accumulator(given), half=True)).astype(np.float16)
    bits = total.view(np.uint16).astype(np.uint32)
    return [g.from_warp(bits[2 * i] | bits[2 * i + 1] << np.uint32(16)) for i in range(2)]


def _integers(g: Group, left: Array, right: Array, c: list[Array], saturate: bool) -> list[Array]:
    """Sums of products of 8-bit numbers are exact in float32: 32 * 255^2 < 2^24."""
    product = np.matmul(left.transpose(2, 3, 1, 0), right.transpose(2, 3, 0, 1))  # (c, w, 16, 8)
    values = _values(product.transpose(2, 3, 0, 1))
    out = []
    for i in range(4):
        total = values[i].astype(np.int64) + g.by_warp(c[i]).astype(np.int64)
        if saturate:
            total = np.clip(total, -(2**31), 2**31 - 1)
        out.append(g.from_warp(total.astype(np.int32)))
    return out


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
    _whole_warps(g)
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
    words = cells.view(np.uint32).reshape(-1, warps, count, 8, 4)
    if transpose:
        elements = words.view(np.uint16).swapaxes(-1, -2)  # (c, w, count, 8 columns, 8 rows)
        words = np.ascontiguousarray(elements).view(np.uint32)
    return [g.from_warp(words[:, :, i].reshape(*words.shape[:2], WARP)) for i in range(count)]


def stmatrix_rows(g: Group, registers: list[Array], transpose: bool) -> list[Array]:
    """The four words that each lane stores: lane 8i + r holds row r of matrix i, of 8x8 elements of 16 bits.

    registers  one a matrix, uint32: lane l gives elements 2(l%4) and 2(l%4)+1 of row l/4 (column l/4 with `transpose`)
    """
    _whole_warps(g)
    tables = [g.by_warp(r) for r in registers]
    ctas = max(t.shape[0] for t in tables)
    shape = (ctas, tables[0].shape[1], WARP)
    words = np.stack([np.broadcast_to(t, shape) for t in tables], axis=2)  # (c, w, count, 32)
    rows = np.ascontiguousarray(words).reshape(*shape[:2], len(registers), 8, 4)
    if transpose:
        rows = np.ascontiguousarray(rows.view(np.uint16).swapaxes(-1, -2)).view(np.uint32)
    whole = np.zeros((*shape, 4), np.uint32)
    whole[:, :, : 8 * len(registers)] = rows.reshape(*shape[:2], -1, 4)
    return [g.from_warp(whole[..., j]) for j in range(4)]
