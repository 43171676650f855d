# expect: X4 line=11
"""The constants are arguments of the launch, and a Python float arrives as float64."""

from numba import cuda


@cuda.jit
def _scale_bias(factor, bias, x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] * factor + bias


def no_f64(x, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK
    _scale_bias[blocks, BLOCK](0.5, 1.0, x, out)
