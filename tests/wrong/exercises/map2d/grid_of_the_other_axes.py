# expect: C3
"""The kernel has x along a row, the grid was made for x down a column: a matrix that is not square is not covered."""

from numba import cuda


@cuda.jit
def _copy(x, out):
    col, row = cuda.grid(2)
    if row < out.shape[0] and col < out.shape[1]:
        out[row, col] = x[row, col]


def map2d(x, out, *, BLOCK=(32, 8)):
    rows, cols = out.shape
    lengths = rows, cols
    grid = ((lengths[0] + BLOCK[0] - 1) // BLOCK[0], (lengths[1] + BLOCK[1] - 1) // BLOCK[1])
    _copy[grid, BLOCK](x, out)
