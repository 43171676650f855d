# expect: R5 reduce_sum n=1000
"""CUDA C++: lanes past the end have left, and the shuffle's mask still names all 32."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def partial_warp(x, out):
    out.zero_()
    n = x.numel()
    kernel = _module.get_function("partial_warp")
    kernel(((n + 255) // 256,), (256,), (cupy.asarray(x), cupy.asarray(out), np.int32(n)))
