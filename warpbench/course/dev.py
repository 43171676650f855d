"""For authors: cut exercises, trace targets, and prove that an exercise keeps what its row promises.

    the shipped text fails, first of all with `fails_with`
    the solution reaches silver on every architecture, within the author's limits and with the figures of targets.toml
    what `automatic` makes of the solution dies of its values
    each mutant of tests/wrong/exercises/<id>/ dies with the code, line and pattern that its first line declares

A mutant is a whole wrong answer, first line `# expect: R1 line=14` (`//` in CUDA C++; C1 may add `pattern=shifted`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warpbench.course import automatic, figures, targets
from warpbench.course.catalogue import Exercise
from warpbench.course.runner import Course, Verdict

EXPECTS = re.compile(r"(?:#|//) expect: (?P<code>[A-Z]\d)\b")
EXPECT = re.compile(r"(?:#|//) expect: (?P<code>[A-Z]\d)(?: line=(?P<line>\d+))?(?: pattern=(?P<pattern>\w+))?\s*")


@dataclass
class Proof:
    """What was tried of one exercise, and what is wrong with it."""

    exercise: str
    mutants: int = 0
    seconds: float = 0.0  # of checking the solution with a warm worker
    budget_s: float = 0.0
    problems: list[str] = field(default_factory=list)


def cut(exercises: Sequence[Exercise]) -> list[Path]:
    """Write the exercises' files from their solutions; returns those that changed. Raises CutError."""
    changed = []
    for exercise in exercises:
        for name in exercise.files:
            path, wanted = exercise.path(name), exercise.cut(name).exercise
            if not path.exists() or path.read_text(encoding="utf-8") != wanted:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(wanted, encoding="utf-8")
                changed.append(path)
    return changed


def trace(course: Course, exercises: Sequence[Exercise]) -> dict[str, list[str]]:
    """Write the targets of exercises. Returns what is wrong, by exercise; their targets stay as they were."""
    problems = {}
    for exercise in exercises:
        if targets.counted(exercise):
            table, verdict = course.trace(exercise)
            if verdict["level"] == "silver":
                course.targets[exercise.id] = table
            else:
                problems[exercise.id] = [f"the solution does not reach silver: {_first(verdict)}"]
    targets.store(course.root, course.exercises, course.targets)
    return problems


def _off_record(course: Course, exercise: Exercise, found: Verdict) -> list[str]:
    """Figures of a solution that the author's limit forbids, or that are not those of its record."""
    table, problems = course.table(exercise), []
    limits = {figure.text: figure for figure in targets.counted(exercise)}
    traced = targets.table(exercise, found["figures"])
    for one in found["figures"]:
        figure = limits.get(one["check"])
        if figure and one["value"] is not None and not figure.keeps(one["value"]):
            problems.append(f"the solution's own figure for {figure.text} is {one['value']:.4g} on {one['arch']}")
    if found["level"] == "silver" and limits and traced != table:
        problems.append(f"its targets are not what the solution reaches (run: warpbench learn dev trace {exercise.id})")
    return problems


def mutants(course: Course, exercise: Exercise) -> list[Path]:
    """The wrong answers of an exercise: the folder is the list."""
    folder = course.root.parent / "tests" / "wrong" / "exercises" / exercise.id
    return sorted(path for path in folder.glob("*") if path.suffix in (".py", ".cu"))


def prove(course: Course, exercise: Exercise, with_mutants: bool) -> Proof:
    """Run the shipped text, the solution and, if asked, the mutants."""
    proof = Proof(exercise.id, budget_s=exercise.budget_s)
    shipped = course.check_texts(exercise, {name: exercise.cut(name).exercise for name in exercise.files})
    proof.problems += _differs("the shipped text", shipped, exercise.fails_with, None, None)
    solution = {name: exercise.cut(name).solution for name in exercise.files}
    begin = time.monotonic()
    found = course.check_texts(exercise, solution)
    proof.seconds = time.monotonic() - begin
    if found["level"] != "silver":
        proof.problems.append(f"the solution does not reach silver: {_first(found)}")
    proof.problems += _off_record(course, exercise, found)
    if with_mutants:
        paths = mutants(course, exercise)
        proof.mutants = len(paths)
        if not paths:
            proof.problems.append("there is no mutant, so nothing shows that a wrong answer is found")
        for path in paths:
            proof.problems += mutant(course, exercise, solution, path)
        for name in automatic.NAMES:
            proof.problems += automatic_mutant(course, exercise, solution, name)
    return proof


def automatic_mutant(course: Course, exercise: Exercise, solution: Mapping[str, str], name: str) -> list[str]:
    """What is wrong with the death of an automatic mutant (`automatic.NAMES`): it must die of its values."""
    text = automatic.text(exercise, solution[exercise.module], name)
    if text is None:
        return []
    found = course.check_texts(exercise, {**solution, exercise.module: text})
    code = found["findings"][0]["code"] if found["findings"] else None
    if code in ("C1", "C2", "C3") or (code == "C4" and "C4" in exercise.checks):
        return []
    return [f"the solution's answer made `{name}` must die of its values, and {_first(found)} is what came"]


def unproved(course: Course) -> list[str]:
    """Codes that an exercise relies on and that no wrong answer dies with: nothing shows that they come.

    Empty in a checkout without its tests.
    """
    files = [path for path in (course.root.parent / "tests" / "wrong").rglob("*") if path.suffix in (".py", ".cu")]
    firsts = [path.read_text(encoding="utf-8").partition("\n")[0] for path in files]
    shown = {found["code"] for first in firsts if (found := EXPECTS.match(first))} | {
        e.fails_with for e in course.exercises
    }
    problems = []
    for e in course.exercises if files else ():
        codes = [*e.hints_for, *(figures.parse(text).code for text in e.checks)]
        problems += [
            f"{e.id}: nothing in tests/wrong dies with {code}" for code in dict.fromkeys(codes) if code not in shown
        ]
    return problems


def mutant(course: Course, exercise: Exercise, solution: Mapping[str, str], path: Path) -> list[str]:
    """What is wrong with a mutant's death. It replaces the exercise's file of its kind."""
    text = path.read_text(encoding="utf-8")
    expected = EXPECT.fullmatch(text.partition("\n")[0])
    if not expected:
        return [f"{path.name}: its first line must be `# expect: CODE [line=N] [pattern=NAME]`"]
    replaced = next(name for name in exercise.files if Path(name).suffix == path.suffix)
    found = course.check_texts(exercise, {**solution, replaced: text})
    line = int(expected["line"]) if expected["line"] else None
    return _differs(path.name, found, expected["code"], line, expected["pattern"])


def _differs(what: str, found: Verdict, code: str, line: int | None, pattern: str | None) -> list[str]:
    """One sentence where the first finding is not the one that was declared."""
    if not found["findings"]:
        return [f"{what} must fail with {code}, and reaches {found['level']}"]
    first: dict[str, Any] = found["findings"][0]
    if first["code"] != code:
        return [f"{what} must fail with {code}, and fails with {_first(found)}"]
    if line is not None and line not in first["lines"][:1]:
        return [f"{what} must fail at line {line}, and fails at {first['lines'] or 'no line'}"]
    if pattern is not None and first["pattern"] != pattern:
        return [f"{what} must show the pattern {pattern}, and shows {first['pattern'] or 'none'}"]
    return []


def _first(found: Verdict) -> str:
    if not found["findings"]:
        return str(found["reason"] or found["level"])
    first = found["findings"][0]
    return f"{first['code']} ({'; '.join(first['evidence'])})"
