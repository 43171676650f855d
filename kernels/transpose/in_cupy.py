"""Launch geometry of the CUDA C++ transposes in in_cupy.cu. x (rows, cols), out (cols, rows), rows
* cols < 2^31.
"""

from pathlib import Path

import cupy
import numpy as np

TILE, STEP = 32, 8  # as in in_cupy.cu: a tile of 32 x 32 elements, a block of 32 x 8 threads

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def _launch(name, x, out, rows_a_block):
    rows, cols = x.shape
    grid = ((cols + TILE - 1) // TILE, (rows + rows_a_block - 1) // rows_a_block)
    kernel = _module.get_function(name)
    kernel(grid, (TILE, STEP), (cupy.asarray(x), cupy.asarray(out), np.int32(rows), np.int32(cols)))


def one_thread_an_element(x, out):
    _launch("one_thread_an_element", x, out, rows_a_block=STEP)


def shared_tile(x, out):
    _launch("shared_tile", x, out, rows_a_block=TILE)


def padded_tile(x, out):
    _launch("padded_tile", x, out, rows_a_block=TILE)


def swizzled_tile(x, out):
    _launch("swizzled_tile", x, out, rows_a_block=TILE)
