"""Row softmax in Numba: y[i, j] = exp(x[i, j] - m[i]) / sum_k exp(x[i, k] - m[i]), x, y (rows,
cols) float32.
"""

import math

import numpy as np
from numba import cuda, float32

MINUS_INFINITY = np.float32(-np.inf)  # a float32, so that nothing below becomes double
ZERO = np.float32(0.0)
ALL_LANES = 0xFFFFFFFF

# --------------------------------------------------------------------------------------------------
# Idea: one thread a row, three passes as in the formula: maximum, sum, result.
# Should help: nobody has to agree with anybody.
# Costs: the lanes of a warp stand `cols` elements apart, 32 sectors a request; x is read three
# times.


@cuda.jit
def _one_thread_a_row(x, y):
    row = cuda.grid(1)
    if row < x.shape[0]:
        largest = MINUS_INFINITY
        for col in range(x.shape[1]):
            largest = max(largest, x[row, col])
        total = ZERO
        for col in range(x.shape[1]):
            total += math.exp(x[row, col] - largest)  # the argument is <= 0, so exp is <= 1
        for col in range(x.shape[1]):
            y[row, col] = math.exp(x[row, col] - largest) / total


def one_thread_a_row(x, y, *, BLOCK=32):
    _one_thread_a_row[(x.shape[0] + BLOCK - 1) // BLOCK, BLOCK](x, y)


# --------------------------------------------------------------------------------------------------
# Idea: a block of 128 threads shares a row; maximum and sum are agreed on by a tree in shared
# memory.
# Should help: 32 lanes read 32 neighbours, 4 sectors a request; 128 times as many threads ask for
# memory.
# Costs: two trees of seven rounds with a barrier each; three passes over x remain.


@cuda.jit
def _one_block_a_row(x, y):
    partial = cuda.shared.array(128, float32)  # one value a thread; the block has exactly 128
    row, t = cuda.blockIdx.x, cuda.threadIdx.x  # row in [0, rows): one block a row
    mine = MINUS_INFINITY
    for col in range(t, x.shape[1], 128):
        mine = max(mine, x[row, col])
    partial[t] = mine
    cuda.syncthreads()  # all maxima are written before others read them
    half = 64
    while half > 0:
        if t < half:
            partial[t] = max(partial[t], partial[t + half])
        cuda.syncthreads()  # this round is complete before the next reads it
        half //= 2
    largest = partial[0]
    cuda.syncthreads()  # everybody has read partial[0] before it is used again for the sum

    mine = ZERO
    for col in range(t, x.shape[1], 128):
        mine += math.exp(x[row, col] - largest)
    partial[t] = mine
    cuda.syncthreads()  # all sums are written before others read them
    half = 64
    while half > 0:
        if t < half:
            partial[t] += partial[t + half]
        cuda.syncthreads()  # this round is complete before the next reads it
        half //= 2
    total = partial[0]

    for col in range(t, x.shape[1], 128):
        y[row, col] = math.exp(x[row, col] - largest) / total


def one_block_a_row(x, y):
    _one_block_a_row[x.shape[0], 128](x, y)


# --------------------------------------------------------------------------------------------------
# Idea: a warp shares a row, so maximum and sum cross lanes by shuffles.
# Should help: no shared memory and no barrier; the rows of a block do not wait for each other.
# Costs: lanes past the row's end idle when cols < 32, and long rows have only 32 threads.


@cuda.jit
def _one_warp_a_row(x, y):
    lane = cuda.threadIdx.x % 32
    row = (cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x) // 32
    if row < x.shape[0]:  # the same for all lanes of a warp, so the shuffles below find all 32
        largest = MINUS_INFINITY
        for col in range(lane, x.shape[1], 32):
            largest = max(largest, x[row, col])
        for step in range(5):  # offsets 16, 8, 4, 2, 1: afterwards every lane holds the maximum of all
            largest = max(largest, cuda.shfl_xor_sync(ALL_LANES, largest, 16 >> step))
        total = ZERO
        for col in range(lane, x.shape[1], 32):
            total += math.exp(x[row, col] - largest)
        for step in range(5):
            total += cuda.shfl_xor_sync(ALL_LANES, total, 16 >> step)
        for col in range(lane, x.shape[1], 32):
            y[row, col] = math.exp(x[row, col] - largest) / total


def one_warp_a_row(x, y, *, BLOCK=128):
    rows_a_block = BLOCK // 32
    _one_warp_a_row[(x.shape[0] + rows_a_block - 1) // rows_a_block, BLOCK](x, y)
