"""Reduce over the grid: blocks that cannot wait for each other agree on one number.

Inside a block a barrier makes everybody wait. Between blocks there is no such thing: a grid may have more blocks than the
card can hold at once, and a block that waited for one that has not begun would wait for ever. Blocks run in any order, some
at the same time, some long after the others.

So `out[0] += total` in each block is no sum. It is three steps, and two blocks may do them in this order:

    block 0   reads out[0]: 10                  writes 10 + 5
    block 1                   reads out[0]: 10                  writes 10 + 7      the 5 is lost

An *atomic* addition does the three steps as one, at the memory itself: `cuda.atomic.add(out, 0, total)`. Additions to one
address stand in a queue, so one an element would be slow; one a block is nothing beside the reading of the block's elements.
A fence (`cuda.threadfence()`) is something else: it says in which order *one* thread's writes are seen, and makes nobody
wait.

What to do: let each block add its sum to out[0] so that none is lost.
What to look at: the two accesses that the report names, and then the number of atomic operations a block.
"""

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
    # --- your code (2 lines): Other blocks add to out[0] at the same time. Who adds this block's sum, and how?
    if t == 0:
        out[0] += partial[0]
    # --- end of your code


def reduce_grid(x, out, *, BLOCKS=12):
    out.zero_()  # or the first block would add to anything
    _sum[min(BLOCKS, (x.numel() + 255) // 256), 256](x, out)
