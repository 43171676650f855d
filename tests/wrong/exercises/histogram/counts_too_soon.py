# expect: R1
"""Counts while others still clear."""

from numba import cuda, int32


@cuda.jit
def _histogram(x, out):
    bins = cuda.shared.array(256, int32)
    t = cuda.threadIdx.x  # of 256: a thread for each bin
    bins[t] = 0
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        cuda.atomic.add(bins, x[i], 1)
    cuda.syncthreads()
    cuda.atomic.add(out, t, bins[t])


def histogram(x, out, *, BLOCKS=8):
    out.zero_()  # blocks only add to it
    _histogram[BLOCKS, 256](x, out)
