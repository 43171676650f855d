"""Integers that are a part of the block plus a part of the thread, kept apart until somebody asks for every lane.

Nearly every address is such a sum: a row of the tensor for each block, a column for each thread. Added up it is an
array of all lanes; apart it is two small ones, on which the arithmetic that leads to an address costs next to nothing,
and which show at a glance how low and how high the addresses go and whether they are evenly spaced. A sum behaves like
the array that it stands for: `+`, `-`, `*`, `<<` with a single number, `|` where no bits meet, `.view` and `.astype`
give a sum again, comparisons with a number that all lanes answer alike give one answer; all else adds up first.

All arithmetic is modulo 2^bits, as that of the array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LEAST_LANES = 2048  # with fewer, adding up costs no more than keeping apart (measured)
MOST_MADE = 32  # derived parts that are remembered


class Parts:
    """row (nc, 1) and col (1, nt) of one integer dtype, and what is known of row + col. Shared by all sums that differ
    from each other by a number only, so that a loop which moves an address by a number learns nothing twice."""

    __slots__ = ("_bits", "_cells", "_made", "_range", "_steps", "_whole", "col", "notes", "row")

    def __init__(self, row: Array, col: Array) -> None:
        self.row, self.col = row, col
        self._whole: Array | None = None
        self._cells: dict[int, Array] = {}
        self._range: tuple[int, int] | None = None
        self._bits: tuple[int, int] | None = None
        self._steps: tuple[int | None, int | None] | None = None
        self._made: dict[tuple[Any, ...], Parts] = {}
        self.notes: dict[Any, Any] = {}  # what others have found out about accesses at these addresses

    def whole(self) -> Array:
        """Every lane, (nc, nt). Not to be written to."""
        if self._whole is None:
            self._whole = self.row + self.col
        return self._whole

    def cells(self, shift: int) -> Array | None:
        """Every lane, shifted right; None unless in both parts the shifted-out bits are 0."""
        if (self.bits[0] | self.bits[1]) & ((1 << shift) - 1):
            return None
        found = self._cells.get(shift)
        if found is None:
            found = self._cells[shift] = (self.row >> shift) + (self.col >> shift)
        return found

    @property
    def range(self) -> tuple[int, int]:
        """Least and greatest sum, before any wrap."""
        if self._range is None:
            r, c = self.row, self.col
            self._range = (int(r.min()) + int(c.min()), int(r.max()) + int(c.max()))
        return self._range

    @property
    def bits(self) -> tuple[int, int]:
        """Bits that are set in some row, and in some column."""
        if self._bits is None:
            self._bits = (_or(self.row), _or(self.col))
        return self._bits

    @property
    def steps(self) -> tuple[int | None, int | None]:
        """From one row to the next, and from one column to the next; None where that differs."""
        if self._steps is None:
            self._steps = (_step(self.row[:, 0]), _step(self.col[0]))
        return self._steps

    def made(self, key: tuple[Any, ...], make: Callable[[Array], Array]) -> Parts:
        """What a function that may be applied to each part gives; remembered."""
        found = self._made.get(key)
        if found is None:
            if len(self._made) >= MOST_MADE:
                self._made.clear()
            found = self._made[key] = Parts(make(self.row), make(self.col))
        return found


def _or(values: Array) -> int:
    return int(np.bitwise_or.reduce(values, axis=None))


def _step(values: Array) -> int | None:
    steps = values[1:] - values[:-1]
    first = steps[0]
    return int(first) if bool((steps == first).all()) else None


class Sum:
    """parts.row + parts.col + offset."""

    __slots__ = ("offset", "parts")
    __array_ufunc__ = None  # an array on the left of an operator leaves it to the sum
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, parts: Parts, offset: int) -> None:
        self.parts = parts
        half = 1 << (8 * parts.row.dtype.itemsize - 1)
        self.offset = offset if -half <= offset < half else ((offset + half) & (2 * half - 1)) - half

    # -- as an array ---------------------------------------------------------------------------------------------
    @property
    def dtype(self) -> np.dtype[Any]:
        return self.parts.row.dtype

    @property
    def shape(self) -> tuple[int, int]:
        return self.parts.row.shape[0], self.parts.col.shape[1]

    @property
    def size(self) -> int:
        return self.parts.row.size * self.parts.col.size

    @property
    def nbytes(self) -> int:
        """Bytes that it occupies as it is."""
        return self.parts.row.nbytes + self.parts.col.nbytes

    def whole(self) -> Array:
        """The array of every lane. Not to be written to."""
        whole = self.parts.whole()
        return whole + _number(self.offset, whole.dtype) if self.offset else whole

    def starts(self) -> Array:
        """(nc, 1): the values of the first column."""
        return self.parts.row + self.parts.col[:, :1] + _number(self.offset, self.dtype)

    def bounds(self) -> tuple[int, int] | None:
        """Least and greatest value; None where some lane wraps around."""
        low, high = self.parts.range
        low, high = low + self.offset, high + self.offset
        limits = _LIMITS[self.parts.row.dtype]
        return (low, high) if limits[0] <= low and high <= limits[1] else None

    def aligned(self, width: int) -> bool:
        """Whether every lane is a multiple of `width`, a power of two."""
        row, col = self.parts.bits
        if (row | col) & (width - 1):
            return not _or(self.whole()) & (width - 1)
        return not self.offset & (width - 1)

    def __getitem__(self, key: Any) -> Array | Sum:
        """Some rows, or with (slice(None), index) some columns."""
        if isinstance(key, tuple):
            return _sum(self.parts.row, self.parts.col[key], self.offset)
        return _sum(self.parts.row[key], self.parts.col, self.offset)

    def view(self, dtype: Any) -> Any:
        """The same bits, signed or unsigned."""
        kind = np.dtype(dtype)
        if kind == self.dtype:
            return self
        if kind.kind not in "iu" or kind.itemsize != self.dtype.itemsize:
            return self.whole().view(kind)
        return Sum(self.parts.made(("view", kind), lambda x: x.view(kind)), self.offset)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """As numbers of another type."""
        kind = np.dtype(dtype)
        if kind == self.dtype:
            return self
        widens = kind.itemsize > self.dtype.itemsize
        if kind.kind not in "iu" or kind.itemsize < 4 or (widens and self.bounds() is None):
            return self.whole().astype(kind)
        return Sum(self.parts.made(("as", kind), lambda x: x.astype(kind)), self.offset)

    # -- arithmetic ----------------------------------------------------------------------------------------------
    def __add__(self, other: Any) -> Any:
        if type(other) is int:
            return Sum(self.parts, self.offset + other)
        if type(other) is Sum:
            a, b = self.parts, other.parts
            return Sum(Parts(a.row + b.row, a.col + b.col), self.offset + other.offset)
        if other.size == 1:
            return Sum(self.parts, self.offset + other.item())
        if other.shape[1] == 1:
            return Sum(Parts(self.parts.row + other, self.parts.col), self.offset)
        if other.shape[0] == 1:
            return Sum(Parts(self.parts.row, self.parts.col + other), self.offset)
        return self.whole() + other

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return other - self.whole()

    def __mul__(self, other: Any) -> Any:
        if type(other) is Sum or other.size != 1:
            return self.whole() * whole(other)
        factor = other.item()
        return Sum(self.parts.made(("*", factor), lambda x: x * other), self.offset * factor)

    __rmul__ = __mul__

    def __lshift__(self, other: Any) -> Any:
        if type(other) is Sum or other.size != 1 or not 0 <= (count := other.item()) < 8 * self.dtype.itemsize:
            return self.whole() << whole(other)
        return Sum(self.parts.made(("<<", count), lambda x: x << other), self.offset << count)

    def __rlshift__(self, other: Any) -> Any:
        return other << self.whole()

    def __rshift__(self, other: Any) -> Any:
        bounds = self.bounds()
        if bounds is not None and type(other) is not Sum and other.size == 1 and 0 <= (count := other.item()) < 64:
            value = bounds[0] >> count
            if value == bounds[1] >> count:  # the usual question: is it negative?
                return np.array([[value]], self.dtype)
        return self.whole() >> whole(other)

    def __rrshift__(self, other: Any) -> Any:
        return other >> self.whole()

    def __neg__(self) -> Any:
        return Sum(self.parts.made(("-",), np.negative), -self.offset)

    def __or__(self, other: Any) -> Any:
        """Where no bit of one meets a bit of the other, `|` is `+`."""
        row, col = self.parts.bits
        free = row >= 0 and col >= 0 and self.offset >= 0 and not row & col and not (row | col) & self.offset
        if free and type(other) is not Sum and (other.shape[0] == 1 or other.shape[1] == 1):
            bits = _or(other)
            if bits >= 0 and not bits & (row | col | self.offset):
                return self + other
        return self.whole() | whole(other)

    __ror__ = __or__

    # -- comparisons ---------------------------------------------------------------------------------------------
    def __lt__(self, other: Any) -> Any:
        return self._compare(other, np.less, lambda low, high, x: (high < x, low >= x))

    def __le__(self, other: Any) -> Any:
        return self._compare(other, np.less_equal, lambda low, high, x: (high <= x, low > x))

    def __gt__(self, other: Any) -> Any:
        return self._compare(other, np.greater, lambda low, high, x: (low > x, high <= x))

    def __ge__(self, other: Any) -> Any:
        return self._compare(other, np.greater_equal, lambda low, high, x: (low >= x, high < x))

    def __eq__(self, other: Any) -> Any:
        return self._compare(other, np.equal, lambda low, high, x: (False, x < low or x > high))

    def __ne__(self, other: Any) -> Any:
        return self._compare(other, np.not_equal, lambda low, high, x: (x < low or x > high, False))

    def _compare(self, other: Any, compare: Any, all_or_none: Callable[[int, int, int], tuple[bool, bool]]) -> Array:
        """One answer, (1, 1), where it is yes for every lane or no for every lane."""
        bounds = self.bounds()
        if bounds is not None and type(other) is not Sum and other.size == 1:
            every, none = all_or_none(*bounds, other.item())
            if every or none:
                return np.array([[every]])
        answer: Array = compare(self.whole(), whole(other))
        return answer


_LIMITS = {np.dtype(t): (int(np.iinfo(t).min), int(np.iinfo(t).max)) for t in ("i4", "u4", "i8", "u8")}


def _number(value: int, dtype: np.dtype[Any]) -> Any:
    """A number modulo 2^bits."""
    return dtype.type(value if dtype.kind == "i" else value & ((1 << 8 * dtype.itemsize) - 1))


def _sum(row: Array, col: Array, offset: int) -> Array | Sum:
    """row + col + offset; an array where one of the parts is a single number."""
    if row.size == 1 or col.size == 1:
        return row + col + _number(offset, row.dtype)
    return Sum(Parts(row, col), offset)


# -- what generated code calls -----------------------------------------------------------------------------------
def whole(x: Any) -> Array:
    """An array, or that of a sum."""
    return x.whole() if type(x) is Sum else x


def plus(a: Any, b: Any) -> Any:
    """a + b of integers: a sum where one is a part of the block and the other a part of the thread."""
    if type(a) is Sum or type(b) is Sum or a.size * b.size < LEAST_LANES:
        return a + b
    if a.shape[0] == 1 and b.shape[1] == 1 and a.size > 1 and b.size > 1:
        return Sum(Parts(b, a), 0)
    if b.shape[0] == 1 and a.shape[1] == 1 and a.size > 1 and b.size > 1:
        return Sum(Parts(a, b), 0)
    return a + b


def either(a: Any, b: Any) -> Any:
    """a | b of integers: as `plus` where no bit of one meets a bit of the other."""
    if type(a) is Sum or type(b) is Sum or a.size * b.size < LEAST_LANES or a.shape == b.shape:
        return a | b
    result = plus(a, b) if a.size > 1 and b.size > 1 and 1 in a.shape and 1 in b.shape else None
    if type(result) is Sum:
        row, col = result.parts.bits
        if not row & col:
            return result
    return a | b


# -- what groups call --------------------------------------------------------------------------------------------
def is_sum(x: Any) -> bool:
    """Whether it is a sum."""
    return type(x) is Sum


def join(sums: list[Any], axis: int, order: Array) -> Sum | None:
    """Sums below (axis 0) or beside each other, in another order; None where the other parts differ."""
    if not all(type(x) is Sum for x in sums):
        return None
    first = sums[0].parts
    if axis == 0 and all(np.array_equal(x.parts.col, first.col) for x in sums[1:]):
        rows = np.concatenate([x.parts.row + _number(x.offset, x.dtype) for x in sums])
        return Sum(Parts(rows[order], first.col), 0)
    if axis == 1 and all(np.array_equal(x.parts.row, first.row) for x in sums[1:]):
        cols = np.concatenate([x.parts.col + _number(x.offset, x.dtype) for x in sums], axis=1)
        return Sum(Parts(first.row, cols[:, order]), 0)
    return None
