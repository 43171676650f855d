"""Matrix products of the corpus on the other architectures: Turing has fewer types, Ada has fp8 as it is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from warpbench import catalogue

CASES = ("cuda_fragments", "triton_dot_types", "triton_dots", "ada_dots:e4m3")


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "least"), [("sm_75", 9), ("sm_80", 25), ("sm_89", 25)])
def test_products_are_right(arch: str, least: int) -> None:
    command = [sys.executable, "-m", "tests.ptxvm.corpus.executed", arch, *CASES]
    done = subprocess.run(command, capture_output=True, text=True, cwd=catalogue.ROOT, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert len(said) >= least
    assert ("ada_dots:e4m3" in said) is (arch == "sm_89")
    assert {name: what for name, what in said.items() if what} == {}
