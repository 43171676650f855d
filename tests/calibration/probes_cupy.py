"""Launches of the CUDA C++ probes in probes_cupy.cu: one block of 64 threads each."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def launch(name, *args):
    """Tensors and Python integers, in the kernel's order."""
    packed = tuple(np.int32(arg) if isinstance(arg, int) else cupy.asarray(arg) for arg in args)
    _module.get_function(name)((1,), (64,), packed)
