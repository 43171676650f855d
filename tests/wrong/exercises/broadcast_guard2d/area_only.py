# expect: M4
"""Guards the area: the place in memory is good, and the column is not."""

from numba import cuda


@cuda.jit
def _outer(a, b, out):
    col, row = cuda.grid(2)  # x runs along a row
    if row * b.size + col < out.size:
        out[row, col] = a[row] + b[col]


def broadcast_guard2d(a, b, out, *, BLOCK=(32, 8)):
    rows, cols = out.shape
    grid = ((cols + BLOCK[0] - 1) // BLOCK[0], (rows + BLOCK[1] - 1) // BLOCK[1])
    _outer[grid, BLOCK](a, b, out)
