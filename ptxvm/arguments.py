"""What a launch is given: its dimensions, checked, and its arguments as the bytes of the kernel's parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ptxvm.arena import Allocation, Arena
from ptxvm.errors import LaunchError
from ptxvm.group import Array
from ptxvm.specials import Dim3
from ptxvm.types import Parameter

if TYPE_CHECKING:
    from ptxvm.module import Kernel


@dataclass(frozen=True)
class Limits:
    """What a card allows: bytes of shared memory and threads a block."""

    shared_bytes: int
    threads: int = 1024


@dataclass(eq=False)
class Pointer:
    """A tensor in the device's memory: what a launch takes for a pointer parameter; the kernel sees `address`."""

    allocation: Allocation
    offset: int = 0

    @property
    def address(self) -> int:
        return self.allocation.start + self.offset


class DeviceArray(np.ndarray[Any, Any]):
    """A NumPy array that lives in the arena; pass it to a launch as it is."""

    pointer: Pointer

    def __array_finalize__(self, source: object) -> None:
        pass  # views of a device array are plain views: they carry no pointer of their own


def dim3(sizes: Sequence[int], what: str) -> Dim3:
    values = [int(s) for s in sizes] + [1] * (3 - len(sizes))
    if len(values) != 3 or min(values) < 1:
        raise LaunchError(f"a {what} of {tuple(sizes)} is empty or has more than 3 axes. Nothing was launched.")
    return values[0], values[1], values[2]


# of every card: CUDA C++ Programming Guide, table "Technical Specifications per Compute Capability"
MOST_BLOCKS = (2**31 - 1, 65535, 65535)
MOST_THREADS = (1024, 1024, 64)


def check_launch(kernel: Kernel, grid: Dim3, block: Dim3, shared_bytes: int, limits: Limits | None) -> None:
    threads = block[0] * block[1] * block[2]
    required = kernel.required_block
    if required is not None and tuple(required) != block:
        raise LaunchError(
            f"{kernel.name} was compiled for blocks of {tuple(required)}, not {block}. Nothing was launched."
        )
    most = kernel.max_block or (limits.threads if limits else 1024)
    if threads > most:
        raise LaunchError(f"{kernel.name} runs at most {most} threads a block, not {threads}. Nothing was launched.")
    for what, sizes, most_of in (("grid", grid, MOST_BLOCKS), ("block", block, MOST_THREADS)):
        for axis, size, bound in zip("xyz", sizes, most_of, strict=True):
            if size > bound:
                raise LaunchError(
                    f"the {what} of {kernel.name} is {sizes}: its {axis} may be {bound:,} at most. "
                    "Nothing was launched."
                )
    if limits is not None and shared_bytes > limits.shared_bytes:
        raise LaunchError(
            f"{kernel.name} asks for {shared_bytes:,} bytes of shared memory a block; the card has "
            f"{limits.shared_bytes:,}. Nothing was launched."
        )


def pointer_of(argument: Any) -> Pointer | None:
    if isinstance(argument, Pointer):
        return argument
    if isinstance(argument, DeviceArray):
        return getattr(argument, "pointer", None)
    return None


def pack(params: Sequence[Parameter], args: Sequence[Any]) -> dict[str, Array]:
    """Arguments as the bytes of each parameter. Raises LaunchError for a wrong number or size."""
    if len(params) != len(args):
        raise LaunchError(f"the kernel takes {len(params)} arguments, {len(args)} were given. Nothing was launched.")
    return {p.name: _pack_one(p, a) for p, a in zip(params, args, strict=True)}


def _pack_one(param: Parameter, argument: Any) -> Array:
    pointer = pointer_of(argument)
    if pointer is not None:
        raw = pointer.address.to_bytes(8, "little")
    elif isinstance(argument, bytes):
        raw = argument
    elif isinstance(argument, np.generic):
        raw = argument.tobytes()
    elif isinstance(argument, bool | int):
        size = param.bytes
        if param.type in ("f32", "f64"):
            raw = np.array(argument, "f4" if param.type == "f32" else "f8").tobytes()
        else:
            raw = (int(argument) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    elif isinstance(argument, float):
        raw = np.array(argument, "f4" if param.bytes == 4 else "f8").tobytes()
    else:
        raise LaunchError(f"{param.name}: {type(argument).__name__} is no argument of a kernel. Nothing was launched.")
    if len(raw) < param.bytes:
        raise LaunchError(f"{param.name} takes {param.bytes} bytes, {len(raw)} were given. Nothing was launched.")
    return np.frombuffer(raw[: param.bytes], np.uint8).copy()


def by_parameter(params: Sequence[Parameter], parameters: dict[str, Array], arena: Arena) -> dict[str, Allocation]:
    """Which allocation each 8-byte parameter points into."""
    table = {}
    for p in params:
        if p.bytes == 8:
            owner = arena.find(int(parameters[p.name].view("u8")[0]))
            if owner is not None:
                table[p.name] = owner
    return table
