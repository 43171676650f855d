"""Reduce in a tree: 256 threads agree on one number in shared memory.

A sum needs every element, and no thread has them all. Threads of a block can meet in *shared memory*: each puts its element
there, and then they add in rounds. In each round half of the sums that are left are added to the other half, so 256 sums
become one in 8 rounds. A barrier ends each round: nobody may read a sum that is still being written.

Which thread adds which pair is free, and the answer is the same. Eight threads, first round of two ways:

    neighbours    0+1  2+3  4+5  6+7       done by threads 0, 2, 4, 6
    halves        0+4  1+5  2+6  3+7       done by threads 0, 1, 2, 3

A warp has 32 lanes, and one that works costs as much as 32. With neighbours, the threads that work are scattered over all
warps, so in the first five rounds every warp of the block has something to do. With halves, they are the first ones: whole
warps are finished after the first round.

What to do: add in rounds, with the working threads side by side.
What to look at: the warps that touch shared memory, and the wavefronts a request: lanes that reach for the same bank stand
in a queue.
"""

from numba import cuda, float32


@cuda.jit
def _sum(x, out):
    partial = cuda.shared.array(256, float32)  # one sum a thread
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    partial[t] = x[i] if i < x.size else float32(0.0)
    cuda.syncthreads()  # all elements are there before the first round
    # --- your code (6 lines): The working threads are scattered over the block. Which pairs let them stand side by side?
    step = 1
    while step < 256:
        if t % (2 * step) == 0:
            partial[t] += partial[t + step]
        cuda.syncthreads()
        step *= 2
    # --- end of your code
    if t == 0:
        cuda.atomic.add(out, 0, partial[0])


def reduce_tree(x, out):
    out.zero_()  # blocks only add to it
    blocks = (x.numel() + 255) // 256
    _sum[blocks, 256](x, out)
