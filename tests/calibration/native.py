"""Launches on the card, seen from inside: each one alone between the profiler's start and stop, and what it ran.

The launch paths of the three DSLs are wrapped, so that only our kernels are profiled and not those by which torch fills
a tensor. What is noted: the entry, the geometry and the PTX that was compiled here, by this machine's compilers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from warpbench.backends.emulated import dim3


class Native:
    """Notes of the launches while `noting`; `launches` is emptied by the caller, case by case."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.noting = False
        self.launches: list[dict[str, Any]] = []
        self._inside = False
        for name in ("ptx", "cubin"):
            (out / name).mkdir(parents=True, exist_ok=True)

    def install(self, dsl: str) -> None:
        """Wrap the launch path of a DSL. Before any kernel file is imported."""
        {"triton": self._triton, "numba": self._numba, "cupy": self._cupy}[dsl]()

    def alone(self, launch: Callable[[], Any]) -> Any:
        """Make one launch, between cudaProfilerStart and cudaProfilerStop."""
        import torch

        if not self.noting or self._inside:
            return launch()
        self._inside = True
        torch.cuda.synchronize()
        torch.cuda.cudart().cudaProfilerStart()
        try:
            return launch()
        finally:
            torch.cuda.synchronize()
            torch.cuda.cudart().cudaProfilerStop()
            self._inside = False

    def note(self, kernel: str, ptx: str | bytes | None, cubin: bytes | None = None, **more: Any) -> None:
        """Remember a launch and its geometry; texts are kept once, by their hash."""
        if not self.noting or self._inside:
            return
        row: dict[str, Any] = {"kernel": kernel, "ptx": None, "cubin": None, **more}
        if ptx is not None:
            row["ptx"] = _kept(self.out / "ptx", ptx.encode() if isinstance(ptx, str) else ptx, "ptx")
        if cubin is not None:
            row["cubin"] = _kept(self.out / "cubin", cubin, "cubin")
        self.launches.append(row)

    # -- the three launch paths ----------------------------------------------------------------------------------
    def _triton(self) -> None:
        from triton.runtime.jit import JITFunction

        run = JITFunction.run

        def wrapped(jit: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> Any:
            kernel = self.alone(lambda: run(jit, *args, grid=grid, warmup=warmup, **options))
            asm, meta = kernel.asm, kernel.metadata
            self.note(
                str(meta.name), asm["ptx"], asm.get("cubin"),
                grid=None if callable(grid) else dim3(grid), block=(32 * meta.num_warps, 1, 1),
                dynamic_shared_bytes=int(meta.shared),
            )  # fmt: skip
            return kernel

        JITFunction.run = wrapped

    def _numba(self) -> None:
        from numba.cuda.dispatcher import CUDADispatcher

        call = CUDADispatcher.call

        def wrapped(dispatcher: Any, args: Sequence[Any], config: Any) -> Any:
            result = self.alone(lambda: call(dispatcher, args, config))
            if self.noting and not self._inside:
                self.note(
                    dispatcher.py_func.__name__, **_numba_code(dispatcher, args),
                    grid=dim3(config.griddim), block=dim3(config.blockdim), dynamic_shared_bytes=int(config.sharedmem),
                )  # fmt: skip
            return result

        CUDADispatcher.call = wrapped

    def _cupy(self) -> None:
        import cupy
        import torch

        from warpbench.backends.cupy import compile_source

        native, real = self, cupy.RawModule
        arch = "sm_{}{}".format(*torch.cuda.get_device_capability())

        class Function:
            """A kernel of a RawModule."""

            def __init__(self, module: Any, name: str) -> None:
                self.module, self.name, self.real = module, name, module.real.get_function(name)

            def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0, **options: Any) -> None:
                native.alone(lambda: self.real(grid, block, args, shared_mem=shared_mem, **options))
                if native.noting:
                    native.note(
                        self.name, **self.module.ptx(), grid=dim3(grid), block=dim3(block),
                        dynamic_shared_bytes=int(shared_mem),
                    )  # fmt: skip

            @property
            def max_dynamic_shared_size_bytes(self) -> int:
                return self.real.max_dynamic_shared_size_bytes

            @max_dynamic_shared_size_bytes.setter
            def max_dynamic_shared_size_bytes(self, size: int) -> None:
                self.real.max_dynamic_shared_size_bytes = size

        class RawModule:
            """cupy.RawModule of a source, and that source as PTX by the same NVRTC."""

            def __init__(self, *, code: str, options: Sequence[str] = ()) -> None:
                self.code, self.options = code, tuple(options)
                self.real = real(code=code, options=self.options)
                self._found: dict[str, Any] = {}

            def ptx(self) -> dict[str, Any]:
                """PTX, or why there is none: the launch was counted already, so nothing may be raised."""
                if not self._found:
                    try:
                        ptx, _ = compile_source(self.code, "kernel.cu", arch, self.options)
                        self._found = {"ptx": ptx}
                    except Exception as error:  # whatever finding headers and NVRTC may raise here
                        self._found = {"ptx": None, "no_code": f"{type(error).__name__}: {error}"}
                return self._found

            def get_function(self, name: str) -> Function:
                return Function(self, name)

        cupy.RawModule = RawModule


def _numba_code(dispatcher: Any, args: Sequence[Any]) -> dict[str, Any]:
    """PTX and machine code of the kernel that these arguments choose; None, with why, for what cannot be had.

    The launch was counted already, so nothing may be raised here.
    """
    found: dict[str, Any] = {"ptx": None, "cubin": None}
    try:
        overloads = dispatcher.overloads
        types = tuple(dispatcher.typeof_pyval(arg) for arg in args)
        if types not in overloads and len(overloads) == 1:
            (types,) = overloads
        found["ptx"] = dispatcher.inspect_asm(types)
        cubin = overloads[types]._codelibrary.get_cubin(cc=None)
        found["cubin"] = cubin if isinstance(cubin, bytes) else bytes(cubin.code)
    except Exception as error:  # inner parts of numba-cuda, which differ from version to version
        found["no_code"] = f"{type(error).__name__}: {error}"
    return found


def _kept(folder: Path, content: bytes, ending: str) -> str:
    """Write a file named by its hash, once."""
    name = f"{hashlib.sha256(content).hexdigest()[:16]}.{ending}"
    path = folder / name
    if not path.exists():
        path.write_bytes(content)
    return name
