# expect: M4 line=11
"""Each index is held against the length of the other axis."""

from numba import cuda


@cuda.jit
def _copy(x, out):
    col, row = cuda.grid(2)
    if row < out.shape[1] and col < out.shape[0]:
        out[row, col] = x[row, col]


def map2d(x, out, *, BLOCK=(32, 8)):
    rows, cols = out.shape
    lengths = cols, rows
    grid = ((lengths[0] + BLOCK[0] - 1) // BLOCK[0], (lengths[1] + BLOCK[1] - 1) // BLOCK[1])
    _copy[grid, BLOCK](x, out)
