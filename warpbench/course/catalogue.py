"""The list of exercises: `exercises/catalog.toml`, read and proved to fit the files."""

from __future__ import annotations

import contextlib
import difflib
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from warpbench.check import finding_table
from warpbench.course import figures
from warpbench.course.cut import Cut, CutError, cut, outside_holes
from warpbench.errors import UsageError

SHORT = 30  # characters of a line that says nothing of its own (imports, marks, a launch)


@dataclass(frozen=True)
class Exercise:
    """A row of the catalogue. Its order in the file is the order of the course.

    checks      figures that the answer must reach beside being right: "M1<=4", "X4 .f64"
    variants    keyword arguments that the function is called with, one check each (`{"BLOCKS": 1}`)
    fails_with  the first finding of the shipped text
    predict     a question with a number for an answer, to be guessed first; `predict_of` is the entry of checks that
                counts it
    """

    id: str
    part: str
    title: str
    objective: str
    dsl: str
    operation: str
    files: tuple[str, ...]
    fails_with: str
    proved: str
    hints: tuple[str, ...]
    arch: tuple[str, ...] = ("sm_86",)
    checks: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    variants: tuple[dict[str, int], ...] = ({},)
    hints_for: dict[str, str] = field(default_factory=dict)
    gold: dict[str, float] = field(default_factory=dict)
    budget_s: float = 5.0
    milestone: bool = False
    predict: str = ""
    predict_of: str = ""
    root: Path = Path()

    @property
    def module(self) -> str:
        """The file that defines the function: the .py."""
        return next((file for file in self.files if file.endswith(".py")), self.files[0])

    def path(self, file: str = "") -> Path:
        """The file that the learner edits."""
        return self.root / self.part / (file or self.files[0])

    def solution_path(self, file: str = "") -> Path:
        return self.root / "solutions" / self.part / (file or self.files[0])

    def cut(self, file: str = "") -> Cut:
        """The shipped text and the clean solution. Raises CutError."""
        source = self.solution_path(file)
        return cut(source.read_text(), source.name)


def default_root() -> Path:
    """`exercises/` of this checkout."""
    return Path(__file__).resolve().parents[2] / "exercises"


def load(root: Path | None = None) -> list[Exercise]:
    """All exercises in course order. Raises UsageError for a catalogue that cannot be read."""
    root = root or default_root()
    path = root / "catalog.toml"
    try:
        rows = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(
            f"{path} is missing. The course cannot start; run from a checkout of the repository."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    if rows.get("format") != 1:
        raise UsageError(f"{path} has format {rows.get('format')!r}; this version reads 1.")
    return [_row(row, root, path) for row in rows.get("exercise", [])]


def _row(row: dict[str, Any], root: Path, path: Path) -> Exercise:
    known = {f.name for f in fields(Exercise)} - {"root"}
    unknown = sorted(set(row) - known)
    if unknown:
        raise UsageError(f"{path}: exercise {row.get('id', '?')} has unknown keys: {', '.join(unknown)}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    try:
        return Exercise(**values, root=root)
    except TypeError as error:
        raise UsageError(f"{path}: exercise {row.get('id', '?')}: {error}") from None


def find(exercises: list[Exercise], name: str) -> Exercise:
    """An exercise by its id. Raises UsageError with the nearest ids."""
    for exercise in exercises:
        if exercise.id == name:
            return exercise
    near = difflib.get_close_matches(name, [e.id for e in exercises], n=3, cutoff=0.4)
    known = ", ".join(near or [e.id for e in exercises])
    raise UsageError(f"there is no exercise `{name}`. Nearest: {known}. All of them: warpbench learn list")


def check(root: Path | None = None) -> list[str]:
    """What is wrong with the catalogue and its files; empty when all is well. Runs nothing.

    Where somebody has begun the course, only the text outside of the marks must be what the solution gives.
    """
    exercises = load(root)
    problems: list[str] = []
    seen: dict[str, str] = {}
    for e in exercises:
        if len(e.id) > 32 or seen.get(e.id):
            problems.append(f"{e.id}: the id is taken or longer than 32 characters")
        seen[e.id] = e.id
        if len(e.hints) != 3 or not all(h.strip() for h in e.hints):
            problems.append(f"{e.id}: three hints are wanted, none of them empty")
        shared = [seen[hint] for hint in e.hints if seen.setdefault(hint, e.id) != e.id]
        problems += [f"{e.id}: shares a hint with {other}" for other in shared]
        problems += _check_codes(e)
        for file in e.files:
            problems += _check_file(e, file)
    problems += _alike(exercises)
    if not exercises:
        problems.append("the catalogue lists no exercise")
    listed = {e.path(f) for e in exercises for f in e.files}
    for part in sorted({e.part for e in exercises}):
        base = exercises[0].root
        for folder in (base / part, base / "solutions" / part):
            for path in sorted(folder.glob("*")):
                if path.suffix in (".py", ".cu") and base / part / path.name not in listed:
                    problems.append(f"{path.relative_to(base)} is not in the catalogue")
    return problems


def _alike(exercises: list[Exercise]) -> list[str]:
    """Pairs of exercises that share half of their lines or more; short lines are everybody's."""
    lines: list[tuple[Exercise, set[str]]] = []
    for e in exercises:
        paths = [e.solution_path(file) for file in e.files if e.solution_path(file).is_file()]
        text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
        lines.append((e, {line.strip() for line in text.splitlines() if len(line.strip()) > SHORT}))
    return [
        f"{two.id}: shares half of its text with {one.id}"
        for i, (two, mine) in enumerate(lines)
        for one, theirs in lines[:i]
        if mine and theirs and len(mine & theirs) * 2 >= min(len(mine), len(theirs))
    ]


def _check_codes(e: Exercise) -> list[str]:
    """Codes without a row of findings.toml, and figures that nobody can measure."""
    known = finding_table()
    problems = [
        f"{e.id}: {code} is no code of findings.toml" for code in (e.fails_with, *e.hints_for) if code not in known
    ]
    if bool(e.predict) != bool(e.predict_of) or (e.predict_of and e.predict_of not in e.checks):
        problems.append(f"{e.id}: predict and predict_of go together, and predict_of is an entry of checks")
    with contextlib.suppress(CutError, OSError):  # told for the file itself
        if not any(e.cut(file).holes for file in e.files):
            problems.append(f"{e.id}: no hole in any of its files")
    for text in e.checks:
        try:
            figures.parse(text)
        except ValueError as error:
            problems.append(f"{e.id}: {error}")
    return problems


def _check_file(e: Exercise, file: str) -> list[str]:
    if not e.solution_path(file).is_file():
        return [f"{e.id}: {e.solution_path(file).relative_to(e.root)} is missing"]
    try:
        wanted = e.cut(file).exercise
    except CutError as error:
        return [f"{e.id}: {error}"]
    if not e.path(file).is_file():
        return [f"{e.id}: {e.path(file).relative_to(e.root)} is missing (run: warpbench learn dev cut {e.id})"]
    found = e.path(file).read_text()
    begun = (e.root.parent / ".learn" / "state.json").exists()  # what stands in the marks is the learner's then
    if outside_holes(found) != outside_holes(wanted) if begun else found != wanted:
        shown = e.path(file).relative_to(e.root)
        return [f"{e.id}: {shown} is not what its solution gives (run: warpbench learn dev cut {e.id})"]
    return []
