"""Stage, wait, look around: a stencil in shared memory.

out[i] is a weighted sum of x[i - 3] to x[i + 3], and x counts as 0 outside. Threads side by side need nearly the same elements:
loaded by each for itself, every element is asked for seven times.

A block can fetch its stretch of x once, into shared memory, and let its threads look around there. The results at both ends of the
stretch need three elements more on each side, the *halo*:

    x       ... a b c | d e f g h i j k ....... u v w | x y z ...
                halo       256 elements of the block      halo
    tile    [0] .. [2] [3]                       [258] [259] .. [261]

tile[k] holds x[256 * block - 3 + k], so the element of thread t is tile[t + 3]. Then a barrier: a thread reads what its neighbours
have loaded, and neighbours may be in another warp. Everybody must come to it, also the threads beyond the end of x.

What to do: load the halo, and let all threads wait until the tile is complete.
What to look at: bytes asked for, beside those that must be. In Numba x[-1] is the *last* element, as in Python: what is left of
x[0] has to be a zero that you put there.
"""

import numpy as np
from numba import cuda, float32


@cuda.jit
def _weighted(tile, k):
    """The sum of tile[k - 3] to tile[k + 3] with the weights 1, 6, 15, 20, 15, 6, 1, over 64."""
    outer = (tile[k - 3] + tile[k + 3]) + np.float32(6.0) * (tile[k - 2] + tile[k + 2])
    inner = np.float32(15.0) * (tile[k - 1] + tile[k + 1]) + np.float32(20.0) * tile[k]
    return (outer + inner) * np.float32(1 / 64)


@cuda.jit
def _smooth(x, out):
    tile = cuda.shared.array(262, float32)  # tile[k] is x[256 * block - 3 + k]
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    tile[t + 3] = x[i] if i < x.size else float32(0.0)
    # --- your code (6 lines): Three elements more on each side, with zeros outside of x. Who loads them, and who waits?
    if i < x.size:
        cuda.syncthreads()
    # --- end of your code
    if i < out.size:
        out[i] = _weighted(tile, t + 3)


def stencil_shared(x, out):
    _smooth[(x.numel() + 255) // 256, 256](x, out)
