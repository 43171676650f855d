# expect: C1
"""Gives each element the sum up to and with itself."""

import numpy as np
from numba import cuda, float32


@cuda.jit
def _scan(x, out):
    row = cuda.shared.array((2, 256), float32)
    t = cuda.threadIdx.x
    carry = np.float32(0.0)  # the sum of all tiles before
    for first in range(0, x.size, 256):
        i = first + t
        now = 0  # the row that is read
        row[now, t] = x[i] if i < x.size else np.float32(0.0)
        cuda.syncthreads()  # the tile is complete
        d = 1
        while d < 256:
            value = row[now, t]
            if t >= d:
                value += row[now, t - d]
            now = 1 - now
            row[now, t] = value
            cuda.syncthreads()  # this round is complete before the next one reads it
            d *= 2
        if i < x.size:
            out[i] = carry + row[now, t]
        carry += row[now, 255]
        cuda.syncthreads()  # all have read this row before the next tile overwrites it


def scan_hillis(x, out):
    _scan[1, 256](x, out)
