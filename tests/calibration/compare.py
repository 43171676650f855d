"""Counts of ptxvm beside readings of a card.

    python -m tests.calibration.compare take calibration.tar.gz h100       records the launches here, joins, keeps
    python -m tests.calibration.compare table h100 [--all]                 a line a difference (or every line)
    python -m tests.calibration.compare readme                             write the summary into README.md

`take` needs the archive of run_ncu.py and the DSLs; the others need neither.

Only what is the same thing on both sides is compared, so some counters of the card are missing here:

    smsp__inst_executed_op_shared_*    also counts a warp in which the predicate is off in every lane, where no request
                                       is made; local memory is compared by them, for its probe has no such warp
    l1tex__t_requests_*_local_*        a 16-byte access of a lane to its own memory counts four
    *_mem_shared without an operation  also counts what shuffles, barriers and global stores move through the same pipe
    l1tex__data_bank_conflicts_*       wavefronts lost, to arbitration too; differs from run to run
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.calibration import readings
from tests.calibration.cases import tensors
from tests.calibration.replay import replay, replay_merged

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
BEGIN, END = "<!-- compared: begin (python -m tests.calibration.compare readme) -->", "<!-- compared: end -->"
WAVES = "l1tex__data_pipe_lsu_wavefronts_mem_shared_op"


def _traffic(what: str) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Requests or sectors of global memory. A card counts cp.async among the loads, and an atomic whose result nobody
    uses as a reduction, whatever the PTX calls it."""
    theirs = f"l1tex__t_{what}_pipe_lsu_mem_global_op"
    return {
        f"global_load_{what}": ((f"global_load_{what}", f"global_async_{what}"), (f"{theirs}_ld",)),
        f"global_store_{what}": ((f"global_store_{what}",), (f"{theirs}_st",)),
        f"global_atomic_{what}": ((f"global_atom_{what}", f"global_red_{what}"), (f"{theirs}_atom", f"{theirs}_red")),
    }


# metric -> (counts of replay.py, counters of the card), each summed. ncu counts sass__* instruction by instruction
METRICS = {
    **_traffic("requests"),
    **_traffic("sectors"),
    "shared_load_wavefronts": (("shared_load_wavefronts", "shared_ldmatrix_wavefronts"), (f"{WAVES}_ld",)),
    "shared_store_wavefronts": (("shared_store_wavefronts", "shared_stmatrix_wavefronts"), (f"{WAVES}_st",)),
    "shared_atomic_wavefronts": (("shared_atom_wavefronts", "shared_red_wavefronts"), (f"{WAVES}_atom",)),
    "shared_wavefronts_ideal": (("shared_wavefronts_ideal",), ("memory_l1_wavefronts_shared_ideal",)),
    "local_load_requests": (("local_load_requests",), ("smsp__inst_executed_op_local_ld",)),
    "local_store_requests": (("local_store_requests",), ("smsp__inst_executed_op_local_st",)),
    "barriers": (("barriers",), ("sass__BAR.SYNC",)),
    "shuffles": (("shuffles",), ("sass__SHFL",)),
    "fused_multiply_adds": (("fused_multiply_adds",), ("smsp__sass_thread_inst_executed_op_ffma_pred_on",)),
    "instructions": (("instructions",), ("smsp__inst_executed",)),
}
GLOBAL = tuple(name for name in METRICS if name.startswith("global_"))
SHARED = tuple(name for name in METRICS if name.startswith("shared_") and name.endswith("_wavefronts"))
EXACT = tuple(name for name in METRICS if name != "instructions")  # ptxas makes other instructions than those of PTX


@dataclass(frozen=True)
class Line:
    """One metric of one launch. `here` None: ptxvm does not execute the kernel, `why` says so."""

    case: str
    launch: int
    kernel: str
    code: str  # the compiled kernel: launches of one share it
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


@dataclass(frozen=True)
class Known:
    """What readings/<card>.known.toml says, each with its reason. `merged` is a part of `differences`."""

    differences: Mapping[tuple[str, str], str]  # (case, metric)
    merged: frozenset[tuple[str, str]]  # those that are gone where neighbouring loads are one
    not_executed: Mapping[str, str]  # case


def known(card: str) -> Known:
    """The differences that have a reason: none before somebody has written the file."""
    path = readings.FOLDER / f"{card}.known.toml"
    listed = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    rows = [
        (case, metric, row) for row in listed.get("known", ()) for case in row["cases"] for metric in row["metrics"]
    ]
    return Known(
        {(case, metric): row["why"] for case, metric, row in rows},
        frozenset((case, metric) for case, metric, row in rows if row.get("merged")),
        {row["case"]: row["why"] for row in listed.get("not_executed", ())},
    )


def compared(
    found: Mapping[str, Any], case: Mapping[str, Any], texts: Mapping[str, str], merge: bool = False
) -> Iterator[Line]:
    """Every metric that was read on the card and that either side has, launch by launch. `found`: all readings.

    merge   neighbouring loads from shared memory count as one, as in the machine code
    """
    repeat = replay_merged if merge else replay
    counts = repeat(case, tensors(case["inputs"], case["dsl"]), texts, found["arch"])
    why = "an earlier launch of the case was not executed"
    for number, launch in enumerate(case["launches"]):
        mine = next(counts, why)
        code = f"{launch['ptx']} {launch['entry']}"
        for metric in found["metrics"][f"{case['dsl']}-{case['which']}"]:
            card = launch["readings"].get(metric, 0)
            if isinstance(mine, str):
                yield Line(case["case"], number, launch["kernel"], code, metric, card, None, mine)
            else:
                here = sum(mine.get(name, 0) for name in METRICS[metric][0])
                if card or here:
                    yield Line(case["case"], number, launch["kernel"], code, metric, card, here)


def agreeing(
    lines: Sequence[Line], metrics: Sequence[str], within: float = 0.0, of_a_launch: bool = False
) -> tuple[int, int]:
    """(kernels, or launches, in which all of these metrics agree; all that have one of them and are executed here).

    A compiled kernel agrees if it does so in every launch.
    """
    good: dict[tuple[Any, ...], bool] = {}
    for line in lines:
        if line.metric in metrics and line.here is not None:
            key = (line.case, line.launch) if of_a_launch else (line.code,)
            good[key] = good.get(key, True) and abs(line.here - line.card) <= within * line.card
    return sum(good.values()), len(good)


def take(archive: Path, name: str) -> int:
    """Join an archive of readings with recordings made here, and keep them."""
    cases, texts, about, dropped = [], {}, {}, []
    metrics: dict[str, list[str]] = {}
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
            raw, source = manifest.with_name("raw.csv"), manifest.with_name("source.csv")
            rows = readings.parse_raw(raw.read_text(encoding="utf-8")) if raw.exists() else []
            if source.exists():
                readings.add_opcodes(rows, readings.opcodes(source.read_text(encoding="utf-8")))
            read = {name for row in rows for name in readings.sums(row)}
            metrics[run] = [metric for metric, (_, theirs) in METRICS.items() if read & set(theirs)]
            found, lost = readings.joined(card, rows, recorded)
            cases += found
            dropped += lost
            for folder in (manifest.parent / "ptx", out / "ptx"):
                texts |= {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.ptx")}
            about |= {key: value for key, value in card.items() if key not in ("cases", "dsl", "which", "seconds")}
        version = root / "card" / "version.log"
        lines = version.read_text(encoding="utf-8").strip().splitlines() if version.exists() else []
        about["profiler"] = next((line for line in lines if line.startswith("Version")), "unknown")
    for launch in (launch for case in cases for launch in case["launches"]):
        sums = {metric: sum(launch["readings"].get(n, 0) for n in theirs) for metric, (_, theirs) in METRICS.items()}
        launch["readings"] = {metric: n for metric, n in sums.items() if n}
    readings.save(name, {**about, "metrics": metrics}, cases, texts)
    print("\n".join(dropped))
    print(f"{len(cases)} cases kept, {len(dropped)} dropped")
    return 0 if cases else 1


def lines_of(card: str) -> tuple[Line, ...]:
    """Everything that was read on a card, each beside what ptxvm counts now: about 10 s."""
    found, texts = readings.load(card)
    return tuple(line for case in found["cases"] for line in compared(found, case, texts))


def with_merged(card: str, lines: Sequence[Line]) -> tuple[Line, ...]:
    """The same with loads merged in the cases where that is listed as the reason of a difference."""
    found, texts = readings.load(card)
    wanted = known(card).merged
    cases = [case for case in found["cases"] if case["case"] in {name for name, _ in wanted}]
    better = {
        (line.case, line.launch, line.metric): line
        for case in cases for line in compared(found, case, texts, merge=True) if (line.case, line.metric) in wanted
    }  # fmt: skip
    return tuple(better.get((line.case, line.launch, line.metric), line) for line in lines)


def table(name: str, every: bool) -> int:
    """Print the differences, and the shares of launches that agree."""
    lines = lines_of(name)
    print(f"{'case':52} {'kernel':26} {'metric':24} {'card':>10} {'ptxvm':>12}")
    for line in lines:
        if every or (not line.equal and line.metric in EXACT):
            print(line)
    print(summary(name, lines, with_merged(name, lines)))
    return 0


def summary(name: str, lines: Sequence[Line], like_sass: Sequence[Line]) -> str:
    """The table of README.md for a card: metric by metric, then all metrics of a memory. `like_sass`: `with_merged`."""
    found, _ = readings.load(name)
    versions = ", ".join(f"{key} {found[key]}" for key in sorted(found) if key in readings.VERSIONS)
    rows = [
        f"**{found['card']}**, driver {found['driver']}, Nsight Compute {found['profiler']}, {versions}:",
        "",
        "| metric | launches equal | of | compiled kernels equal | of |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for metric in EXACT:
        launches, kernels = agreeing(lines, [metric], of_a_launch=True), agreeing(lines, [metric])
        if launches[1]:
            rows.append(f"| {metric} | {launches[0]} | {launches[1]} | {kernels[0]} | {kernels[1]} |")
    rungs, rungs_like_sass = (
        [one for one in chosen if not one.case.startswith("probe/")] for chosen in (lines, like_sass)
    )
    for text, chosen, metrics, within in (
        ("all of global memory", lines, GLOBAL, 0.0),
        ("all of global memory, rungs alone", rungs, GLOBAL, 0.0),
        ("all of shared memory, within 5 %", lines, SHARED, 0.05),
        ("all of shared memory, within 5 %, rungs alone", rungs, SHARED, 0.05),
        ("all of shared memory, within 5 %, loads merged as ptxas merges them", like_sass, SHARED, 0.05),
        ("the same, rungs alone", rungs_like_sass, SHARED, 0.05),
    ):
        launches, kernels = agreeing(chosen, metrics, within, True), agreeing(chosen, metrics, within)
        rows.append(f"| *{text}* | {launches[0]} | {launches[1]} | {kernels[0]} | {kernels[1]} |")
    shares = [one.here / one.card for one in lines if one.metric == "instructions" and one.here is not None]
    rows += [
        "",
        f"Warp instructions of PTX over those of the card's machine code: {min(shares):.2f} to {max(shares):.2f}, "
        f"median {statistics.median(shares):.2f}.",
    ]
    return "\n".join(rows)


def written(text: str) -> str:
    """README.md with the summary of every card between its markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    parts = []
    for card in readings.cards():
        lines = lines_of(card)
        parts.append(summary(card, lines, with_merged(card, lines)))
    return f"{before}{BEGIN}\n" + "\n\n".join(parts) + f"\n{END}{after}"


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
    verbs.add_parser("readme")
    asked = parser.parse_args(argv)
    if asked.verb == "take":
        return take(asked.archive, asked.name)
    if asked.verb == "table":
        return table(asked.name, asked.all)
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
