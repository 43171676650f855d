"""Progress of a long run, on stderr: a bar or a line that is overwritten on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from warpbench.report.terminal import console, interactive

PATIENCE_S = 3.0  # seconds of the host's clock before a launch on ptxvm is said to take long
SELDOM_S = 30.0  # and between the lines about it where they are not overwritten


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


@contextlib.contextmanager
def launch_progress(launch: Any) -> Iterator[Callable[[int, int], None]]:
    """Say how far a launch on ptxvm is (`warpbench.backends.emulated.Launch`), if it takes long. On a terminal the line
    is gone when the launch ends.
    """
    overwritten = interactive(stderr=True) and "NO_COLOR" not in os.environ
    pause = PATIENCE_S if overwritten else SELDOM_S
    last, shown = time.monotonic(), False

    def tell(done: int, total: int) -> None:
        nonlocal last, pause, shown
        now = time.monotonic()
        if done == total or now - last < pause:
            return
        last, pause, shown = now, 0.2 if overwritten else SELDOM_S, True
        line = f"warpbench: {launch.kernel}: {done:,} of {total:,} blocks"
        if overwritten:
            sys.stderr.write(f"\r\x1b[K{line[: console(stderr=True).width - 1]}")
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    try:
        yield tell
    finally:
        if shown and overwritten:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
