# expect: X4 line=12
"""One of the two constants is still a Python float."""

import numpy as np
from numba import cuda


@cuda.jit
def _scale_bias(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] * 0.5 + np.float32(1.0)


def no_f64(x, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK
    _scale_bias[blocks, BLOCK](x, out)
