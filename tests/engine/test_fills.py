"""`warpbench inspect --all-cards`: which cards share a result, which have none or are refused; five side by side."""

from __future__ import annotations

import re

import pytest

from warpbench import catalogue, fills, hardware, inspection
from warpbench.measure import plan
from warpbench.report import all_cards

PLAIN = "vector_add/numba/one_thread_an_element"
FP8 = "gemm_fp8/triton/fp8_dot"
LAUNCH = {
    "kernel": "k", "entry": "k", "block": [256, 1, 1], "registers": 32, "spill_bytes": 0, "stack_bytes": 0,
    "static_shared_bytes": 1024, "dynamic_shared_bytes": 16, "barriers": 1, "blocks_per_sm": 6, "warps_per_sm": 48,
    "occupancy": 1.0, "limiters": ["threads"], "shared_bytes": 1040,
}  # fmt: skip


def compiled(tensor="HMMA.16816.F32", **more):
    launch = {**LAUNCH, **more}
    mix = [{"family": "MMA", "sass": 4}, {"family": "LDG", "sass": 2}, {"family": "MOV", "sass": 1},
           {"family": "IADD3", "sass": 93}, {"family": "STG", "sass": 0}]  # fmt: skip
    kernel = {
        "kernel": "k",
        "entry": "k",
        "problem": "",
        "target": "sm_86",
        "sass": {"mix": mix, "opcodes": {tensor: 4, "LDG.E": 2}},
    }
    return {"kernels": [kernel], "launches": [launch, launch]}


def able(rung):
    return [card for card in hardware.gpus().values() if not hardware.missing(card, plan.needs(rung))]


@pytest.fixture
def found(monkeypatch):
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
            if self.arch == "sm_120":
                return [(task, compiled("QMMA.16832.F32"))]
            if self.arch == "sm_90":
                return [(task, {"verdict": "fail", "reason": "no such target\nmore"})]
            return [(task, compiled(registers=64, blocks_per_sm=4) if self.arch == "sm_75" else compiled())]

    monkeypatch.setattr(fills, "Pool", Workers)
    found = fills.on_cards(*catalogue.select(PLAIN)[0], {"sm_86": compiled()}, None, 60.0)
    assert "sm_86" not in asked
    assert len(asked) == len(set(asked))
    return found


@pytest.fixture
def rows(found):
    return found["cards"]


def test_cards_with_one_result_share_a_row_and_each_card_is_told_once(rows):
    told = sorted(slug for row in rows for slug in row["cards"])
    assert told == sorted(card.slug for card in able(catalogue.select(PLAIN)[0][1]))
    assert len(rows) == 3
    common = next(row for row in rows if "8.6" in row["ccs"])
    assert {"8.0", "8.6", "8.9", "12.0"} <= set(common["ccs"])
    assert (common["registers"], common["problem"]) == (32, None)
    (turing,) = (row for row in rows if row["ccs"] == ["7.5"])
    assert (turing["registers"], turing["cards"]) == (64, ["t4"])


def test_what_does_not_compile_is_told_with_its_reason(rows, found, capsys):
    (hopper,) = (row for row in rows if row["ccs"] == ["9.0"])
    assert (hopper["registers"], hopper["problem"]) == (None, "no such target")
    all_cards.show(found)
    text = capsys.readouterr().out
    assert "(no figures: no such target)" in text
    assert "1,040" in text
    for row in rows:
        assert all(slug in text for slug in row["cards"])


def test_a_card_that_lacks_what_the_rung_needs_is_in_no_row(monkeypatch, capsys):
    monkeypatch.setattr(fills, "Pool", None)  # all that can run it are known
    operation, rung = catalogue.select(FP8)[0]
    found = fills.on_cards(operation, rung, {card.arch: compiled() for card in able(rung)}, None, 60.0)
    (row,) = found["cards"]
    assert "rtx_4090" in row["cards"]
    assert "rtx_3090" not in row["cards"]
    assert "8.6" not in found["kernels_by_cc"]
    assert "It needs FP8 tensor cores" in found["refused_by_cc"]["8.6"]
    all_cards.show(found)
    text = capsys.readouterr().out
    assert "Not for 7.5, 8.0, 8.6, 8.7: it needs FP8 tensor cores" in text
    assert re.search(r"^registers +- +32 +32 +32 +32$", text, re.M)


def test_five_architectures_stand_side_by_side(found, capsys):
    """What none has much of is counted as other; where it does not compile stands nothing."""
    all_cards.show(found)
    text = capsys.readouterr().out
    head = next(line for line in text.splitlines() if line.startswith("k  ") and "sm_86" in line)
    assert head.split() == ["k", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
    body = text.partition(head)[2].splitlines()[2:]
    cells = {row[0]: row[1:] for row in (re.split(r" {2,}", line.strip()) for line in body) if len(row) == 6}
    assert cells["HMMA.16816.F32"] == ["4", "4", "-", "4", "-"]
    assert cells["QMMA.16832.F32"] == ["-", "-", "-", "-", "4"]
    assert cells["LDG"] == ["2", "2", "-", "2", "2"]
    assert cells["IADD3"] == ["93", "93", "-", "93", "93"]
    assert cells["other"] == ["1", "1", "-", "1", "1"]
    assert cells["all instructions"] == ["100", "100", "-", "100", "100"]
    assert "STG" not in cells


@pytest.mark.slow
def test_the_tensor_instruction_of_a_real_rung_is_told_whole():
    rung = catalogue.select("gemm_fp8/triton/fp8_dot")[0]
    found = inspection.gather(rung, "rtx4090", sass=True)
    (kernel,) = found["kernels"]
    assert set(all_cards.tensor_instructions(kernel["sass"]["opcodes"])) == {"QMMA.16832.F32.E4M3.E4M3"}
