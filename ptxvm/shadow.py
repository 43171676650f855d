"""Who touched each word of a memory last: the records that the race detector compares an access with.

A record is one int64, 0 for nobody:

    bits 0-9    thread in its CTA             bit 34      strong: an atomic, or a read like one
    bits 10-33  number of the CTA among       bits 35-    number of the access
                those run (global memory)

Accesses are numbered on and on, so an old record is a small number, and a table that served another launch needs no
clearing. Kept are the last writer, and of readers, who do not conflict with each other, three: the last one; the last
of another warp than that; and the last of another lane of its warp. Of two CTAs that read a global word, one is in each
of the first two. With these, a write that conflicts with any reader finds one. Atomics do not conflict with each other
either, so three of them are kept in the same way.

Reads are cheap: they are only put on a list. A write first works off the reads on the list that touch its range; a
barrier of all CTAs throws the list away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptxvm.access import Access
from ptxvm.group import Array
from ptxvm.sums import Sum

THREAD_BITS, CTA_BITS = 10, 24
THREAD = (1 << THREAD_BITS) - 1
CTA = (1 << CTA_BITS) - 1
OWNER_BITS = THREAD_BITS + CTA_BITS
OWNER = (1 << OWNER_BITS) - 1
CTA_FIELD = CTA << THREAD_BITS
ATOMIC = 1 << OWNER_BITS
EVENT_SHIFT = OWNER_BITS + 1
WARP_SHIFT = 5  # of an owner: thread to warp, the CTA above it

WRITERS, READERS, ATOMICS = 0, 1, 4  # the latter two: the first of three tables
OTHER_WARP, OTHER_LANE = 1, 2  # the table of the last one of another warp, of another lane: so many behind the first
TABLES = 7
STEP = 1 << 16  # cells of a table that are made at once
MAX_PENDING = 1024
MAX_PENDING_BYTES = 32 << 20
MAX_KEPT_CELLS = 8 << 20  # of tables that are kept for the next launch


@dataclass(slots=True, eq=False)
class Event:
    """One access of a group. `owner` broadcasts to the group's shape: thread, and CTA << 10 in global memory."""

    number: int
    access: Access
    owner: Array
    atomic: bool
    low: int = -1  # range of the cells touched, in one CTA; made when wanted
    high: int = -1

    def extent(self, shift: int) -> tuple[int, int]:
        """Lowest and highest cell."""
        if self.low < 0:
            a = self.access
            if isinstance(a.place, Sum) and a.mask is None and (bounds := a.place.bounds()) is not None:
                self.low, self.high = bounds[0] >> shift, (bounds[1] + a.width - 1) >> shift
                return self.low, self.high
            address = a.address
            if a.mask is not None:
                shape = np.broadcast_shapes(address.shape, a.mask.shape)
                address = np.broadcast_to(address, shape)[np.broadcast_to(a.mask, shape)]
            if address.size == 0:
                self.low, self.high = 1, 0
            else:
                self.low = int(address.min()) >> shift
                self.high = (int(address.max()) + a.width - 1) >> shift
        return self.low, self.high

    @property
    def record(self) -> Array:
        """What its words shall hold."""
        return self.owner | (self.number << EVENT_SHIFT | (ATOMIC if self.atomic else 0))


class _Table:
    """Records, of which those from `low` to `high` are ready.

    A page of new memory that is read before it is written costs several times more than one that is written first, so
    `touch` writes zeros, some at once.
    """

    def __init__(self, cells: int) -> None:
        self.records = np.zeros(cells, np.int64)
        self.low = self.high = 0

    def touch(self, begin: int, end: int) -> Array:
        """The records, ready from `begin` to `end`."""
        if self.low == self.high:
            self.low = self.high = begin
        if begin < self.low:
            begin = max(0, begin - STEP)
            self.records[begin : self.low] = 0
            self.low = begin
        if end > self.high:
            end = min(self.records.size, end + STEP)
            self.records[self.high : end] = 0
            self.high = end
        return self.records


class Shelf:
    """Tables of finished launches, and the number of the newest access of any launch."""

    def __init__(self) -> None:
        self.tables: list[_Table] = []
        self.clock = 0

    def start(self) -> int:
        """The number after which a launch begins to count. It starts anew long before its field is full."""
        if self.clock >> 26:
            self.tables.clear()
            self.clock = 0
        return self.clock

    def take(self, cells: int) -> _Table:
        """The smallest table that is large enough, or a new one."""
        fitting = [t for t in self.tables if t.records.size >= cells]
        if not fitting:
            return _Table(cells)
        table = min(fitting, key=lambda t: t.records.size)
        self.tables.remove(table)
        return table

    def give(self, tables: list[_Table], clock: int) -> None:
        """Keep tables for later. `clock` is the newest number in them."""
        self.clock = max(self.clock, clock)
        self.tables += tables
        self.tables.sort(key=lambda t: t.records.size)
        while sum(t.records.size for t in self.tables) > MAX_KEPT_CELLS:
            self.tables.pop()


SHELF = Shelf()


class Shadow:
    """Records of one memory. `cells` words (or bytes, see `shift`) a CTA, `rows` CTAs; one row for global memory.

    `uniform`: all CTAs of the batch have done the same since their last common barrier, so row 0 stands for all.
    """

    def __init__(self, cells: int, rows: int, shift: int, start: int) -> None:
        self.cells, self.rows, self.shift = cells, rows, shift
        self.uniform = True
        self._narrow: list[_Table | None] = [None] * TABLES
        self._wide: list[_Table | None] = [None] * TABLES
        self.pending: list[Event] = []
        self.pending_bytes = 0
        # Numbers of the newest write, of the newest that was atomic, and of the newest read worked off.
        self.last_write = self.last_atomic = self.last_read = start

    # -- tables --------------------------------------------------------------------------------------------------
    def _table(self, which: int) -> _Table:
        tables = self._narrow if self.uniform else self._wide
        found = tables[which]
        if found is None:
            found = tables[which] = SHELF.take(self.cells * (1 if self.uniform else self.rows))
        return found

    def table(self, which: int, low: int, high: int) -> Array:
        """Records of all cells, ready for use from `low` to `high`."""
        if high > self._table(which).records.size:  # only where bounds are not checked
            old = self._table(which)
            new = self._narrow[which] = _Table(2 * high)
            new.records[old.low : old.high] = old.records[old.low : old.high]
            new.low, new.high = old.low, old.high
        return self._table(which).touch(low, high)

    def has(self, which: int) -> bool:
        return (self._narrow if self.uniform else self._wide)[which] is not None

    def clear(self, which: int, cells: Array) -> None:
        """Forget who touched some cells, of which the table is ready."""
        self._table(which).records[cells] = 0

    def close(self, clock: int) -> None:
        """The launch is over: others may have the tables."""
        SHELF.give([t for t in (*self._narrow, *self._wide) if t is not None], clock)
        self._narrow, self._wide = [None] * TABLES, [None] * TABLES

    def start(self, rows: int) -> None:
        """A new batch begins; records until now are ordered before all that follows."""
        if rows > self.rows:
            self._wide = [None] * TABLES
        self.rows = rows
        self.forget()

    def forget(self) -> None:
        """All CTAs have met: nothing on the list can conflict any more, and they are alike again."""
        self.uniform = True
        self.pending.clear()
        self.pending_bytes = 0

    def expand(self, floor: int) -> None:
        """CTAs differ from now on: give each its own row. Only what is newer than `floor` is still wanted."""
        if not self.uniform:
            return
        self.uniform = False
        for which, narrow in enumerate(self._narrow):
            newest = self.last_write if which == WRITERS else self.last_atomic if which >= ATOMICS else self.last_read
            if narrow is not None and newest > floor:
                wide = self.table(which, 0, self.rows * self.cells)[: self.rows * self.cells]
                wide.reshape(self.rows, self.cells)[:] = narrow.touch(0, self.cells)[: self.cells]

    # -- accesses ------------------------------------------------------------------------------------------------
    def lanes(self, e: Event) -> tuple[Array, Array]:
        """(cells, records) of the active lanes of an access, 1-D; a lane stands there once for each of its cells."""
        a = e.access
        g = a.group
        shape = (1, g.shape[1]) if self.uniform and g.product and a.space == "shared" else g.shape
        cells = a.address >> self.shift if self.shift else a.address
        if not self.uniform and a.space == "shared":
            cells = cells + g.ctas * self.cells
        record = e.record
        if a.mask is None:
            cells = np.broadcast_to(cells, shape).ravel()
            record = np.broadcast_to(record, shape).ravel()
        else:
            active = np.broadcast_to(a.mask, shape)
            cells = np.broadcast_to(cells, shape)[active]
            record = np.broadcast_to(record, shape)[active]
        each = a.width >> self.shift
        if each > 1:
            cells = (cells[:, None] + np.arange(each)).ravel()
            record = np.repeat(record, each)
        return cells, record

    def block(self, e: Event) -> tuple[Array, Array] | None:
        """Writers' records of an access to global memory as a view (nc, nt, cells a lane), and what shall stand there.

        Only for an access of `Access.row_starts` whose rows lie at equal distances and do not overlap; else None.
        """
        starts = e.access.row_starts()
        width = e.access.width
        if starts is None or width >> self.shift == 0:
            return None
        rows, lanes = e.access.group.shape
        first = int(starts[0, 0])
        pitch = int(starts[1, 0]) - first if rows > 1 else width * lanes
        if pitch < width * lanes or pitch & ((1 << self.shift) - 1):
            return None
        if rows > 2 and not bool((starts[1:, 0] - starts[:-1, 0] == pitch).all()):
            return None
        begin, end = first >> self.shift, (first + pitch * (rows - 1) + width * lanes) >> self.shift
        each = width >> self.shift
        view = np.lib.stride_tricks.as_strided(
            self.table(WRITERS, begin, end)[begin:end], (rows, lanes, each), (8 * (pitch >> self.shift), 8 * each, 8)
        )
        return view, e.record[:, :, None]

    def put_read(self, e: Event, floor: int) -> None:
        """Remember a read."""
        self.pending.append(e)
        self.pending_bytes += e.access.place.nbytes
        if len(self.pending) > MAX_PENDING or self.pending_bytes > MAX_PENDING_BYTES:
            self.pending_bytes = sum(p.access.place.nbytes for p in self.pending)  # some have left the list since
            if len(self.pending) > MAX_PENDING or self.pending_bytes > MAX_PENDING_BYTES // 2:
                old, self.pending, self.pending_bytes = self.pending, [], 0
                for event in old:
                    self._work_off(event, floor)

    def prune(self, met: Array) -> None:
        """Drop the reads that a barrier of their own CTAs has ordered."""
        self.pending = [e for e in self.pending if int(met[e.access.group.ctas].min()) < e.number]

    def work_off(self, e: Event, floor: int) -> None:
        """Bring the readers' records up to date in the range of a write."""
        if not self.pending:
            return
        low, high = e.extent(self.shift)
        kept = []
        for event in self.pending:
            first, last = event.extent(self.shift)
            if first <= high and last >= low:
                self._work_off(event, floor)
            else:
                kept.append(event)
        self.pending = kept

    def _work_off(self, e: Event, floor: int) -> None:
        cells, record = self.lanes(e)
        if cells.size:
            self.last_read = max(self.last_read, e.number)
            self._put(READERS, cells, record, floor)

    def put_atomic(self, e: Event, cells: Array, record: Array, floor: int) -> None:
        """Remember an atomic, or a write that is strong like one: its cells, at least one, and what they shall hold."""
        self.last_write = self.last_atomic = e.number
        self._put(ATOMICS, cells, record, floor)

    def _put(self, first: int, cells: Array, record: Array, floor: int) -> None:
        """Bring the three tables of readers or of atomics up to date."""
        oldest = (floor + 1) << EVENT_SHIFT
        low, high = int(cells.min()), int(cells.max()) + 1
        table = self.table(first, low, high)
        before = table.take(cells)
        table[cells] = record
        after = table.take(cells)
        earlier = (before >= oldest) & ((before ^ record) & OWNER != 0)
        if earlier.any():
            self._put_others(first, cells[earlier], before[earlier], record[earlier], oldest)
        beaten = after != record  # other lanes of this very instruction
        if beaten.any():
            self._put_others(first, cells[beaten], record[beaten], after[beaten], oldest)

    def _put_others(self, first: int, cells: Array, other: Array, last: Array, oldest: int) -> None:
        """Those beside the last one, by how they stand to it."""
        low, high = int(cells.min()), int(cells.max()) + 1
        apart = (other ^ last) & OWNER
        lane = apart >> WARP_SHIFT == 0
        if lane.any():
            self.table(first + OTHER_LANE, low, high)[cells[lane]] = other[lane]
        warp = ~lane
        if warp.any():
            where = cells[warp]
            table = self.table(first + OTHER_WARP, low, high)
            kept = table.take(where)
            # one of another CTA stays: no barrier orders it
            stays = (apart[warp] & CTA_FIELD == 0) & (kept >= oldest) & ((kept ^ last[warp]) & CTA_FIELD != 0)
            go = ~stays
            table[where[go]] = other[warp][go]
