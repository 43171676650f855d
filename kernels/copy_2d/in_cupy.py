"""Launch geometry of the CUDA C++ copies in in_cupy.cu. x, out (rows, cols) float32, rows * cols <
2^31.
"""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def _launch(name, x, out, columns, block):
    rows = x.shape[0]
    grid = ((columns + block[0] - 1) // block[0], (rows + block[1] - 1) // block[1])
    kernel = _module.get_function(name)
    kernel(grid, block, (cupy.asarray(x), cupy.asarray(out), np.int32(rows), np.int32(columns)))


def threads_along_a_row(x, out, *, BLOCK=(32, 8)):
    _launch("threads_along_a_row", x, out, x.shape[1], BLOCK)


def four_floats_a_load(x, out, *, BLOCK=(32, 8)):
    assert x.shape[1] % 4 == 0, "cols must be a multiple of 4: every row starts at a multiple of 16 bytes"
    _launch("four_floats_a_load", x, out, x.shape[1] // 4, BLOCK)
