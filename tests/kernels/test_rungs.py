"""Every rung of the catalogue: right on ptxvm, compiled for every architecture, and true to its ladder."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest

from warpbench import catalogue, check, counts, hardware
from warpbench.measure import plan

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_120")
CARD = hardware.gpu("rtx3090")
RUNGS = catalogue.rungs()
RUNNABLE = [(operation, rung) for operation, rung in RUNGS if not hardware.missing(CARD, rung.needs)]
# in the slow part, which runs them too: seconds of compiling
DEAR = {"attention/numba/three_kernels", "attention/numba/fused_online", "attention/triton/fused_online"}
COUNTED = [(operation, rung) for operation, rung in RUNNABLE if rung.counts]


def path_of(pair) -> str:
    return pair[0].rung_path(pair[1])


# -- right -----------------------------------------------------------------------------------------------------------
def assert_passes(operation, rung, emulated, full):
    found = check.check_rung(operation, rung, emulated, full=full)
    assert found["verdict"] == "pass", found["reason"]
    for case in found["cases"]:
        if "seed" in case["case"]:  # of adversarial inputs the answer may hold no finite number
            assert case["max_abs_err"] is not None
    assert len(found["cases"]) >= 2


@pytest.mark.parametrize(
    "pair",
    [pytest.param(pair, marks=pytest.mark.slow if path_of(pair) in DEAR else ()) for pair in RUNNABLE],
    ids=map(path_of, RUNNABLE),
)
def test_right_at_tiny_and_ragged_shapes(pair, emulated):
    assert_passes(*pair, emulated, full=False)


@pytest.mark.slow
@pytest.mark.parametrize("pair", RUNNABLE, ids=path_of)
def test_right_under_shuffled_schedules_and_with_adversarial_inputs(pair, emulated):
    assert_passes(*pair, emulated, full=True)


@pytest.mark.slow
@pytest.mark.parametrize("arch", [arch for arch in ARCHITECTURES if arch != "sm_86"])
def test_right_on_other_architectures(arch):
    """Each in workers of its own; what ptxvm cannot execute there must be said, never wrong."""
    from warpbench.pool import Pool

    card = next((gpu for gpu in hardware.gpus().values() if gpu.arch == arch), None)
    picks = [(o, r) for o, r in RUNGS if card is None or not hardware.missing(card, r.needs)]
    tasks = [{"task": "check", "rung": o.rung_path(r), "full": False} for o, r in picks if card or not r.needs]
    with Pool(f"emulated:{arch}", 1, limit_s=300) as pool:
        answers = {task["rung"]: answer for task, answer in pool.run(tasks)}
    assert len(answers) >= 50
    bad = {rung: a["reason"] for rung, a in answers.items() if a["verdict"] not in ("pass", "not executed")}
    assert not bad
    unexecuted = {rung for rung, a in answers.items() if a["verdict"] == "not executed"}
    assert all("does not execute" in answers[rung]["reason"] for rung in unexecuted)
    assert len(unexecuted) <= 3, sorted(unexecuted)


# -- the gate --------------------------------------------------------------------------------------------------------
def test_what_an_rtx_3090_lacks_is_refused_in_four_facts():
    refused = plan.make(RUNGS, CARD).refused
    assert {r.operation.rung_path(r.rung) for r in refused} >= {
        "gemm_fp8/triton/fp8_dot", "copy_2d/triton/tensor_descriptors",
    }  # fmt: skip
    for one in refused:
        sentence = one.sentence
        assert "was not run" in sentence
        assert "It needs" in sentence
        assert "GeForce RTX 3090 (8.6)" in sentence
        assert "Nearest rung that runs here: " in sentence


@pytest.mark.parametrize(
    ("slug", "fp8", "tma"), [("rtx4090", True, False), ("h100_sxm", True, True), ("rtx5090", True, True)]
)
def test_newer_cards_run_what_they_have(slug, fp8, tma):
    runs = {operation.rung_path(rung) for operation, rung in plan.make(RUNGS, hardware.gpu(slug)).runs}
    assert ("gemm_fp8/triton/fp8_dot" in runs) == fp8
    assert ("copy_2d/triton/tensor_descriptors" in runs) == tma


# -- compiled, and true to the ladder --------------------------------------------------------------------------------
@cache
def compiled(arch: str, *operations: str) -> dict:
    """Of every rung (of these operations) that the architecture can run (tests/kernels/claims.py)."""
    command = [sys.executable, "-m", "tests.kernels.claims", arch, *operations]
    done = subprocess.run(command, capture_output=True, text=True, cwd=catalogue.ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "arch", [arch if arch == "sm_86" else pytest.param(arch, marks=pytest.mark.slow) for arch in ARCHITECTURES]
)
def test_compiles_and_shows_what_the_ladder_claims(arch):
    rows = compiled(arch)
    assert len(rows) >= 50
    failed = {rung: row["compiled"] for rung, row in rows.items() if isinstance(row["compiled"], str)}
    assert not failed
    claims = [(rung, claim, *found) for rung, row in rows.items() for claim, found in row["claims"].items()]
    assert len(claims) >= 15
    for rung, claim, here, below in claims:
        assert here, f"{rung} claims `{claim}` for {arch}, but no instruction of its PTX holds these words"
        assert not below, f"{rung} claims `{claim}` for {arch}, but the rung below has it too"


@pytest.mark.parametrize(
    ("arch", "tma"),
    [
        pytest.param("sm_89", False, marks=pytest.mark.slow),
        pytest.param("sm_90", True, marks=pytest.mark.slow),
        ("sm_120", True),
    ],
)
def test_gated_rungs_are_compiled_where_their_cards_are(arch, tma):
    rows = compiled(arch, "gemm_fp8", "copy_2d")
    assert not [row["compiled"] for row in rows.values() if isinstance(row["compiled"], str)]
    assert "gemm_fp8/triton/fp8_dot" in rows
    assert ("copy_2d/triton/tensor_descriptors" in rows) == tma


@pytest.mark.parametrize("pair", COUNTED, ids=path_of)
def test_counts_less_than_the_rung_below(pair, emulated):
    """`counts` names a counter that the rung lowers, at the shape where claims are proved."""
    operation, rung = pair
    own = [one for one in operation.ladder if one.dsl == rung.dsl]
    below = own[own.index(rung) - 1]
    here, there = (total(operation, one, emulated, rung.counts) for one in (rung, below))
    assert 0 <= here < there, f"{rung.counts}: {here} here, {there} in {below.name}"


def total(operation, rung, emulated, counter: str) -> int:
    case = counts.counted_case(operation, rung)
    judged, launches = check.run_case(operation, rung, catalogue.function(operation, rung), case, emulated)
    assert judged["verdict"] == "pass", judged["findings"]
    return sum(getattr(launch.report.counters, counter) for launch in launches)
