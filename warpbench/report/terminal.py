"""Text on a terminal, and the same text plain where there is none.

On a terminal: rich tables no wider than it is. Where it is narrow, titles and long words take two lines, then columns
of low priority are left out, and the table says so; nothing is cut without an ellipsis. In a pipe or a file: aligned
text, every column, no colour, no borders. NO_COLOR is obeyed.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

Align = Literal["left", "right"]


@dataclass(frozen=True)
class Column:
    """A column: priority 0 always stays, the highest number goes first when the terminal is too narrow.

    Cells of a `wrap` column may take two lines; those of a column with a `least` width may be cut down to it, with an
    ellipsis. The note says below the table what the column means.
    """

    title: str
    align: Align = "left"
    priority: int = 0
    wrap: bool = False
    least: int = 0
    note: str = ""


@dataclass(frozen=True)
class Layout:
    """Which columns are shown and which are left out, the characters that each takes, and the blanks between two."""

    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    widths: tuple[int, ...]
    gap: int


@dataclass(frozen=True)
class Section:
    """A heading across a table, above the rows that follow, and a sentence that belongs to it."""

    text: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.text}. {self.note}" if self.note else self.text


Row = Sequence[str]
FOLDED = 8  # characters below which a column of words is not squeezed


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
    kept: Sequence[int] = range(len(columns))
    dropped: Sequence[int] = ()
    if sys.stdout.isatty():
        out = console()
        layout = fit(columns, rows, out.width)
        kept, dropped = layout.kept, layout.dropped
        out.print(_rich(columns, rows, layout))
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


def fit(columns: Sequence[Column], rows: Sequence[Row | Section], width: int) -> Layout:
    """What is shown of a table in `width` characters.

    Whole if it fits; else titles and cells that wrap take two lines, and columns are left out by priority; where even
    those that always stay are too wide, their longest words are folded.
    """
    narrow = _widths(columns, rows, narrow=True)
    least = [min(wide, one.least) if one.least else wide for one, wide in zip(columns, narrow, strict=True)]
    kept = list(range(len(columns)))
    dropped: list[int] = []

    def needs(widths: Sequence[int], gap: int) -> int:
        return sum(widths[i] for i in kept) + gap * (len(kept) - 1)

    while needs(least, 1) > width:
        last = max(kept, key=lambda i: (columns[i].priority, i))
        if columns[last].priority == 0:
            break
        kept.remove(last)
        dropped.append(last)
    for widths, gap in ((_widths(columns, rows), 2), (narrow, 2), (narrow, 1)):
        if needs(widths, gap) <= width:
            return Layout(tuple(kept), tuple(sorted(dropped)), tuple(widths), gap)
    for i in (i for i in kept if columns[i].least):
        narrow[i] = max(least[i], narrow[i] - max(0, needs(narrow, 1) - width))
    texts = [i for i in kept if columns[i].align == "left"]
    while needs(narrow, 1) > width and any(narrow[i] > FOLDED for i in texts):
        narrow[max(texts, key=lambda i: narrow[i])] -= 1
    return Layout(tuple(kept), tuple(sorted(dropped)), tuple(narrow), 1)


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
    pieces = re.split(r"(?<=[ /])", text)
    ways = [max(len("".join(half).rstrip()) for half in (pieces[:i], pieces[i:])) for i in range(1, len(pieces))]
    return min([len(text), *ways])


def folded(text: str, width: int, cut: bool = False) -> str:
    """A text in lines of at most `width` characters, broken at blanks and behind slashes and underscores.

    With `cut` it takes one line. What is taken away is an ellipsis.
    """
    if cut or len(text) <= width:
        return _cut(text, width)
    lines = [""]
    for piece in re.split(r"(?<=[ /_])", text):
        if lines[-1] and len((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(_cut(line.rstrip(), width) for line in lines)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _rich(columns: Sequence[Column], rows: Sequence[Row | Section], layout: Layout) -> Any:
    """The table for a terminal: sections as bold lines between groups of rows."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    kept, widths = layout.kept, layout.widths
    titles = {i: folded(columns[i].title, widths[i]) for i in kept}
    height = max(title.count("\n") for title in titles.values())

    def group(header: bool) -> Any:
        table = Table(box=None, pad_edge=False, padding=(0, layout.gap, 0, 0), header_style="dim", show_header=header)
        for i in kept:
            title = "\n" * (height - titles[i].count("\n")) + titles[i] if header else ""
            table.add_column(title, justify=columns[i].align, width=widths[i], no_wrap=True, overflow="ellipsis")
        return table

    def cell(text: str, i: int) -> Text:
        return Text(folded(text, widths[i], cut=bool(columns[i].least)), style=_style(text))

    parts: list[Any] = [group(header=True)]
    for row in rows:
        if isinstance(row, Section):
            parts += [Text(f"\n{row.text}", style="bold"), *([Text(row.note, style="dim")] if row.note else [])]
            parts.append(group(header=False))
        else:
            parts[-1].add_row(*(cell(row[i], i) for i in kept))
    return Group(*parts)


def _style(cell: str) -> str:
    """Colour of the few words that decide."""
    return {"pass": "green", "fail": "red", "invalid": "red", "not run": "dim", "unknown": "dim"}.get(cell, "")


# -- figures -------------------------------------------------------------------------------------------------------
def shape_text(shape: Any) -> str:
    """`rows=64, cols=256`"""
    return ", ".join(f"{axis}={length}" for axis, length in shape.items())


def quantity(count: int, noun: str) -> str:
    """`1 rung`, `77 rungs`"""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


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
