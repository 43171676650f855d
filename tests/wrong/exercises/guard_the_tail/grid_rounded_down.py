# expect: E2 line=16
"""The grid is rounded down: no block at all for n < BLOCK, and no thread for the tail otherwise."""

from numba import cuda


@cuda.jit
def _add(x, y, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] + y[i]


def guard_the_tail(x, y, out, *, BLOCK=256):
    blocks = out.numel() // BLOCK
    _add[blocks, BLOCK](x, y, out)
