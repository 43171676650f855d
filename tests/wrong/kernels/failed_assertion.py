# expect: M8 vector_add n=1000
"""CUDA C++: asserts that n is a multiple of the block; it is not, and the kernel stops itself."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def failed_assertion(x, y, out):
    n = out.numel()
    arrays = (cupy.asarray(x), cupy.asarray(y), cupy.asarray(out))
    _module.get_function("failed_assertion")(((n + 255) // 256,), (256,), (*arrays, np.int32(n)))
