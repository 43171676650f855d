"""Take readings with Nsight Compute, on a machine with a card: all launches of launches.py, packed into one archive.

    python3 tests/calibration/run_ncu.py --out FOLDER [--only cupy-probes ...] [--seconds 420]

Metrics are chosen by pattern from what this ncu says that it knows for this card, so that a name which another version
lacks costs that metric and not the run. Runs go one after another: two processes on a card could count each other's
work. FOLDER gets calibration.tar.gz and ncu.log, written after every run. Standard library only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNS = (
    "cupy-probes", "cupy-rungs", "numba-rungs", "triton-rungs", "triton-probes", "numba-probes",
)  # fmt: skip

# Counters of the hardware, each pattern a whole base name of which ".sum" is asked for. Memory: for rungs and probes.
MEMORY = (
    r"l1tex__t_(requests|sectors)_pipe_lsu_mem_(global|local)_op_(ld|st|red|atom|ldgsts|ldgsts_cache_(access|bypass))",
    r"l1tex__data_pipe_lsu_wavefronts_mem_shared(_op_(ld|st|atom|red|ldgsts|ldsm)|_cmd_(read|write))?",
    r"l1tex__data_bank_conflicts_pipe_lsu_mem_shared(_op_(ld|st|atom|red|ldgsts|ldsm))?",
    r"smsp__inst_executed",
    r"smsp__inst_executed_op_(shared|shared_(ld|st|atom)|global_(ld|st|red|atom)|local_(ld|st)|ldsm|ldgsts)",
)
# Instructions by pipe: for the rungs.
PIPES = (
    r"sm__inst_executed_pipe_(adu|alu|cbu|fma|fmaheavy|fp16|fp64|lsu|tensor|uniform|xu)",
    r"smsp__thread_inst_executed(_pred_on)?",
    r"smsp__inst_executed_op_(branch|generic\w*)",
)
# Counted by patched code: exact by opcode, and slow. For the rungs only.
PATCHED = (
    r"smsp__sass_thread_inst_executed_op_(fadd|fmul|ffma|dadd|dmul|dfma|hadd|hmul|hfma)_pred_on",
    r"smsp__sass_inst_executed_op_(shared|global|local)\w*",
)
PATCHED_CERTAIN = tuple(
    f"smsp__sass_thread_inst_executed_op_{op}_pred_on" for op in ("fadd", "fmul", "ffma", "dadd", "dmul", "dfma")
)  # if the list leaves such metrics out
# Per instruction and not in ncu's list of names; a run without them follows if they are refused.
SECTION = "section:SourceCounters"
SOURCE = (
    SECTION, "inst_executed", "thread_inst_executed", "memory_l1_tag_requests_global",
    "memory_l1_wavefronts_shared", "memory_l1_wavefronts_shared_ideal", "memory_l2_theoretical_sectors_global",
    "launch__registers_per_thread",
)  # fmt: skip
# If the list of names cannot be had: names that every ncu of recent years knows.
CERTAIN = (
    "l1tex__t_requests_pipe_lsu_mem_global_op_ld", "l1tex__t_sectors_pipe_lsu_mem_global_op_ld",
    "l1tex__t_requests_pipe_lsu_mem_global_op_st", "l1tex__t_sectors_pipe_lsu_mem_global_op_st",
    "l1tex__t_requests_pipe_lsu_mem_global_op_red", "l1tex__t_sectors_pipe_lsu_mem_global_op_red",
    "l1tex__t_requests_pipe_lsu_mem_global_op_atom", "l1tex__t_sectors_pipe_lsu_mem_global_op_atom",
    "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_ld", "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_st",
    "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld", "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_st",
    "l1tex__data_pipe_lsu_wavefronts_mem_shared", "smsp__inst_executed", "smsp__inst_executed_op_shared_ld",
    "smsp__inst_executed_op_shared_st",
)  # fmt: skip
SMOKE = (
    "import torch; x = torch.ones(4096, device='cuda'); torch.cuda.synchronize(); c = torch.cuda.cudart(); "
    "c.cudaProfilerStart(); y = x + 1; y = y * 2; torch.cuda.synchronize(); c.cudaProfilerStop()"
)


def chosen(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The names that a pattern matches whole, in the order of the patterns."""
    return list(dict.fromkeys(name for p in patterns for name in names if re.fullmatch(p, name)))


def base_names(listing: str) -> list[str]:
    """Names in the output of `ncu --query-metrics`: the first word of each line, where it looks like one."""
    words = (line.split(maxsplit=1)[0] for line in listing.splitlines() if line.strip())
    return [word for word in words if re.fullmatch(r"[a-z0-9]+__\w+", word)]


class Session:
    """One archive's worth of readings."""

    def __init__(self, out: Path, ncu: str, deadline: float) -> None:
        self.out, self.ncu, self.deadline = out, ncu, deadline
        self.out.mkdir(parents=True, exist_ok=True)
        self.work = Path(tempfile.mkdtemp(prefix="readings-"))  # many files: only their archive goes to `out`
        self.metrics: dict[str, list[str]] = {}

    def log(self, text: str) -> None:
        """A line on the terminal and in the log."""
        print(text, flush=True)
        with (self.out / "ncu.log").open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def call(self, command: Sequence[str], limit: float, log: str) -> tuple[int, str]:
        """(exit code, output); 124 past the limit. The whole output goes into a file of its own."""
        limit = min(limit, self.deadline - time.monotonic())
        if limit <= 5:
            self.log(f"{log}: no time left, not started")
            return 124, ""
        started = time.monotonic()
        with (self.work / f"{log}.out").open("w+", encoding="utf-8", errors="replace") as file:
            job = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                code = job.wait(limit)
            except subprocess.TimeoutExpired:
                os.killpg(job.pid, signal.SIGKILL)  # the profiled process too: it would disturb the next readings
                job.wait()
                code = 124
            file.seek(0)
            output = file.read()
        (self.work / f"{log}.out").unlink()
        (self.work / f"{log}.log").write_text(" ".join(command) + "\n" + output, encoding="utf-8")
        self.log(f"{log}: exit {code} after {time.monotonic() - started:.1f} s")
        return code, output

    def choose(self) -> None:
        """Which metrics are asked for: found in ncu's list, and proved on two small kernels."""
        code, listing = self.call([self.ncu, "--query-metrics"], 60, "query")
        names = base_names(listing)
        self.log(f"ncu names {len(names)} metrics (exit {code})")
        memory = chosen(names, MEMORY) or list(CERTAIN)
        pipes = chosen(names, PIPES)
        patched = chosen(names, PATCHED) or list(PATCHED_CERTAIN)
        for pattern in (*MEMORY, *PIPES, *PATCHED):
            if not chosen(names, [pattern]):
                self.log(f"dropped, no metric of this ncu matches: {pattern}")
        few = [f"{name}.sum" for name in memory]
        hardware = [*few, *(f"{name}.sum" for name in pipes)]
        counted = [*hardware, *(f"{name}.sum" for name in patched)]
        certain = [f"{name}.sum" for name in CERTAIN]
        for label, probes, rungs in (
            ("all", few, [*counted, *SOURCE]),
            ("all but named source metrics", few, [*counted, SECTION]),
            ("hardware and source counters", few, [*hardware, SECTION]),
            ("no source metrics", few, counted),
            ("hardware", few, hardware),
            ("certain", certain, certain),
        ):
            if self._smoke(rungs, label):
                self.metrics = {"probes": probes, "rungs": rungs}
                self.log(f"metrics: {label}: {len(probes)} for probes, {len(rungs)} for rungs")
                return
        self.log("no set of metrics could be read: no readings")

    def _smoke(self, metrics: Sequence[str], label: str) -> bool:
        command = [*self._ncu(metrics), "--csv", "--page", "raw", sys.executable, "-c", SMOKE]
        name = f"smoke-{label.replace(' ', '-')}"
        code, output = self.call(command, 90, name)
        rows = [line for line in output.splitlines() if line.startswith('"')]
        if code == 0 and len(rows) >= 4:  # header, units, two kernels
            return True
        said = [line for line in output.splitlines() if "==ERROR==" in line or "==WARNING==" in line]
        self.log("\n".join(said[:5] or output.splitlines()[-5:]))
        return False

    def _ncu(self, metrics: Sequence[str]) -> list[str]:
        sections = ["--section", SECTION.removeprefix("section:")] if SECTION in metrics else []
        names = ",".join(m for m in metrics if m != SECTION)
        return [
            self.ncu, "--profile-from-start", "off", "--clock-control", "none", "--cache-control", "none",
            "--target-processes", "all", "--print-units", "base", *sections, "--metrics", names,
        ]  # fmt: skip

    def run(self, name: str, limit: float) -> None:
        """Readings of one run: the report, its raw page and, for rungs, its page of instructions."""
        dsl, which = name.split("-")
        folder, report = self.work / name, self.work / f"{name}.ncu-rep"
        folder.mkdir(exist_ok=True)
        launches = [
            sys.executable, str(HERE / "launches.py"), dsl, "--which", which, "--out", str(folder)
        ]  # fmt: skip
        command = [*self._ncu(self.metrics[which]), "-f", "-o", str(report.with_suffix("")), *launches]
        _, output = self.call(command, limit, name)
        self.log("\n".join(line for line in output.splitlines() if not line.startswith("==PROF=="))[-1500:])
        if not report.exists():
            self.log(f"{name}: no report was written")
            return
        read = [self.ncu, "--import", str(report), "--csv", "--print-units", "base", "--page"]
        _, raw = self.call([*read, "raw"], 60, f"{name}-raw")
        (folder / "raw.csv").write_text(raw, encoding="utf-8")
        self.log(f"{name}: {max(0, sum(line.startswith(chr(34)) for line in raw.splitlines()) - 2)} kernels read")
        if which == "rungs":
            _, source = self.call([*read, "source", "--print-source", "sass"], 60, f"{name}-source")
            if "==ERROR==" in source[:400]:
                _, source = self.call([*read, "source"], 60, f"{name}-source-2")
            (folder / "source.csv").write_text(source, encoding="utf-8")

    def pack(self) -> None:
        """Everything but the reports into one archive; the source pages are left out if it grows too large."""
        path = self.out / "calibration.tar.gz"
        for leave_out in ((), ("source.csv",), ("source.csv", ".cubin")):
            with tarfile.open(path, "w:gz", compresslevel=6) as archive:
                for file in sorted(self.work.rglob("*")):
                    if file.is_file() and not file.name.endswith((".ncu-rep", *leave_out)):
                        archive.add(file, file.relative_to(self.work))
            if path.stat().st_size < 15 << 20:
                break
        self.log(f"packed {path.stat().st_size:,} bytes")


def main(argv: Sequence[str] | None = None) -> int:
    """0: every run gave a report; 1: one did not; 3: there is no ncu."""
    parser = argparse.ArgumentParser(description="readings of ncu for all launches")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=RUNS, default=RUNS)
    parser.add_argument("--seconds", type=float, default=420, help="for everything")
    parser.add_argument("--ncu", default=os.environ.get("NCU", "ncu"))
    asked = parser.parse_args(argv)
    ncu = shutil.which(asked.ncu)
    if ncu is None:
        print("Nsight Compute (ncu) is needed and not on the PATH. No readings were taken.", file=sys.stderr)
        return 3
    session = Session(asked.out.resolve(), ncu, time.monotonic() + asked.seconds)
    _, version = session.call([ncu, "--version"], 30, "version")
    session.log(version.strip().splitlines()[-1] if version.strip() else "ncu says no version")
    session.choose()
    for name in asked.only if session.metrics else ():
        session.run(name, 200)
        session.pack()
    session.pack()
    return 0 if all((session.work / f"{name}.ncu-rep").exists() for name in asked.only) else 1


if __name__ == "__main__":
    sys.exit(main())
