"""Find the race: one barrier is missing, and the report says where.

The seven weights 1, 6, 15, 20, 15, 6, 1 are the weights 1, 2, 1 applied three times. So this kernel smooths in three rounds, each
with the next neighbours only, and passes the stretch of x from one tile to the other and back:

    x  ->  first  ->  second  ->  first  ->  out
       load       round 1     round 2     round 3

In each round a thread reads what its neighbours wrote in the round before. Three threads at either end of the block are there for
the halo: what they hold is good for one round less than what stands further in, and they store nothing.

The kernel is often right. A warp runs in step, most neighbours are in one's own warp, and the others are seldom late. *Seldom* is
the trouble: the report below does not wait for it. It names two lines that touch one word, one of them to write it, with nothing
between them that orders the two.

What to do: read the report, find the one place between its two lines where all threads must wait, and put a barrier there.
What to look at: the barriers a warp passes. One after each line would end the race too, and every one costs a wait of the whole
block.
"""

import numpy as np
from numba import cuda, float32


@cuda.jit
def _three(tile, t):
    """(tile[t - 1] + 2 tile[t] + tile[t + 1]) / 4"""
    return (tile[t - 1] + np.float32(2.0) * tile[t] + tile[t + 1]) * np.float32(0.25)


@cuda.jit
def _smooth(x, out):
    first = cuda.shared.array(256, float32)
    second = cuda.shared.array(256, float32)
    t = cuda.threadIdx.x
    i = cuda.blockIdx.x * 250 + t - 3  # 250 results a block; three threads at either end hold the halo
    first[t] = x[i] if 0 <= i < x.size else float32(0.0)
    # --- your code (6 lines): One barrier is missing. Where does a thread read what another one may not have written yet?
    cuda.syncthreads()
    if 1 <= t < 255:
        second[t] = _three(first, t)
    if 2 <= t < 254:
        first[t] = _three(second, t)
    # --- end of your code
    cuda.syncthreads()
    if 3 <= t < 253 and i < out.size:
        out[i] = _three(first, t)


def find_the_race(x, out):
    _smooth[(x.numel() + 249) // 250, 256](x, out)
