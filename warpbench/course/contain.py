"""What an answer may not do to the process that checks it: start others, leave, or print without end.

Time and memory are limited from outside (`warpbench.pool`), which also notices a process that dies.
"""

from __future__ import annotations

import io
import os
import resource
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

PRINT_BYTES = 16 << 20  # that an answer may print before it is stopped
PRINTED_LINES, PRINTED_COLUMNS = 6, 200  # of them that are handed on

_guarding = False
_hooked = False


class Stopped(Exception):
    """An answer tried to leave the process that checks it, or to split it."""


@contextmanager
def contained(printed: list[str]) -> Iterator[None]:
    """While an answer runs it starts no process and prints a bounded amount; its first lines go to `printed`."""
    global _guarding, _hooked  # noqa: PLW0603 - an audit hook is for ever, its switch is not
    if not _hooked:
        sys.addaudithook(_refuse_fork)
        _hooked = True
    log = _has_log()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    if log:
        os.ftruncate(1, 0)
        os.lseek(1, 0, os.SEEK_SET)  # stdout and stderr share their place in the file
        resource.setrlimit(resource.RLIMIT_FSIZE, (PRINT_BYTES, old[1]))
    kept = os.dup(1), os.dup(2)
    _guarding = True
    try:
        with _streams():
            yield
    finally:
        _guarding = False
        for standard, copy in enumerate(kept, 1):  # the answer may have closed them
            os.dup2(copy, standard)
            os.close(copy)
        if log:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
            printed += _printed()


def _refuse_fork(event: str, arguments: tuple[Any, ...]) -> None:
    if _guarding and event in ("os.fork", "os.forkpty"):
        raise Stopped("an answer may not start another process (os.fork). It was not started")


@contextmanager
def _streams() -> Iterator[None]:
    """Streams of its own for an answer to print to, and to close. Unbuffered, so that an excess is told at once."""
    with open(1, "wb", buffering=0, closefd=False) as raw:
        stream = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)
        with redirect_stdout(stream), redirect_stderr(stream):
            yield


def _has_log() -> bool:
    """Whether stdout is the unlinked file that the pool gives each worker."""
    status = os.fstat(1)
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 0


def _printed() -> list[str]:
    lines = os.pread(1, 1 << 16, 0).decode(errors="replace").splitlines()
    more = ["... and more"] if len(lines) > PRINTED_LINES else []
    return [clipped(line) for line in lines[:PRINTED_LINES]] + more


def clipped(line: str) -> str:
    """A line of the answer's making, no longer than a terminal can bear."""
    return line if len(line) <= PRINTED_COLUMNS else f"{line[:PRINTED_COLUMNS]} ... ({len(line):,} characters)"
