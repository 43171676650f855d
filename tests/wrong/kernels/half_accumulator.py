# expect: C2 gemm_f32 m=64 n=64 k=64
"""CUDA C++: reads float32, but adds up in float16."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def half_accumulator(a, b, c):
    (m, k), n = a.shape, b.shape[1]
    grid = ((n + 15) // 16, (m + 15) // 16)
    arrays = (cupy.asarray(a), cupy.asarray(b), cupy.asarray(c))
    _module.get_function("half_accumulator")(
        grid, (16, 16), (*arrays, np.int32(m), np.int32(n), np.int32(k))
    )
