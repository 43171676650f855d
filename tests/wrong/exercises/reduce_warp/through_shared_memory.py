# expect: R1 line=23
"""Lanes of a warp trade in shared memory as if they still ran in step."""

from numba import cuda, float32


@cuda.jit
def _sum_of_warp(value):
    mine = cuda.shared.array(256, float32)
    t = cuda.threadIdx.x
    mine[t] = value
    for step in range(5):
        mine[t] += mine[t ^ (16 >> step)]
    return mine[t]


@cuda.jit
def _sum(x, out):
    partial = cuda.shared.array(8, float32)  # one sum a warp
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    value = x[i] if i < x.size else float32(0.0)
    value = _sum_of_warp(value)
    if t % 32 == 0:
        partial[t // 32] = value
    cuda.syncthreads()  # all eight sums are there before the first warp reads them
    if t < 32:
        value = partial[t] if t < 8 else float32(0.0)
        value = _sum_of_warp(value)
    if t == 0:
        cuda.atomic.add(out, 0, value)


def reduce_warp(x, out):
    out.zero_()  # blocks only add to it
    blocks = (x.numel() + 255) // 256
    _sum[blocks, 256](x, out)
