# expect: R2 reduce_sum n=1000
"""Numba: all blocks add to one word, without an atomic."""

from numba import cuda


@cuda.jit
def _racing_write(x, out):
    i = cuda.grid(1)
    if i < x.size:
        out[0] += x[i]


def racing_write(x, out):
    out.zero_()
    _racing_write[(x.numel() + 255) // 256, 256](x, out)
