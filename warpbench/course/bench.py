"""Gold: an answer timed on the learner's card, by the same path as any rung, and a board of what was reached where.

An answer becomes a ladder of one rung in a catalogue of its own: `op.py` as it is, and the learner's files beside it.
So `warpbench profile` checks it, times it, races torch and writes a record, and a time stands only with a valid record.

`gold` of an exercise names its goals: {pct_peak = 80} (of the card's theoretical peak) or {vs_torch = 0.9} (ratio).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from warpbench import catalogue, errors, profiling_run
from warpbench.course.catalogue import Exercise
from warpbench.course.progress import Progress
from warpbench.course.runner import Course, card_target

LADDER = """

import dataclasses as _dataclasses

_dtypes = OPERATION.ladder[0].dtypes[:1]
OPERATION = _dataclasses.replace(OPERATION, ladder=[Rung("in_{dsl}:{id}", {objective!r}, dtypes=_dtypes)])
"""
Gold = dict[str, Any]


def measure(course: Course, exercise: Exercise) -> Gold:
    """Time what the learner wrote, and keep the result in the state of the course.

    Returns gpu, valid, reason, pct_peak, vs_torch, run (the record), reached (whether every goal is). Raises
    CapabilityMissing without a card, WarpbenchError for an answer that is not passed at bronze.
    """
    card_target()
    mine = course.progress()
    if not mine.passed(exercise.id, "bronze"):
        raise errors.WarpbenchError(
            f"{exercise.id} is timed once it is passed at bronze, and it is not yet. Nothing was timed. "
            f"Next: warpbench learn run {exercise.id}"
        )
    with tempfile.TemporaryDirectory(prefix="warpbench-gold-") as folder:
        root = _mirror(exercise, Path(folder) / "kernels")
        pattern = f"{exercise.operation}/{exercise.dsl}/{exercise.id}"
        options = profiling_run.Options(pattern=pattern, root=root, command=("learn", "bench", exercise.id))
        outcome = profiling_run.profile(options, lambda outcome: None, lambda rung, verdict: None)
        found = judged(exercise, outcome.rows, pattern)
        found["gpu"] = outcome.gpu.name
        found["run"] = _keep(outcome.path, Path(folder), course.root.parent) if outcome.path else ""
    row = mine.row(exercise.id).setdefault("gold", {})
    row[found["gpu"]] = {key: found[key] for key in ("pct_peak", "vs_torch", "run", "valid", "reached")}
    mine.save()
    return found


def judged(exercise: Exercise, rows: Sequence[Mapping[str, Any]], pattern: str) -> Gold:
    """What the rows of a measured run (`report.measured.row`) say of the answer."""
    row = next((one for one in rows if one["rung"] == pattern), None)
    if row is None:
        return _gold(False, "it was not measured: the run ended before its turn")
    if row["verdict"] != "pass" or row["seconds"] is None:
        return _gold(False, row["reason"] or row["verdict"])
    share = row["share_theory"]
    found = _gold(True, row["share_note"], round(100 * share, 1) if share is not None else None, row["torch_over_this"])
    reached = [found[goal] is not None and found[goal] >= least for goal, least in exercise.gold.items()]
    return {**found, "reached": bool(reached) and all(reached)}


def _gold(valid: bool, reason: str, pct_peak: float | None = None, vs_torch: float | None = None) -> Gold:
    return {"valid": valid, "reason": reason, "pct_peak": pct_peak, "vs_torch": vs_torch, "reached": False}


def _mirror(exercise: Exercise, root: Path) -> Path:
    """A catalogue that holds the exercise's operation with the learner's function for a ladder."""
    folder = root / exercise.operation
    folder.mkdir(parents=True)
    story = (catalogue.KERNELS / exercise.operation / "op.py").read_text(encoding="utf-8")
    ladder = LADDER.format(dsl=exercise.dsl, id=exercise.id, objective=exercise.objective)
    (folder / "op.py").write_text(story + ladder, encoding="utf-8")
    (folder / "__init__.py").touch()
    for name in exercise.files:
        own = Path(name).stem == Path(exercise.module).stem  # a .cu is found by the name of its .py
        target = f"in_{exercise.dsl}{Path(name).suffix}" if own else name
        shutil.copy(exercise.path(name), folder / target)
    return root


def _keep(record: Path, folder: Path, home: Path) -> str:
    """Move a record to the checkout's own runs; its path from there."""
    place = record.relative_to(folder)
    (home / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(record, home / place)
    return str(place)


# -- as text -------------------------------------------------------------------------------------------------------
def text(exercise: Exercise, found: Gold) -> list[str]:
    """What was measured, or why nothing is said."""
    if not found["valid"]:
        return [f"measurement_invalid: {found['reason']}. No gold recorded. Nothing is said about your kernel."]
    goals = " and ".join(f"{UNITS[name]} >= {least:g}" for name, least in exercise.gold.items()) or "none is set"
    peak = "unknown" if found["pct_peak"] is None else f"{found['pct_peak']:.1f} %"
    torch = "unknown" if found["vs_torch"] is None else f"{found['vs_torch']:.2f}"
    note = f" ({found['reason']})" if found["reason"] else ""
    word = "gold" if found["reached"] else "measured, not gold" if exercise.gold else "measured"
    return [
        f"{exercise.id} on {found['gpu']}: {word}",
        f"    {peak} of the card's peak{note}; torch's time over yours: {torch}; goal: {goals}",
        f"    record: {found['run']}",
    ]


UNITS = {"pct_peak": "% of peak", "vs_torch": "torch's time over yours"}


def board(exercises: Sequence[Exercise], mine: Progress) -> list[list[str]]:
    """Exercise by card: a head, then a row for each exercise that was timed anywhere."""
    known = {e.id: mine.exercises.get(e.id, {}).get("gold", {}) for e in exercises}
    cards = sorted({card for row in known.values() for card in row})
    rows = [[name, *(_cell(row.get(card)) for card in cards)] for name, row in known.items() if row]
    return [["exercise", *cards], *rows]


def _cell(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return ""
    if not one.get("valid"):
        return "invalid"
    peak = "measured" if one.get("pct_peak") is None else f"{one['pct_peak']:.1f} %"
    return f"{peak} gold" if one.get("reached") else peak


def board_page(rows: Sequence[Sequence[str]]) -> str:
    """The board as a page that needs neither a server nor the network."""
    lines = "".join(
        f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in row)}</tr>"
        for tag, row in zip(["th", *["td"] * len(rows)], rows, strict=False)
    )
    return PAGE.format(rows=lines)


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Board</title><style>
:root {{ color-scheme: light dark; }} body {{ font: 15px system-ui; margin: 2rem; }}
table {{ border-collapse: collapse; }} td, th {{ padding: .3rem .8rem; border: 1px solid rgb(136 136 136 / 40%); }}
</style></head><body><h1>Share of each card's peak</h1><table>{rows}</table></body></html>
"""
