# expect: M4
"""b by the row and a by the column."""

from numba import cuda


@cuda.jit
def _outer(a, b, out):
    col, row = cuda.grid(2)  # x runs along a row
    if row < a.size and col < b.size:
        out[row, col] = a[col] + b[row]


def broadcast_guard2d(a, b, out, *, BLOCK=(32, 8)):
    rows, cols = out.shape
    grid = ((cols + BLOCK[0] - 1) // BLOCK[0], (rows + BLOCK[1] - 1) // BLOCK[1])
    _outer[grid, BLOCK](a, b, out)
