"""`warpbench profile`: every chosen rung compiled, checked against its reference, counted or timed; one record file.

Without a card (or for another card) it counts on ptxvm and times nothing. With a card it times on the card. A process
runs either on the card or on ptxvm, so both live in workers of their own (`warpbench.pool`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from warpbench import catalogue, counts, hardware
from warpbench.contract import Operation, Rung
from warpbench.errors import EnvironmentProblem, MeasurementInvalid
from warpbench.measure import header, plan, statistics
from warpbench.measure.files import Writer
from warpbench.measure.records import Case, Config, Count, Replicate, Roof, Run, Verdict, case_id
from warpbench.pool import Pool
from warpbench.report import measured, virtual

DEFAULT_GPU = "rtx3090"  # whom the counts are for where there is no card
SEED = 1
Done = Callable[[str, str], None]


@dataclass(frozen=True)
class Options:
    """What to profile, and how."""

    pattern: str | None = None
    gpu: str | None = None
    virtual: bool = False
    quick: bool = False
    rest_of: Path | None = None
    command: tuple[str, ...] = ()
    root: Path | None = None
    processes: int = 2
    limit_s: float = 120.0


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
        raise EnvironmentProblem(f"{found.reason} Nothing was profiled. Go on without the card: --virtual")
    return Where(asked or hardware.gpu(DEFAULT_GPU), None, f"no card: {found.reason.rstrip('.')}; nothing was timed")


def profile(options: Options, begin: Callable[[Outcome], None], done: Done) -> Outcome:
    """Run it. `begin` is told the outcome before the first rung, `done` each rung with its verdict.

    Ctrl-C ends the run early: the record is sealed, the outcome says `interrupted`.
    """
    where = choose(options.gpu, options.virtual)
    picks = catalogue.select(options.pattern, options.root)
    if options.rest_of is not None:
        from warpbench.measure.files import read

        present = {f"{case.operation}/{case.dsl}/{case.rung}" for case in read(options.rest_of).cases.values()}
        picks = plan.without(picks, present)
    todo = plan.make(picks, where.gpu if where.card is None else where.card)
    outcome = Outcome("virtual" if where.card is None else "measured", where.headline, where.gpu, todo.count)
    begin(outcome)
    config = Config(replicates=1, seed=SEED, planned=todo.count, modes=() if where.card is None else ("cold",))
    run = header.make_run("virtual" if where.card is None else "measured", options.command, config, where.card)
    path = header.run_path(run, "virtual" if where.card is None else where.card.slug)
    outcome.path = path
    try:
        with Writer(path, run) as file:
            if where.card is None:
                _count(options, where, todo, run, file, outcome, done)
            else:
                _measure(options, where, todo, run, file, outcome, done)
    except KeyboardInterrupt:
        outcome.interrupted = True
    except OSError as error:
        raise EnvironmentProblem(f"the record {path} cannot be written: {error.strerror}. Nothing was kept.") from error
    order = plan.order_key(options.root)
    outcome.rows.sort(key=lambda row: (row["rung"].partition("/")[0], order.get(row["rung"], len(order))))
    return outcome


# -- without a card ------------------------------------------------------------------------------------------------
def _count(
    options: Options, where: Where, todo: plan.Plan, run: Run, file: Writer, outcome: Outcome, done: Done
) -> None:
    """Check and count every rung on ptxvm, for one architecture."""

    def keep(case: Case, count: Count | None) -> None:
        file.append(case)
        if count is not None:
            file.append(count)
        outcome.rows.append(virtual.row(case, count, where.gpu.cc))

    for refused in todo.refused:
        keep(_skipped(refused.operation, refused.rung, run, refused.sentence, options.root), None)
        done(refused.operation.rung_path(refused.rung), "not run")
    named = {operation.rung_path(rung): (operation, rung) for operation, rung in todo.runs}
    more = {"cached": True, "quick": options.quick}
    with Pool(f"emulated:{where.gpu.arch}", options.processes, options.limit_s) as pool:
        for task, answer in pool.run(plan.tasks(todo, "profile", options.root, **more)):
            operation, rung = named[task["rung"]]
            keep(*virtual_records(operation, rung, run, answer, options.root))
            outcome.from_cache += bool(answer.get("from_cache"))
            if answer["verdict"] != "pass":
                outcome.problems.append(answer)
            done(task["rung"], answer["verdict"])


def virtual_records(
    operation: Operation, rung: Rung, run: Run, answer: dict[str, Any], root: Path | None = None
) -> tuple[Case, Count | None]:
    """A worker's answer as records."""
    counted = answer.get("counted")
    case = _case(operation, rung, run, counted_shape(operation, rung), rung.dtypes[0], root)
    words = "compiled, not executed: " if answer["verdict"] == "not executed" else ""
    case = _judged(case, answer, f"{words}{operation.rung_path(rung)}: {answer['reason']}")
    if not counted:
        return case, None
    launches = counted["launches"]
    case = replace(
        case,
        launch={"launches": launches},
        regs=counts.summary(launches, "regs"),
        spill_bytes=counts.summary(launches, "spill_bytes"),
        smem_bytes=counts.summary(launches, "smem_bytes"),
    )
    if counted["counts"] is None:
        return case, None
    found = [finding for one in answer["cases"] for finding in one["findings"]]
    count = Count(
        run_id=run.run_id,
        case_id=case.case_id,
        arch=counted["arch"],
        ptx_sha256=counted["ptx_sha256"],
        findings=tuple(found),
        regs=case.regs,
        spill_bytes=case.spill_bytes,
        smem_bytes=case.smem_bytes,
        **counted["counts"],
    )
    return case, count


def verdict_of(answer: dict[str, Any]) -> Verdict:
    """The verdict of a record for a worker's: everything but right and wrong is "skipped", with a reason."""
    if answer["verdict"] == "pass":
        return "pass"
    return "fail" if answer["verdict"] == "fail" else "skipped"


def counted_shape(operation: Operation, rung: Rung) -> dict[str, int]:
    return dict(next(shape for shape in operation.shapes.tiny if rung.serves(shape)))


# -- on the card ---------------------------------------------------------------------------------------------------
def _measure(
    options: Options, where: Where, todo: plan.Plan, run: Run, file: Writer, outcome: Outcome, done: Done
) -> None:
    """Check and time every rung on the card, the torch rivals among them, one process."""
    from warpbench.measure import roofline

    card = where.card
    l2 = card.l2_bytes or 64 << 20
    common = {"l2_bytes": l2, "integrated": card.integrated, "seed": SEED, "run_id": run.run_id, "quick": options.quick}
    roofs = roofline.theoretical(run.run_id, card)
    for roof in roofs:
        file.append(roof)
    for refused in todo.refused:
        case = _skipped(refused.operation, refused.rung, run, refused.sentence, options.root)
        file.append(case)
        outcome.rows.append(measured.row(case, None, {}, None, l2))
        done(refused.operation.rung_path(refused.rung), "not run")
    tasks = _measuring_tasks(todo, options.root, common)
    kept: list[tuple[Case, Replicate | None]] = []
    rivals: dict[tuple[str, str], float] = {}
    with Pool(f"card:{card.uuid}", processes=1, limit_s=max(options.limit_s, 300.0)) as pool:
        for order, (task, answer) in enumerate(pool.run(tasks)):
            if task.get("roof"):
                if answer.get("roof"):
                    roofs.append(Roof(**answer["roof"]))
                    file.append(roofs[-1])
                    continue
                raise MeasurementInvalid(
                    f"the card's copy roof could not be measured: {answer['reason']}. Nothing was timed."
                )
            case, samples = measured_records(task, run, answer, order, measured.roofs_of(roofs), l2, options.root)
            file.append(case)
            if samples is not None:
                file.append(samples)
                if case.dsl == "torch" and samples.status == "ok":
                    rivals[case.operation, str(case.shape)] = statistics.median(samples.t_us) / 1e6
            kept.append((case, samples))
            if answer["verdict"] != "pass" and case.dsl != "torch":
                outcome.problems.append(answer)
            if case.dsl != "torch":
                done(task["rung"], answer["verdict"])
            outcome.rows[len(todo.refused) :] = [
                measured.row(c, s, measured.roofs_of(roofs), rivals.get((c.operation, str(c.shape))), l2)
                for c, s in kept
            ]


def _measuring_tasks(todo: plan.Plan, root: Path | None, common: dict[str, Any]) -> list[dict[str, Any]]:
    """The copy roof, then ladder by ladder: the rival, then the rungs raced against it."""
    where = None if root is None else str(root)
    tasks: list[dict[str, Any]] = [{"task": "measure", "rung": "copy roof", "roof": True, **common}]
    seen: set[str] = set()
    for operation, rung in todo.runs:
        shape = dict(next(s for s in operation.shapes.large if rung.serves(s)))
        base = {"task": "measure", "root": where, "shape": shape, "dtype": rung.dtypes[0], **common}
        rival = f"{operation.name}/torch/rival"
        if f"{rival}{shape}" not in seen:
            seen.add(f"{rival}{shape}")
            tasks.append({**base, "rung": rival})
        tasks.append({**base, "rung": operation.rung_path(rung)})
    return tasks


def measured_records(
    task: Any, run: Run, answer: dict[str, Any], order: int, roofs: dict[str, float], l2: int, root: Path | None
) -> tuple[Case, Replicate | None]:
    """A worker's answer as records; a time that cannot be true is kept as `invalid`, with the reason."""
    name, dsl, _ = task["rung"].split("/")
    operation = catalogue.operations(root)[name]
    rung = Rung("in_torch:rival", "what torch offers") if dsl == "torch" else catalogue.select(task["rung"], root)[0][1]
    case = _case(operation, rung, run, task["shape"], task["dtype"], root)
    case = _judged(case, answer, f"{task['rung']}: {answer['reason']}")
    if dsl == "torch":
        case = replace(case, tol_rule="not compared: torch's own result")
    sample = answer.get("sample")
    if not sample:
        return case, None
    fields = {key: value for key, value in sample.items() if key not in ("t_us", "order")}
    samples = Replicate(
        run_id=run.run_id, case_id=case.case_id, order=order, t_us=tuple(sample["t_us"]), status="ok",
        checked_after=dsl != "torch", **fields,
    )  # fmt: skip
    problem = measured.implausible(case, statistics.median(samples.t_us) / 1e6, roofs, l2)
    if problem:
        samples = replace(samples, status="invalid", warnings=(problem,))
    return case, samples


# -- records -------------------------------------------------------------------------------------------------------
def _case(operation: Operation, rung: Rung, run: Run, shape: dict[str, int], dtype: str, root: Path | None) -> Case:
    """The case record of a rung before its verdict is known."""
    read, written = operation.bytes_read(shape, dtype), operation.bytes_written(shape, dtype)
    tolerance = operation.tolerance(shape, dtype, rung.accumulator)
    sha = "" if rung.dsl == "torch" else catalogue.rung_sha256(operation, rung, root)
    return Case(
        run_id=run.run_id,
        case_id=case_id(operation.name, rung.dsl, rung.name, dtype, shape),
        operation=operation.name,
        dsl=rung.dsl,  # type: ignore[arg-type]
        rung=rung.name,
        rung_sha256=sha,
        shape=dict(shape),
        dtype=dtype,
        accumulate=rung.accumulator,
        bytes_read=read,
        bytes_written=written,
        flops=operation.flops(shape, dtype),
        working_set_bytes=read + written,
        verdict_correct="skipped",
        tol_rule=f"|got - want| <= {tolerance.atol:g} + {tolerance.rtol:g} * |want|: {tolerance.why}",
    )


def _skipped(operation: Operation, rung: Rung, run: Run, sentence: str, root: Path | None) -> Case:
    shape = counted_shape(operation, rung)
    return replace(_case(operation, rung, run, shape, rung.dtypes[0], root), skip_reason=sentence)


def _judged(case: Case, answer: dict[str, Any], sentence: str) -> Case:
    """The case with the worker's verdict and errors; `sentence` is kept if it was skipped."""
    verdict = verdict_of(answer)
    return replace(
        case,
        verdict_correct=verdict,
        skip_reason=sentence if verdict == "skipped" else None,
        max_abs_err=_most(answer, "max_abs_err"),
        max_rel_err=_most(answer, "max_rel_err"),
    )


def _most(answer: dict[str, Any], name: str) -> float | None:
    """The greatest error of the cases that passed; None if nothing was compared."""
    values = [one.get(name) for one in answer.get("cases", ()) if one["verdict"] == "pass"]
    return max((value for value in values if value is not None), default=None)


def processes() -> int:
    """How many workers: two, or one on a single core."""
    return min(2, os.cpu_count() or 1)


def keep(outcome: Outcome) -> Path | None:
    """Copy a run's record to profiling/results, where records are tracked."""
    if outcome.path is None:
        return None
    target = catalogue.ROOT / "profiling" / "results" / outcome.path.parent.name / outcome.path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(outcome.path, target)
    return target
