# expect: C3
"""One block, whatever n is."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def port_saxpy(a, x, y, out, *, BLOCK=256):
    n = out.numel()
    blocks = (n + BLOCK - 1) // BLOCK
    kernel = _module.get_function("saxpy")
    arguments = (np.float32(a), cupy.asarray(x), cupy.asarray(y), cupy.asarray(out), np.int32(n))
    kernel((1,), (BLOCK,), arguments)
