# expect: C1 vector_add n=1000
"""Numba: writes the index where the value should stand."""

from numba import cuda


@cuda.jit
def _index_for_value(x, y, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = i


def index_for_value(x, y, out):
    _index_for_value[(out.numel() + 255) // 256, 256](x, y, out)
