# expect: C3 pattern=stale
"""One element a thread: a grid of 128 threads writes 128 elements."""

import numpy as np
from numba import cuda


@cuda.jit
def _axpy(a, x, y, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]


def grid_stride(a, x, y, out, *, BLOCK=128, BLOCKS=8):
    _axpy[BLOCKS, BLOCK](np.float32(a), x, y, out)
