"""The text of `warpbench inspect` and `warpbench doctor`; what they say is gathered in `warpbench.inspect` and `doctor`."""

from __future__ import annotations

from typing import Any


def gather(path: str, pick: Any, gpu: str | None, ptx: bool, sass: bool, counters: bool) -> dict[str, Any]:
    raise NotImplementedError


def show(found: dict[str, Any]) -> int:
    raise NotImplementedError


def doctor() -> list[dict[str, Any]]:
    raise NotImplementedError


def show_doctor(found: list[dict[str, Any]]) -> None:
    raise NotImplementedError
