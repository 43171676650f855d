# expect: W1
"""Adds neighbours: the threads that work are scattered over all warps."""

from numba import cuda, float32


@cuda.jit
def _sum(x, out):
    partial = cuda.shared.array(256, float32)  # one sum a thread
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    partial[t] = x[i] if i < x.size else float32(0.0)
    cuda.syncthreads()  # all elements are there before the first round
    step = 1
    while step < 256:
        if t % (2 * step) == 0:
            partial[t] += partial[t + step]
        cuda.syncthreads()
        step *= 2
    if t == 0:
        cuda.atomic.add(out, 0, partial[0])


def reduce_tree(x, out):
    out.zero_()  # blocks only add to it
    blocks = (x.numel() + 255) // 256
    _sum[blocks, 256](x, out)
