# expect: R1 line=39
"""Who holds the largest value writes its index: two may, and then the later one stays."""

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
        if t < half and best[t + half] > best[t]:
            best[t] = best[t + half]
        cuda.syncthreads()
        half //= 2
    if value == best[0]:
        where[0] = index
    cuda.syncthreads()
    if t == 0:
        values[cuda.blockIdx.x] = best[0]
        indices[cuda.blockIdx.x] = where[0]


def argmax_nan(x, out, *, BLOCKS=12):
    blocks = min(BLOCKS, (x.numel() + 255) // 256)
    values = torch.empty(blocks, device=x.device)
    indices = torch.empty(blocks, dtype=torch.int64, device=x.device)
    nothing = torch.empty(0, dtype=torch.int64, device=x.device)
    _best_of_blocks[blocks, 256](x, nothing, values, indices)
    # begins when all blocks have written their pairs, and compares those: index[k] is where values[k] stood in x
    _best_of_blocks[1, 256](values, indices, torch.empty_like(values[:1]), out)
