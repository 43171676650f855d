"""What ptxvm gives for the instructions and operands of `tests/gpu/silicon_values.py`."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import ptxvm
from tests.gpu.silicon_values import BINARY, MATRIX, UNARY, launch, source
from tests.ptxvm.compiled import nvrtc

NAMES = (*UNARY, *BINARY, *MATRIX)


@cache
def module() -> ptxvm.Module:
    """The kernels k0, k1, ..., as NVRTC compiles them for the card of the readings."""
    return ptxvm.Module.from_ptx(nvrtc(source(), "silicon.cu", "90", "--std=c++17"))


class OnDevice:
    """As much of CuPy as `launch` asks for."""

    def __init__(self) -> None:
        self.device = ptxvm.Device("sm_90", memory_bytes=1 << 23)

    def asarray(self, values: Any) -> Any:
        out = self.device.array(values.shape, values.dtype.name)
        out[...] = values
        return out

    def zeros(self, shape: Any, dtype: Any) -> Any:
        return self.device.array(shape, np.dtype(dtype).name)


def emulated(name: str) -> Any:
    """The results of one instruction for all its operands, uint32."""
    memory = OnDevice()

    def kernel(grid: tuple[int], block: tuple[int], args: tuple[Any, ...]) -> None:
        memory.device.launch(module().kernel(f"k{NAMES.index(name)}"), grid, block, args)

    with np.errstate(over="ignore"):  # some accumulators are too large for float16, and infinite on purpose
        return np.array(launch(kernel, name, memory))


def distance(a: Any, b: Any) -> Any:
    """How many float32 numbers lie between two bit patterns; patterns of NaN count on beyond infinity."""

    def ordered(bits: Any) -> Any:
        size = (bits & np.uint32(0x7FFFFFFF)).astype(np.int64)
        return np.where(bits >> np.uint32(31), -size, size)

    return np.abs(ordered(a) - ordered(b))
