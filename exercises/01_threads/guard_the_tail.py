"""Guard the tail: one thread an element, and a grid that covers all of them.

A GPU runs threads in blocks of a fixed size. With 1000 elements and blocks of 256 threads the grid needs four blocks, and
four blocks are 1024 threads: 24 of them have no element.

    elements   0 ............ 255 256 ......... 511 512 ......... 767 768 ...... 999
    threads   [    block 0       ][    block 1     ][    block 2     ][    block 3     ]
                                                                              ^ 24 threads too many

`cuda.grid(1)` is the thread's index in the whole grid: blockIdx.x * blockDim.x + threadIdx.x. Nothing stops a thread from
reading x[1003]: a card may return anything, write into another tensor, or do nothing that you notice.

What to do: let every thread with an element add it, and every other thread do nothing.
What to look at: which element the last thread of the last block would touch.
"""

from numba import cuda


@cuda.jit
def _add(x, y, out):
    i = cuda.grid(1)  # in [0, blocks * BLOCK)
    # --- your code (2 lines): There are more threads than elements: which ones may write?
    out[i] = x[i] + y[i]
    # --- end of your code


def guard_the_tail(x, y, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK  # rounded up: a part of a block is a block
    _add[blocks, BLOCK](x, y, out)
