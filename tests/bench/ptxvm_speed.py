"""`make bench-ptxvm`: how fast ptxvm is, as ratios to Triton's interpreter and Numba's simulator, in one run.

    python -m tests.bench.ptxvm_speed [NAME ...] [--json]

Each side runs in a process of its own (both rivals are chosen when the kernel file is imported), best of 3 or more,
compilation left out. ptxvm runs with bounds, alignment and provenance checks; counters and races are measured on top.
Where a rival is too slow for the size it runs a smaller one and its time is scaled by the work; where it cannot run a
kernel, that is said. CUDA C++ has no rival: its register-blocked product is held against the Triton one, both on ptxvm.
Seconds are of this machine and make the ratios readable: they are no property of any card.

The exit code is 1 if a bound does not hold. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from warpbench import catalogue

REPEATS = 3
LEAST_SECONDS, MOST_REPEATS = 0.5, 30  # a fast call is repeated more often
COUNTERS_MOST, COUNTERS_GOAL = 1.9, 1.3  # time with counters / without
RACES_MOST, RACES_GOAL = 3.0, 1.5  # time with the race detector / without, both with counters
TILED_RACES_MOST, TILED_RACES_GOAL = 8.0, 3.0  # the same for products of tiles in shared memory
EDIT_MOST = 0.1  # seconds from an edit of a CUDA C++ kernel to the verdict
RATE_GOAL = 200e6  # instructions of single threads a second, in a kernel that only adds


@dataclass(frozen=True)
class Subject:
    """A kernel and its sizes. `shape` is run on ptxvm, `rival_shape` on the rival, which then counts `scale` times.

    rung        of the catalogue; "" for the product in float16 of this folder
    least, goal the ratio rival time / ptxvm time that must hold, and the one that is worked for; None: no rival
    tiled       a product of tiles in shared memory, for which the race detector may cost more
    seconds     the time that is worked for
    """

    rung: str
    shape: dict[str, int]
    rival: str = ""
    rival_shape: dict[str, int] = field(default_factory=dict)
    scale: float = 1
    least: float | None = None
    goal: float | None = None
    tiled: bool = False
    seconds: float | None = None


@dataclass(frozen=True)
class Pair:
    """Two subjects, both on ptxvm: the time of one / the time of the other, at most, and as worked for."""

    name: str
    against: str
    most: float
    goal: float


def _square(n: int) -> dict[str, int]:
    return {"m": n, "n": n, "k": n}


MILLION = {"n": 1 << 20}
ROWS = {"rows": 1024, "cols": 1024}
FLASH = {"heads": 2, "n": 256, "d": 64, "causal": 0}
CUBE, SMALL = _square(256), _square(64)
SUBJECTS = {
    "triton add": Subject("vector_add/triton/eight_elements_a_thread", MILLION, "interpreter", MILLION, 1, 30, 74),
    "triton softmax": Subject("softmax/triton/one_program_a_row", ROWS, "interpreter", ROWS, 1, 44, 164),
    "triton transpose": Subject("transpose/triton/tile_a_program", ROWS, "interpreter", ROWS, 1, 57, 138),
    "triton sgemm": Subject("gemm_f32/triton/tile_dot", CUBE, "interpreter", CUBE, 1, 5.6, 16, tiled=True),
    "triton gemm f16": Subject("", CUBE, "interpreter", CUBE, 1, 8.5, 24, tiled=True),
    "triton gemm f16 1024": Subject("", _square(1024), tiled=True, seconds=2.0),
    "triton flash": Subject("attention/triton/fused_online", FLASH, "interpreter", FLASH, 1, 3.6, 11),
    "numba add": Subject("vector_add/numba/one_thread_an_element", MILLION, "simulator", {"n": 8192}, 128, 6000, 12000),
    "numba softmax": Subject(
        "softmax/numba/one_block_a_row", ROWS, "simulator", {"rows": 2, "cols": 1024}, 512, 3700, 7400
    ),
    "numba sgemm naive": Subject("gemm_f32/numba/one_thread_an_element", CUBE, "simulator", SMALL, 64, 530, 1060),
    "numba sgemm tiled": Subject("gemm_f32/numba/shared_tile", CUBE, "simulator", SMALL, 64, 2000, 4000, tiled=True),
    "cuda sgemm tiled": Subject("gemm_f32/cupy/shared_tile", CUBE, tiled=True),
    "cuda sgemm registers": Subject("gemm_f32/cupy/register_tile", CUBE, tiled=True),
}
PAIRS = (Pair("cuda sgemm registers", "triton sgemm", 1.25, 0.62),)
RATES = ("triton add", "numba add")  # kernels that only add
EDITS = ("cuda", "triton", "numba")


# -- one side, in a process of its own -----------------------------------------------------------------------------
def best(call: Callable[[], Any]) -> float:
    """Seconds of the fastest of a few calls, after one that compiles."""
    call()
    times: list[float] = []
    while len(times) < REPEATS or (sum(times) < LEAST_SECONDS and len(times) < MOST_REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def arguments(rung: str, shape: dict[str, int], numpy: bool) -> tuple[Callable[..., None], list[Any]]:
    """The rung's function, and its arguments: torch tensors, or arrays for the simulator, which takes nothing else."""
    import torch

    if not rung:
        from tests.bench import gemm_f16

        torch.manual_seed(1)
        a, b = torch.randn(shape["m"], shape["k"]).half(), torch.randn(shape["k"], shape["n"]).half()
        return gemm_f16.tile_dot, [a, b, torch.zeros(shape["m"], shape["n"]).half()]
    operation, row = catalogue.select(rung)[0]
    inputs = operation.inputs(shape, "f32", 1)
    outputs = {name: torch.zeros(one.shape) for name, one in operation.outputs(shape, "f32").items()}
    values = [*inputs.values(), *outputs.values()]
    if numpy:
        import numpy as np

        class Array(np.ndarray):  # type: ignore[type-arg]
            """An array with the one method of tensors that launches ask for."""

            def numel(self) -> int:
                return int(self.size)

        values = [v.numpy().view(Array) if isinstance(v, torch.Tensor) else v for v in values]
    return catalogue.function(operation, row), values


def on_ptxvm(name: str) -> dict[str, float]:
    """Seconds with the checks alone, with counters, with the race detector; instructions of single threads."""
    import ptxvm
    from warpbench.targets import Emulated

    backend = Emulated("sm_86")
    subject = SUBJECTS[name]
    function, values = arguments(subject.rung, subject.shape, numpy=False)
    out = {}
    for what, checks in (
        ("checks", ptxvm.Checks(counters=False, races="off")),
        ("counters", ptxvm.Checks(counters=True, races="off")),
        ("races", ptxvm.Checks(counters=True, races="all")),
    ):
        backend.emulator.checks = checks
        out[what] = best(lambda: function(*values))
    with backend.emulator.record({}) as launches:
        function(*values)
    out["thread_instructions"] = sum(one.report.counters.thread_instructions for one in launches if one.report)
    return out


def on_rival(name: str) -> dict[str, float]:
    """Seconds of the rival at its own shape."""
    subject = SUBJECTS[name]
    function, values = arguments(subject.rung, subject.rival_shape, numpy=subject.rival == "simulator")
    return {"rival": best(lambda: function(*values))}


def run_side(side: str, name: str) -> dict[str, Any]:
    """Run one side of one subject in a process; {"problem": ...} if it fails."""
    rival = SUBJECTS[name].rival if side == "rival" else ""
    choice = {"interpreter": {"TRITON_INTERPRET": "1"}, "simulator": {"NUMBA_ENABLE_CUDASIM": "1"}}.get(rival, {})
    one_core = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.ptxvm_speed", "--side", side, name],
        env={**os.environ, **one_core, **choice}, capture_output=True, text=True, check=False, cwd=catalogue.ROOT,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return {"problem": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


# -- the table -----------------------------------------------------------------------------------------------------
def measure(name: str) -> dict[str, Any]:
    """Both sides of a subject, and the ratios."""
    subject = SUBJECTS[name]
    mine = run_side("ptxvm", name)
    theirs = run_side("rival", name) if subject.rival else {}
    row: dict[str, Any] = {"name": name, "least": subject.least, "goal": subject.goal, "ptxvm": mine, "rival": theirs}
    if "checks" in mine:
        row["counters_cost"] = mine["counters"] / mine["checks"]
        row["races_cost"] = mine["races"] / mine["counters"]
        if "rival" in theirs:
            row["ratio"] = theirs["rival"] * subject.scale / mine["checks"]
    return row


def text(row: dict[str, Any]) -> str:
    """One line of the table."""
    if "problem" in row["ptxvm"]:
        return f"{row['name']:22} failed: {row['ptxvm']['problem']}"
    seconds = row["ptxvm"]["checks"]
    ratio = f"{row['ratio']:9,.1f}" if "ratio" in row else f"{'-':>9}"
    bounds = f"{row['least'] or '-':>7} {row['goal'] or '-':>7}"
    costs = f"{row['counters_cost']:8.2f} {row['races_cost']:6.2f}"
    subject = SUBJECTS[row["name"]]
    said = ""
    if "problem" in row["rival"]:
        said = f"   the {subject.rival} cannot run it: {row['rival']['problem']}"
    elif not subject.rival:
        said = "   no rival: the interpreter takes minutes" if subject.seconds else "   no rival runs CUDA C++"
    return f"{row['name']:22} {1e3 * seconds:9.1f} ms {ratio} {bounds} {costs}{said}"


def bounds(rows: dict[str, dict[str, Any]], edits: dict[str, dict[str, Any]]) -> tuple[list[str], list[str]]:
    """(bounds that do not hold, goals that are not reached), each as a sentence."""
    broken: list[str] = []
    short: list[str] = []

    def least(what: str, value: float, bound: float | None, goal: float | None) -> None:
        if bound is not None and value < bound:
            broken.append(f"{what} is {value:,.2f}, at least {bound:,}")
        elif goal is not None and value < goal:
            short.append(f"{what} is {value:,.2f}, goal {goal:,}")

    def most(what: str, value: float, bound: float | None, goal: float | None) -> None:
        if bound is not None and value > bound:
            broken.append(f"{what} is {value:,.2f}, at most {bound:,}")
        elif goal is not None and value > goal:
            short.append(f"{what} is {value:,.2f}, goal {goal:,}")

    for name, row in rows.items():
        subject = SUBJECTS[name]
        if "problem" in row["ptxvm"]:
            broken.append(f"{name} failed")
            continue
        if "ratio" in row:
            least(f"ratio of {name}", row["ratio"], subject.least, subject.goal)
        elif subject.least is not None:
            broken.append(f"{name} has no ratio, because its rival failed")
        most(f"cost of counters, {name},", row["counters_cost"], COUNTERS_MOST, COUNTERS_GOAL)
        races = (TILED_RACES_MOST, TILED_RACES_GOAL) if subject.tiled else (RACES_MOST, RACES_GOAL)
        most(f"cost of races, {name},", row["races_cost"], *races)
        if subject.seconds is not None:
            most(f"seconds of {name}", row["ptxvm"]["checks"], None, subject.seconds)
        if name in RATES:
            least(f"thread instructions a second, {name},", rate(row), None, RATE_GOAL)
    for pair in PAIRS:
        sides = [rows.get(name, {}).get("ptxvm", {}).get("checks") for name in (pair.name, pair.against)]
        if None not in sides:
            most(f"{pair.name} / {pair.against}", sides[0] / sides[1], pair.most, pair.goal)
    if "edit" in edits.get("cuda", {}):
        most("seconds from edit to verdict, cuda,", edits["cuda"]["edit"], EDIT_MOST, None)
    elif "cuda" in edits:
        broken.append("edit to verdict, cuda, failed")
    return broken, short


def rate(row: dict[str, Any]) -> float:
    """Instructions of single threads a second."""
    return float(row["ptxvm"]["thread_instructions"] / row["ptxvm"]["checks"])


def edit_text(dsl: str, one: dict[str, Any]) -> str:
    """One line on the time from an edit to the verdict."""
    if "problem" in one:
        return f"edit to verdict, {dsl}: failed: {one['problem']}"
    ms = {name: f"{1e3 * seconds:.0f}" for name, seconds in one.items()}
    return (
        f"edit to verdict, {dsl:6} {ms['edit']:>5} ms: compiler and hook {ms['compiler']}, parse {ms['parse']}, "
        f"codegen {ms['codegen']}, run and compare {ms['again']}; the first of a process {ms['first']} ms"
    )


def main() -> int:
    """Measure the named subjects, or all; 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [*SUBJECTS, *(f"edit {dsl}" for dsl in EDITS)]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(known)}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--side", choices=("ptxvm", "rival", "edit"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side == "edit":
        from tests.bench import edit

        print(json.dumps(edit.measure(given.names[0])))
        return 0
    unknown = [name for name in given.names if name not in known]
    if unknown:
        parser.error(f"no such subject: {unknown[0]}. There are: {', '.join(known)}")
    if given.side:
        print(json.dumps((on_ptxvm if given.side == "ptxvm" else on_rival)(given.names[0])))
        return 0
    show = (lambda line: None) if given.json else (lambda line: print(line, flush=True))
    wanted = given.names or known
    rows: dict[str, dict[str, Any]] = {}
    show(f"{'kernel':22} {'ptxvm':>12} {'ratio':>9} {'least':>7} {'goal':>7} {'counters':>8} {'races':>6}")
    for name in (n for n in SUBJECTS if n in wanted):
        rows[name] = measure(name)
        show(text(rows[name]))
    for name in (n for n in RATES if n in rows and "checks" in rows[n]["ptxvm"]):
        show(f"{name}: {rate(rows[name]) / 1e6:,.0f} million thread instructions a second, goal {RATE_GOAL / 1e6:,.0f}")
    edits = {dsl: run_side("edit", dsl) for dsl in EDITS if f"edit {dsl}" in wanted}
    for dsl, one in edits.items():
        show(edit_text(dsl, one))
    broken, short = bounds(rows, edits)
    show("".join(f"goal not reached: {line}\n" for line in short).rstrip() or "every goal is reached")
    show("bounds that do not hold: " + "; ".join(broken) if broken else "every bound holds")
    if given.json:
        print(json.dumps({"kernels": list(rows.values()), "edits": edits, "broken": broken, "short": short}, indent=1))
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
