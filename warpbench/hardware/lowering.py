"""What Triton makes of a few kernels on each architecture: `triton.toml`, which backends/triton_lowering.py writes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from warpbench.hardware.tables import read

Lowered = Mapping[str, int] | str  # whole opcodes and how many of each, or why there are none


@cache
def triton() -> dict[str, Mapping[str, Mapping[str, Lowered]]]:
    """Version of Triton -> kernel -> compute capability -> what becomes of it. Oldest version first."""
    found: Mapping[str, Mapping[str, Mapping[str, Lowered]]] = read("triton.toml")
    return dict(sorted(found.items(), key=lambda one: tuple(int(part) for part in one[0].split("."))))


def main_instructions(found: Mapping[str, int]) -> str:
    """The instruction that does the work, with its number, and the load of the copy engine where it brings the data."""
    if not found:
        return "-"

    def rank(name: str) -> tuple[bool, bool, int, str]:
        kind = name.partition(".")[0]
        return "MMA" in kind, kind.startswith(("ATOM", "RED")), found[name], name

    told = [max(found, key=rank), *(name for name in found if name.startswith("UTMALDG"))]
    return ", ".join(f"{found[name]} {name}" for name in told)
