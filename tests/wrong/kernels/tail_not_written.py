# expect: C3 axpy n=1003
"""CUDA C++: four floats a thread, and the last n % 4 are never written. Memory may still hold
yesterday's right answer.
"""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def tail_not_written(a, x, y, out):
    n = out.numel()
    arrays = (cupy.asarray(x), cupy.asarray(y), cupy.asarray(out))
    _module.get_function("tail_not_written")(
        ((n // 4 + 255) // 256,), (256,), (np.float32(a), *arrays, np.int32(n // 4))
    )
