"""Launches of all three DSLs on CPU tensors, executed by ptxvm: what the hooks of triton, numba and cupy share.

Installed once a process, before any kernel file is imported; such a process never talks to a card. A hook compiles with
its DSL's own compiler, packs the arguments as its DSL does, refuses what its DSL refuses on a card, and hands the PTX
to `Emulator.launch`.
"""

from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import ptxvm
from ptxvm.report import Finding
from warpbench.hardware import gpus

MEMORY_BYTES = 2 << 30  # of the virtual card, committed as it is touched
SHARED_BYTES = 48 << 10  # shared memory of a block, static and dynamic, that a kernel gets without asking for more
Dim3 = tuple[int, int, int]


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


@dataclass(frozen=True)
class Tensor:
    """A tensor argument: the elements that the kernel gets a pointer to, in whichever array library they are."""

    value: Any  # torch.Tensor on the CPU
    name: str  # of the parameter that it is passed for


class Emulator:
    """The virtual card of this process.

    execute   False: launches are compiled and recorded, not run
    shuffle   seed of a random order of blocks and warps; None: the normal order
    checks    what ptxvm looks for
    """

    def __init__(self, arch: str) -> None:
        self.arch = arch
        self.execute = True
        self.shuffle: int | None = None
        self.checks = ptxvm.Checks(races="all")
        self.card = next((card for card in gpus().values() if card.arch == arch), None)
        limits = self.card.limits if self.card else None
        self.shared_bytes = limits.shared_per_block_optin_bytes if limits else 48 << 10
        self.device = ptxvm.Device(
            arch,
            limits=ptxvm.Limits(self.shared_bytes, limits.threads_per_block if limits else 1024),
            memory_bytes=MEMORY_BYTES,
        )
        self._launches: list[Launch] = []
        self._named: list[tuple[str, Any]] = []

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
        try:
            yield self._launches
        finally:
            self._launches = outer

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
            return launch
        with self._bound(args) as bound:
            try:
                launch.report = self.device.launch(
                    module.kernel(launch.entry),
                    launch.grid,
                    launch.block,
                    bound,
                    dynamic_shared_bytes=launch.dynamic_shared_bytes,
                    cooperative=cooperative,
                    checks=self.checks,
                    schedule=None if self.shuffle is None else ptxvm.Schedule.fuzz(self.shuffle),
                )
            except ptxvm.Fault as fault:
                launch.report = fault.report
                raise
            except ptxvm.LaunchError as error:  # in the learner's words: not the name that the compiler gave
                raise ptxvm.LaunchError(str(error).replace(launch.entry, launch.kernel)) from None
        launch.report.lints.extend(lints)
        return launch

    @contextlib.contextmanager
    def _bound(self, args: Sequence[Any]) -> Iterator[list[Any]]:
        """The arguments with each tensor's storage lent to the device; tensors that share a storage share it there."""
        storages: dict[int, ptxvm.Pointer] = {}  # by address; storages without a byte may have none
        lent: list[ptxvm.Pointer] = []
        bound: list[Any] = []
        try:
            for arg in args:
                if not isinstance(arg, Tensor):
                    bound.append(arg)
                    continue
                t = arg.value
                offset = t.storage_offset() * t.element_size()
                key = t.untyped_storage().data_ptr()
                if t.untyped_storage().nbytes() and key in storages:
                    bound.append(self.device.alias(storages[key], offset))
                    continue
                pointer = self.device.bind(
                    _bytes_of(t),
                    name=self._name_of(t) or arg.name,
                    dtype=_numpy_dtype(t),
                    shape=tuple(t.shape) or (1,),
                    strides=tuple(s * t.element_size() for s in t.stride()) or (t.element_size(),),
                    offset_bytes=offset,
                )
                storages[key] = pointer
                lent.append(pointer)
                bound.append(pointer)
            yield bound
        finally:
            for pointer in lent:
                self.device.release(pointer)

    def tensor_at(self, address: int) -> Any:
        """The tensor that `record` was given whose first element lies at a host address; None if there is none."""
        return next((t for _, t in self._named if t.data_ptr() == address and t.nbytes), None)

    def _name_of(self, tensor: Any) -> str:
        """The name that the operation gives a tensor (or a view of the same elements); "" for one of the rung's own."""
        for name, known in self._named:
            if known.data_ptr() == tensor.data_ptr() and known.nbytes == tensor.nbytes:
                return name
        return ""


def wrong_argument(kind: str, detail: str, parameter: str) -> Finding:
    """A finding about an argument of a launch, which has no line in the kernel."""
    return Finding(kind=kind, detail=detail, object=parameter)


def refuse_card_tensor(tensor: Any) -> None:
    """Raise TypeError for a tensor that lives on a real card: this process has none."""
    if tensor.device.type != "cpu":
        raise TypeError(
            f"a tensor on {tensor.device} was passed to a kernel that runs on ptxvm; tensors must be on the CPU"
        )


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


def _bytes_of(tensor: Any) -> Any:
    """The whole storage as a writable 1-D uint8 NumPy array."""
    import torch

    return torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage()).numpy()


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


__all__ = ["Emulator", "Launch", "Tensor", "dim3", "numpy_type", "refuse_card_tensor", "wrong_argument"]
