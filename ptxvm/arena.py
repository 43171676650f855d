"""Global memory: one array of bytes, allocations with red zones, and what each allocation is called.

A device pointer is a byte offset in the arena. The first 4 KiB are never allocated (null pointers land there), every
allocation starts at a multiple of 512 as on a card, and at least 512 bytes between two belong to nobody.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ptxvm.errors import LaunchError
from ptxvm.group import Array

ALIGNMENT = 512
NULL_BYTES = 4096


@dataclass(eq=False)
class Allocation:
    """Some bytes of the arena, and the tensor that they hold, for messages.

    `shape` and `strides` (in bytes) describe the tensor; `view_offset` is where its first element lies in the
    allocation (a view into a larger storage), `start` and `bytes` are the whole storage.
    """

    start: int
    bytes: int
    name: str = ""
    dtype: str = "uint8"
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    view_offset: int = 0
    written: bool = False
    reserved: bool = False  # the beginning of bytes that are given out piece by piece
    storage: Array | None = None  # bytes of the host that are copied in and out; None: lives in the arena

    @property
    def end(self) -> int:
        return self.start + self.bytes

    def describe(self, address: int, width: int = 1) -> str:
        """`o[3, 7]`, or how far an address lies outside: `o[1024]: first element past the end, o is (1024,)`.

        Of an access of `width` bytes that begins inside and ends outside, also where it passes the end.
        """
        name = self.name or f"allocation at {self.start:#x}"
        item = np.dtype(self.dtype).itemsize
        offset = address - self.start - self.view_offset
        shape = self.shape or (self.bytes // item,)
        strides = self.strides or contiguous(shape, item)
        shown = f"{name} is {shape if len(shape) > 1 else f'({shape[0]},)'}"
        if 0 in shape:
            return f"{shown}: it has no elements"
        if self.start <= address < self.end:
            index = element_index(offset, shape, strides, item)
            place = f"byte {address - self.start} of the storage of {name}"
            if index is not None:
                place = f"{name}[{', '.join(map(str, index))}]"
            if address + width > self.end:
                beyond, whole = address + width - self.end, self.bytes % item == 0 and width % item == 0
                most = f"{beyond // item} of {width // item} elements" if whole else f"{beyond} of {width} bytes"
                return f"from {place} on, {most} past the end, {shown}"
            return place
        if strides == contiguous(shape, item) and offset % item == 0:
            element = rest = offset // item
            where = "before the first element" if element < 0 else "past the end"
            if element == math.prod(shape):
                where = "first element past the end"
            inner: list[int] = []
            for length in reversed(shape[1:]):
                rest, i = divmod(rest, length)
                inner.append(i)
            return f"{name}[{', '.join(map(str, (rest, *reversed(inner))))}]: {where}, {shown}"
        gap = address - self.end if address >= self.end else self.start - address
        side = "past the end" if address >= self.end else "before the start"
        return f"{gap} bytes {side} of {name}, {shown}"


def contiguous(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Strides in bytes of a C-contiguous array."""
    strides, step = [], itemsize
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


def element_index(offset: int, shape: Sequence[int], strides: Sequence[int], itemsize: int) -> tuple[int, ...] | None:
    """The index of the element that holds byte `offset` of a strided tensor; None if no element does."""
    index = [0] * len(shape)
    for axis in sorted(range(len(shape)), key=lambda a: -strides[a]):
        if strides[axis] > 0:
            index[axis] = min(offset // strides[axis], shape[axis] - 1)
            offset -= index[axis] * strides[axis]
    return tuple(index) if 0 <= offset < itemsize else None


# Where `allocate` begins to look: (how many allocations lie below, first byte, bytes for which there is no room below).
_FROM_START = (0, NULL_BYTES, 0)


class Arena:
    """The bytes and their owners. `capacity` bytes are reserved and committed by the system as they are touched."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity - capacity % 16
        self.bytes = np.zeros(self.capacity, np.uint8)
        self.views = {size: self.bytes.view(f"u{size}") for size in (1, 2, 4, 8)}
        self._starts: list[int] = []
        self._by_start: dict[int, Allocation] = {}
        self._reserved_end = 0
        self._search = _FROM_START

    def allocate(self, size: int, **description: object) -> Allocation:
        """Reserve `size` bytes. Raises LaunchError when the arena is full."""
        index, start, least = self._search if _round(size) >= self._search[2] else _FROM_START
        for taken in self._starts[index:]:
            if start + size + ALIGNMENT <= taken:
                break
            index += 1
            start = max(start, _round(self._by_start[taken].end + ALIGNMENT))
            if self._by_start[taken].reserved:
                start = max(start, _round(self._reserved_end + ALIGNMENT))
        if start + size + ALIGNMENT > self.capacity:
            raise LaunchError(
                f"the virtual card has {self.capacity:,} bytes of memory; {size:,} more do not fit. "
                "Nothing was launched. Use smaller tensors, or Device(memory_bytes=...)."
            )
        allocation = Allocation(start, size, **description)  # type: ignore[arg-type]
        self._starts.insert(index, start)
        self._by_start[start] = allocation
        self._search = (index + 1, _round(start + size + ALIGNMENT), max(least, _round(size)))
        return allocation

    def reserve(self, size: int, name: str) -> tuple[int, int]:
        """Keep some bytes for blocks that are given out by `adopt`: where such may begin, and where they must end."""
        region = self.allocate(size, name=name)
        region.bytes, region.reserved, self._reserved_end = 0, True, region.start + size
        self._search = _FROM_START
        return region.start + ALIGNMENT, region.start + size

    def adopt(self, allocation: Allocation) -> None:
        """Take up an allocation in reserved bytes."""
        self._search = _FROM_START
        insort(self._starts, allocation.start)
        self._by_start[allocation.start] = allocation

    def free(self, allocation: Allocation) -> None:
        """Give the bytes back; a kernel that touches them afterwards is out of bounds."""
        self._search = _FROM_START
        self._starts.remove(allocation.start)
        del self._by_start[allocation.start]

    @property
    def extent(self) -> int:
        """Bytes up to the end of the last allocation."""
        return max(self._by_start[self._starts[-1]].end, self._reserved_end) if self._starts else NULL_BYTES

    def find(self, address: int) -> Allocation | None:
        """The allocation that holds a byte, or None."""
        nearest = self.below(address)
        return nearest if nearest is not None and address < nearest.end else None

    def below(self, address: int) -> Allocation | None:
        """The allocation with the greatest start that is not above an address."""
        position = bisect_right(self._starts, address)
        return self._by_start[self._starts[position - 1]] if position else None

    def nearest(self, address: int) -> Allocation | None:
        """The allocation whose bytes lie closest to an address, for messages."""
        below = self.below(address)
        position = bisect_right(self._starts, address)
        above = self._by_start[self._starts[position]] if position < len(self._starts) else None
        if below is None or above is None:
            return below or above
        return below if address - below.end <= above.start - address else above


def _round(value: int) -> int:
    return -(-value // ALIGNMENT) * ALIGNMENT
