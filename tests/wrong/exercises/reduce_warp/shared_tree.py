# expect: X3
"""The tree of the exercise before: right, and no lane reads another one's register."""

from numba import cuda, float32


@cuda.jit
def _sum(x, out):
    partial = cuda.shared.array(256, float32)  # one sum a warp
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    partial[t] = x[i] if i < x.size else float32(0.0)
    cuda.syncthreads()
    half = 128
    while half > 0:
        if t < half:
            partial[t] += partial[t + half]
        cuda.syncthreads()
        half //= 2
    if t == 0:
        cuda.atomic.add(out, 0, partial[0])


def reduce_warp(x, out):
    out.zero_()  # blocks only add to it
    blocks = (x.numel() + 255) // 256
    _sum[blocks, 256](x, out)
