# expect: C3
"""The last row and the last column are left out."""

from numba import cuda


@cuda.jit
def _outer(a, b, out):
    col, row = cuda.grid(2)  # x runs along a row
    if row < max(a.size - 1, 1) and col < max(b.size - 1, 1):
        out[row, col] = a[row] + b[col]


def broadcast_guard2d(a, b, out, *, BLOCK=(32, 8)):
    rows, cols = out.shape
    grid = ((cols + BLOCK[0] - 1) // BLOCK[0], (rows + BLOCK[1] - 1) // BLOCK[1])
    _outer[grid, BLOCK](a, b, out)
