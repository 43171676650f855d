# expect: M2
"""Every block adds all elements: right, since all write the same, and paid for once a block."""

from numba import cuda


@cuda.jit
def _add(x, y, out):
    for i in range(cuda.threadIdx.x, out.size, cuda.blockDim.x):
        out[i] = x[i] + y[i]


def guard_the_tail(x, y, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK  # rounded up: a part of a block is a block
    _add[blocks, BLOCK](x, y, out)
