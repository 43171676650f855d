"""Matrix multiplication in Numba: c = a @ b, a (m, k), b (k, n), c (m, n), float32."""

import numpy as np
from numba import cuda, float32

ZERO = np.float32(0.0)

# --------------------------------------------------------------------------------------------------
# Idea: one thread an element of c, its x along a row: the lanes of a warp share a[row, p] and read
# neighbours of b.
# Should help: every load is a broadcast or coalesced.
# Costs: 2 loads for 1 multiply-add; each element of a is fetched n / 16 times and each of b m / 16
# times (blocks of 16 x 16).


@cuda.jit
def _one_thread_an_element(a, b, c):
    col, row = cuda.grid(2)
    if row < c.shape[0] and col < c.shape[1]:
        acc = ZERO
        for p in range(a.shape[1]):
            acc += a[row, p] * b[p, col]
        c[row, col] = acc


def one_thread_an_element(a, b, c):
    m, n = c.shape
    _one_thread_an_element[((n + 15) // 16, (m + 15) // 16), (16, 16)](a, b, c)


# --------------------------------------------------------------------------------------------------
# Idea: a block of 16 x 16 threads fetches a tile of a and a tile of b, one element a thread each,
# and all share them.
# Should help: one load a thread brings 16 multiply-adds, so memory is read 16 times less often than
# there are operands.
# Costs: two barriers a tile; still two shared-memory loads for each multiply-add.

TILE = 16


@cuda.jit
def _shared_tile(a, b, c):
    tile_a = cuda.shared.array((TILE, TILE), float32)  # tile_a[row within c's tile, p within this round]
    tile_b = cuda.shared.array((TILE, TILE), float32)  # tile_b[p within this round, column within c's tile]
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    col, row = cuda.grid(2)
    m, n = c.shape
    k = a.shape[1]
    acc = ZERO
    for first in range(0, k, TILE):
        # zeros past the edges: they add nothing. No thread may leave: all must reach the barriers
        tile_a[ty, tx] = a[row, first + tx] if row < m and first + tx < k else ZERO
        tile_b[ty, tx] = b[first + ty, col] if first + ty < k and col < n else ZERO
        cuda.syncthreads()  # both tiles are complete before anybody multiplies
        for p in range(TILE):
            acc += tile_a[ty, p] * tile_b[p, tx]
        cuda.syncthreads()  # everybody is done with the tiles before they are overwritten
    if row < m and col < n:
        c[row, col] = acc


def shared_tile(a, b, c):
    m, n = c.shape
    _shared_tile[((n + TILE - 1) // TILE, (m + TILE - 1) // TILE), (TILE, TILE)](a, b, c)


# --------------------------------------------------------------------------------------------------
# Idea: a thread computes 4 x 4 elements of c: 4 values of a and 4 of b, held in registers, give 16
# multiply-adds.
# Should help: half a shared-memory load for each multiply-add instead of two; a 64 x 64 tile of c
# reads memory 4 times less often than a 16 x 16 tile.
# Costs: 16 accumulators a thread, fewer blocks; small matrices do not fill the card.

BLOCK_MN = 64  # the block's tile of c is 64 x 64
BLOCK_K = 16
# words from one p to the next in tile_a; at 64, the 16 lanes that write one row of a would share a bank
PITCH = BLOCK_MN + 4


@cuda.jit
def _register_tile(a, b, c):
    tile_a = cuda.shared.array(
        (BLOCK_K, PITCH), float32
    )  # tile_a[p, row]: turned, so that a thread's 4 rows are neighbours
    tile_b = cuda.shared.array((BLOCK_K, BLOCK_MN), float32)  # tile_b[p, column]
    acc = cuda.local.array((4, 4), float32)  # registers, because every index below is known at compile time
    row_of_a = cuda.local.array(4, float32)
    m, n = c.shape
    k = a.shape[1]
    t = cuda.threadIdx.x  # in [0, 256)
    tx, ty = (
        t % 16,
        t // 16,
    )  # this thread owns rows ty * 4 + i and columns tx + 16 * j of the tile, i and j in [0, 4)
    first_row, first_col = cuda.blockIdx.y * BLOCK_MN, cuda.blockIdx.x * BLOCK_MN
    for i in range(4):
        for j in range(4):
            acc[i, j] = ZERO
    for first in range(0, k, BLOCK_K):
        for i in range(4):
            # 256 threads fetch 16 x 64 elements of each matrix in four rounds; neighbours in t are
            # neighbours in memory
            p, row = t % BLOCK_K, t // BLOCK_K + 16 * i
            inside = first_row + row < m and first + p < k
            tile_a[p, row] = a[first_row + row, first + p] if inside else ZERO
            p, col = t // BLOCK_MN + 4 * i, t % BLOCK_MN
            inside = first + p < k and first_col + col < n
            tile_b[p, col] = b[first + p, first_col + col] if inside else ZERO
        cuda.syncthreads()  # both tiles are complete before anybody multiplies
        for p in range(BLOCK_K):
            for i in range(4):
                row_of_a[i] = tile_a[p, ty * 4 + i]
            for j in range(4):
                value = tile_b[p, tx + 16 * j]
                for i in range(4):
                    acc[i, j] += row_of_a[i] * value
        cuda.syncthreads()  # everybody is done with the tiles before they are overwritten
    for i in range(4):
        for j in range(4):
            row, col = first_row + ty * 4 + i, first_col + tx + 16 * j
            if row < m and col < n:
                c[row, col] = acc[i, j]


def register_tile(a, b, c):
    m, n = c.shape
    grid = ((n + BLOCK_MN - 1) // BLOCK_MN, (m + BLOCK_MN - 1) // BLOCK_MN)
    _register_tile[grid, 256](a, b, c)
