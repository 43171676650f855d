"""Atomic read-modify-write of many lanes, as if they acted one after another in lane order."""

from __future__ import annotations

import numpy as np

from ptxvm import numerics as nm
from ptxvm.group import Array

UFUNCS: dict[str, np.ufunc] = {
    "add": np.add,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}
PACKED = {"f16x2", "bf16x2", "bf16"}
FLUSHED = "f32 in global memory"  # additions there flush subnormal operands and results, in shared memory they do not


def apply(
    view: Array, index: Array, operation: str, type_name: str, b: Array, c: Array | None, want: bool
) -> Array | None:
    """Apply an operation of each lane to its cell.

    view   1-D array of cells, changed in place (raw bits for f16x2, bf16 and bf16x2)
    index  (n,) int64, the cell of each lane, in lane order; b, c (n,) operands: `cas` compares with b and stores c
    type_name  a PTX type, or FLUSHED
    want   return the value that each lane found

    Floating-point additions happen in lane order, each rounded: the sum of a card's order may differ in the last bits.
    """
    if index.size == 0:
        return np.zeros(0, view.dtype) if want else None
    ordered = index[1:] > index[:-1]
    if ordered.all() or np.unique(index).size == index.size:  # no two lanes meet: one vector operation
        old = view[index]
        view[index] = _combine(old, operation, type_name, b, c)
        return old if want else None
    if not want and operation in UFUNCS and type_name not in PACKED and view.dtype.kind != "f":
        UFUNCS[operation].at(view, index, b)
        return None
    return _in_rounds(view, index, operation, type_name, b, c)


def _in_rounds(view: Array, index: Array, operation: str, type_name: str, b: Array, c: Array | None) -> Array:
    """Round k serves the k-th lane of every cell: as many vector operations as lanes meet in the fullest cell."""
    order = np.argsort(index, kind="stable")
    sorted_index = index[order]
    starts = np.flatnonzero(np.r_[True, sorted_index[1:] != sorted_index[:-1]])
    turn = np.arange(index.size) - np.repeat(starts, np.diff(np.r_[starts, index.size]))
    if turn.max() > 64 and starts.size <= 4:
        return _one_by_one(view, index, operation, type_name, b, c)
    found = np.empty(index.size, view.dtype)
    by_turn = order[np.argsort(turn, kind="stable")]
    ends = np.cumsum(np.bincount(turn))
    first = 0
    for end in ends:
        lanes = by_turn[first:end]
        first = int(end)
        cells = index[lanes]
        old = view[cells]
        found[lanes] = old
        view[cells] = _combine(old, operation, type_name, b[lanes], None if c is None else c[lanes])
    return found


def _one_by_one(view: Array, index: Array, operation: str, type_name: str, b: Array, c: Array | None) -> Array:
    """Few cells that thousands of lanes share: running sums where that is the same thing, else lane by lane."""
    found = np.empty(index.size, view.dtype)
    for cell in np.unique(index):
        lanes = np.flatnonzero(index == cell)
        if operation in UFUNCS and type_name not in PACKED | {FLUSHED}:
            running = UFUNCS[operation].accumulate(
                np.r_[view[cell : cell + 1], b[lanes]].astype(view.dtype), dtype=view.dtype
            )
            found[lanes], view[cell] = running[:-1], running[-1]
            continue
        if type_name == FLUSHED:
            running = np.add.accumulate(nm.ftz(np.r_[view[cell : cell + 1], b[lanes]]), dtype=view.dtype)
            if not nm.is_subnormal(running).any():  # else each sum is flushed before the next one
                found[lanes] = np.r_[view[cell : cell + 1], running[1:-1]]
                view[cell] = running[-1]
                continue
        for lane in lanes:
            old = view[cell : cell + 1].copy()
            found[lane] = old[0]
            one = slice(lane, lane + 1)
            view[cell : cell + 1] = _combine(old, operation, type_name, b[one], None if c is None else c[one])
    return found


def _combine(old: Array, operation: str, type_name: str, b: Array, c: Array | None) -> Array:
    """New cells from old ones, for lanes that do not meet."""
    if type_name in PACKED:
        return _packed(old, type_name, b)
    if type_name == FLUSHED:
        return nm.ftz(nm.ftz(old) + nm.ftz(b))
    if operation in UFUNCS:
        return UFUNCS[operation](old, b).astype(old.dtype, copy=False)
    if operation == "exch":
        return b
    if operation == "cas":
        assert c is not None
        return np.where(old == b, c, old)
    if operation == "inc":  # ((old >= b) ? 0 : old + 1)
        return np.where(old >= b, np.zeros_like(old), old + np.ones_like(old))
    if operation == "dec":  # (((old == 0) | (old > b)) ? b : old - 1)
        return np.where((old == 0) | (old > b), b, old - np.ones_like(old))
    raise ValueError(operation)


def _packed(old: Array, type_name: str, b: Array) -> Array:
    """Sums of f16x2, bf16 and bf16x2 on raw bits."""
    halves_old = np.ascontiguousarray(old).view("u2")
    halves_b = np.ascontiguousarray(b).view("u2")
    if type_name == "f16x2":
        result = (halves_old.view("f2") + halves_b.view("f2")).view("u2")
    else:
        result = nm.to_bf16(nm.from_bf16(halves_old) + nm.from_bf16(halves_b))
    return result.view(old.dtype)
