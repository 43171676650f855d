"""Outer sum in Numba: out[i, j] = a[i] + b[j], a (rows,), b (cols,), out (rows, cols) float32."""

from numba import cuda

# --------------------------------------------------------------------------------------------------
# Idea: one thread an element, with the thread's x as the first index and its y as the second.
# Should help: it reads like the formula, and it is right.
# Costs: the lanes of a warp stand a whole row apart in out: 32 sectors a store.


@cuda.jit
def _threads_down_a_column(a, b, out):
    row, col = cuda.grid(2)
    if row < a.size and col < b.size:
        out[row, col] = a[row] + b[col]


def threads_down_a_column(a, b, out, *, BLOCK=(32, 8)):
    rows, cols = out.shape
    grid = ((rows + BLOCK[0] - 1) // BLOCK[0], (cols + BLOCK[1] - 1) // BLOCK[1])
    _threads_down_a_column[grid, BLOCK](a, b, out)


# --------------------------------------------------------------------------------------------------
# Idea: the thread's x takes the column.
# Should help: 32 lanes store 32 neighbours and load 32 neighbours of b; their one element of a is a
# broadcast, a single sector.
# Costs: nothing.


@cuda.jit
def _threads_along_a_row(a, b, out):
    col, row = cuda.grid(2)
    if row < a.size and col < b.size:
        out[row, col] = a[row] + b[col]


def threads_along_a_row(a, b, out, *, BLOCK=(32, 8)):
    rows, cols = out.shape
    grid = ((cols + BLOCK[0] - 1) // BLOCK[0], (rows + BLOCK[1] - 1) // BLOCK[1])
    _threads_along_a_row[grid, BLOCK](a, b, out)
