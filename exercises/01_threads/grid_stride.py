"""Grid stride: a loop that is right for any number of threads.

So far every thread had one element, so the size of the grid had to follow the size of the data. A *grid-stride loop* frees
it: each thread starts at its own index and steps by the number of threads in the whole grid until the data end.

    grid of 8 threads, 20 elements
    thread 0   0               8              16
    thread 1     1               9              17
    thread 7                 7              15

In each round the threads of a warp stand side by side, as they must: neighbours in the warp read neighbours in memory. Had
each thread taken a stretch of its own (thread 0: elements 0, 1, 2, thread 1: 3, 4, 5), every load of a warp would touch
32 different sectors of memory.

`cuda.gridsize(1)` is the number of threads in the grid.

What to do: make every element come out, with 1 block and with 1000 of them.
What to look at: the number of elements that are still unwritten, and the sectors a request.
"""

import numpy as np
from numba import cuda


@cuda.jit
def _axpy(a, x, y, out):
    # --- your code (2 lines): Where does a thread start, and how far is its next element?
    i = cuda.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]
    # --- end of your code


def grid_stride(a, x, y, out, *, BLOCK=128, BLOCKS=8):
    _axpy[BLOCKS, BLOCK](np.float32(a), x, y, out)
