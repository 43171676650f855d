"""cupyx, the package beside CuPy: its few functions on arrays, its profiler, and its kernels in Python, refused."""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any

import numpy as np

from warpbench import errors
from warpbench.backends import hooks
from warpbench.backends.pretend import Card, scope


def install(card: Card) -> None:
    """After cupyx has been imported, and with it CuPy."""
    from warpbench.backends.pretend_cupy import through

    cupyx: Any = importlib.import_module("cupyx")
    cupyx.rsqrt = through(lambda x: 1 / np.sqrt(x))
    cupyx.scatter_add = lambda a, slices, value: a.scatter_add(slices, value)
    cupyx.empty_pinned, cupyx.zeros_pinned = np.empty, np.zeros
    cupyx.empty_like_pinned, cupyx.zeros_like_pinned = np.empty_like, np.zeros_like


def wait(card: Card) -> None:
    """Wait for the modules of cupyx, and load it, unless its own import has brought CuPy here.

    CuPy leaves cupyx to be loaded when it is first used. If that is by an import of one of its modules, Python loads
    this module twice, and the second one has not been waited for.
    """
    hooks.when_imported("cupyx.profiler", functools.partial(_no_profiler, card))
    hooks.when_imported("cupyx.jit", _no_jit)
    if "cupyx._rsqrt" not in sys.modules:
        importlib.import_module("cupyx").__name__  # noqa: B018 - asking for anything of it loads it


def _no_jit() -> None:
    """cupyx.jit: kernels are refused at their launch."""
    interface: Any = importlib.import_module("cupyx.jit._interface")

    def refuse(self: Any, *args: Any, **options: Any) -> None:
        raise errors.CapabilityMissing(
            "cupyx.jit.rawkernel is not emulated: of CuPy's kernels RawKernel, RawModule, ElementwiseKernel and "
            "ReductionKernel are. Nothing was launched. numba.cuda.jit takes such a kernel almost as it is written."
        )

    interface._JitRawKernel.__call__ = refuse


def _no_profiler(card: Card) -> None:
    """cupyx.profiler: the call is made once, its times are NaN."""
    profiler: Any = importlib.import_module("cupyx.profiler")

    class Result:
        """What `benchmark` gives."""

        def __init__(self, name: str) -> None:
            self.name = name
            self.cpu_times = np.full(1, card.nan("cupyx.profiler.benchmark"))
            self.gpu_times = np.full((1, 1), np.nan)

        def to_str(self, show_gpu: bool = False) -> str:
            return f"{self.name}: CPU nan us, GPU nan us"

        __str__ = __repr__ = to_str

    def benchmark(func: Any, args: Any = (), kwargs: Any = None, *more: Any, name: Any = None, **options: Any) -> Any:
        func(*args, **(kwargs or {}))
        return Result(name or getattr(func, "__name__", "call"))

    profiler.benchmark = benchmark
    profiler.time_range = profiler.profile = scope
