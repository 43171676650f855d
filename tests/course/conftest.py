"""A copy of the course for each test, and workers that all tests share."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from warpbench.course import catalogue, dev
from warpbench.course.runner import Course

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def workers():
    """Warm workers by architecture, for all tests of the session."""
    pools = {}
    yield pools
    for pool in pools.values():
        pool.close()


@pytest.fixture(scope="session")
def shipped(tmp_path_factory) -> Path:
    """The exercises as shipped, for tests that change none of them."""
    root = shutil.copytree(ROOT / "exercises", tmp_path_factory.mktemp("shipped") / "exercises")
    dev.cut(catalogue.load(root))
    return root


@pytest.fixture
def root(tmp_path, shipped) -> Path:
    """The exercises as shipped, in a folder of their own."""
    return shutil.copytree(shipped, tmp_path / "exercises")


@pytest.fixture
def wrong(root) -> Path:
    """The wrong answers beside them."""
    return shutil.copytree(ROOT / "tests" / "wrong", root.parent / "tests" / "wrong") / "exercises"


@pytest.fixture
def course(root, workers) -> Course:
    return Course(root, limit_s=5.0, workers=workers)


@pytest.fixture(scope="session")
def shipped_course(shipped, workers) -> Course:
    """The course as shipped, for tests that change nothing of it."""
    return Course(shipped, limit_s=5.0, workers=workers)


@pytest.fixture
def learn(root):
    """learn("run", "guard_the_tail"): the command in a process of its own, on the copy."""

    def run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "warpbench", "learn", "--root", str(root), *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout)

    return run
