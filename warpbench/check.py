"""Is a rung right? Run it on chosen inputs, watch it, and compare with the float64 reference.

Runs inside a worker process (`warpbench.worker`), on ptxvm or on the card; what it returns is plain data for JSON.
A *case* is one shape, dtype and set of inputs. A *finding* is one thing that is wrong, as a dict:

    code      of findings.toml where one fits ("C1", "M4"), else None
    kind      "values", "exception", "compile error", "launch refused", or a kind of ptxvm ("out of bounds", "race")
    level     "fault" (stopped the kernel), "fail" (wrong) or "lint" (told, fails nothing)
    message   one or more lines in the learner's coordinates
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from warpbench import catalogue, compare
from warpbench.contract import Operation, Rung, Shape
from warpbench.errors import EnvironmentProblem, KernelWrong, missing_package

Finding = dict[str, Any]
Result = dict[str, Any]
SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Case:
    """Inputs to run a rung on: `seed` draws them, or `adversarial` names those of op.py that break naive code."""

    shape: tuple[tuple[str, int], ...]
    dtype: str
    seed: int = SEEDS[0]
    adversarial: str = ""
    schedule: int | None = None  # seed of a shuffled order of warps and blocks; None: the normal one (ptxvm only)

    @property
    def sizes(self) -> Shape:
        return dict(self.shape)

    def __str__(self) -> str:
        shape = ", ".join(f"{axis}={length}" for axis, length in self.shape)
        inputs = self.adversarial or f"seed {self.seed}"
        order = "" if self.schedule is None else f", shuffled {self.schedule}"
        return f"{shape}, {self.dtype}, {inputs}{order}"


class Backend(Protocol):
    """Where a rung runs: ptxvm or a card. `run` makes the launches of `call` and returns what it knows of them."""

    device: str  # of torch tensors: "cpu" for ptxvm
    band: int  # bytes of guard on both sides of a tensor; 0 where each access is checked anyway

    def run(self, call: Callable[[], None], tensors: Mapping[str, Any], case: Case, execute: bool) -> Sequence[Any]:
        """Call the rung. `tensors`: all tensors by name. Returns its launches (backends.emulated.Launch), if known."""

    def explain(self, error: BaseException, files: Sequence[Path]) -> Finding | None:
        """The finding that an exception of `run` stands for; None for one that is no kernel's fault."""


# -- which cases ---------------------------------------------------------------------------------------------------
def cases(operation: Operation, rung: Rung, full: bool) -> Iterator[Case]:
    """The cases of a check, cheap ones first.

    Always every ragged and tiny shape that the rung serves, one seed. `full` adds two more seeds under shuffled
    schedules for the ragged shapes, and all adversarial inputs at the largest ragged shape.
    """
    tiny = [tuple(s.items()) for s in operation.shapes.tiny if rung.serves(s)]
    ragged = [tuple(s.items()) for s in operation.shapes.ragged if rung.serves(s)] or tiny
    for dtype in rung.dtypes:
        for shape in dict.fromkeys([*ragged, *tiny]):
            yield Case(shape, dtype)
    if not full or not ragged:
        return
    largest = max(ragged, key=lambda shape: math.prod(length for _, length in shape))
    for dtype in rung.dtypes:
        for name in operation.adversarial:
            yield Case(largest, dtype, adversarial=name)
        for seed in SEEDS[1:]:
            for shape in ragged:
                yield Case(shape, dtype, seed=seed, schedule=seed)


# -- one case ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Tensors:
    """Inputs and outputs of a case, placed for a kernel."""

    arguments: dict[str, Any]  # name -> tensor or scalar, inputs first, outputs last: what the rung is called with
    inputs: dict[str, compare.Placed]
    outputs: dict[str, compare.Placed]

    @property
    def by_name(self) -> dict[str, Any]:
        """The tensors alone."""
        return {name: placed.tensor for name, placed in {**self.inputs, **self.outputs}.items()}


def place(operation: Operation, case: Case, device: str = "cpu", band: int = 0) -> Tensors:
    """Draw a case's inputs on the CPU, so that every card sees the same, and place them and poisoned outputs."""
    drawn = draw(operation, case)
    inputs = {n: compare.place_input(v, device, band) for n, v in drawn.items() if _is_tensor(v)}
    declared = operation.outputs(case.sizes, case.dtype)
    outputs = {n: compare.place_output(o, device, band) for n, o in declared.items()}
    arguments = {n: inputs[n].tensor if n in inputs else v for n, v in drawn.items()}
    arguments.update({n: p.tensor for n, p in outputs.items()})
    return Tensors(arguments, inputs, outputs)


# What was drawn last, and the last references. Those of shapes that are timed are kept apart: a GiB takes seconds to
# draw, and the small cases that each rung is checked on must not push it out.
_drawn: dict[bool, dict[Any, Mapping[str, Any]]] = {False: {}, True: {}}
_references: dict[bool, dict[Any, Mapping[str, Any]]] = {False: {}, True: {}}


def draw(operation: Operation, case: Case) -> Mapping[str, Any]:
    """The inputs of a case, on the CPU. Not to be written to: they are kept for the next rung."""
    key, kept = _key(operation, case), _drawn[_timed(operation, case)]
    if key not in kept:
        kept.clear()
        if case.adversarial:
            kept[key] = operation.adversarial[case.adversarial](case.sizes, case.dtype)
        else:
            kept[key] = operation.inputs(case.sizes, case.dtype, case.seed)
    return kept[key]


def _timed(operation: Operation, case: Case) -> bool:
    """Whether a case has a shape that is timed."""
    return case.sizes in [dict(shape) for shape in operation.shapes.large]


def forget() -> None:
    """Drop the inputs and references that are kept, where memory has run out."""
    for kept in (*_drawn.values(), *_references.values()):
        kept.clear()


def _key(operation: Operation, case: Case) -> Any:
    return operation.name, id(operation), case.shape, case.dtype, case.seed, case.adversarial


def reference(operation: Operation, case: Case, device: str = "cpu") -> Mapping[str, Any]:
    """What a case must give, float64, on a device. The rungs of a ladder share it: the last few are kept."""
    timed = _timed(operation, case)
    key, kept = (*_key(operation, case), device), _references[timed]
    if key not in kept:
        while len(kept) >= (1 if timed else 4):
            del kept[next(iter(kept))]
        here = {n: v.to(device) if _is_tensor(v) else v for n, v in draw(operation, case).items()}
        kept[key] = operation.reference(**here)
    return kept[key]


def run_case(
    operation: Operation,
    rung: Rung,
    function: Callable[..., None],
    case: Case,
    backend: Backend,
    files: Sequence[Path] = (),
) -> tuple[Result, Sequence[Any]]:
    """Run a rung on one case and judge it. Returns the verdict and the launches.

    The verdict has case, shape, dtype, verdict ("pass", "fail", "not executed"), reason, findings, max_abs_err and
    max_rel_err.
    """
    result = unjudged(case)
    tensors = place(operation, case, backend.device, backend.band)
    try:
        launches = backend.run(lambda: function(*tensors.arguments.values()), tensors.by_name, case, True)
    except Exception as error:
        finding = backend.explain(error, files)
        if finding is None:
            raise
        return {**result, "verdict": "fail", "findings": [finding]}, ()
    result["findings"] = [finding for launch in launches for finding in reported(launch)]
    untouched = [launch.not_executed for launch in launches if getattr(launch, "not_executed", None)]
    if untouched:
        return {**result, "verdict": "not executed", "reason": str(untouched[0])}, launches
    judged = judge(operation, rung, case, tensors, backend.device)
    judged["findings"] = result["findings"] + judged["findings"]
    if any(finding["level"] != "lint" for finding in judged["findings"]):
        judged["verdict"] = "fail"
    return judged, launches


def judge(operation: Operation, rung: Rung, case: Case, tensors: Tensors, device: str) -> Result:
    """The verdict on what stands in the outputs, and on inputs and guard bands."""
    tolerance = operation.tolerance(case.sizes, case.dtype, rung.accumulator)
    declared = operation.outputs(case.sizes, case.dtype)
    want = reference(operation, case, device)
    found = compare.compare(tensors.outputs, declared, want, tolerance, tensors.inputs)
    return {
        **unjudged(case), "verdict": "pass" if found.ok else "fail",
        "findings": [difference_finding(d) for d in found.differences],
        "max_abs_err": _finite(found.max_abs_err), "max_rel_err": _finite(found.max_rel_err),
    }  # fmt: skip


def unjudged(case: Case) -> Result:
    """The fields of a verdict, before there is one."""
    return {
        "case": str(case), "shape": dict(case.shape), "dtype": case.dtype, "verdict": "pass", "reason": "",
        "findings": [], "max_abs_err": None, "max_rel_err": None,
    }  # fmt: skip


def reported(launch: Any) -> Iterator[Finding]:
    """The findings of a launch's report: races, uninitialised reads, lints."""
    report = getattr(launch, "report", None)
    for finding in report.findings if report is not None else ():
        yield ptxvm_finding(finding)


def ptxvm_finding(finding: Any) -> Finding:
    """A finding of ptxvm as ours."""
    return {
        "code": code_of(finding.kind, finding.detail), "kind": finding.kind, "level": finding.level,
        "message": finding.message(), "file": finding.file, "line": finding.line, "count": finding.count,
        "detail": finding.detail, "text": finding.text, "object": finding.object,
        "block": finding.block, "thread": finding.thread,
        "other": ptxvm_finding(finding.other) if finding.other else None,
    }  # fmt: skip


def difference_finding(difference: compare.Difference) -> Finding:
    """A difference of values as a finding."""
    return {"kind": "values", "level": "fail", **difference.to_dict()}


def exception_finding(
    error: BaseException, files: Sequence[Path], code: str = "E2", kind: str = "exception"
) -> Finding:
    """An exception in the learner's file: its line there, its type, its text."""
    place = catalogue.line_in(error, files)
    text = str(error).strip() or "no message"
    where = f"{place[0].name}:{place[1]} " if place else ""
    message = f"{where}raises {type(error).__name__}: {text}" if kind == "exception" else f"{where}{text}"
    return {
        "code": code, "kind": kind, "level": "fault", "message": message,
        "file": str(place[0]) if place else None, "line": place[1] if place else None, "count": 1,
    }  # fmt: skip


@lru_cache(maxsize=1)
def finding_table() -> Mapping[str, Mapping[str, Any]]:
    """`findings.toml`: code -> its row."""
    import tomllib

    path = Path(__file__).with_name("findings.toml")
    table: Mapping[str, Mapping[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["finding"]
    return table


def code_of(kind: str, detail: str = "") -> str | None:
    """The code of findings.toml for a kind of ptxvm ("misaligned" -> "M7"); None for one without.

    Where a kind stands for two codes, words of the finding's detail decide: a race is R1, one on global memory R2.
    """
    found = None
    for code, row in finding_table().items():
        words = row.get("ptxvm_detail", {}).get(kind)
        if words is not None and words in detail:
            return code
        if kind in row.get("ptxvm_kind", ()):
            found = code
    return found


# -- one rung ------------------------------------------------------------------------------------------------------
def check_rung(
    operation: Operation,
    rung: Rung,
    backend: Backend,
    full: bool = True,
    root: Path | None = None,
    begin: Callable[[str], None] = lambda case: None,
    function: Callable[..., None] | None = None,
) -> Result:
    """Check a rung on all its cases; stops at the first that fails.

    Returns {"rung", "verdict", "reason", "cases": [one dict a case]}; the verdict is "pass", "fail", "not executed"
    (ptxvm cannot execute a form of its PTX) or "not run" (a package is missing).
    `begin` is told each case before it starts. `function` replaces the rung's own, for wrong kernels and exercises.
    """
    path = operation.rung_path(rung)
    result: Result = {"rung": path, "verdict": "pass", "reason": "", "cases": []}
    files = catalogue.source_files(operation, rung, root)
    try:
        call = function or catalogue.function(operation, rung, root)
    except EnvironmentProblem as error:
        return {**result, "verdict": "not run", "reason": str(error)}
    except KernelWrong as error:
        return {**result, "verdict": "fail", "reason": str(error), "cases": [_broken_file(str(error))]}
    for case in cases(operation, rung, full):
        begin(str(case))
        try:
            judged, _ = run_case(operation, rung, call, case, backend, files)
        except ModuleNotFoundError as error:
            return {**result, "verdict": "not run", "reason": str(missing_package(error.name))}
        result["cases"].append(judged)
        if judged["verdict"] != "pass":
            return {**result, "verdict": judged["verdict"], "reason": judged["reason"] or first_message(judged)}
    return result


def _broken_file(message: str) -> Result:
    finding = {
        "code": "E1",
        "kind": "exception",
        "level": "fault",
        "message": message,
        "file": None,
        "line": None,
        "count": 1,
    }
    return {"case": "", "shape": {}, "dtype": "", "verdict": "fail", "reason": message, "findings": [finding]}


def first_message(judged: Result) -> str:
    """The first line that matters of a case that failed."""
    serious = [f for f in judged["findings"] if f["level"] != "lint"]
    return str(serious[0]["message"]) if serious else ""


def _is_tensor(value: object) -> bool:
    return hasattr(value, "element_size")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
