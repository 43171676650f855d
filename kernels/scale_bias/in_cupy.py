"""Launch geometry of the CUDA C++ kernels in in_cupy.cu. x, out (n,) float32, n < 2^31."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def double_literals(x, out, *, BLOCK=256):
    n = out.numel()
    kernel = _module.get_function("double_literals")
    kernel(((n + BLOCK - 1) // BLOCK,), (BLOCK,), (cupy.asarray(x), cupy.asarray(out), np.int32(n)))


def single_precision(x, out, *, BLOCK=256):
    n = out.numel()
    kernel = _module.get_function("single_precision")
    kernel(((n + BLOCK - 1) // BLOCK,), (BLOCK,), (cupy.asarray(x), cupy.asarray(out), np.int32(n)))
