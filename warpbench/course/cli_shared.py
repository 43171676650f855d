"""What the verbs of `warpbench learn` share: arguments, the course of a context, paths as they are typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from warpbench import cli_common

Id = Annotated[str | None, typer.Argument(metavar="[ID]", help="an exercise; none: the first that is not passed")]
SomeId = Annotated[str, typer.Argument(metavar="ID", help="an exercise of `warpbench learn list`")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Limit = Annotated[float, typer.Option("--limit", min=0.1, help="seconds that one case may take before it is stopped")]
LIMIT_S = 20.0


def examples(*lines: str) -> str:
    """The examples below a command's help."""
    return cli_common.examples(*(f"learn {line}" for line in lines))


def course_of(context: typer.Context, limit: float = LIMIT_S) -> Any:
    """The course that the command is for, to be closed."""
    from warpbench.course.runner import Course

    return Course(context.find_root().obj, limit)


def short(path: str | Path) -> str:
    """A path as typed from the current folder, where it lies below that."""
    path = Path(path)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def emit(data: Any) -> int:
    """Print plain data as JSON."""
    return cli_common.emit(data)
