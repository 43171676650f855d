"""The text and JSON of `warpbench profile`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from warpbench import catalogue, errors, profiling_run
from warpbench.profiling_run import Options, Outcome
from warpbench.report import checks, measured, virtual
from warpbench.report.progress import Progress
from warpbench.report.terminal import Column, quantity, say
from warpbench.report.terminal import show as table


def run(options: Options, quiet: bool) -> Outcome:
    """Profile with a progress display on stderr. The headline comes first: it says whether anything will be timed."""
    progress: Progress | None = None

    def begin(outcome: Outcome) -> None:
        nonlocal progress
        if not quiet:
            say(headline(outcome))
        title = "measuring" if outcome.kind == "measured" else "counting"
        progress = Progress(title, outcome.planned * outcome.replicates, quiet)
        progress.__enter__()

    def done(rung: str, verdict: str) -> None:
        assert progress is not None
        progress.done(rung, verdict)

    try:
        return profiling_run.profile(options, begin, done)
    finally:
        if progress is not None:
            progress.__exit__(None, None, None)


def headline(outcome: Outcome) -> str:
    """`no card: ...; nothing was timed` and for whom it counts; or the card."""
    if outcome.kind == "virtual":
        return f"{outcome.headline}. Counted for {outcome.gpu.name} ({outcome.gpu.arch})"
    return outcome.headline


def show(outcome: Outcome, kept: Path | None) -> None:
    """The table, what was not run and why, what is wrong, and where the record lies."""
    operations = catalogue.operations()
    columns: Sequence[Column]
    if outcome.kind == "virtual":
        rows = virtual.table(outcome.rows, operations, outcome.gpu)
        notes = list(virtual.LEGEND)
        columns = virtual.COLUMNS
    else:
        rows = measured.table(outcome.rows, {name: op.title for name, op in operations.items()})
        notes, columns = list(measured.LEGEND), measured.COLUMNS
    if rows:
        table(columns, rows, notes)
    reasons = virtual.reasons(outcome.rows)
    say(*([""] if reasons else []), *reasons)
    for answer in outcome.problems:
        if answer["verdict"] == "fail":
            print("\n".join(checks.lines(answer)))
    print(f"\n{summary(outcome)}")
    if outcome.path is not None:
        print(f"record: {shown(kept or outcome.path)}")
    if outcome.interrupted:
        again = (
            "counts that are done come from the cache"
            if outcome.kind == "virtual"
            else "only what is missing is measured"
        )
        print(f"go on with: warpbench profile --rest-of {shown(outcome.path)} ({again})", file=sys.stderr)


def summary(outcome: Outcome) -> str:
    """`77 rungs: 75 pass, 2 not run; 71 from the cache`"""
    counts: dict[str, int] = {}
    for row in outcome.rows:
        if not row["rung"].endswith("/torch/rival"):
            word = virtual.word(row)
            counts[word] = counts.get(word, 0) + 1
    total = sum(counts.values())
    text = f"{quantity(total, 'rung')}: " + (", ".join(f"{n} {word}" for word, n in counts.items()) or "none")
    if outcome.kind == "virtual" and outcome.from_cache:
        text += f"; {outcome.from_cache} from the cache"
    if outcome.interrupted:
        text = f"stopped after {total} of {quantity(outcome.planned, 'rung')}. {text}"
    return text


def plain(outcome: Outcome, kept: Path | None) -> dict[str, Any]:
    """The outcome for --json."""
    return {
        "kind": outcome.kind,
        "headline": headline(outcome),
        "gpu": outcome.gpu.slug,
        "record": str(kept or outcome.path),
        "planned": outcome.planned,
        "interrupted": outcome.interrupted,
        "from_cache": outcome.from_cache,
        "rows": outcome.rows,
        "problems": outcome.problems,
    }


def exit_code(outcome: Outcome) -> int:
    """0; 1: a rung is wrong; 3: a package is missing; 4: a time cannot be true; 5: nothing could run; 130: Ctrl-C."""
    if outcome.interrupted:
        return errors.INTERRUPTED
    if any(row["verdict"] == "invalid" for row in outcome.rows) and not any(
        answer["verdict"] == "fail" for answer in outcome.problems
    ):
        return errors.INVALID
    verdicts = [answer["verdict"] for answer in outcome.problems]
    passed = sum(row["verdict"] == "pass" for row in outcome.rows)
    return checks.exit_code(verdicts + ["pass"] * passed, refused=len(outcome.rows) - passed)


def shown(path: Path | None) -> str:
    """A path as one would type it from the repository root."""
    if path is None:
        return ""
    try:
        return str(path.relative_to(catalogue.ROOT))
    except ValueError:
        return str(path)
