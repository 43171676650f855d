"""Scan with two rows: never read what is written in the same round.

A *prefix sum* gives each element the sum of all before it: who stands in a queue learns how much comes first. One thread could do it
in n steps. 256 threads do a tile in eight rounds (Hillis and Steele): in the round with distance d, thread t adds what stands d places
to its left.

    x         a     b     c     d     e
    d = 1     a     ab    bc    cd    de          ab is short for a + b
    d = 2     a     ab    abc   abcd  bcde
    d = 4     a     ab    abc   abcd  abcde

In one row this goes wrong: thread t reads place t - d, and the thread that owns that place may have written its new sum already. Two
barriers a round would help. Two *rows* help with one: each round reads the row of the round before and writes the other one.

After the last round a place holds the sum up to and including its own element. The sum *before* an element is the one at its left
neighbour. One block takes the tiles of x in turn, and `carry` is the sum of all tiles before.

What to do: let the rounds read from one row and write to the other one, and swap them.
What to look at: the race report, and the barriers: eight rounds need eight.
"""

import numpy as np
from numba import cuda, float32


@cuda.jit
def _scan(x, out):
    row = cuda.shared.array((2, 256), float32)
    t = cuda.threadIdx.x
    carry = np.float32(0.0)  # the sum of all tiles before
    for first in range(0, x.size, 256):
        i = first + t
        now = 0  # the row that is read
        row[now, t] = x[i] if i < x.size else np.float32(0.0)
        cuda.syncthreads()  # the tile is complete
        d = 1
        while d < 256:
            # --- your code (5 lines): Read the row of the round before, and write the other one. Which of them is read next?
            if t >= d:
                row[now, t] += row[now, t - d]
            # --- end of your code
            cuda.syncthreads()  # this round is complete before the next one reads it
            d *= 2
        if i < x.size:
            out[i] = carry + row[now, t - 1] if t > 0 else carry
        carry += row[now, 255]
        cuda.syncthreads()  # all have read this row before the next tile overwrites it


def scan_hillis(x, out):
    _scan[1, 256](x, out)
