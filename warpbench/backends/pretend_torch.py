"""PyTorch that says that a card is there: "cuda" is the CPU's memory, and tensors say that they are on "cuda:0".

Every tensor says so, also one that the script keeps on the CPU: what a card would refuse because the two meet is not
refused here. The operators of torch run on the CPU, so their last bits are the CPU's.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from typing import Any

from warpbench import errors
from warpbench.backends.pretend import Card, scope

# whoever asks from these for a tensor's address wants the host's
_LIBRARIES = ("torch", "triton", "numba", "numba_cuda", "cupy", "warpbench")
VERSION = "13.0"  # of CUDA: whose compilers are used


def install(card: Card) -> None:
    """Patch torch, and enter the mode in which "cuda" is the CPU's memory, for the rest of the process."""
    import torch

    _patch_devices(torch)
    _patch_cuda(torch, card)
    _mode(torch, card).__enter__()


def _mode(torch: Any, card: Card) -> Any:
    """The mode that rewrites devices on their way into torch, and tells the script what it expects of its tensors."""
    from torch.overrides import TorchFunctionMode

    Tensor = torch.Tensor  # noqa: N806
    answers = {
        Tensor.device.__get__: torch.device("cuda", 0),
        Tensor.is_cuda.__get__: True,
        Tensor.is_cpu.__get__: False,
        Tensor.get_device: 0,
    }
    moves = {Tensor.to, Tensor.type, Tensor.new_empty, Tensor.new_zeros, Tensor.new_ones, Tensor.new_full}
    same = {Tensor.cuda, Tensor.pin_memory}

    class Pretend(TorchFunctionMode):  # type: ignore[misc]
        """See above."""

        def __torch_function__(
            self, func: Any, classes: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            if func in answers:
                return answers[func]
            if func in same:
                return args[0]
            if func is Tensor.data_ptr and not _asked_by_a_library():
                return card.emulator.show(args[0])
            options = {name: elsewhere(torch, value) for name, value in (kwargs or {}).items() if name != "pin_memory"}
            if func in moves:
                args = tuple(elsewhere(torch, one) for one in args)
            return func(*args, **options)

    return Pretend()


def elsewhere(torch: Any, value: Any) -> Any:
    """A device, or the name of one, as it is meant: the CPU for a card. Anything else as it is."""
    if isinstance(value, torch.device):
        return torch.device("cpu") if value.type == "cuda" else value
    if isinstance(value, str) and value.startswith(("cuda", "torch.cuda.")):
        return value.replace("torch.cuda.", "torch.") if "." in value else "cpu"
    return value


def _asked_by_a_library() -> bool:
    """Whether the Python code that calls torch is a library's, or text that one has generated, not the script's."""
    frame = sys._getframe(2)
    return frame.f_globals.get("__name__", "torch").partition(".")[0] in _LIBRARIES


def _patch_devices(torch: Any) -> None:
    """What takes a device and is no function that a mode sees."""

    class Generator(torch._C.Generator):  # type: ignore[misc]
        """A random generator: of the CPU, whatever is asked."""

        def __new__(cls, device: Any = "cpu") -> Any:
            return super().__new__(cls, elsewhere(torch, device))

    autocast = torch.amp.autocast_mode.autocast.__init__

    def autocast_here(self: Any, device_type: str, *args: Any, **options: Any) -> None:
        autocast(self, elsewhere(torch, device_type), *args, **options)

    torch.Generator = Generator
    torch.amp.autocast_mode.autocast.__init__ = autocast_here
    torch.cuda.amp.autocast = lambda *args, **options: torch.autocast("cpu", *args, **options)
    torch.set_default_device, torch.set_default_tensor_type = _quiet(), _quiet()
    torch.version.cuda = VERSION
    for name in dir(torch):
        if name.endswith("Tensor") and hasattr(torch.cuda, name):
            setattr(torch.cuda, name, getattr(torch, name))


class Event:
    """An event that has always happened."""

    card: Card

    def __init__(self, *args: Any, **options: Any) -> None: ...
    def record(self, stream: Any = None) -> None: ...
    def wait(self, stream: Any = None) -> None: ...
    def synchronize(self) -> None: ...
    def query(self) -> bool:
        return True

    def elapsed_time(self, end: Any) -> float:
        return self.card.nan("torch.cuda.Event.elapsed_time")


class Stream:
    """A stream on which every launch is complete when it returns."""

    cuda_stream = 0
    stream_id = 0

    def __init__(self, *args: Any, **options: Any) -> None: ...
    def synchronize(self) -> None: ...
    def wait_stream(self, stream: Any) -> None: ...
    def wait_event(self, event: Any) -> None: ...
    def record_event(self, event: Any = None) -> Any:
        return event or Event()

    def query(self) -> bool:
        return True

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None: ...


class Scope:
    """torch.cuda.device: chooses the one device."""

    def __init__(self, device: Any) -> None:
        self.idx = 0

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None: ...


def _quiet() -> Any:
    """A function that does nothing, each one another: torch's own tables hold a function under one name only."""
    return lambda *args, **options: None


def _patch_cuda(torch: Any, card: Card) -> None:
    """torch.cuda: one card, initialised, idle."""
    Event.card = card
    stream = Stream()
    Stream.device = torch.device("cuda", 0)  # type: ignore[attr-defined]
    properties = _properties(card)
    answers: dict[str, Any] = {
        "is_available": True, "is_initialized": True, "device_count": 1, "current_device": 0,
        "get_device_name": card.name, "get_device_capability": card.capability, "get_device_properties": properties,
        "get_arch_list": [card.emulator.arch], "is_bf16_supported": card.capability[0] >= 8,
        "is_tf32_supported": card.capability[0] >= 8, "current_stream": stream, "default_stream": stream,
        "mem_get_info": (card.memory_bytes, card.memory_bytes), "memory_allocated": 0, "max_memory_allocated": 0,
        "memory_reserved": 0, "max_memory_reserved": 0, "memory_stats": {}, "utilization": 0,
        "is_current_stream_capturing": False,
    }  # fmt: skip
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *args, answer=answer, **options: answer)
    quiet = (
        "init", "_lazy_init", "synchronize", "set_device", "empty_cache", "ipc_collect", "reset_peak_memory_stats",
        "reset_max_memory_allocated", "reset_accumulated_memory_stats", "set_stream", "set_per_process_memory_fraction",
    )  # fmt: skip
    for name in quiet:
        setattr(torch.cuda, name, _quiet())
    for name in ("range_push", "range_pop", "mark"):
        setattr(torch.cuda.nvtx, name, _quiet())
    torch.cuda.nvtx.range, torch.cuda.device, torch.cuda.device_of = scope, Scope, Scope
    torch.cuda.stream = lambda stream=None: scope(stream)
    torch.cuda.Event, torch.cuda.Stream, torch.cuda.ExternalStream = Event, Stream, Stream
    for name in ("manual_seed", "manual_seed_all"):
        setattr(torch.cuda, name, lambda seed: torch.default_generator.manual_seed(int(seed)))
    torch.cuda.get_rng_state = lambda device=None: torch.get_rng_state()
    torch.cuda.set_rng_state = lambda state, device=None: torch.set_rng_state(state)
    torch.accelerator.is_available = lambda: True
    torch.accelerator.current_accelerator = lambda check_available=False: torch.device("cuda")
    torch.accelerator.device_count = lambda: 1
    torch.accelerator.synchronize = _quiet()

    def not_compiled(model: Any = None, **options: Any) -> Any:
        card.tell("compile", "torch.compile: left out, the function runs as it is written.")
        return model if model is not None else lambda function: function

    torch.compile = not_compiled

    def no_graph(*args: Any, **options: Any) -> Any:
        raise errors.CapabilityMissing(
            "CUDA graphs are not emulated: nothing here records launches to play them again. The script was not run "
            "further. Launch the kernels directly."
        )

    torch.cuda.CUDAGraph = torch.cuda.graph = torch.cuda.make_graphed_callables = no_graph


def _properties(card: Card) -> Any:
    """torch.cuda.get_device_properties()"""
    major, minor = card.capability
    return types.SimpleNamespace(
        name=card.name, major=major, minor=minor, total_memory=card.memory_bytes, multi_processor_count=card.sms,
        warp_size=32, max_threads_per_multi_processor=card.threads_per_sm, max_threads_per_block=card.threads_per_block,
        shared_memory_per_block=card.shared_per_block, shared_memory_per_block_optin=card.shared_per_block_optin,
        shared_memory_per_multiprocessor=card.shared_per_sm, regs_per_multiprocessor=card.registers_per_sm,
        L2_cache_size=card.l2_bytes, clock_rate=card.clock_khz, memory_bus_width=card.bus_bits, is_integrated=0,
        is_multi_gpu_board=0, gcnArchName="",
    )  # fmt: skip
