# expect: R1 reduce_sum n=1000
"""Numba: no barrier between the rounds of the tree. The values are right under many schedules."""

import numpy as np
from numba import cuda, float32


@cuda.jit
def _missing_barrier(x, out):
    partial = cuda.shared.array(256, float32)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    partial[t] = x[i] if i < x.size else np.float32(0.0)
    cuda.syncthreads()
    half = 128
    while half > 0:
        if t < half:
            partial[t] += partial[t + half]
        half //= 2
    if t == 0:
        cuda.atomic.add(out, 0, partial[0])


def missing_barrier(x, out):
    out.zero_()
    _missing_barrier[(x.numel() + 255) // 256, 256](x, out)
