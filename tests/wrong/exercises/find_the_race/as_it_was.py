# expect: R1 line=23
"""The barrier between the first two rounds is missing."""

import numpy as np
from numba import cuda, float32


@cuda.jit
def _three(tile, t):
    """(tile[t - 1] + 2 tile[t] + tile[t + 1]) / 4"""
    return (tile[t - 1] + np.float32(2.0) * tile[t] + tile[t + 1]) * np.float32(0.25)


@cuda.jit
def _smooth(x, out):
    first = cuda.shared.array(256, float32)
    second = cuda.shared.array(256, float32)
    t = cuda.threadIdx.x
    i = cuda.blockIdx.x * 250 + t - 3  # 250 results a block; three threads at either end hold the halo
    first[t] = x[i] if 0 <= i < x.size else float32(0.0)
    cuda.syncthreads()
    if 1 <= t < 255:
        second[t] = _three(first, t)
    if 2 <= t < 254:
        first[t] = _three(second, t)
    cuda.syncthreads()
    if 3 <= t < 253 and i < out.size:
        out[i] = _three(first, t)


def find_the_race(x, out):
    _smooth[(x.numel() + 249) // 250, 256](x, out)
