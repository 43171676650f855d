# expect: M4 line=10
"""Every thread adds, also those without an element."""

from numba import cuda


@cuda.jit
def _add(x, y, out):
    i = cuda.grid(1)
    out[i] = x[i] + y[i]


def guard_the_tail(x, y, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK
    _add[blocks, BLOCK](x, y, out)
