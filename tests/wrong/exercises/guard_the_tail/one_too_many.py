# expect: M4 line=11
"""`<=` where `<` should stand: one element past the end."""

from numba import cuda


@cuda.jit
def _add(x, y, out):
    i = cuda.grid(1)
    if i <= out.size:
        out[i] = x[i] + y[i]


def guard_the_tail(x, y, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK
    _add[blocks, BLOCK](x, y, out)
