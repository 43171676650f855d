"""Compaction in Numba: x (n,) float32; out (n,) gets the positive ones in order, count (1,) int32 their number."""

import numpy as np
import torch
from numba import cuda, int32

# --------------------------------------------------------------------------------------------------
# Idea: an element that stays goes to the place that is the number of those before it. One block
# takes tiles of 256 in turn and scans the flags: 1 for an element that stays, 0 for the others.
# Should help: order is kept, which a common counter would not do.
# Costs: eight rounds with a barrier a tile, and all multiprocessors but one are idle.


@cuda.jit
def _one_block_walks(x, out, count):
    row = cuda.shared.array((2, 256), int32)  # read from one, written to the other, in turn
    t = cuda.threadIdx.x
    done = 0  # how many stay of the tiles before
    for first in range(0, x.size, 256):
        i = first + t
        stays = i < x.size and x[i] > 0
        row[0, t] = 1 if stays else 0
        cuda.syncthreads()  # the flags are complete
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
        if stays:  # row[now, t] counts this element too
            out[done + row[now, t] - 1] = x[i]
        done += row[now, 255]
        cuda.syncthreads()  # all have read the row: the next tile may overwrite it
    for k in range(done + t, x.size, 256):
        out[k] = np.float32(0.0)  # behind the elements that stay
    if t == 0:
        count[0] = done


def one_block_walks(x, out, count):
    _one_block_walks[1, 256](x, out, count)


# --------------------------------------------------------------------------------------------------
# Idea: in three launches, so that all blocks work: count, scan the counts, move. Within a warp a
# vote tells every lane the flags of all 32; a lane counts the bits below its own.
# Should help: one vote replaces five rounds of a scan, and all multiprocessors work.
# Costs: x is read twice.


@cuda.jit
def _place_in_block(stays, warps):
    """How many threads of the block before this one have `stays`; warps[8] is how many all have."""
    t = cuda.threadIdx.x
    flags = cuda.ballot_sync(0xFFFFFFFF, stays)
    if t % 32 == 0:
        warps[t // 32 + 1] = cuda.popc(flags)
    cuda.syncthreads()  # the numbers of all eight warps are there
    if t == 0:
        warps[0] = 0
        for w in range(8):  # warps[w] becomes the number of all warps before warp w
            warps[w + 1] += warps[w]
    cuda.syncthreads()
    return warps[t // 32] + cuda.popc(flags & ((1 << (t % 32)) - 1))


@cuda.jit
def _numbers(x, numbers):
    warps = cuda.shared.array(9, int32)
    i = cuda.grid(1)
    _place_in_block(i < x.size and x[i] > 0, warps)
    if cuda.threadIdx.x == 0:
        numbers[cuda.blockIdx.x] = warps[8]


@cuda.jit
def _scan_of_numbers(numbers, before, count):
    # one thread: there is one number for every 256 elements
    done = np.int32(0)
    for b in range(numbers.size):
        before[b] = done
        done += numbers[b]
    count[0] = done


@cuda.jit
def _move(x, before, count, out):
    warps = cuda.shared.array(9, int32)
    i = cuda.grid(1)
    stays = i < x.size and x[i] > 0
    place = _place_in_block(stays, warps)
    if stays:
        out[before[cuda.blockIdx.x] + place] = x[i]
    if count[0] <= i < x.size:
        out[i] = np.float32(0.0)  # behind the elements that stay


def ballot(x, out, count):
    blocks = (x.numel() + 255) // 256
    numbers, before = torch.empty(2, blocks, dtype=torch.int32, device=x.device)  # (blocks,) each
    _numbers[blocks, 256](x, numbers)
    _scan_of_numbers[1, 1](numbers, before, count)
    _move[blocks, 256](x, before, count, out)
