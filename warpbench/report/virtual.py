"""What a run without a card says: counts, static resources, floors. No median, no rate, no share of a peak."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warpbench import hardware
from warpbench.contract import Operation, Rung
from warpbench.measure.records import Case, Count
from warpbench.report.terminal import Column, Row, Section, by_operation, figure, percent, seconds_text, shape_text

COLUMNS = (
    Column("rung"),
    Column("verdict"),
    Column("sectors/request", "right"),
    Column("excess wavefronts", "right", 1),
    Column("asked/compulsory", "right"),
    Column("registers", "right", 2),
    Column("spill bytes", "right", 2),
    Column("occupancy", "right", 1),
    Column("limited by", priority=3),
    Column("shape", priority=4),
)
LEGEND = (
    "sectors/request: 32-byte sectors that a warp's access touches; "
    "4 is ideal for 4-byte elements, 16 for 16-byte vectors",
    "excess wavefronts: extra passes through shared memory for bank conflicts, all warps together",
    "asked/compulsory: bytes asked of memory over bytes that must move once; 1 is the least",
    "Counts are of PTX; registers, spills and occupancy are ptxas's. No cache is modelled.",
)


@dataclass(frozen=True)
class Static:
    """Occupancy of the launch that fills an SM least, and what limits it."""

    share: float
    limiters: tuple[str, ...]


def row(case: Case, count: Count | None, cc: str) -> dict[str, Any]:
    """One rung as plain data, derived from its records. None is unknown or not counted."""
    compulsory = case.bytes_read + case.bytes_written
    fills = occupancy(case, cc)
    per_request = count.sectors / count.requests if count and count.requests else None
    return {
        "rung": f"{case.operation}/{case.dsl}/{case.rung}",
        "shape": dict(case.shape),
        "dtype": case.dtype,
        "verdict": case.verdict_correct,
        "reason": case.skip_reason or "",
        "arch": count.arch if count else None,
        "requests": count.requests if count else None,
        "sectors": count.sectors if count else None,
        "sectors_per_request": per_request,
        "excess_wavefronts": count.wavefronts - count.wavefronts_ideal if count else None,
        "bytes_asked": count.bytes_asked if count else None,
        "compulsory_bytes": compulsory,
        "asked_over_compulsory": count.bytes_asked / compulsory if count and compulsory else None,
        "barriers": count.barriers if count else None,
        "mma": count.mma if count else None,
        "regs": case.regs,
        "spill_bytes": case.spill_bytes,
        "smem_bytes": case.smem_bytes,
        "occupancy": fills.share if fills else None,
        "occupancy_limiters": list(fills.limiters) if fills else [],
        "findings": list(count.findings) if count else [],
    }


def occupancy(case: Case, cc: str) -> Static | None:
    """The least occupancy of a rung's launches; None where ptxas did not say what a kernel takes."""
    least: Static | None = None
    for launch in case.launch.get("launches", ()):
        if launch["regs"] is None or launch["smem_bytes"] is None:
            return None
        found = hardware.occupancy(cc, launch["threads"], launch["regs"], launch["smem_bytes"])
        if found is None:
            return None
        if least is None or found.share < least.share:
            least = Static(found.share, found.limiters)
    return least


def table(rows: Iterable[Mapping[str, Any]], operations: Mapping[str, Operation], gpu: Any) -> list[Row | Section]:
    """The rows of the table, a section an operation."""
    return by_operation(rows, lambda name: heading(operations[name], gpu), cells)


def cells(one: Mapping[str, Any]) -> list[str]:
    """One row as text."""
    counted = one["sectors"] is not None
    dash = "-"
    return [
        one["rung"],
        word(one),
        figure(one["sectors_per_request"]) if counted and one["requests"] else dash,
        figure(one["excess_wavefronts"]) if counted else dash,
        figure(one["asked_over_compulsory"], 2) if counted else dash,
        dash if one["regs"] is None else str(one["regs"]),
        dash if one["spill_bytes"] is None else str(one["spill_bytes"]),
        dash if one["occupancy"] is None else percent(one["occupancy"]),
        ", ".join(one["occupancy_limiters"]),
        shape_text(one["shape"]),
    ]


def word(one: Mapping[str, Any]) -> str:
    """The verdict as it is printed."""
    if one["verdict"] != "skipped":
        return str(one["verdict"])
    return "compiled, not executed" if one["reason"].startswith("compiled") else "not run"


def heading(operation: Operation, gpu: Any) -> str:
    """`softmax: softmax of each row. Floor on GeForce RTX 3090 at rows=4096, cols=4096: 143 us (bandwidth decides)`"""
    shape = operation.shapes.large[0]
    found = floor(operation, operation.ladder[0], gpu)
    if found is None:
        least = "unknown"
    else:
        least = f"{seconds_text(found.seconds)} ({found.bound} decides)"
    return f"{operation.name}: {operation.title}. Floor on {gpu.name} at {shape_text(shape)}: {least}"


def floor(operation: Operation, rung: Rung, gpu: Any) -> hardware.Floor | None:
    """The least time of an operation's first large shape on a card. Nobody measured it."""
    shape, dtype = operation.shapes.large[0], rung.dtypes[0]
    moved = operation.bytes_read(shape, dtype) + operation.bytes_written(shape, dtype)
    return hardware.floor(gpu, moved, operation.flops(shape, dtype), dtype)


def reasons(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each rung that was not run or not executed."""
    return [one["reason"] for one in rows if one["verdict"] == "skipped" and one["reason"]]
