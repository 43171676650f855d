"""What a learner has passed: `.learn/state.json`, one exercise a line so that two machines merge as text.

    {"current": "grid_stride",
     "version": 1,
     "exercises": {
      "grid_stride": {"attempts": 3, "hints": 1},
      "guard_the_tail": {"attempts": 2, "bronze": "2026-01-05", "hints": 0, "silver": "2026-01-05"}
     }}

Keys that this version does not know are kept. A file that cannot be read is renamed, never overwritten.
"""

from __future__ import annotations

import datetime
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSION = 1
LEVELS = ("bronze", "silver")


@dataclass
class Progress:
    """The state of one checkout."""

    folder: Path
    current: str = ""
    exercises: dict[str, dict[str, Any]] = field(default_factory=dict)
    unknown: dict[str, Any] = field(default_factory=dict)
    notice: str = ""  # what to tell the learner about the file, if anything

    @property
    def path(self) -> Path:
        return self.folder / "state.json"

    def row(self, exercise: str) -> dict[str, Any]:
        """The learner's row of an exercise, made if it is not there."""
        return self.exercises.setdefault(exercise, {"attempts": 0, "hints": 0})

    def passed(self, exercise: str, level: str = "silver") -> bool:
        return bool(self.exercises.get(exercise, {}).get(level))

    def record(self, exercise: str, level: str | None) -> bool:
        """Count an attempt and the level reached (None: not bronze). True when the level is new."""
        row = self.row(exercise)
        row["attempts"] = int(row.get("attempts", 0)) + 1
        if level is None:
            return False
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        new = level not in row
        for reached in LEVELS[: LEVELS.index(level) + 1]:
            row.setdefault(reached, today)
        return new

    def lower(self, exercise: str, level: str | None) -> bool:
        """Take back what an exercise does not reach any more (`level`: what it reaches). True if that was something."""
        row = self.row(exercise)
        kept = LEVELS[: LEVELS.index(level) + 1] if level else ()
        lost = [reached for reached in LEVELS if reached in row and reached not in kept]
        for reached in lost:
            del row[reached]
        return bool(lost)

    def save(self) -> None:
        """Write through a temporary file in the same folder, so that a crash leaves the old state or the new one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".tmp", delete=False, encoding="utf-8") as file:
            file.write(self.text())
        os.replace(file.name, self.path)

    def text(self) -> str:
        """The file as written: sorted, one exercise a line."""
        rows = ",\n".join(
            f"  {json.dumps(name)}: {json.dumps(row, sort_keys=True)}" for name, row in sorted(self.exercises.items())
        )
        head = {"version": VERSION, **self.unknown, "current": self.current}
        lines = [f" {json.dumps(k)}: {json.dumps(v, sort_keys=True)}," for k, v in sorted(head.items())]
        return "{\n" + "\n".join(lines) + '\n "exercises": {\n' + rows + ("\n" if rows else "") + " }\n}\n"


def load(folder: Path) -> Progress:
    """The state in a folder; empty where there is none. A broken file is renamed and the learner is told."""
    path = folder / "state.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        exercises = data.pop("exercises")
        if not isinstance(exercises, dict) or not all(isinstance(r, dict) for r in exercises.values()):
            raise TypeError("exercises are no table")
        current = str(data.pop("current", ""))
    except FileNotFoundError:
        return Progress(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        kept = _free_name(path)
        path.rename(kept)
        notice = f"{path.name} could not be read. It was kept as {kept.name}; progress starts afresh."
        return Progress(folder, notice=notice)
    data.pop("version", None)
    return Progress(folder, current, exercises, data)


def journal(folder: Path, lines: Sequence[str]) -> None:
    """Append to the learner's journal: text for people, which nothing reads back."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "journal.md"
    head = "" if path.exists() else "# What was passed, and how\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(head + "\n".join(["", *lines]) + "\n")


def _free_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.stem}.broken-{number}{path.suffix}")).exists():
        number += 1
    return candidate


def backup(file: Path, folder: Path) -> Path:
    """Copy a learner's file to `.learn/backup/NAME-N.suffix` and return the copy."""
    target = folder / "backup"
    target.mkdir(parents=True, exist_ok=True)
    number = 1
    while (copy := target / f"{file.stem}-{number}{file.suffix}").exists():
        number += 1
    copy.write_bytes(file.read_bytes())
    return copy
