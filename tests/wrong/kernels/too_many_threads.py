# expect: E2 vector_add n=1000
"""Numba: a block of 2048 threads; no card takes more than 1024."""

from numba import cuda


@cuda.jit
def _too_many_threads(x, y, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] + y[i]


def too_many_threads(x, y, out):
    _too_many_threads[(out.numel() + 2047) // 2048, 2048](x, y, out)
