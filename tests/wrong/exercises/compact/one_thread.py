# expect: M2
"""One thread walks over all of x."""

from numba import cuda, int32


@cuda.jit
def _compact(x, out, count):
    if cuda.threadIdx.x == 0:
        done = int32(0)
        for i in range(x.size):
            if x[i] > 0:
                out[done] = x[i]
                done += 1
        count[0] = done


def compact(x, out, count):
    out.zero_()  # behind the elements that stay
    count.zero_()
    _compact[1, 256](x, out, count)
