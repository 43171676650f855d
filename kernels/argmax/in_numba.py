"""Where the largest element stands, in Numba. x (n,) float32, n < 2^31, out (1,) int64."""

import numpy as np
import torch
from numba import cuda, float32, int64

LOWEST = -(2**63)  # less than every key
NOWHERE = 2**62  # an index that loses to every other

# --------------------------------------------------------------------------------------------------
# Idea: value and index become one whole number, the key: the larger value has the larger key, and
# of equal values the smaller index. Atomics on one key keep the largest.
# Should help: ties and NaN are settled where the key is made; the largest of whole numbers is the
# same in any order.
# Costs: n atomics on one address stand in one queue; a second launch takes the index out.


@cuda.jit
def _key(value, i):
    # value float32, i in [0, 2^31)   ->   int64: order of the value above, complement of i below
    order = int64(cuda.libdevice.float_as_int(value + float32(0.0)))  # the addition makes 0.0 of -0.0
    if order < 0:
        order ^= 0x7FFFFFFF  # negative floats: the more bits, the less; turned round
    if value != value:
        order = int64(0x7FFFFFFF)  # every NaN, above infinity
    return (order << 32) | (0xFFFFFFFF - i)


@cuda.jit
def _index_of_key(out):
    out[0] = 0xFFFFFFFF - (out[0] & 0xFFFFFFFF)


@cuda.jit
def _one_atomic_an_element(x, out):
    i = cuda.grid(1)
    if i < x.size:
        cuda.atomic.max(out, 0, _key(x[i], i))


def one_atomic_an_element(x, out, *, BLOCK=256):
    out.fill_(LOWEST)  # the kernel only raises it
    blocks = (x.numel() + BLOCK - 1) // BLOCK
    _one_atomic_an_element[blocks, BLOCK](x, out)
    _index_of_key[1, 1](out)


# --------------------------------------------------------------------------------------------------
# Idea: threads look for the best of several elements each, then a block agrees in a tree on pairs in
# shared memory. Each block writes its pair, and a second launch with one block compares those.
# Should help: no atomics. A launch begins when the one before it is complete: a barrier of the grid.
# Costs: a barrier a round, two shared arrays, and the second launch.


@cuda.jit
def _beats(v, i, w, j):
    # whether v at index i is to be taken, rather than w at j: never true both ways round
    if v != v:
        return w == w or i < j  # a NaN loses only to an earlier NaN
    return v > w or (v == w and i < j)


@cuda.jit
def _best_of_block(value, index):
    values = cuda.shared.array(256, float32)  # one pair a thread; the block has exactly 256
    indices = cuda.shared.array(256, int64)
    t = cuda.threadIdx.x
    values[t] = value
    indices[t] = index
    cuda.syncthreads()  # every thread has written its pair before any other reads it
    half = 128
    while half > 0:
        # the lower half takes what is better in the upper half: value and index, never one alone
        if t < half and _beats(values[t + half], indices[t + half], values[t], indices[t]):
            values[t] = values[t + half]
            indices[t] = indices[t + half]
        cuda.syncthreads()  # the pairs of this round are complete before the next round reads them
        half //= 2
    return values[0], indices[0]


@cuda.jit
def _pairs_of_blocks(x, values, indices):
    # values, indices (blocks,): the best pair of each block
    value, index = float32(-np.inf), NOWHERE  # loses to every element, to -infinity too
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        if _beats(x[i], i, value, index):
            value, index = x[i], i
    value, index = _best_of_block(value, index)
    if cuda.threadIdx.x == 0:
        values[cuda.blockIdx.x] = value
        indices[cuda.blockIdx.x] = index


@cuda.jit
def _best_of_pairs(values, indices, out):
    value, index = float32(-np.inf), NOWHERE
    for k in range(cuda.threadIdx.x, values.size, 256):
        if _beats(values[k], indices[k], value, index):
            value, index = values[k], indices[k]
    value, index = _best_of_block(value, index)
    if cuda.threadIdx.x == 0:
        out[0] = index


def pairs_in_a_tree(x, out, *, BLOCKS=512):
    blocks = min(BLOCKS, (x.numel() + 255) // 256)
    values = torch.empty(blocks, device=x.device)
    indices = torch.empty(blocks, dtype=torch.int64, device=x.device)
    _pairs_of_blocks[blocks, 256](x, values, indices)
    _best_of_pairs[1, 256](values, indices, out)


# --------------------------------------------------------------------------------------------------
# Idea: the 32 lanes of a warp agree by shuffles of the key, one whole number instead of a pair.
# Should help: five rounds of the tree need neither shared memory nor a barrier, and none compares
# more than two whole numbers.
# Costs: a key has 64 bits, so a shuffle is two instructions; all 32 lanes must take part.


@cuda.jit
def _largest_of_warp(key):
    # after the step with offset d, lane l holds the largest of the lanes that differ from l in the
    # bits from d upwards
    for step in range(5):
        key = max(key, cuda.shfl_xor_sync(0xFFFFFFFF, key, 16 >> step))
    return key  # the same in every lane


@cuda.jit
def _keys_by_shuffle(x, out):
    keys = cuda.shared.array(8, int64)  # one key a warp; the block has 8 warps
    t = cuda.threadIdx.x
    key = int64(LOWEST)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        key = max(key, _key(x[i], i))
    key = _largest_of_warp(key)
    if t % 32 == 0:
        keys[t // 32] = key
    cuda.syncthreads()  # all 8 keys are there before the first warp reads them
    if t < 32:  # the whole first warp, so that all 32 lanes of the shuffle are there
        key = _largest_of_warp(keys[t % 8])  # a key that comes four times is no larger
        if t == 0:
            cuda.atomic.max(out, 0, key)


def keys_by_shuffle(x, out, *, BLOCKS=512):
    out.fill_(LOWEST)
    blocks = min(BLOCKS, (x.numel() + 255) // 256)
    _keys_by_shuffle[blocks, 256](x, out)
    _index_of_key[1, 1](out)
