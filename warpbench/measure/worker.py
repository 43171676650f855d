"""One replicate of one case on the card: check, time, check again. Runs inside a worker process for a card."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

from warpbench import catalogue, check, compare
from warpbench.contract import Operation, Rung
from warpbench.measure.cache import Flusher
from warpbench.measure.roofline import measure_copy
from warpbench.measure.timer import sample

_flushers: dict[int, Flusher] = {}


def measure_case(
    operation: Operation,
    rung: Rung,
    backend: check.Backend,
    task: dict[str, Any],
    root: Path | None = None,
    begin: Callable[[str], None] = lambda case: None,
) -> dict[str, Any]:
    """Measure a rung (or, for the DSL "torch", the operation's rival) at one shape.

    task: shape, dtype, seed, l2_bytes, integrated, run_id, ragged (check the ragged shapes first), roof (measure the
    copy roof instead). Returns {"rung", "verdict", "reason", "cases", "sample": {...} or None}.
    No pass before and after, no time.
    """
    flusher = _flusher(task)
    if task.get("roof"):
        begin("copy roof")
        roof = measure_copy(task["run_id"], flusher, task["l2_bytes"])
        return {"rung": task["rung"], "verdict": "pass", "reason": "", "cases": [], "roof": roof.__dict__}
    case = check.Case(tuple(task["shape"].items()), task["dtype"], seed=task["seed"])
    result: dict[str, Any] = {
        "rung": operation.rung_path(rung), "verdict": "pass", "reason": "", "cases": [], "sample": None,
    }  # fmt: skip
    if rung.dsl == "torch":
        return _measure_rival(operation, case, flusher, begin, result)
    files = catalogue.source_files(operation, rung, root)
    checked = check.check_rung(operation, rung, backend, full=False, root=root, begin=begin)
    result.update(verdict=checked["verdict"], reason=checked["reason"], cases=checked["cases"])
    if checked["verdict"] != "pass":
        return result
    function = catalogue.function(operation, rung, root)
    begin(f"{case}: check")
    tensors = check.place(operation, case, backend.device, backend.band)

    def call() -> None:
        function(*tensors.arguments.values())

    try:
        backend.run(call, tensors.by_name, case, True)
        judged = _judge(operation, rung, case, tensors)
        result["cases"].append(judged)
        if judged["verdict"] == "pass":
            begin(f"{case}: timing")
            started = _now()
            samples = sample(call, flusher)
            for name, output in operation.outputs(case.sizes, case.dtype).items():
                compare.poison_again(tensors.outputs[name], output.dtype)
            samples_last = sample_once(call, flusher)
            judged = _judge(operation, rung, case, tensors)  # what was timed must still be right
            result["cases"].append(judged)
            result["sample"] = {**_plain(samples, started, task), "last_us": round(samples_last * 1e6, 3)}
    except Exception as error:
        finding = backend.explain(error, files)
        if finding is None:
            raise
        judged = {
            "case": str(case),
            "shape": dict(case.shape),
            "dtype": case.dtype,
            "verdict": "fail",
            "findings": [finding],
        }
        result["cases"].append(judged)
    if judged["verdict"] != "pass":
        result.update(verdict="fail", reason=check.first_message(judged), sample=None)
    return result


def sample_once(call: Callable[[], None], flusher: Flusher) -> float:
    """One more launch, timed like the others, whose output is then compared. Seconds."""
    import torch

    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    flusher.flush()
    begin.record()
    call()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3


def _measure_rival(
    operation: Operation, case: check.Case, flusher: Flusher, begin: Callable[[str], None], result: dict[str, Any]
) -> dict[str, Any]:
    """What torch offers, timed like a rung. Its result is torch's own business: not compared."""
    inputs = {n: v.to("cuda") if hasattr(v, "element_size") else v for n, v in check.draw(operation, case).items()}
    begin(f"{case}: timing torch")
    started = _now()
    try:
        samples = sample(lambda: operation.rival(**inputs), flusher)
    except (RuntimeError, NotImplementedError, ValueError) as error:  # torch lacks it on this card
        reason = f"torch does not offer it here: {str(error).partition(chr(10))[0]}"
        return {**result, "verdict": "not run", "reason": reason}
    return {**result, "sample": _plain(samples, started, {"replicate": 0, "order": 0, "seed": case.seed})}


def _judge(operation: Operation, rung: Rung, case: check.Case, tensors: check.Tensors) -> dict[str, Any]:
    want = check.reference(operation, case, "cuda")
    tolerance = operation.tolerance(case.sizes, case.dtype, rung.accumulator)
    declared = operation.outputs(case.sizes, case.dtype)
    found = compare.compare(tensors.outputs, declared, want, tolerance, tensors.inputs)
    return {
        "case": str(case), "shape": dict(case.shape), "dtype": case.dtype, "verdict": "pass" if found.ok else "fail",
        "reason": "", "findings": [check.difference_finding(d) for d in found.differences],
        "max_abs_err": found.max_abs_err, "max_rel_err": found.max_rel_err,
    }  # fmt: skip


def _plain(samples: Any, started: str, task: dict[str, Any]) -> dict[str, Any]:
    """Samples as the fields of a replicate record."""
    host = samples.host_seconds_median
    return {
        "replicate": task.get("replicate", 0), "order": task.get("order", 0), "seed": task.get("seed", 0),
        "pid_start_utc": started, "mode": "cold", "timer": samples.timer, "launches_per_sample": 1,
        "flush_bytes": samples.flush_bytes, "buffer_copies": 1, "t_us": [round(s * 1e6, 3) for s in samples.seconds],
        "host_us_median": None if host is None else round(host * 1e6, 3), "stop": samples.stop,
    }  # fmt: skip


def _flusher(task: dict[str, Any]) -> Flusher:
    size = int(task["l2_bytes"])
    if size not in _flushers:
        _flushers[size] = Flusher(size, bool(task.get("integrated")))
    return _flushers[size]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
