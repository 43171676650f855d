# expect: X4 line=13
"""The constants lie in an array of NumPy's default dtype, which is float64."""

import numpy as np
import torch
from numba import cuda


@cuda.jit
def _scale_bias(x, constants, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] * constants[0] + constants[1]


def no_f64(x, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK
    constants = torch.from_numpy(np.array([0.5, 1.0])).to(x.device)
    _scale_bias[blocks, BLOCK](x, constants, out)
