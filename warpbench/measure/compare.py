"""Two record files side by side: the same case in both, first version.

Counts are exact, so for virtual files a change is a change. A measured file of one process has no interval: the ratio
of medians is shown, and no verdict is given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from warpbench.errors import UsageError
from warpbench.measure import statistics
from warpbench.measure.files import RecordFile

COUNTS = ("sectors", "bytes_asked", "excess_wavefronts", "barriers", "regs", "spill_bytes")
WORSE_IF_MORE = ("sectors", "excess_wavefronts", "spill_bytes")  # more registers or barriers may be the better kernel


def compare(a: RecordFile, b: RecordFile) -> dict[str, Any]:
    """{"kind", "a", "b", "notes", "rows", "only_a", "only_b", "worse"}: `worse` holds the rungs that lost something.

    Raises UsageError for a measured file against a virtual one: counts and times have nothing to say about each other.
    """
    if a.run.kind != b.run.kind:
        raise UsageError(
            f"{a.path} is {a.run.kind}, {b.path} is {b.run.kind}: counts and times cannot be compared. "
            "Nothing was compared. Choose two files of one kind."
        )
    both = [case_id for case_id in a.cases if case_id in b.cases]
    row = _virtual if a.run.kind == "virtual" else _measured
    rows = [row(a, b, case_id) for case_id in both]
    return {
        "kind": a.run.kind,
        "a": str(a.path),
        "b": str(b.path),
        "notes": _notes(a, b),
        "rows": rows,
        "only_a": [case_id for case_id in a.cases if case_id not in b.cases],
        "only_b": [case_id for case_id in b.cases if case_id not in a.cases],
        "worse": [one["case"] for one in rows if one["change"] in ("worse", "now fails")],
    }


def newest(folder: Path, count: int = 2) -> list[Path]:
    """The newest record files under profiling/runs of the kind of the newest one, oldest of them first."""
    every = sorted(folder.glob("*/*.jsonl*"), key=lambda path: path.name)
    if every:
        every = [path for path in every if path.parent == every[-1].parent]
    if len(every) < count:
        raise UsageError(
            f"{folder} holds {len(every)} record file{'s' if len(every) != 1 else ''} to compare; {count} are needed. "
            "Nothing was compared. Make one: warpbench profile"
        )
    return every[-count:]


def _notes(a: RecordFile, b: RecordFile) -> list[str]:
    """What differs between the runs beside the rungs."""
    notes = []
    if a.run.gpu.name != b.run.gpu.name:
        notes.append(f"different cards: {a.run.gpu.name} and {b.run.gpu.name}")
    if a.run.gpu.power_limit_w != b.run.gpu.power_limit_w:
        notes.append(f"different power limits: {a.run.gpu.power_limit_w} and {b.run.gpu.power_limit_w} W")
    notes += [
        f"{name} {a.run.libs[name]} and {b.run.libs[name]}"
        for name in sorted(set(a.run.libs) & set(b.run.libs))
        if a.run.libs[name] != b.run.libs[name]
    ]
    if a.run.harness_sha256 != b.run.harness_sha256:
        notes.append("the code that checks and times differs between the two runs")
    archs = {count.arch for file in (a, b) for count in file.counts.values()}
    if len(archs) > 1:
        notes.append(f"counted for different architectures: {', '.join(sorted(archs))}")
    for name, file in (("A", a), ("B", b)):
        if not file.complete:
            notes.append(f"{name} ended early: {len(file.cases)} of {file.run.config.planned} cases")
    return notes


def _base(a: RecordFile, b: RecordFile, case_id: str) -> dict[str, Any]:
    one, other = a.cases[case_id], b.cases[case_id]
    change = ""
    if one.verdict_correct == "pass" and other.verdict_correct == "fail":
        change = "now fails"
    elif one.verdict_correct == "fail" and other.verdict_correct == "pass":
        change = "now passes"
    return {
        "case": case_id,
        "rung": f"{one.operation}/{one.dsl}/{one.rung}",
        "shape": dict(one.shape),
        "same_source": one.rung_sha256 == other.rung_sha256,
        "verdict_a": one.verdict_correct,
        "verdict_b": other.verdict_correct,
        "change": change,
    }


def _virtual(a: RecordFile, b: RecordFile, case_id: str) -> dict[str, Any]:
    row = _base(a, b, case_id)
    sides = []
    for file in (a, b):
        count = file.counts.get(case_id)
        sides.append(
            dict.fromkeys(COUNTS)
            if count is None
            else {
                "sectors": count.sectors,
                "bytes_asked": count.bytes_asked,
                "excess_wavefronts": count.wavefronts - count.wavefronts_ideal,
                "barriers": count.barriers,
                "regs": count.regs,
                "spill_bytes": count.spill_bytes,
            }
        )
    pairs = {name: (sides[0][name], sides[1][name]) for name in COUNTS}
    known = {name: (x, y) for name, (x, y) in pairs.items() if x is not None and y is not None}
    judged = [pair for name, pair in known.items() if name in WORSE_IF_MORE]
    more, less = any(y > x for x, y in judged), any(y < x for x, y in judged)
    if not row["change"] and known:
        other = "same" if all(x == y for x, y in known.values()) else "other"
        row["change"] = "mixed" if more and less else "worse" if more else "better" if less else other
    return {**row, "a": sides[0], "b": sides[1]}


def _measured(a: RecordFile, b: RecordFile, case_id: str) -> dict[str, Any]:
    row = _base(a, b, case_id)
    medians = []
    for file in (a, b):
        good = [r for r in file.replicates.get(case_id, ()) if r.status == "ok" and r.t_us]
        medians.append(statistics.median([statistics.median(r.t_us) for r in good]) / 1e6 if good else None)
    ratio = medians[1] / medians[0] if medians[0] and medians[1] else None
    return {**row, "seconds_a": medians[0], "seconds_b": medians[1], "b_over_a": ratio}
