"""compute-sanitizer over all launches, on a machine with a card: one process a DSL and tool, side by side.

    python3 tests/calibration/sanitize.py --out FOLDER [--seconds 150] [--which rungs]

FOLDER gets sanitize.log: for each process its exit code, the number of errors and the last lines. Standard library
only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = ("memcheck", "racecheck", "synccheck")
DSLS = ("cupy", "numba", "triton")
FOUND = 77  # exit code that the sanitizer gives when it found something


def errors_of(text: str) -> int | None:
    """The number in the sanitizer's summary; None where it wrote none, for instance because it was stopped."""
    found = re.findall(r"(?:ERROR SUMMARY|RACECHECK SUMMARY): (\d+)", text)
    return sum(map(int, found)) if found else None


def main(argv: Sequence[str] | None = None) -> int:
    """0: no errors in any process; 1: some, or a process that did not end; 3: there is no compute-sanitizer."""
    parser = argparse.ArgumentParser(description="compute-sanitizer over all launches")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--which", choices=("all", "rungs", "probes"), default="rungs")
    parser.add_argument("--seconds", type=float, default=150, help="for all of it")
    asked = parser.parse_args(argv)
    tool = shutil.which(os.environ.get("COMPUTE_SANITIZER", "compute-sanitizer"))
    if tool is None:
        print("compute-sanitizer is needed and not on the PATH. Nothing was checked.", file=sys.stderr)
        return 3
    out = asked.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="sanitizer-"))  # many files: only the log goes to `out`
    deadline = time.monotonic() + asked.seconds
    jobs = []
    for dsl in DSLS:
        for check in TOOLS:
            name = f"{dsl}-{check}"
            file = (work / f"{name}.log").open("w", encoding="utf-8")
            command = [
                tool, "--tool", check, "--error-exitcode", str(FOUND), "--target-processes", "all",
                "--print-limit", "20",
                "--report-api-errors", "no",  # numba-cuda looks up entry points of the driver that may be missing
                sys.executable, str(HERE / "launches.py"), dsl, "--once", "--which", asked.which,
                "--out", str(work / name),
            ]  # fmt: skip
            env = {**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}  # so that each tensor has bounds of its own
            job = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=env, start_new_session=True)
            jobs.append((name, file, job))
    clean = True
    with (out / "sanitize.log").open("w", encoding="utf-8") as log:
        for name, file, job in jobs:
            try:
                code = job.wait(max(1.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(job.pid, signal.SIGKILL)
                job.wait()
                code = 124
            file.close()
            text = (work / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            count = errors_of(text)
            clean &= code == 0 and count == 0
            shown = "unknown (not ended)" if count is None else str(count)
            lines = text.splitlines()
            first = [line for line in lines if line.startswith("=========")][:40] if count else []
            print(f"{name}: exit {code}, errors {shown}", flush=True)
            log.write("\n".join([f"## {name}: exit {code}, errors {shown}", *first, "...", *lines[-12:], ""]) + "\n")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
