"""Launch geometry of the CUDA C++ multiplications in in_cupy.cu. a (m, k), b (n, k) e4m3, c (m, n)
float32.
"""

from pathlib import Path

import cupy
import numpy as np
import torch

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def _launch(name, a, b, c):
    (m, k), n = a.shape, b.shape[0]
    grid = ((n + 15) // 16, (m + 15) // 16)  # x runs over the columns of c
    # CuPy knows no 8-bit floats: the codes travel as bytes
    arrays = (cupy.asarray(a.view(torch.uint8)), cupy.asarray(b.view(torch.uint8)), cupy.asarray(c))
    _module.get_function(name)(grid, (16, 16), (*arrays, np.int32(m), np.int32(n), np.int32(k)))


def one_thread_an_element(a, b, c):
    _launch("one_thread_an_element", a, b, c)


def shared_tile(a, b, c):
    _launch("shared_tile", a, b, c)
