"""Text on a terminal, and the same text plain where there is none.

On a terminal: rich tables as wide as it is; columns of low priority are left out when it is too narrow, and the table
says so. In a pipe or a file: aligned text, every column, no colour, no borders. NO_COLOR is obeyed.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

Align = Literal["left", "right"]


@dataclass(frozen=True)
class Column:
    """A column: priority 0 always stays, the highest number goes first when the terminal is too narrow."""

    title: str
    align: Align = "left"
    priority: int = 0


@dataclass(frozen=True)
class Section:
    """A line of text across a table, above the rows that follow."""

    text: str


Row = Sequence[str]


def console(stderr: bool = False) -> Console:
    """The console of this process. Colour only on a terminal without NO_COLOR; rich wraps nothing of its own accord."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    plain = not stream.isatty()
    return Console(file=stream, highlight=False, no_color=plain or "NO_COLOR" in os.environ or None, soft_wrap=plain)


def interactive(stderr: bool = False) -> bool:
    """Whether somebody watches: a terminal, not a CI job."""
    stream = sys.stderr if stderr else sys.stdout
    return stream.isatty() and "CI" not in os.environ and os.environ.get("TERM") != "dumb"


def show(columns: Sequence[Column], rows: Sequence[Row | Section], notes: Sequence[str] = ()) -> None:
    """Print a table to stdout, then its notes."""
    out = console()
    kept = list(range(len(columns)))
    if out.is_terminal:
        kept, dropped = fit(columns, rows, out.width)
        out.print(_rich(columns, rows, kept))
        if dropped:
            names = ", ".join(columns[i].title for i in dropped)
            notes = [*notes, f"left out, the terminal is too narrow: {names} (all of them: --json, or a pipe)"]
    else:
        print(aligned(columns, rows))
    for note in notes:
        out.print(note, markup=False)


def fit(columns: Sequence[Column], rows: Sequence[Row | Section], width: int) -> tuple[list[int], list[int]]:
    """Which columns are shown in `width` characters and which are left out, by priority."""
    widths = _widths(columns, rows)
    kept = list(range(len(columns)))
    dropped: list[int] = []
    while sum(widths[i] + 2 for i in kept) > width:
        last = max(kept, key=lambda i: (columns[i].priority, i))
        if columns[last].priority == 0:
            break
        kept.remove(last)
        dropped.append(last)
    return kept, sorted(dropped)


def by_operation(
    rows: Iterable[Mapping[str, Any]], heading: Callable[[str], str], cells: Callable[[Mapping[str, Any]], Row]
) -> list[Row | Section]:
    """Rows of a table, a section an operation. A row's "rung" is `operation/dsl/rung`; `heading` gets the operation."""
    out: list[Row | Section] = []
    for name, group in itertools.groupby(rows, lambda one: str(one["rung"]).partition("/")[0]):
        out.append(Section(heading(name)))
        out += map(cells, group)
    return out


def aligned(columns: Sequence[Column], rows: Sequence[Row | Section]) -> str:
    """The table as plain text: two spaces between columns, no trailing blanks."""
    widths = _widths(columns, rows)

    def one(cells: Row) -> str:
        parts = [
            cell.rjust(width) if column.align == "right" else cell.ljust(width)
            for cell, column, width in zip(cells, columns, widths, strict=True)
        ]
        return "  ".join(parts).rstrip()

    lines = [one([column.title for column in columns]), one(["-" * width for width in widths])]
    lines += [f"\n{row.text}" if isinstance(row, Section) else one(row) for row in rows]
    return "\n".join(lines)


def _widths(columns: Sequence[Column], rows: Sequence[Row | Section]) -> list[int]:
    widths = [len(column.title) for column in columns]
    for row in rows:
        if not isinstance(row, Section):
            widths = [max(width, len(cell)) for width, cell in zip(widths, row, strict=True)]
    return widths


def _rich(columns: Sequence[Column], rows: Sequence[Row | Section], kept: Sequence[int]) -> Any:
    """The table for a terminal: sections as bold lines between groups of rows."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    widths = _widths(columns, rows)
    parts: list[Any] = []
    table: Any = None
    for row in [None, *rows] if not rows or not isinstance(rows[0], Section) else rows:
        if row is None or isinstance(row, Section):
            table = Table(box=None, pad_edge=False, header_style="dim", show_header=not parts)
            for i in kept:
                table.add_column(columns[i].title, justify=columns[i].align, min_width=widths[i], overflow="fold")
            if isinstance(row, Section):
                parts.append(Text(row.text, style="bold"))
            parts.append(table)
        else:
            table.add_row(*(Text(row[i], style=_style(row[i])) for i in kept))
    return Group(*parts)


def _style(cell: str) -> str:
    """Colour of the few words that decide."""
    return {"pass": "green", "fail": "red", "not run": "dim", "unknown": "dim"}.get(cell, "")


# -- figures -------------------------------------------------------------------------------------------------------
def shape_text(shape: Any) -> str:
    """`rows=64, cols=256`"""
    return ", ".join(f"{axis}={length}" for axis, length in shape.items())


def seconds_text(seconds: float | None) -> str:
    """A time with three significant digits and its unit; None is "unknown"."""
    if seconds is None:
        return "unknown"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{_three(seconds / scale)} {unit}"
    return f"{_three(seconds / 1e-9)} ns"


def figure(value: float | None, digits: int = 1) -> str:
    """A number, or "unknown"."""
    if value is None:
        return "unknown"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def percent(share: float | None) -> str:
    """A share as a percentage, or "unknown"."""
    return "unknown" if share is None else f"{100 * share:.0f} %"


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
