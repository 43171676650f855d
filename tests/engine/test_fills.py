"""`warpbench inspect --cards`: which cards share a result, which are told to have none, and which are left out."""

from __future__ import annotations

import pytest

from warpbench import catalogue, fills, hardware
from warpbench.measure import plan
from warpbench.report import inspected

PLAIN = "vector_add/numba/one_thread_an_element"
FP8 = "gemm_fp8/triton/fp8_dot"
LAUNCH = {
    "kernel": "k", "entry": "k", "block": [256, 1, 1], "registers": 32, "spill_bytes": 0, "stack_bytes": 0,
    "static_shared_bytes": 1024, "dynamic_shared_bytes": 16, "barriers": 1, "blocks_per_sm": 6, "warps_per_sm": 48,
    "occupancy": 1.0, "limiters": ["threads"],
}  # fmt: skip


def compiled(**more):
    launch = {**LAUNCH, **more}
    return {"kernels": [{"entry": "k", "problem": ""}], "launches": [launch, launch]}


def able(rung):
    return [card for card in hardware.gpus().values() if not hardware.missing(card, plan.needs(rung))]


@pytest.fixture
def rows(monkeypatch):
    """Turing has other registers than the rest, Hopper's compiler refuses, Ampere is known already."""
    asked = []

    class Workers:
        def __init__(self, kind, workers, limit_s):
            self.arch = kind.removeprefix("emulated:")

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def run(self, tasks):
            (task,) = tasks
            asked.append(self.arch)
            assert (task["execute"], f"sm_{task['cc'].replace('.', '')}") == (False, self.arch)
            if self.arch == "sm_90":
                return [(task, {"verdict": "fail", "reason": "no such target\nmore"})]
            return [(task, compiled(registers=64, blocks_per_sm=4) if self.arch == "sm_75" else compiled())]

    monkeypatch.setattr(fills, "Pool", Workers)
    found = fills.on_cards(*catalogue.select(PLAIN)[0], {"sm_86": compiled()}, None, 60.0)
    assert "sm_86" not in asked
    assert len(asked) == len(set(asked))
    return found


def test_cards_with_one_result_share_a_row_and_each_card_is_told_once(rows):
    told = sorted(slug for row in rows for slug in row["cards"])
    assert told == sorted(card.slug for card in able(catalogue.select(PLAIN)[0][1]))
    assert len(rows) == 3
    common = next(row for row in rows if "8.6" in row["ccs"])
    assert {"8.0", "8.6", "8.9", "12.0"} <= set(common["ccs"])
    assert (common["registers"], common["problem"]) == (32, None)
    (turing,) = (row for row in rows if row["ccs"] == ["7.5"])
    assert (turing["registers"], turing["cards"]) == (64, ["t4"])


def test_what_does_not_compile_is_told_with_its_reason(rows, capsys):
    (hopper,) = (row for row in rows if row["ccs"] == ["9.0"])
    assert (hopper["registers"], hopper["problem"]) == (None, "no such target")
    inspected._cards(rows)
    text = capsys.readouterr().out
    assert "(no figures: no such target)" in text
    assert "1,040" in text
    for row in rows:
        assert all(slug in text for slug in row["cards"])


def test_a_card_that_lacks_what_the_rung_needs_is_in_no_row(monkeypatch):
    monkeypatch.setattr(fills, "Pool", None)  # all that can run it are known
    operation, rung = catalogue.select(FP8)[0]
    (row,) = fills.on_cards(operation, rung, {card.arch: compiled() for card in able(rung)}, None, 60.0)
    assert "rtx_4090" in row["cards"]
    assert "rtx_3090" not in row["cards"]
