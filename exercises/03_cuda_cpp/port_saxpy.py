"""The launch of port_saxpy.cu. x, y, out (n,) float32, n < 2^31.

A kernel of CuPy is called as kernel(grid, block, arguments): three tuples, also where one number is in them. `(8,)` is a
tuple, `(8)` is a number in brackets. cupy.asarray(tensor) passes the tensor's address and copies nothing.

CuPy sends each argument as it is, and asks the kernel nothing: a Python int goes as 8 bytes and a Python float as a double.
The kernel reads the first 4 of them. np.int32(n) and np.float32(a) have 4.
"""

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
    # --- your code (2 lines): The kernel's first and last parameter have 4 bytes. What has the Python number?
    arguments = (a, cupy.asarray(x), cupy.asarray(y), cupy.asarray(out), n)
    kernel((blocks,), (BLOCK,), arguments)
    # --- end of your code
