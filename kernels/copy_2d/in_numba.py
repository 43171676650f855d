"""Copy of a matrix in Numba: out[i, j] = x[i, j], both (rows, cols) float32."""

from numba import cuda

# --------------------------------------------------------------------------------------------------
# Idea: one thread an element, with the thread's x as the first index and its y as the second, as in
# out[i, j].
# Should help: it reads like the formula, and it is right.
# Costs: the lanes of a warp differ in x, so they stand `cols` elements apart: 32 sectors a request,
# 4 bytes used of each.


@cuda.jit
def _threads_down_a_column(x, out):
    row, col = cuda.grid(2)
    if row < x.shape[0] and col < x.shape[1]:
        out[row, col] = x[row, col]


def threads_down_a_column(x, out, *, BLOCK=(32, 8)):
    rows, cols = x.shape
    grid = ((rows + BLOCK[0] - 1) // BLOCK[0], (cols + BLOCK[1] - 1) // BLOCK[1])
    _threads_down_a_column[grid, BLOCK](x, out)


# --------------------------------------------------------------------------------------------------
# Idea: the thread's x takes the column, because x is the axis along which lanes are numbered.
# Should help: 32 lanes read 32 neighbours: 4 sectors a request.
# Costs: nothing.


@cuda.jit
def _threads_along_a_row(x, out):
    col, row = cuda.grid(2)
    if row < x.shape[0] and col < x.shape[1]:
        out[row, col] = x[row, col]


def threads_along_a_row(x, out, *, BLOCK=(32, 8)):
    rows, cols = x.shape
    grid = ((cols + BLOCK[0] - 1) // BLOCK[0], (rows + BLOCK[1] - 1) // BLOCK[1])
    _threads_along_a_row[grid, BLOCK](x, out)
