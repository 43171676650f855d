# expect: M4 line=11
"""Only the columns are guarded: the last blocks reach below the matrix."""

from numba import cuda


@cuda.jit
def _copy(x, out):
    col, row = cuda.grid(2)
    if col < out.shape[1]:
        out[row, col] = x[row, col]


def map2d(x, out, *, BLOCK=(32, 8)):
    rows, cols = out.shape
    lengths = cols, rows
    grid = ((lengths[0] + BLOCK[0] - 1) // BLOCK[0], (lengths[1] + BLOCK[1] - 1) // BLOCK[1])
    _copy[grid, BLOCK](x, out)
