"""Numba on ptxvm: `kernel[grid, block](...)` compiles with Numba's own compiler and runs the PTX on CPU tensors.

The argument types are those that Numba sees of the same tensors on a card (through their CUDA array interface), so what
it refuses there is refused here. Kernels are compiled with line information.
"""

from __future__ import annotations

import ctypes
import math
import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import ptxvm
from ptxvm.report import Finding
from warpbench.backends.emulated import (
    SHARED_BYTES,
    Launch,
    OnCard,
    Tensor,
    bytes_at,
    dim3,
    numpy_type,
    wrong_argument,
)  # fmt: skip
from warpbench.backends.numba_link import linked, sources
from warpbench.backends.sass import Panel, static_panel
from warpbench.hardware import occupancy

if TYPE_CHECKING:
    from warpbench.backends.emulated import Emulator


def before_import() -> None:
    """Pin what Numba reads from the environment when it is imported."""
    os.environ["NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS"] = "0"  # every grid of a lesson is small


def install(emulator: Emulator) -> None:
    """Replace the launch path of `numba.cuda`."""
    from numba import cuda
    from numba.cuda import api, codegen, compiler, dispatcher

    class Device:
        """What a compilation asks of the current device."""

        compute_capability = emulator.capability

    dispatcher.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # for a Numba that was imported before us
    for module in (api, compiler, dispatcher):
        module.get_current_device = Device
    codegen.CUDACodeLibrary._ensure_cc = lambda self, cc: cc or emulator.capability
    kernels = _Kernels(emulator)

    def call(self: Any, args: Sequence[Any], launch_config: Any) -> None:
        kernels.launch(self, args, launch_config)

    def compile_(self: Any, sig: Any) -> Any:
        from numba.cuda.core import sigutils

        types, _ = sigutils.normalize_signature(sig)
        if types not in self.overloads:
            self.overloads[types] = kernels.compiled(self, types)
        return self.overloads[types]

    def threads_of_forall(self: Any, specialised: Any) -> int:
        return int(self.thread_per_block) or _fullest_block(emulator)

    dispatcher.CUDADispatcher.call = call

    def recompile(self: Any) -> None:
        types = list(self.overloads)
        self.overloads.clear()
        kernels.forget(self)
        for one in types:
            compile_(self, one)

    dispatcher.CUDADispatcher.compile = compile_
    dispatcher.CUDADispatcher.recompile = recompile
    dispatcher.ForAll._compute_thread_per_block = threads_of_forall
    cuda.synchronize = lambda: None  # a launch is complete when it returns


def _fullest_block(emulator: Emulator) -> int:
    """The block that fills an SM with threads, as the driver advises for a kernel of few registers."""
    limits = emulator.card.limits if emulator.card else None
    if limits is None:
        return 1024
    return max(n for n in range(32, limits.threads_per_block + 1, 32) if limits.threads_per_sm % n == 0)


def _kernel_class(emulator: Emulator) -> Any:
    """Numba's own class of kernels, with the driver's part in it answered: what stands in `kernel.overloads`."""
    from numba.cuda import dispatcher

    class Kernel(dispatcher._Kernel):  # type: ignore[misc]
        """A kernel for some argument types; `ptx` is what runs, `entry` its name there."""

        def __init__(self, py_func: Any, types: Any, **options: Any) -> None:
            options |= {"lineinfo": not options.get("debug"), "lto": False}
            super().__init__(py_func, types, **options)
            library = self._codelibrary
            first, *more = library.get_asm_strs()
            text = linked(first, [*more, *sources(library, emulator.arch)])
            self.ptx, self.entry = _settled(text, py_func.__name__)

        def bind(self) -> None: ...
        def inspect_asm(self, cc: Any) -> str:
            return str(self.ptx)

        @property
        def regs_per_thread(self) -> int:
            return self._panel().registers

        @property
        def shared_mem_per_block(self) -> int:
            return self._panel().shared_bytes

        @property
        def local_mem_per_thread(self) -> int:
            return self._panel().stack_bytes

        @property
        def const_mem_size(self) -> int:
            return sum(v.bytes for v in ptxvm.Module.from_ptx(self.ptx).program.variables if v.space == "const")

        def inspect_lto_ptx(self, cc: Any) -> str:
            return str(self.ptx)

        @property
        def max_threads_per_block(self) -> int:
            limits = emulator.card.limits if emulator.card else None
            return limits.threads_per_block if limits else 1024

        def max_cooperative_grid_blocks(self, blockdim: Any, dynsmemsize: int = 0) -> int:
            """Blocks that are resident on the whole card."""
            card, panel = emulator.card, self._panel()
            threads = math.prod(dim3(blockdim if isinstance(blockdim, tuple) else (blockdim,)))
            fills = occupancy(card.cc, threads, panel.registers, panel.shared_bytes + dynsmemsize) if card else None
            return fills.blocks_per_sm * card.sm_count if fills and card else 1

        def _panel(self) -> Panel:
            """What ptxas says of it."""
            return static_panel(self.ptx, emulator.arch, "numba", self.entry)

    return Kernel


class _Kernels:
    """Compiled kernels of this process, and their launches."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self._kind = _kernel_class(emulator)
        self._compiled: dict[tuple[Any, ...], Any] = {}

    def forget(self, dispatcher: Any) -> None:
        """Compile a kernel anew when it is launched next: its globals have changed."""
        self._compiled = {key: one for key, one in self._compiled.items() if key[0] is not dispatcher}

    def compiled(self, dispatcher: Any, types: tuple[Any, ...]) -> Any:
        """A kernel for argument types. Raises Numba's own errors."""
        key = (dispatcher, types)
        if key not in self._compiled:
            self._compiled[key] = self._kind(dispatcher.py_func, types, **dispatcher.targetoptions)
            dispatcher.overloads[types] = self._compiled[key]
        return self._compiled[key]

    def launch(self, dispatcher: Any, args: Sequence[Any], config: Any) -> None:
        from numba.cuda.args import ArgHint

        names = list(dispatcher.py_func.__code__.co_varnames[: dispatcher.py_func.__code__.co_argcount])
        if len(args) != len(names):
            raise TypeError(f"{dispatcher.py_func.__name__} takes {len(names)} arguments, {len(args)} were given")
        args = [_hinted(arg) if isinstance(arg, ArgHint) else arg for arg in args]
        types = self._types(dispatcher, args)
        compiled = self.compiled(dispatcher, types)
        ptx, entry = compiled.ptx, compiled.entry
        static = ptxvm.Module.from_ptx(ptx).kernel(entry).static_shared_bytes
        if static + config.sharedmem > SHARED_BYTES:
            raise ptxvm.LaunchError(
                f"{dispatcher.py_func.__name__} asks for {config.sharedmem:,} bytes of dynamic shared memory beside "
                f"{static:,} static ones; Numba launches kernels with at most {SHARED_BYTES:,} in all. Nothing was "
                "launched. Take smaller tiles, or write the kernel in CUDA C++ or Triton"
            )
        packed = [one for name, kind, arg in zip(names, types, args, strict=True) for one in _pack(name, kind, arg)]
        launch = Launch(
            "numba", dispatcher.py_func.__name__, entry, ptx, self.emulator.arch,
            dim3(config.griddim), dim3(config.blockdim), int(config.sharedmem),
        )  # fmt: skip
        lints = _doubles(names, args, ptx)
        module = ptxvm.Module.from_ptx(ptx)
        if compiled.debug:
            self.emulator.device.symbol(module, f"{entry}__errcode__")[:] = 0
        self.emulator.launch(launch, packed, cooperative=compiled.cooperative, lints=lints)
        if compiled.debug:
            self._raise(compiled, module)

    def _raise(self, compiled: Any, module: ptxvm.Module) -> None:
        """Raise what a kernel raised that was compiled with `debug=True`, by the first thread that did."""

        def word(name: str) -> int:
            return int(self.emulator.device.symbol(module, f"{compiled.entry}__{name}__").view(np.int32)[0])

        code = word("errcode")
        if not code:
            return
        kind, arguments, place = compiled.call_helper.get_exception(code)
        thread, block = (tuple(word(f"{name}{axis}") for axis in "xyz") for name in ("tid", "ctaid"))
        where = f"tid={list(thread)} ctaid={list(block)}"
        if place is not None:
            function, file, line = place
            where = f"In function {function!r}, file {os.path.abspath(file)}, line {line}, {where}"
        first, *rest = arguments or ("",)
        raise kind(f"{where}: {first}" if arguments else where, *rest)

    def _types(self, dispatcher: Any, args: Sequence[Any]) -> tuple[Any, ...]:
        """The types that a kernel is compiled for: those of the arguments, or of a declared signature."""
        types = tuple(_typeof(arg) for arg in args)
        if dispatcher._can_compile or types in dispatcher.overloads:
            return types
        shown = ", ".join(map(str, types))
        declared = [one for one in dispatcher.overloads if len(one) == len(types)]
        found = [one for one in declared if all(map(_fits, types, one))]
        if not found and len(dispatcher.overloads) == 1:  # the only one there is
            found = [
                one for one in declared if all(_fits(a, b) or _alike(a, b) for a, b in zip(types, one, strict=True))
            ]
        if not found:
            raise TypeError(f"No matching definition for argument type(s) {shown}")
        ranks = [_conversions(dispatcher, types, one) for one in found]
        if ranks.count(min(ranks)) > 1:
            several = "; ".join(str(one) for one, rank in zip(found, ranks, strict=True) if rank == min(ranks))
            raise TypeError(
                f"Ambiguous overloading for {dispatcher.py_func} ({shown}): {several}. Nothing was launched"
            )
        return tuple(found[ranks.index(min(ranks))])


def _alike(have: Any, declared: Any) -> bool:
    """Whether two arrays of integers differ in their sign only."""
    from numba.cuda import types

    if not (isinstance(have, types.Array) and isinstance(declared, types.Array)):
        return False
    integers = isinstance(have.dtype, types.Integer) and isinstance(declared.dtype, types.Integer)
    return (
        integers and have.dtype.bitwidth == declared.dtype.bitwidth and _fits(have.copy(dtype=declared.dtype), declared)
    )


def _conversions(dispatcher: Any, have: Sequence[Any], declared: Sequence[Any]) -> list[int]:
    """How far arguments are from a declared signature: how many conversions of each kind, the worst kind first."""
    from numba.cuda.typeconv.castgraph import Conversion

    kinds = [dispatcher.typingctx.can_convert(a, b) for a, b in zip(have, declared, strict=True)]
    return [kinds.count(one) for one in (None, Conversion.unsafe, Conversion.safe, Conversion.promote)]


def _hinted(hint: Any) -> Any:
    """What is passed for `cuda.In(x)`, whose changes nobody wants, and for `cuda.Out(x)`."""
    from numba.cuda.args import In

    value = hint.value
    return value.copy() if isinstance(hint, In) and isinstance(value, np.ndarray | np.void) else value


def _typeof(arg: Any) -> Any:
    """Numba's type of an argument, a CPU tensor standing for one on the card."""
    from numba.cuda import types
    from numba.cuda.np import numpy_support
    from numba.cuda.typing.typeof import typeof

    if isinstance(arg, OnCard):
        dtype = numpy_support.from_dtype(arg.dtype)
        spread = bool(arg.size) and 0 in arg.strides  # one element for many: Numba makes no layout of it
        layout = "A" if spread else "C" if arg.flags.c_contiguous else "F" if arg.flags.f_contiguous else "A"
        return types.Array(dtype, arg.ndim, layout)
    if not hasattr(arg, "untyped_storage"):
        return typeof(arg)
    return types.Array(numpy_support.from_dtype(numpy_type(arg, "Numba")), arg.ndim, _layout(arg))


def _layout(tensor: Any) -> str:
    """C, F or A, as Numba reads them from the strides of a tensor on a card."""
    if tensor.is_contiguous():
        return "C"
    turned = tensor.permute(*reversed(range(tensor.ndim)))
    return "F" if turned.is_contiguous() else "A"


def _fits(have: Any, declared: Any) -> bool:
    """Whether an argument may be passed for a declared type: the same array, or any number for a number."""
    from numba.cuda import types

    if isinstance(have, types.Array) or isinstance(declared, types.Array):
        return bool(have == declared) or (
            isinstance(have, types.Array)
            and isinstance(declared, types.Array)
            and (have.dtype, have.ndim) == (declared.dtype, declared.ndim)
            and declared.layout == "A"
        )
    if isinstance(declared, types.CPointer):  # an address as a number
        return isinstance(have, types.Integer)
    return isinstance(have, types.Number | types.Boolean) and isinstance(declared, types.Number | types.Boolean)


def _pack(name: str, kind: Any, arg: Any) -> Iterator[Any]:
    """The parameters of one argument. An array is meminfo, parent, count, item size, data, shape, strides in bytes."""
    from numba.cuda import types
    from numba.cuda.np import numpy_support

    if isinstance(kind, types.Array):
        size = arg.dtype.itemsize
        count = math.prod(arg.shape)
        if isinstance(arg, np.ndarray) and not isinstance(arg, OnCard):
            refuse_scattered(arg)
        strides = arg.strides if isinstance(arg, np.ndarray) else [stride * size for stride in arg.stride()]
        yield from (np.uint64(0), np.uint64(0), np.int64(count), np.int64(size), Tensor(arg, name))
        yield from (np.int64(length) for length in arg.shape)
        yield from (np.int64(stride) for stride in strides)
    elif isinstance(kind, types.BaseTuple):
        for i, (one, value) in enumerate(zip(kind, arg, strict=True)):
            yield from _pack(f"{name}[{i}]", one, value)
    elif isinstance(kind, types.CPointer):
        yield np.uint64(arg)
    elif isinstance(kind, types.Record):  # by address: what the kernel writes into it is seen here
        yield Tensor(bytes_at(arg.__array_interface__["data"][0], arg.nbytes, arg), name)
    elif isinstance(kind, types.Boolean):
        yield np.uint8(bool(arg))
    elif isinstance(kind, types.Integer):
        yield bytes(getattr(ctypes, f"c_{kind}")(arg))  # as Numba does: wraps round, and refuses a float
    elif isinstance(kind, types.Float):
        yield numpy_support.as_dtype(kind).type(arg)
    elif isinstance(kind, types.EnumMember):
        yield from _pack(name, kind.dtype, arg.value)
    elif isinstance(kind, types.NPDatetime | types.NPTimedelta):
        yield np.int64(np.asarray(arg).view(np.int64))
    elif isinstance(kind, types.Complex):
        part = numpy_support.as_dtype(kind.underlying_float).type
        yield from (part(arg.real), part(arg.imag))
    else:
        raise TypeError(
            f"{name} is of Numba's type {kind}, which is not passed to ptxvm. Nothing was launched. "
            "Pass tensors, numbers and tuples of them"
        )


def refuse_scattered(array: np.ndarray[Any, Any]) -> None:
    """Raise ValueError, as Numba does, for a host array that is not one piece of memory: it is not copied to a card."""
    core = array[tuple(slice(None) if stride else 0 for stride in array.strides)] if array.size else array
    if not (core.flags.c_contiguous or core.flags.f_contiguous):
        raise ValueError(
            f"an array of shape {array.shape} with strides {array.strides} is not contiguous: Numba copies an array to "
            "the card as one piece. Nothing was launched. Pass numpy.ascontiguousarray(array)"
        )


def _doubles(names: Sequence[str], args: Sequence[Any], ptx: str) -> list[Finding]:
    """Python floats among the arguments of a kernel that computes in double: they are float64 to Numba."""
    if ".f64" not in ptx:
        return []
    return [
        wrong_argument(
            "computes in double",
            "a Python float is float64 to Numba, and this kernel computes in it",
            f"argument {name}",
        )
        for name, arg in zip(names, args, strict=True)
        if type(arg) is float
    ]


def _settled(ptx: str, name: str) -> tuple[str, str]:
    """(PTX, entry) with names that do not depend on what else the process has compiled.

    Numba puts a running number into the name of every function and every shared array. The kernel gets the learner's
    name, shared arrays are shared_0, shared_1, ... in the order of the text.
    """
    (entry,) = ptxvm.Module.from_ptx(ptx).entries
    names: dict[str, str] = {}

    def rename(found: re.Match[str]) -> str:
        kind = {"smem": "shared", "lmem": "local"}[found[1]]
        return names.setdefault(found[0], f"{kind}_{sum(n.startswith(kind) for n in names.values())}")

    text = re.sub(r"_cudapy_(smem|lmem)_\d+", rename, ptx.replace(entry, name))
    return re.sub(r"B\d+v\d+(?=B\d)", "", text), name
