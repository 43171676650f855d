"""`wmma.load` and `wmma.store`: matrices between memory and the fragments that `mma.py` describes.

The PTX ISA leaves open which lane holds which element; here it is what ptxas makes on sm_75 to sm_90, and so are the
accesses, which are counted and checked like any other:

    A and B of up to 16 bits, from shared memory        `ldmatrix` of four, two or one 8 x 8 matrices
    A and B, neighbours in memory along k               a register a load
    A and B of 16 bits, the other layout                a register a load, then `movmatrix`
    A and B of 8 bits, the other layout                 an element a load, from shared memory too
    C and D, rows                                       two neighbours a load or store
    C and D of 16 bits, columns                         a register a load or store, and `movmatrix`
    C and D of 32 and 64 bits, columns                  an element a load or store

tf32 and f64 hold one element a register, so that for them both layouts of A and B are alike. Fragments of C and D of
one shape and type are the same registers. Those of f16 A and B take eight registers whatever their size; what the
matrix does not need repeats it, and `wmma.mma` does not read it.

The ISA wants each row or column to begin at a multiple of the fragment's size in bytes. What is checked is what a card
would trap on: the alignment of each access.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from ptxvm.access import Site
from ptxvm.group import WARP, Array, Group
from ptxvm.matrix_forms import BITS, FragmentForm
from ptxvm.mma import movmatrix, whole_warps

if TYPE_CHECKING:
    from ptxvm.machine import Machine

_EVERY_LANE = np.array([[0xFFFFFFFF]], np.uint32)


class _Matrix:
    """Where the elements of a fragment's matrix lie, for the lanes of a group.

    stride  int64, elements from one line (row or column, as the layout says) to the next
    """

    def __init__(self, g: Group, form: FragmentForm, address: Array, stride: Array) -> None:
        self.address, self.bits = address, BITS[form.kind]
        self.pitch = stride * self.bits >> 3  # bytes
        lane = g.tids % WARP
        self.lane, self.group, self.thread = lane, lane >> 2, lane & 3

    def at(self, line: Array, position: Array | int) -> Array:
        """Addresses of elements."""
        return self.address + line * self.pitch + (position * self.bits >> 3)


def load(
    rt: Machine, g: Group, site: Site, form: FragmentForm, address: Array, stride: Array, guard: Array | None
) -> list[Array]:
    """The registers of a fragment of A, B or C, unsigned."""
    _meet(rt, g, guard)
    matrix = _Matrix(g, form, address, stride)
    if form.operand == "c":
        return [
            register
            for row, column in _blocks(form)
            for register in _load_block(rt, g, site, form, matrix, row, column, guard)
        ]
    pieces = _pieces(form)
    if form.space == "shared" and (matrix.bits == 16 or (form.along_k and matrix.bits < 16)):
        registers = _load_matrices(rt, g, site, form, matrix, pieces, guard)
    else:
        registers = [_load_piece(rt, g, site, form, matrix, outer, k, guard) for outer, k in pieces]
    return registers * (form.registers[0] // len(registers))


def store(
    rt: Machine,
    g: Group,
    site: Site,
    form: FragmentForm,
    address: Array,
    stride: Array,
    registers: list[Array],
    guard: Array | None,
) -> None:
    """Store a fragment of D, of unsigned registers."""
    _meet(rt, g, guard)
    matrix = _Matrix(g, form, address, stride)
    a_block = len(registers) // len(_blocks(form))
    for i, (row, column) in enumerate(_blocks(form)):
        values = registers[i * a_block : (i + 1) * a_block]
        if form.layout == "row":
            rt.store(g, site, form.space, matrix.at(row + matrix.group, column + 2 * matrix.thread), guard, values)
        elif matrix.bits == 16:
            at = matrix.at(column + matrix.group, row + 2 * matrix.thread)
            rt.store(g, site, form.space, at, guard, [movmatrix(g, values[0], guard)])
        else:
            for j, value in enumerate(values):
                at = matrix.at(column + 2 * matrix.thread + j, row + matrix.group)
                rt.store(g, site, form.space, at, guard, [value])


def _meet(rt: Machine, g: Group, guard: Array | None) -> None:
    """The lanes of a warp wait for each other."""
    whole_warps(g, guard)
    if guard is None:
        rt.warp_sync(g, _EVERY_LANE)


# -- A and B -------------------------------------------------------------------------------------------------------
def _pieces(form: FragmentForm) -> list[tuple[int, int]]:
    """(first row of A or column of B, first k) of the piece in each register."""
    m, n, k = form.shape
    ks = range(0, k, 4 * max(32 // BITS[form.kind], 1))
    if form.operand == "b":
        return list(product(range(0, n, 8), ks))
    high = range(0, min(m, 16), 8)
    return [(row + upper, first) for row, first, upper in product(range(0, m, 16), ks, high)]


def _load_piece(
    rt: Machine, g: Group, site: Site, form: FragmentForm, matrix: _Matrix, outer: int, k: int, guard: Array | None
) -> Array:
    size = max(matrix.bits // 8, 4)
    elements = 8 * size // matrix.bits
    along = k + elements * matrix.thread
    if form.along_k:
        return rt.load(g, site, form.space, matrix.at(outer + matrix.group, along), guard, size, 1)[0]
    if elements == 1:
        return rt.load(g, site, form.space, matrix.at(along, outer + matrix.group), guard, size, 1)[0]
    if elements == 2:
        at = matrix.at(k + matrix.group, outer + 2 * matrix.thread)
        return movmatrix(g, rt.load(g, site, form.space, at, guard, 4, 1)[0], guard)
    word = np.zeros((1, 1), np.uint32)
    for j in range(elements):
        byte = rt.load(g, site, form.space, matrix.at(along + j, outer + matrix.group), guard, 1, 1)[0]
        word = word | byte.astype(np.uint32) << np.uint32(8 * j)
    return word


def _load_matrices(
    rt: Machine,
    g: Group,
    site: Site,
    form: FragmentForm,
    matrix: _Matrix,
    pieces: list[tuple[int, int]],
    guard: Array | None,
) -> list[Array]:
    """Pieces of 8 lines of 16 bytes in shared memory."""
    count = min(len(pieces), 4)
    registers: list[Array] = []
    for first in range(0, len(pieces), count):
        mine = np.array(pieces[first : first + count])[matrix.lane // 8 % count]  # (.., 2): of the lane's matrix
        outer, k = mine[..., 0], mine[..., 1]
        line, position = (outer, k) if form.along_k else (k, outer)
        at = matrix.at(line + (matrix.lane & 7), position)
        registers += rt.ldmatrix(g, site, form.space, at, count, not form.along_k, guard)
    return registers


# -- C and D -------------------------------------------------------------------------------------------------------
def _blocks(form: FragmentForm) -> list[tuple[int, int]]:
    """(first row, first column) of the 8 x 8 blocks in the order of the registers."""
    m, n, _ = form.shape
    high = range(0, min(m, 16), 8)
    return [(row + upper, column) for row, column, upper in product(range(0, m, 16), range(0, n, 8), high)]


def _load_block(
    rt: Machine, g: Group, site: Site, form: FragmentForm, matrix: _Matrix, row: int, column: int, guard: Array | None
) -> list[Array]:
    pair = form.kind == "f16"  # two neighbours are a register
    size = max(matrix.bits // 8, 4)
    if form.layout == "row":
        at = matrix.at(row + matrix.group, column + 2 * matrix.thread)
        return rt.load(g, site, form.space, at, guard, size, 1 if pair else 2)
    if pair:
        at = matrix.at(column + matrix.group, row + 2 * matrix.thread)
        return [movmatrix(g, rt.load(g, site, form.space, at, guard, size, 1)[0], guard)]
    columns = (column + 2 * matrix.thread + j for j in (0, 1))
    return [rt.load(g, site, form.space, matrix.at(c, row + matrix.group), guard, size, 1)[0] for c in columns]
