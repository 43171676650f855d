# expect: R2 line=11
"""Steps by the block instead of the grid, so that blocks compute each other's elements again."""

import numpy as np
from numba import cuda


@cuda.jit
def _axpy(a, x, y, out):
    for i in range(cuda.grid(1), out.size, cuda.blockDim.x):
        out[i] = a * x[i] + y[i]


def grid_stride(a, x, y, out, *, BLOCK=128, BLOCKS=8):
    _axpy[BLOCKS, BLOCK](np.float32(a), x, y, out)
