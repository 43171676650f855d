"""Transpose in Numba: out[j, i] = x[i, j], x (rows, cols), out (cols, rows), float32."""

from numba import cuda, float32

TILE = 32  # a tile is TILE x TILE elements
PITCH = TILE + 1  # words from one row of the padded tile to the next (Numba wants a plain name or number here)
STEP = 8  # a block has TILE x STEP threads, so each thread moves TILE / STEP = 4 elements

# --------------------------------------------------------------------------------------------------
# Idea: one thread an element; x of the thread index runs along a row of x.
# Should help: the 32 lanes of a load read one row: 4 sectors of 32 bytes.
# Costs: the same lanes write down a column of out: 32 sectors, 4 bytes used of each.


@cuda.jit
def _one_thread_an_element(x, out):
    col, row = cuda.grid(2)  # thread x is the fast axis, so it takes the column
    if row < x.shape[0] and col < x.shape[1]:
        out[col, row] = x[row, col]


def one_thread_an_element(x, out):
    rows, cols = x.shape
    grid = ((cols + TILE - 1) // TILE, (rows + STEP - 1) // STEP)
    _one_thread_an_element[grid, (TILE, STEP)](x, out)


# --------------------------------------------------------------------------------------------------
# Idea: a block reads a tile along rows of x into shared memory, and writes it along rows of out.
# Should help: both sides touch 4 sectors a request; the turn happens in shared memory.
# Costs: reading a column of the tile hits one of the 32 banks with all 32 lanes: a conflict of 32.


@cuda.jit
def _shared_tile(x, out):
    tile = cuda.shared.array((TILE, TILE), float32)  # tile[row within the tile, column within the tile]
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y  # tx in [0, TILE), ty in [0, STEP)
    first_row, first_col = cuda.blockIdx.y * TILE, cuda.blockIdx.x * TILE
    for j in range(ty, TILE, STEP):
        if first_row + j < x.shape[0] and first_col + tx < x.shape[1]:
            tile[j, tx] = x[first_row + j, first_col + tx]
    cuda.syncthreads()  # the tile is complete before anybody reads what another thread wrote
    for j in range(ty, TILE, STEP):
        # rows of out are columns of x: the tile's corner in out is (first_col, first_row)
        if first_col + j < out.shape[0] and first_row + tx < out.shape[1]:
            out[first_col + j, first_row + tx] = tile[tx, j]


def shared_tile(x, out):
    rows, cols = x.shape
    grid = ((cols + TILE - 1) // TILE, (rows + TILE - 1) // TILE)
    _shared_tile[grid, (TILE, STEP)](x, out)


# --------------------------------------------------------------------------------------------------
# Idea: the same tile with 33 columns, of which one is never used.
# Should help: element (row, col) lies in bank (33 row + col) % 32 = (row + col) % 32: down a column
# all banks differ.
# Costs: 128 bytes of shared memory.


@cuda.jit
def _padded_tile(x, out):
    tile = cuda.shared.array((TILE, PITCH), float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    first_row, first_col = cuda.blockIdx.y * TILE, cuda.blockIdx.x * TILE
    for j in range(ty, TILE, STEP):
        if first_row + j < x.shape[0] and first_col + tx < x.shape[1]:
            tile[j, tx] = x[first_row + j, first_col + tx]
    cuda.syncthreads()  # the tile is complete before anybody reads what another thread wrote
    for j in range(ty, TILE, STEP):
        if first_col + j < out.shape[0] and first_row + tx < out.shape[1]:
            out[first_col + j, first_row + tx] = tile[tx, j]


def padded_tile(x, out):
    rows, cols = x.shape
    grid = ((cols + TILE - 1) // TILE, (rows + TILE - 1) // TILE)
    _padded_tile[grid, (TILE, STEP)](x, out)
