"""Vector addition in Numba: out[i] = x[i] + y[i], all (n,) float32."""

from numba import cuda

# --------------------------------------------------------------------------------------------------
# Idea: one thread an element, and enough blocks to cover them all.
# Should help: neighbours in a warp read neighbours in memory, so 32 lanes need only 4 sectors of 32
# bytes a load.
# Costs: every thread lives for one addition; most of its instructions compute the index.


@cuda.jit
def _one_thread_an_element(x, y, out):
    i = cuda.grid(1)  # in [0, blocks * BLOCK), which may pass n
    if i < out.size:  # the last block has threads left over when n is no multiple of BLOCK
        out[i] = x[i] + y[i]


def one_thread_an_element(x, y, out, *, BLOCK=256):
    blocks = (out.numel() + BLOCK - 1) // BLOCK  # rounded up: a part of a block is a block
    _one_thread_an_element[blocks, BLOCK](x, y, out)


# --------------------------------------------------------------------------------------------------
# Idea: a grid of fixed size; each thread starts at its own index and steps by the number of threads
# in the grid.
# Should help: the index is computed once for many elements, and any grid gives the right answer.
# Costs: a loop with its compare and branch; too few blocks leave multiprocessors idle.


@cuda.jit
def _grid_stride(x, y, out):
    start = cuda.grid(1)
    stride = cuda.gridsize(1)  # threads in the whole grid, so that a warp's lanes stay neighbours in each round
    for i in range(start, out.size, stride):
        out[i] = x[i] + y[i]


def grid_stride(x, y, out, *, BLOCK=256, BLOCKS=1024):
    blocks = min(BLOCKS, (out.numel() + BLOCK - 1) // BLOCK)  # no more blocks than there is work for
    _grid_stride[blocks, BLOCK](x, y, out)


# --------------------------------------------------------------------------------------------------
# Idea: mark each load and store as streaming (.cs): the line is the first to be evicted from the
# cache.
# Should help: data that is touched once does not push out data that somebody else needs again.
# Costs: nothing in this kernel, and it gains nothing either where nobody else uses the cache.


@cuda.jit
def _streaming_hints(x, y, out):
    start = cuda.grid(1)
    stride = cuda.gridsize(1)
    for i in range(start, out.size, stride):
        # the helpers index like x[i], but compile to ld.global.cs and st.global.cs
        cuda.stcs(out, i, cuda.ldcs(x, i) + cuda.ldcs(y, i))


def streaming_hints(x, y, out, *, BLOCK=256, BLOCKS=1024):
    blocks = min(BLOCKS, (out.numel() + BLOCK - 1) // BLOCK)
    _streaming_hints[blocks, BLOCK](x, y, out)
