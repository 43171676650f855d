"""Stores of equal values: what tells a harmless collision of one instruction's threads from a race."""

from __future__ import annotations

import numpy as np

from ptxvm.access import Access
from ptxvm.group import Array
from ptxvm.memory import Memory


def differ(a: Access, cells: Array, lanes: Array, shift: int, alike: bool) -> Array:
    """Which of some lanes store another value than the last lane of the same instruction that hits their cell.

    cells  (n,) of 1 << `shift` bytes, one for each cell of each active lane, in lane order; `lanes` are indices into it
    alike  one CTA was looked at for all: all of them must agree
    """
    if a.values is None:
        return np.ones(lanes.size, bool)
    values = a.cell_values(shift, alike)
    _, place = np.unique(cells, return_inverse=True)
    last = np.empty(cells.size, np.int64)
    last[place] = np.arange(cells.size)
    return (values[:, lanes] != values[:, last[place][lanes]]).any(axis=0)


def change(a: Access, memory: Memory, cells: Array, lanes: Array, shift: int, cells_per_cta: int, ctas: int) -> Array:
    """Which of some lanes store another value than their cell holds now.

    cells          as above; in shared memory those of CTA c begin at c * `cells_per_cta` (0: global memory)
    ctas           how many CTAs one is looked at for; 0: each has its own cells
    """
    if a.values is None:
        return np.ones(lanes.size, bool)
    values = a.cell_values(shift, ctas > 0)[:, lanes]
    index = cells[lanes]
    if cells_per_cta:
        cta = np.arange(ctas)[:, None] if ctas else index // cells_per_cta
        index = index % cells_per_cta + cta * (memory.shared_stride >> shift)
    return (values != memory.cells(a.space, shift, index)).any(axis=0)
