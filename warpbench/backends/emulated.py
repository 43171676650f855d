"""Launches of all three DSLs on CPU tensors, executed by ptxvm: what the hooks of triton, numba and cupy share.

Installed once a process, before any kernel file is imported; such a process never talks to a card. A hook compiles with
its DSL's own compiler, packs the arguments as its DSL does, refuses what its DSL refuses on a card, and hands the PTX
to `Emulator.launch`.
"""

from __future__ import annotations

import contextlib
import linecache
import math
import operator
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import ptxvm
from ptxvm.report import Finding
from warpbench.hardware import Gpu, gpus

HERE = Path(__file__).parent
MEMORY_BYTES = 2 << 30  # of the virtual card, committed as it is touched
SHARED_BYTES = 48 << 10  # shared memory of a block, static and dynamic, that a kernel gets without asking for more
WAITING = ("endless loop", "deadlock")  # what blocks come to that wait for others which are not run
Dim3 = tuple[int, int, int]
Progress = Callable[[int, int], None]  # is told how many blocks have run, and of how many


@dataclass
class Launch:
    """One launch of a rung. Exactly one of `report` and `not_executed` is set when it was to be executed."""

    dsl: str
    kernel: str  # the kernel's name in the learner's file
    entry: str  # its name in the PTX
    ptx: str
    arch: str
    grid: Dim3
    block: Dim3
    dynamic_shared_bytes: int
    report: ptxvm.Report | None = None
    not_executed: str | None = None
    blocks: int | None = None  # how many blocks of the grid were run; None: all
    trace: ptxvm.Trace | None = None  # what the warps touched that `Emulator.traced` names


@dataclass(frozen=True)
class Tensor:
    """A tensor argument: the elements that the kernel gets a pointer to, in whichever array library they are."""

    value: Any  # torch.Tensor on the CPU, or NumPy array
    name: str  # of the parameter that it is passed for


class OnCard(np.ndarray[Any, Any]):
    """A NumPy array that stands for one in a card's memory: what `warpbench run` gives to a script."""


class Emulator:
    """The virtual card of this process.

    execute   False: launches are compiled and recorded, not run
    shuffle   seed of a random order of blocks and warps; None: the normal order
    blocks    run so many blocks of a grid at most, spread evenly; None: all of them
    max_visits  basic blocks that a batch may run before its loop is called endless
    checks    what ptxvm looks for
    watch     is told of each launch when it has ended, and whether it was made `apart`
    traced    says which warps (block, warp) of a launch are traced; None: none
    progress  makes, for a launch that begins, what is told how far it is; None: nobody is
    card      whose limits and SMs are told to those who ask; None: the first of this architecture
    """

    def __init__(self, arch: str, card: Gpu | None = None) -> None:
        self.arch = arch
        self.execute = True
        self.shuffle: int | None = None
        self.checks = ptxvm.Checks(races="all")
        self.blocks: int | None = None
        self.max_visits = ptxvm.Schedule.max_visits
        self.watch: Callable[[Launch, bool], None] | None = None
        self.traced: Callable[[Launch], Iterable[tuple[int, int]]] | None = None
        self.progress: Callable[[Launch], contextlib.AbstractContextManager[Progress | None]] = lambda launch: (
            contextlib.nullcontext()
        )
        self.card = card or next((one for one in gpus().values() if one.arch == arch), None)
        limits = self.card.limits if self.card else None
        self.shared_bytes = limits.shared_per_block_optin_bytes if limits else 48 << 10
        self.device = ptxvm.Device(
            arch,
            limits=ptxvm.Limits(self.shared_bytes, limits.threads_per_block if limits else 1024),
            memory_bytes=MEMORY_BYTES,
        )
        self._arena = address_of(self.device.arena.bytes)
        self._launches: list[Launch] = []
        self._named: list[tuple[str, Any]] = []
        self._shown: dict[int, tuple[Any, ptxvm.Pointer]] = {}  # by address on the host: see `show`
        self._apart = False
        self._one = threading.Lock()  # a script's threads launch one after another, as on one stream

    @property
    def capability(self) -> tuple[int, int]:
        """(8, 6) for sm_86."""
        digits = self.arch.removeprefix("sm_")
        return int(digits[:-1]), int(digits[-1])

    def install(self) -> None:
        """Replace the launch paths of triton, numba and cupy, each when it is imported. Once a process."""
        from warpbench.backends import hooks

        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        hooks.install(self)

    @contextlib.contextmanager
    def record(self, tensors: Mapping[str, Any]) -> Iterator[list[Launch]]:
        """Collect the launches made inside, and call these torch tensors by their names in messages."""
        launches: list[Launch] = []
        self._launches = launches
        self._named = list(tensors.items())
        try:
            yield launches
        finally:
            self._launches, self._named = [], []

    @contextlib.contextmanager
    def apart(self) -> Iterator[list[Launch]]:
        """Collect the launches made inside, and keep them out of what `record` collects."""
        outer, self._launches = self._launches, []
        outside, self._apart = self._apart, True
        try:
            yield self._launches
        finally:
            self._launches, self._apart = outer, outside

    # -- launching -----------------------------------------------------------------------------------------------
    def launch(
        self,
        launch: Launch,
        args: Sequence[Any],
        cooperative: bool = False,
        lints: Sequence[Finding] = (),
    ) -> Launch:
        """Run a compiled kernel. `args`: a `Tensor` for each pointer into one, else bytes or NumPy scalars as packed.

        Raises ptxvm.LaunchError and ptxvm.Fault.
        """
        self._launches.append(launch)
        if not self.execute:
            return launch
        module = ptxvm.Module.from_ptx(launch.ptx)
        refused = module.unsupported(launch.entry)
        if refused:
            more = f" and {len(refused) - 1} more forms" if len(refused) > 1 else ""
            launch.not_executed = f"{refused[0]}{more}"
            if self.watch is not None:
                self.watch(launch, self._apart)
            return launch
        if self.traced is not None:
            launch.trace = ptxvm.Trace(self.traced(launch))
        with self._one, self._bound(args) as bound:
            try:
                launch.report = self._run(launch, module.kernel(launch.entry), bound, cooperative)
            except ptxvm.Fault as fault:
                launch.report = fault.report
                raise
            except KeyboardInterrupt:
                launch.not_executed = "stopped before its end"
                raise
            except ptxvm.LaunchError as error:  # in the learner's words: not the name that the compiler gave
                raise ptxvm.LaunchError(str(error).replace(launch.entry, launch.kernel)) from None
            finally:
                if launch.report is not None:
                    launch.report.lints.extend(lints)
                if self.watch is not None:
                    self.watch(launch, self._apart)
        return launch

    def refused(self, launch: Launch, fault: ptxvm.Fault) -> None:
        """A hook has refused a launch for what is wrong with its arguments: tell the watcher."""
        if self.watch is not None:
            launch.report = ptxvm.Report(launch.kernel, launch.grid, launch.block)
            launch.report.faults.append(fault.finding)
            self.watch(launch, self._apart)

    def _run(self, launch: Launch, kernel: ptxvm.Kernel, args: Sequence[Any], cooperative: bool) -> ptxvm.Report:
        """Run some blocks or, where these wait for others, all of them."""
        blocks = self._sample(launch.grid, cooperative)
        launch.blocks = None if blocks is None else len(blocks)
        with self.progress(launch) as progress:
            try:
                return self.device.launch(
                    kernel,
                    launch.grid,
                    launch.block,
                    args,
                    dynamic_shared_bytes=launch.dynamic_shared_bytes,
                    cooperative=cooperative,
                    checks=self.checks,
                    schedule=ptxvm.Schedule(seed=self.shuffle, blocks=blocks, max_visits=self.max_visits),
                    trace=launch.trace,
                    progress=progress,
                )
            except ptxvm.Fault as fault:
                if blocks is None or fault.finding.kind not in WAITING:
                    raise
        with self._whole():
            return self._run(launch, kernel, args, cooperative)

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """While inside, launches are of all blocks."""
        blocks, self.blocks = self.blocks, None
        try:
            yield
        finally:
            self.blocks = blocks

    def _sample(self, grid: Dim3, cooperative: bool) -> tuple[int, ...] | None:
        """The blocks that are run where not all are."""
        total = math.prod(grid)
        if self.blocks is None or cooperative or total <= self.blocks:
            return None
        return tuple(total * i // self.blocks for i in range(self.blocks))

    def show(self, value: Any) -> int:
        """The address of a tensor or array on the virtual card, for a script that passes it on as a number.

        Its memory stays on the card from now on: nobody knows how long the number is kept.
        """
        start, size = _extent(value)
        if start == self._arena:
            return address_of(value) - start
        if start not in self._shown:
            self._shown[start] = value, self._bind(value, start, size, "")
        return self._shown[start][1].allocation.start + address_of(value) - start

    @contextlib.contextmanager
    def _bound(self, args: Sequence[Any]) -> Iterator[list[Any]]:
        """The arguments with each tensor's storage lent to the device; tensors that share a storage share it there."""
        storages = {start: pointer for start, (_, pointer) in self._shown.items()}  # by address on the host
        lent: list[ptxvm.Pointer] = []
        bound: list[Any] = []
        try:
            for arg in args:
                if not isinstance(arg, Tensor):
                    bound.append(arg)
                    continue
                start, size = _extent(arg.value)
                if start == self._arena:  # a variable of a module, which lies on the card
                    bound.append(np.uint64(address_of(arg.value) - start))
                    continue
                if size and start in storages:  # storages without a byte may have no address
                    offset = address_of(arg.value) - start
                    bound.append(self.device.alias(storages[start], offset))
                    continue
                pointer = self._bind(arg.value, start, size, arg.name)
                storages[start] = pointer
                lent.append(pointer)
                bound.append(pointer)
            shown = [pointer.allocation for _, pointer in self._shown.values()]
            memory = self.device.arena.bytes
            for one in shown:
                if one.storage is not None:
                    memory[one.start : one.start + one.storage.size] = one.storage
                one.written = False
            yield bound
            for one in shown:
                if one.storage is not None and one.written:
                    one.storage[:] = memory[one.start : one.start + one.storage.size]
        finally:
            for pointer in lent:
                self.device.release(pointer)

    def _bind(self, value: Any, start: int, size: int, name: str) -> ptxvm.Pointer:
        dtype, shape, strides = _description(value)
        return self.device.bind(
            bytes_at(start, size, value),
            name=self._name_of(value) or name,
            dtype=dtype,
            shape=shape or (1,),
            strides=strides or (np.dtype(dtype).itemsize,),
            offset_bytes=address_of(value) - start if size else 0,
        )

    def tensor_at(self, address: int) -> Any:
        """The tensor that `record` was given whose first element lies at a host address; None if there is none."""
        return next((t for _, t in self._named if t.data_ptr() == address and t.nbytes), None)

    def _name_of(self, value: Any) -> str:
        """The name that the operation gives a tensor (or a view of the same elements); "" for one of the rung's own."""
        for name, known in self._named:
            if address_of(known) == address_of(value) and known.nbytes == value.nbytes:
                return name
        return ""


def wrong_argument(kind: str, detail: str, parameter: str) -> Finding:
    """A finding about an argument of a launch: its line is that of the launch."""
    file, line = caller()
    text = linecache.getline(file, line).strip()
    return Finding(kind=kind, detail=detail, object=parameter, file=file, line=line, text=text)


def caller() -> tuple[str, int]:
    """(file, line) of the code that called a DSL: the nearest frame outside of this folder and the DSLs' packages."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        package = path.as_posix().rpartition("/site-packages/")[2].partition("/")[0]
        if path.parent != HERE and package not in ("numba", "numba_cuda", "cupy", "triton"):
            return str(path), frame.f_lineno
        frame = frame.f_back
    return str(HERE), 0


def refuse_card_tensor(tensor: Any) -> None:
    """Raise TypeError for a tensor that lives on a real card: this process has none."""
    device = tensor.untyped_storage().device  # where the elements are: a script's tensors may call themselves "cuda"
    if device.type != "cpu":
        raise TypeError(f"a tensor on {device} was passed to a kernel that runs on ptxvm; tensors must be on the CPU")


def numpy_type(tensor: Any, dsl: str) -> np.dtype[Any]:
    """The type of a tensor's elements as a DSL reads it from the CUDA array interface of a tensor on a card.

    Raises what the reading of that interface raises: RuntimeError for a tensor that requires grad, TypeError for an
    element type that NumPy lacks.
    """
    refuse_card_tensor(tensor)
    if tensor.requires_grad:
        raise RuntimeError(
            "Can't get __cuda_array_interface__ on Variable that requires grad. Use tensor.detach() first"
        )
    try:
        return np.dtype(str(tensor.dtype).removeprefix("torch."))
    except TypeError:
        bits = "uint16" if tensor.element_size() == 2 else "uint8"
        raise TypeError(
            f"{dsl} has no type for a {tensor.dtype} tensor. The kernel was not launched. "
            f"Pass its bits and decode them in the kernel: tensor.view(torch.{bits})"
        ) from None


def address_of(value: Any) -> int:
    """The host's address of the first element of a tensor or array."""
    if isinstance(value, np.ndarray):
        return int(value.__array_interface__["data"][0])
    start = value.untyped_storage().data_ptr()  # not data_ptr(), which `warpbench run` answers with the card's address
    return int(start + value.storage_offset() * value.element_size())


def _extent(value: Any) -> tuple[int, int]:
    """Address and bytes of the whole storage that a tensor, or an array over one, is a part of."""
    while isinstance(value, np.ndarray):
        if not isinstance(value.base, np.ndarray) and not hasattr(value.base, "untyped_storage"):
            low, high = np.lib.array_utils.byte_bounds(value) if value.size else (address_of(value), address_of(value))
            return low, high - low
        value = value.base
    storage = value.untyped_storage()
    return storage.data_ptr(), storage.nbytes()


class _Bytes:
    """Some of the host's memory, as NumPy's array interface describes it; keeps the owner alive."""

    def __init__(self, start: int, size: int, owner: Any) -> None:
        self.owner = owner
        self.__array_interface__ = {"data": (start, False), "shape": (size,), "typestr": "|u1", "version": 3}


def bytes_at(start: int, size: int, owner: Any) -> np.ndarray[Any, Any]:
    """The host's memory as a 1-D array, writable; a copy of it where the owner may not be written."""
    if not size:
        return np.empty(0, np.uint8)
    memory = np.asarray(_Bytes(start, size, owner))
    return memory.copy() if isinstance(owner, np.ndarray) and not owner.flags.writeable else memory


def _description(value: Any) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """(element type for messages, shape, strides in bytes)."""
    if isinstance(value, np.ndarray):
        known = value.dtype.kind in "fiubc"
        return value.dtype.str if known else f"V{value.itemsize}", value.shape, value.strides
    size = value.element_size()
    return _numpy_dtype(value), tuple(value.shape), tuple(stride * size for stride in value.stride())


def _numpy_dtype(tensor: Any) -> str:
    """For messages: NumPy's name of the element type, or an unsigned integer of its width where NumPy has none."""
    name = str(tensor.dtype).removeprefix("torch.")
    known = (
        "float64", "float32", "float16", "complex64", "complex128", "bool",
        "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8",
    )  # fmt: skip
    return name if name in known else f"u{tensor.element_size()}"


def dim3(sizes: Any) -> Dim3:
    """(x, y, z) of a launch dimension of one to three sizes. TypeError for a size that is no integer."""
    x, y, z = (*(operator.index(s) for s in sizes), 1, 1)[:3]
    return x, y, z


__all__ = [
    "Emulator", "Launch", "OnCard", "Tensor",
    "address_of", "bytes_at", "dim3", "numpy_type", "refuse_card_tensor", "wrong_argument",
]  # fmt: skip
