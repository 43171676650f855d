"""The check of one answer, inside a worker process: marks, loading, values and safety (bronze), figures (silver).

What is returned is plain data; text and JSON are two printers of it. Layers run from cheap to dear, and a layer with a
finding is the last one: missed figures never hide a fault.
"""

from __future__ import annotations

import linecache
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from warpbench import catalogue as operations
from warpbench import check as engine
from warpbench import notes
from warpbench.contract import Operation, Rung
from warpbench.counts import counted_case
from warpbench.course import compiled, figures, order
from warpbench.course.catalogue import Exercise, find, load
from warpbench.course.contain import Stopped, contained
from warpbench.course.findings import Finding, finding, name_print_storm, raised, sort, translated
from warpbench.course.reading import read

Variant = dict[str, int]
MAX_VISITS = 150_000  # of basic blocks: seconds, and more than any kernel of the course needs
LARGE_ENOUGH = 64  # elements of an output that show a pattern of wrong values


@dataclass
class Answer:
    """What a check found. `level` is None, "bronze" or "silver"; `findings` holds the first one first."""

    exercise: str
    arch: str
    level: str | None = None
    verdict: str = "fail"  # "pass": everything that was asked for; "fail"; "not executed": ptxvm cannot judge it
    reason: str = ""
    cases: int = 0
    findings: list[Finding] = field(default_factory=list)
    told: list[Finding] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, Any] | None = None  # `notes.counted` at the shape that notes.md counts, of the first variant
    printed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Trial:
    """A learner's function and what it is held against."""

    exercise: Exercise
    files: Sequence[Path]
    function: Callable[..., None]
    operation: Operation
    rung: Rung  # what the engine calls it
    backend: Any
    begin: Callable[[str], None]  # is told each case before it starts
    wanted: Sequence[figures.Figure]
    goals: Mapping[str, figures.Goal]  # by entry of `checks`, where that is not the author's limit
    seed: int  # of the first inputs
    keep: Path | None  # where the inputs of a case with wrong values are kept

    def call(self, variant: Variant) -> Callable[..., None]:
        """The learner's function with a variant's keyword arguments."""
        return partial(_guarded, self.function, variant)


def perform(task: dict[str, Any], backend: Any, begin: Callable[[str], None]) -> dict[str, Any]:
    """The worker's task "learn": check an exercise's files in task["folder"] (None: where the learner edits them).

    `marks` False leaves out the comparison of what stands around the marks; `execute` False compiles only; `goals`
    holds what the figures shall reach on this architecture, by entry of `checks`.
    """
    exercise = find(load(Path(task["root"])), task["rung"])
    answer = Answer(exercise.id, backend.arch)
    if backend.device == "cpu":
        backend.emulator.max_visits = MAX_VISITS
    with contained(answer.printed):
        trial, answer.findings = opened(exercise, task, backend, begin)
        if trial is not None:
            (_execute if task.get("execute", True) else _compile)(trial, answer)
    name_print_storm(answer.findings)
    return dict(answer.__dict__)


def opened(
    exercise: Exercise, task: Mapping[str, Any], backend: Any, begin: Callable[[str], None]
) -> tuple[Trial | None, list[Finding]]:
    """The function of a task's files, to be tried; or the finding that says why there is none."""
    begin("loading")
    folder = Path(task["folder"]) if task.get("folder") else exercise.path().parent
    files = [folder / name for name in exercise.files]
    function, findings = read(exercise, files, task.get("marks", True))
    if function is None:
        return None, findings
    operation = operations.operations()[exercise.operation]
    rung = Rung(f"in_{exercise.dsl}:{exercise.id}", exercise.objective, dtypes=operation.ladder[0].dtypes[:1])
    wanted = [figures.parse(text) for text in exercise.checks]
    goals = task.get("goals") or {}
    keep = None if task.get("folder") else exercise.root.parent / ".learn" / "last_failure.npz"
    seed = task.get("seed", 1)
    return Trial(exercise, files, function, operation, rung, backend, begin, wanted, goals, seed, keep), []


def _execute(trial: Trial, answer: Answer) -> None:
    """Bronze, and silver if that is reached."""
    runs = _bronze(trial, answer)
    if answer.findings or answer.verdict == "not executed":
        return
    answer.level = "bronze"
    launches = [launch for run in runs for launch in run.launches]
    _hold(trial, answer, runs, launches)
    if not answer.findings:
        answer.level, answer.verdict = "silver", "pass"


def _hold(trial: Trial, answer: Answer, runs: Sequence[figures.Run], launches: Sequence[Any]) -> None:
    """Hold every figure against what was counted (no runs: only those of the compiled kernels)."""
    files, arch = [str(path) for path in trial.files], trial.backend.arch
    for figure in trial.wanted:
        goal = trial.goals.get(figure.text)
        if figure.quantity == "C4" or not figure.on(arch) or not (figure.static or runs):
            continue
        if figure.static:
            found = compiled.measure(figure, launches, files, arch, goal)
        else:
            found = figures.measure(figure, runs, goal)
        answer.figures.append({"check": figure.text, "arch": arch, "value": found.value, "ok": found.ok})
        if not found.ok:
            answer.findings.append(_off_target(trial.exercise, figure, found))
            if figure.code in ("M1", "M3") and found.line:
                answer.findings[-1]["evidence"] += _lanes(trial, figure, found.line)


# -- bronze --------------------------------------------------------------------------------------------------------
def _bronze(trial: Trial, answer: Answer) -> list[figures.Run]:
    """All cases with every variant, up to the first that fails. Returns the runs that figures are taken from."""
    runs: list[figures.Run] = []
    operation = trial.operation
    ordered, launched = "C4" in trial.exercise.checks, False
    shown = counted_case(operation, trial.rung)
    for case, variant in _cases(trial):
        judged, launches, findings, told = tried(trial, case, variant)
        answer.cases += 1
        launched = launched or bool(launches)
        if judged["verdict"] == "not executed":
            answer.verdict, answer.reason = "not executed", judged["reason"]
            return runs
        known = [(one["code"], one["lines"]) for one in answer.told]
        answer.told += [one for one in told if (one["code"], one["lines"]) not in known]
        if findings:
            if ordered and findings[0]["code"] == "C1":  # wrong in one order, right in another: that is the cause
                findings = order.check(trial, case, variant) or findings
            answer.findings = _with_pattern(trial, case, variant, findings)
            _keep(trial, case, answer.findings[0])
            return runs
        ordinary = case.schedule is None and not case.adversarial
        if ordinary and case.sizes in operation.shapes.tiny:  # as in `counts`: whole warps, so ideal figures are exact
            runs.append(_counted(operation, case, name_of(case, variant), launches))
            if case == shown and answer.counts is None:
                answer.counts = notes.counted(operation, case, launches)
    if not launched and trial.backend.device == "cpu":
        no_kernel = "no kernel was launched: whatever computed these values, it was not the exercise's kernel"
        answer.findings = [finding("E2", trial.exercise, trial.files[0].name, no_kernel)]
    elif ordered:
        answer.findings = order.check_largest(trial)
    return runs


def _keep(trial: Trial, case: engine.Case, first: Finding) -> None:
    """Keep the inputs of a case with wrong values, and what it should give, for the learner to look at."""
    import numpy as np

    if trial.keep is None or not first["code"].startswith("C"):
        return
    wanted = {f"want_{name}": value for name, value in engine.reference(trial.operation, case).items()}
    arrays = {}
    for name, value in {**engine.draw(trial.operation, case), **wanted}.items():
        known = not hasattr(value, "dtype") or "bfloat16" not in str(value.dtype)  # which NumPy lacks
        arrays[name] = np.asarray(value if known else value.float())
    try:
        trial.keep.parent.mkdir(parents=True, exist_ok=True)
        np.savez(trial.keep, allow_pickle=False, case=str(case), **arrays)
    except (OSError, ValueError, TypeError):
        return  # it is a help, not a result
    first["evidence"].append(f"inputs and wanted values: .learn/{trial.keep.name}")


def _counted(operation: Operation, case: engine.Case, name: str, launches: Sequence[Any]) -> figures.Run:
    shape, dtype = case.sizes, case.dtype
    tensors = engine.place(operation, case).by_name.values()
    most = max(tensor.numel() for tensor in tensors)
    return figures.Run(name, operation.bytes_read(shape, dtype), operation.bytes_written(shape, dtype), most, launches)


def _cases(trial: Trial) -> Iterator[tuple[engine.Case, Variant]]:
    for case in engine.cases(trial.operation, trial.rung, full=True):
        for variant in trial.exercise.variants:
            yield replace(case, seed=case.seed + trial.seed - 1), variant


def name_of(case: engine.Case, variant: Variant) -> str:
    """`BLOCKS=1, n=1000, f32, seed 1`"""
    return ", ".join([*(f"{name}={value}" for name, value in variant.items()), str(case)])


def tried(
    trial: Trial, case: engine.Case, variant: Variant
) -> tuple[engine.Result, Sequence[Any], list[Finding], list[Finding]]:
    """One case: the engine's verdict, the launches, the findings that fail and those that are only told."""
    name = name_of(case, variant)
    trial.begin(name)
    try:
        judged, launches = engine.run_case(
            trial.operation, trial.rung, trial.call(variant), case, trial.backend, trial.files
        )
    except MemoryError as error:
        return {"verdict": "fail"}, (), [raised(trial.exercise, error, trial.files)], []
    findings, told = sort(trial.exercise, trial.files, judged["findings"], name)
    return judged, launches, findings, told


def _guarded(function: Callable[..., None], variant: Variant, *arguments: Any) -> None:
    """The learner's function; sys.exit() in it is an exception like any other."""
    try:
        function(*arguments, **variant)
    except SystemExit as error:
        raise Stopped("it leaves the program (sys.exit)").with_traceback(error.__traceback__) from None


def _with_pattern(trial: Trial, case: engine.Case, variant: Variant, findings: list[Finding]) -> list[Finding]:
    """Wrong values of a few elements show no pattern, or one by chance: the largest ragged case decides if it fails."""
    outputs = trial.operation.outputs(case.sizes, case.dtype)
    most = max(math.prod(output.shape) for output in outputs.values())
    if findings[0]["code"] not in ("C1", "C2") or most >= LARGE_ENOUGH:
        return findings
    ordinary = [c for c in engine.cases(trial.operation, trial.rung, full=False) if c.dtype == case.dtype]
    larger = replace(max(ordinary, key=lambda c: math.prod(c.sizes.values())), seed=case.seed)
    again = tried(trial, larger, variant)[2]
    if not again or again[0]["code"] not in ("C1", "C2"):
        return findings
    if (again[0]["code"], again[0]["pattern"]) == (findings[0]["code"], findings[0]["pattern"]) and most > 1:
        return findings
    again[0]["evidence"].append(f"the smallest case that fails: {name_of(case, variant)}")
    return again


# -- compile only, silver ------------------------------------------------------------------------------------------
def _compile(trial: Trial, answer: Answer) -> None:
    """Compile for an architecture that is not executed: the shape that is counted and the smallest, each variant."""
    cases = [counted_case(trial.operation, trial.rung), next(_cases(trial))[0]]
    launches: list[Any] = []
    for case in dict.fromkeys(cases):
        for variant in trial.exercise.variants:
            made = _compiled(trial, case, variant, answer)
            if answer.findings:
                return
            launches += made if case == cases[0] else ()
    _hold(trial, answer, (), launches)
    if not answer.findings:
        answer.level, answer.verdict = "silver", "pass"


def _compiled(trial: Trial, case: engine.Case, variant: Variant, answer: Answer) -> Sequence[Any]:
    """The launches of a case, none executed; a finding in the answer where there are none, or cannot be here."""
    arch = trial.backend.arch
    trial.begin(f"compiling for {arch}")
    tensors = engine.place(trial.operation, case)
    place = f"{arch}, {name_of(case, variant)}"
    try:
        call = partial(trial.call(variant), *tensors.arguments.values())
        launches: Sequence[Any] = trial.backend.run(call, tensors.by_name, case, False)
    except Exception as error:
        found = trial.backend.explain(error, trial.files)
        if found is None:
            raise
        refused = {**found, "code": "X5"}
        answer.findings = [translated(trial.exercise, refused, trial.files, place)]
        return ()
    problem = compiled.exceeds(launches, arch)
    if problem:
        answer.findings = [finding("X5", trial.exercise, trial.files[0].name, [problem, f"at {place}"])]
    return launches


def _lanes(trial: Trial, figure: figures.Figure, line: int) -> list[str]:
    """What the first lanes of a warp touch on a line: the cause of a request that costs too much."""
    from warpbench.course import draw, picture

    taken, _ = picture.take(trial)
    space = "shared" if figure.code == "M3" else "global"
    for launch in taken["launches"]:
        for access in launch["accesses"]:
            dear = access["per_request"] is not None and access["per_request"] > access["ideal"]
            if (access["line"], access["space"]) == (line, space) and dear:
                return [
                    draw.neighbours(access, access["steps"][0]),
                    f"to look at it: warpbench learn show {trial.exercise.id}",
                ]
    return []


def _off_target(exercise: Exercise, figure: figures.Figure, found: figures.Measured) -> Finding:
    name = Path(found.file).name if found.file else exercise.files[0]
    text = linecache.getline(found.file, found.line).strip() if found.file and found.line else ""
    evidence = [*([f"line {found.line}: {text}"] if text else []), *found.evidence]
    return finding(figure.code, exercise, name, evidence, [found.line] if found.line else [])
