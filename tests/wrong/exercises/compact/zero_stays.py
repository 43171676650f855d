# expect: C1
"""Keeps zeros as well."""

from numba import cuda, int32


@cuda.jit
def _compact(x, out, count):
    row = cuda.shared.array((2, 256), int32)
    t = cuda.threadIdx.x
    done = int32(0)  # how many stay of the tiles before
    for first in range(0, x.size, 256):
        i = first + t
        stays = i < x.size and x[i] >= 0
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
        if stays:
            out[done + row[now, t] - 1] = x[i]
        done += row[now, 255]
        cuda.syncthreads()  # all have read the row before the next tile overwrites it
    if t == 0:
        cuda.atomic.add(count, 0, done)


def compact(x, out, count):
    out.zero_()  # behind the elements that stay
    count.zero_()
    _compact[1, 256](x, out, count)
