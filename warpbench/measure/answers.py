"""What a worker answered, as records of the file: cases, counts, samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from warpbench import catalogue, counts
from warpbench.contract import Operation, Rung
from warpbench.measure import roofline, statistics
from warpbench.measure.records import Case, Count, Replicate, Run, Verdict, case_id

Answer = Mapping[str, Any]
RIVAL = Rung("in_torch:rival", "what torch offers")


def counted(
    operation: Operation, rung: Rung, run: Run, answer: Answer, root: Path | None = None
) -> tuple[Case, Count | None]:
    """The answer of `counts.profile_rung`. No count where nothing was executed."""
    found = answer.get("counted")
    words = "compiled, not executed: " if answer["verdict"] == "not executed" else ""
    case = make_case(operation, rung, run, counted_shape(operation, rung), rung.dtypes[0], root)
    case = _judged(case, answer, f"{words}{operation.rung_path(rung)}: {answer['reason']}")
    if not found:
        return case, None
    launches = found["launches"]
    figures: dict[str, Any] = {name: counts.summary(launches, name) for name in ("regs", "spill_bytes", "smem_bytes")}
    case = replace(case, launch={"launches": launches}, **figures)
    if found["counts"] is None:
        return case, None
    findings = tuple(finding for one in answer["cases"] for finding in one["findings"])
    count = Count(
        run.run_id, case.case_id, found["arch"], found["ptx_sha256"], findings=findings, **found["counts"], **figures
    )
    return case, count


def timed(
    task: Mapping[str, Any],
    run: Run,
    answer: Answer,
    order: int,
    roofs: Mapping[str, float],
    l2_bytes: int,
    root: Path | None,
) -> tuple[Case, Replicate | None]:
    """The answer of `measure.worker.measure_case`. A time that cannot be true is kept as `invalid`, with the reason."""
    name, dsl, _ = task["rung"].split("/")
    operation = catalogue.operations(root)[name]
    rung = RIVAL if dsl == "torch" else catalogue.select(task["rung"], root)[0][1]
    case = make_case(operation, rung, run, task["shape"], task["dtype"], root)
    case = _judged(case, answer, f"{task['rung']}: {answer['reason']}")
    sample = answer.get("sample")
    if not sample:
        return case, None
    fields = {**sample, "t_us": tuple(sample["t_us"]), "warnings": tuple(sample["warnings"])}
    if sample.get("sm_mhz") is not None:
        fields["sm_mhz"] = tuple(sample["sm_mhz"])
    samples = Replicate(
        run_id=run.run_id, case_id=case.case_id, order=order, checked_after=case.verdict_correct == "pass", **fields
    )
    problem = roofline.implausible(case, statistics.median(samples.t_us) / 1e6, roofs, l2_bytes)
    if problem:
        samples = replace(samples, status="invalid", warnings=(problem, *samples.warnings))
    return case, samples


def skipped(operation: Operation, rung: Rung, run: Run, sentence: str, root: Path | None) -> Case:
    """The case of a rung that the card cannot run."""
    case = make_case(operation, rung, run, counted_shape(operation, rung), rung.dtypes[0], root)
    return replace(case, skip_reason=sentence)


def make_case(
    operation: Operation, rung: Rung, run: Run, shape: Mapping[str, int], dtype: str, root: Path | None
) -> Case:
    """The case of a rung (or of RIVAL) before its verdict is known."""
    read, written = operation.bytes_read(shape, dtype), operation.bytes_written(shape, dtype)
    tolerance = operation.tolerance(shape, dtype, rung.accumulator)
    return Case(
        run_id=run.run_id,
        case_id=case_id(operation.name, rung.dsl, rung.name, dtype, shape),
        operation=operation.name,
        dsl=rung.dsl,  # type: ignore[arg-type]
        rung=rung.name,
        rung_sha256="" if rung is RIVAL else catalogue.rung_sha256(operation, rung, root),
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


def counted_shape(operation: Operation, rung: Rung) -> dict[str, int]:
    """The first tiny shape that a rung serves."""
    return dict(next(shape for shape in operation.shapes.tiny if rung.serves(shape)))


def _judged(case: Case, answer: Answer, sentence: str) -> Case:
    """The case with the worker's verdict and errors; `sentence` is kept if it was skipped."""
    verdict = verdict_of(answer)
    return replace(
        case,
        verdict_correct=verdict,
        skip_reason=sentence if verdict == "skipped" else None,
        max_abs_err=_most(answer, "max_abs_err"),
        max_rel_err=_most(answer, "max_rel_err"),
    )


def verdict_of(answer: Answer) -> Verdict:
    """The verdict of a record for a worker's: everything but right and wrong is "skipped", with a reason."""
    if answer["verdict"] == "pass":
        return "pass"
    return "fail" if answer["verdict"] == "fail" else "skipped"


def _most(answer: Answer, name: str) -> float | None:
    """The greatest error of the cases that passed; None if nothing was compared."""
    values = [one.get(name) for one in answer.get("cases", ()) if one["verdict"] == "pass"]
    return max((value for value in values if value is not None), default=None)
