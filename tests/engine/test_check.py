"""Judging a rung: which cases, what becomes of faults, races and refusals, and what is cached."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ptxvm.report import Counters, Finding, Report
from warpbench import cache, catalogue, check, counts
from warpbench.targets import Bare, Emulated, explain

RIGHT = "def plain(x, factor, out):\n    out.copy_(2 * x)\n\ndef other(x, factor, out):\n    out.copy_(2 * x)\n"


def first(root):
    return catalogue.select("double/numba/plain", root)[0]


class Fake(Bare):
    """Runs the function and reports one launch with a report of ours; counts how often it compiled and ran."""

    band = 0
    arch = "sm_86"

    def __init__(self, findings=(), not_executed="", ptx="// ptx"):
        self.findings, self.not_executed, self.ptx = list(findings), not_executed, ptx
        self.compiled = self.executed = 0

    def run(self, call, tensors, case, execute):
        self.compiled += not execute
        self.executed += execute
        report = None
        if execute and not self.not_executed:
            call()
            counters = Counters(
                global_load_requests=2, global_load_sectors=8, global_store_requests=2, global_store_sectors=8
            )
            report = Report("k", (1, 1, 1), (32, 1, 1), counters, races=self.findings)
        return [
            SimpleNamespace(
                dsl="numba", kernel="k", ptx=self.ptx, arch="sm_86", grid=(1, 1, 1), block=(32, 1, 1),
                dynamic_shared_bytes=0, report=report, not_executed=self.not_executed or None,
            )
        ]  # fmt: skip

    def usable(self):
        return True


RACE = Finding(
    kind="race",
    detail="read and write of one shared word",
    file="in_numba.py",
    line=3,
    block=(0, 0, 0),
    thread=(1, 0, 0),
    other=Finding(kind="race", detail="", file="in_numba.py", line=4, block=(0, 0, 0), thread=(2, 0, 0)),
)
LINT = Finding(kind="division by zero", detail="x / 0", file="in_numba.py", line=3)


# -- cases ---------------------------------------------------------------------------------------------------------
def test_cases_cover_ragged_and_tiny_shapes_adversarial_inputs_and_seeds(make_catalogue):
    operation, rung = first(make_catalogue(RIGHT))
    quick = list(check.cases(operation, rung, full=False))
    assert [(case.sizes["n"], case.seed, case.adversarial) for case in quick] == [(1, 1, ""), (33, 1, ""), (64, 1, "")]
    full = list(check.cases(operation, rung, full=True))
    assert full[:3] == quick
    assert [(c.sizes["n"], c.seed, c.adversarial) for c in full[3:]] == [
        (33, 1, "hard"), (1, 2, ""), (33, 2, ""), (1, 3, ""), (33, 3, ""),
    ]  # fmt: skip
    assert {c.schedule for c in full} == {None, 2, 3}


def test_cases_leave_out_shapes_that_a_rung_does_not_serve(make_catalogue):
    op = catalogue.ROOT / "tests" / "engine" / "conftest.py"
    text = op.read_text().split("'''")[1].replace('"start here"', '"start here", when="n % 2 == 0"')
    operation, rung = first(make_catalogue(RIGHT, op=text))
    assert {case.sizes["n"] for case in check.cases(operation, rung, full=True)} == {64}


def test_every_rung_of_the_repository_has_cases():
    for operation, rung in catalogue.rungs():
        found = list(check.cases(operation, rung, full=True))
        assert len(found) >= 4, operation.rung_path(rung)
        assert counts.counted_case(operation, rung) in found


# -- verdicts ------------------------------------------------------------------------------------------------------
def run(root, backend, **more):
    return check.check_rung(*first(root), backend, root=root, **more)


def test_a_right_rung_passes_and_its_errors_are_told(make_catalogue):
    found = run(make_catalogue(RIGHT), Bare())
    assert found["verdict"] == "pass"
    assert found["cases"][0]["max_rel_err"] == 0.0
    assert all(case["findings"] == [] for case in found["cases"])


def test_wrong_values_carry_code_pattern_and_place(make_catalogue):
    found = run(make_catalogue(RIGHT.replace("2 * x", "3 * x", 1)), Bare())
    assert found["verdict"] == "fail"
    last = found["cases"][-1]["findings"][0]
    assert (last["code"], last["kind"], last["level"]) == ("C1", "values", "fail")
    assert found["reason"].startswith("1 of 1 wrong, first out[0] = ")


def test_a_stale_output_is_caught(make_catalogue):
    found = run(make_catalogue("def plain(x, factor, out):\n    out[:1].copy_(2 * x[:1])\n"), Bare())
    assert found["cases"][-1]["findings"][0]["code"] == "C3"
    assert found["cases"][-1]["shape"] == {"n": 33}


def test_writing_past_the_end_is_caught_by_the_band(make_catalogue):
    body = """
def plain(x, factor, out):
    out.copy_(2 * x)
    out.as_strided((1,), (1,), out.storage_offset() + out.numel()).fill_(1.0)
"""
    found = run(make_catalogue(body), Bare())
    assert "first element past its end" in found["reason"]


def test_changing_an_input_is_caught(make_catalogue):
    found = run(make_catalogue("def plain(x, factor, out):\n    x.mul_(2)\n    out.copy_(x)\n"), Bare())
    assert "the input x was changed" in found["reason"]


def test_inputs_are_drawn_anew_for_every_case(make_catalogue):
    """A kernel that returns its last result again is right once only."""
    body = """
kept = []

def plain(x, factor, out):
    kept.append(2 * x)
    out.copy_(kept[0][: out.numel()].expand(out.numel()) if kept[0].numel() == 1 else kept[0])
"""
    assert run(make_catalogue(body), Bare())["verdict"] == "fail"


def test_a_race_fails_though_the_values_are_right(make_catalogue):
    found = run(make_catalogue(RIGHT), Fake([RACE]))
    assert found["verdict"] == "fail"
    finding = found["cases"][0]["findings"][0]
    assert (finding["kind"], finding["level"], finding["line"]) == ("race", "fail", 3)
    assert "block 0, thread 1" in finding["message"]


def test_a_lint_is_told_and_fails_nothing(make_catalogue):
    found = run(make_catalogue(RIGHT), Fake([LINT]))
    assert found["verdict"] == "pass"
    assert found["cases"][0]["findings"][0]["level"] == "lint"


def test_what_ptxvm_cannot_execute_is_not_executed_and_not_compared(make_catalogue):
    found = run(make_catalogue(RIGHT), Fake(not_executed="ptxvm does not execute `wgmma` (PTX line 7)"))
    assert found["verdict"] == "not executed"
    assert "wgmma" in found["reason"]


def test_a_function_of_a_learner_can_be_judged_in_place_of_the_rungs_own(make_catalogue):
    def wrong(x, factor, out):
        out.zero_()

    found = run(make_catalogue(RIGHT), Bare(), function=wrong)
    assert found["cases"][-1]["findings"][0]["code"] in ("C1", "C2")


# -- explaining exceptions -----------------------------------------------------------------------------------------
def caught(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_faults_of_ptxvm_are_findings():
    fault = RuntimeError("fault")
    fault.finding = Finding(kind="out of bounds", detail="store of 4 bytes", file="k.py", line=9)
    found = Emulated.explain(Emulated.__new__(Emulated), fault, [])
    assert (found["kind"], found["level"], found["line"]) == ("out of bounds", "fault", 9)


def test_only_the_learners_file_is_blamed(tmp_path):
    file = tmp_path / "kernel.py"
    file.write_text("def f():\n    return 1 / 0\n")
    module = catalogue.load_file(file, "a_learners_kernel")
    finding = explain(caught(module.f), [file])
    assert finding["message"] == "kernel.py:2 raises ZeroDivisionError: division by zero"
    assert explain(caught(lambda: 1 / 0), [file]) is None
    assert explain(MemoryError(), [file]) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [("LaunchError", "launch refused"), ("CompilationError", "compile error"), ("TypingError", "compile error")],
)
def test_refused_launches_and_compile_errors_have_kinds_of_their_own(name, kind):
    error = type(name, (Exception,), {})("what is wrong")
    assert explain(error, [])["kind"] == kind


# -- counting and the cache ----------------------------------------------------------------------------------------
@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "cache")


@pytest.fixture(autouse=True)
def no_assembler(monkeypatch):
    monkeypatch.setattr(
        counts, "static", lambda launch, arch: {"kernel": launch.kernel, "regs": 10, "spill_bytes": 0, "smem_bytes": 64}
    )


def profiled(root, backend):
    return counts.profile_rung(*first(root), backend, root=root)


@pytest.mark.usefixtures("own_cache")
def test_a_profile_counts_the_tiny_shape_and_checks_the_ragged_ones(make_catalogue):
    found = profiled(make_catalogue(RIGHT), Fake())
    assert found["verdict"] == "pass"
    assert found["counted"]["shape"] == {"n": 64}
    assert found["counted"]["counts"] | {"requests": 4, "sectors": 16, "bytes_asked": 512} == found["counted"]["counts"]
    assert {case["shape"]["n"] for case in found["cases"]} == {1, 33, 64}
    assert not found["from_cache"]


@pytest.mark.usefixtures("own_cache")
def test_the_second_profile_executes_nothing_and_says_the_same(make_catalogue):
    root, backend = make_catalogue(RIGHT), Fake()
    before = profiled(root, backend)
    executed = backend.executed
    again = profiled(root, backend)
    assert backend.executed == executed == 3
    assert again["from_cache"]
    assert {**again, "from_cache": False} == before


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("what", ["ptx", "rung", "operation"])
def test_whatever_a_count_depends_on_makes_it_anew(make_catalogue, what):
    root, backend = make_catalogue(RIGHT), Fake()
    profiled(root, backend)
    executed = backend.executed
    if what == "ptx":
        backend.ptx = "// other ptx"
    elif what == "rung":
        (root / "double" / "in_numba.py").write_text(RIGHT.replace("2 * x", "x * 2"))
    else:
        story = root / "double" / "op.py"
        story.write_text(story.read_text() + "\n# another reference, perhaps\n")
    profiled(root, backend)
    assert backend.executed == executed + 3


@pytest.mark.usefixtures("own_cache")
def test_a_failure_is_cached_as_a_failure(make_catalogue):
    root, backend = make_catalogue(RIGHT), Fake([RACE])
    assert profiled(root, backend)["verdict"] == "fail"
    executed = backend.executed
    again = profiled(root, backend)
    assert again["verdict"] == "fail"
    assert backend.executed == executed == 1


@pytest.mark.usefixtures("own_cache")
def test_a_damaged_cache_file_is_no_result(make_catalogue, tmp_path):
    root, backend = make_catalogue(RIGHT), Fake()
    profiled(root, backend)
    for file in (tmp_path / "cache").rglob("*.json"):
        file.write_text("{ half")
    assert not profiled(root, backend)["from_cache"]
    assert backend.executed == 6


@pytest.mark.usefixtures("own_cache")
def test_compiled_but_not_executed_has_static_figures_and_no_counts(make_catalogue):
    found = profiled(make_catalogue(RIGHT), Fake(not_executed="ptxvm does not execute `wgmma`"))
    assert found["verdict"] == "not executed"
    assert found["counted"]["counts"] is None
    assert found["counted"]["launches"][0]["regs"] == 10


def test_the_key_changes_with_the_sources_of_ptxvm(monkeypatch):
    before = cache.key("x")
    monkeypatch.setattr(cache, "source_sha256", lambda: "other")
    assert cache.key("x") != before


def test_greatest_figures_are_unknown_if_one_is():
    assert counts.summary([{"regs": 3}, {"regs": 5}], "regs") == 5
    assert counts.summary([{"regs": 3}, {"regs": None}], "regs") is None
    assert counts.summary([], "regs") is None
