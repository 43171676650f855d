"""Damaged PTX gives a kernel that runs, or one error that says where: no other exception, no traceback, no hang."""

from __future__ import annotations

import re
import time

import pytest

import ptxvm
from ptxvm.errors import PtxSyntaxError, Unsupported
from tests.ptxvm.corpus import case as corpus
from tests.ptxvm.corpus.fuzzed import damaged

FEW = 300
MANY = 10_000
SECONDS = 20.0  # for one text: all take well below one


@pytest.fixture(scope="module")
def kernels(emulated):
    """Each case with the number of its launches."""
    found = []
    for name in corpus.names():
        case = corpus.load(name)
        if not case.unordered:  # without its other half a waiting kernel waits for ever
            found.append((name, case))
    return found


def outcome(case: corpus.Case, emulator, seed: int) -> tuple[str, str]:
    """What became of a damaged text ("runs", "fault", "refused", "unsupported", "syntax") and what was said."""
    schedule = ptxvm.Schedule(max_visits=3000)
    try:
        done = corpus.run(case, emulator, schedule, edit=lambda text: damaged(text, seed))
    except PtxSyntaxError as error:
        return "syntax", str(error)
    except Unsupported as error:
        return "unsupported", str(error)
    except ptxvm.LaunchError as error:
        return "refused", str(error)
    except ptxvm.Fault as fault:
        return "fault", str(fault)
    refused = [launch.not_executed for launch in done.launches if launch.not_executed]
    return ("unsupported", refused[0]) if refused else ("runs", "")


SAID = {
    "runs": r"",
    "fault": r"(?s)[a-z ]+: .+\n  look at: .+",
    "refused": r"\S.*",
    "unsupported": r"ptxvm does not execute `.+` \(PTX line \d+\).*",
    "syntax": r"PTX line [1-9]\d*: \S.*",
}


def check(kernels, emulator, seeds, monkeypatch) -> None:
    counts: dict[str, int] = {}
    for number, seed in enumerate(seeds):
        if number % 100 == 0:  # a device keeps the variables of every module
            monkeypatch.setattr(emulator, "device", ptxvm.Device("sm_86", limits=emulator.device.limits))
        name, case = kernels[seed % len(kernels)]
        began = time.monotonic()
        try:
            what, said = outcome(case, emulator, seed)
        except Exception as error:
            raise AssertionError(f"seed {seed} of {name}: {type(error).__name__}: {error}") from error
        assert re.fullmatch(SAID[what], said), f"seed {seed} of {name}: {said}"
        assert time.monotonic() - began < SECONDS, f"seed {seed} of {name}"
        counts[what] = counts.get(what, 0) + 1
    assert counts["syntax"] >= len(seeds) // 5
    assert counts["runs"] >= len(seeds) // 20


@pytest.mark.slow
def test_three_hundred_damaged_texts(kernels, emulated, monkeypatch):
    check(kernels, emulated.emulator, range(FEW), monkeypatch)


@pytest.mark.slow
def test_ten_thousand_damaged_texts(kernels, emulated, monkeypatch):
    check(kernels, emulated.emulator, range(FEW, FEW + MANY), monkeypatch)


def test_damage_comes_from_the_seed(kernels):
    text = ".version 8.7\n.target sm_86\n.entry k() { ret; }\n"
    assert damaged(text, 5) == damaged(text, 5)
    assert len({damaged(text, seed) for seed in range(40)}) > 20
