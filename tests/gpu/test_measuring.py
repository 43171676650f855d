"""The measuring worker on a card: dishonest rungs give no time."""

from __future__ import annotations

import pytest

from warpbench import catalogue
from warpbench.measure.worker import measure_case

SHAPE = {"n": 1 << 26}


@pytest.fixture(scope="module")
def target(card):
    from warpbench.targets import Card

    return Card()


def measure(monkeypatch, target, card, function):
    """Measure `function` in place of a vector addition."""
    operation, rung = catalogue.select("vector_add/triton/eight_elements_a_thread")[0]
    monkeypatch.setattr(catalogue, "function", lambda *_: function)
    task = {
        "rung": operation.rung_path(rung), "shape": SHAPE, "dtype": "f32", "seed": 1, "uuid": card.uuid,
        "l2_bytes": card.l2_bytes, "integrated": card.integrated, "quick": True,
    }  # fmt: skip
    return measure_case(operation, rung, target, task)


def honest(x, y, out):
    import torch

    torch.add(x, y, out=out)


def test_an_honest_one_passes(monkeypatch, target, card):
    answer = measure(monkeypatch, target, card, honest)
    assert answer["verdict"] == "pass", answer["reason"]
    assert answer["sample"]["status"] == "ok"


def test_one_that_writes_only_the_first_times(monkeypatch, target, card):
    """Right while it is checked, idle while it is timed: stale outputs are taken for results."""
    calls = {}

    def stale(x, y, out):
        calls[out.data_ptr()] = calls.get(out.data_ptr(), 0) + 1
        if calls[out.data_ptr()] == 1:
            honest(x, y, out)

    answer = measure(monkeypatch, target, card, stale)
    assert answer["verdict"] == "fail", answer


def test_one_that_works_on_another_stream(monkeypatch, target, card):
    """No event sees the other stream: the time of the launch is not the time of the work."""
    import torch

    side = torch.cuda.Stream()

    def aside(x, y, out):
        with torch.cuda.stream(side):
            torch.add(x, y, out=out)

    answer = measure(monkeypatch, target, card, aside)
    assert answer["verdict"] == "fail" or answer["sample"]["status"] == "invalid", answer
