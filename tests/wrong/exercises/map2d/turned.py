# expect: M4 line=12
"""Swaps the axes on one side only, which is a transpose."""

from numba import cuda


@cuda.jit
def _copy(x, out):
    col, row = cuda.grid(2)
    if row < out.shape[0] and col < out.shape[1]:
        # as if x were stored column by column
        out[row, col] = x[col, row]


def map2d(x, out, *, BLOCK=(32, 8)):
    rows, cols = out.shape
    grid = ((cols + BLOCK[0] - 1) // BLOCK[0], (rows + BLOCK[1] - 1) // BLOCK[1])
    _copy[grid, BLOCK](x, out)
