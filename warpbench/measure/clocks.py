"""What NVML says of a card while it is timed: clocks, temperature, power, and why it is slower than it could be.

Clocks are read, never set. A card may not support a reading: it is None then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# nvml.h, "Clocks event reasons": what makes samples worthless. Power capping (0x4) is normal in dense arithmetic.
THROTTLED = {0x8: "hardware slowdown", 0x20: "software thermal slowdown", 0x40: "hardware thermal slowdown",
             0x80: "power brake"}  # fmt: skip


@dataclass
class Readings:
    """Readings of one replicate, in the order of its samples."""

    sm_mhz: list[float | None] = field(default_factory=list)
    temp_c: list[float | None] = field(default_factory=list)
    power_w: list[float | None] = field(default_factory=list)
    reasons: list[int | None] = field(default_factory=list)
    mem_mhz: float | None = None
    pstate: int | None = None

    def fields(self) -> dict[str, Any]:
        """As the fields of a replicate record."""
        reasons = [one for one in self.reasons if one is not None]
        power = [one for one in self.power_w if one is not None]
        either, both = 0, -1
        for one in reasons:
            either, both = either | one, both & one
        clocks = tuple(one for one in self.sm_mhz if one is not None)
        return {
            "sm_mhz": clocks if clocks and len(clocks) == len(self.sm_mhz) else None,
            "mem_mhz": self.mem_mhz,
            "temp_c_start": self.temp_c[0] if self.temp_c else None,
            "temp_c_end": self.temp_c[-1] if self.temp_c else None,
            "power_w_mean": round(sum(power) / len(power), 1) if power else None,
            "power_w_max": max(power, default=None),
            "event_reasons_or": either if reasons else None,
            "event_reasons_and": both if reasons else None,
            "pstate": self.pstate,
        }

    def throttled(self) -> str:
        """What slowed the card down while it was timed, in words; empty if nothing did."""
        seen = self.fields()["event_reasons_or"] or 0
        return " and ".join(name for bit, name in THROTTLED.items() if seen & bit)


class Gauge:
    """NVML's view of the card with this UUID. Without NVML every reading is None."""

    def __init__(self, uuid: str) -> None:
        self._nvml: Any = None
        try:
            import pynvml

            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        except Exception:  # no package, no driver, a part of a card: nothing can be read
            return
        self._nvml = pynvml

    def after_sample(self, readings: Readings) -> None:
        """The SM clock, while the card is still at it; the slower readings at every tenth sample."""
        readings.sm_mhz.append(self._read("nvmlDeviceGetClockInfo", "NVML_CLOCK_SM"))
        if len(readings.sm_mhz) % 10 == 1:
            readings.temp_c.append(self._read("nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU"))
            milliwatts = self._read("nvmlDeviceGetPowerUsage")
            readings.power_w.append(None if milliwatts is None else milliwatts / 1e3)
            reasons = self._read("nvmlDeviceGetCurrentClocksEventReasons")
            readings.reasons.append(None if reasons is None else int(reasons))
            readings.mem_mhz = self._read("nvmlDeviceGetClockInfo", "NVML_CLOCK_MEM")
            state = self._read("nvmlDeviceGetPerformanceState")
            readings.pstate = None if state is None else int(state)

    def facts(self) -> dict[str, Any]:
        """What holds for a whole run, as fields of a card's record."""
        default = self._read("nvmlDeviceGetPowerManagementDefaultLimit")
        allowed = self._ask("nvmlDeviceGetPowerManagementLimitConstraints")
        bus = self._ask("nvmlDeviceGetPciInfo")
        gen, width = (self._read(f"nvmlDeviceGetCurrPcieLink{one}") for one in ("Generation", "Width"))
        display, persistence = (self._read(f"nvmlDeviceGet{one}Mode") for one in ("Display", "Persistence"))
        return {
            "vbios": self._ask("nvmlDeviceGetVbiosVersion"),
            "pci_device_id": None if bus is None else f"{bus.pciDeviceId:08x}",
            "pci_subsystem_id": None if bus is None else f"{bus.pciSubSystemId:08x}",
            "display_active": None if display is None else bool(display),
            "persistence_mode": None if persistence is None else bool(persistence),
            "nvml_max_sm_clock_mhz": self._read("nvmlDeviceGetMaxClockInfo", "NVML_CLOCK_SM"),
            "nvml_max_mem_clock_mhz": self._read("nvmlDeviceGetMaxClockInfo", "NVML_CLOCK_MEM"),
            "power_limit_default_w": None if default is None else default / 1e3,
            "power_limit_max_w": None if allowed is None else allowed[1] / 1e3,
            "pcie_gen": None if gen is None else int(gen),
            "pcie_width": None if width is None else int(width),
        }

    def _read(self, function: str, *constants: str) -> float | None:
        value = self._ask(function, *constants)
        return None if value is None else float(value)

    def _ask(self, function: str, *constants: str) -> Any:
        if self._nvml is None:
            return None
        try:
            arguments = [getattr(self._nvml, name) for name in constants]
            return getattr(self._nvml, function)(self._handle, *arguments)
        except (self._nvml.NVMLError, AttributeError):  # the card or the package does not know it
            return None
