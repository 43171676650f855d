# expect: R1 line=14
"""Reads, adds and writes a bin as if it were its own."""

from numba import cuda, int32


@cuda.jit
def _histogram(x, out):
    bins = cuda.shared.array(256, int32)
    t = cuda.threadIdx.x  # of 256: a thread for each bin
    bins[t] = 0
    cuda.syncthreads()
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        bins[x[i]] += 1
    cuda.syncthreads()
    cuda.atomic.add(out, t, bins[t])


def histogram(x, out, *, BLOCKS=8):
    out.zero_()  # blocks only add to it
    _histogram[BLOCKS, 256](x, out)
