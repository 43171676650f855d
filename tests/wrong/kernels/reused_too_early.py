# expect: R1 softmax rows=3 cols=257
"""Numba: the array that held the maximum is filled with sums while others may still read the
maximum from it.
"""

import math

import numpy as np
from numba import cuda, float32


@cuda.jit
def _reused_too_early(x, y):
    partial = cuda.shared.array(128, float32)
    row, t = cuda.blockIdx.x, cuda.threadIdx.x
    mine = np.float32(-np.inf)
    for col in range(t, x.shape[1], 128):
        mine = max(mine, x[row, col])
    partial[t] = mine
    cuda.syncthreads()
    half = 64
    while half > 0:
        if t < half:
            partial[t] = max(partial[t], partial[t + half])
        cuda.syncthreads()
        half //= 2
    largest = partial[0]
    mine = np.float32(0.0)
    for col in range(t, x.shape[1], 128):
        mine += math.exp(x[row, col] - largest)
    partial[t] = mine  # thread 0 overwrites partial[0], which others may not have read yet
    cuda.syncthreads()
    half = 64
    while half > 0:
        if t < half:
            partial[t] += partial[t + half]
        cuda.syncthreads()
        half //= 2
    for col in range(t, x.shape[1], 128):
        y[row, col] = math.exp(x[row, col] - largest) / partial[0]


def reused_too_early(x, y):
    _reused_too_early[x.shape[0], 128](x, y)
