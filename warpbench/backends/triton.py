"""Triton on ptxvm: a driver object that claims a card of the emulated architecture and executes PTX.

Triton's own front end and compiler run unchanged up to PTX. The cubin stage is dropped and the compile cache gets a
name of its own, so that a real card's cache never meets ours.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import ptxvm
from warpbench.backends.cost import cost
from warpbench.backends.emulated import Launch, Tensor, dim3, refuse_card_tensor

if TYPE_CHECKING:
    from warpbench.backends.emulated import Emulator

# Triton's scalar types -> how struct packs them; fp16 and bf16 are packed below
_PACK = {
    "i1": "?", "i8": "b", "i16": "h", "i32": "i", "i64": "q", "u1": "?", "u8": "B", "u16": "H", "u32": "I", "u64": "Q",
    "fp32": "f", "f32": "f", "fp64": "d", "f64": "d", "fp16": "e", "f16": "e",
}  # fmt: skip
_BITS = {"q": 64, "i": 32, "h": 16, "b": 8}
TENSOR_MAP_BYTES = 128


def before_import() -> None:
    """Pin what Triton reads from the environment when it is imported."""
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # the default of today, whatever tomorrow's is


def install(emulator: Emulator) -> None:
    """Make ptxvm Triton's active driver."""
    import triton
    import triton.testing
    from triton.backends.nvidia.compiler import CUDABackend

    _stop_at_ptx(CUDABackend)
    _tell_files_apart(triton.runtime.jit.JITFunction)
    benchmark = benchmarks(emulator)
    triton.runtime.driver.set_active(_driver(emulator, benchmark))
    triton.testing.do_bench = triton.testing.do_bench_cudagraph = benchmark


def _stop_at_ptx(backend: Any) -> None:
    """Take the cubin stage out of the pipeline, and give the results a cache of their own."""
    add_stages, init = backend.add_stages, backend.__init__
    compiler_hash = backend.hash

    def stages_to_ptx(self: Any, stages: Any, *args: Any, **kwargs: Any) -> None:
        add_stages(self, stages, *args, **kwargs)
        stages.pop("cubin", None)

    def init_for_ptx(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.binary_ext = "ptx"

    backend.add_stages = stages_to_ptx
    backend.__init__ = init_for_ptx
    backend.hash = lambda self: f"{compiler_hash(self)}-ptxvm"


def _tell_files_apart(jit_function: Any) -> None:
    """Let the cache's key hold the file: Triton's is the text and the first line, and a copy's line table would be
    that of the file which was compiled first."""
    key_of_text = jit_function.cache_key.fget

    def key(self: Any) -> str:
        return hashlib.sha256(f"{key_of_text(self)} {self.fn.__code__.co_filename}".encode()).hexdigest()

    jit_function.cache_key = property(key)


def _driver(emulator: Emulator, benchmark: Callable[..., Any]) -> Any:
    """The driver object. Its class can be made only when Triton is there."""
    from triton.backends.compiler import GPUTarget
    from triton.backends.driver import DriverBase

    major, minor = emulator.capability

    class Driver(DriverBase):  # type: ignore[misc]
        """What Triton's runtime asks of a driver."""

        def __init__(self) -> None:
            super().__init__()
            self.utils = _Utils(emulator)
            self.launcher_cls = lambda source, metadata: _Launcher(emulator, source, metadata)

        @classmethod
        def is_active(cls) -> bool:
            return True

        def get_current_target(self) -> Any:
            return GPUTarget("cuda", 10 * major + minor, 32)

        def get_device_capability(self, device: Any = None) -> tuple[int, int]:
            return major, minor

        def get_current_device(self) -> int:
            return 10 * major + minor  # the JIT's cache is keyed by it: an architecture a device

        def set_current_device(self, device: int) -> None:
            """There is one device."""

        def get_current_stream(self, device: Any = None) -> int:
            return 0

        def get_active_torch_device(self) -> Any:
            import torch

            return torch.device("cpu")

        def get_device_interface(self) -> Any:
            import torch

            return torch.cpu

        def map_python_to_cpp_type(self, ty: str) -> str:
            from triton.backends.nvidia.driver import ty_to_cpp

            return str(ty_to_cpp(ty))

        def get_benchmarker(self) -> Any:
            return benchmark

        def get_empty_cache_for_benchmark(self) -> Any:
            import torch

            return torch.empty(0, dtype=torch.int32)

        def clear_cache(self, cache: Any) -> None:
            """There is no cache."""

    return Driver()


def benchmarks(emulator: Emulator, nan: Callable[[str], float] | None = None) -> Callable[..., Any]:
    """In place of Triton's benchmarks: each runs the call once, and gives no time.

    The autotuner, which must rank its configurations, is given a unitless cost; everybody else what `nan` answers when
    it is told who asked: NaN, with a line that says why.
    """
    answer = nan or _nan()

    def benchmark(fn: Any, *args: Any, quantiles: Sequence[float] | None = None, **options: Any) -> Any:
        with emulator.apart() as launches:
            fn()
        if is_autotuner(fn):
            value = cost(launches, emulator.card.sm_count if emulator.card else 1)
        else:
            value = answer("triton.testing.do_bench")
        if quantiles is None or len(quantiles) == 1:
            return [value] if options.get("return_mode") == "all" and quantiles is None else value
        return [value] * len(quantiles)

    return benchmark


def is_autotuner(fn: Any) -> bool:
    """Whether a call that is to be benchmarked is one of Triton's autotuner."""
    return bool(fn.__module__ == "triton.runtime.autotuner")


def _nan() -> Callable[[str], float]:
    """NaN, with a line on stderr the first time."""
    told: list[str] = []

    def nan(who: str) -> float:
        if not told:
            told.append(who)
            print(
                f"{who}: on ptxvm nothing is timed. The call was run once and the answer is NaN; "
                "counters are shown by warpbench inspect.",
                file=sys.stderr,
            )
        return math.nan

    return nan


class _Utils:
    """Device properties, and "loading" a kernel: its text is kept."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def get_device_properties(self, device: int) -> dict[str, int]:
        card = self._emulator.card
        limits = card.limits if card else None
        return {
            "max_shared_mem": self._emulator.shared_bytes,
            "max_num_regs": limits.registers_per_block if limits else 65536,
            "multiprocessor_count": card.sm_count if card else 1,
            "warpSize": 32,
        }

    def load_binary(self, name: str, kernel: bytes, shared: int, device: int) -> tuple[Any, Any, int, int, int]:
        text = kernel.decode() if isinstance(kernel, bytes) else kernel
        return name, (name, text), 0, 0, 1024

    def unload_module(self, module: Any) -> None:
        """Nothing was loaded."""


class _Launcher:
    """What `kernel[grid](...)` ends in."""

    def __init__(self, emulator: Emulator, source: Any, metadata: Any) -> None:
        self.emulator, self.metadata = emulator, metadata
        self.signature = list(source.signature.items())  # (parameter, type), "constexpr" for those compiled in

    def __call__(
        self, grid_x: int, grid_y: int, grid_z: int, stream: Any, function: tuple[str, str], packed: Any,
        launch_metadata: Any, enter_hook: Any, exit_hook: Any, *args: Any,
    ) -> None:  # fmt: skip
        if grid_x * grid_y * grid_z <= 0:
            return  # as on a card: nothing is launched, nothing is said
        name, text = function
        packed_args = list(self._pack(args))
        kernel = ptxvm.Module.from_ptx(text).kernel(name)
        clusters = getattr(self.metadata, "num_ctas", 1)
        grid = dim3((grid_x * clusters, grid_y, grid_z))
        packed_args += self._scratch(len(kernel.params) - len(packed_args), math.prod(grid))
        threads = kernel.required_block or (32 * self.metadata.num_warps, 1, 1)
        launch = Launch("triton", name, name, text, self.emulator.arch, grid, dim3(threads), self.metadata.shared)
        self.emulator.launch(
            launch, packed_args, cooperative=bool(getattr(self.metadata, "launch_cooperative_grid", False))
        )

    def _pack(self, args: Sequence[Any]) -> Iterator[Any]:
        descriptions = list(getattr(self.metadata, "tensordesc_meta", None) or ())
        for (name, kind), arg in zip(self.signature, args, strict=True):
            if isinstance(kind, str) and kind.startswith("tensordesc"):
                yield from _descriptor(arg, str(name), descriptions.pop(0) if descriptions else None)
            else:
                yield from _flat(str(name), kind, arg)

    def _scratch(self, missing: int, ctas: int) -> list[Any]:
        """The hidden pointers at the end: scratch memory for all CTAs, and for profiling."""
        import torch

        sizes = (getattr(self.metadata, "global_scratch_size", 0), getattr(self.metadata, "profile_scratch_size", 0))
        hidden: list[Any] = []
        for name, size in zip(("global scratch", "profile scratch"), sizes, strict=True):
            scratch = torch.zeros(ctas * size, dtype=torch.uint8) if size else None
            hidden.append(np.uint64(0) if scratch is None else Tensor(scratch, name))
        return hidden[:missing]


def _flat(name: str, kind: Any, arg: Any) -> Iterator[Any]:
    """One argument by its type in the signature; tuples are flattened, compiled-in values left out."""
    if kind == "constexpr":
        return
    if isinstance(kind, tuple):
        for i, (one, value) in enumerate(zip(kind, arg, strict=True)):
            yield from _flat(f"{name}[{i}]", one, value)
    elif kind.startswith("*"):
        yield _pointer(name, arg)
    elif kind in ("bf16",):
        yield struct.pack("f", arg)[2:]
    else:
        code = _PACK[kind]
        if code in _BITS and arg >= 1 << (_BITS[code] - 1):
            arg -= 1 << _BITS[code]  # an unsigned value in a signed type keeps its bits
        yield struct.pack(code, arg)


def _pointer(name: str, arg: Any) -> Any:
    if arg is None:
        return np.uint64(0)
    base = getattr(arg, "base", arg)  # a tensor that was reinterpreted in another type
    if not hasattr(base, "untyped_storage"):
        raise TypeError(f"{name} is {type(arg).__name__}; a kernel takes torch tensors for its pointers")
    refuse_card_tensor(base)
    return Tensor(base, name)


def _descriptor(arg: Any, name: str, description: Any) -> Iterator[Any]:
    """A host tensor descriptor: pointer, shape, strides, or an opaque 128-byte tensor map; then shape and strides."""
    shape, strides = [int(n) for n in arg.shape], [int(n) for n in arg.strides]
    if description is None:
        yield _pointer(name, arg.base)
        yield from (struct.pack("q", n) for n in (*shape, *strides))
        yield struct.pack("?", getattr(arg, "padding", "zero") == "nan")
        if hasattr(arg, "round_f32_to_tf32"):
            yield struct.pack("?", bool(arg.round_f32_to_tf32))
    else:
        yield bytes(TENSOR_MAP_BYTES)
    yield from (struct.pack("i", n) for n in shape)
    yield from (struct.pack("q", n) for n in strides)
