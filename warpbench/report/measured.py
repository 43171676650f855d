"""What a run on a card says: medians, rates, shares of roofs, all computed from the raw samples of the record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from warpbench.measure import roofline, statistics
from warpbench.measure.cache import dram_share_allowed
from warpbench.measure.records import Case, Replicate, Run
from warpbench.report.terminal import Column, Row, Section, by_operation, percent, seconds_text, shape_text

COLUMNS = (
    Column("rung"),
    Column("verdict"),
    Column("median", "right"),
    Column("interval", "right", 2),
    Column("spread", "right", 2),
    Column("rate", "right"),
    Column("of measured", "right", 1),
    Column("of theory", "right"),
    Column("torch/this", "right"),
    Column("SM clock", "right", 3),
    Column("host", "right", 4),
    Column("mode", priority=4),
    Column("shape", priority=3),
)
LEGEND = (
    "median of a process, and of the processes' medians; interval: 95 %, from process to process, so one has none "
    "(--replicates 5); spread: interquartile range over the median; cold: the L2 cache was flushed before each sample",
    "of measured: share of the copy bandwidth measured in this run; "
    "a kernel that reads more than it writes may pass 100 %",
    "torch/this: torch's time over this rung's; above 1, the rung is faster",
)


def headline(run: Run) -> str:
    """`measuring on NVIDIA GeForce RTX 3090 (8.6), power limit 350 W, driver 580.65`: what belongs to every figure."""
    card = run.gpu
    cc = "unknown" if card.cc is None else ".".join(map(str, card.cc))
    limit = "unknown" if card.power_limit_w is None else f"{card.power_limit_w:.0f} W"
    if card.power_limit_w is not None and card.power_limit_default_w not in (None, card.power_limit_w):
        limit += f" (default {card.power_limit_default_w:.0f} W)"
    others = f", other processes on the card: {run.foreign_processes}" if run.foreign_processes else ""
    return f"measuring on {card.name} ({cc}), power limit {limit}, driver {run.driver_version or 'unknown'}{others}"


def seconds_of(replicates: Iterable[Replicate]) -> float | None:
    """The time of a case: the median of its processes' medians. None if one of them cannot be true."""
    medians = [statistics.median(one.t_us) / 1e6 for one in _good(replicates)]
    return statistics.median(medians) if medians else None


def _good(replicates: Iterable[Replicate]) -> list[Replicate]:
    """The processes that nothing speaks against; none of them where one is invalid."""
    every = list(replicates)
    if any(one.status == "invalid" for one in every):
        return []
    return [one for one in every if one.status == "ok" and one.t_us]


def rows(
    cases: Iterable[tuple[Case, Sequence[Replicate]]], roofs: Mapping[str, float], l2_bytes: int
) -> list[dict[str, Any]]:
    """A row for each case, raced against torch's of the same operation, dtype and shape."""
    every = list(cases)

    def race(case: Case) -> tuple[str, str, str]:
        return case.operation, case.dtype, str(sorted(case.shape.items()))

    rivals = {race(case): seconds_of(replicates) for case, replicates in every if case.dsl == "torch"}
    return [row(case, replicates, roofs, rivals.get(race(case)), l2_bytes) for case, replicates in every]


def row(
    case: Case, replicates: Sequence[Replicate], roofs: Mapping[str, float], rival_s: float | None, l2_bytes: int
) -> dict[str, Any]:
    """One case as plain data. None is unknown or not measured."""
    good = _good(replicates)
    seconds = seconds_of(good)
    moved = case.bytes_read + case.bytes_written
    bound = roofline.binding(case, roofs)
    spreads = [one for one in (statistics.spread(samples.t_us) for samples in good) if one is not None]
    clocks = [statistics.median(samples.sm_mhz) for samples in replicates if samples.sm_mhz]
    hosts = [samples.host_us_median for samples in replicates if samples.host_us_median is not None]
    out: dict[str, Any] = {
        "rung": f"{case.operation}/{case.dsl}/{case.rung}",
        "shape": dict(case.shape),
        "dtype": case.dtype,
        "verdict": "invalid" if any(one.status == "invalid" for one in replicates) else case.verdict_correct,
        "reason": case.skip_reason or _why(case, replicates),
        "seconds": seconds,
        "processes": len(good),
        "interval": statistics.log_interval([statistics.median(one.t_us) for one in good]),
        "samples": sum(len(samples.t_us) for samples in replicates),
        "spread": statistics.median(spreads) if spreads else None,
        "gbps": moved / seconds / 1e9 if seconds else None,
        "tflops": case.flops / seconds / 1e12 if seconds else None,
        "bound": bound,
        "mode": replicates[0].mode if replicates else None,
        "sm_mhz": statistics.median(clocks) if clocks else None,
        "host_us": statistics.median(hosts) if hosts else None,
        "share_measured": None,
        "share_theory": None,
        "share_note": "",
        "torch_over_this": rival_s / seconds if rival_s and seconds else None,
    }
    if seconds is None or bound is None:
        return out
    if bound == "arithmetic":
        peak = roofline.arithmetic_roof(case, roofs)
        out["share_theory"] = out["tflops"] / peak if peak else None
    elif dram_share_allowed(good[0].mode, case.bytes_read, l2_bytes):
        out["share_theory"] = out["gbps"] / roofs["bw_theory"] if "bw_theory" in roofs else None
        out["share_measured"] = out["gbps"] / roofs["bw_copy"] if "bw_copy" in roofs else None
    else:
        out["share_note"] = "fits in L2"
    return out


def _why(case: Case, replicates: Sequence[Replicate]) -> str:
    """Why a case has no time, or a doubtful one."""
    warnings = dict.fromkeys(warning for one in replicates for warning in one.warnings)
    return f"{case.operation}/{case.dsl}/{case.rung}: {'; '.join(warnings)}" if warnings else ""


def table(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> list[Row | Section]:
    """The rows of the table, a section an operation."""
    return by_operation(rows, lambda name: Section(f"{name}: {titles.get(name, '')}"), cells)


def cells(one: Mapping[str, Any]) -> list[str]:
    """One row as text."""
    timed = one["seconds"] is not None
    rate = "-"
    if timed:
        rate = f"{one['tflops']:.2f} TFLOP/s" if one["bound"] == "arithmetic" else f"{one['gbps']:.0f} GB/s"
    share = one["share_note"] or percent(one["share_theory"])
    ratio = one["torch_over_this"]
    return [
        one["rung"],
        "not run" if one["verdict"] == "skipped" else one["verdict"],
        seconds_text(one["seconds"]) if timed else "-",
        f"± {100 * one['interval']:.1f} %" if one["interval"] is not None else "-",
        f"{100 * one['spread']:.1f} %" if one["spread"] is not None else "-",
        rate,
        (one["share_note"] or percent(one["share_measured"])) if timed else "-",
        share if timed else "-",
        f"{ratio:.2f}" if ratio is not None else "-",
        f"{one['sm_mhz']:.0f} MHz" if one["sm_mhz"] is not None else "unknown",
        f"{one['host_us']:.0f} us" if one["host_us"] is not None else "-",
        one["mode"] or "-",
        shape_text(one["shape"]),
    ]
