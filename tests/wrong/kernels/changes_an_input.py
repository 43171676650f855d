# expect: C3 softmax rows=3 cols=257
"""Numba: keeps its intermediate exponentials in the input."""

import math

import numpy as np
from numba import cuda


@cuda.jit
def _changes_an_input(x, y):
    row = cuda.grid(1)
    if row < x.shape[0]:
        largest = np.float32(-np.inf)
        for col in range(x.shape[1]):
            largest = max(largest, x[row, col])
        total = np.float32(0.0)
        for col in range(x.shape[1]):
            x[row, col] = math.exp(x[row, col] - largest)
            total += x[row, col]
        for col in range(x.shape[1]):
            y[row, col] = x[row, col] / total


def changes_an_input(x, y):
    _changes_an_input[(x.shape[0] + 31) // 32, 32](x, y)
