"""What a run on a card says: medians, rates, shares of roofs, all computed from the raw samples of the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from warpbench.measure import roofline, statistics
from warpbench.measure.cache import dram_share_allowed
from warpbench.measure.records import Case, Replicate, Run
from warpbench.report.terminal import Column, Row, Section, by_operation, percent, seconds_text, shape_text

COLUMNS = (
    Column("rung"),
    Column("verdict"),
    Column("median", "right"),
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
    "median of one process, no interval; spread: interquartile range over the median; "
    "cold: the L2 cache was flushed before each sample",
    "of measured: share of the copy bandwidth measured in this run; "
    "a kernel that reads more than it writes may pass 100 %",
    "torch/this: torch's time over this rung's; above 1, the rung is faster",
)


def headline(run: Run) -> str:
    """`measuring on NVIDIA GeForce RTX 3090 (8.6), power limit 350 W, driver 580.65`: what belongs to every figure."""
    card = run.gpu
    cc = "unknown" if card.cc is None else ".".join(map(str, card.cc))
    limit = "unknown" if card.power_limit_w is None else f"{card.power_limit_w:.0f} W"
    others = f", {run.foreign_processes} other processes on the card" if run.foreign_processes else ""
    return f"measuring on {card.name} ({cc}), power limit {limit}, driver {run.driver_version or 'unknown'}{others}"


def row(
    case: Case, samples: Replicate | None, roofs: Mapping[str, float], rival_s: float | None, l2_bytes: int
) -> dict[str, Any]:
    """One case as plain data. None is unknown or not measured."""
    good = samples is not None and samples.status == "ok" and bool(samples.t_us)
    seconds = statistics.median(samples.t_us) / 1e6 if good and samples else None
    moved = case.bytes_read + case.bytes_written
    bound = roofline.binding(case, roofs)
    out: dict[str, Any] = {
        "rung": f"{case.operation}/{case.dsl}/{case.rung}",
        "shape": dict(case.shape),
        "dtype": case.dtype,
        "verdict": "invalid" if samples is not None and samples.status == "invalid" else case.verdict_correct,
        "reason": case.skip_reason or _why(case, samples),
        "seconds": seconds,
        "samples": len(samples.t_us) if samples else 0,
        "spread": statistics.spread(samples.t_us) if good and samples else None,
        "gbps": moved / seconds / 1e9 if seconds else None,
        "tflops": case.flops / seconds / 1e12 if seconds else None,
        "bound": bound,
        "mode": samples.mode if samples else None,
        "sm_mhz": statistics.median(samples.sm_mhz) if samples and samples.sm_mhz else None,
        "host_us": samples.host_us_median if samples else None,
        "share_measured": None,
        "share_theory": None,
        "share_note": "",
        "torch_over_this": rival_s / seconds if rival_s and seconds else None,
    }
    if seconds is None or samples is None or bound is None:
        return out
    if bound == "arithmetic":
        peak = roofline.arithmetic_roof(case, roofs)
        out["share_theory"] = out["tflops"] / peak if peak else None
    elif dram_share_allowed(samples.mode, case.bytes_read, l2_bytes):
        out["share_theory"] = out["gbps"] / roofs["bw_theory"] if "bw_theory" in roofs else None
        out["share_measured"] = out["gbps"] / roofs["bw_copy"] if "bw_copy" in roofs else None
    else:
        out["share_note"] = "fits in L2"
    return out


def _why(case: Case, samples: Replicate | None) -> str:
    """Why a case has no time, or a doubtful one."""
    if samples is None or not samples.warnings:
        return ""
    return f"{case.operation}/{case.dsl}/{case.rung}: {'; '.join(samples.warnings)}"


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
