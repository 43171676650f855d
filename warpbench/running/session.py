"""One run of a script: the card, the pretence, the script, the report."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpbench import errors, hardware
from warpbench.profiling_run import DEFAULT_GPU
from warpbench.report.progress import launch_progress
from warpbench.running import script
from warpbench.running.journal import Journal


@dataclass(frozen=True)
class Outcome:
    """What a script did. `script_code` is its own exit code, `exit_code` the command's."""

    path: Path
    arguments: tuple[str, ...]
    card: hardware.Gpu
    journal: Journal
    script_code: int

    @property
    def exit_code(self) -> int:
        """1 if a launch was wrong, else the script's; 5 if that is 0 and a launch could not be executed."""
        if self.script_code == errors.INTERRUPTED:
            return self.script_code
        if self.journal.wrong:
            return errors.WRONG
        if self.script_code == errors.OK and self.journal.incomplete:
            return errors.NOT_RUN
        return self.script_code

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "script": str(self.path), "arguments": list(self.arguments), "gpu": self.card.slug, "name": self.card.name,
            "arch": self.card.arch, "script_code": self.script_code, "exit_code": self.exit_code,
            "launches": [row.plain() for row in self.journal.rows],
        }  # fmt: skip


def run(path: Path, arguments: Sequence[str], gpu: str | None) -> Outcome:
    """Run a script with a card of the catalogue pretended. Once a process.

    Raises UsageError, UnknownName and KernelWrong before anything of the script has run.
    """
    card = hardware.gpu(gpu or DEFAULT_GPU)
    code = script.load(path)
    from warpbench.backends import pretend
    from warpbench.backends.emulated import Emulator

    journal = Journal()
    emulator = Emulator(card.arch, card)
    emulator.watch, emulator.progress = journal.note, launch_progress
    pretend.install(emulator)
    script_code = script.execute(code, path, arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # who reads the script's output has seen enough
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process
    return Outcome(path, tuple(arguments), card, journal, script_code)


@contextlib.contextmanager
def output_to_stderr() -> Iterator[None]:
    """While inside, stdout is stderr, for programs that are started inside too."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
