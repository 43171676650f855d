"""Seven-point smoothing in Numba: x, out (n,) float32, x is 0 outside."""

import numpy as np
from numba import cuda, float32

# --------------------------------------------------------------------------------------------------
# Idea: one thread an element of out; it loads the seven elements of x that it needs.
# Should help: it is the formula, and lanes side by side load elements side by side.
# Costs: each element is asked for seven times. The L1 cache answers six of them, and each is a
# request all the same.


@cuda.jit
def _at(x, i):
    return x[i] if 0 <= i < x.size else np.float32(0.0)


@cuda.jit
def _weighted(a, b, c, d, e, f, g):
    # float32 constants: a Python number would turn the sum into doubles
    outer = (a + g) + np.float32(6.0) * (b + f)
    return (outer + np.float32(15.0) * (c + e) + np.float32(20.0) * d) * np.float32(1 / 64)


@cuda.jit
def _seven_loads(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = _weighted(
            _at(x, i - 3), _at(x, i - 2), _at(x, i - 1), x[i], _at(x, i + 1), _at(x, i + 2), _at(x, i + 3)
        )


def seven_loads(x, out, *, BLOCK=256):
    _seven_loads[(x.numel() + BLOCK - 1) // BLOCK, BLOCK](x, out)


# --------------------------------------------------------------------------------------------------
# Idea: the block loads its 256 elements and a halo of three on both sides into shared memory; the
# seven reads of a thread go there.
# Should help: 262 elements are loaded for 256 results, instead of 1792.
# Costs: a barrier, and six threads with a second load.


@cuda.jit
def _shared_tile(x, out):
    tile = cuda.shared.array(262, float32)  # tile[k] is x[256 * block - 3 + k]
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    tile[t + 3] = _at(x, i)
    if t < 3:  # the halo: three to the left and three to the right
        tile[t] = _at(x, i - 3)
        tile[t + 259] = _at(x, i + 256)
    cuda.syncthreads()  # the tile is complete before anybody reads a neighbour's element
    if i < out.size:
        out[i] = _weighted(tile[t], tile[t + 1], tile[t + 2], tile[t + 3], tile[t + 4], tile[t + 5], tile[t + 6])


def shared_tile(x, out):
    _shared_tile[(x.numel() + 255) // 256, 256](x, out)
