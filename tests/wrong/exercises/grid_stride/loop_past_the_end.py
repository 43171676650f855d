# expect: M4 line=14
"""Counts rounds instead of elements: the last round has threads without an element."""

import numpy as np
from numba import cuda


@cuda.jit
def _axpy(a, x, y, out):
    threads = cuda.gridsize(1)
    rounds = (out.size + threads - 1) // threads
    for k in range(rounds):
        i = k * threads + cuda.grid(1)
        out[i] = a * x[i] + y[i]


def grid_stride(a, x, y, out, *, BLOCK=128, BLOCKS=8):
    _axpy[BLOCKS, BLOCK](np.float32(a), x, y, out)
