"""fp8 multiplication in Numba: c[i, j] = sum_p a[i, p] * b[j, p], a (m, k), b (n, k) e4m3 as bytes,
c (m, n) float32.
"""

import numpy as np
import torch
from numba import cuda, float32

ZERO = np.float32(0.0)
NAN = np.float32(np.nan)
UNIT = np.float32(2.0**-10)

# --------------------------------------------------------------------------------------------------
# Idea: Numba does not know torch's fp8, so the tensors come as bytes and a thread decodes each code
# by shifts.
# Should help: it runs on every card; the decoded number is exact.
# Costs: some ten integer instructions for each operand, and each is decoded m or n times.


@cuda.jit
def _decode(code):
    code = np.int32(code)  # 8 bits would be too few for the shifts below
    exponent, mantissa = (code >> 3) & 15, code & 7
    if code & 127 == 127:
        return NAN
    # (8 + mantissa) * 2^(exponent - 10); a subnormal one is mantissa * 2^(1 - 10). At most 15 <<
    # 15, exact in float32
    size = (mantissa + 8) << exponent if exponent > 0 else mantissa << 1
    return float32(-size if code & 128 else size) * UNIT


@cuda.jit
def _one_thread_an_element(a, b, c):
    col, row = cuda.grid(2)
    if row < c.shape[0] and col < c.shape[1]:
        acc = ZERO
        for p in range(a.shape[1]):
            acc += _decode(a[row, p]) * _decode(b[col, p])
        c[row, col] = acc


def one_thread_an_element(a, b, c):
    m, n = c.shape
    _one_thread_an_element[((n + 15) // 16, (m + 15) // 16), (16, 16)](a.view(torch.uint8), b.view(torch.uint8), c)


# --------------------------------------------------------------------------------------------------
# Idea: a block of 16 x 16 threads decodes a tile of each factor once, and all multiply from shared
# memory.
# Should help: a 16th of the fetches and of the decoding.
# Costs: shared memory holds float32, four times the bytes of the codes; two barriers a tile.

TILE = 16
PITCH = TILE + 1  # one word of padding: tile_b is read down its columns


@cuda.jit
def _shared_tile(a, b, c):
    tile_a = cuda.shared.array((TILE, TILE), float32)  # tile_a[row within c's tile, p within this round]
    tile_b = cuda.shared.array((TILE, PITCH), float32)  # tile_b[column within c's tile, p within this round]
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    col, row = cuda.grid(2)
    row_of_b = cuda.blockIdx.x * TILE + ty  # the row of b that this thread fetches from
    k = a.shape[1]
    acc = ZERO
    for first in range(0, k, TILE):
        p = first + tx  # neighbouring lanes fetch neighbouring codes of both factors
        tile_a[ty, tx] = _decode(a[row, p]) if row < c.shape[0] and p < k else ZERO
        tile_b[ty, tx] = _decode(b[row_of_b, p]) if row_of_b < c.shape[1] and p < k else ZERO
        cuda.syncthreads()  # both tiles are complete before anybody multiplies
        for p in range(TILE):
            acc += tile_a[ty, p] * tile_b[tx, p]
        cuda.syncthreads()  # everybody is done with the tiles before they are overwritten
    if row < c.shape[0] and col < c.shape[1]:
        c[row, col] = acc


def shared_tile(a, b, c):
    m, n = c.shape
    grid = ((n + TILE - 1) // TILE, (m + TILE - 1) // TILE)
    _shared_tile[grid, (TILE, TILE)](a.view(torch.uint8), b.view(torch.uint8), c)
