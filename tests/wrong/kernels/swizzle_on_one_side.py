# expect: C1 transpose rows=128 cols=64
"""CUDA C++: the tile is written with swizzled columns and read without. Every element is moved, to
the wrong place.
"""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def swizzle_on_one_side(x, out):
    rows, cols = x.shape
    kernel = _module.get_function("swizzle_on_one_side")
    grid = ((cols + 31) // 32, (rows + 31) // 32)
    kernel(grid, (32, 8), (cupy.asarray(x), cupy.asarray(out), np.int32(rows), np.int32(cols)))
