# expect: C1
"""Swaps the children's values without adding."""

import numpy as np
from numba import cuda, float32


@cuda.jit
def _place(element):
    """Where in the row an element is kept, for element in [0, 256)."""
    return element + element // 32


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
                row[_place(right)] = left_sum
        cuda.syncthreads()  # each place holds the sum before its element
        for e in range(t, 256, 128):
            if first + e < x.size:
                out[first + e] = row[_place(e)]
        cuda.syncthreads()  # all have read the row before the next tile overwrites it


def scan_blelloch(x, out):
    _scan[1, 128](x, out)
