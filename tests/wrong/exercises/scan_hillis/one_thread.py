# expect: M2
"""One thread adds all of x up, element after element."""

import numpy as np
from numba import cuda


@cuda.jit
def _scan(x, out):
    carry = np.float32(0.0)
    if cuda.threadIdx.x == 0:
        for i in range(x.size):
            out[i] = carry
            carry += x[i]


def scan_hillis(x, out):
    _scan[1, 256](x, out)
