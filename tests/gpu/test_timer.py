"""The timer on a card: an empty kernel, a copy of known size, a spin of known length, the same thing twice."""

from __future__ import annotations

import math

from warpbench.measure import roofline, statistics, timer


def _empty():
    import cupy

    kernel = cupy.RawKernel('extern "C" __global__ void nothing() {}', "nothing")
    return lambda: kernel((1,), (32,), ())


def test_an_empty_kernel_takes_a_few_microseconds(watch):
    samples = timer.sample(_empty(), watch)
    assert samples.timer == "event_sleep", samples.warnings
    assert 0.5e-6 < statistics.median(samples.seconds) < 8e-6


def test_a_copy_of_a_gibibyte_reaches_the_roof_and_no_more(card, watch):
    roof = roofline.measure_copy(watch, card.l2_bytes)
    assert card.bandwidth_gbps, "the driver says neither clock nor bus"
    assert 0.75 < roof["value"] / card.bandwidth_gbps < 1.01


def test_a_spin_takes_as_long_as_its_cycles(watch):
    """clock64 against events: 4 million cycles at the clock that clock64 and globaltimer give together."""
    import cupy

    from tests.gpu.harness_facts import kernels

    spin, out = kernels().get_function("spin"), cupy.zeros(4, dtype=cupy.int64)
    cycles = 40_000_000
    lap = watch.lap(lambda: spin((1,), (1,), (out, cupy.int64(cycles))))
    begin, end, started, ended = (int(v) for v in out.get())
    assert cycles <= end - begin < cycles * 1.001
    assert math.isclose(lap.device, (ended - started) / 1e9, rel_tol=0.01)


def test_the_same_thing_twice_takes_the_same_time(watch):
    import torch

    x, y, out = (torch.randn(1 << 26, device="cuda") for _ in range(3))
    medians = [statistics.median(timer.sample(lambda: torch.add(x, y, out=out), watch).seconds) for _ in range(6)]
    assert max(medians) / min(medians) < 1.02


def test_a_launch_that_waits_for_the_card_is_told_apart(watch):
    """A rung that synchronises cannot be held back: host time is in its samples, and they say so."""
    import torch

    x = torch.ones(1 << 20, device="cuda")
    samples = timer.sample(lambda: x.sum().item(), watch, *timer.QUICK)
    assert samples.timer == "event"
    assert any("waited for the host" in warning for warning in samples.warnings)
