"""The table of `warpbench compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from warpbench.measure.compare import COUNTS
from warpbench.report.terminal import Column, quantity, say, seconds_text
from warpbench.report.terminal import show as table

VIRTUAL = (
    Column("rung"),
    Column("change"),
    *(Column(name.replace("_", " "), "right", i) for i, name in enumerate(COUNTS)),
    Column("shape", priority=9),
)
MEASURED = (
    Column("rung"),
    Column("A", "right"),
    Column("B", "right"),
    Column("B/A", "right"),
    Column("change"),
    Column("shape", priority=9),
)


def columns(kind: str) -> Sequence[Column]:
    return VIRTUAL if kind == "virtual" else MEASURED


def cells(kind: str, row: Mapping[str, Any]) -> list[str]:
    """One row as text: `4.0 -> 8.0` where the two differ."""
    change = row["change"] + ("" if row["same_source"] else " (edited)")
    if kind == "virtual":
        return [row["rung"], change, *(_pair(row["a"][n], row["b"][n]) for n in COUNTS), _shape(row)]
    ratio = "-" if row["b_over_a"] is None else f"{row['b_over_a']:.3f}"
    a, b = (seconds_text(row[n]) if row[n] is not None else "-" for n in ("seconds_a", "seconds_b"))
    return [row["rung"], a, b, ratio, change, _shape(row)]


def _shape(row: Mapping[str, Any]) -> str:
    """`rows=64, cols=256`: as the case's name has it, for a record sorts the axes of its `shape`."""
    return str(row["case"]).rpartition("/")[2].replace(",", ", ")


def _pair(a: int | None, b: int | None) -> str:
    left, right = ("-" if value is None else f"{value:,}" for value in (a, b))
    return left if a == b else f"{left} -> {right}"


def show(found: Mapping[str, Any]) -> None:
    """Print a comparison: rows that differ first, then how many are equal."""
    kind = found["kind"]
    rows = found["rows"] if kind == "measured" else [row for row in found["rows"] if row["change"] != "same"]
    print(f"A  {found['a']}\nB  {found['b']}")
    say(*(f"note: {note}" for note in found["notes"]))
    equal = len(found["rows"]) - len(rows)
    notes = (
        [f"{equal} of {quantity(len(found['rows']), 'rung')} count the same in A and B"]
        if kind == "virtual"
        else ["B/A below 1: B is faster. Medians of one process each, so there is no interval and no verdict"]
    )
    for side, only in (("A", found["only_a"]), ("B", found["only_b"])):
        if only:
            notes.append(f"only in {side}: {', '.join(only[:5])}{' ...' if len(only) > 5 else ''}")
    if rows:
        table(columns(kind), [cells(kind, row) for row in rows], notes)
    else:
        say(*notes)
