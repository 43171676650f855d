"""The text of `warpbench run`: a row a kernel, then what was found, then what was counted. On stderr, plain."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from warpbench import inspection
from warpbench.report import inspected
from warpbench.report.terminal import Column, aligned, figure, quantity

MOST_ROWS = 40  # of a table, before the rest is left to --json
LAUNCHES = (
    Column("kernel"), Column("in"), Column("grid"), Column("block"), Column("launches", "right"), Column("findings"),
)  # fmt: skip
COUNTED = (
    Column("kernel"), Column("grid"), Column("instructions", "right"), Column("requests", "right"),
    Column("sectors/request", "right"), Column("efficiency", "right"), Column("wavefronts", "right"),
    Column("excess", "right"), Column("atomics", "right"), Column("barriers", "right"), Column("divergent", "right"),
    Column("flops", "right"), Column("mma", "right"),
)  # fmt: skip


def show(outcome: Any, counters: bool) -> None:
    """Print the report of a run (`warpbench.running.session.Outcome`) to stderr."""
    print("\n".join(text(outcome, counters)), file=sys.stderr, flush=True)


def text(outcome: Any, counters: bool) -> Iterator[str]:
    """The lines of the report."""
    rows = outcome.journal.rows
    if not rows:
        yield "warpbench: the script launched no kernel of Triton, Numba or CuPy; nothing was counted."
        return
    count = sum(row.launches for row in rows)
    launches = f"{count:,} launch{'' if count == 1 else 'es'}"
    yield f"warpbench: {launches} on ptxvm, counted for {outcome.card.name} ({outcome.card.arch}); nothing was timed"
    yield aligned(LAUNCHES, [_row(row) for row in rows[:MOST_ROWS]])
    if len(rows) > MOST_ROWS:
        yield f"and {len(rows) - MOST_ROWS:,} more rows: --json has them all"
    for row in rows:
        yield from _findings(row)
    for reason in dict.fromkeys(reason for row in rows for reason in row.not_executed):
        names = dict.fromkeys(row.kernel for row in rows if reason in row.not_executed)
        yield f"\nnot executed, so its results are missing: {', '.join(names)}: {reason}"
    if counters:
        yield from _counters(rows)


def _row(row: Any) -> list[str]:
    wrong = len(row.wrong)
    told = {"finding": wrong, "remark": len(row.found) - wrong}
    words = [quantity(n, noun) for noun, n in told.items() if n]
    if row.not_executed:
        words.insert(0, "not executed")
    if row.benchmark:
        words.append("by a benchmark or autotuner")
    if row.blocks is not None:
        words.append(f"{row.blocks} blocks of the grid")
    return [
        row.kernel, row.dsl, inspected.extent(row.grid), inspected.extent(row.block), figure(row.launches),
        ", ".join(words) or "none",
    ]  # fmt: skip


def _findings(row: Any) -> Iterator[str]:
    """Each finding with its place, thread and element, and in how many launches it was."""
    for one in row.found.values():
        where = f"grid {inspected.extent(row.grid)}, block {inspected.extent(row.block)}"
        often = f", {one.launches:,} of {row.launches:,} launches" if row.launches > 1 else ""
        yield f"\n{row.kernel} ({where}{often})\n{one.finding.message()}"


def _counters(rows: Sequence[Any]) -> Iterator[str]:
    """Counters by kernel, then by line of its source."""
    counted = [row for row in rows if row.counters is not None]
    yield ""
    yield aligned(COUNTED, [_counted(row) for row in counted[:MOST_ROWS]])
    lines: dict[tuple[str, int], Any] = {}
    for row in counted:
        for place, counters in row.lines.items():
            lines.setdefault(place, type(counters)()).add(counters)
    if lines:
        yield ""
        yield aligned(inspected.LINES, [inspected.line_cells(one) for one in inspection.lines_of(lines)])
    yield ""
    yield from inspected.LEGEND


def _counted(row: Any) -> list[str]:
    found = inspection.figures(row.counters)
    names = ("wavefronts", "excess", "atomics", "barriers", "divergent", "flops", "mma")
    reads = bool(found["requests"])
    return [
        row.kernel, inspected.extent(row.grid), figure(found["instructions"]), figure(found["requests"]),
        figure(found["sectors_per_request"]) if reads else "-",
        f"{100 * found['efficiency']:.0f} %" if reads else "-", *(figure(found[name]) for name in names),
    ]  # fmt: skip
