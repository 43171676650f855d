"""What is said of each state that a machine's driver and cards can be in? The driver's packages are played here."""

from __future__ import annotations

import enum
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from warpbench import doctor, hardware
from warpbench.hardware import detect as _function  # the name of the module is that of its function

detect = sys.modules["warpbench.hardware.detect"]
UUID = bytes(range(16))
ONE = "NVIDIA GeForce RTX 3090"
SPELT = "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"


class Code(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_UNKNOWN = 999


class NvmlError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"code {value}.")
        self.value = value


class Nvml:
    """As much of pynvml as is asked for. `fails` is the code that nvmlInit fails with."""

    NVMLError = NvmlError
    NVML_ERROR_NOT_FOUND, NVML_ERROR_DRIVER_NOT_LOADED = 6, 9
    NVML_ERROR_LIBRARY_NOT_FOUND, NVML_ERROR_LIB_RM_VERSION_MISMATCH = 12, 18

    def __init__(
        self, version: str = "580.65.06", names: tuple[str, ...] = ("NVIDIA GeForce RTX 3090",), fails: int = 0
    ):
        self.version, self.names, self.fails = version, names, fails
        self.known = {SPELT}

    def nvmlInit(self) -> None:
        if self.fails:
            raise NvmlError(self.fails)

    def nvmlSystemGetDriverVersion(self) -> str:
        return self.version

    def nvmlDeviceGetCount(self) -> int:
        return len(self.names)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> bytes:
        return self.names[handle].encode()

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid not in self.known:
            raise NvmlError(self.NVML_ERROR_NOT_FOUND)
        return uuid

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: str) -> int:
        return 350_000

    def nvmlDeviceGetEccMode(self, handle: str) -> list[int]:
        raise NvmlError(3)  # not supported, as on a GeForce

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:
        raise NvmlError(3)


RTX_3090 = {
    "name": ONE, "memory": 25_293_422_592, "COMPUTE_CAPABILITY_MAJOR": 8, "COMPUTE_CAPABILITY_MINOR": 6,
    "MULTIPROCESSOR_COUNT": 82, "CLOCK_RATE": 1_695_000, "MEMORY_CLOCK_RATE": 9_751_000, "GLOBAL_MEMORY_BUS_WIDTH": 384,
    "L2_CACHE_SIZE": 6 * 2**20, "INTEGRATED": 0,
}  # fmt: skip
P40 = RTX_3090 | {
    "name": "Tesla P40", "memory": 24_000_000_000, "COMPUTE_CAPABILITY_MAJOR": 6, "COMPUTE_CAPABILITY_MINOR": 1,
    "MULTIPROCESSOR_COUNT": 30,
}  # fmt: skip
NEW = RTX_3090 | {
    "name": "NVIDIA GeForce RTX 6090", "memory": 48 * 2**30,
    "COMPUTE_CAPABILITY_MAJOR": 13, "COMPUTE_CAPABILITY_MINOR": 0,
    "MULTIPROCESSOR_COUNT": 200, "MEMORY_CLOCK_RATE": 20_000_000, "GLOBAL_MEMORY_BUS_WIDTH": 512,
}  # fmt: skip


class Cuda:
    """As much of cuda.bindings.driver as is asked for, playing these cards."""

    CUresult = Code
    CUdevice_attribute = SimpleNamespace(**{f"CU_DEVICE_ATTRIBUTE_{key}": key for key in RTX_3090 if key.isupper()})

    def __init__(self, *cards: dict[str, Any], code: Code = Code.CUDA_SUCCESS) -> None:
        self.cards, self.code = cards, code

    def __call__(self) -> Cuda:
        return self

    def cuInit(self, flags: int) -> tuple[Code]:
        return (self.code,)

    def cuDeviceGetCount(self) -> tuple[Code, int]:
        return Code.CUDA_SUCCESS, len(self.cards)

    def cuDeviceGet(self, index: int) -> tuple[Code, int]:
        return Code.CUDA_SUCCESS, index

    def cuDeviceGetName(self, length: int, handle: int) -> tuple[Code, bytes]:
        return Code.CUDA_SUCCESS, self.cards[handle]["name"].encode().ljust(length, b"\0")

    def cuDeviceGetUuid(self, handle: int) -> tuple[Code, Any]:
        return Code.CUDA_SUCCESS, SimpleNamespace(bytes=UUID)

    def cuDeviceTotalMem(self, handle: int) -> tuple[Code, int]:
        return Code.CUDA_SUCCESS, self.cards[handle]["memory"]

    def cuDeviceGetAttribute(self, attribute: str, handle: int) -> tuple[Code, int]:
        return Code.CUDA_SUCCESS, self.cards[handle][attribute]


@pytest.fixture(autouse=True)
def _a_plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(detect, "in_wsl", lambda: False)
    monkeypatch.setattr(detect, "plugged_in", lambda: False)


def test_a_card_of_the_catalogue() -> None:
    found = detect.ask(Nvml(), Cuda(RTX_3090))
    (card,) = found
    assert (found.reason, found.broken, found.driver, len(found)) == ("", False, "580.65.06", 1)
    assert found.usable == (card,)
    assert (card.slug, card.catalogued, card.arch, card.uuid) == ("rtx_3090", True, "sm_86", SPELT)
    assert card.gpu is hardware.gpu("rtx3090")
    assert card.bandwidth_gbps == pytest.approx(936.1, abs=0.1)
    assert (card.power_limit_watts, card.ecc, card.partitioned) == (350.0, None, False)
    assert hardware.missing(card, ("fp8", "cp_async"))[0].name == "fp8"


def test_a_card_that_the_catalogue_lacks_works_by_what_its_driver_says() -> None:
    (card,) = detect.ask(Nvml(names=("NVIDIA GeForce RTX 6090",)), Cuda(NEW)).usable
    assert (card.slug, card.catalogued, card.arch) == ("geforce_rtx_6090", False, "sm_130")
    assert card.gpu.bandwidth_gbps == pytest.approx(2560)
    assert card.gpu.fp32_tflops is None  # cores an SM of 13.0 are not known: unknown, not a guess
    assert card.gpu.source == "the card's driver"
    assert hardware.missing(card, ("fp8", "tma")) == []


def test_several_cards_in_the_drivers_order() -> None:
    cards = detect.ask(Nvml(names=("a", "b")), Cuda(NEW, RTX_3090)).usable
    assert [(card.index, card.slug) for card in cards] == [(0, "geforce_rtx_6090"), (1, "rtx_3090")]


def test_an_old_card_beside_a_new_one_is_left_out() -> None:
    found = detect.ask(Nvml(names=("a", "b")), Cuda(P40, RTX_3090))
    assert [card.slug for card in found] == ["p40", "rtx_3090"]
    assert [card.slug for card in found.usable] == ["rtx_3090"]
    assert "older than what CUDA 13 compiles for (7.5)" in found.gpus[0].problem


def test_an_old_card_alone_is_unusable() -> None:
    found = detect.ask(Nvml(names=("Tesla P40",)), Cuda(P40))
    assert (found.broken, found.usable) == (True, ())
    assert found.reason.startswith("Tesla P40 (6.1) is older")


def test_the_doctor_describes_each_card_and_what_is_odd_about_it() -> None:
    nvml = Nvml(names=("a", "b", "c"))
    found = doctor.card(detect.ask(nvml, Cuda(P40, RTX_3090, NEW)))
    assert found.ok
    known, new, old = found.text.split("; ")
    assert known == "NVIDIA GeForce RTX 3090 (8.6), 23.6 GiB, power limit 350 W, driver 580.65.06"
    assert new.endswith("not in the catalogue: its roofs are what its driver reports")
    assert old.endswith("Nothing can run on it here. What works on it: warpbench features --gpu p40")
    nvml.known.clear()
    assert "a part of a card (MIG)" in doctor.card(detect.ask(nvml, Cuda(RTX_3090))).text


def test_a_part_of_a_card_has_no_theoretical_roof() -> None:
    nvml = Nvml()
    nvml.known.clear()  # NVML does not know the UUID of a MIG part as a card's
    (card,) = detect.ask(nvml, Cuda(RTX_3090)).usable
    assert (card.partitioned, card.catalogued) == (True, False)
    assert (card.bandwidth_gbps, card.gpu.bandwidth_gbps, card.gpu.fp32_tflops) == (None, None, None)


@pytest.mark.parametrize(
    ("nvml", "wsl", "plugged", "broken", "said"),
    [
        (Nvml(fails=12), False, False, False, "no NVIDIA driver was found."),
        (Nvml(fails=12), False, True, False, "an NVIDIA card is plugged in, but no NVIDIA driver was found. Install"),
        (Nvml(fails=12), True, False, False, "installed in Windows, not in Linux"),
        (Nvml(fails=9), False, False, False, "NVIDIA's driver is not loaded."),
        (Nvml(fails=9), False, True, True, "but NVIDIA's driver is not loaded. Install NVIDIA's driver 580 or newer."),
        (Nvml(fails=18), False, True, True, "Restart the machine."),
        (Nvml(fails=999), False, True, True, "does not answer: code 999. See: nvidia-smi."),
        (Nvml(names=()), False, False, False, "the driver 580.65.06 sees no NVIDIA card."),
        (Nvml(version="550.54.15"), False, True, True, "3090 is here with driver 550.54.15; CUDA 13 needs"),
        (Nvml(version="550.54.15"), True, True, True, "Update the driver in Windows."),
    ],
)  # fmt: skip
def test_no_usable_driver(
    monkeypatch: pytest.MonkeyPatch, nvml: Nvml, wsl: bool, plugged: bool, broken: bool, said: str
) -> None:
    monkeypatch.setattr(detect, "in_wsl", lambda: wsl)
    monkeypatch.setattr(detect, "plugged_in", lambda: plugged)

    def never() -> None:
        raise AssertionError("CUDA is not asked where its driver cannot serve it")

    found = detect.ask(nvml, never)
    assert said in found.reason
    assert (found.broken, found.usable, len(found)) == (broken, (), 0)


def test_hidden_cards_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    found = detect.ask(Nvml(), Cuda(code=Code.CUDA_ERROR_NO_DEVICE))
    assert found.reason.startswith("CUDA_VISIBLE_DEVICES='-1' hides every card.")
    assert not found.broken


def test_cuda_sees_none_where_nvml_does() -> None:
    found = detect.ask(Nvml(), Cuda())
    assert (found.reason, found.broken) == ("the driver sees a card, CUDA sees none. See: nvidia-smi.", True)


def test_cuda_does_not_start() -> None:
    found = detect.ask(Nvml(), Cuda(RTX_3090, code=Code.CUDA_ERROR_UNKNOWN))
    assert (found.reason, found.broken) == ("CUDA does not start: CUDA_ERROR_UNKNOWN. See: nvidia-smi.", True)


def test_a_library_that_cannot_be_loaded_is_a_reason_too() -> None:
    def fails() -> None:
        raise RuntimeError("libcuda.so.1: cannot open\nand more")

    found = detect.ask(Nvml(), fails)
    assert "CUDA does not start: libcuda.so.1: cannot open. See: nvidia-smi." in found.reason
    assert found.broken


def test_a_call_that_fails_is_a_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cuda, "cuDeviceTotalMem", lambda self, handle: (Code.CUDA_ERROR_OUT_OF_MEMORY, None))
    found = detect.ask(Nvml(), Cuda(RTX_3090))
    assert "CUDA_ERROR_OUT_OF_MEMORY" in found.reason


def test_this_machine_answers_without_raising() -> None:
    found = _function()
    assert bool(found.usable) != bool(found.reason)
    assert "\n" not in found.reason


def test_the_package_imports_the_standard_library_only() -> None:
    code = (
        "import sys, warpbench.hardware as h; h.gpus(); h.features(); "
        "ours = {'numpy', 'torch', 'triton', 'numba', 'cupy', 'cuda', 'pynvml', 'rich', 'typer', 'pydantic', 'ptxvm'}; "
        "print(sorted(ours & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
