# expect: C1
"""No literal with a point, no double: but 1 // 2 is 0."""

import numpy as np
from numba import cuda


@cuda.jit
def _scale_bias(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] * np.float32(1 // 2) + np.float32(1)


def no_f64(x, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK
    _scale_bias[blocks, BLOCK](x, out)
