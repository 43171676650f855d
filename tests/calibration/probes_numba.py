"""Probes in Numba: one memory access of known pattern a kernel, one block of 64 threads.

index (64,): the element that each thread touches, as in patterns.py.
"""

import numpy as np
from numba import cuda, float32, float64, int32

ELEMENTS = 2112


@cuda.jit
def shared_load_4(index, out):
    tile = cuda.shared.array(2112, float32)
    t = cuda.threadIdx.x
    for i in range(t, 2112, 64):
        tile[i] = i % 977
    cuda.syncthreads()  # the tile is complete before any thread reads another's words
    i = index[t]
    value = np.float32(0)
    if i >= 0:
        value = tile[i]
    out[t] = value


@cuda.jit
def shared_load_8(index, out):
    tile = cuda.shared.array(2112, float64)
    t = cuda.threadIdx.x
    for i in range(t, 2112, 64):
        tile[i] = i % 977
    cuda.syncthreads()  # the tile is complete before any thread reads another's words
    i = index[t]
    value = 0.0
    if i >= 0:
        value = tile[i]
    out[t] = value


@cuda.jit
def shared_store_8(index, out):
    tile = cuda.shared.array(2112, float64)
    t = cuda.threadIdx.x
    for i in range(t, 2112, 64):
        tile[i] = 0
    cuda.syncthreads()  # zeros first
    i = index[t]
    if i >= 0:
        tile[i] = t
    cuda.syncthreads()  # all stores are done before the tile is copied out
    for j in range(t, 2112, 64):
        out[j] = tile[j]


@cuda.jit
def global_load_1(index, x, out):
    t = cuda.threadIdx.x
    i = index[t]
    value = int32(0)
    if i >= 0:
        value = int32(x[i])
    out[t] = value


@cuda.jit
def global_load_4(index, x, out):
    t = cuda.threadIdx.x
    i = index[t]
    value = np.float32(0)
    if i >= 0:
        value = x[i]
    out[t] = value


@cuda.jit
def global_load_8(index, x, out):
    t = cuda.threadIdx.x
    i = index[t]
    value = 0.0
    if i >= 0:
        value = x[i]
    out[t] = value


@cuda.jit
def global_store_8(index, out):
    t = cuda.threadIdx.x
    i = index[t]
    if i >= 0:
        out[i] = t + 1


@cuda.jit
def atomic_add_float(index, out):
    t = cuda.threadIdx.x
    i = index[t]
    if i >= 0:
        cuda.atomic.add(out, i, np.float32(1))


@cuda.jit
def barriers(out, rounds):
    ring = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    ring[t] = t
    cuda.syncthreads()  # the ring is complete
    for _ in range(rounds):
        value = ring[(t + 1) % 64]
        cuda.syncthreads()  # everybody has read before anybody writes
        ring[t] = value
        cuda.syncthreads()  # everybody has written before the next round reads
    out[t] = ring[t]


def launch(name, *args):
    """Tensors and Python integers, in the kernel's order."""
    globals()[name][1, 64](*args)
