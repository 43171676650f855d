"""Hints, resets and solutions: what the course does beside checking. Plain data comes back, and help is counted."""

from __future__ import annotations

import difflib
from typing import Any

from warpbench import errors
from warpbench.course import progress
from warpbench.course.catalogue import Exercise
from warpbench.course.cut import CutError
from warpbench.course.runner import Course


def hint(course: Course, exercise: Exercise, level: int | None = None) -> dict[str, Any]:
    """The next hint, or the one of a level (1 to 3). The first one speaks of the finding that fired last, where it can.

    Returns {"exercise", "level", "of", "text", "more"}. Raises UsageError for a level that is not there.
    """
    mine = course.progress()
    row = mine.row(exercise.id)
    given = int(row.get("hints", 0))
    last = len(exercise.hints)
    if level is not None and not 1 <= level <= last:
        raise errors.UsageError(f"{exercise.id} has the hints 1 to {last}. Nothing was shown. Take one of them.")
    number = level or min(given + 1, last)
    text = exercise.hints[number - 1]
    if number == 1:
        text = exercise.hints_for.get(str(row.get("finding", "")), text)
    row["hints"] = max(given, number)
    mine.save()
    return {"exercise": exercise.id, "level": number, "of": last, "text": text, "more": number < last}


def reset(course: Course, exercise: Exercise) -> dict[str, Any]:
    """Write the exercise's files as shipped. What was there is kept in `.learn/backup/`.

    Returns {"exercise", "written": [paths], "kept": [paths]}; a file that is as shipped is left alone.
    """
    written, kept = [], []
    for name in exercise.files:
        path = exercise.path(name)
        wanted = _cut(exercise, name).exercise.encode()
        if path.exists():
            if path.read_bytes() == wanted:
                continue
            kept.append(str(progress.backup(path, course.state)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted)
        written.append(str(path))
    return {"exercise": exercise.id, "written": written, "kept": kept}


def difference(exercise: Exercise) -> list[str]:
    """What the learner changed in the shipped text, as a unified diff; a line that says so where that is nothing."""
    out: list[str] = []
    for name in exercise.files:
        path = exercise.path(name)
        mine = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        shipped = _cut(exercise, name).exercise.splitlines()
        out += difflib.unified_diff(shipped, mine, f"{name} as shipped", f"{name}, yours", lineterm="", n=2)
    return [*(out or ["Nothing is changed in the shipped text."]), ""]


def solution(course: Course, exercise: Exercise, give_up: bool) -> dict[str, Any]:
    """The solution, to those who passed bronze, or gave up (which is recorded).

    Returns {"exercise", "files": [{"name", "text"}]}. Raises WarpbenchError while it is locked.
    """
    mine = course.progress()
    if not mine.passed(exercise.id, "bronze"):
        if not give_up:
            raise errors.WarpbenchError(
                f"the solution of {exercise.id} is shown once the exercise is passed at bronze, and it is not yet. "
                f"Nothing was shown. Next: warpbench learn hint {exercise.id}, or --i-give-up, which is recorded."
            )
        mine.row(exercise.id)["gave_up"] = True
        mine.save()
    return {
        "exercise": exercise.id,
        "files": [{"name": name, "text": _cut(exercise, name).solution} for name in exercise.files],
    }


def _cut(exercise: Exercise, name: str) -> Any:
    try:
        return exercise.cut(name)
    except (CutError, OSError) as error:
        raise errors.UsageError(f"the solution of {exercise.id} cannot be cut: {error}. Nothing was written.") from None
