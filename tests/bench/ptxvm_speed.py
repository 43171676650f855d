"""`make bench-ptxvm`: how fast ptxvm is, as ratios to Triton's interpreter and Numba's simulator, in one run.

    python -m tests.bench.ptxvm_speed [NAME ...] [--json]

Each side runs in a process of its own (both rivals are chosen when the kernel file is imported), best of 3, compilation
left out. ptxvm runs with bounds, alignment and provenance checks; counters and races are measured on top. Where a rival
is too slow for the size it runs a smaller one and its time is scaled by the work; where it cannot run a kernel, that is
said. Seconds are of this machine and make the ratios readable: they are no property of any card.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from warpbench import catalogue

REPEATS = 3


@dataclass(frozen=True)
class Subject:
    """A kernel and its sizes. `shape` is run on ptxvm, `rival_shape` on the rival, which then counts `scale` times.

    least, goal   the ratio rival time / ptxvm time that must hold, and the one that is worked for; None: no rival
    """

    rung: str
    shape: dict[str, int]
    rival: str
    rival_shape: dict[str, int]
    scale: float
    least: float | None
    goal: float | None


def _square(n: int) -> dict[str, int]:
    return {"m": n, "n": n, "k": n}


MILLION = {"n": 1 << 20}
ROWS = {"rows": 1024, "cols": 1024}
FLASH = {"heads": 2, "n": 256, "d": 64, "causal": 0}
SUBJECTS = {
    "triton add": Subject("vector_add/triton/eight_elements_a_thread", MILLION, "interpreter", MILLION, 1, 30, 74),
    "triton softmax": Subject("softmax/triton/one_program_a_row", ROWS, "interpreter", ROWS, 1, 44, 164),
    "triton transpose": Subject("transpose/triton/tile_a_program", ROWS, "interpreter", ROWS, 1, 57, 138),
    "triton sgemm": Subject("gemm_f32/triton/tile_dot", _square(256), "interpreter", _square(256), 1, 5.6, 16),
    "triton flash": Subject("attention/triton/fused_online", FLASH, "interpreter", FLASH, 1, 3.6, 11),
    "numba add": Subject("vector_add/numba/one_thread_an_element", MILLION, "simulator", {"n": 8192}, 128, 6000, 12000),
    "numba softmax": Subject(
        "softmax/numba/one_block_a_row", ROWS, "simulator", {"rows": 2, "cols": 1024}, 512, 3700, 7400
    ),
    "numba sgemm naive": Subject(
        "gemm_f32/numba/one_thread_an_element", _square(256), "simulator", _square(64), 64, 530, 1060
    ),
    "numba sgemm tiled": Subject("gemm_f32/numba/shared_tile", _square(256), "simulator", _square(64), 64, 2000, 4000),
    "cuda sgemm tiled": Subject("gemm_f32/cupy/shared_tile", _square(256), "", {}, 1, None, None),
    "cuda sgemm registers": Subject("gemm_f32/cupy/register_tile", _square(256), "", {}, 1, None, None),
}


# -- one side, in a process of its own -----------------------------------------------------------------------------
def best(call: Callable[[], Any]) -> float:
    """Seconds of the fastest of a few calls, after one that compiles."""
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def arguments(rung: str, shape: dict[str, int], numpy: bool) -> tuple[Callable[..., None], list[Any]]:
    """The rung's function, and its arguments: torch tensors, or arrays for the simulator, which takes nothing else."""
    import torch

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
    """Seconds with the checks alone, with counters, with the race detector."""
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
    problem = f"   rival: {row['rival']['problem']}" if "problem" in row["rival"] else ""
    costs = f"{row['counters_cost']:8.2f} {row['races_cost']:6.2f}"
    return f"{row['name']:22} {1e3 * seconds:9.1f} ms {ratio} {bounds} {costs}{problem}"


def main() -> None:
    """Measure the named subjects, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(SUBJECTS)}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--side", choices=("ptxvm", "rival"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in SUBJECTS]
    if unknown:
        parser.error(f"no such subject: {unknown[0]}. There are: {', '.join(SUBJECTS)}")
    if given.side:
        print(json.dumps((on_ptxvm if given.side == "ptxvm" else on_rival)(given.names[0])))
        return
    rows = []
    if not given.json:
        print(f"{'kernel':22} {'ptxvm':>12} {'ratio':>9} {'least':>7} {'goal':>7} {'counters':>8} {'races':>6}")
    for name in given.names or SUBJECTS:
        rows.append(measure(name))
        if not given.json:
            print(text(rows[-1]), flush=True)
    if given.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
