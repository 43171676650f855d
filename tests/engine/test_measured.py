"""A measured run from plan to table on a card that is not there (fake_card): every way that it can end."""

from __future__ import annotations

import re

import pytest
import torch

from tests.engine.fake_card import InProcess, fresh_process, other
from warpbench import cli, errors, profiling_run
from warpbench.measure import compare, files
from warpbench.measure import worker as measuring
from warpbench.report import compared, profiles


def rows(outcome):
    return {row["rung"].rpartition("/")[2]: row for row in outcome.rows}


# -- all is well ---------------------------------------------------------------------------------------------------
def test_a_run_from_plan_to_table(profile, capsys):
    outcome = profile()
    found = rows(outcome)
    assert list(found) == ["plain", "other", "newer", "rival"]
    assert [row["verdict"] for row in found.values()] == ["pass", "pass", "skipped", "pass"]
    assert found["other"]["seconds"] == pytest.approx(200e-6, rel=0.02)
    assert found["plain"]["torch_over_this"] == pytest.approx(0.8, rel=0.02)
    assert found["other"]["gbps"] == pytest.approx(2684, rel=0.02)
    assert found["other"]["share_theory"] == pytest.approx(2684 / 3352, rel=0.02)
    assert found["other"]["share_measured"] == pytest.approx(2684 / 2900, rel=0.05)
    assert found["other"]["sm_mhz"] == 1755
    assert profiles.exit_code(outcome) == errors.OK
    profiles.show(outcome, None)
    table = capsys.readouterr().out
    assert "NVIDIA H100 80GB HBM3 (9.0), power limit 650 W (default 700 W), driver 580.159.04" in outcome.headline
    for words in ("200 us", "250 us", "0.80", "1755 MHz", "80 %", "3 rungs: 2 pass, 1 not run", "It needs"):
        assert words in table, table


def test_the_record_is_sealed_and_holds_card_roofs_and_samples(profile):
    outcome = profile()
    record = files.read(outcome.path)
    assert record.complete
    gpu = record.run.gpu
    assert (gpu.cc, gpu.sm_count, gpu.power_limit_w, gpu.power_limit_default_w) == ((9, 0), 132, 650.0, 700.0)
    assert (gpu.nvml_max_sm_clock_mhz, gpu.pci_device_id, gpu.display_active) == (1980.0, "233010de", None)
    assert (record.run.driver_version, record.run.cuda_driver, record.run.foreign_processes) == (
        "580.159.04",
        "13.0",
        1,
    )
    assert {roof.kind for roof in record.roofs} == {"bw_theory", "flops_theory_rated", "bw_copy"}
    (samples,) = record.replicates["double/numba/other/f32/n=262144"]
    assert (samples.timer, samples.mode, samples.status, samples.checked_after) == ("event_sleep", "cold", "ok", True)
    assert len(samples.sm_mhz) == len(samples.t_us) == 30  # a time that never changes has converged at once
    assert (samples.stop, samples.temp_c_end, samples.pstate, samples.mem_mhz) == ("converged", 41.0, 0, 2619.0)
    assert samples.flush_bytes == 32 << 20


def test_keep_and_compare(profile, capsys):
    one, two = profile(), profile(other("CARD.launch(160e-6)\nright(x, out)"), name="edited")
    kept = profiling_run.keep(one)
    assert kept.read_bytes() == one.path.read_bytes()
    assert kept.parent.parent.name == "results"
    found = compare.compare(files.read(kept), files.read(two.path))
    ratios = {row["rung"]: row["b_over_a"] for row in found["rows"]}
    assert ratios["double/numba/other"] == pytest.approx(0.8, rel=0.02)
    assert ratios["double/numba/plain"] == pytest.approx(1.0, rel=0.01)
    assert ratios["double/numba/newer"] is None
    compared.show(found)
    assert "(edited)" in capsys.readouterr().out


def test_the_rest_of_a_run_leaves_out_what_has_a_verdict(profile):
    first = profile()
    again = profile(name="again", rest_of=(first.path,))
    assert [row["rung"] for row in again.rows] == ["double/numba/newer"]


def test_large_inputs_and_references_are_made_once_a_ladder(profile, monkeypatch):
    drawn = []
    outcome = profile(other("CARD.launch(200e-6)\nright(x, out)"), name="a")
    del outcome
    from warpbench import catalogue

    operation = catalogue.operations(profiling_run.Path(InProcess.asked[-1]["root"]))["double"]
    inputs = operation.inputs
    object.__setattr__(operation, "inputs", lambda *which: drawn.append(which[0]["n"]) or inputs(*which))
    fresh_process()
    root = profiling_run.Path(InProcess.asked[-1]["root"])
    profiles.run(profiling_run.Options(root=root), quiet=True)
    assert drawn.count(1 << 18) == 1


# -- dishonest and unlucky kernels -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "verdict", "words", "code"),
    [
        # right once, idle afterwards: what it wrote once lies there still
        ("if nth(out) == 1:\n    right(x, out)\nCARD.launch(200e-6)", "fail", "still hold the poison", errors.WRONG),
        # right where nothing stands yet, wrong where it is timed
        ("done = LARGE and bool(out[0] == 2 * x[0])\nCARD.launch(200e-6)\nright(x, out)\nif done:\n    out[5] = 0.0",
         "fail", "out[5]", errors.WRONG),
        # remembers by pointer that the work is done, redoes it when the answer is gone
        ("done = LARGE and bool(out[0] == 2 * x[0])\nCARD.launch(170e-6 if done else 400e-6)\nright(x, out)",
         "invalid", "did not do all of the work", errors.INVALID),
        ("CARD.launch(20e-6)\nCARD.launch(900e-6, 'side')\nright(x, out)",
         "invalid", "faster than the card's bandwidth allows", errors.INVALID),
        ("CARD.launch(200e-6)\nCARD.launch(900e-6, 'side')\nright(x, out)",
         "invalid", "some of the work runs on another stream", errors.INVALID),
        ("CARD.launch(30e-6)\nright(x, out)",
         "invalid", "30.0 us is faster than the card's bandwidth allows", errors.INVALID),
        ("CARD.launch(200e-6)\nright(x, out)\nif LARGE:\n    x[7] = 0.0", "fail", "x[7]", errors.WRONG),
        ("CARD.launch(200e-6)\nright(x, out)\nif LARGE:\n    raise IndexError('no such tile')", "fail",
         "raises IndexError: no such tile", errors.WRONG),
    ],
)  # fmt: skip
def test_a_kernel_that_cheats_or_fails_gives_no_time(profile, capsys, body, verdict, words, code):
    outcome = profile(other(body))
    found = rows(outcome)
    assert found["other"]["verdict"] == verdict
    assert found["other"]["seconds"] is None
    assert found["plain"]["verdict"] == "pass"
    assert profiles.exit_code(outcome) == code
    profiles.show(outcome, None)
    assert words in capsys.readouterr().out
    record = files.read(outcome.path)
    (case,) = (case for case in record.cases.values() if case.rung == "other")
    if verdict == "invalid":  # its samples are kept, with the reason
        assert words in record.replicates[case.case_id][0].warnings[0]
    else:
        assert case.case_id not in record.replicates


def test_a_launch_that_waits_for_the_card_has_host_time_in_it_and_says_so(profile):
    outcome = profile(other("CARD.launch(200e-6)\nCARD.synchronize()\nright(x, out)"))
    (samples,) = files.read(outcome.path).replicates["double/numba/other/f32/n=262144"]
    assert samples.timer == "event"
    assert "in 100 % of the samples the card waited for the host" in samples.warnings[0]


def test_a_slow_host_is_waited_for(profile):
    """500 us of the host for a launch: the wait grows until the card is later than that."""
    outcome = profile(other("CARD.launch(200e-6, host=500e-6)\nright(x, out)"))
    row = rows(outcome)["other"]
    assert row["seconds"] == pytest.approx(200e-6, rel=0.02)
    assert row["host_us"] == pytest.approx(500, rel=0.01)


def test_a_host_that_is_slower_in_the_samples_is_waited_for_after_the_first(profile):
    """The warm-up never saw 300 us: three samples are late until the wait has grown."""
    body = "CARD.launch(200e-6, host=300e-6 if LARGE and nth(out) > 45 else 5e-6)\nright(x, out)"
    outcome = profile(other(body))
    (samples,) = files.read(outcome.path).replicates["double/numba/other/f32/n=262144"]
    assert samples.timer == "event_sleep"
    assert sum(t > 201 for t in samples.t_us) == 3


def test_the_host_does_not_count_where_the_kernel_takes_a_hundred_times_longer(profile):
    outcome = profile(other("CARD.launch(0.5, host=700e-6) if LARGE else None\nright(x, out)"))
    (samples,) = files.read(outcome.path).replicates["double/numba/other/f32/n=262144"]
    assert (samples.timer, len(samples.t_us), samples.stop) == ("event_sleep", 5, "max_time")
    assert samples.warnings == ()


def test_a_host_that_is_late_by_a_little_is_told(h100):
    """The card is through with the kernel after the launch, but before the end event is queued."""
    from warpbench.measure.cache import Flusher
    from warpbench.measure.timer import Stopwatch

    watch = Stopwatch(Flusher(2 << 20, device="cpu"))
    watch.lap(lambda: None)
    wait = h100.streams["main"] - h100.host

    def just_late():  # begins as the card arrives: half a microsecond before the end event is queued
        ahead = h100.streams["main"] - h100.host
        h100.launch(0.1e-6, host=ahead - 0.5e-6)

    assert wait <= 0
    assert watch.lap(just_late).late


def test_a_slowed_card_gives_samples_and_no_time(profile, h100, capsys):
    h100.reasons = 0x40
    outcome = profile()
    assert {row["seconds"] for row in outcome.rows} == {None}
    profiles.show(outcome, None)
    assert "hardware thermal slowdown" in capsys.readouterr().out
    (samples,) = files.read(outcome.path).replicates["double/numba/other/f32/n=262144"]
    assert (samples.status, samples.event_reasons_and) == ("throttled", 0x40)


# -- what is the card's or the machine's fault ---------------------------------------------------------------------
NO_MEMORY = "raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 9.00 GiB. If reserved but ...')"


@pytest.mark.parametrize("when", ["LARGE", "True", "LARGE and nth(out) == 5"])
def test_too_little_memory_is_no_fault_of_the_kernel(profile, when):
    outcome = profile(other(f"CARD.launch(200e-6)\nright(x, out)\nif {when}:\n    {NO_MEMORY}"))
    row = rows(outcome)["other"]
    assert (row["verdict"], row["seconds"]) == ("skipped", None)
    assert row["reason"].endswith(
        "too little free memory for this shape: CUDA out of memory. Tried to allocate 9.00 GiB."
    )
    assert rows(outcome)["plain"]["verdict"] == "pass"
    assert profiles.exit_code(outcome) == errors.ENVIRONMENT


@pytest.mark.parametrize("when", ["True", "LARGE", "LARGE and nth(out) == 9"])
def test_an_error_that_cuda_does_not_recover_from_costs_one_rung(profile, capsys, when):
    """The rung behind it runs in a new process, and passes."""
    text = other(f"CARD.launch(200e-6)\nright(x, out)\nif {when}:\n    CARD.die()")
    outcome = profile(re.sub("def (plain|other)", lambda one: f"def {'other' if one[1] == 'plain' else 'plain'}", text))
    found = rows(outcome)
    assert found["plain"]["verdict"] == "fail"
    profiles.show(outcome, None)
    said = capsys.readouterr().out
    assert "the card stopped the kernel: CUDA error: an illegal memory access was encountered" in said
    assert found["other"]["verdict"] == "pass"


def test_a_rival_that_torch_does_not_offer_leaves_the_rungs_alone(profile, monkeypatch):
    from warpbench import catalogue

    def none(x):
        raise NotImplementedError("not for this type\nmore")

    profile()
    root = profiling_run.Path(InProcess.asked[-1]["root"])
    object.__setattr__(catalogue.operations(root)["double"], "rival", none)
    found = rows(profiles.run(profiling_run.Options(root=root), quiet=True))
    assert found["rival"]["reason"] == "double/torch/rival: torch does not offer it here: not for this type"
    assert found["other"]["torch_over_this"] is None
    assert found["other"]["verdict"] == "pass"


def test_without_a_copy_roof_nothing_is_timed(profile, h100, monkeypatch):
    monkeypatch.setattr(measuring, "measure_copy", lambda *_: 1 / 0)
    with pytest.raises(errors.MeasurementInvalid, match=r"copy roof was not measured.*Nothing was timed") as caught:
        profile()
    assert cli.explain(caught.value)[1] == errors.INVALID


def test_a_card_whose_memory_is_full_is_told_before_anything_is_timed(profile, h100, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(measuring, "measure_copy", full)
    with pytest.raises(errors.EnvironmentProblem, match="too little free memory"):
        profile()


def test_ctrl_c_seals_what_is_there(profile, monkeypatch, capsys):
    answers = InProcess.run

    def interrupted(self, tasks):
        for count, answer in enumerate(answers(self, tasks)):
            if count == 3:
                raise KeyboardInterrupt
            yield answer

    monkeypatch.setattr(InProcess, "run", interrupted)
    outcome = profile()
    assert outcome.interrupted
    assert profiles.exit_code(outcome) == errors.INTERRUPTED
    record = files.read(outcome.path)
    assert not record.complete
    assert [row["rung"].rpartition("/")[2] for row in outcome.rows if row["seconds"]] == ["plain", "rival"]
    profiles.show(outcome, None)
    assert "--rest-of" in capsys.readouterr().err
    assert profiles.plain(outcome, None)["interrupted"]
