"""A card that is not there: a clock that launches move on, events that read it, and the driver's own answers.

The host's clock moves when the host does something, the card's when work is queued; whoever waits for the card takes
its clock over. So a launch that the host makes too late, a wait, a stream that no event sees and a clock that is too
fast all give the times that they would give on a card, without a random one among them. Tensors lie on the CPU and
are written at once.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from types import SimpleNamespace
from typing import ClassVar

import torch

from warpbench import check, pool, profiling_run, targets, worker
from warpbench.measure import timer
from warpbench.measure import worker as measuring
from warpbench.measure.cache import Flusher
from warpbench.report import profiles

UUID = bytes(range(16))
SPELT = "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"
H100 = {
    "COMPUTE_CAPABILITY_MAJOR": 9, "COMPUTE_CAPABILITY_MINOR": 0, "MULTIPROCESSOR_COUNT": 132,
    "CLOCK_RATE": 1_980_000, "MEMORY_CLOCK_RATE": 2_619_000, "GLOBAL_MEMORY_BUS_WIDTH": 5120,
    "L2_CACHE_SIZE": 2 << 20, "INTEGRATED": 0,  # an H100 has 50 MiB: the roof's copy is made on the CPU here
}  # fmt: skip
HOST_S = 5e-6  # of the host for one launch
GHZ = 1.98


class FakeCard:
    """The clocks, in seconds. `streams`: when the card is through with what was queued on each."""

    def __init__(self) -> None:
        self.host = 0.0
        self.streams = {"main": 0.0, "side": 0.0}
        self.launches = 0
        self.reasons = 0  # NVML's clocks event reasons
        self.free_bytes = 64 << 20
        self.slower = 1.0  # every kernel, by this factor
        self.drift: Iterator[float] = iter(())  # what `slower` is in the processes to come
        self.dead = ""  # what every later call says after an error that CUDA does not recover from

    def launch(self, seconds: float, stream: str = "main", host: float = HOST_S) -> None:
        """Queue a kernel of so many seconds."""
        self.check()
        self.host += host
        self.launches += 1
        self.streams[stream] = max(self.streams[stream], self.host) + seconds * self.slower

    def die(self, said: str = "an illegal memory access was encountered") -> None:
        """The kernel that was queued last goes wrong: the card says so when it is waited for."""
        self.dead = f"CUDA error: {said}\nCUDA kernel errors might be asynchronously reported at some other API call."

    def check(self) -> None:
        if self.dead:
            raise torch.AcceleratorError(self.dead)

    def synchronize(self) -> None:
        self.check()
        self.host = max(self.host, *self.streams.values())


class Event:
    def __init__(self, card: FakeCard) -> None:
        self.card, self.at = card, 0.0

    def record(self) -> None:
        self.card.host += 1e-6
        self.at = max(self.card.streams["main"], self.card.host)
        self.card.streams["main"] = self.at

    def query(self) -> bool:
        return self.at <= self.card.host

    def synchronize(self) -> None:
        self.card.check()
        self.card.host = max(self.card.host, self.at)

    def elapsed_time(self, end: Event) -> float:
        return (end.at - self.at) * 1e3


class Nvml:
    """As much of pynvml as a measured run asks for."""

    class NVMLError(Exception):
        value = 3  # not supported

    NVML_ERROR_NOT_FOUND = 6
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, card: FakeCard) -> None:
        self.card = card

    def nvmlInit(self) -> None: ...

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.159.04"

    def nvmlSystemGetCudaDriverVersion(self) -> int:
        return 13000

    def nvmlDeviceGetCount(self) -> int:
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return SPELT

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        assert uuid == SPELT
        return uuid

    def nvmlDeviceGetName(self, handle: str) -> str:
        return "NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: str) -> int:
        return 650_000

    def nvmlDeviceGetPowerManagementDefaultLimit(self, handle: str) -> int:
        return 700_000

    def nvmlDeviceGetPowerManagementLimitConstraints(self, handle: str) -> list[int]:
        return [200_000, 700_000]

    def nvmlDeviceGetEccMode(self, handle: str) -> list[int]:
        return [1, 1]

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:
        return [0, 0]

    def nvmlDeviceGetPciInfo(self, handle: str) -> SimpleNamespace:
        return SimpleNamespace(pciDeviceId=0x233010DE, pciSubSystemId=0x16C110DE)

    def nvmlDeviceGetVbiosVersion(self, handle: str) -> str:
        return "96.00.99.00.01"

    def nvmlDeviceGetDisplayMode(self, handle: str) -> int:
        raise self.NVMLError

    def nvmlDeviceGetPersistenceMode(self, handle: str) -> int:
        return 1

    def nvmlDeviceGetMaxClockInfo(self, handle: str, which: int) -> int:
        return {1: 1980, 2: 2619}[which]

    def nvmlDeviceGetClockInfo(self, handle: str, which: int) -> int:
        return {1: 1755, 2: 2619}[which]

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:
        return 41

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        return 312_500

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:
        return self.card.reasons

    def nvmlDeviceGetPerformanceState(self, handle: str) -> int:
        return 0

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=1)]


class Driver:
    """As much of cuda.bindings.driver as detection asks for."""

    CUresult = SimpleNamespace(CUDA_ERROR_NO_DEVICE=100)
    CUdevice_attribute = SimpleNamespace(**{f"CU_DEVICE_ATTRIBUTE_{name}": name for name in H100})

    def cuInit(self, flags: int) -> tuple[int]:
        return (0,)

    def cuDeviceGetCount(self) -> tuple[int, int]:
        return 0, 1

    def cuDeviceGet(self, index: int) -> tuple[int, int]:
        return 0, index

    def cuDeviceGetName(self, length: int, handle: int) -> tuple[int, bytes]:
        return 0, b"NVIDIA H100 80GB HBM3".ljust(length, b"\0")

    def cuDeviceGetUuid(self, handle: int) -> tuple[int, SimpleNamespace]:
        return 0, SimpleNamespace(bytes=UUID)

    def cuDeviceTotalMem(self, handle: int) -> tuple[int, int]:
        return 0, 85_029_158_912

    def cuDeviceGetAttribute(self, name: str, handle: int) -> tuple[int, int]:
        return 0, H100[name]


def plug_in(monkeypatch) -> FakeCard:
    """Put the card into torch, NVML, the driver, the timer and this process; kernel files find it as `the_card`."""
    card = FakeCard()
    copy = torch.Tensor.copy_

    def copy_(target, source, *more):  # of a GB/s that an H100 reaches
        card.launch(2 * target.nbytes / 2.9e12)
        return copy(target, source, *more)

    def asleep(cycles: int) -> None:
        card.launch(cycles / GHZ / 1e9)

    for name, value in {
        "Event": lambda enable_timing: Event(card), "_sleep": asleep, "synchronize": card.synchronize,
        "is_available": lambda: True, "get_device_capability": lambda: (9, 0), "empty_cache": lambda: None,
        "mem_get_info": lambda: (card.free_bytes, 85_029_158_912),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.Tensor, "copy_", copy_)
    monkeypatch.setattr(Flusher, "flush", lambda self: card.launch(2 * self.bytes / 2.9e12))
    monkeypatch.setattr(timer, "time", SimpleNamespace(perf_counter=lambda: card.host))
    monkeypatch.setattr(targets.Card, "device", "cpu")
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(card))
    monkeypatch.setattr(sys.modules["warpbench.hardware.detect"], "_cuda_driver", Driver)
    monkeypatch.setitem(sys.modules, "the_card", types.SimpleNamespace(CARD=card))
    return card


# -- what is measured on it, and the process that does it -----------------------------------------------------------
# 256 MiB in and out by its own account (the roofs), 1 MiB in truth (the test's time).
OP = '''
"""Doubling."""
from the_card import CARD
from warpbench.contract import Operation, Output, Rung, Shapes, Tolerance

def _inputs(shape, dtype, seed):
    import torch
    return {"x": torch.rand(shape["n"], generator=torch.Generator().manual_seed(seed)) + 1}

def _rival(x):
    CARD.launch(200e-6)
    return 2 * x

OPERATION = Operation(
    name="double", title="out = 2 x", axes=("n",),
    shapes=Shapes(tiny=({"n": 64},), ragged=({"n": 1}, {"n": 33}), large=({"n": 1 << 18},)),
    inputs=_inputs,
    outputs=lambda shape, dtype: {"out": Output((shape["n"],), "f32")},
    reference=lambda x: {"out": x.double() * 2},
    rival=_rival,
    bytes_read=lambda shape, dtype: 1024 * shape["n"], bytes_written=lambda shape, dtype: 1024 * shape["n"],
    flops=lambda shape, dtype: shape["n"],
    tolerance=lambda shape, dtype, accumulator: Tolerance(1e-6, 0.0, "one rounding"),
    ladder=(
        Rung("in_numba:plain", "start here"),
        Rung("in_numba:other", "another"),
        Rung("in_numba:newer", "one for another card", needs=("block_scale",)),
    ),
)
'''
PLAIN = """
import os, torch
from the_card import CARD
calls = {}

def nth(out):
    calls[out.data_ptr(), out.numel()] = calls.get((out.data_ptr(), out.numel()), 0) + 1
    return calls[out.data_ptr(), out.numel()]

def right(x, out):
    torch.mul(x, 2, out=out)

def plain(x, out):
    CARD.launch(250e-6)
    right(x, out)
"""


def other(body: str) -> str:
    """A kernel file whose `plain` is right and whose `other` does `body`; LARGE: it is the shape that is timed."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"{PLAIN}\ndef other(x, out):\n    LARGE = x.numel() == 1 << 18\n{lines}\n"


GOOD = other("CARD.launch(200e-6)\nright(x, out)")


class InProcess:
    """The pool, its worker inside this process. An answer that is a worker's last gives the next task a new card."""

    asked: ClassVar[list[dict]] = []

    def __init__(self, target, processes=1, limit_s=0.0):
        self.target = target

    def __enter__(self):
        card = sys.modules["the_card"].CARD
        card.slower = next(card.drift, 1.0)
        fresh_process()
        return self

    def __exit__(self, *_):
        pass

    def run(self, tasks):
        for task in tasks:
            self.asked.append(task)
            last = self._serve(task)
            if last.get("last"):
                sys.modules["the_card"].CARD.dead = ""
                fresh_process()
            if last["event"] == "result":
                yield task, last["value"]
            else:
                yield task, pool._verdict(task, last["verdict"], last["message"], trace=last["trace"])

    def _serve(self, task):
        """What the worker says last, as it travels."""
        sent: list[str] = []
        worker.serve([json.dumps(task)], self.target, lambda one: sent.append(json.dumps(one, allow_nan=False)), 0)
        return json.loads(sent[-1])


def fresh_process():
    measuring._watches.clear()
    measuring._gauges.clear()
    check.forget()


def used(monkeypatch, tmp_path) -> Iterator[FakeCard]:
    """The card plugged in, `profile` using it, and nothing left of it in this process afterwards."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(profiling_run, "Pool", InProcess)
    monkeypatch.setattr(InProcess, "asked", [])
    monkeypatch.setattr(timer, "WARM_S", 0.01)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield plug_in(monkeypatch)
    fresh_process()
    torch.set_num_threads(threads)


def profile(root, **more):
    """The outcome of `warpbench profile` on the operations of a folder."""
    return profiles.run(profiling_run.Options(root=root, command=("warpbench", "profile"), **more), quiet=True)
