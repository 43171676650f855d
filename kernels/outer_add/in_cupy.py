"""Launch geometry of the CUDA C++ kernels in in_cupy.cu. a (rows,), b (cols,), out (rows, cols) float32, rows * cols <
2^31.
"""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def _launch(name, a, b, out, columns, block):
    rows = out.shape[0]
    grid = ((columns + block[0] - 1) // block[0], (rows + block[1] - 1) // block[1])
    arguments = (cupy.asarray(a), cupy.asarray(b), cupy.asarray(out), np.int32(rows), np.int32(columns))
    _module.get_function(name)(grid, block, arguments)


def one_thread_an_element(a, b, out, *, BLOCK=(32, 8)):
    _launch("one_thread_an_element", a, b, out, out.shape[1], BLOCK)


def four_floats_a_store(a, b, out, *, BLOCK=(32, 8)):
    assert out.shape[1] % 4 == 0, "cols must be a multiple of 4: every row starts at a multiple of 16 bytes"
    _launch("four_floats_a_store", a, b, out, out.shape[1] // 4, BLOCK)
