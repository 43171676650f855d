"""Results and counters do not depend on how many blocks run together, in which order, or how threads are grouped."""

from __future__ import annotations

import math
from unittest import mock

import pytest

import ptxvm
from ptxvm.schedule import BatchRun
from tests.ptxvm.corpus import case as corpus
from warpbench import catalogue, check, hardware

CARD = hardware.gpu("rtx3090")
RUNGS = {o.rung_path(r): (o, r) for o, r in catalogue.rungs() if not hardware.missing(CARD, r.needs)}
NAMES = [*corpus.names(), *RUNGS]
SAMPLE = [*corpus.names()[::9], *list(RUNGS)[5::16]]


class FlatRun(BatchRun):
    """Never a product of blocks and threads: every group is a list of threads."""

    def _step(self, group, index):
        super()._step(group.flatten(self.live(index)), index)


def load(name: str) -> corpus.Case:
    """A case of the corpus, or a rung at its first tiny shape."""
    if name not in RUNGS:
        return corpus.load(name)
    operation, rung = RUNGS[name]
    shape = next(s for s in operation.shapes.tiny if rung.serves(s))
    placed = check.place(operation, check.Case(tuple(shape.items()), rung.dtypes[0]))
    return corpus.Case(catalogue.function(operation, rung), placed.arguments, {})


def bits(value):
    """The bytes of a tensor, so that NaN equals itself; anything else as it is."""
    import torch

    return value.contiguous().view(-1).view(torch.uint8).tolist() if hasattr(value, "untyped_storage") else value


def assert_same(case: corpus.Case, one: corpus.Run, other: corpus.Run, what: str) -> None:
    """Two runs gave the same results and counts; of atomic additions of floats the last bits depend on the order."""
    assert not [finding.message() for finding in other.findings], what
    assert not corpus.wrong(case, other), what
    if case.unordered:
        return
    opcodes = {opcode for launch in one.launches for opcode in launch.report.opcodes}
    rounds = any(opcode.startswith(("atom", "red")) and "add.f" in opcode for opcode in opcodes)
    if not rounds:
        for tensor in case.tensors:
            assert bits(one.tensors[tensor]) == bits(other.tensors[tensor]), (what, tensor)
    for a, b in zip(one.launches, other.launches, strict=True):
        for part in ("counters", "lines", "opcodes"):
            assert getattr(a.report, part) == getattr(b.report, part), (what, part)


def all_in_one(launch) -> bool:
    """Whether the blocks of a launch wait for each other."""
    return ptxvm.Module.from_ptx(launch.ptx).kernel(launch.entry).needs_cooperative


def schedules(launches, seeds):
    """(what it is, schedule): seeds, sizes of a batch, the order of blocks."""
    for seed in seeds:
        yield f"seed {seed}", ptxvm.Schedule.fuzz(seed)
    threads = math.prod(launches[0].block)
    if len(launches) == 1 and not all_in_one(launches[0]):
        backwards = range(math.prod(launches[0].grid) - 1, -1, -1)
        yield "a block at a time, the last first", ptxvm.Schedule.normal(batch_threads=1, blocks=backwards)
    else:
        yield "a block at a time", ptxvm.Schedule.normal(batch_threads=1)
    if len(seeds) > 1:
        yield "two blocks at a time", ptxvm.Schedule.normal(batch_threads=2 * threads)


def compare(name, emulator, seeds):
    case = load(name)
    normal = corpus.run(case, emulator)
    for what, schedule in schedules(normal.launches, seeds):
        assert_same(case, normal, corpus.run(case, emulator, schedule), what)
    with mock.patch("ptxvm.device.BatchRun", FlatRun):
        assert_same(case, normal, corpus.run(case, emulator), "lists of threads")


@pytest.mark.parametrize("name", SAMPLE)
def test_nothing_depends_on_the_schedule(name, emulated):
    compare(name, emulated.emulator, seeds=range(3))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_nothing_depends_on_any_of_twenty_schedules(name, emulated):
    compare(name, emulated.emulator, seeds=range(20))
