"""Exclusive prefix sum in Numba: out[i] = sum of x[:i], x, out (n,) float32."""

import numpy as np
import torch
from numba import cuda, float32

# --------------------------------------------------------------------------------------------------
# Idea: one block takes tiles of 256 elements in turn. In a tile, each round adds what stands d
# places to the left, for d = 1, 2, 4 ... 128: afterwards a thread holds the sum of all up to its own.
# Should help: eight rounds instead of 256 steps.
# Costs: 8 additions an element where one would do, two tiles of shared memory, and all
# multiprocessors but one are idle.


@cuda.jit
def _one_block_walks(x, out):
    row = cuda.shared.array((2, 256), float32)  # read from one, written to the other, in turn
    t = cuda.threadIdx.x
    carry = np.float32(0.0)  # the sum of all tiles before
    for first in range(0, x.size, 256):
        i = first + t
        row[0, t] = x[i] if i < x.size else np.float32(0.0)
        cuda.syncthreads()  # the tile is complete
        now = 0
        d = 1
        while d < 256:
            value = row[now, t]
            if t >= d:
                value += row[now, t - d]
            now = 1 - now
            row[now, t] = value
            cuda.syncthreads()  # this round is complete before the next one reads it
            d *= 2
        if i < x.size:  # the sum *before* this element is the left neighbour's
            out[i] = carry + row[now, t - 1] if t > 0 else carry
        carry += row[now, 255]
        cuda.syncthreads()  # all have read the total: the next tile may overwrite it


def one_block_walks(x, out):
    _one_block_walks[1, 256](x, out)


# --------------------------------------------------------------------------------------------------
# Idea: first every block finds the total of its 256 elements; one block scans the totals; then every
# block scans its own elements, beginning with the sum of all before it.
# Should help: all multiprocessors work; lanes pass sums on by shuffles, with two barriers a block.
# Costs: x is read twice, and there are three launches.


@cuda.jit
def _up_to_this_lane(value):
    # after the step with distance d, lane l holds the sum of the last 2 d lanes up to l
    lane = cuda.threadIdx.x % 32
    for step in range(5):
        left = cuda.shfl_up_sync(0xFFFFFFFF, value, 1 << step)
        if lane >= 1 << step:
            value += left
    return value


@cuda.jit
def _before_this_thread(value, warps):
    """The sum of `value` over the threads of the block before this one; warps[7] holds the sum of all."""
    t = cuda.threadIdx.x
    up_to = _up_to_this_lane(value)
    if t % 32 == 31:
        warps[t // 32] = up_to
    cuda.syncthreads()  # the sums of all eight warps are there
    if t < 32:
        sums = _up_to_this_lane(warps[t] if t < 8 else np.float32(0.0))
        if t < 8:
            warps[t] = sums
    cuda.syncthreads()  # and now each includes those of the warps before it
    before = cuda.shfl_up_sync(0xFFFFFFFF, up_to, 1)
    if t % 32 == 0:
        before = np.float32(0.0)
    return before + warps[t // 32 - 1] if t >= 32 else before


@cuda.jit
def _block_totals(x, totals):
    warps = cuda.shared.array(8, float32)
    i = cuda.grid(1)
    _before_this_thread(x[i] if i < x.size else np.float32(0.0), warps)
    if cuda.threadIdx.x == 0:
        totals[cuda.blockIdx.x] = warps[7]


@cuda.jit
def _scan_from(x, before, out):
    warps = cuda.shared.array(8, float32)
    i = cuda.grid(1)
    here = _before_this_thread(x[i] if i < x.size else np.float32(0.0), warps)
    if i < x.size:
        out[i] = before[cuda.blockIdx.x] + here


def totals_first(x, out):
    blocks = (x.numel() + 255) // 256
    totals, before = torch.empty(2, blocks, device=x.device)  # (blocks,) float32 each, written in full
    _block_totals[blocks, 256](x, totals)
    _one_block_walks[1, 256](totals, before)
    _scan_from[blocks, 256](x, before, out)
