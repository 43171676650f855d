"""A good kernel with one thing wrong is reported: the kind, the line, and what was touched by whom."""

from __future__ import annotations

import re
from unittest import mock

import pytest

import ptxvm
import ptxvm.schedule
from tests.ptxvm.corpus import case as corpus
from tests.ptxvm.corpus.mutations import MUTATIONS, Mutation
from tests.ptxvm.corpus.mutations_ptx import MUTATIONS_PTX, PtxMutation
from warpbench import catalogue

VISITS = 5_000  # basic blocks that a kernel runs here at most
FUZZ_SEEDS = range(4)


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    """Endless loops end soon."""
    monkeypatch.setattr(ptxvm.schedule, "IDLE_LIMIT", 500)


def mutant(one: Mutation, folder) -> tuple[corpus.Case, str]:
    """(the changed kernel, its file)."""
    file, _, name = one.case.partition(":")
    text = (corpus.HERE / f"{file}.py").read_text(encoding="utf-8")
    assert text.count(one.old) == 1, f"`{one.old}` must stand once in {file}.py"
    path = folder / f"{file}.py"
    path.write_text(text.replace(one.old, one.new), encoding="utf-8")
    return corpus.made(catalogue.load_file(path, f"mutant_of_{file}"), name), str(path)


def findings(case: corpus.Case, emulator, unwritten: str = "", **how) -> list:
    """What a run reports, of all levels; a fault that stops it included."""
    launch = emulator.device.launch

    def forget_first(kernel, grid, block, args, **options):
        for arg in args:
            if isinstance(arg, ptxvm.Pointer) and arg.allocation.name == unwritten:
                emulator.device.forget(arg)
        return launch(kernel, grid, block, args, **options)

    if unwritten:
        how["checks"] = ptxvm.Checks(races="all", uninitialised_global=True)
    try:
        with mock.patch.object(emulator.device, "launch", forget_first):
            done = corpus.run(case, emulator, ptxvm.Schedule(max_visits=VISITS), **how)
    except ptxvm.Fault as fault:
        return fault.report.findings
    return [finding for launch in done.launches for finding in launch.report.findings]


def assert_told(one: Mutation | PtxMutation, told: list, file: str) -> None:
    """One finding is of the kind, at the line, about the object and by the thread that were asked for."""
    messages = "\n".join(finding.message() for finding in told)
    same = [finding for finding in told if finding.kind == one.kind]
    assert same, f"no {one.kind}:\n{messages}"
    fitting = [
        side
        for finding in same
        for side in (finding, finding.other)
        if side is not None and side.file == file and one.at in side.text
        if re.search(one.object, finding.object) and one.who in side.message()
    ]
    assert fitting, messages
    for side in fitting:
        assert (side.line or 0) > 0
        assert side.block is not None
        assert side.thread is not None


def assert_wrong_in_some_order(case: corpus.Case, emulator, edit=None) -> None:
    runs = (corpus.run(case, emulator, ptxvm.Schedule.fuzz(seed), edit=edit) for seed in FUZZ_SEEDS)
    assert any(corpus.wrong(case, run) for run in runs)


@pytest.mark.parametrize(
    "one", [one if k % 2 else pytest.param(one, marks=pytest.mark.slow) for k, one in enumerate(MUTATIONS)],
    ids=lambda one: one.id,
)  # fmt: skip
def test_a_change_of_the_source_is_reported(one, emulated, tmp_path):
    case, file = mutant(one, tmp_path)
    assert_told(one, findings(case, emulated.emulator, one.unwritten), file)
    if one.hidden:
        assert not corpus.wrong(case, corpus.run(case, emulated.emulator)), "right in the normal order"


@pytest.mark.slow
@pytest.mark.parametrize("one", [one for one in MUTATIONS if one.fuzz], ids=lambda one: one.id)
def test_a_race_gives_wrong_numbers_in_some_order(one, emulated, tmp_path):
    assert_wrong_in_some_order(mutant(one, tmp_path)[0], emulated.emulator)


@pytest.mark.parametrize("one", MUTATIONS_PTX, ids=lambda one: one.id)
def test_a_change_of_the_ptx_is_reported(one, emulated):
    case = corpus.load(one.case)
    edited = []

    def edit(text: str) -> str:
        edited.append(one.edit(text))
        return edited[-1]

    told = findings(case, emulated.emulator, edit=edit)
    assert edited
    assert_told(one, told, str(corpus.HERE / f"{one.case.partition(':')[0]}.py"))
    if one.fuzz:
        assert not corpus.wrong(case, corpus.run(case, emulated.emulator, edit=edit)), "right in the normal order"
        assert_wrong_in_some_order(case, emulated.emulator, edit)


def test_right_numbers_prove_nothing():
    """Many mutants are right in the normal order and wrong in another one; both are asserted above."""
    for dsl in ("numba", "cuda"):
        assert sum(one.hidden and one.fuzz and one.case.startswith(dsl) for one in MUTATIONS) >= 6
    assert sum(one.fuzz and one.case.startswith("triton") for one in MUTATIONS_PTX) >= 3


def test_every_kind_of_bug_is_told_in_each_dsl_that_can_have_it():
    """What a language's compiler makes impossible is left out: asynchronous copies without a wait, for example."""
    told = {(one.kind, one.case.partition("_")[0]) for one in (*MUTATIONS, *MUTATIONS_PTX)}
    everywhere = {"out of bounds", "race", "endless loop", "uninitialised read"}
    assert {(kind, dsl) for kind in everywhere for dsl in corpus.DSLS} <= told
    some = {"misaligned": ("cuda", "triton"), "missing wait": ("cuda", "triton"), "deadlock": ("cuda",),
            "two barriers": ("numba", "cuda"), "barrier after early return": ("numba", "cuda"),
            "mask mismatch": ("numba", "cuda"), "division by zero": ("cuda", "triton")}  # fmt: skip
    assert {(kind, dsl) for kind, dsls in some.items() for dsl in dsls} <= told
