"""The errors of ptxvm.

PtxvmError
├── PtxSyntaxError   the text is not PTX that we can read: line and what was expected
├── Unsupported      a form of instruction that ptxvm does not execute, by name and line, found at load
├── LaunchError      a launch that a card would refuse: grid, block, arguments, shared memory
├── Fault            the kernel did something that stops it; carries its `Finding`
└── LaneFault        the same inside the runtime, before block, thread and line are known; never leaves a launch
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from ptxvm.report import Finding, Report


class PtxvmError(Exception):
    """Base of everything that ptxvm raises on purpose."""


class PtxSyntaxError(PtxvmError):
    """PTX that cannot be read. `line` is 1-based."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"PTX line {line}: {' '.join(message.split())}")
        self.line = line


class Unsupported(PtxvmError):
    """An instruction form that ptxvm does not execute."""

    def __init__(self, form: str, line: int | None = None, reason: str = "") -> None:
        place = f" (PTX line {line})" if line else ""
        super().__init__(f"ptxvm does not execute `{form}`{place}{': ' + reason if reason else ''}")
        self.form, self.line, self.reason = form, line, reason


class LaunchError(PtxvmError):
    """A launch that is refused before anything runs."""


class Fault(PtxvmError):
    """A kernel that was stopped. `finding` says what, where, who and which object; `report` what was counted so far."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message())
        self.finding = finding
        self.report: Report | None = None


class LaneFault(PtxvmError):
    """A fault of some lanes of the running group.

    `lanes` is bool and broadcasts to the group's shape; `address` (int64, likewise) and `space` say which memory it is
    about, where it is about memory, and `width` how many bytes a lane touches there, where that matters.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        lanes: np.ndarray[Any, Any],
        address: np.ndarray[Any, Any] | None = None,
        space: str = "",
        width: int = 1,
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.lanes, self.address, self.space = kind, detail, lanes, address, space
        self.width = width
