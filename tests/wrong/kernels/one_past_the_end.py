# expect: M4 axpy n=1000
"""CUDA C++: `<=` where `<` should stand. One element past the end is read and written."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def one_past_the_end(a, x, y, out):
    n = out.numel()
    arrays = (cupy.asarray(x), cupy.asarray(y), cupy.asarray(out))
    _module.get_function("one_past_the_end")(
        ((n + 255) // 256,), (256,), (np.float32(a), *arrays, np.int32(n))
    )
