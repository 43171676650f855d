"""Commands as a user gives them: in a process of their own, in a copy of the repository, in a pipe or on a terminal.

The copy keeps the records, the progress and the cache of whoever runs the tests as they are.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpbench.course import catalogue, dev

ROOT = Path(__file__).resolve().parents[2]
# what the shell of whoever runs the tests may say about output, and where packages lie
SHELL = ("CI", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "PYTHONPATH", "TERM")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Done:
    """A command that has ended. `cpu_s`: seconds of processor time, its workers' included."""

    code: int
    out: str
    err: str
    cpu_s: float = 0.0

    @property
    def data(self) -> Any:
        """What --json printed; nothing else may stand beside it."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Screen:
    """What a command wrote to a terminal: as it came, and the lines without colours and cursor movements."""

    code: int
    raw: str

    @property
    def lines(self) -> list[str]:
        """The lines that are left on the screen: of one that was drawn over and over, the last drawing."""
        text = ESCAPE.sub("", self.raw.replace("\r\n", "\n"))
        return [line.rpartition("\r")[2] for line in text.split("\n")]

    @property
    def text(self) -> str:
        """The text with its lines joined: a message may be wrapped anywhere."""
        return " ".join(" ".join(self.lines).split())


def on_one_core() -> None:
    """In a process before its command: each of pytest's workers has a core, and a pool on one core has one worker."""
    cores = sorted(os.sched_getaffinity(0))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    os.sched_setaffinity(0, {cores[number % len(cores)]})


class Checkout:
    """A copy of the engine, of some operations and of the exercises as they are shipped."""

    def __init__(self, folder: Path, *operations: str) -> None:
        self.root = folder
        for name in ("warpbench", "ptxvm", "exercises"):  # with compiled code, which keeps the first start quick
            shutil.copytree(ROOT / name, folder / name)
        (folder / "kernels").mkdir()
        for name in ("kernels/__init__.py", "pyproject.toml"):
            shutil.copyfile(ROOT / name, folder / name)
        for name in operations:
            shutil.copytree(ROOT / "kernels" / name, folder / "kernels" / name)
        dev.cut(catalogue.load(folder / "exercises"))

    @property
    def records(self) -> list[Path]:
        """The record files of its runs, oldest first."""
        return sorted((self.root / "profiling" / "runs").glob("*/*.jsonl"), key=lambda path: path.stat().st_mtime_ns)

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """This process's environment, without what a shell may say about output."""
        mine = {name: value for name, value in os.environ.items() if name not in SHELL}
        first = [str(self.root), *filter(None, [more.get("PYTHONPATH")])]
        return {**mine, **more, "PYTHONPATH": os.pathsep.join(first[::-1])}

    def run(self, *words: str, program: tuple[str, ...] = ("-m", "warpbench"), **environment: str) -> Done:
        """Run a command with its output in pipes."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, *program, *words],
            cwd=self.root,
            env=self.environment(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
            preexec_fn=on_one_core,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Done(done.returncode, done.stdout, done.stderr, cpu)

    @contextmanager
    def started(self, *words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """A command while it runs, in a process group of its own; it is ended on leaving."""
        with subprocess.Popen(
            [sys.executable, "-m", "warpbench", *words],
            cwd=self.root,
            env=self.environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=on_one_core,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)

    def screen(self, width: int, *words: str, **environment: str) -> Screen:
        """Run a command on a terminal that is `width` characters wide."""
        mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "warpbench", *words],
            cwd=self.root,
            env=self.environment({"TERM": "xterm-256color", **environment}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=on_one_core,
        )
        os.close(theirs)
        raw = b""
        try:
            while chunk := os.read(mine, 1 << 16):
                raw += chunk
        except OSError:  # Linux says so when the last process has closed the terminal
            pass
        os.close(mine)
        return Screen(process.wait(timeout=60), raw.decode())


def one_line(said: str) -> str:
    """The one line that a command said on stderr, the progress of a long run aside; never a traceback."""
    lines = [line for line in said.splitlines() if not line.startswith("[")]
    assert len(lines) == 1, said
    assert "Traceback" not in said
    assert not lines[0].startswith("internal error")
    return lines[0]
