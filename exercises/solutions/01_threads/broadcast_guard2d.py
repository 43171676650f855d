"""Guards on two axes: a grid of blocks covers more than the matrix, to the right and below.

out[row, col] = a[row] + b[col]: each element of a serves a whole row, each element of b a whole column. A thread takes one element of
out. Blocks of 32 x 8 threads cover the matrix like tiles on a floor, and stand out on two sides:

              cols
         +----------+ - - +        inside: both indices are good
    rows |  inside  | col !
         +----------+ - - +        beyond cols: there is no b[col], and out[row, col] would be
         |  row !   | both!        the *next row's* beginning
         + - - - - -+ - - +

The last remark makes the guard on col the more treacherous one. out lies in memory row by row, so one place past the end of a row is
an element of the matrix: no card complains. Below the last row there is nothing.

What to do: let the threads write that have an element of a and one of b.
What to look at: for which of the shapes each half of the guard matters.
"""

from numba import cuda


@cuda.jit
def _outer(a, b, out):
    col, row = cuda.grid(2)  # x runs along a row
    # hole: 2 lines. Which threads have an element of a and one of b?
    #| if row < a.size or col < b.size:
    #|     out[row, col] = a[row] + b[col]
    if row < a.size and col < b.size:
        out[row, col] = a[row] + b[col]
    # end hole


def broadcast_guard2d(a, b, out, *, BLOCK=(32, 8)):
    rows, cols = out.shape
    grid = ((cols + BLOCK[0] - 1) // BLOCK[0], (rows + BLOCK[1] - 1) // BLOCK[1])
    _outer[grid, BLOCK](a, b, out)
