"""Readings of NVML beside the samples, with an NVML of our own."""

from __future__ import annotations

import sys
import types

import pytest

from warpbench.measure.clocks import Gauge, Readings


class NoReading(Exception):
    """What an NVML raises for a reading that a card does not support."""


@pytest.fixture
def nvml(monkeypatch):
    """A card at 1800 MHz that gets a degree warmer with each look; its power cannot be read."""
    module = types.ModuleType("pynvml")
    heat = iter(range(40, 100))

    def unsupported(handle):
        raise NoReading

    module.NVMLError = NoReading
    module.NVML_CLOCK_SM, module.NVML_CLOCK_MEM, module.NVML_TEMPERATURE_GPU = 1, 2, 0
    module.nvmlInit = lambda: None
    module.nvmlDeviceGetHandleByUUID = lambda uuid: uuid
    module.nvmlDeviceGetClockInfo = lambda handle, which: {1: 1800, 2: 9501}[which]
    module.nvmlDeviceGetTemperature = lambda handle, sensor: next(heat)
    module.nvmlDeviceGetPowerUsage = unsupported
    module.nvmlDeviceGetCurrentClocksEventReasons = lambda handle: 0x4
    module.nvmlDeviceGetPerformanceState = lambda handle: 2
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


def readings(samples: int) -> Readings:
    gauge, taken = Gauge("GPU-1"), Readings()
    for _ in range(samples):
        gauge.after_sample(taken)
    return taken


def test_a_clock_a_sample_and_the_rest_at_every_tenth(nvml):
    fields = readings(25).fields()
    assert fields["sm_mhz"] == (1800.0,) * 25
    assert (fields["temp_c_start"], fields["temp_c_end"]) == (40.0, 42.0)
    assert (fields["mem_mhz"], fields["pstate"]) == (9501.0, 2)


def test_what_cannot_be_read_is_unknown_and_not_zero(nvml):
    fields = readings(3).fields()
    assert fields["power_w_mean"] is fields["power_w_max"] is None
    del nvml.nvmlDeviceGetCurrentClocksEventReasons  # an older package
    assert readings(3).fields()["event_reasons_or"] is None


def test_without_nvml_everything_is_unknown(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert set(readings(3).fields().values()) == {None}


def test_power_capping_is_no_throttling_and_heat_is(nvml):
    assert readings(1).throttled() == ""
    seen = iter([0x0, 0x44])
    nvml.nvmlDeviceGetCurrentClocksEventReasons = lambda handle: next(seen)
    hot = readings(11)
    assert hot.throttled() == "hardware thermal slowdown"
    assert (hot.fields()["event_reasons_or"], hot.fields()["event_reasons_and"]) == (0x44, 0)
