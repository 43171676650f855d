"""Loads and stores of many blocks at once, without the address of every lane.

Global memory: addresses that are a `Sum` with even steps are a rectangle of memory, copied as such; with other steps
their indices are made once and a number is added by moving the view. Shared memory: addresses that are the same in all
CTAs are columns of the array (CTAs, bytes). Bounds and alignment have been checked before.
"""

from __future__ import annotations

import numpy as np

from ptxvm.arena import Arena
from ptxvm.group import Array, Group
from ptxvm.sums import Sum

SHIFT = {1: 0, 2: 1, 4: 2, 8: 3, 16: 4}  # bytes of a cell -> bits by which an address is shifted to number it


# -- global memory -----------------------------------------------------------------------------------------------
def load(arena: Arena, address: Sum, size: int, count: int) -> list[Array]:
    """`count` unsigned arrays (nc, nt) of `size` bytes each, from consecutive places."""
    shift = SHIFT[size]
    steps = _even_steps(address, size)
    if steps is not None:
        return [_rectangle(arena, address, size, steps, i).copy() for i in range(count)]
    cells, start = address.parts.cells(shift), address.offset >> shift
    if cells is None:
        cells, start = address.whole() >> shift, 0
    view = arena.views[size]
    if start < 0:
        cells, start = cells + start, 0
    return [view[start + i :].take(cells) for i in range(count)]


def store(arena: Arena, address: Sum, values: list[Array]) -> None:
    """Store unsigned arrays of one size to consecutive places. Where lanes collide the last one wins."""
    size = values[0].dtype.itemsize
    steps = _even_steps(address, size)
    width = size * len(values)
    if steps is not None and steps[1] >= width and steps[0] >= steps[1] * (address.shape[1] - 1) + width:  # no two meet
        for i, value in enumerate(values):
            _rectangle(arena, address, size, steps, i)[...] = value
        return
    cells, view = address.whole() >> SHIFT[size], arena.views[size]
    for i, value in enumerate(values):
        view[cells + i if i else cells] = value


def _even_steps(address: Sum, size: int) -> tuple[int, int] | None:
    """Bytes from one row to the next and from one column to the next, if they are always the same and not negative."""
    row, col = address.parts.steps
    if row is None or col is None or row < 0 or col < 0 or row % size or col % size:
        return None
    return row, col


def _rectangle(arena: Arena, address: Sum, size: int, steps: tuple[int, int], i: int) -> Array:
    """The i-th cell of every lane as a view of the arena."""
    first = int(address.parts.row[0, 0]) + int(address.parts.col[0, 0]) + address.offset
    return np.ndarray(address.shape, f"u{size}", arena.bytes.data, first + i * size, steps)


# -- shared memory -----------------------------------------------------------------------------------------------
class Row:
    """Addresses in shared memory that all CTAs have in common.

    low, high  first byte touched, and the one behind the last
    cells      (nt,) the addresses in cells of the access
    step       from one cell to the next; 0 if that differs, or for one cell only
    """

    __slots__ = ("cells", "high", "low", "step")

    def __init__(self, address: Array, shift: int, low: int, high: int) -> None:
        self.low, self.high = low, high
        self.cells = address[0] >> shift
        self.step = 0
        if self.cells.size > 1:
            steps = self.cells[1:] - self.cells[:-1]
            self.step = max(0, int(steps[0])) if bool((steps == steps[0]).all()) else 0

    def _columns(self, i: int) -> slice:
        first = int(self.cells[0]) + i
        return slice(first, first + self.step * (self.cells.size - 1) + 1, self.step)

    def load(self, rows: Array, count: int) -> list[Array]:
        """Cells from `rows` (CTAs, cells) and those behind them, each (CTAs, nt)."""
        if self.step:
            return [rows[:, self._columns(i)].copy() for i in range(count)]
        return [rows.take(self.cells + i if i else self.cells, axis=1) for i in range(count)]

    def store(self, rows: Array, g: Group, values: list[Array]) -> bool:
        """Store one value a cell; False, and nothing done, where lanes may collide or their cells lie unevenly."""
        if self.step < len(values):
            return False
        for i, value in enumerate(values):
            rows[:, self._columns(i)] = value
        return True
