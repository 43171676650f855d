"""The text of `warpbench list`. Imports nothing outside the standard library: listing must be quick."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence

from warpbench.contract import Operation, Rung
from warpbench.report.terminal import quantity


def listing(picks: Sequence[tuple[Operation, Rung]]) -> str:
    """Ladder by ladder: path, idea, needs. Wrapped to the terminal; one line a rung in a pipe."""
    width = max((len(operation.rung_path(rung)) for operation, rung in picks), default=0)
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("", "")
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    lines = []
    current = ""
    for operation, rung in picks:
        if operation.name != current:
            lines.append(f"{chr(10) if current else ''}{bold}{operation.name}{plain}  {operation.title}")
            current = operation.name
        needs = f"  [needs {', '.join(rung.needs)}]" if rung.needs else ""
        head = f"  {operation.rung_path(rung):{width}}  "
        lines.append(_wrapped(head, rung.idea + needs, columns))
    operations = {operation.name for operation, _ in picks}
    lines.append(f"\n{quantity(len(picks), 'rung')} of {quantity(len(operations), 'operation')}")
    return "\n".join(lines)


def _wrapped(head: str, text: str, columns: int) -> str:
    room = columns - len(head)
    if columns == 0:
        return head + text
    if room < 24:  # too narrow for two columns: the idea goes below
        indent = " " * 6
        below = textwrap.fill(text, max(columns, 30), initial_indent=indent, subsequent_indent=indent)
        return f"{head.rstrip()}\n{below}"
    return head + ("\n" + " " * len(head)).join(textwrap.wrap(text, room))
