"""Which NVIDIA cards are plugged in, which of them this project can use, and, if none, why not and what to do.

Names, clocks and sizes come from the CUDA driver; power limit, ECC and MIG from NVML. Asking initialises CUDA in this
process (no context, no device memory): ask before or instead of forking, never in a process that forks CUDA workers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpbench.hardware import peaks
from warpbench.hardware.cards import Gpu
from warpbench.hardware.features import older
from warpbench.hardware.match import Said, from_driver, match
from warpbench.hardware.tables import capability

# CUDA 13.0 release notes, table "CUDA Toolkit and minimum required driver": 580 on Linux.
LEAST_DRIVER = 580
# CUDA 13.0 compiles for 7.5 and newer: ptxas refuses 6.x and 7.0.
LEAST_CC = "7.5"


@dataclass(frozen=True)
class DetectedGpu:
    """One plugged-in card as its driver describes it. None means that the driver does not say.

    gpu        the row of the catalogue, or one made of what the driver reports for a card that is not in it
    problem    why this card cannot be used, as sentences; empty if it can
    """

    index: int
    uuid: str
    name: str
    cc: str
    sm_count: int
    memory_bytes: int
    gpu: Gpu
    catalogued: bool
    clock_mhz: float | None
    memory_clock_mhz: float | None
    memory_bus_bits: int | None
    l2_bytes: int | None
    integrated: bool
    driver: str
    power_limit_watts: float | None = None
    ecc: bool | None = None
    partitioned: bool = False  # MIG: attributes are those of the whole card
    problem: str = ""

    @property
    def slug(self) -> str:
        return self.gpu.slug

    @property
    def arch(self) -> str:
        return self.gpu.arch

    @property
    def bandwidth_gbps(self) -> float | None:
        """Theoretical DRAM bandwidth by the driver's clock and bus, in GB/s; None for a part of a card."""
        if self.partitioned or not self.memory_clock_mhz or not self.memory_bus_bits:
            return None
        return peaks.bandwidth_gbps(self.memory_clock_mhz * 1e3, self.memory_bus_bits, self.integrated)


@dataclass(frozen=True)
class Detection:
    """What was found. Iterates over the cards.

    reason    why no card can be used, as sentences with the way out; empty if one can
    broken    a card or its driver is there but unusable (exit 3), not simply absent
    driver    the driver's version, empty if there is none
    """

    gpus: tuple[DetectedGpu, ...] = ()
    reason: str = ""
    broken: bool = False
    driver: str = ""

    def __iter__(self) -> Iterator[DetectedGpu]:
        return iter(self.gpus)

    def __len__(self) -> int:
        return len(self.gpus)

    @property
    def usable(self) -> tuple[DetectedGpu, ...]:
        """The cards that can be used, in the driver's order."""
        return () if self.reason else tuple(card for card in self.gpus if not card.problem)


def detect() -> Detection:
    """The cards of this machine. Never raises: whatever is in the way becomes `reason`."""
    try:
        import pynvml
    except ImportError:
        return Detection(reason="nvidia-ml-py is not installed, so no card can be looked for: make setup.", broken=True)
    return ask(pynvml, _cuda_driver)


def ask(nvml: Any, cuda: Any) -> Detection:
    """Detection by these two modules: pynvml, and a function that imports cuda.bindings.driver."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return _without_driver(nvml, error)
    version = _text(nvml.nvmlSystemGetDriverVersion())
    names = _nvml_names(nvml)
    if not names:
        return Detection(reason=f"the driver {version} sees no NVIDIA card.", driver=version)
    if not _new_enough(version):
        return Detection(reason=_too_old(version, names), broken=True, driver=version)
    try:
        driver = cuda()
        problem = _cuda_problem(driver)
        if problem:
            return Detection(reason=problem, broken=not _hidden(), driver=version)
        cards = tuple(_device(driver, nvml, index, version) for index in range(_call(driver.cuDeviceGetCount())))
    except ImportError:
        reason = "cuda-bindings is not installed, so the card cannot be asked: make setup."
        return Detection(reason=reason, broken=True, driver=version)
    except Exception as error:  # an extension module that cannot load its library raises what it likes
        detail = str(error).strip().partition("\n")[0] or type(error).__name__
        return Detection(
            reason=f"the driver {version} is there, but CUDA does not start: {detail.rstrip('.')}. See: nvidia-smi.",
            broken=True,
            driver=version,
        )
    if cards and all(card.problem for card in cards):
        return Detection(cards, reason=" ".join(card.problem for card in cards), broken=True, driver=version)
    return Detection(cards, driver=version)


def _cuda_driver() -> Any:
    from cuda.bindings import driver

    return driver


def _without_driver(nvml: Any, error: Any) -> Detection:
    """NVML did not start: no driver, a driver that is not loaded, or one that was replaced while it ran."""
    code = getattr(error, "value", None)
    plugged = plugged_in()
    hint = ""
    if in_wsl():
        hint = " Under WSL 2 the driver is installed in Windows, not in Linux; then run `wsl --shutdown` in Windows."
    elif plugged:
        hint = f" Install NVIDIA's driver {LEAST_DRIVER} or newer."
    here = "an NVIDIA card is plugged in, but " if plugged else ""
    if code == nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return Detection(reason=f"{here}no NVIDIA driver was found.{hint}")
    if code == nvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return Detection(reason=f"{here}NVIDIA's driver is not loaded.{hint}", broken=plugged)
    if code == nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        reason = "NVIDIA's driver was updated while it ran, and its two halves no longer match. Restart the machine."
        return Detection(reason=reason, broken=True)
    return Detection(reason=f"NVIDIA's driver does not answer: {str(error).rstrip('.')}. See: nvidia-smi.", broken=True)


def _new_enough(version: str) -> bool:
    major = version.partition(".")[0]
    return not major.isdecimal() or int(major) >= LEAST_DRIVER


def _too_old(version: str, names: list[str]) -> str:
    where = " in Windows" if in_wsl() else ""
    return (
        f"{names[0]} is here with driver {version}; CUDA 13 needs {LEAST_DRIVER} or newer. "
        f"Nothing can run on the card. Update the driver{where}."
    )


def _hidden() -> bool:
    return "CUDA_VISIBLE_DEVICES" in os.environ


def _cuda_problem(driver: Any) -> str:
    """Why CUDA does not start, as sentences; empty if it does."""
    code = driver.cuInit(0)[0]
    if int(code) == 0 and _call(driver.cuDeviceGetCount()) > 0:
        return ""
    if int(code) in (0, int(driver.CUresult.CUDA_ERROR_NO_DEVICE)):
        if _hidden():
            value = os.environ["CUDA_VISIBLE_DEVICES"]
            return f"CUDA_VISIBLE_DEVICES={value!r} hides every card. Unset it, or name one: CUDA_VISIBLE_DEVICES=0."
        return "the driver sees a card, CUDA sees none. See: nvidia-smi."
    return f"CUDA does not start: {code.name}. See: nvidia-smi."


def _device(driver: Any, nvml: Any, index: int, version: str) -> DetectedGpu:
    """One card, by CUDA's numbering (which CUDA_VISIBLE_DEVICES changes)."""
    handle = _call(driver.cuDeviceGet(index))
    attribute = driver.CUdevice_attribute

    def get(name: str) -> int:
        return int(_call(driver.cuDeviceGetAttribute(getattr(attribute, f"CU_DEVICE_ATTRIBUTE_{name}"), handle)))

    name = _text(_call(driver.cuDeviceGetName(128, handle))).strip("\0 ")
    cc = f"{get('COMPUTE_CAPABILITY_MAJOR')}.{get('COMPUTE_CAPABILITY_MINOR')}"
    uuid = _uuid(bytes(_call(driver.cuDeviceGetUuid(handle)).bytes))
    sm_count, memory_bytes = get("MULTIPROCESSOR_COUNT"), int(_call(driver.cuDeviceTotalMem(handle)))
    said: Said = {
        "clock_mhz": get("CLOCK_RATE") / 1e3 or None,
        "memory_clock_mhz": get("MEMORY_CLOCK_RATE") / 1e3 or None,
        "memory_bus_bits": get("GLOBAL_MEMORY_BUS_WIDTH") or None,
        "l2_bytes": get("L2_CACHE_SIZE") or None,
        "integrated": bool(get("INTEGRATED")),
    }
    watts, ecc, partitioned = _nvml_facts(nvml, uuid)
    partitioned = partitioned or " MIG " in name
    row = None if partitioned else match(name, cc, sm_count, memory_bytes)
    problem = ""
    if capability(cc) < capability(LEAST_CC):
        problem = f"{name} ({cc}) is older than what CUDA 13 compiles for ({LEAST_CC}). Nothing can run on it here."
        if row is not None and cc in older():
            problem += f" What works on it: warpbench features --gpu {row.slug}"
    return DetectedGpu(
        index=index,
        uuid=uuid,
        name=name,
        cc=cc,
        sm_count=sm_count,
        memory_bytes=memory_bytes,
        gpu=row or from_driver(name, cc, sm_count, memory_bytes, partitioned=partitioned, **said),
        catalogued=row is not None,
        driver=version,
        power_limit_watts=watts,
        ecc=ecc,
        partitioned=partitioned,
        problem=problem,
        **said,
    )


def _nvml_facts(nvml: Any, uuid: str) -> tuple[float | None, bool | None, bool]:
    """Power limit in watts, ECC on, MIG on; None where NVML does not say. No handle by this UUID: it is a MIG part."""
    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
    except nvml.NVMLError as error:
        return None, None, getattr(error, "value", None) == nvml.NVML_ERROR_NOT_FOUND

    def maybe(function: Any) -> Any:
        try:
            return function(handle)
        except nvml.NVMLError:
            return None

    milliwatts = maybe(nvml.nvmlDeviceGetEnforcedPowerLimit)
    ecc = maybe(nvml.nvmlDeviceGetEccMode)
    mig = maybe(nvml.nvmlDeviceGetMigMode)
    return (
        None if milliwatts is None else milliwatts / 1e3,
        None if ecc is None else bool(ecc[0]),
        mig is not None and bool(mig[0]),
    )


def _nvml_names(nvml: Any) -> list[str]:
    try:
        count = nvml.nvmlDeviceGetCount()
        return [_text(nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(index))) for index in range(count)]
    except nvml.NVMLError:
        return ["an NVIDIA card"]


def _call(result: tuple[Any, ...]) -> Any:
    """The value of a driver call (code, value); RuntimeError with the code's name if it failed."""
    if int(result[0]) != 0:
        raise RuntimeError(str(getattr(result[0], "name", result[0])))
    return result[1]


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _uuid(raw: bytes) -> str:
    """NVML's spelling of a UUID of CUDA's: GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx."""
    digits = raw.hex()
    return "GPU-" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def in_wsl() -> bool:
    """Whether this is Linux inside Windows."""
    try:
        return "microsoft" in Path("/proc/version").read_text(encoding="utf-8").lower()
    except OSError:
        return False


def plugged_in() -> bool:
    """Whether the PCI bus holds an NVIDIA display or compute device (vendor 10de, class 03), driver or not."""
    for device in Path("/sys/bus/pci/devices").glob("*"):
        try:
            vendor = (device / "vendor").read_text(encoding="ascii").strip()
            kind = (device / "class").read_text(encoding="ascii").strip()
        except OSError:
            continue
        if vendor == "0x10de" and kind.startswith("0x03"):
            return True
    return False
