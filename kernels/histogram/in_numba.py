"""Histogram in Numba: x (n,) int32 in 0..255, out (256,) int32."""

from numba import cuda, int32

# --------------------------------------------------------------------------------------------------
# Idea: one thread an element; it adds one to the bin in global memory.
# Should help: it is right, and short.
# Costs: an atomic an element. Elements of one value stand in one queue, from all over the grid.


@cuda.jit
def _one_atomic_an_element(x, out):
    i = cuda.grid(1)
    if i < x.size:
        cuda.atomic.add(out, x[i], 1)


def one_atomic_an_element(x, out, *, BLOCK=256):
    out.zero_()  # the kernel only adds
    _one_atomic_an_element[(x.numel() + BLOCK - 1) // BLOCK, BLOCK](x, out)


# --------------------------------------------------------------------------------------------------
# Idea: each block has bins of its own in shared memory, counts many elements there, and adds the
# 256 sums to those of the grid at the end.
# Should help: 256 atomics in global memory a block, however many elements it counts; queues are
# those of one block.
# Costs: clearing and merging, which a block with few elements pays for nothing.


@cuda.jit
def _bins_of_the_block(x, out):
    bins = cuda.shared.array(256, int32)  # one a thread
    t = cuda.threadIdx.x
    bins[t] = 0
    cuda.syncthreads()  # all bins are empty before anybody counts
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        cuda.atomic.add(bins, x[i], 1)
    cuda.syncthreads()  # all have counted
    cuda.atomic.add(out, t, bins[t])


def bins_of_the_block(x, out, *, BLOCKS=512):
    out.zero_()
    _bins_of_the_block[min(BLOCKS, (x.numel() + 4095) // 4096), 256](x, out)
