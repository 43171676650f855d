# expect: M4 line=12
"""Threads beyond the last element load one all the same."""

from numba import cuda, float32


@cuda.jit
def _sum(x, out):
    partial = cuda.shared.array(256, float32)  # one sum a thread
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    partial[t] = x[i]
    cuda.syncthreads()  # all elements are there before the first round
    half = 128
    while half > 0:
        if t < half:
            partial[t] += partial[t + half]
        cuda.syncthreads()  # this round is complete before the next one reads
        half //= 2
    if t == 0:
        cuda.atomic.add(out, 0, partial[0])


def reduce_tree(x, out):
    out.zero_()  # blocks only add to it
    blocks = (x.numel() + 255) // 256
    _sum[blocks, 256](x, out)
