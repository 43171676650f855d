"""Launch geometry of the CUDA C++ multiplications in in_cupy.cu. a (m, k), b (k, n), c (m, n)
float32, below 2^31 elements.
"""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def _launch(name, a, b, c, tile, block):
    (m, k), n = a.shape, b.shape[1]
    grid = ((n + tile - 1) // tile, (m + tile - 1) // tile)  # x runs over the columns of c
    arrays = (cupy.asarray(a), cupy.asarray(b), cupy.asarray(c))
    _module.get_function(name)(grid, block, (*arrays, np.int32(m), np.int32(n), np.int32(k)))


def one_thread_an_element(a, b, c):
    _launch("one_thread_an_element", a, b, c, tile=16, block=(16, 16))


def shared_tile(a, b, c):
    _launch("shared_tile", a, b, c, tile=16, block=(16, 16))


def register_tile(a, b, c):
    _launch("register_tile", a, b, c, tile=64, block=(256,))


def async_copies(a, b, c):
    k, n = b.shape
    assert (k % 4, n % 4) == (0, 0), "k and n must be multiples of 4: a copy moves 16 bytes"
    _launch("async_copies", a, b, c, tile=64, block=(256,))
