"""Scale and bias in Numba: out[i] = 0.5 * x[i] + 1, x, out (n,) float32."""

import numpy as np
from numba import cuda

# --------------------------------------------------------------------------------------------------
# Idea: write the constants as in Python.
# Should help: nothing. A Python float is float64 to Numba, and float32 * float64 is float64.
# Costs: each element is widened to double, multiplied and added in double, and rounded back.


@cuda.jit
def _python_literals(x, out):
    i = cuda.grid(1)  # in [0, blocks * BLOCK), which may pass n
    if i < out.size:
        out[i] = x[i] * 0.5 + 1.0


def python_literals(x, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK
    _python_literals[blocks, BLOCK](x, out)


# --------------------------------------------------------------------------------------------------
# Idea: constants of the tensor's own type.
# Should help: one single-precision multiply-add an element, and no conversion.
# Costs: two words of text.


@cuda.jit
def _single_precision(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] * np.float32(0.5) + np.float32(1.0)


def single_precision(x, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK
    _single_precision[blocks, BLOCK](x, out)
