# expect: M7 copy_2d rows=3 cols=257
"""CUDA C++: 16-byte loads of rows that do not start at multiples of 16 bytes."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def misaligned_vector(x, out):
    rows, cols = x.shape
    kernel = _module.get_function("misaligned_vector")
    kernel((rows,), (128,), (cupy.asarray(x), cupy.asarray(out), np.int32(cols)))
