"""Reduce in a warp: lanes read each other's registers.

The 32 threads of a warp run the same instruction together, so they can pass values on without memory: a *shuffle* gives
each lane the register of another lane. `cuda.shfl_xor_sync(mask, value, d)` returns the `value` of the lane whose number
differs in the bit d:

    d = 2      lane  0  1  2  3  4  5  6  7
               gets  2  3  0  1  6  7  4  5

With d = 16, 8, 4, 2, 1, each time added to what a lane has, every lane ends with the sum of all 32. Five instructions, no
barrier and no shared memory, where the tree needed five rounds with a barrier each.

One promise is yours to keep: `mask` names the lanes that take part, and *all of them must come*. 0xFFFFFFFF is all 32. A
lane that stays behind a branch has no register to give, and what the others read from it is undefined. So a thread
without an element must not stay at home: it comes with a zero, which changes no sum.

What to do: let every lane of every warp come to the shuffles, with what it has to add. Then the first warp of the block
adds the sums of the eight warps in the same way.
What to look at: who calls `_sum_of_warp`, for n that is no multiple of 32; and the barriers: one is enough.
"""

from numba import cuda, float32


@cuda.jit
def _sum_of_warp(value):
    for step in range(5):
        value += cuda.shfl_xor_sync(0xFFFFFFFF, value, 16 >> step)
    return value  # the same sum in every lane


@cuda.jit
def _sum(x, out):
    partial = cuda.shared.array(8, float32)  # one sum a warp
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    # hole: 2 lines. All 32 lanes of a warp must come. What does a lane without an element bring?
    #| if i < x.size:
    #|     value = _sum_of_warp(x[i])
    value = x[i] if i < x.size else float32(0.0)
    value = _sum_of_warp(value)
    # end hole
    if t % 32 == 0:
        partial[t // 32] = value
    cuda.syncthreads()  # all eight sums are there before the first warp reads them
    # hole: 3 lines. The first warp adds eight sums. It has 32 lanes, and all must come here too.
    #| if t < 8:
    #|     value = _sum_of_warp(partial[t])
    if t < 32:
        value = partial[t] if t < 8 else float32(0.0)
        value = _sum_of_warp(value)
    # end hole
    if t == 0:
        cuda.atomic.add(out, 0, value)


def reduce_warp(x, out):
    out.zero_()  # blocks only add to it
    blocks = (x.numel() + 255) // 256
    _sum[blocks, 256](x, out)
