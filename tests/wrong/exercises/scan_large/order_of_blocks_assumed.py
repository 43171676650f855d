# expect: R2
"""In one launch: each block writes where the next one begins, as if blocks ran one after the other."""

import numpy as np
import torch
from numba import cuda, float32


@cuda.jit
def _scan_of_tile(row, value):
    """The sum of `value` over the threads before this one. The last place of the row that is returned holds the sum of all."""
    t = cuda.threadIdx.x
    now = 0
    row[now, t] = value
    cuda.syncthreads()  # the tile is complete
    d = 1
    while d < 256:
        value = row[now, t]
        if t >= d:
            value += row[now, t - d]
        now = 1 - now
        row[now, t] = value
        cuda.syncthreads()  # this round is complete before the next one reads it
        d *= 2
    return row[now, t - 1] if t > 0 else np.float32(0.0)


@cuda.jit
def _totals(x, totals):
    row = cuda.shared.array((2, 256), float32)
    i = cuda.grid(1)
    _scan_of_tile(row, x[i] if i < x.size else np.float32(0.0))
    if cuda.threadIdx.x == 0:
        totals[cuda.blockIdx.x] = row[0, 255]


@cuda.jit
def _walk(x, out):
    row = cuda.shared.array((2, 256), float32)
    carry = np.float32(0.0)
    for first in range(0, x.size, 256):
        i = first + cuda.threadIdx.x
        here = _scan_of_tile(row, x[i] if i < x.size else np.float32(0.0))
        if i < x.size:
            out[i] = carry + here
        carry += row[0, 255]
        cuda.syncthreads()  # all have read the total before the next tile overwrites it


@cuda.jit
def _scan_from(x, before, out):
    row = cuda.shared.array((2, 256), float32)
    i = cuda.grid(1)
    here = _scan_of_tile(row, x[i] if i < x.size else np.float32(0.0))
    b = cuda.blockIdx.x
    came = before[b - 1] if b > 0 else np.float32(0.0)
    if i < x.size:
        out[i] = came + here
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        before[b] = came + row[0, 255]


def scan_large(x, out):
    blocks = (x.numel() + 255) // 256
    totals, before = torch.empty(2, blocks, device=x.device)
    _scan_from[blocks, 256](x, before, out)
