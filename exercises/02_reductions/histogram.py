"""Count in private: bins of the block first, bins of the grid at the end.

A histogram counts how often each value occurs. Every element adds one to the bin of its value, atomically, because others may add to
the same bin. Additions to one address stand in a queue, and if many elements are equal, the queue is long: the whole grid waits at
one bin.

Give each block bins of its own, in shared memory:

    block 0    bins [3 0 1 ...]  \
    block 1    bins [0 2 5 ...]   >   out [5 2 9 ...]      256 additions a block, whatever it counted
    block 2    bins [2 0 3 ...]  /

Shared memory holds anything when a block begins, so the bins must be cleared; nobody may count before all of them are; and nobody may
add a bin to the grid's before all have counted. These are two barriers.

What to do: clear the block's bins, count in them, and add each of them to out once.
What to look at: the atomic operations on global memory, a block.
"""

from numba import cuda, int32


@cuda.jit
def _histogram(x, out):
    bins = cuda.shared.array(256, int32)
    t = cuda.threadIdx.x  # of 256: a thread for each bin
    # --- your code (6 lines): Clear, count, add up, and wait where it is needed. All threads of the grid walk over x.
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        cuda.atomic.add(bins, x[i], 1)
    cuda.atomic.add(out, t, bins[t])
    # --- end of your code


def histogram(x, out, *, BLOCKS=8):
    out.zero_()  # blocks only add to it
    _histogram[BLOCKS, 256](x, out)
