# expect: M5 transpose rows=128 cols=64
"""Numba: the loop that fills the tile covers half of its rows; the other half is read as shared
memory left it.
"""

from numba import cuda, float32


@cuda.jit
def _tile_half_filled(x, out):
    tile = cuda.shared.array((32, 33), float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    first_row, first_col = cuda.blockIdx.y * 32, cuda.blockIdx.x * 32
    for j in range(ty, 16, 8):
        if first_row + j < x.shape[0] and first_col + tx < x.shape[1]:
            tile[j, tx] = x[first_row + j, first_col + tx]
    cuda.syncthreads()
    for j in range(ty, 32, 8):
        if first_col + j < out.shape[0] and first_row + tx < out.shape[1]:
            out[first_col + j, first_row + tx] = tile[tx, j]


def tile_half_filled(x, out):
    rows, cols = x.shape
    _tile_half_filled[((cols + 31) // 32, (rows + 31) // 32), (32, 8)](x, out)
