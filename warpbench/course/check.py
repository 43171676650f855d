"""The check of one answer, inside a worker process: marks, loading, values and safety (bronze), figures (silver).

What is returned is plain data; text and JSON are two printers of it. Layers run from cheap to dear, and a layer with a
finding is the last one: missed figures never hide a fault.
"""

from __future__ import annotations

import difflib
import linecache
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from warpbench import catalogue as operations
from warpbench import check as engine
from warpbench.contract import Operation, Rung
from warpbench.course import figures
from warpbench.course.catalogue import Exercise, find, load
from warpbench.course.contain import Stopped, contained
from warpbench.course.cut import outside_holes
from warpbench.course.findings import Finding, finding, name_print_storm, raised, sort, translated
from warpbench.errors import EnvironmentProblem, missing_package

Begin = Callable[[str], None]
NEEDED = ("torch", "triton", "numba", "cupy", "numpy")  # packages whose absence is the environment's fault
_loaded = 0  # how often a learner's file was loaded by this process


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
    printed: list[str] = field(default_factory=list)


def perform(task: dict[str, Any], backend: Any, begin: Begin) -> dict[str, Any]:
    """The worker's task "learn": check an exercise's files in task["folder"] (None: where the learner edits them).

    `marks` False leaves out the comparison of what stands around the marks; `execute` False compiles only.
    """
    exercise = find(load(Path(task["root"])), task["rung"])
    folder = Path(task["folder"]) if task.get("folder") else exercise.path().parent
    files = [folder / name for name in exercise.files]
    answer = Answer(exercise.id, backend.arch)
    with contained(answer.printed):
        _check(exercise, files, backend, begin, answer, task)
    name_print_storm(answer.findings)
    return dict(answer.__dict__)


def _check(
    exercise: Exercise, files: Sequence[Path], backend: Any, begin: Begin, answer: Answer, task: dict[str, Any]
) -> None:
    begin("loading")
    function, answer.findings = _read(exercise, files, task.get("marks", True))
    if function is None:
        return
    operation = operations.operations()[exercise.operation]
    rung = Rung(f"in_{exercise.dsl}:{exercise.id}", exercise.objective)
    if not task.get("execute", True):
        _compile(exercise, files, function, operation, rung, backend, begin, answer)
        return
    runs = _bronze(exercise, files, function, operation, rung, backend, begin, answer)
    if answer.findings or answer.verdict == "not executed":
        return
    answer.level = "bronze"
    for text in exercise.checks:
        figure = figures.parse(text)
        found = figures.measure(figure, runs, [str(path) for path in files])
        answer.figures.append({"check": text, "value": found.value, "ok": found.ok})
        if not found.ok:
            answer.findings.append(_off_target(exercise, figure, found))
    if not answer.findings:
        answer.level, answer.verdict = "silver", "pass"


# -- reading -------------------------------------------------------------------------------------------------------
def _read(exercise: Exercise, files: Sequence[Path], marks: bool) -> tuple[Callable[..., None] | None, list[Finding]]:
    """The learner's function, or the finding that says why there is none."""
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            evidence = (
                f"the file is not there. Nothing was checked. To get it back: warpbench learn reset {exercise.id}"
            )
            return None, [finding("E1", exercise, path.name, evidence)]
        except UnicodeDecodeError as error:
            return None, [finding("E1", exercise, path.name, f"it is not UTF-8 text: {error}")]
        changed = _changed(exercise, path, text) if marks else None
        try:
            if path.suffix == ".py":
                compile(text, str(path), "exec")
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            shown = (getattr(error, "text", "") or "").strip()
            reason = f"it does not parse: {getattr(error, 'msg', error)}" + (f", at: {shown}" if shown else "")
            return None, [finding("E1", exercise, path.name, reason, [line] if line else [])]
        if changed:
            return None, [changed]
    try:
        module = _load(exercise, files[0])
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in NEEDED:
            raise missing_package(error.name) from None
        return None, [raised(exercise, error, files)]
    except EnvironmentProblem:
        raise
    except (Exception, SystemExit) as error:
        return None, [raised(exercise, error, files)]
    function = getattr(module, exercise.id, None)
    if not callable(function):
        return None, [finding("E2", exercise, files[0].name, f"it defines no function `{exercise.id}`")]
    return function, []


def _changed(exercise: Exercise, path: Path, text: str) -> Finding | None:
    """Whether something outside the marks differs from the shipped text: the first such line."""
    shipped, mine = outside_holes(exercise.cut(path.name).exercise), outside_holes(text)
    if shipped == mine:
        return None
    for kind, i, _, j, k in difflib.SequenceMatcher(None, shipped, mine, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        new = mine[j] if j < k else ""
        was = shipped[i] if i < len(shipped) and kind != "insert" else ""
        numbered = [n for n, line in enumerate(text.splitlines(), 1) if line.rstrip() == new or line.strip() == new]
        what = f"changed: `{was.strip()}` became `{new.strip()}`" if was and new.strip() else ""
        what = what or (f"removed: `{was.strip()}`" if was.strip() else f"added: `{new.strip()}`")
        evidence = f"text outside of the marks was {what}. Nothing was run."
        return finding("E1", exercise, path.name, evidence, numbered[:1] if new.strip() else [])
    return None


def _load(exercise: Exercise, path: Path) -> ModuleType:
    """Execute a file as a new module: never an earlier text of it, be it from a cache of byte code or of lines."""
    global _loaded  # noqa: PLW0603 - a process loads one answer after the other
    sys.modules.pop(f"exercise_{_loaded}_{exercise.id}", None)
    _loaded += 1
    linecache.clearcache()
    module = ModuleType(f"exercise_{_loaded}_{exercise.id}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # JIT compilers look it up there
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


# -- bronze --------------------------------------------------------------------------------------------------------
def _bronze(
    exercise: Exercise, files: Sequence[Path], function: Callable[..., None], operation: Operation, rung: Rung,
    backend: Any, begin: Begin, answer: Answer,
) -> list[figures.Run]:  # fmt: skip
    """All cases, each with every variant, up to the first that fails. Returns the runs that figures are taken from."""
    runs: list[figures.Run] = []
    for case in engine.cases(operation, rung, full=True):
        for variant in exercise.variants:
            name = ", ".join([*(f"{k}={v}" for k, v in variant.items()), str(case)])
            begin(name)
            try:
                judged, launches = engine.run_case(
                    operation, rung, partial(_guarded, function, variant), case, backend, files
                )
            except MemoryError as error:
                answer.findings = [raised(exercise, error, files)]
                return runs
            answer.cases += 1
            if judged["verdict"] == "not executed":
                answer.verdict, answer.reason = "not executed", judged["reason"]
                return runs
            answer.findings, told = sort(exercise, files, judged["findings"], name)
            answer.told += [one for one in told if one["lines"] not in [known["lines"] for known in answer.told]]
            if answer.findings:
                return runs
            if case.schedule is None and not case.adversarial:
                least = operation.bytes_read(case.sizes, case.dtype) + operation.bytes_written(case.sizes, case.dtype)
                runs.append(figures.Run(name, least, launches))
    return runs


def _guarded(function: Callable[..., None], variant: dict[str, int], *arguments: Any) -> None:
    """The learner's function; sys.exit() in it is an exception like any other."""
    try:
        function(*arguments, **variant)
    except SystemExit as error:
        raise Stopped("it leaves the program (sys.exit)").with_traceback(error.__traceback__) from None


# -- compile only, silver ------------------------------------------------------------------------------------------
def _compile(
    exercise: Exercise, files: Sequence[Path], function: Callable[..., None], operation: Operation, rung: Rung,
    backend: Any, begin: Begin, answer: Answer,
) -> None:  # fmt: skip
    """Compile for an architecture that is not executed: one case, each variant."""
    case = next(iter(engine.cases(operation, rung, full=False)))
    for variant in exercise.variants:
        begin(f"compiling for {backend.arch}")
        tensors = engine.place(operation, case)
        call = partial(_guarded, function, variant, *tensors.arguments.values())
        try:
            backend.run(call, tensors.by_name, case, False)
        except Exception as error:
            found = backend.explain(error, files)
            if found is None:
                raise
            answer.findings = [translated(exercise, {**found, "code": "X5"}, files, f"{backend.arch}, {case}")]
            return
    answer.level, answer.verdict = "silver", "pass"


def _off_target(exercise: Exercise, figure: figures.Figure, found: figures.Measured) -> Finding:
    name = Path(found.file).name if found.file else exercise.files[0]
    text = linecache.getline(found.file, found.line).strip() if found.file and found.line else ""
    evidence = [*found.evidence, *([f"line {found.line}: {text}"] if text else [])]
    return finding(figure.code, exercise, name, evidence, [found.line] if found.line else [])
