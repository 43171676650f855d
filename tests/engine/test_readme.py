"""The README shows what the commands really print: each line of a console block is in the output of its command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n\$ (warpbench [^\n]*)\n(.*?)```", README, re.S)


def words(line: str) -> str:
    """A line with its white space folded: columns may be wider where the table is longer."""
    return " ".join(line.split())


@pytest.mark.parametrize(("command", "shown"), BLOCKS, ids=[command for command, _ in BLOCKS])
def test_output_in_the_readme_is_real(command, shown):
    done = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True, check=False, timeout=200
    )
    printed = [words(line) for line in done.stdout.splitlines()]
    assert printed, done.stderr
    for line in shown.splitlines():
        assert any(real.startswith(words(line)) for real in printed), f"`{command}` does not print: {line}"


def test_there_are_such_blocks():
    assert len(BLOCKS) >= 5
