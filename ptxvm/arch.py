"""Names of targets: `sm_86`, `sm_90a`, `compute_120`."""

from __future__ import annotations

import re

_TARGET = re.compile(r"(?:sm|compute)_(\d{1,2})(\d)([af]?)")


def capability(target: str) -> tuple[int, int]:
    """Compute capability: "sm_90a" -> (9, 0), "sm_120" -> (12, 0). ValueError for another text."""
    m = _TARGET.fullmatch(target)
    if not m:
        raise ValueError(f"`{target}` is not a target such as sm_86 or sm_90a")
    return int(m[1]), int(m[2])


def runs_on(target: str, arch: str) -> bool:
    """Whether code for `target` runs on a card of architecture `arch`.

    Plain targets run on every newer card, `a` targets on their own architecture only, `f` targets
    on later minor versions of the same family.
    """
    need, here = capability(target), capability(arch)
    if target.endswith("a"):
        return need == here
    if target.endswith("f"):
        return need[0] == here[0] and here >= need
    return here >= need
