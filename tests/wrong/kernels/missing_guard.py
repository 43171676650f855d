# expect: M4 vector_add n=1000
"""Numba: the last block has more threads than there are elements left, and nobody stops them."""

from numba import cuda


@cuda.jit
def _missing_guard(x, y, out):
    i = cuda.grid(1)
    out[i] = x[i] + y[i]


def missing_guard(x, y, out):
    _missing_guard[(out.numel() + 255) // 256, 256](x, y, out)
