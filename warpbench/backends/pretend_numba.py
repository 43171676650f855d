"""Numba that says that a card is there: device arrays are NumPy arrays, streams and events do nothing.

A device array is a copy, as on a card: what a kernel writes into it is seen on the host after `copy_to_host`.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from warpbench.backends.emulated import OnCard
from warpbench.backends.numba import refuse_scattered
from warpbench.backends.pretend import Card, nothing, scope


class DeviceNDArray(OnCard):
    """numba.cuda's device array: no arithmetic, copies to and from the host."""

    card: Card
    stream = 0

    def __new__(
        cls, shape: Any, strides: Any = None, dtype: Any = np.float64, stream: Any = 0, gpu_data: Any = None
    ) -> DeviceNDArray:
        """As Numba's own: over `gpu_data`, an array of ours, or over memory of its own."""
        if gpu_data is None:
            return np.ndarray.__new__(cls, shape, dtype, strides=strides)
        shape, strides = ((one,) if isinstance(one, int) else one for one in (shape, strides))
        return np.lib.stride_tricks.as_strided(gpu_data, shape, strides, subok=True).view(cls)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Its place on the virtual card: for whoever passes it on as a number, and for kernels that name it."""
        strides = None if self.flags.c_contiguous else self.strides
        place = (self.device_pointer, False)
        return {"shape": self.shape, "strides": strides, "data": place, "typestr": self.dtype.str, "version": 3}

    # NumPy's functions see a device array's elements, and give arrays of the host
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        options = {name: _on_host(one) for name, one in options.items()}
        return getattr(ufunc, method)(*map(_on_host, inputs), **options)

    def __array_function__(self, func: Any, kinds: Any, args: Any, kwargs: Any) -> Any:
        return func(*map(_on_host, args), **{name: _on_host(one) for name, one in kwargs.items()})

    @property
    def gpu_data(self) -> DeviceNDArray:
        return self

    @property
    def device_pointer(self) -> int:
        return self.card.emulator.show(self)

    @property
    def T(self) -> DeviceNDArray:  # noqa: N802 - as everywhere
        return self.transpose()

    def transpose(self, axes: Any = None) -> DeviceNDArray:  # type: ignore[override]
        """A copy, of two axes only."""
        if self.ndim != 2:
            raise NotImplementedError("transposing a non-2D DeviceNDArray isn't supported")
        return np.array(self.view(np.ndarray).T, order="C").view(DeviceNDArray)

    @property
    def alloc_size(self) -> int:
        return self.nbytes

    def copy_to_host(self, ary: Any = None, stream: Any = 0) -> Any:
        """A copy as a NumPy array; or into `ary`, which is returned."""
        host = self.view(np.ndarray)
        if ary is None:
            return host.copy(order="F" if self.flags.f_contiguous and not self.flags.c_contiguous else "C")
        if ary.nbytes < self.nbytes:
            raise ValueError(f"array has {ary.nbytes} bytes, which is less than the {self.nbytes} of the device array")
        ary[...] = host.reshape(ary.shape)
        return ary

    def copy_to_device(self, ary: Any, stream: Any = 0) -> None:
        """Overwrite this array with another one of its shape, on the host or on the card."""
        source = np.asarray(ary)
        if source.shape != self.shape:
            raise ValueError(f"incompatible shape: {source.shape} vs. {self.shape}")
        if source.dtype != self.dtype:
            raise TypeError(f"incompatible dtype: {source.dtype} vs. {self.dtype}")
        self.view(np.ndarray)[...] = source

    def split(self, section: int, stream: Any = 0) -> list[Any]:
        return [self[start : start + section] for start in range(0, self.size, section)]

    def __bool__(self) -> bool:
        return len(self) > 0

    def bind(self, stream: Any = 0) -> DeviceNDArray:
        return self

    def is_c_contiguous(self) -> bool:
        return self.flags.c_contiguous

    def is_f_contiguous(self) -> bool:
        return self.flags.f_contiguous

    def getitem(self, item: Any, stream: Any = 0) -> Any:
        return self[item]

    def setitem(self, key: Any, value: Any, stream: Any = 0) -> None:
        self[key] = value


# A device array has none of these on a card either: `None` makes Python say so.
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "neg", "iadd", "isub", "imul"):
    setattr(DeviceNDArray, f"__{_name}__", None)


def _on_host(value: Any) -> Any:
    """The same with NumPy's own arrays in place of device arrays."""
    if isinstance(value, DeviceNDArray):
        return value.view(np.ndarray)
    return type(value)(map(_on_host, value)) if type(value) in (list, tuple) else value


class Stream:
    """A stream on which every launch is complete when it returns."""

    def __init__(self, handle: int = 0) -> None:
        self.handle = handle

    def __int__(self) -> int:
        return self.handle

    def synchronize(self) -> None: ...
    def add_callback(self, callback: Any, arg: Any = None) -> None:
        callback(self, 0, arg)

    @contextlib.contextmanager
    def auto_synchronize(self) -> Iterator[Stream]:
        yield self


def install(card: Card) -> None:
    """After the hook has taken over the launches of `numba.cuda`."""
    from numba import cuda
    from numba.cuda import api
    from numba.cuda.cudadrv import devicearray, driver
    from numba.cuda.cudadrv import devices as contexts

    class Event:
        """An event that has always happened."""

        def record(self, stream: Any = 0) -> None: ...
        def synchronize(self) -> None: ...
        def wait(self, stream: Any = 0) -> None: ...
        def query(self) -> bool:
            return True

        def elapsed_time(self, end: Any) -> float:
            return card.nan("numba.cuda.event_elapsed_time")

    DeviceNDArray.card = card
    device = _device(card)
    devices = _Devices([device])
    context = types.SimpleNamespace(
        device=device, synchronize=nothing, reset=nothing, get_default_stream=Stream,
        get_memory_info=lambda: types.SimpleNamespace(free=card.memory_bytes, total=card.memory_bytes),
    )  # fmt: skip
    ours: dict[str, Any] = {
        "to_device": to_device, "device_array": device_array, "device_array_like": device_array_like,
        "pinned_array": host_array, "pinned_array_like": np.empty_like, "mapped_array": device_array,
        "mapped_array_like": device_array_like, "managed_array": device_array,
        "as_cuda_array": as_cuda_array, "is_cuda_array": is_cuda_array, "pinned": scope, "mapped": _mapped,
        "stream": Stream, "default_stream": Stream, "legacy_default_stream": Stream,
        "per_thread_default_stream": Stream, "external_stream": Stream,
        "event": lambda timing=True: Event(),
        "event_elapsed_time": lambda start, end: start.elapsed_time(end), "synchronize": nothing,
        "is_available": lambda: True, "is_supported_version": lambda: True, "select_device": lambda number: device,
        "get_current_device": lambda: device, "list_devices": lambda: devices, "close": nothing,
        "detect": functools.partial(_detect, card),
        "current_context": lambda number=None: context, "gpus": devices, "defer_cleanup": scope,
        "profile_start": nothing, "profile_stop": nothing, "profiling": scope,
    }  # fmt: skip
    for name, one in ours.items():
        setattr(cuda, name, one)
        if hasattr(api, name):
            setattr(api, name, one)
    driver.driver.get_device = lambda number=0: device
    driver._to_core_stream = lambda stream: stream or Stream()
    contexts.get_context = ours["current_context"]
    devicearray.DeviceNDArray = DeviceNDArray
    devicearray.is_cuda_ndarray = lambda array: isinstance(array, DeviceNDArray)
    devicearray.auto_device = lambda array, stream=0, copy=True, user_explicit=False: (
        (array, False) if isinstance(array, OnCard) else (to_device(array, copy=copy), True)
    )


# -- arrays --------------------------------------------------------------------------------------------------------
def to_device(obj: Any, stream: Any = 0, copy: bool = True, to: Any = None) -> Any:
    """`cuda.to_device`: a copy of a host array; what is on the card already as it is."""
    if to is not None:
        to.copy_to_device(obj)
        return to
    if isinstance(obj, DeviceNDArray):
        return obj
    array = np.asarray(obj)
    refuse_scattered(array)
    return (array.copy(order="K") if copy else np.empty_like(array)).view(DeviceNDArray)


def device_array(
    shape: Any, dtype: Any = np.float64, strides: Any = None, order: str = "C", stream: Any = 0, **options: Any
) -> Any:
    """`cuda.device_array`: its contents are whatever was there."""
    return host_array(shape, dtype, strides, order).view(DeviceNDArray)


def host_array(shape: Any, dtype: Any = np.float64, strides: Any = None, order: Any = "C") -> Any:
    return np.ndarray(shape, dtype, strides=strides, order=order)


def device_array_like(ary: Any, stream: Any = 0, **options: Any) -> Any:
    """`cuda.device_array_like` of an array or a tensor."""
    return np.empty_like(np.asarray(ary)).view(DeviceNDArray)


def as_cuda_array(obj: Any, sync: bool = True) -> Any:
    """`cuda.as_cuda_array`: the same memory. TypeError for what is not on the card."""
    if isinstance(obj, DeviceNDArray):
        return obj
    if not is_cuda_array(obj):
        raise TypeError("*obj* doesn't implement the cuda array interface.")
    return np.asarray(obj).view(DeviceNDArray)


def is_cuda_array(obj: Any) -> bool:
    return isinstance(obj, OnCard) or hasattr(obj, "untyped_storage")


@contextlib.contextmanager
def _mapped(*arrays: Any, **options: Any) -> Iterator[Any]:
    """`with cuda.mapped(a) as d`: the host's memory, seen from the card."""
    found = [array.view(DeviceNDArray) for array in arrays]
    yield found[0] if len(found) == 1 else found


def _detect(card: Card) -> bool:
    """`cuda.detect()`"""
    print(f"Found 1 CUDA devices\nid 0    {card.name}    [SUPPORTED]")
    return True


# -- the device ----------------------------------------------------------------------------------------------------
class _Devices(list[Any]):
    """`cuda.gpus`: iterable, indexable, with the device that is current."""

    @property
    def current(self) -> Any:
        return self[0]

    @property
    def lst(self) -> list[Any]:
        return list(self)


class _Device(types.SimpleNamespace):
    """A device; `with cuda.gpus[0]:` chooses it."""

    def __enter__(self) -> _Device:
        return self

    def __exit__(self, *_: object) -> None: ...


def _device(card: Card) -> Any:
    """`cuda.get_current_device()`"""
    largest = sys.maxsize >> 32
    return _Device(
        id=0, name=card.name.encode(), compute_capability=card.capability, uuid="GPU-0", supports_float16=True,
        supports_bfloat16=card.capability >= (8, 0), reset=nothing, get_primary_context=nothing,
        MULTIPROCESSOR_COUNT=card.sms, WARP_SIZE=32,
        MAX_THREADS_PER_BLOCK=card.threads_per_block, MAX_THREADS_PER_MULTI_PROCESSOR=card.threads_per_sm,
        MAX_BLOCK_DIM_X=1024, MAX_BLOCK_DIM_Y=1024, MAX_BLOCK_DIM_Z=64, MAX_GRID_DIM_X=largest,
        MAX_GRID_DIM_Y=65535, MAX_GRID_DIM_Z=65535, MAX_SHARED_MEMORY_PER_BLOCK=card.shared_per_block,
        MAX_SHARED_MEMORY_PER_BLOCK_OPTIN=card.shared_per_block_optin,
        MAX_SHARED_MEMORY_PER_MULTIPROCESSOR=card.shared_per_sm, MAX_REGISTERS_PER_BLOCK=card.registers_per_block,
        MAX_REGISTERS_PER_MULTIPROCESSOR=card.registers_per_sm, TOTAL_CONSTANT_MEMORY=64 << 10,
        CLOCK_RATE=card.clock_khz, GLOBAL_MEMORY_BUS_WIDTH=card.bus_bits, L2_CACHE_SIZE=card.l2_bytes,
        COOPERATIVE_LAUNCH=1, UNIFIED_ADDRESSING=1, CONCURRENT_KERNELS=1, COMPUTE_CAPABILITY_MAJOR=card.capability[0],
        COMPUTE_CAPABILITY_MINOR=card.capability[1],
    )  # fmt: skip
