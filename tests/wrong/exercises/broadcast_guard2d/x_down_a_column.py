# expect: M1
"""The first index is the row, so the lanes of a warp stand a row apart."""

from numba import cuda


@cuda.jit
def _outer(a, b, out):
    row, col = cuda.grid(2)  # x runs along a row
    if row < a.size and col < b.size:
        out[row, col] = a[row] + b[col]


def broadcast_guard2d(a, b, out, *, BLOCK=(32, 8)):
    rows, cols = out.shape
    grid = ((rows + BLOCK[0] - 1) // BLOCK[0], (cols + BLOCK[1] - 1) // BLOCK[1])
    _outer[grid, BLOCK](a, b, out)
