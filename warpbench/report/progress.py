"""Progress of a long run, on stderr: a bar on a terminal, a line a rung elsewhere and under NO_COLOR or CI."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any

from warpbench.report.terminal import console, interactive


class Progress:
    """with Progress("checking", 77) as progress: progress.done("softmax/triton/x", "pass")"""

    def __init__(self, title: str, total: int, quiet: bool = False) -> None:
        self.title, self.total, self.quiet = title, total, quiet
        self.count = 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if self.quiet or "NO_COLOR" in os.environ or not interactive(stderr=True):
            return self
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
        from rich.table import Column

        def fixed() -> Column:  # on a narrow terminal the rung is cut short, nothing else
            return Column(no_wrap=True)

        self._bar = Bar(
            TextColumn("{task.description}", table_column=fixed()),
            BarColumn(bar_width=16, table_column=Column(no_wrap=True, min_width=16)),
            MofNCompleteColumn(table_column=fixed()),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("{task.fields[now]}", style="dim", table_column=Column(no_wrap=True, ratio=1)),
            console=console(stderr=True),
            transient=True,
            expand=True,
        )
        self._task = self._bar.add_task(self.title, total=self.total, now="starting workers")
        self._bar.start()
        return self

    def done(self, rung: str, verdict: str) -> None:
        """One more rung is finished."""
        self.count += 1
        if self._bar is not None:
            self._bar.update(self._task, advance=1, now=f"{rung} {verdict}")
        elif not self.quiet:
            print(f"[{self.count}/{self.total}] {rung} {verdict}", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
