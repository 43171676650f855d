"""What a run without a card says: counts, static resources, floors. No median, no rate, no share of a peak."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warpbench import hardware
from warpbench.contract import Operation, Rung
from warpbench.measure.records import Case, Count
from warpbench.report.terminal import Column, Row, Section, by_operation, figure, percent, seconds_text, shape_text

# The higher the figure, the sooner a column gives way to a narrow terminal.
COLUMNS = (
    Column("rung"),
    Column("verdict", wrap=True),
    Column(
        "sectors/request", "right", 1,
        note="32-byte pieces of memory that one load or store of a warp touches, on average. Ideal: 4 where each lane "
        "takes 4 bytes, 16 where it takes 16. More: lanes lie apart. Fewer: lanes share an address.",
    ),
    Column(
        "excess wavefronts", "right", 2,
        note="passes through shared memory that bank conflicts add, all warps together. Ideal: 0.",
    ),
    Column(
        "asked/compulsory", "right", 1,
        note="bytes of all sectors asked for, over those that must move at least once. Ideal: 1.",
    ),
    Column("registers", "right", 5, note="of a thread, as ptxas assigns them."),
    Column("spill bytes", "right", 4, note="values of a thread that found no register. Ideal: 0."),
    Column("occupancy", "right", 3, note="the share of an SM's warps that fit at once."),
    Column("limited by", priority=6, note="what runs out first when blocks fill an SM."),
    Column("shape", priority=7),
)  # fmt: skip
LEGEND = (
    "Floor: the compulsory bytes over the card's peak bandwidth, or the operations over its peak rate, whichever is "
    "longer. No kernel can be faster; nobody measured it.",
    "Counted on the PTX at the small shape of the row; no cache is modelled. Line by line: "
    "warpbench inspect OP/DSL/RUNG --counters",
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


def heading(operation: Operation, gpu: Any) -> Section:
    """`softmax: softmax of each row. Floor on GeForce RTX 3090 at rows=4096, cols=4096: 143 us (bandwidth decides)`"""
    shape = operation.shapes.large[0]
    found = floor(operation, operation.ladder[0], gpu)
    if found is None:
        least = "unknown"
    else:
        least = f"{seconds_text(found.seconds)} ({found.bound} decides)"
    return Section(f"{operation.name}: {operation.title}", f"Floor on {gpu.name} at {shape_text(shape)}: {least}")


def floor(operation: Operation, rung: Rung, gpu: Any) -> hardware.Floor | None:
    """The least time of an operation's first large shape on a card. Nobody measured it."""
    shape, dtype = operation.shapes.large[0], rung.dtypes[0]
    moved = operation.bytes_read(shape, dtype) + operation.bytes_written(shape, dtype)
    return hardware.floor(gpu, moved, operation.flops(shape, dtype), dtype)


def reasons(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each rung that was not run, not executed or not timed; rungs of one and the same reason share it."""
    lines: dict[tuple[str, str], list[str]] = {}
    for one in rows:
        before, colon, after = one["reason"].partition(f"{one['rung']}: ")
        if colon:
            lines.setdefault((before, after), []).append(one["rung"])
        elif one["reason"]:
            lines[one["reason"], ""] = []
    return [
        text + (f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {after}" if names else "")
        for (text, after), names in lines.items()
    ]
