"""Compact: the place of an element is the number of those before it.

Keep the positive elements of x and move them together, in their order. Many threads write at once, and each must know where, without
asking the others one by one. It needs a number: how many elements before mine stay? That is a prefix sum, of flags:

    x        3   -1    4   -1   -5    9
    stays    1    0    1    0    0    1
    sum      1    1    2    2    2    3      including the element itself
    place    0         1              2      of those that stay: the sum, less one

A counter that all threads raise gives each a place of its own too (`cuda.atomic.add` returns what was there before). Which place,
the order of the threads decides, and that differs from run to run. The result is then right as a set and wrong as a list. A test that
sorts both sides never notices.

One block takes the tiles of x in turn; `row` holds the sums of flags of the tile, as in the scan, and `done` counts those that
stay of the tiles before.

What to do: give each element that stays its place, and carry the number on.
What to look at: whether the result is the same under every schedule.
"""

from numba import cuda, int32


@cuda.jit
def _compact(x, out, count):
    row = cuda.shared.array((2, 256), int32)
    t = cuda.threadIdx.x
    done = int32(0)  # how many stay of the tiles before
    for first in range(0, x.size, 256):
        i = first + t
        stays = i < x.size and x[i] > 0
        now = 0
        row[now, t] = 1 if stays else 0
        cuda.syncthreads()  # the flags are complete
        d = 1
        while d < 256:
            value = row[now, t]
            if t >= d:
                value += row[now, t - d]
            now = 1 - now
            row[now, t] = value
            cuda.syncthreads()  # this round is complete before the next one reads it
            d *= 2
        # hole: 3 lines. row[now, t] counts the flags up to and with this element. Where does it go, and what is carried on?
        #| if stays:
        #|     out[cuda.atomic.add(count, 0, 1)] = x[i]
        if stays:
            out[done + row[now, t] - 1] = x[i]
        done += row[now, 255]
        # end hole
        cuda.syncthreads()  # all have read the row before the next tile overwrites it
    if t == 0:
        cuda.atomic.add(count, 0, done)


def compact(x, out, count):
    out.zero_()  # behind the elements that stay
    count.zero_()
    _compact[1, 256](x, out, count)
