"""The texts show what the commands really print: each line of a console block is in the output of its command.

The course is run on a copy as it is shipped: whoever runs the tests may have solved exercises, and keeps the progress.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from warpbench.course import catalogue, dev

ROOT = Path(__file__).resolve().parents[2]
PAGES = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "profiling/README.md"))
BLOCKS = re.findall(r"```console\n\$ (warpbench [^\n]*)\n(.*?)```", PAGES, re.S)


def words(line: str) -> str:
    """A line with its white space folded: columns may be wider where the table is longer."""
    return " ".join(line.split())


@pytest.fixture
def course(tmp_path) -> Path:
    """The exercises as they are shipped, in a folder of their own."""
    root = shutil.copytree(ROOT / "exercises", tmp_path / "exercises")
    dev.cut(catalogue.load(root))
    return root


@pytest.mark.parametrize(("command", "shown"), BLOCKS, ids=[command for command, _ in BLOCKS])
def test_output_in_the_readme_is_real(command, shown, course):
    command = command.replace("warpbench learn", f"warpbench learn --root {course}")
    done = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True, check=False, timeout=200
    )
    printed = [words(line) for line in done.stdout.splitlines()]
    assert printed, done.stderr
    for line in shown.splitlines():
        assert any(real.startswith(words(line)) for real in printed), f"`{command}` does not print: {line}"


def test_there_are_such_blocks():
    assert len(BLOCKS) >= 6
