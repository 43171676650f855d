"""What the commands of `warpbench` share: options, the examples below a help text, JSON on stdout."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from warpbench import errors

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Slug = Annotated[str | None, typer.Option("--gpu", metavar="SLUG", help="a card of `warpbench gpus`, such as rtx3090")]


def examples(*lines: str) -> str:
    """The examples below a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  warpbench {line}" for line in lines)


def emit(data: Any) -> int:
    """Print plain data as JSON."""
    print(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False, default=str))
    return errors.OK
