# expect: M1 line=13
"""Each thread takes a stretch of its own, as on a CPU: right, and every lane of a warp is in a sector of its own."""

import numpy as np
from numba import cuda


@cuda.jit
def _axpy(a, x, y, out):
    each = (out.size + cuda.gridsize(1) - 1) // cuda.gridsize(1)
    first = cuda.grid(1) * each
    for i in range(first, min(first + each, out.size)):
        out[i] = a * x[i] + y[i]


def grid_stride(a, x, y, out, *, BLOCK=128, BLOCKS=8):
    _axpy[BLOCKS, BLOCK](np.float32(a), x, y, out)
