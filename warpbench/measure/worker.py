"""One replicate of one case on the card: check, time, check again. Runs inside a worker process for a card.

No number without a passed check. The outputs of the last timed launch are compared; then they are poisoned and three
more launches are timed and compared: a kernel that writes only while it is checked, or that keeps what it once
computed, gives no time.
"""

from __future__ import annotations

import datetime
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from warpbench import catalogue, check, compare
from warpbench.contract import Operation, Rung
from warpbench.measure import statistics, timer
from warpbench.measure.cache import Flusher
from warpbench.measure.clocks import Gauge, Readings
from warpbench.measure.roofline import measure_copy
from warpbench.measure.timer import Samples, Stopwatch, sample

# Launches on poisoned outputs that take longer than the timed ones by this factor and time: those did less work.
REUSED, REUSED_S = 1.5, 20e-6
# The whole card is busy for longer than the launch by this factor and time: work on a stream that no event saw.
ASIDE, ASIDE_S = 2.0, 100e-6

_watches: dict[tuple[int, bool, str], Stopwatch] = {}
_gauges: dict[str, Gauge] = {}


def measure_case(
    operation: Operation,
    rung: Rung,
    backend: check.Backend,
    task: Mapping[str, Any],
    root: Path | None = None,
    begin: Callable[[str], None] = lambda case: None,
) -> dict[str, Any]:
    """Measure a rung (or, for the DSL "torch", the operation's rival) at one shape.

    task: shape, dtype, seed, uuid, l2_bytes, integrated, quick (few samples), roof (measure the copy roof instead).
    Returns {"rung", "verdict", "reason", "cases", "sample": fields of a Replicate or None}; for a roof {"roof"} too.
    """
    import torch

    result: dict[str, Any] = {
        "rung": task["rung"], "verdict": "pass", "reason": "", "cases": [], "sample": None,
    }  # fmt: skip
    watch = _watch(task, backend.device)
    try:
        if task.get("roof"):
            begin("copy roof")
            return {**result, "roof": measure_copy(watch, task["l2_bytes"], backend.device)}
        case = check.Case(tuple(task["shape"].items()), task["dtype"], seed=task["seed"])
        if rung.dsl == "torch":
            return _measure_rival(operation, rung, backend, case, watch, task, begin, result)
        return _measure_rung(operation, rung, backend, case, watch, task, root, begin, result)
    except torch.OutOfMemoryError as error:
        traceback.clear_frames(error.__traceback__)  # the tensors of the functions that were left
        check.forget()
        torch.cuda.empty_cache()
        size = f"the card has too little free memory for this shape: {str(error).partition(' If ')[0]}"
        return {**result, "verdict": "not run", "reason": size, "sample": None}


def _measure_rung(
    operation: Operation,
    rung: Rung,
    backend: check.Backend,
    case: check.Case,
    watch: Stopwatch,
    task: Mapping[str, Any],
    root: Path | None,
    begin: Callable[[str], None],
    result: dict[str, Any],
) -> dict[str, Any]:
    """At small shapes first, then at the shape that is timed."""
    checked = check.check_rung(operation, rung, backend, full=False, root=root, begin=begin)
    if checked["verdict"] != "pass":
        return {**result, **checked}
    function = catalogue.function(operation, rung, root)
    begin(f"{case}: check")
    tensors = check.place(operation, case, backend.device, backend.band)

    def call() -> None:
        function(*tensors.arguments.values())

    def judge() -> dict[str, Any]:
        judged = check.judge(operation, rung, case, tensors, backend.device)
        cases.append(judged)
        return judged

    cases: list[dict[str, Any]] = list(checked["cases"])
    measured = None
    try:
        backend.run(call, tensors.by_name, case, True)
        judged = judge()
        if judged["verdict"] == "pass":
            begin(f"{case}: timing")
            started = _now()
            samples, readings = _sample(call, watch, task)
            judged = judge()  # what was timed must still be right
            if judged["verdict"] == "pass":
                fresh = [_on_poison(operation, case, tensors, watch, call) for _ in range(3)]
                judged = judge()
                whole = min(watch.whole(call) for _ in range(3))
                measured = _plain(samples, readings, started, task, min(fresh), whole)
    except Exception as error:
        finding = backend.explain(error, catalogue.source_files(operation, rung, root))
        if finding is None:
            raise
        judged = {**check.unjudged(case), "verdict": "fail", "findings": [finding]}
        cases.append(judged)
    if judged["verdict"] != "pass":
        return {**result, "verdict": "fail", "reason": check.first_message(judged), "cases": cases}
    return {**result, "cases": cases, "sample": measured}


def _on_poison(
    operation: Operation, case: check.Case, tensors: check.Tensors, watch: Stopwatch, call: Callable[[], None]
) -> float:
    """Seconds of one more launch, on outputs that hold nothing."""
    for name, output in operation.outputs(case.sizes, case.dtype).items():
        compare.poison_again(tensors.outputs[name], output.dtype)
    return watch.lap(call).device


def _measure_rival(
    operation: Operation,
    rung: Rung,
    backend: check.Backend,
    case: check.Case,
    watch: Stopwatch,
    task: Mapping[str, Any],
    begin: Callable[[str], None],
    result: dict[str, Any],
) -> dict[str, Any]:
    """What torch offers: compared where it returns the one output of the operation, timed like a rung."""
    drawn = check.draw(operation, case)
    inputs = {n: v.to(backend.device) if hasattr(v, "element_size") else v for n, v in drawn.items()}
    begin(f"{case}: timing torch")
    started = _now()
    try:
        got = operation.rival(**inputs)
    except (RuntimeError, NotImplementedError, ValueError) as error:
        if "out of memory" in str(error) or "CUDA error" in str(error):
            raise
        reason = f"torch does not offer it here: {str(error).partition(chr(10))[0]}"
        return {**result, "verdict": "not run", "reason": reason}
    wrong = _rival_wrong(operation, rung, backend, case, got)
    if wrong:
        return {**result, "verdict": "fail", "reason": f"torch's own result is off: {wrong}"}
    samples, readings = _sample(lambda: operation.rival(**inputs), watch, task)
    return {**result, "sample": _plain(samples, readings, started, task)}


def _rival_wrong(operation: Operation, rung: Rung, backend: check.Backend, case: check.Case, got: Any) -> str:
    """What is wrong with the rival's results: the operation's outputs in order, axes of length 1 aside."""
    want = check.reference(operation, case, backend.device)
    declared = operation.outputs(case.sizes, case.dtype)
    # how torch adds up is its own choice: whatever passes for one of the rungs passes for it
    accumulators = dict.fromkeys(
        [rung.accumulator, *(one.accumulator for one in operation.ladder if case.dtype in one.dtypes)]
    )
    tolerances = [operation.tolerance(case.sizes, case.dtype, one) for one in accumulators]
    for (name, output), one in zip(declared.items(), got if isinstance(got, tuple) else (got,), strict=True):
        found = [
            compare.compare_one(name, one.reshape(output.shape), want[name], tolerance, output.dtype)[0]
            for tolerance in tolerances
        ]
        if found[0] and all(found):
            return found[0].message()
    return ""


def _plain(
    samples: Samples,
    readings: Readings,
    started: str,
    task: Mapping[str, Any],
    fresh: float | None = None,
    whole: float | None = None,
) -> dict[str, Any]:
    """Samples as the fields of a replicate record.

    fresh, whole    seconds: the least time on poisoned outputs, and by the host's clock until the whole card is idle
    """
    status, warnings = "ok", list(samples.warnings)
    slowed = readings.throttled()
    if slowed:
        status = "throttled"
        warnings.insert(0, f"the card slowed down while it was timed: {slowed}")
    typical = statistics.median(samples.seconds)
    if fresh is not None and fresh > REUSED * typical + REUSED_S:
        status = "invalid"
        warnings.insert(
            0,
            f"on poisoned outputs it took {fresh * 1e6:,.1f} us, timed {typical * 1e6:,.1f} us: "
            "the timed launches did not do all of the work",
        )
    if whole is not None and whole - samples.host_seconds_median > ASIDE * typical + ASIDE_S:
        status = "invalid"
        warnings.insert(
            0,
            f"the card was busy for {whole * 1e6:,.1f} us, the timed stream for {typical * 1e6:,.1f} us: "
            "some of the work runs on another stream",
        )
    return {
        "replicate": task.get("replicate", 0), "seed": task["seed"], "pid_start_utc": started,
        "mode": "cold", "timer": samples.timer,
        "launches_per_sample": 1, "flush_bytes": samples.flush_bytes, "buffer_copies": 1,
        "t_us": [round(s * 1e6, 3) for s in samples.seconds],
        "host_us_median": round(samples.host_seconds_median * 1e6, 3), "stop": samples.stop,
        "status": status, "warnings": warnings, **readings.fields(),
    }  # fmt: skip


def _sample(call: Callable[[], Any], watch: Stopwatch, task: Mapping[str, Any]) -> tuple[Samples, Readings]:
    """Samples of a call, and what NVML said while they were taken."""
    uuid = str(task["uuid"])
    if uuid not in _gauges:
        _gauges[uuid] = Gauge(uuid)
    gauge = _gauges[uuid]
    readings = Readings()
    return sample(call, watch, *_numbers(task), after=lambda: gauge.after_sample(readings)), readings


def _numbers(task: Mapping[str, Any]) -> tuple[int, int]:
    """Least and most samples."""
    return timer.QUICK if task.get("quick") else (timer.N_MIN, timer.N_MAX)


def _watch(task: Mapping[str, Any], device: str) -> Stopwatch:
    key = int(task["l2_bytes"]), bool(task.get("integrated")), device
    if key not in _watches:
        _watches[key] = Stopwatch(Flusher(*key))
    return _watches[key]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
