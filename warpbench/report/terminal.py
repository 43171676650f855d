"""Text on a terminal, and the same text plain where there is none.

On a terminal: rich tables as wide as it is, titles on two lines where that saves room; columns of low priority are
left out when it is too narrow, and the table says so. In a pipe or a file: aligned text, every column, no colour, no
borders. NO_COLOR is obeyed.
"""

from __future__ import annotations

import itertools
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

Align = Literal["left", "right"]


@dataclass(frozen=True)
class Column:
    """A column: priority 0 always stays, the highest number goes first when the terminal is too narrow.

    Cells of a `wrap` column may take two lines. The note says below the table what the column means.
    """

    title: str
    align: Align = "left"
    priority: int = 0
    wrap: bool = False
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A heading across a table, above the rows that follow, and a sentence that belongs to it."""

    text: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.text}. {self.note}" if self.note else self.text


Row = Sequence[str]


def console(stderr: bool = False) -> Console:
    """The console of this process. Colour only on a terminal without NO_COLOR; rich wraps nothing of its own accord."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    plain = not stream.isatty()
    return Console(
        file=stream,
        force_terminal=False if plain else None,  # FORCE_COLOR must not colour a file
        no_color=plain or "NO_COLOR" in os.environ or None,
        highlight=False,
        soft_wrap=plain,
    )


def interactive(stderr: bool = False) -> bool:
    """Whether somebody watches: a terminal, not a CI job."""
    stream = sys.stderr if stderr else sys.stdout
    return stream.isatty() and "CI" not in os.environ and os.environ.get("TERM") != "dumb"


def show(columns: Sequence[Column], rows: Sequence[Row | Section], notes: Sequence[str] = ()) -> None:
    """Print a table to stdout, then the notes of the columns that are shown, then `notes`."""
    kept: list[int] = list(range(len(columns)))
    dropped: list[int] = []
    if sys.stdout.isatty():
        out = console()
        kept, dropped, gap = fit(columns, rows, out.width)
        out.print(_rich(columns, rows, kept, gap))
    else:
        print(aligned(columns, rows))
    meanings = [f"{columns[i].title}: {columns[i].note}" for i in kept if columns[i].note]
    notes = [*([""] if meanings else []), *meanings, *notes]
    if dropped:
        names = ", ".join(columns[i].title for i in dropped)
        notes.append(f"Left out, the terminal is too narrow: {names} (all of them: --json, or a pipe)")
    say(*notes)


def say(*lines: str) -> None:
    """Print text to stdout, wrapped at blanks on a terminal."""
    out = console()
    for line in lines:
        out.print(line, markup=False)


def fit(columns: Sequence[Column], rows: Sequence[Row | Section], width: int) -> tuple[list[int], list[int], int]:
    """Which columns are shown in `width` characters, which are left out, and the blanks between two of them."""
    widths = _widths(columns, rows, narrow=True)
    kept = list(range(len(columns)))
    dropped: list[int] = []

    def needs(gap: int) -> int:
        return sum(widths[i] for i in kept) + gap * (len(kept) - 1)

    while needs(1) > width:
        last = max(kept, key=lambda i: (columns[i].priority, i))
        if columns[last].priority == 0:
            break
        kept.remove(last)
        dropped.append(last)
    return kept, sorted(dropped), 2 if needs(2) <= width else 1


def by_operation(
    rows: Iterable[Mapping[str, Any]], heading: Callable[[str], Section], cells: Callable[[Mapping[str, Any]], Row]
) -> list[Row | Section]:
    """Rows of a table, a section an operation. A row's "rung" is `operation/dsl/rung`; `heading` gets the operation."""
    out: list[Row | Section] = []
    for name, group in itertools.groupby(rows, lambda one: str(one["rung"]).partition("/")[0]):
        out.append(heading(name))
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
    lines += [f"\n{row}" if isinstance(row, Section) else one(row) for row in rows]
    return "\n".join(lines)


def _widths(columns: Sequence[Column], rows: Sequence[Row | Section], narrow: bool = False) -> list[int]:
    """Characters that each column takes; `narrow` allows two lines to titles and to cells that wrap."""
    widths = [_halved(column.title) if narrow else len(column.title) for column in columns]
    for row in rows:
        if not isinstance(row, Section):
            cells = zip(columns, row, strict=True)
            needed = [_halved(cell) if narrow and column.wrap else len(cell) for column, cell in cells]
            widths = [max(width, one) for width, one in zip(widths, needed, strict=True)]
    return widths


def _halved(text: str) -> int:
    """The least width in which a text takes two lines, broken at a blank or behind a slash."""
    pieces = text.replace("/", "/ ").split()
    ways = [max(_joined(pieces[:i]), _joined(pieces[i:])) for i in range(1, len(pieces))]
    return min([len(text), *ways])


def _joined(pieces: Sequence[str]) -> int:
    return len(" ".join(pieces).replace("/ ", "/"))


def _rich(columns: Sequence[Column], rows: Sequence[Row | Section], kept: Sequence[int], gap: int) -> Any:
    """The table for a terminal: sections as bold lines between groups of rows."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    widths = _widths(columns, rows, narrow=True)
    titles = {i: _two_lines(columns[i].title, widths[i]) for i in kept}
    flat = not any("\n" in title for title in titles.values())

    def group(header: bool) -> Any:
        table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim", show_header=header)
        for i in kept:
            title = "" if not header else titles[i] if "\n" in titles[i] or flat else f"\n{titles[i]}"
            table.add_column(title, justify=columns[i].align, width=widths[i], overflow="fold")
        return table

    parts: list[Any] = [group(header=True)]
    for row in rows:
        if isinstance(row, Section):
            parts += [Text(f"\n{row.text}", style="bold"), *([Text(row.note, style="dim")] if row.note else [])]
            parts.append(group(header=False))
        else:
            parts[-1].add_row(*(Text(row[i], style=_style(row[i])) for i in kept))
    return Group(*parts)


def _two_lines(title: str, width: int) -> str:
    lines = textwrap.wrap(title.replace("/", "/ "), width, break_on_hyphens=False, break_long_words=False)
    return "\n".join(lines).replace("/ ", "/")


def _style(cell: str) -> str:
    """Colour of the few words that decide."""
    return {"pass": "green", "fail": "red", "invalid": "red", "not run": "dim", "unknown": "dim"}.get(cell, "")


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
