"""CuPy's kernels made of expressions (`ElementwiseKernel`, `ReductionKernel`), and what a RawModule has beside kernels.

CUDA C++ is written around the expressions as CuPy does, in fewer words: raw arguments are pointers, the places of
arguments that are not contiguous are constants of the source. So the counters are of a kernel like CuPy's, not of
CuPy's own.
"""

from __future__ import annotations

import linecache
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import ptxvm
from warpbench.backends.pretend import Card
from warpbench.backends.pretend_cupy_cuda import MemoryPointer
from warpbench.backends.sass import Panel, static_panel

BLOCK = 128  # threads, as CuPy takes for an ElementwiseKernel
REDUCING = 256  # threads that reduce one element of the result
_C = {
    "bool": "bool", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long long",
    "uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int", "uint64": "unsigned long long",
    "float32": "float", "float64": "double", "float16": "float16", "complex64": "complex<float>",
    "complex128": "complex<double>",
}  # fmt: skip
_HEAD = """{includes}
template <typename T, int D> struct _Raw {{
  T* _p; long long _n;
  long long _strides[D];  // in elements
  __device__ T& operator[](long long i) const {{ return _p[i]; }}
  template <typename I> __device__ T& operator[](const I (&index)[D]) const {{
    long long at = 0;
    for (int d = 0; d < D; ++d) at += index[d] * _strides[d];
    return _p[at];
  }}
  __device__ long long size() const {{ return _n; }}
}};
struct _Indexer {{ long long _n; __device__ long long size() const {{ return _n; }} }};
{types}
{preamble}
"""


@dataclass(frozen=True)
class Parameter:
    """One of "raw T x, float32 y"."""

    type: str
    name: str
    raw: bool


def parameters(text: str) -> list[Parameter]:
    """The parameters of a kernel as CuPy writes them. ValueError for what is none."""
    found = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        words = [word for word in one.split() if word != "const"]
        raw = words[0] == "raw"
        if len(words) != 2 + raw:
            raise ValueError(f'"{one}" is no parameter of a kernel: "T x" or "raw float32 x" is needed')
        found.append(Parameter(words[-2], words[-1], raw))
    return found


class _Expressions:
    """What both kinds of kernel share: types, arguments, source, launch."""

    card: Card
    raw_kernel: Callable[..., Any]  # cupy.RawKernel
    on_card: Callable[[Any], Any]

    def __init__(self, in_params: str, out_params: str, name: str, preamble: str, options: Sequence[str]) -> None:
        self.inputs, self.outputs = parameters(in_params), parameters(out_params)
        self.name, self.preamble, self.options = name, preamble, tuple(options)
        self._kernels: dict[str, Any] = {}

    def _types(self, given: Mapping[str, Any]) -> dict[str, np.dtype[Any]]:
        """The type of each name in the parameters: of the arrays that are passed for it, else of the numbers."""
        found: dict[str, np.dtype[Any]] = {}
        for arrays in (True, False):
            for one in (*self.inputs, *self.outputs):
                value = given.get(one.name)
                if one.type in _C or one.type in found or isinstance(value, np.ndarray) != arrays or value is None:
                    continue
                found[one.type] = np.asarray(value).dtype
        for one in (*self.inputs, *self.outputs):
            if one.type not in found:
                if one.type not in _C and not hasattr(np, one.type):
                    raise TypeError(f"{self.name}: no argument tells what the type {one.type} of {one.name} is")
                found[one.type] = np.dtype(one.type)
        return found

    def _head(self, types: Mapping[str, np.dtype[Any]]) -> str:
        names = {dtype.name for dtype in types.values()}
        includes = "#include <cupy/complex.cuh>\n" if any("complex" in name for name in names) else ""
        includes += "#include <cupy/float16.cuh>\n" if "float16" in names else ""
        aliases = [f"typedef {_C[dtype.name]} {name};" for name, dtype in types.items() if _C[dtype.name] != name]
        return _HEAD.format(includes=includes, types="\n".join(aliases), preamble=self.preamble)

    def _launch(self, source: str, blocks: int, threads: int, args: Sequence[Any]) -> None:
        if source not in self._kernels:
            file = f"<{self.name}>"  # lines are of this text, which reports show though it is on no disk
            path = str(Path.cwd() / file)  # as the compiler completes it
            linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
            self._kernels[source] = self.raw_kernel(f'#line 1 "{file}"\n{source}', self.name, options=self.options)
        self._kernels[source]((blocks,), (threads,), tuple(args))


class ElementwiseKernel(_Expressions):
    """cupy.ElementwiseKernel"""

    def __init__(
        self, in_params: str, out_params: str, operation: str, name: str = "kernel", reduce_dims: bool = True,
        preamble: str = "", no_return: bool = False, return_tuple: bool = False, *, loop_prep: str = "",
        after_loop: str = "", options: Sequence[str] = (), **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(in_params, out_params, name, preamble, options)
        self.operation, self.loop_prep, self.after_loop = operation, loop_prep, after_loop
        self.no_return, self.return_tuple = no_return, return_tuple

    def __call__(self, *args: Any, size: int | None = None, block_size: int = BLOCK, stream: Any = None) -> Any:
        """Launch over the broadcast shape of the arguments, or over `size` elements."""
        wanted = len(self.inputs)
        if len(args) not in (wanted, wanted + len(self.outputs)):
            raise TypeError(
                f"Wrong number of arguments for '{self.name}': {wanted} inputs are needed, {len(args)} given"
            )
        given = dict(zip((one.name for one in (*self.inputs, *self.outputs)), args, strict=False))
        types = self._types(given)
        spread = [given[p.name].shape for p in self.inputs if not p.raw and isinstance(given[p.name], np.ndarray)]
        shape = (size,) if size is not None else np.broadcast_shapes(*spread) if spread else None
        if shape is None:
            shape = next((given[p.name].shape for p in self.outputs if p.name in given and not p.raw), None)
            if shape is None:
                raise ValueError(f"{self.name}: loop size is undecided: pass size=, or an array that is not raw")
        for one in self.outputs:
            if one.name not in given:
                given[one.name] = self.on_card(np.empty(shape, types[one.type]))
        total = math.prod(shape)
        if total:
            source, passed = self._source(given, types, shape)
            self._launch(source, -(-total // block_size), block_size, [*passed, np.int64(total)])
        results = [given[one.name] for one in self.outputs]
        if self.no_return:
            return None
        return tuple(results) if self.return_tuple or len(results) != 1 else results[0]

    def _source(
        self, given: Mapping[str, Any], types: Mapping[str, np.dtype[Any]], shape: tuple[int, ...]
    ) -> tuple[str, list[Any]]:
        """The CUDA C++ around the operation, and the arguments that it takes before the number of elements."""
        declared, before, body, passed = [], [], [], []
        for one in (*self.inputs, *self.outputs):
            value, out = given[one.name], one in self.outputs
            if not isinstance(value, np.ndarray):
                declared.append(f"{one.type} {one.name}")
                passed.append(types[one.type].type(value))
                continue
            constant = "" if out or one.raw else "const "
            declared.append(f"{constant}{one.type}* _p_{one.name}")
            if one.raw:
                value = value if value.flags.c_contiguous or out else np.ascontiguousarray(value).view(type(value))
                strides = ", ".join(str(stride // value.itemsize) for stride in value.strides) or "0"
                kind = f"_Raw<{one.type}, {max(1, value.ndim)}>"
                before.append(f"{kind} {one.name} = {{_p_{one.name}, {value.size}, {{{strides}}}}};")
            else:
                place = _place(value if out else np.broadcast_to(value, shape, subok=True), "i")
                body.append(f"{constant}{one.type} {'&' if out else ''}{one.name} = _p_{one.name}[{place}];")
            passed.append(value)
        source = f"""{self._head(types)}
extern "C" __global__ void {self.name}({", ".join([*declared, "long long _n"])}) {{
  _Indexer _ind = {{_n}};
  {" ".join(before)}
  {self.loop_prep};
  long long _step = (long long)blockDim.x * gridDim.x;
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < _n; i += _step) {{
    {" ".join(body)}
    {self.operation};
  }}
  {self.after_loop};
}}
"""
        return source, passed


class ReductionKernel(_Expressions):
    """cupy.ReductionKernel: a block reduces one element of the result, in a tree in shared memory."""

    def __init__(
        self, in_params: str, out_params: str, map_expr: str, reduce_expr: str, post_map_expr: str, identity: Any,
        name: str = "reduce_kernel", reduce_type: str | None = None, reduce_dims: bool = True, preamble: str = "",
        options: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(in_params, out_params, name, preamble, options)
        self.map, self.reduce, self.post, self.identity = map_expr, reduce_expr, post_map_expr, identity
        self.reduce_type = reduce_type or self.outputs[0].type

    def __call__(
        self, *args: Any, out: Any = None, axis: Any = None, keepdims: bool = False, stream: Any = None
    ) -> Any:
        """Reduce over the axes; None: over all."""
        given = dict(zip((one.name for one in self.inputs), args, strict=True))
        types = self._types(given)
        arrays = [value for value in given.values() if isinstance(value, np.ndarray)]
        shape = np.broadcast_shapes(*(value.shape for value in arrays))
        axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
        gone = sorted(one % len(shape) for one in axes)
        left = [one for one in range(len(shape)) if one not in gone]
        kept = tuple(1 if one in gone else shape[one] for one in range(len(shape)))
        count, length = math.prod(shape[one] for one in left), math.prod(shape[one] for one in gone)
        result = out if out is not None else self.on_card(np.empty(kept, types[self.outputs[0].type]))
        declared, body, passed = [], [], []
        for one in self.inputs:
            value = given[one.name]
            if isinstance(value, np.ndarray):
                turned = np.broadcast_to(value, shape, subok=True).transpose(*left, *gone)
                declared.append(f"const {one.type}* _p_{one.name}")
                body.append(f"const {one.type} {one.name} = _p_{one.name}[{_place(turned, 'i')}];")
                passed.append(value)
            else:
                declared.append(f"{one.type} {one.name}")
                passed.append(types[one.type].type(value))
        target = self.outputs[0]
        source = f"""{self._head(types)}
typedef {_C.get(self.reduce_type, self.reduce_type)} _type_reduce;
#define REDUCE(a, b) ({self.reduce})
extern "C" __global__ void {self.name}({", ".join([*declared, f"{target.type}* _out", "long long _in_ind_n"])}) {{
  __shared__ char _memory[{REDUCING} * sizeof(_type_reduce)];
  _type_reduce* _sdata = (_type_reduce*)_memory;
  _type_reduce _s = _type_reduce({self.identity});
  _Indexer _in_ind = {{_in_ind_n}}, _out_ind = {{{count}}};
  for (long long j = threadIdx.x; j < {length}; j += {REDUCING}) {{
    long long i = (long long)blockIdx.x * {length} + j;
    {" ".join(body)}
    _type_reduce _a = static_cast<_type_reduce>({self.map});
    _s = REDUCE(_s, _a);
  }}
  _sdata[threadIdx.x] = _s;
  for (int _half = {REDUCING // 2}; _half; _half /= 2) {{
    __syncthreads();
    if (threadIdx.x < _half) {{
      _type_reduce _a = _sdata[threadIdx.x], _b = _sdata[threadIdx.x + _half];
      _sdata[threadIdx.x] = REDUCE(_a, _b);
    }}
  }}
  if (threadIdx.x == 0) {{
    _type_reduce a = _sdata[0];
    {target.type} &{target.name} = _out[blockIdx.x];
    {self.post};
  }}
}}
"""
        self._launch(source, count, REDUCING, [*passed, result, np.int64(count * length)])
        return result if keepdims or out is not None else result.reshape([shape[one] for one in left])


def _place(array: Any, index: str) -> str:
    """Where the element with a linear index lies behind the first one, as a C++ expression."""
    size = array.dtype.itemsize
    if array.flags.c_contiguous:
        return index
    parts, below = [], 1
    for length, stride in reversed(list(zip(array.shape, array.strides, strict=True))):
        if stride and length > 1:
            parts.append(f"{index} / {below}LL % {length}LL * {stride // size}LL")
        below *= length
    return " + ".join(parts) or "0"


# -- RawModule and RawKernel ---------------------------------------------------------------------------------------
def install(card: Card, cupy: Any, on_card: Callable[[Any], Any]) -> None:
    """Give CuPy these kernels, and RawKernel and RawModule what scripts ask them beside a launch."""
    _Expressions.card, _Expressions.raw_kernel, _Expressions.on_card = card, cupy.RawKernel, staticmethod(on_card)
    cupy.ElementwiseKernel, cupy.ReductionKernel = ElementwiseKernel, ReductionKernel
    function = cupy.RawModule.get_function.__globals__["_Function"]

    def get_global(self: Any, name: str) -> MemoryPointer:
        """A `__device__` or `__constant__` variable."""
        ptx, mangled = self.ptx()
        return MemoryPointer(card.emulator.device.symbol(ptxvm.Module.from_ptx(ptx), mangled.get(name, name)))

    cupy.RawModule.get_global = get_global

    def panel(self: Any) -> Panel:
        one = getattr(self, "function", self)
        return static_panel(one.module.ptx()[0], card.emulator.arch, "cupy", one.entry)

    answers: dict[str, Callable[[Any], Any]] = {
        "num_regs": lambda self: panel(self).registers,
        "shared_size_bytes": lambda self: panel(self).shared_bytes,
        "local_size_bytes": lambda self: panel(self).stack_bytes,
        "const_size_bytes": lambda self: 0,
        "max_threads_per_block": lambda self: card.threads_per_block,
    }
    answers["attributes"] = lambda self: {
        name: answer(self) for name, answer in answers.items() if name != "attributes"
    }
    for name, answer in answers.items():
        for kind in (function, cupy.RawKernel):
            setattr(kind, name, property(answer))
