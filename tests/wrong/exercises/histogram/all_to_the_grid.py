# expect: R4
"""Every element adds to the grid's bins."""

from numba import cuda


@cuda.jit
def _histogram(x, out):
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        cuda.atomic.add(out, x[i], 1)


def histogram(x, out, *, BLOCKS=8):
    out.zero_()  # blocks only add to it
    _histogram[BLOCKS, 256](x, out)
