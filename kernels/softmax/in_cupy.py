"""Launch geometry of the CUDA C++ softmaxes in in_cupy.cu. x, y (rows, cols) float32."""

from pathlib import Path

import cupy
import numpy as np

_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def one_thread_a_row(x, y, *, BLOCK=32):
    rows, cols = x.shape
    kernel = _module.get_function("one_thread_a_row")
    blocks = (rows + BLOCK - 1) // BLOCK
    kernel((blocks,), (BLOCK,), (cupy.asarray(x), cupy.asarray(y), np.int32(rows), np.int32(cols)))


def one_warp_a_row(x, y, *, BLOCK=128):
    rows, cols = x.shape
    kernel = _module.get_function("one_warp_a_row")
    rows_a_block = BLOCK // 32
    blocks = (rows + rows_a_block - 1) // rows_a_block
    kernel((blocks,), (BLOCK,), (cupy.asarray(x), cupy.asarray(y), np.int32(rows), np.int32(cols)))


def row_in_registers(x, y):
    rows, cols = x.shape
    assert cols <= 4096, "a block of 256 threads holds 16 values a thread: cols must be at most 4096"
    kernel = _module.get_function("row_in_registers")
    kernel((rows,), (256,), (cupy.asarray(x), cupy.asarray(y), np.int32(cols)))


def four_floats_a_load(x, y):
    rows, cols = x.shape
    assert cols <= 4096, "a block of 256 threads holds 16 values a thread: cols must be at most 4096"
    assert cols % 4 == 0, "cols must be a multiple of 4: every row starts at a multiple of 16 bytes"
    kernel = _module.get_function("four_floats_a_load")
    kernel((rows,), (256,), (cupy.asarray(x), cupy.asarray(y), np.int32(cols // 4)))
