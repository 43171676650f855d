"""The launch of transpose_coalesced.cu: a block of 32 x 32 threads for each tile. x (rows, cols), out (cols, rows) float32."""

from pathlib import Path

import cupy
import numpy as np

TILE = 32  # as in the .cu file
_module = cupy.RawModule(
    code=Path(__file__).with_suffix(".cu").read_text(encoding="utf-8"),
    options=("--std=c++17", "-lineinfo"),
)


def transpose_coalesced(x, out):
    rows, cols = x.shape
    grid = ((cols + TILE - 1) // TILE, (rows + TILE - 1) // TILE)
    kernel = _module.get_function("transpose")
    kernel(grid, (TILE, TILE), (cupy.asarray(x), cupy.asarray(out), np.int32(rows), np.int32(cols)))
