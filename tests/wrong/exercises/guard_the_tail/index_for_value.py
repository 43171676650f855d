# expect: C1
"""Writes the index where the sum should stand."""

from numba import cuda


@cuda.jit
def _add(x, y, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = i


def guard_the_tail(x, y, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK
    _add[blocks, BLOCK](x, y, out)
