# expect: M5 copy_2d rows=64 cols=128
"""CUDA C++: reads what cp.async has been told to fetch, without waiting for it. A barrier alone
does not wait for copies.
"""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def missing_wait(x, out):
    rows, cols = x.shape
    kernel = _module.get_function("missing_wait")
    kernel((rows,), (32,), (cupy.asarray(x), cupy.asarray(out), np.int32(cols // 4)))
