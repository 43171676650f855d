# expect: M2
"""One thread of the grid adds all elements: right, and it asks for every sector eight times."""

from numba import cuda, float32


@cuda.jit
def _sum(x, out):
    if cuda.grid(1) == 0:
        total = float32(0.0)
        for k in range(x.size):
            total += x[k]
        out[0] = total


def reduce_tree(x, out):
    out.zero_()  # blocks only add to it
    blocks = (x.numel() + 255) // 256
    _sum[blocks, 256](x, out)
