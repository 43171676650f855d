"""`cupy.cuda` that says that a card is there: one device, streams and events that do nothing, memory of the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from warpbench.backends.pretend import Card, nothing, scope


class Device:
    """cupy.cuda.Device"""

    card: Card

    def __init__(self, device: int | None = None) -> None:
        self.id = 0

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None: ...
    def __int__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "<CUDA Device 0>"

    def use(self) -> Device:
        return self

    def synchronize(self) -> None: ...

    @property
    def compute_capability(self) -> str:
        return "{}{}".format(*self.card.capability)

    @property
    def mem_info(self) -> tuple[int, int]:
        return self.card.memory_bytes, self.card.memory_bytes

    @property
    def attributes(self) -> dict[str, int]:
        c = self.card
        return {
            "MultiProcessorCount": c.sms, "MaxThreadsPerBlock": c.threads_per_block, "WarpSize": 32,
            "MaxSharedMemoryPerBlock": c.shared_per_block, "MaxSharedMemoryPerBlockOptin": c.shared_per_block_optin,
            "MaxSharedMemoryPerMultiprocessor": c.shared_per_sm, "MaxRegistersPerBlock": c.registers_per_block,
            "MaxThreadsPerMultiProcessor": c.threads_per_sm, "MaxBlocksPerMultiprocessor": c.blocks_per_sm,
            "ClockRate": c.clock_khz, "GlobalMemoryBusWidth": c.bus_bits, "L2CacheSize": c.l2_bytes,
            "ComputeCapabilityMajor": c.capability[0], "ComputeCapabilityMinor": c.capability[1],
            "MaxBlockDimX": 1024, "MaxBlockDimY": 1024, "MaxBlockDimZ": 64, "MaxGridDimX": 2**31 - 1,
            "MaxGridDimY": 65535, "MaxGridDimZ": 65535, "CooperativeLaunch": 1,
        }  # fmt: skip


class Event:
    """cupy.cuda.Event: one that has always happened."""

    ptr = 0
    done = True

    def __init__(self, *args: Any, **options: Any) -> None: ...
    def record(self, stream: Any = None) -> None: ...
    def synchronize(self) -> None: ...


class Stream:
    """cupy.cuda.Stream: every launch is complete when it returns."""

    ptr = 0
    done = True
    device_id = 0
    null: Stream

    def __init__(self, *args: Any, **options: Any) -> None: ...
    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None: ...
    def use(self) -> Stream:
        return self

    def synchronize(self) -> None: ...
    def wait_event(self, event: Any) -> None: ...
    def record(self, event: Any = None) -> Any:
        return event or Event()

    def add_callback(self, callback: Any, arg: Any) -> None:
        callback(self, 0, arg)

    def launch_host_func(self, callback: Any, arg: Any) -> None:
        callback(arg)


class MemoryPointer:
    """cupy.cuda.MemoryPointer: a place in some memory of the host."""

    card: Card

    def __init__(self, mem: Any, offset: int = 0) -> None:
        self.mem, self.offset = mem, offset

    @property
    def buffer(self) -> Any:
        """The memory as bytes."""
        return self.mem.view(np.ndarray).reshape(-1).view(np.uint8)

    @property
    def ptr(self) -> int:
        """The address on the virtual card."""
        return self.card.emulator.show(self.mem) + self.offset

    def __int__(self) -> int:
        return self.ptr

    def __add__(self, bytes_: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self.offset + bytes_)

    def memset(self, value: int, size: int) -> None:
        self.buffer[self.offset : self.offset + size] = value

    def copy_from_device(self, source: Any, size: int) -> None:
        self.buffer[self.offset : self.offset + size] = source.buffer[source.offset : source.offset + size]

    copy_from_host = copy_from = copy_from_device
    memset_async, copy_from_device_async = memset, copy_from_device


class MemoryPool:
    """cupy.cuda.MemoryPool: nothing is kept."""

    def __init__(self, *args: Any, **options: Any) -> None: ...
    def malloc(self, size: int) -> MemoryPointer:
        return alloc(size)

    def used_bytes(self) -> int:
        return 0

    free_bytes = total_bytes = n_free_blocks = get_limit = used_bytes
    free_all_blocks = free_all_free = set_limit = nothing


def alloc(size: int) -> MemoryPointer:
    """`cupy.cuda.alloc`"""
    return MemoryPointer(np.zeros(size, np.uint8))


def install(card: Card, cupy: Any) -> None:
    """Replace what `cupy.cuda` offers."""
    Device.card = MemoryPointer.card = card
    Stream.null = Stream()
    pool = MemoryPool()
    ours: dict[str, Any] = {
        "Device": Device, "Event": Event, "Stream": Stream, "ExternalStream": Stream, "MemoryPool": MemoryPool,
        "PinnedMemoryPool": MemoryPool, "MemoryPointer": MemoryPointer, "alloc": alloc,
        "alloc_pinned_memory": lambda size: np.zeros(size, np.uint8),
        "get_current_stream": lambda device=-1: Stream.null,
        "get_elapsed_time": lambda start, end: card.nan("cupy.cuda.get_elapsed_time"), "is_available": lambda: True,
        "get_device_id": lambda: 0, "set_allocator": nothing, "set_pinned_memory_allocator": nothing,
        "get_allocator": lambda: alloc, "using_allocator": scope, "profile": scope,
    }  # fmt: skip
    for name, one in ours.items():
        setattr(cupy.cuda, name, one)
    cupy.cuda.stream.Stream = cupy.cuda.stream.ExternalStream = Stream
    cupy.cuda.stream.Event, cupy.cuda.stream.get_elapsed_time = Event, ours["get_elapsed_time"]
    cupy.cuda.stream.get_current_stream = ours["get_current_stream"]
    cupy.cuda.device.Device = Device
    cupy.get_default_memory_pool = cupy.get_default_pinned_memory_pool = lambda: pool
    _runtime(card, cupy.cuda.runtime)
    for name in ("Mark", "MarkC", "RangePush", "RangePushC", "RangePop"):
        setattr(cupy.cuda.nvtx, name, nothing)
    cupy.cuda.profiler.start = cupy.cuda.profiler.stop = nothing


def _runtime(card: Card, runtime: Any) -> None:
    """`cupy.cuda.runtime`"""
    properties = {
        "name": card.name.encode(), "major": card.capability[0], "minor": card.capability[1],
        "totalGlobalMem": card.memory_bytes, "multiProcessorCount": card.sms, "warpSize": 32,
        "maxThreadsPerBlock": card.threads_per_block, "maxThreadsPerMultiProcessor": card.threads_per_sm,
        "sharedMemPerBlock": card.shared_per_block, "sharedMemPerBlockOptin": card.shared_per_block_optin,
        "sharedMemPerMultiprocessor": card.shared_per_sm, "regsPerBlock": card.registers_per_block,
        "regsPerMultiprocessor": card.registers_per_sm, "l2CacheSize": card.l2_bytes, "clockRate": card.clock_khz,
        "memoryBusWidth": card.bus_bits, "maxThreadsDim": (1024, 1024, 64), "totalConstMem": 64 << 10,
        "maxGridSize": (2**31 - 1, 65535, 65535), "cooperativeLaunch": 1, "concurrentKernels": 1, "integrated": 0,
    }  # fmt: skip
    answers: dict[str, Any] = {
        "getDeviceProperties": properties, "getDeviceCount": 1, "getDevice": 0, "is_hip": False,
        "memGetInfo": (card.memory_bytes, card.memory_bytes), "driverGetVersion": 13000, "runtimeGetVersion": 13000,
        "streamQuery": 0, "eventQuery": 0, "deviceCanAccessPeer": 0,
    }  # fmt: skip
    for name, answer in answers.items():
        one = answer if name == "is_hip" else lambda *args, answer=answer, **options: answer
        setattr(runtime, name, one)
    quiet = ("setDevice", "deviceSynchronize", "streamSynchronize", "eventSynchronize", "profilerStart", "profilerStop",
             "deviceEnablePeerAccess", "deviceSetLimit", "free", "memsetAsync")  # fmt: skip
    for name in quiet:
        setattr(runtime, name, nothing)
    runtime.eventElapsedTime = lambda start, end: card.nan("cupy.cuda.runtime.eventElapsedTime")
