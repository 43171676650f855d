"""Every kind of finding that a kernel can give, from a compiled kernel, with its whole message."""

from __future__ import annotations

import pytest

import ptxvm
import ptxvm.schedule
from ptxvm.report import KINDS
from tests.ptxvm.corpus import bug as bugs
from tests.ptxvm.corpus import case as corpus

NAMES = bugs.names()
# Of cards from compute capability 9.0 on.
LATER = {"foreign tensor map", "missing proxy fence"}
# The others need a word that a language lacks. Numba has no pointers, traps and counted barriers, clears local arrays
# and looks at divisors itself; Triton has traps and barriers as inline PTX only, and places masks and waits itself.
EVERYWHERE = {"out of bounds", "race", "endless loop", "uninitialised read", "ordered by atomics"}


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    """Endless loops end soon."""
    monkeypatch.setattr(ptxvm.schedule, "IDLE_LIMIT", 500)


@pytest.mark.parametrize("name", NAMES)
def test_the_message_says_what_where_who_and_which(name, emulated):
    bug, says = bugs.load(name)
    assert [finding.message() for finding in bugs.findings(bug, emulated.emulator)] == [says]


def test_every_message_belongs_to_a_kernel():
    assert [f"{dsl}:{name}" for dsl in corpus.DSLS for name in bugs.messages(dsl)] == NAMES


def test_every_kind_is_there():
    kinds = {dsl: {said.partition(":")[0] for said in bugs.messages(dsl).values()} for dsl in corpus.DSLS}
    assert set.union(*kinds.values()) == set(KINDS) - LATER
    assert set.intersection(*kinds.values()) >= EVERYWHERE


@pytest.mark.parametrize("dsl", corpus.DSLS)
def test_a_neighbouring_tensor_is_told_by_the_parameter_alone(dsl, emulated, monkeypatch):
    """The address lies in another tensor: without the check of parameters nothing is wrong with it."""
    fresh = ptxvm.Device("sm_86", limits=emulated.emulator.device.limits)  # one tensor right behind the other
    monkeypatch.setattr(emulated.emulator, "device", fresh)
    bug, _ = bugs.load(f"{dsl}:out_of_bounds_in_a_neighbour")
    assert not bugs.findings(bug, emulated.emulator, ptxvm.Checks(provenance=False))
