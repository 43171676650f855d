"""Which threads run together, and how a value of each of them is stored.

A group is a set of threads at the same basic block. A *product* group is every pair of some blocks (`ctas`, shape
(nc, 1)) and some threads (`tids`, shape (1, nt)); a *flat* group is a list of single threads (`ctas` and `tids`, both
(n, 1)). A register is an array whose shape broadcasts to `shape`: (1, 1), (nc, 1), (1, nt) or (nc, nt) in a product
group, (1, 1) or (n, 1) in a flat one. So what depends on the thread index alone is computed once for all blocks. In a
product group an integer register may also be a `sums.Sum`, which stands for an array of shape (nc, nt).

Threads are sorted: `tids` ascending in a product group, (cta, tid) ascending in a flat one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ptxvm.sums import is_sum, join, whole

Array = np.ndarray[Any, Any]
Registers = dict[str, Array]
WARP = 32


class Group:
    """Some threads of one batch, at one basic block."""

    __slots__ = ("_slots", "block", "ctas", "product", "regs", "shape", "tids")

    def __init__(self, block: int, ctas: Array, tids: Array, regs: Registers, product: bool = True) -> None:
        self.block = block
        self.ctas = ctas  # int64, index of the CTA in its batch
        self.tids = tids  # int64, linear thread index in the CTA
        self.regs = regs
        self.product = product
        self.shape = (ctas.shape[0], tids.shape[1])  # (n, 1) when flat
        self._slots: tuple[Array | None, int, Array, Array] | None = None

    @property
    def size(self) -> int:
        """Number of threads."""
        return self.shape[0] * self.shape[1]

    def full(self, x: Array) -> Array:
        """`x` broadcast to every thread of the group (read-only view)."""
        return np.broadcast_to(x, self.shape)

    # -- warps ---------------------------------------------------------------------------------------------------
    def warp_slots(self) -> tuple[Array | None, int, Array, Array]:
        """How threads map to (warp row, lane).

        Returns `(slot, rows, row_cta, row_warp)`. `slot` (nt,) or (n,) is the position in a table of `rows` x 32, or
        None where threads fill it in order without a hole. A product group has the same table for each of its CTAs;
        `row_cta` is then empty.
        """
        if self._slots is None:
            tids = self.tids.ravel()
            begins, row = _runs(tids // WARP if self.product else (self.ctas[:, 0] << 16) + tids // WARP)
            slot = None if tids.size == begins.size * WARP else row * WARP + tids % WARP
            row_cta = np.empty(0, np.int64) if self.product else self.ctas[begins, 0]
            self._slots = (slot, begins.size, row_cta, tids[begins] // WARP)
        return self._slots

    def by_warp(self, x: Array) -> Array:
        """`x` as (c, w, 32): c is the number of CTAs, or 1 where x is the same in all of them or the group is flat.

        Lanes that are not in the group hold zeros.
        """
        slot, rows, _, _ = self.warp_slots()
        if self.product:
            values = np.broadcast_to(x, (x.shape[0], self.shape[1]))
        else:
            values = np.broadcast_to(x, self.shape).reshape(1, -1)
        if slot is None:
            return values.reshape(values.shape[0], rows, WARP)
        table = np.zeros((values.shape[0], rows * WARP), x.dtype)
        table[:, slot] = values
        return table.reshape(values.shape[0], rows, WARP)

    def warp_lanes(self, mask: Array | None = None) -> Array | None:
        """(c, w, 32) bool: lanes in the group, and in `mask` if given; None where every lane of every warp is."""
        slot = self.warp_slots()[0]
        if mask is None:
            if slot is None:
                return None
            mask = np.ones((1, 1), bool)
        return self.by_warp(mask)

    def from_warp(self, table: Array) -> Array:
        """Inverse of `by_warp`: (c, w, 32) back to an array that broadcasts to the group's shape."""
        slot = self.warp_slots()[0]
        flat = table.reshape(table.shape[0], -1)
        if slot is not None:
            flat = flat[:, slot]
        return flat if self.product else flat.reshape(-1, 1)

    def warp_weight(self, table: Array) -> int:
        """How many CTAs one row of a (c, w, 32) table stands for."""
        return self.shape[0] if self.product and table.shape[0] == 1 else 1

    def warp_count(self) -> int:
        """Number of (cta, warp) pairs with a thread in the group."""
        rows = self.warp_slots()[1]
        return rows * self.shape[0] if self.product else rows

    # -- splitting -----------------------------------------------------------------------------------------------
    def take(self, mask: Array, live: Iterable[str]) -> Group | None:
        """The threads where `mask` is true, with the registers in `live`; None if there are none."""
        if not mask.any():
            return None
        if mask.all():
            return Group(
                self.block, self.ctas, self.tids, {k: self.regs[k] for k in live if k in self.regs}, self.product
            )
        if self.product and mask.shape[0] > 1 and mask.shape[1] > 1:
            rows, columns = np.logical_or.reduce(mask, axis=1), np.logical_or.reduce(mask, axis=0)
            if (mask == (rows[:, None] & columns)).all():  # separable: still a product
                return self._rows(rows, live)._columns(columns, live)
            return self.flatten(live)._rows(mask.ravel(), live)
        if mask.shape[0] > 1:
            return self._rows(mask[:, 0], live)
        return self._columns(mask[0], live)

    def _rows(self, keep: Array, live: Iterable[str]) -> Group:
        index = np.flatnonzero(keep)
        regs = {k: v[index] if v.shape[0] > 1 else v for k in live if (v := self.regs.get(k)) is not None}
        tids = self.tids if self.product else self.tids[index]
        return Group(self.block, self.ctas[index], tids, regs, self.product)

    def _columns(self, keep: Array, live: Iterable[str]) -> Group:
        index = np.flatnonzero(keep)
        regs = {k: v[:, index] if v.shape[1] > 1 else v for k in live if (v := self.regs.get(k)) is not None}
        return Group(self.block, self.ctas, self.tids[:, index], regs, self.product)

    def flatten(self, live: Iterable[str]) -> Group:
        """The same threads as a flat group."""
        if not self.product:
            return self
        regs = {
            k: v if v.size == 1 else np.broadcast_to(whole(v), self.shape).reshape(-1, 1)
            for k in live
            if (v := self.regs.get(k)) is not None
        }
        ctas = np.broadcast_to(self.ctas, self.shape).reshape(-1, 1)
        tids = np.broadcast_to(self.tids, self.shape).reshape(-1, 1)
        return Group(self.block, ctas, tids, regs, product=False)


# -- merging -----------------------------------------------------------------------------------------------------
def merge(groups: list[Group], live: Iterable[str]) -> Group:
    """One group of all threads of `groups`, which wait at the same block."""
    live = list(live)
    if len(groups) == 1:
        return groups[0]
    first = groups[0]
    if all(g.product for g in groups):
        if all(np.array_equal(g.tids, first.tids) for g in groups[1:]):
            return _join(groups, live, axis=0)
        if all(np.array_equal(g.ctas, first.ctas) for g in groups[1:]):
            return _join(groups, live, axis=1)
    return restore(_join([g.flatten(live) for g in groups], live, axis=0), live)


def _join(groups: list[Group], live: list[str], axis: int) -> Group:
    """Concatenate along CTAs (or flat threads) for axis 0, along threads for axis 1."""
    first = groups[0]
    if first.product:
        keys = np.concatenate([(g.ctas[:, 0] if axis == 0 else g.tids[0]) for g in groups])
    else:
        keys = np.concatenate([(g.ctas[:, 0] << 20) + g.tids[:, 0] for g in groups])
    order = np.argsort(keys, kind="stable")
    regs: Registers = {}
    for name in live:
        parts = [g.regs.get(name) for g in groups]
        if all(p is None for p in parts):
            continue
        sample = next(p for p in parts if p is not None)
        arrays = [np.zeros((1, 1), sample.dtype) if p is None else p for p in parts]
        regs[name] = _join_values(arrays, [g.shape for g in groups], axis, order)
    if not first.product:
        ctas = np.concatenate([g.ctas for g in groups])[order]
        tids = np.concatenate([g.tids for g in groups])[order]
        return Group(first.block, ctas, tids, regs, product=False)
    if axis == 0:
        return Group(first.block, keys[order][:, None], first.tids, regs)
    return Group(first.block, first.ctas, keys[order][None, :], regs)


def _join_values(arrays: list[Any], shapes: list[tuple[int, int]], axis: int, order: Array) -> Any:
    first = arrays[0]
    if first.shape[axis] == 1 and all(a is first or (a.shape == first.shape and _same(a, first)) for a in arrays[1:]):
        return first
    if any(is_sum(a) for a in arrays):
        joined: Any = join(arrays, axis, order)
        if joined is not None:
            return joined
        arrays = [whole(a) for a in arrays]
    width = max(a.shape[1 - axis] for a in arrays)
    joined = np.empty((order.size, width) if axis == 0 else (width, order.size), first.dtype)
    along, begin = joined if axis == 0 else joined.T, 0
    for array, shape in zip(arrays, shapes, strict=True):
        along[begin : begin + shape[axis]] = array if axis == 0 else array.T
        begin += shape[axis]
    return joined[order] if axis == 0 else joined[:, order]


def _same(a: Array, b: Array) -> bool:
    """Bitwise equality, so that NaN equals itself and -0 differs from 0."""
    return a.size <= 4096 and a.tobytes() == b.tobytes()


def restore(group: Group, live: Iterable[str]) -> Group:
    """A flat group as a product again, if it is every pair of its CTAs and threads; else the same group."""
    if group.product:
        return group
    ctas, tids = np.unique(group.ctas), np.unique(group.tids)
    if ctas.size * tids.size != group.size:
        return group
    shape = (ctas.size, tids.size)
    regs = {k: v if v.size == 1 else v.reshape(shape) for k in live if (v := group.regs.get(k)) is not None}
    return Group(group.block, ctas[:, None], tids[None, :], regs)


def _runs(keys: Array) -> tuple[Array, Array]:
    """Of ascending keys: where each value begins, and which of the values each place holds."""
    changes = keys[1:] != keys[:-1]
    row = np.zeros(keys.size, np.int64)
    np.cumsum(changes, out=row[1:])
    return np.concatenate(([0], np.flatnonzero(changes) + 1)), row


def registers_of(values: Mapping[str, Array]) -> Registers:
    """A register file from a mapping (a copy, so that groups never share one)."""
    return dict(values)
