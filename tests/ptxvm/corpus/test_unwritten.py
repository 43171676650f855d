"""Good kernels under every check, where memory that nobody has written counts as unwritten: no report, right counts."""

from __future__ import annotations

from unittest import mock

import pytest

import ptxvm
from tests.ptxvm.corpus import case as corpus
from tests.ptxvm.corpus.test_schedules import RUNGS, load

ALL = ptxvm.Checks(races="all", uninitialised_global=True)
SECTOR = 32


def run_unwritten(case: corpus.Case, emulator) -> corpus.Run:
    """A run to which outputs are unwritten memory, until a kernel or the code around it writes them.

    Outputs are known by what they are filled with: see `case.empty`; `check.place` does the same.
    """
    launch = emulator.device.launch

    def forget_outputs(kernel, grid, block, args, **options):
        for arg in args:
            if isinstance(arg, ptxvm.Pointer) and untouched(arg.allocation, case.tensors.get(arg.allocation.name)):
                emulator.device.forget(arg)
        return launch(kernel, grid, block, args, **options)

    with mock.patch.object(emulator.device, "launch", forget_outputs):
        return corpus.run(case, emulator, checks=ALL)


def untouched(allocation, tensor) -> bool:
    """Whether all elements are NaN, or all bytes 0x5A."""
    import torch

    if not hasattr(tensor, "clone") or not tensor.numel():
        return False
    now = torch.from_numpy(allocation.storage[allocation.view_offset :][: tensor.nbytes].copy())
    if tensor.dtype.is_floating_point and tensor.dtype.itemsize > 1:
        return bool(now.view(tensor.dtype).isnan().all())
    return bool((now == 0x5A).all())


def sectors(nbytes: int) -> int:
    return -(-nbytes // SECTOR)


@pytest.mark.parametrize(
    "name", [name if k % 2 else pytest.param(name, marks=pytest.mark.slow) for k, name in enumerate(RUNGS)]
)
def test_a_rung_moves_each_byte_of_its_operation(name, emulated):
    """The sectors that a launch must move are a closed formula: those of the operation's inputs and outputs.

    A rung of several kernels also moves what passes between them.
    """
    operation, rung = RUNGS[name]
    shape = next(s for s in operation.shapes.tiny if rung.serves(s))
    read = sectors(operation.bytes_read(shape, rung.dtypes[0]))
    written = sectors(operation.bytes_written(shape, rung.dtypes[0]))
    done = run_unwritten(load(name), emulated.emulator)
    assert not [finding.message() for finding in done.findings]
    moved = (done.counters.unique_load_sectors, done.counters.unique_store_sectors)
    if len(done.launches) == 1:
        assert moved == (read, written)
    else:
        assert moved[0] > read
        assert moved[1] > written


@pytest.mark.parametrize("name", corpus.names()[::6])
def test_no_report_in_a_sample_of_the_corpus(name, emulated):
    done = run_unwritten(load(name), emulated.emulator)
    assert not [finding.message() for finding in done.findings]


@pytest.mark.slow
@pytest.mark.parametrize("name", corpus.names())
def test_no_report_in_the_corpus(name, emulated):
    done = run_unwritten(load(name), emulated.emulator)
    assert not [finding.message() for finding in done.findings]


def test_an_output_that_is_read_before_it_is_written_is_told(emulated):
    case = load("numba_sums:histogram_global")
    out = corpus.empty(16, case.tensors["out"].dtype)
    wrong = corpus.Case(case.launch, {**case.tensors, "out": out}, {})
    (finding,) = run_unwritten(wrong, emulated.emulator).findings
    assert finding.kind == "uninitialised read"
    assert finding.object.startswith("out[")
