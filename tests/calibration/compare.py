"""Counts of ptxvm beside readings of a card.

    python -m tests.calibration.compare take calibration.tar.gz h100       records the launches here, joins, keeps
    python -m tests.calibration.compare table h100 [--all]                 a line a difference (or every line)

`take` needs the archive of run_ncu.py and the DSLs; `table` needs neither.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.calibration import readings
from tests.calibration.cases import tensors
from tests.calibration.replay import replay

HERE = Path(__file__).resolve().parent
MEM, WAVES = "pipe_lsu_mem_global_op", "l1tex__data_pipe_lsu_wavefronts_mem_shared_op"
# what is compared: ours -> ncu's name
METRICS = {
    **{
        f"global_{ours}_{what}": f"l1tex__t_{what}_{MEM}_{theirs}"
        for ours, theirs in (("load", "ld"), ("store", "st"), ("red", "red"), ("atom", "atom"), ("async", "ldgsts"))
        for what in ("requests", "sectors")
    },
    "shared_load_wavefronts": f"{WAVES}_ld",
    "shared_store_wavefronts": f"{WAVES}_st",
    "shared_load_requests": "smsp__inst_executed_op_shared_ld",
    "shared_store_requests": "smsp__inst_executed_op_shared_st",
    "local_load_requests": "l1tex__t_requests_pipe_lsu_mem_local_op_ld",
    "local_store_requests": "l1tex__t_requests_pipe_lsu_mem_local_op_st",
    "barriers": "sass__BAR.SYNC",  # counted by ncu instruction by instruction
    "instructions": "smsp__inst_executed",
}


@dataclass(frozen=True)
class Line:
    """One metric of one launch. `here` None: ptxvm does not execute the kernel, `why` says so."""

    case: str
    kernel: str
    metric: str
    card: int
    here: int | None
    why: str = ""

    @property
    def equal(self) -> bool:
        return self.card == self.here

    def __str__(self) -> str:
        here = "not executed" if self.here is None else f"{self.here:,}"
        off = f" {self.here / self.card - 1:+.1%}" if self.here is not None and self.card and not self.equal else ""
        return f"{self.case:52} {self.kernel:26} {self.metric:24} {self.card:>10,} {here:>12}{off} {self.why}".rstrip()


def compared(found: Mapping[str, Any], case: Mapping[str, Any], texts: Mapping[str, str]) -> Iterator[Line]:
    """Every metric that was read on the card and that either side has, launch by launch. `found`: all readings."""
    counts = replay(case, tensors(case["inputs"], case["dsl"]), texts, found["arch"])
    read = set(found["metrics"][case["which"]])
    why = "an earlier launch of the case was not executed"
    for launch in case["launches"]:
        mine = next(counts, why)
        for metric, name in METRICS.items():
            if name not in read:
                continue
            card = launch["readings"].get(name, 0)
            if isinstance(mine, str):
                yield Line(case["case"], launch["kernel"], metric, card, None, mine)
            elif card or mine.get(metric):
                yield Line(case["case"], launch["kernel"], metric, card, mine.get(metric, 0))


def take(archive: Path, name: str) -> int:
    """Join an archive of readings with recordings made here, and keep them."""
    cases, texts, about, dropped = [], {}, {}, []
    metrics: dict[str, set[str]] = {"rungs": set(), "probes": set()}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        with tarfile.open(archive) as packed:
            packed.extractall(root / "card", filter="data")
        for manifest in sorted((root / "card").glob("*/manifest.json")):
            run = manifest.parent.name
            dsl, which = run.split("-")
            card = json.loads(manifest.read_text(encoding="utf-8"))
            out = root / "here" / run
            command = [sys.executable, str(HERE / "launches.py"), dsl, "--which", which, "--out", str(out)]
            subprocess.run([*command, "--emulated", card["arch"]], check=False)
            recorded = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
            raw = manifest.with_name("raw.csv")
            rows = readings.parse_raw(raw.read_text(encoding="utf-8")) if raw.exists() else []
            source = manifest.with_name("source.csv")
            ran = readings.opcodes(source.read_text(encoding="utf-8")) if source.exists() else []
            if len(ran) == len(rows):
                for row, (_, counts) in zip(rows, ran, strict=True):
                    row |= {f"sass__{opcode}": str(n) for opcode, n in counts.items()}
            metrics[which] |= {name for row in rows for name in readings.sums(row)}
            found, lost = readings.joined(card, rows, recorded)
            cases += found
            dropped += lost
            for folder in (manifest.parent / "ptx", out / "ptx"):
                texts |= {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.ptx")}
            about |= {key: value for key, value in card.items() if key not in ("cases", "dsl", "which", "seconds")}
        version = root / "card" / "version.log"
        lines = version.read_text(encoding="utf-8").strip().splitlines() if version.exists() else []
        about["profiler"] = next((line for line in lines if line.startswith("Version")), "unknown")
    about["metrics"] = {which: sorted(names) for which, names in metrics.items()}
    readings.save(name, about, cases, texts)
    print("\n".join(dropped))
    print(f"{len(cases)} cases kept, {len(dropped)} dropped")
    return 0 if cases else 1


def table(name: str, every: bool) -> int:
    """Print the differences, and the shares of launches that agree."""
    found, texts = readings.load(name)
    lines = [line for case in found["cases"] for line in compared(found, case, texts)]
    print(f"{'case':52} {'kernel':26} {'metric':24} {'card':>10} {'ptxvm':>12}")
    for line in lines:
        if every or (not line.equal and line.metric != "instructions"):
            print(line)
    for metric in METRICS:
        here = [line for line in lines if line.metric == metric and line.here is not None]
        if here:
            print(f"{metric}: {sum(line.equal for line in here)} of {len(here)} launches equal")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """0: done; 1: nothing could be kept."""
    parser = argparse.ArgumentParser(description="counts of ptxvm beside readings of a card")
    verbs = parser.add_subparsers(dest="verb", required=True)
    taking = verbs.add_parser("take")
    taking.add_argument("archive", type=Path)
    taking.add_argument("name")
    showing = verbs.add_parser("table")
    showing.add_argument("name")
    showing.add_argument("--all", action="store_true")
    asked = parser.parse_args(argv)
    return take(asked.archive, asked.name) if asked.verb == "take" else table(asked.name, asked.all)


if __name__ == "__main__":
    sys.exit(main())
