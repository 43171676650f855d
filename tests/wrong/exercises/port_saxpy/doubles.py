# expect: C1
"""Converts x to float64: the kernel takes the halves of doubles for floats."""

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
    arguments = (np.float32(a), cupy.asarray(x.double()), cupy.asarray(y), cupy.asarray(out), np.int32(n))
    kernel((blocks,), (BLOCK,), arguments)
