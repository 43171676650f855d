"""`mma.sync` and `ldmatrix`: which lane holds which element, and the product of whole tiles.

Fragments of all 16-row shapes follow one rule. e is the number of elements in a 32-bit register, l the lane, j < e,
and / divides integers:

    A, register r      row l/4 + 8*(r&1)               column (l%4)*e + j + (r>>1)*4e
    B, register r      row (l%4)*e + j + r*4e          column l/4
    C and D, value i   row l/4 + 8*(i>>1)              column (l%4)*2 + (i&1)

Products of f16, bf16, tf32 and fp8 are exact in float32; their sums are rounded by `np.matmul` in float32, not as a
tensor core does it (which truncates and aligns in its own way), so results agree within tolerance and not to the last
bit. Integer sums are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from ptxvm import halves
from ptxvm.errors import LaneFault
from ptxvm.group import WARP, Array, Group

# element type -> (elements in a 32-bit register, decoder of unsigned elements to what matmul multiplies)
ELEMENTS: dict[str, tuple[int, Callable[[Array], Array]]] = {
    "f16": (2, lambda x: x.view(np.float16).astype(np.float32)),
    "bf16": (2, halves.from_bf16),
    "tf32": (1, lambda x: (x & np.uint32(0xFFFFE000)).view(np.float32)),  # the low 13 bits are ignored
    "e4m3": (4, lambda x: halves.from_fp8(x, "e4m3").astype(np.float32)),
    "e5m2": (4, lambda x: halves.from_fp8(x, "e5m2").astype(np.float32)),
    "s8": (4, lambda x: x.view(np.int8).astype(np.float64)),
    "u8": (4, lambda x: x.astype(np.float64)),
}
SHAPES: dict[tuple[int, int, int], set[str]] = {
    (16, 8, 4): {"tf32"},
    (16, 8, 8): {"f16", "bf16", "tf32"},
    (16, 8, 16): {"f16", "bf16", "s8", "u8", "e4m3", "e5m2"},
    (16, 8, 32): {"s8", "u8", "e4m3", "e5m2"},
}


@cache
def positions(operand: str, rows: int, columns: int, elements: int) -> tuple[Array, Array]:
    """Row and column of every element of A or B: arrays (registers, 32 lanes, elements)."""
    count = rows * columns // (WARP * elements)
    r = np.arange(count)[:, None, None]
    lane = np.arange(WARP)[None, :, None]
    j = np.arange(elements)[None, None, :]
    if operand == "a":
        return lane // 4 + 8 * (r & 1) + 0 * j, (lane % 4) * elements + j + (r >> 1) * 4 * elements
    return (lane % 4) * elements + j + r * 4 * elements, lane // 4 + 0 * j + 0 * r


@cache
def accumulator_positions() -> tuple[Array, Array]:
    """Row and column of the four values of C and D: arrays (4, 32 lanes)."""
    i = np.arange(4)[:, None]
    lane = np.arange(WARP)[None, :]
    return lane // 4 + 8 * (i >> 1), (lane % 4) * 2 + (i & 1)


def _whole_warps(g: Group) -> None:
    lanes = g.warp_lanes()
    if lanes is not None and not lanes.all():
        raise LaneFault("inactive lane", "a matrix instruction needs all 32 lanes of the warp", np.ones((1, 1), bool))


def _tile(g: Group, operand: str, registers: list[Array], rows: int, columns: int, kind: str) -> Array:
    """The registers of all warps as decoded tiles (c, w, rows, columns)."""
    elements, decode = ELEMENTS[kind]
    row, column = positions(operand, rows, columns, elements)
    tables = [g.by_warp(r.view(np.uint32)) for r in registers]
    ctas = max(t.shape[0] for t in tables)
    warps = tables[0].shape[1]
    parts = np.empty((ctas, warps, len(tables), WARP), np.uint32)
    for i, t in enumerate(tables):
        parts[:, :, i] = t
    split = parts.view(f"u{4 // elements}").reshape(ctas, warps, len(tables), WARP, elements)
    raw = np.empty((ctas, warps, rows * columns), split.dtype)
    raw[:, :, (row * columns + column).ravel()] = split.reshape(ctas, warps, -1)
    return decode(raw).reshape(ctas, warps, rows, columns)


def mma(
    g: Group,
    shape: tuple[int, int, int],
    kinds: tuple[str, str, str],
    a: list[Array],
    b: list[Array],
    c: list[Array],
    saturate: bool,
) -> list[Array]:
    """D = A B + C for every warp of a group.

    shape (m, n, k); kinds are the types of A, B and the accumulator ("f32", "f16" or "s32"). a, b: registers as uint32;
    c: four float32 or int32 arrays, or two uint32 arrays of packed f16. Returns registers of D in the form of c.
    """
    _whole_warps(g)
    m, n, k = shape
    left = _tile(g, "a", a, m, k, kinds[0])
    right = _tile(g, "b", b, k, n, kinds[1])
    product = np.matmul(left, right)  # (c, w, m, n) float32, or float64 with exact integers
    row, column = accumulator_positions()
    values = product[:, :, row, column]  # (c, w, 4, 32)
    if kinds[2] == "s32":
        return _add_integers(g, values, c, saturate)
    if kinds[2] == "f32":
        return [g.from_warp(values[:, :, i] + g.by_warp(c[i])) for i in range(4)]
    out = []
    for i in range(2):  # two halves in each register: values 2i (low) and 2i + 1 (high)
        packed = np.ascontiguousarray(g.by_warp(c[i].view(np.uint32)))
        halves_in = packed.view(np.float16).reshape(*packed.shape, 2).astype(np.float32)
        total = np.stack([values[:, :, 2 * i], values[:, :, 2 * i + 1]], axis=-1) + halves_in
        out.append(g.from_warp(np.ascontiguousarray(total.astype(np.float16)).view(np.uint32)[..., 0]))
    return out


def _add_integers(g: Group, values: Array, c: list[Array], saturate: bool) -> list[Array]:
    out = []
    for i in range(4):
        total = values[:, :, i].astype(np.int64) + g.by_warp(c[i]).astype(np.int64)
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
    base = g.ctas.reshape(-1, 1) * stride if g.product else (row_cta * stride).reshape(1, -1)
    start = rows + base.reshape(*base.shape, 1, 1) if g.product else rows + base.reshape(1, warps, 1, 1)
    words = shared.reshape(-1).view(np.uint32).take((start[..., None] >> 2) + np.arange(4))  # (c, w, count, 8, 4)
    if transpose:
        elements = words.view(np.uint16).swapaxes(-1, -2)  # (c, w, count, 8 columns, 8 rows)
        words = np.ascontiguousarray(elements).view(np.uint32)
    count = rows.shape[2]
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
