"""Every kernel of the corpus: compiled by its DSL, accepted by ptxas, executed, right, counted, without a report."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.ptxvm.corpus import case as corpus
from tests.ptxvm.corpus.compiled import refusals
from warpbench import catalogue

NAMES = corpus.names()


@pytest.fixture(scope="module")
def run_of(emulated):
    """run_of(name): (case, its run under the normal schedule)."""
    done = {}

    def run(name):
        if name not in done:
            one = corpus.load(name)
            done[name] = one, corpus.run(one, emulated.emulator)
        return done[name]

    return run


@pytest.mark.parametrize("name", NAMES)
def test_right_clean_and_counted_as_on_paper(name, run_of):
    case, done = run_of(name)
    assert done.launches
    assert not [launch.not_executed for launch in done.launches if launch.not_executed]
    assert not [finding.message() for finding in done.findings]
    assert not corpus.wrong(case, done)
    assert {counter: getattr(done.counters, counter) for counter in case.counters} == dict(case.counters)


def test_an_output_that_nobody_writes_is_wrong(emulated):
    case = corpus.load(NAMES[0])
    assert corpus.wrong(case, corpus.Run([], case.tensors))


@pytest.mark.slow
def test_ptxas_accepts_it_for_sm_86(run_of, tmp_path):
    said = {name: list(refusals(run_of(name)[1].launches, tmp_path)) for name in NAMES}
    assert not {name: lines for name, lines in said.items() if lines}


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["sm_75", "sm_89"])
def test_compiles_for_other_architectures(arch):
    """With the rungs of the catalogue."""
    command = [sys.executable, "-m", "tests.ptxvm.corpus.compiled", arch]
    done = subprocess.run(command, capture_output=True, text=True, cwd=catalogue.ROOT, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert len(said) >= 120
    assert not {name: lines for name, lines in said.items() if lines}


@pytest.mark.slow  # each kernel once more
def test_there_is_breadth(run_of):
    """All but the kernels whose waiting depends on the order have closed formulas for some counters."""
    for dsl in corpus.DSLS:
        assert sum(name.startswith(f"{dsl}_") for name in NAMES) >= 30
    without = {name for name in NAMES if not run_of(name)[0].counters}
    assert without <= {name for name in NAMES if run_of(name)[0].unordered}
