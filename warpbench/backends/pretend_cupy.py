"""CuPy that says that a card is there: its arrays are NumPy arrays, its functions NumPy's.

A function that CuPy and NumPy both have is NumPy's, with CuPy's arrays on both sides; its result is NumPy's to the last
bit, and so is its default type. Where CuPy refuses to mix its arrays with NumPy's, so does this.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from warpbench.backends import pretend_cupy_cuda, pretend_cupy_kernels, pretend_cupyx
from warpbench.backends.emulated import OnCard
from warpbench.backends.pretend import Card, nothing

# methods whose result is a scalar of NumPy's and a 0-d array of CuPy's
_REDUCTIONS = (
    "all", "any", "argmax", "argmin", "dot", "max", "mean", "min", "prod", "std", "sum", "take", "trace", "var",
)  # fmt: skip


class ndarray(OnCard):  # noqa: N801 - CuPy's name
    """cupy.ndarray."""

    card: Card

    def __new__(
        cls, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"
    ) -> ndarray:
        """As CuPy's own: over the memory of `memptr`, or over memory of its own."""
        if memptr is None:
            return np.ndarray.__new__(cls, shape, dtype, strides=strides, order=order)  # type: ignore[arg-type]
        return np.ndarray.__new__(cls, shape, dtype, memptr.buffer, memptr.offset, strides)

    # -- what CuPy's arrays have beside NumPy's ----------------------------------------------------------------------
    def get(self, stream: Any = None, order: Any = "C", out: Any = None, blocking: bool = True) -> Any:
        """A copy as a NumPy array."""
        if out is None:
            return np.array(self.view(np.ndarray), order=order)
        out[...] = self.view(np.ndarray)
        return out

    def set(self, arr: Any, stream: Any = None) -> None:
        """Copy a NumPy array into this one."""
        self.view(np.ndarray)[...] = arr

    def scatter_add(self, slices: Any, value: Any) -> None:
        np.add.at(self.view(np.ndarray), bare(slices), bare(value))

    @property
    def device(self) -> Any:
        return pretend_cupy_cuda.Device()

    @property
    def data(self) -> Any:
        return pretend_cupy_cuda.MemoryPointer(self.view(np.ndarray), 0)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Its place on the virtual card."""
        strides = None if self.flags.c_contiguous else self.strides
        place = (self.data.ptr, False)
        return {"shape": self.shape, "strides": strides, "data": place, "typestr": self.dtype.str, "version": 3}

    # -- and where they differ ---------------------------------------------------------------------------------------
    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(bare(index))
        if isinstance(found, np.generic):  # CuPy gives a 0-d array over the same memory
            whole = bare(index) if isinstance(index, tuple) else (bare(index),)
            return super().__getitem__((*whole, ...))
        return found

    def __setitem__(self, index: Any, value: Any) -> None:
        _refuse_host([value])
        super().__setitem__(bare(index), bare(value))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        _refuse_host([*inputs, *(out or ())])
        if out is not None:
            options["out"] = tuple(bare(one) for one in out)
        result = getattr(ufunc, method)(*map(bare, inputs), **options)
        return out[0] if out is not None and len(out) == 1 else on_card(result)

    def __array_function__(self, func: Any, kinds: Any, args: Any, kwargs: Any) -> Any:
        return through(func)(*args, **kwargs)


def _reduction(name: str) -> Callable[..., Any]:
    method = getattr(np.ndarray, name)

    def call(self: ndarray, *args: Any, **options: Any) -> Any:
        out = options.get("out")
        result = method(self.view(np.ndarray), *map(bare, args), **{key: bare(one) for key, one in options.items()})
        return out if out is not None else on_card(result)

    return call


for _name in _REDUCTIONS:
    setattr(ndarray, _name, _reduction(_name))


def bare(value: Any) -> Any:
    """The same with NumPy's own arrays in place of CuPy's."""
    if isinstance(value, ndarray):
        return value.view(np.ndarray)
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(bare(one) for one in value)
    return value


def on_card(value: Any) -> Any:
    """The same with CuPy's arrays in place of NumPy's arrays and scalars."""
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if type(value) is np.ndarray:
        return value.view(ndarray)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(on_card(one) for one in value))
    if isinstance(value, list | tuple):
        return type(value)(on_card(one) for one in value)
    return value


def _refuse_host(values: Any) -> None:
    """Raise TypeError, as CuPy does, for a NumPy array where one of CuPy's is needed."""
    for value in values:
        if type(value) is np.ndarray and value.ndim:
            raise TypeError(f"Unsupported type {type(value)}: a NumPy array; make it CuPy's: cupy.asarray(array)")


def through(function: Callable[..., Any], typed: bool = False) -> Callable[..., Any]:
    """A function of NumPy with CuPy's arrays on both sides. `typed`: CuPy's takes a dtype, NumPy's does not."""

    @functools.wraps(function, updated=())
    def call(*args: Any, **options: Any) -> Any:
        out, dtype = options.get("out"), options.pop("dtype", None) if typed else None
        options.pop("blocking", None)
        result = function(*map(bare, args), **{name: bare(one) for name, one in options.items()})
        if out is not None:
            return out
        result = on_card(result)
        return result if dtype is None else result.astype(dtype)

    return call


# -- the module ----------------------------------------------------------------------------------------------------
def install(card: Card) -> None:
    """After the hook has taken over RawKernel and RawModule."""
    import cupy

    ndarray.card = card
    pretend_cupy_kernels.install(card, cupy, on_card)
    for module, theirs in (
        (cupy, np), (cupy.linalg, np.linalg), (cupy.fft, np.fft), (cupy.testing, np.testing), (cupy.random, np.random),
    ):  # fmt: skip
        _replace(module, theirs)
    ours: dict[str, Any] = {
        "ndarray": ndarray, "array": array, "asarray": asarray, "asanyarray": asarray, "from_dlpack": asarray,
        "ascontiguousarray": lambda a, dtype=None: on_card(np.ascontiguousarray(asarray(a, dtype).view(np.ndarray))),
        "asfortranarray": lambda a, dtype=None: on_card(np.asfortranarray(asarray(a, dtype).view(np.ndarray))),
        "asnumpy": asnumpy, "get_array_module": lambda *args: cupy if any(isinstance(a, OnCard) for a in args) else np,
        "fuse": lambda *args, **options: args[0] if args and callable(args[0]) else lambda function: function,
        "is_available": lambda: True, "clear_memo": nothing, "show_config": nothing,
    }  # fmt: skip
    for name, one in ours.items():
        setattr(cupy, name, one)
    pretend_cupy_cuda.install(card, cupy)
    pretend_cupyx.wait(card)


def _replace(module: Any, theirs: Any) -> None:
    """Each function of a module of CuPy that NumPy has too becomes NumPy's."""
    for name in dir(module):
        one, same = getattr(module, name), getattr(theirs, name, None)
        if name.startswith("_") or same is None or isinstance(one, type | types.ModuleType) or not callable(one):
            continue
        typed = theirs is np.random and name in (
            "rand",
            "randn",
            "random",
            "random_sample",
            "uniform",
            "normal",
            "standard_normal",
        )
        setattr(module, name, same if isinstance(same, np.ufunc) else through(same, typed))
    if theirs is np.random:
        module.RandomState, module.default_rng = _generator(np.random.RandomState), _generator(np.random.default_rng)


def _generator(make: Callable[..., Any]) -> Callable[..., Any]:
    """A random generator whose methods give CuPy's arrays."""

    class Generator:
        def __init__(self, seed: Any = None, *args: Any, **options: Any) -> None:
            self._generator = make(seed)

        def __getattr__(self, name: str) -> Any:
            return through(getattr(self._generator, name), typed=name in ("rand", "randn", "uniform", "normal"))

    return Generator


def array(obj: Any, dtype: Any = None, copy: bool = True, order: Any = "K", subok: bool = False, ndmin: int = 0) -> Any:
    """`cupy.array`: a copy, of whatever library the array is."""
    host = bare(obj) if not hasattr(obj, "untyped_storage") else obj.detach().numpy()
    return on_card(np.array(host, dtype=dtype, copy=copy or None, order=order, ndmin=ndmin))


def asarray(a: Any, dtype: Any = None, order: Any = None, blocking: bool = False) -> Any:
    """`cupy.asarray`: what is on the card as it is (CuPy's arrays, Numba's, tensors), a copy of what is on the host."""
    if hasattr(a, "untyped_storage"):
        from warpbench.backends.emulated import numpy_type

        numpy_type(a, "CuPy")  # refuses what CuPy cannot read
        return on_card(np.asarray(a.detach().numpy(), dtype=dtype, order=order))
    if isinstance(a, OnCard):
        return np.asarray(a.view(np.ndarray), dtype=dtype, order=order).view(ndarray)
    return on_card(np.array(bare(a), dtype=dtype, order=order or "K"))


def asnumpy(a: Any, stream: Any = None, order: Any = "C", out: Any = None, blocking: bool = True) -> Any:
    """`cupy.asnumpy`: a copy on the host."""
    if isinstance(a, ndarray):
        return a.get(order=order, out=out)
    if out is None:
        return np.asarray(a, order=order)
    out[...] = a
    return out
