"""What a kernel may call that is no PTX: `vprintf`, `__assertfail`, `malloc` and `free`.

Addresses are generic ones, a 64-bit register of each lane. What is printed is kept until the launch ends, in the order
of blocks, in a block of warps, in a warp as it was executed, lane after lane. A card does not promise more than the
order within a thread; this is what it prints where one warp after another gets its turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ptxvm.access import Site
from ptxvm.arena import ALIGNMENT, Allocation, Arena
from ptxvm.errors import LaneFault
from ptxvm.group import WARP, Array, Group
from ptxvm.printf import Conversion, conversions, formatted

if TYPE_CHECKING:
    from ptxvm.machine import Machine

PRINT_BYTES = 1 << 20  # of one launch, as the buffer of a card by default (cudaLimitPrintfFifoSize)
HEAP_BYTES = 8 << 20  # as the heap of a card by default (cudaLimitMallocHeapSize)
TEXT_BYTES = 4096  # of a string that is printed or asserted


class Output:
    """What the threads of a launch print."""

    def __init__(self) -> None:
        self._pieces: list[tuple[int, int, int, int, str]] = []  # block, warp, call, lane, text
        self.size = 0
        self.calls = 0
        self.lost = 0  # prints of a thread that found no room

    def put(self, block: int, thread: int, text: str) -> None:
        """One print of a thread."""
        self._pieces.append((block, thread // WARP, self.calls, thread % WARP, text))
        self.size += len(text)

    def text(self) -> str:
        """All of it, in order."""
        whole = "".join(piece[-1] for piece in sorted(self._pieces, key=lambda p: p[:4]))
        if self.lost:
            gap = "" if whole.endswith("\n") else "\n"
            whole += (
                f"{gap}({self.lost:,} more calls of printf were not shown: a launch may print {PRINT_BYTES:,} bytes)\n"
            )
        return whole


class Heap:
    """The memory that `malloc` gives out. It outlives launches, as on a card.

    Every block begins at a multiple of 512 bytes and nobody owns the 512 behind it, so an access past its end is seen.
    """

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self._next, self._end = arena.reserve(min(HEAP_BYTES, arena.capacity // 4), "heap")
        self._blocks: dict[int, Allocation] = {}
        self._free: dict[int, list[int]] = {}  # bytes taken -> starts
        # Given back in this launch, and given out again in the next one only, so that no two threads meet in a block.
        self._released: list[Allocation] = []

    def begin_launch(self) -> None:
        """What earlier launches released may be given out again."""
        for block in self._released:
            self._free.setdefault(_taken(block.bytes), []).append(block.start)
        self._released.clear()

    def allocate(self, size: int) -> int:
        """Address of a new block, 0 where it does not fit."""
        taken = _taken(size)
        known = self._free.get(taken)
        if size < 1 or (not known and self._next + taken > self._end):
            return 0
        if known:
            start = known.pop()
        else:
            start, self._next = self._next, self._next + taken
        block = self._blocks[start] = Allocation(start, size, "memory of malloc", shape=(size,))
        self.arena.adopt(block)
        return start

    def free(self, address: int) -> bool:
        """Take a block back. False where there is none."""
        block = self._blocks.pop(address, None)
        if block is None:
            return False
        self.arena.free(block)
        self._released.append(block)
        return True


def _taken(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT + ALIGNMENT


class Services:
    """The functions for the kernels of one launch. Generated code calls them with the group, the site and its guard."""

    def __init__(self, output: Output, heap: Heap | None) -> None:
        self.output, self.heap = output, heap

    def assertion(
        self, rt: Machine, g: Group, site: Site, mask: Array | None, text: Array, file: Array, line: Array, *_: Array
    ) -> None:
        """`__assertfail(condition, file, line, function, size of a character)`: the kernel stops itself."""
        if mask is not None and not mask.any():
            return
        lanes = np.ones((1, 1), bool) if mask is None else mask
        where = int(np.argmax(g.full(lanes)))
        condition, place = (_text(rt, g, address, where) for address in (text, file))
        detail = (
            f"`{condition}` does not hold ({place.rpartition('/')[2]}:{int(g.full(line).flat[where]) & 0xFFFFFFFF})"
        )
        raise rt.fault(site, g, LaneFault("assertion", detail, lanes))

    def vprintf(self, rt: Machine, g: Group, site: Site, mask: Array | None, form: Array, values: Array) -> Array:
        """`vprintf(format, buffer of the arguments)`: how many arguments the format has, -1 without a format."""
        lanes = _active(g, mask)
        result = np.zeros(g.shape, np.int32)
        self.output.calls += 1
        for address in np.unique(g.full(form)[lanes]):
            here = lanes & (g.full(form) == address)
            if address == 0:
                result[here] = -1
                continue
            parts = conversions(_text(rt, g, form, int(np.argmax(here))))
            wanted = [p for p in parts if isinstance(p, Conversion)]
            result[here] = sum(p.arguments for p in wanted)
            self._print(rt, g, parts, g.full(values.view(np.int64)), here)
        return result.astype(np.int64).view(np.uint64)

    def _print(self, rt: Machine, g: Group, parts: list[str | Conversion], buffer: Array, lanes: Array) -> None:
        places = np.argwhere(lanes)
        room = PRINT_BYTES - self.output.size
        offset = 0
        columns: list[list[str]] = []
        for part in parts:
            if isinstance(part, str):
                columns.append([part])
                continue
            given = []
            for size in part.sizes:
                offset = -(-offset // size) * size
                given.append(rt.memory.peek(g, buffer + offset, lanes, size))
                offset += size
            texts: list[str] = []
            for i in range(min(len(places), max(room, 0))):
                bits = [int(column[i]) for column in given]
                shown = _string(rt, g, bits[-1], places[i]) if part.kind == "s" else None
                texts.append(formatted(part, bits, shown))
            columns.append(texts)
        for i, (row, column) in enumerate(places):
            cta, tid = int(g.ctas[row, 0]), int(g.tids[0, column] if g.product else g.tids[row, 0])
            if self.output.size >= PRINT_BYTES:
                self.output.lost += len(places) - i
                return
            text = "".join(c[0] if len(c) == 1 and isinstance(parts[k], str) else c[i] for k, c in enumerate(columns))
            self.output.put(int(rt.cta_ids[cta]), tid, text)

    def malloc(self, rt: Machine, g: Group, site: Site, mask: Array | None, size: Array) -> Array:
        """`malloc`: a block for each lane; 0 where the heap is full."""
        assert self.heap is not None
        result = np.zeros(g.shape, np.uint64)
        sizes = g.full(size.view(np.int64))
        for row, column in np.argwhere(_active(g, mask)):
            start = self.heap.allocate(int(sizes[row, column]))
            result[row, column] = start
            if start and rt.memory.global_state is not None:
                rt.memory.global_state[start : start + int(sizes[row, column])] = 0
        return result

    def free(self, rt: Machine, g: Group, site: Site, mask: Array | None, address: Array) -> None:
        """`free`: of what `malloc` gave, or of 0, which does nothing."""
        assert self.heap is not None
        addresses = g.full(address)
        for row, column in np.argwhere(_active(g, mask)):
            start = int(addresses[row, column])
            if start and not self.heap.free(start):
                lane = np.zeros(g.shape, bool)
                lane[row, column] = True
                detail = "free of an address that malloc did not give, or that is free already"
                raise rt.fault(site, g, LaneFault("out of bounds", detail, lane, addresses.view(np.int64), "global"))


def _active(g: Group, mask: Array | None) -> Array:
    return np.ones(g.shape, bool) if mask is None else g.full(mask)


def _text(rt: Machine, g: Group, address: Array, lane: int) -> str:
    """The zero-terminated text at an address of one lane."""
    return _string(rt, g, int(g.full(address).flat[lane]), np.unravel_index(lane, g.shape))


def _string(rt: Machine, g: Group, address: int, place: Sequence[int | np.intp] | Array) -> str:
    if address == 0:
        return "(null)"
    row, column = int(place[0]), int(place[1])
    tid = int(g.tids[0, column] if g.product else g.tids[row, 0])
    raw = rt.memory.bytes_at(address, int(g.ctas[row, 0]), tid, TEXT_BYTES).tobytes()
    return raw.partition(b"\0")[0].decode(errors="replace")
