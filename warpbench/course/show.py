"""The course as text: findings, the card after a pass, the table of progress, hints and explanations."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from warpbench import check as engine
from warpbench.course import rivals
from warpbench.course.catalogue import Exercise
from warpbench.course.progress import Progress
from warpbench.report.terminal import Column, aligned

WIDTH = 100
SHOWN = 3  # findings of one layer that are printed whole

PROGRESS_COLUMNS = (
    Column("", priority=0), Column("exercise"), Column("title", priority=1), Column("level"),
    Column("attempts", "right", 3), Column("hints", "right", 4), Column("part", priority=2),
)  # fmt: skip


def verdict(exercise: Exercise, found: Mapping[str, Any], following: Exercise | None) -> list[str]:
    """The outcome of one check: the findings, or the card after a pass."""
    out: list[str] = [found["notice"]] if found.get("notice") else []
    if found["printed"]:
        out += ["Your file printed:", *(f"    {line}" for line in found["printed"]), ""]
    if found["verdict"] == "not executed":
        out += [f"{exercise.id} was compiled, not executed: {found['reason']}. Nothing is said about its values."]
        return out
    if "partial" in found and not found["findings"]:
        return [*out, f"{exercise.id}: {found['partial']}. Levels are counted by: warpbench learn run {exercise.id}"]
    if found.get("prediction"):
        said, counted = found["prediction"]["predicted"], found["prediction"]["counted"]
        out += [f"You predicted {said:g}. It is {counted:g}{': well seen' if said == counted else ''}.", ""]
    if found["level"] == "bronze":
        out += [f"bronze: right, safe and free of races in {found['cases']} cases. Not yet silver:", ""]
    for one in found["findings"][:SHOWN]:
        out += finding(one)
    if len(found["findings"]) > SHOWN:
        out += [f"    and {len(found['findings']) - SHOWN} more findings"]
    codes = {one["code"] for one in found["findings"]}
    for one in found["told"]:
        if one["code"] not in codes:  # what is a finding need not be a note as well
            out += [f"note  {one['title']}: {', '.join(one['evidence'])}  ({place(one)})"]
    if found["findings"]:
        code = found["findings"][0]["code"]
        out += ["", f"hint: warpbench learn hint {exercise.id}      more on {code}: warpbench learn explain {code}"]
    if found["level"] == "silver":
        out += card(exercise, found, following)
    return out


def finding(one: Mapping[str, Any]) -> list[str]:
    """One finding: code, title and place, then what was seen, then one next step."""
    head = f"{one['code']}  {one['title']}"
    out = [f"{head:<54}{place(one)}".rstrip()]
    out += [f"    {line}" for line in one["evidence"]]
    return [*out, f"    Next: {one['next']}"]


def place(one: Mapping[str, Any]) -> str:
    """`guard_the_tail.py:25`; `tile.py:31 and :34` for two lines."""
    return one["file"] + "".join(f"{' and ' if i else ''}:{n}" for i, n in enumerate(dict.fromkeys(one["lines"])))


def card(exercise: Exercise, found: Mapping[str, Any], following: Exercise | None) -> list[str]:
    """What was proved, where it goes on, what comes next."""
    arch = ", ".join(found["arch"])
    there = ", right on your card" if found.get("card") else ""
    out = [f"{exercise.id}: silver   {found['cases']} cases on ptxvm, compiled for {arch}{there}"]
    if exercise.milestone:
        out += [f"A milestone: {exercise.part} is tested out."]
    out += [f"    {one['check']}: {_measured(one)}" for one in found["figures"]]
    out += ["", *wrapped("What you just proved: ", exercise.proved)]
    operation = f"kernels/{exercise.operation}"
    out += [
        "",
        *rivals.card(exercise, found.get("counts"), width()),
        f"The same operation, rung by rung: {operation}/op.py and {operation}/in_{exercise.dsl}.py, the reasons in "
        f"{operation}/notes.md",
        f"One way to write it: warpbench learn solution {exercise.id}",
        f"Beside yours, with registers and machine code: warpbench learn compare {exercise.id}",
    ]
    if following is None:
        return [*out, "That was the last one: all exercises are passed."]
    return [*out, f"Next: {following.title} ({shown_path(following)}): warpbench learn run {following.id}"]


def _measured(one: Mapping[str, Any]) -> str:
    if one["check"].startswith("X4"):
        return "no such instruction"
    value = one["value"]
    if value is None:
        return "nothing to measure"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"


def colour() -> bool:
    """Whether standard output takes colour."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and "NO_COLOR" not in os.environ


def width() -> int:
    """Characters of a line: those of the terminal, or WIDTH elsewhere."""
    return min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if sys.stdout.isatty() else WIDTH


def fitted(lines: Iterable[str]) -> list[str]:
    """Lines that a terminal need not break: longer ones go on below, indented further. Elsewhere as they are."""
    if not sys.stdout.isatty():
        return list(lines)
    out: list[str] = []
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        whole = len(line) <= width() or "\x1b" in line  # a picture fits, colours take no room
        out += [line] if whole else textwrap.wrap(line, width(), subsequent_indent=indent)
    return out


def shown_path(exercise: Exercise) -> str:
    """The file to open, as typed from the current folder where it lies below that."""
    path = exercise.path()
    return os.path.relpath(path) if path.is_relative_to(Path.cwd().parent) else str(path)


def reflowed(text: str, indent: str = "") -> list[str]:
    """Prose wrapped to the screen; lines that are indented are code, and stay as they are."""
    out: list[str] = []
    for is_code, lines in itertools.groupby(text.splitlines(), lambda line: line.startswith(" ")):
        if is_code:
            out += [f"{indent}{line}" for line in lines]
        else:
            out += textwrap.wrap(" ".join(lines), width(), initial_indent=indent, subsequent_indent=indent)
    return out


def wrapped(head: str, text: str) -> list[str]:
    """A paragraph behind its head."""
    return textwrap.wrap(f"{head}{text}", width(), subsequent_indent="    ")


# -- progress ------------------------------------------------------------------------------------------------------
def plain(exercises: Sequence[Exercise], mine: Progress, current: str) -> list[dict[str, Any]]:
    """The course and how far it is passed, as data."""
    rows = []
    for e in exercises:
        row = mine.exercises.get(e.id, {})
        rows.append({
            "id": e.id, "part": e.part, "title": e.title, "objective": e.objective, "dsl": e.dsl,
            "operation": e.operation, "file": str(e.path()), "level": _level(mine, e.id),
            "attempts": int(row.get("attempts", 0)), "hints": int(row.get("hints", 0)), "current": e.id == current,
        })  # fmt: skip
    return rows


def _level(mine: Progress, name: str) -> str | None:
    return next((level for level in ("silver", "bronze") if mine.passed(name, level)), None)


def table(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The rows of `warpbench learn list` under PROGRESS_COLUMNS."""
    return [
        [
            ">" if row["current"] else "", row["id"], row["title"], row["level"] or "",
            str(row["attempts"] or ""), str(row["hints"] or ""), row["part"],
        ]
        for row in rows
    ]  # fmt: skip


def bar(exercises: Sequence[Exercise], mine: Progress) -> str:
    """`[####------] 4 of 10`: how much of the course is passed at silver."""
    done = sum(mine.passed(e.id) for e in exercises)
    filled = 20 * done // len(exercises)
    return f"[{'#' * filled}{'-' * (20 - filled)}] {done} of {len(exercises)} passed at silver"


def again(found: Iterable[tuple[Exercise, str, Mapping[str, Any]]]) -> list[str]:
    """What `Course.check_again` found: a line an exercise, then the sum."""
    out, lost = [], 0
    for exercise, had, verdict in found:
        first = verdict["findings"][0] if verdict["findings"] else {"code": verdict["reason"], "title": ""}
        regressed = verdict["level"] != had and verdict["verdict"] != "not executed"
        lost += regressed
        why = f"   was {had}: {first['code']} {first['title']}" if regressed else ""
        out.append(f"{exercise.id:32}  {verdict['level'] or 'not passed'}{why}")
    return [*out, f"{len(out)} exercises checked, {lost} do not pass any more" if out else "Nothing is passed yet."]


def listed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table as plain lines."""
    return aligned(PROGRESS_COLUMNS, table(rows)).splitlines()


# -- texts ---------------------------------------------------------------------------------------------------------
def question(exercise: Exercise, mine: Progress) -> list[str]:
    """What an exercise wants to be predicted, until it is."""
    if not exercise.predict or "predicted" in mine.exercises.get(exercise.id, {}):
        return []
    return wrapped("Predict first: ", f"{exercise.predict} (warpbench learn run {exercise.id} --predict N)")


def hint(found: Mapping[str, Any]) -> list[str]:
    """A hint as text, and how to get more."""
    more = f"the next one: warpbench learn hint {found['exercise']}" if found["more"] else "that was the last one"
    return [*wrapped(f"Hint {found['level']} of {found['of']}: ", found["text"]), f"({more})"]


def explanation(code: str) -> dict[str, Any]:
    """A row of findings.toml as data. KeyError for an unknown code."""
    row = engine.finding_table()[code]
    return {
        "code": code, "title": row["title"], "level": row["level"], "listed": bool(row.get("listed")),
        "meaning": row["meaning"].strip(), "pattern": row["pattern"].strip(), "next": row["next"],
    }  # fmt: skip


def explained(found: Mapping[str, Any]) -> list[str]:
    """An explanation as text."""
    levels = {
        "bronze": "bronze: such an answer is wrong or unsafe",
        "silver": "silver: the answer is right, its cost is off target",
        "gold": "gold: measured on a card",
        "told": "told only: it fails nothing",
    }
    where = ", judged where an exercise asks for it" if found["listed"] else ""
    return [
        f"{found['code']}  {found['title']}",
        *reflowed(f"{levels[found['level']]}{where}", "    "),
        "",
        *reflowed(found["meaning"]),
        "",
        "What usually mends it:",
        *reflowed(found["pattern"], "    "),
        "",
        *wrapped("Ask yourself: ", found["next"]),
    ]
