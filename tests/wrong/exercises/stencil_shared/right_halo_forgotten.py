# expect: M5 line=27
"""Loads the halo on the left, and not on the right."""

import numpy as np
from numba import cuda, float32


@cuda.jit
def _weighted(tile, k):
    """The sum of tile[k - 3] to tile[k + 3] with the weights 1, 6, 15, 20, 15, 6, 1, over 64."""
    outer = (tile[k - 3] + tile[k + 3]) + np.float32(6.0) * (tile[k - 2] + tile[k + 2])
    inner = np.float32(15.0) * (tile[k - 1] + tile[k + 1]) + np.float32(20.0) * tile[k]
    return (outer + inner) * np.float32(1 / 64)


@cuda.jit
def _smooth(x, out):
    tile = cuda.shared.array(262, float32)  # tile[k] is x[256 * block - 3 + k]
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    tile[t + 3] = x[i] if i < x.size else float32(0.0)
    if t < 3:
        left = i - 3
        tile[t] = x[left] if left >= 0 else float32(0.0)
    cuda.syncthreads()
    if i < out.size:
        out[i] = _weighted(tile, t + 3)


def stencil_shared(x, out):
    _smooth[(x.numel() + 255) // 256, 256](x, out)
