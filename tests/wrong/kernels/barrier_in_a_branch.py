# expect: R3 reduce_sum n=1000
"""CUDA C++: the barrier stands inside the branch that only half of the threads take."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def barrier_in_a_branch(x, out):
    out.zero_()
    n = x.numel()
    kernel = _module.get_function("barrier_in_a_branch")
    kernel(((n + 255) // 256,), (256,), (cupy.asarray(x), cupy.asarray(out), np.int32(n)))
