"""What a script launched: every launch as it ends, folded into one row a kernel, grid and block."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from typing import Any

from warpbench import inspection

FAILS = ("fault", "fail")  # levels of a finding that make a kernel wrong; a lint is told and fails nothing


@dataclass
class Found:
    """A finding, as the first launch that had it says it, and how many launches had it."""

    finding: Any  # ptxvm.Finding
    launches: int = 0


@dataclass
class Row:
    """Launches of one kernel with one grid and block. `benchmark`: made by a benchmark or an autotuner."""

    dsl: str
    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    benchmark: bool
    blocks: int | None = None  # how many blocks of the grid were run; None: all
    launches: int = 0
    not_executed: dict[str, int] = field(default_factory=dict)  # reason -> launches
    found: dict[tuple[Any, ...], Found] = field(default_factory=dict)
    counters: Any = None  # ptxvm.Counters of all launches together
    lines: dict[tuple[str, int], Any] = field(default_factory=dict)

    @property
    def wrong(self) -> list[Found]:
        """The findings that make the kernel wrong."""
        return [one for one in self.found.values() if one.finding.level in FAILS]

    def add(self, launch: Any) -> None:
        """Count a launch in."""
        self.launches += 1
        if launch.report is None:
            reason = launch.not_executed or "refused: see the error above"
            self.not_executed[reason] = self.not_executed.get(reason, 0) + 1
            return
        for finding in launch.report.findings:
            self.found.setdefault(_key(finding), Found(finding)).launches += 1
        if self.counters is None:
            self.counters = type(launch.report.counters)()
        self.counters.add(launch.report.counters)
        for place, counters in launch.report.lines.items():
            self.lines.setdefault(place, type(counters)()).add(counters)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dsl": self.dsl, "kernel": self.kernel, "grid": list(self.grid), "block": list(self.block),
            "benchmark": self.benchmark, "blocks": self.blocks, "launches": self.launches,
            "not_executed": [{"reason": reason, "launches": n} for reason, n in self.not_executed.items()],
            "findings": [
                {**one.finding.to_dict(), "message": one.finding.message(), "launches": one.launches}
                for one in self.found.values()
            ],
            "counters": None if self.counters is None else inspection.figures(self.counters),
            "lines": inspection.lines_of(self.lines),
        }  # fmt: skip


def _key(finding: Any) -> tuple[Any, ...]:
    other = finding.other
    return finding.kind, finding.file, finding.line, other and (other.file, other.line), finding.line or finding.object


class Journal:
    """The rows, in the order of their first launches."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Any, ...], Row] = {}

    @property
    def rows(self) -> list[Row]:
        return list(self._rows.values())

    def note(self, launch: Any, benchmark: bool) -> None:
        """A launch has ended (`warpbench.backends.emulated.Emulator.watch`)."""
        if launch.report is not None and launch.report.printed:
            sys.stdout.write("".join(f"{line}\n" for line in launch.report.printed))
        text = hashlib.sha256(launch.ptx.encode()).digest()
        key = (launch.dsl, launch.kernel, launch.entry, text, launch.grid, launch.block, benchmark, launch.blocks)
        if key not in self._rows:
            self._rows[key] = Row(launch.dsl, launch.kernel, launch.grid, launch.block, benchmark, launch.blocks)
        self._rows[key].add(launch)

    @property
    def wrong(self) -> bool:
        """Whether any launch had a finding that makes its kernel wrong."""
        return any(row.wrong for row in self.rows)

    @property
    def incomplete(self) -> bool:
        """Whether any launch could not be executed."""
        return any(row.not_executed for row in self.rows)
