# expect: X6 axpy n=1000
"""CUDA C++: CuPy packs a Python float as 8 bytes, and the kernel's `float a` reads the lower 4 of
them.
"""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def python_float(a, x, y, out):
    n = out.numel()
    arrays = (cupy.asarray(x), cupy.asarray(y), cupy.asarray(out))
    _module.get_function("python_float")(((n + 255) // 256,), (256,), (a, *arrays, np.int32(n)))
