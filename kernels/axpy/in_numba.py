"""axpy in Numba: out[i] = a * x[i] + y[i], x, y, out (n,) float32."""

import numpy as np
from numba import cuda

# --------------------------------------------------------------------------------------------------
# Idea: divide the array into as many stretches as there are threads, as one would divide it among
# CPU cores.
# Should help: nothing. On a CPU each core walks through its own cache lines; here 32 lanes do so in
# lockstep.
# Costs: in each round the lanes of a warp stand `chunk` elements apart, so one load touches 32
# sectors and uses 4 bytes of each.


@cuda.jit
def _a_chunk_a_thread(a, x, y, out, chunk):
    first = cuda.grid(1) * chunk  # thread t owns [t * chunk, (t + 1) * chunk)
    last = min(first + chunk, out.size)  # the last threads own less, or nothing
    for i in range(first, last):
        out[i] = a * x[i] + y[i]


def a_chunk_a_thread(a, x, y, out, *, BLOCK=128, CHUNK=32):
    threads = (out.numel() + CHUNK - 1) // CHUNK
    blocks = (threads + BLOCK - 1) // BLOCK
    # np.float32: a Python float is float64 to Numba, and would drag the whole expression into
    # double
    _a_chunk_a_thread[blocks, BLOCK](np.float32(a), x, y, out, CHUNK)


# --------------------------------------------------------------------------------------------------
# Idea: lane t of a warp takes element t, and every thread steps by the number of threads in the
# grid.
# Should help: the 32 lanes of a load stand side by side: 4 sectors a request, each used in full.
# Costs: nothing; it is the same loop with another start and another step.


@cuda.jit
def _grid_stride(a, x, y, out):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[i] = a * x[i] + y[i]


def grid_stride(a, x, y, out, *, BLOCK=128, BLOCKS=1024):
    blocks = min(BLOCKS, (out.numel() + BLOCK - 1) // BLOCK)  # no more blocks than there is work for
    _grid_stride[blocks, BLOCK](np.float32(a), x, y, out)
