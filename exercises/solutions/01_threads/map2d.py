"""Two axes: which index of the thread runs along a row?

A block may have two axes, and `cuda.grid(2)` gives a thread its place on both: first x, then y. It is up to you which of the
two names the row of a matrix and which the column, and the answer is right either way. What it costs is not.

A warp is 32 threads that follow each other in *x*. A matrix lies in memory row by row, so elements of a row are neighbours
and elements of a column are a whole row apart:

    x along a row      lane 0 1 2 3 ...       one piece of 128 bytes: 4 sectors of 32 bytes
                       [ 0 1 2 3 ... 31 ]

    x down a column    lane 0   [ 0 .......    32 pieces far apart: 32 sectors,
                       lane 1   [ 1 .......    of each of which 4 bytes are used
                       lane 2   [ 2 .......

The grid follows the same decision: along x it needs as many blocks as the axis that x stands for is long.

What to do: copy x to out so that a warp reads and writes neighbours.
What to look at: the sectors a request of the load and of the store. 4 is the least for 32 floats.
"""

from numba import cuda


@cuda.jit
def _copy(x, out):
    # hole: 1 line. Which of the two runs along a row?
    #| row, col = cuda.grid(2)
    col, row = cuda.grid(2)
    # end hole
    if row < out.shape[0] and col < out.shape[1]:
        out[row, col] = x[row, col]


def map2d(x, out, *, BLOCK=(32, 8)):
    rows, cols = out.shape
    # hole: 1 line. The first length of the grid belongs to x.
    #| lengths = rows, cols
    lengths = cols, rows
    # end hole
    grid = ((lengths[0] + BLOCK[0] - 1) // BLOCK[0], (lengths[1] + BLOCK[1] - 1) // BLOCK[1])
    _copy[grid, BLOCK](x, out)
