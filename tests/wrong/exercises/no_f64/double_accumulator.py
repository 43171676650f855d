# expect: X4 line=13
"""The constants are float32, but the variable that collects the result begins as a Python float."""

import numpy as np
from numba import cuda


@cuda.jit
def _scale_bias(x, out):
    i = cuda.grid(1)
    if i < out.size:
        total = 0.0
        total += x[i] * np.float32(0.5)
        total += np.float32(1.0)
        out[i] = total


def no_f64(x, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK
    _scale_bias[blocks, BLOCK](x, out)
