# expect: M2
"""Each thread looks through all of x for its own value."""

from numba import cuda


@cuda.jit
def _histogram(x, out):
    t = cuda.threadIdx.x  # of 256: a thread for each bin
    count = 0
    for i in range(x.size):
        if cuda.blockIdx.x == 0 and x[i] == t:
            count += 1
    cuda.atomic.add(out, t, count)


def histogram(x, out, *, BLOCKS=8):
    out.zero_()  # blocks only add to it
    _histogram[BLOCKS, 256](x, out)
