"""Scan with few additions: up the tree and down again, and never two lanes in a bank.

Eight rounds of the last exercise add nearly 8 times for each element. A tree needs about two (Blelloch). *Up*: as in a reduction, but
partial sums stay where they are. *Down*: the last place gets what comes before the whole tile, and each node hands it on: the left
child gets what its parent got, the right child that plus the sum of the left one.

    up       a    b    c    d          down     a    ab   c    P          P: what comes before the tile
             a    ab   c    cd                  a    P    c    P+ab
             a    ab   c    abcd                P    P+a  P+ab P+abc

In the round with distance d a node is the place 2 d k + 2 d - 1, for k = 0, 1, 2 ... : neighbouring threads are 2 d words apart. With
d = 16 all of them meet in one bank. So leave a gap after every 32 words: element e is kept at place e + e // 32. Two elements that are
32 apart are then 33 words apart, in neighbouring banks.

What to do: give each element its place with gaps.
What to look at: wavefronts a request, and the additions for each element.
"""

import numpy as np
from numba import cuda, float32


@cuda.jit
def _place(element):
    """Where in the row an element is kept, for element in [0, 256)."""
    # hole: 1 line. One word is left empty after every 32.
    #| return element
    return element + element // 32
    # end hole


@cuda.jit
def _scan(x, out):
    row = cuda.shared.array(264, float32)  # room for 256 elements and 8 gaps
    t = cuda.threadIdx.x  # of 128: a thread for each pair
    carry = np.float32(0.0)  # of thread 0: the sum of all tiles before
    for first in range(0, x.size, 256):
        for e in range(t, 256, 128):
            row[_place(e)] = x[first + e] if first + e < x.size else np.float32(0.0)
        d = 1
        while d < 256:  # up: the right child becomes the sum of both
            cuda.syncthreads()  # the round before is complete
            right = 2 * d * t + 2 * d - 1
            if right < 256:
                row[_place(right)] += row[_place(right - d)]
            d *= 2
        if t == 0:  # it did the last round: the root holds the sum of the tile, and gets what comes before it
            total = row[_place(255)]
            row[_place(255)] = carry
            carry += total
        while d > 1:  # down: the left child gets what came in, the right one that and the left sum
            d //= 2
            cuda.syncthreads()  # the round before is complete
            right = 2 * d * t + 2 * d - 1
            if right < 256:
                left_sum = row[_place(right - d)]
                row[_place(right - d)] = row[_place(right)]
                row[_place(right)] += left_sum
        cuda.syncthreads()  # each place holds the sum before its element
        for e in range(t, 256, 128):
            if first + e < x.size:
                out[first + e] = row[_place(e)]
        cuda.syncthreads()  # all have read the row before the next tile overwrites it


def scan_blelloch(x, out):
    _scan[1, 128](x, out)
