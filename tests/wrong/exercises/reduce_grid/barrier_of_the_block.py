# expect: R2 line=24
"""A barrier before the addition: it is a barrier of the block only."""

from numba import cuda, float32


@cuda.jit
def _sum(x, out):
    partial = cuda.shared.array(256, float32)  # one sum a thread
    t = cuda.threadIdx.x
    mine = float32(0.0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        mine += x[i]
    partial[t] = mine
    cuda.syncthreads()  # all sums are there before the first round
    half = 128
    while half > 0:
        if t < half:
            partial[t] += partial[t + half]
        cuda.syncthreads()  # this round is complete before the next one reads
        half //= 2
    cuda.syncthreads()
    if t == 0:
        out[0] += partial[0]


def reduce_grid(x, out, *, BLOCKS=12):
    out.zero_()  # or the first block would add to anything
    _sum[min(BLOCKS, (x.numel() + 255) // 256), 256](x, out)
