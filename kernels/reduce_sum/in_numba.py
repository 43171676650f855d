"""Sum in Numba: out[0] = sum of x, x (n,) float32, out (1,) float32."""

import numpy as np
from numba import cuda, float32

# --------------------------------------------------------------------------------------------------
# Idea: every thread adds its own element to out[0], atomically, so that no addition gets lost.
# Should help: it is right, and short.
# Costs: n additions to one address stand in one queue. Their order, and so the rounding, differs
# from run to run.


@cuda.jit
def _one_atomic_an_element(x, out):
    i = cuda.grid(1)
    if i < x.size:
        cuda.atomic.add(out, 0, x[i])


def one_atomic_an_element(x, out, *, BLOCK=256):
    out.zero_()  # the kernel only adds
    blocks = (x.numel() + BLOCK - 1) // BLOCK
    _one_atomic_an_element[blocks, BLOCK](x, out)


# --------------------------------------------------------------------------------------------------
# Idea: threads first sum several elements each, then the block adds up in a tree in shared memory;
# one thread a block does the atomic.
# Should help: one atomic a block instead of one an element; the tree takes log2(BLOCK) = 8 rounds.
# Costs: a barrier a round, and half of the threads idle after each.


@cuda.jit
def _shared_tree(x, out):
    partial = cuda.shared.array(256, float32)  # one sum a thread; the block has exactly 256
    t = cuda.threadIdx.x
    mine = np.float32(0.0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        mine += x[i]
    partial[t] = mine
    cuda.syncthreads()  # every thread has written its sum before any other reads it
    half = 128
    while half > 0:
        # the lower half adds the upper half to itself: neighbours stay neighbours, no bank conflict
        if t < half:
            partial[t] += partial[t + half]
        cuda.syncthreads()  # the sums of this round are complete before the next round reads them
        half //= 2
    if t == 0:
        cuda.atomic.add(out, 0, partial[0])


def shared_tree(x, out, *, BLOCKS=512):
    out.zero_()
    blocks = min(BLOCKS, (x.numel() + 255) // 256)
    _shared_tree[blocks, 256](x, out)


# --------------------------------------------------------------------------------------------------
# Idea: the 32 lanes of a warp add up by shuffles: a lane reads a register of another lane directly.
# Should help: five shuffles replace five rounds of the tree with their barriers; shared memory
# holds 8 sums only.
# Costs: all 32 lanes must take part, so nobody may leave the kernel before.


@cuda.jit
def _sum_of_warp(value):
    # after the step with offset d, lane l holds the sum of 32/d lanes that differ from l in the
    # upper bits only
    for step in range(5):
        value += cuda.shfl_xor_sync(0xFFFFFFFF, value, 16 >> step)
    return value  # the same sum in every lane


@cuda.jit
def _warp_shuffles(x, out):
    partial = cuda.shared.array(8, float32)  # one sum a warp; the block has 8 warps
    t = cuda.threadIdx.x
    mine = np.float32(0.0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        mine += x[i]
    mine = _sum_of_warp(mine)
    if t % 32 == 0:
        partial[t // 32] = mine
    cuda.syncthreads()  # all 8 sums are there before the first warp reads them
    if t < 32:  # the whole first warp, so that all 32 lanes of the shuffle are there
        mine = partial[t] if t < 8 else np.float32(0.0)
        mine = _sum_of_warp(mine)
        if t == 0:
            cuda.atomic.add(out, 0, mine)


def warp_shuffles(x, out, *, BLOCKS=512):
    out.zero_()
    blocks = min(BLOCKS, (x.numel() + 255) // 256)
    _warp_shuffles[blocks, 256](x, out)
