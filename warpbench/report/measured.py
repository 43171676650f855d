"""What a run on a card says: medians, rates, shares of roofs, all computed from the raw samples of the record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from warpbench.hardware.peaks import tensor_key
from warpbench.measure import statistics
from warpbench.measure.cache import dram_share_allowed
from warpbench.measure.records import Case, Replicate, Roof
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


def roofs_of(roofs: Iterable[Roof]) -> dict[str, float]:
    """The roofs that the table uses: bw_copy and bw_theory in GB/s, "flops_<dtype>_<accumulator>" in TFLOP/s."""
    found: dict[str, float] = {}
    for roof in roofs:
        if roof.kind in ("bw_copy", "bw_theory"):
            found[roof.kind] = roof.value
        elif roof.kind == "flops_theory_rated":
            found[f"flops_{roof.dtype}" + (f"_{roof.accumulate}" if roof.accumulate else "")] = roof.value
    return found


def arithmetic_roof(case: Case, roofs: Mapping[str, float]) -> float | None:
    """The arithmetic roof of a case in TFLOP/s, or None."""
    if case.dtype == "f32":
        return roofs.get("flops_f32")
    key = tensor_key(case.dtype, "f32")
    return roofs.get(f"flops_{key}") if key else None


def floor_seconds(case: Case, roofs: Mapping[str, float], l2_bytes: int) -> tuple[float, str] | None:
    """The least time by the theoretical roofs, and which one binds. Written bytes that fit the L2 may stay there."""
    terms = []
    if "bw_theory" in roofs:
        moved = case.bytes_read + max(0, case.bytes_written - l2_bytes)
        terms.append((moved / (roofs["bw_theory"] * 1e9), "bandwidth"))
    peak = arithmetic_roof(case, roofs)
    if peak:
        terms.append((case.flops / (peak * 1e12), "arithmetic"))
    return max(terms, default=None)


def implausible(case: Case, seconds: float, roofs: Mapping[str, float], l2_bytes: int) -> str:
    """Why a time cannot be true: faster than 0.97 of the floor. Empty if it can, or if no roof is known."""
    least = floor_seconds(case, roofs, l2_bytes)
    if least is None or seconds >= 0.97 * least[0]:
        return ""
    taken, allowed = seconds_text(seconds), seconds_text(least[0])
    return f"{taken} is faster than the card's {least[1]} allows ({allowed}): not a time of this work"


def row(
    case: Case, samples: Replicate | None, roofs: Mapping[str, float], rival_s: float | None, l2_bytes: int
) -> dict[str, Any]:
    """One case as plain data. None is unknown or not measured."""
    good = samples is not None and samples.status == "ok" and bool(samples.t_us)
    seconds = statistics.median(samples.t_us) / 1e6 if good and samples else None
    moved = case.bytes_read + case.bytes_written
    bound = floor_seconds(case, roofs, 0)
    out: dict[str, Any] = {
        "rung": f"{case.operation}/{case.dsl}/{case.rung}",
        "shape": dict(case.shape),
        "dtype": case.dtype,
        "verdict": case.verdict_correct,
        "reason": case.skip_reason or ("; ".join(samples.warnings) if samples and samples.status != "ok" else ""),
        "seconds": seconds,
        "samples": len(samples.t_us) if samples else 0,
        "spread": statistics.spread(samples.t_us) if good and samples else None,
        "gbps": moved / seconds / 1e9 if seconds else None,
        "tflops": case.flops / seconds / 1e12 if seconds else None,
        "bound": bound[1] if bound else None,
        "mode": samples.mode if samples else None,
        "host_us": samples.host_us_median if samples else None,
        "share_measured": None,
        "share_theory": None,
        "share_note": "",
        "torch_over_this": rival_s / seconds if rival_s and seconds else None,
    }
    if seconds is None or samples is None or bound is None:
        return out
    if bound[1] == "arithmetic":
        peak = arithmetic_roof(case, roofs)
        out["share_theory"] = out["tflops"] / peak if peak else None
    elif dram_share_allowed(samples.mode, case.bytes_read, l2_bytes):
        out["share_theory"] = out["gbps"] / roofs["bw_theory"]
        out["share_measured"] = out["gbps"] / roofs["bw_copy"] if "bw_copy" in roofs else None
    else:
        out["share_note"] = "fits in L2"
    return out


def table(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> list[Row | Section]:
    """The rows of the table, a section an operation."""
    return by_operation(rows, lambda name: f"{name}: {titles.get(name, '')}", cells)


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
        "not run"
        if one["verdict"] == "skipped" and not timed
        else ""
        if one["rung"].endswith("/torch/rival")
        else one["verdict"],
        seconds_text(one["seconds"]) if timed else "-",
        f"{100 * one['spread']:.1f} %" if one["spread"] is not None else "-",
        rate,
        (one["share_note"] or percent(one["share_measured"])) if timed else "-",
        share if timed else "-",
        f"{ratio:.2f}" if ratio is not None else "-",
        f"{one['host_us']:.0f} us" if one["host_us"] is not None else "-",
        one["mode"] or "-",
        shape_text(one["shape"]),
    ]
