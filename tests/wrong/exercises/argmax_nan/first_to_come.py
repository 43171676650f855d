# expect: C4
"""Blocks with the same value: the one that came first stays, whichever that is today."""

import torch
from numba import cuda, float32, int64

NOWHERE = 2**62  # an index that loses to every other: for a thread without an element


@cuda.jit
def _beats(v, i, w, j):
    # whether v at index i wins over w at index j
    if v != v:
        return w == w or i < j
    return v > w or (v == w and i < j)


@cuda.jit
def _best_of_blocks(x, places, values, indices):
    """The best pair of each block into values, indices (blocks,). places: where each x[i] stands; empty: at i."""
    best = cuda.shared.array(256, float32)  # a pair a thread: the value
    where = cuda.shared.array(256, int64)  # and its index
    t = cuda.threadIdx.x
    value, index = float32(-float("inf")), NOWHERE
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        place = places[i] if places.size > 0 else i
        if _beats(x[i], place, value, index):
            value, index = x[i], place
    best[t] = value
    where[t] = index
    cuda.syncthreads()  # all pairs are there before the first round
    half = 128
    while half > 0:
        if t < half and _beats(best[t + half], where[t + half], best[t], where[t]):
            best[t] = best[t + half]
            where[t] = where[t + half]
        cuda.syncthreads()  # this round is complete before the next one reads
        half //= 2
    if t == 0:
        before = cuda.atomic.max(values, 0, best[0])
        if best[0] > before or best[0] != best[0]:
            cuda.atomic.exch(indices, 0, where[0])


def argmax_nan(x, out, *, BLOCKS=12):
    blocks = min(BLOCKS, (x.numel() + 255) // 256)
    value = torch.full((1,), -float("inf"), device=x.device)
    nothing = torch.empty(0, dtype=torch.int64, device=x.device)
    out.zero_()
    _best_of_blocks[blocks, 256](x, nothing, value, out)
