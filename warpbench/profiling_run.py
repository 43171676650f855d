"""`warpbench profile`: every chosen rung compiled, checked against its reference, counted or timed; one record file.

Without a card (or for another card) it counts on ptxvm and times nothing. With a card it times on the card. A process
runs either on the card or on ptxvm, so both live in workers of their own (`warpbench.pool`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warpbench import catalogue, hardware
from warpbench.errors import EnvironmentProblem, MeasurementInvalid, UsageError
from warpbench.measure import answers, header, plan, roofline, timer
from warpbench.measure.files import Writer
from warpbench.measure.records import Case, Config, Count, Kind, Replicate, Roof, Run
from warpbench.pool import Pool
from warpbench.report import measured, virtual

DEFAULT_GPU = "rtx3090"  # whom the counts are for where there is no card
SEED = 1
COUNT_LIMIT_S, TIME_LIMIT_S = 120.0, 300.0  # of one case; the slowest rung is launched a dozen times
Done = Callable[[str, str], None]
Task = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What to profile, and how.

    pretend      a smaller card: what it would not be allowed is refused
    rest_of      records of earlier runs, whose rungs are left out
    replicates   fresh processes that time each rung, all rungs once before any is timed again; its case is written
                 with the last of them (what Ctrl-C leaves is written too)
    """

    pattern: str | None = None
    gpu: str | None = None
    virtual: bool = False
    quick: bool = False
    pretend: str | None = None
    rest_of: tuple[Path, ...] = ()
    replicates: int = 1
    command: tuple[str, ...] = ()
    root: Path | None = None
    processes: int = 2
    limit_s: float | None = None  # of one case; None: COUNT_LIMIT_S or TIME_LIMIT_S


@dataclass
class Outcome:
    """What a run gave. `rows` as of report.virtual.row or report.measured.row, in catalogue order."""

    kind: str
    headline: str
    gpu: Any
    planned: int
    path: Path | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)  # answers of rungs that failed or could not be judged
    from_cache: int = 0
    replicates: int = 1
    interrupted: bool = False


@dataclass(frozen=True)
class Where:
    """Which card a run is for. `card` is the plugged-in one, or None: counted for `gpu`, nothing timed."""

    gpu: Any
    card: Any
    headline: str


def choose(gpu_name: str | None, force_virtual: bool) -> Where:
    """The card to run on, or the catalogue card to count for.

    Raises EnvironmentProblem for a card that is there but unusable, LookupError for an unknown name.
    """
    asked = hardware.gpu(gpu_name) if gpu_name else None
    if force_virtual:
        wanted = asked or hardware.gpu(DEFAULT_GPU)
        return Where(wanted, None, "--virtual: nothing was timed")
    found = hardware.detect()
    usable = [card for card in found.usable if asked is None or card.slug == asked.slug]
    if usable:
        return Where(usable[0].gpu, usable[0], "")
    if found.usable and asked is not None:
        return Where(asked, None, f"--gpu {asked.slug} is not the card that is here: nothing was timed")
    if found.broken and asked is None:
        way_out = "" if "--virtual" in found.reason else " Go on without the card: --virtual"
        raise EnvironmentProblem(f"{found.reason} Nothing was profiled.{way_out}")
    return Where(asked or hardware.gpu(DEFAULT_GPU), None, f"no card: {found.reason.rstrip('.')}; nothing was timed")


def profile(options: Options, begin: Callable[[Outcome], None], done: Done) -> Outcome:
    """Run it. `begin` is told the outcome before the first rung, `done` each rung with its verdict.

    Ctrl-C ends the run early: the record is sealed, the outcome says `interrupted`.
    """
    where = choose(options.gpu, options.virtual)
    kind: Kind = "virtual" if where.card is None else "measured"
    picks = catalogue.select(options.pattern, options.root)
    for earlier in options.rest_of:
        picks = plan.without(picks, _finished(earlier, kind, where))
    todo = plan.make(picks, where.card or where.gpu, options.pretend)
    tasks = _counting_tasks(todo, options) if where.card is None else _timing_tasks(todo, where.card, options)
    run = header.make_run(kind, options.command, _config(todo, tasks, where, options), where.card)
    headline = where.headline if where.card is None else measured.headline(run)
    path = header.run_path(run, "virtual" if where.card is None else where.card.slug, options.root)
    outcome = Outcome(kind, headline, where.gpu, todo.count, path, replicates=run.config.replicates)
    begin(outcome)
    try:
        file = Writer(path, run)
    except OSError as error:
        raise EnvironmentProblem(
            f"the record {path} cannot be written: {error.strerror}. Nothing was profiled. Make its folder writable."
        ) from error
    try:
        with file:
            (_count if where.card is None else _time)(options, where, todo, tasks, run, file, outcome, done)
    except KeyboardInterrupt:
        outcome.interrupted = True
    order = plan.order_key(options.root)
    outcome.rows.sort(key=lambda row: (row["rung"].partition("/")[0], order.get(row["rung"], len(order))))
    return outcome


def _finished(path: Path, kind: str, where: Where) -> set[str]:
    """The rungs that a record has a verdict for; what it skipped is tried again."""
    from warpbench.measure.files import read

    earlier = read(path)
    archs = {count.arch for count in earlier.counts.values()} - {where.gpu.arch}
    if earlier.run.kind != kind or archs:
        what = f"{earlier.run.kind}{f', counted for {min(archs)}' if archs else ''}"
        raise UsageError(
            f"--rest-of {path}: that record is {what}; this run is {kind} for {where.gpu.name} ({where.gpu.arch}). "
            "Nothing was profiled. Give the options of that run again, or leave --rest-of away."
        )
    cases = earlier.cases.values()
    return {f"{case.operation}/{case.dsl}/{case.rung}" for case in cases if earlier.finished(case)}


def _config(todo: plan.Plan, tasks: Sequence[Any], where: Where, options: Options) -> Config:
    """How to run it again. `planned` counts cases: on a card the torch rivals too."""
    if where.card is None:
        return Config(replicates=1, seed=SEED, planned=todo.count)
    least, most = timer.QUICK if options.quick else (timer.N_MIN, timer.N_MAX)
    planned = len(todo.refused) + sum("roof" not in task for task in tasks)
    return Config(options.replicates, SEED, planned, n_min=least, n_max=most, tol=timer.TOL, modes=("cold",))


# -- without a card ------------------------------------------------------------------------------------------------
def _counting_tasks(todo: plan.Plan, options: Options) -> list[Task]:
    return plan.tasks(todo, "profile", options.root, quick=options.quick)


def _count(
    options: Options, where: Where, todo: plan.Plan, tasks: Sequence[Task], run: Run, file: Writer,
    outcome: Outcome, done: Done,
) -> None:  # fmt: skip
    """Check and count every rung on ptxvm, for one architecture."""

    def keep(case: Case, count: Count | None) -> None:
        file.append(case)
        if count is not None:
            file.append(count)
        outcome.rows.append(virtual.row(case, count, where.gpu.cc))

    for refused in todo.refused:
        keep(answers.skipped(refused.operation, refused.rung, run, refused.sentence, options.root), None)
        done(refused.operation.rung_path(refused.rung), "not run")
    named = {operation.rung_path(rung): (operation, rung) for operation, rung in todo.runs}
    with Pool(f"emulated:{where.gpu.arch}", options.processes, options.limit_s or COUNT_LIMIT_S) as pool:
        for task, answer in pool.run(tasks):
            keep(*answers.counted(*named[task["rung"]], run, answer, options.root))
            outcome.from_cache += bool(answer.get("from_cache"))
            if answer["verdict"] != "pass":
                outcome.problems.append(answer)
            done(task["rung"], answer["verdict"])


# -- on the card ---------------------------------------------------------------------------------------------------
def _timing_tasks(todo: plan.Plan, card: Any, options: Options) -> list[Task]:
    """The copy roof, then ladder by ladder: the rival, then the rungs raced against it."""
    common = {
        "uuid": card.uuid, "l2_bytes": _l2(card), "integrated": card.integrated, "seed": SEED, "quick": options.quick,
    }  # fmt: skip
    tasks: list[Task] = [{"task": "measure", "rung": "copy roof", "roof": True, **common}]
    raced: set[str] = set()
    for operation, rung in todo.runs:
        shape = dict(next(s for s in operation.shapes.large if rung.serves(s)))
        root = None if options.root is None else str(options.root)
        base = {"task": "measure", "root": root, "shape": shape, "dtype": rung.dtypes[0], **common}
        race = f"{operation.name}, {rung.dtypes[0]}, {shape}"
        if race not in raced:
            raced.add(race)
            tasks.append({**base, "rung": f"{operation.name}/torch/rival"})
        tasks.append({**base, "rung": operation.rung_path(rung)})
    return tasks


def _l2(card: Any) -> int:
    """Bytes of the L2; where the driver does not say, as many as no card exceeds."""
    return card.l2_bytes or 128 << 20


@dataclass
class _Timed:
    """A case as far as it got: the verdict of its last process, and the samples of all that were right."""

    case: Case
    replicates: list[Replicate] = field(default_factory=list)
    written: bool = False

    def again(self) -> bool:
        """Whether another process may time it: what was wrong once has no time."""
        return self.case.verdict_correct == "pass" and all(one.status != "invalid" for one in self.replicates)

    def take(self, case: Case, samples: Replicate | None) -> None:
        """Add the answer of one more process."""
        if case.verdict_correct == "fail":
            self.replicates.clear()
        if case.verdict_correct != "skipped" or not self.replicates:
            self.case = case
        if samples is not None:
            self.replicates.append(samples)

    def write(self, file: Writer) -> None:
        if not self.written:
            file.append(self.case)
            for samples in self.replicates:
                file.append(samples)
        self.written = True


def _time(
    options: Options, where: Where, todo: plan.Plan, tasks: Sequence[Task], run: Run, file: Writer,
    outcome: Outcome, done: Done,
) -> None:  # fmt: skip
    """Check and time every rung on the card, the torch rivals among them: all in one process, then all in the next."""
    card, l2 = where.card, _l2(where.card)
    known = roofline.theoretical(run.run_id, card)
    kept: dict[str, _Timed] = {}
    todo_now = list(tasks)

    for roof in known:
        file.append(roof)
    for refused in todo.refused:
        case = answers.skipped(refused.operation, refused.rung, run, refused.sentence, options.root)
        kept[case.case_id] = _Timed(case)
        kept[case.case_id].write(file)
        done(refused.operation.rung_path(refused.rung), "not run")
    try:
        for replicate in range(options.replicates):
            with Pool(f"card:{card.uuid}", processes=1, limit_s=options.limit_s or TIME_LIMIT_S) as pool:
                now, todo_now = todo_now, []
                numbered = [{**task, "replicate": replicate, "seed": SEED + replicate} for task in now]
                for order, (task, answer) in enumerate(pool.run(numbered)):
                    if task.get("roof"):
                        known.append(_measured_roof(answer, run))
                        file.append(known[-1])
                        continue
                    case, samples = answers.timed(task, run, answer, order, roofline.roofs_of(known), l2, options.root)
                    timed = kept.setdefault(case.case_id, _Timed(case))
                    timed.take(case, samples)
                    if timed.again() and replicate + 1 < options.replicates:
                        todo_now.append(dict(task))
                    else:
                        timed.write(file)
                    if case.dsl == "torch":
                        continue
                    if answer["verdict"] != "pass":
                        outcome.problems.append(answer)
                    done(task["rung"], answer["verdict"])
    finally:  # what Ctrl-C left is shown and written too
        for timed in kept.values():
            timed.write(file)
        outcome.rows = measured.rows(
            [(one.case, one.replicates) for one in kept.values()], roofline.roofs_of(known), l2
        )


def _measured_roof(answer: dict[str, Any], run: Run) -> Roof:
    """The copy roof, without which nothing is timed."""
    if answer["verdict"] == "not run":
        raise EnvironmentProblem(answer["reason"])
    if answer["verdict"] != "pass":
        raise MeasurementInvalid(f"the card's copy roof was not measured: {answer['reason']}. Nothing was timed.")
    return Roof(run.run_id, **answer["roof"])


def processes() -> int:
    """How many workers: two, or one where this process may use a single core."""
    return min(2, len(os.sched_getaffinity(0)))


def keep(outcome: Outcome) -> Path | None:
    """Copy a run's record to profiling/results beside profiling/runs, where records are tracked."""
    if outcome.path is None:
        return None
    target = outcome.path.parents[2] / "results" / outcome.path.parent.name / outcome.path.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(outcome.path, target)
    except OSError as error:
        raise EnvironmentProblem(
            f"{target} cannot be written: {error.strerror}. The record was not copied; it lies in {outcome.path}."
        ) from error
    return target
