"""Numba: small wrong kernels. What must be said of each stands in `bugs_numba.txt`."""

import torch
from numba import cuda, float32

from tests.ptxvm.corpus.bug import Bug
from tests.ptxvm.corpus.case import empty

HALF, FULL = 0xFFFF, 0xFFFFFFFF


@cuda.jit
def _double(x, out):
    i = cuda.grid(1)
    out[i] = 2 * x[i]


def bug_out_of_bounds():
    return Bug(lambda x, out: _double[4, 256](x, out), {"x": torch.ones(1000), "out": empty(1000, torch.float32)})


@cuda.jit
def _shifted(x, out, by):
    i = cuda.grid(1)
    out[i] = x[i + by]


def bug_out_of_bounds_in_a_neighbour():
    tensors = {"x": torch.ones(1024), "out": torch.zeros(1024)}
    return Bug(lambda x, out: _shifted[1, 32](x, out, 1280), tensors)


def bug_out_of_bounds_of_an_empty_tensor():
    return Bug(lambda x, out: _double[1, 32](x, out), {"x": torch.ones(0), "out": torch.zeros(32)})


@cuda.jit
def _past_shared(x, out):
    ring = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    ring[t + 1] = x[t]
    cuda.syncthreads()
    out[t] = ring[t + 1]


def bug_out_of_bounds_of_shared():
    return Bug(lambda x, out: _past_shared[1, 64](x, out), {"x": torch.ones(64), "out": empty(64, torch.float32)})


@cuda.jit
def _one_word(x, out):
    t = cuda.threadIdx.x
    out[t // 8] = x[t]


def bug_race_of_one_instruction():
    return Bug(lambda x, out: _one_word[1, 64](x, out), {"x": torch.arange(64.0), "out": empty(64, torch.float32)})


@cuda.jit
def _mirror(x, out):
    row = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    row[t] = x[t]
    out[t] = row[63 - t]


def bug_race_between_warps():
    return Bug(lambda x, out: _mirror[1, 64](x, out), {"x": torch.arange(64.0), "out": empty(64, torch.float32)})


@cuda.jit
def _mirror_warp(x, out):
    line = cuda.shared.array(32, float32)
    t = cuda.threadIdx.x
    line[t] = x[t]
    out[t] = line[31 - t]


def bug_race_within_a_warp():
    return Bug(lambda x, out: _mirror_warp[1, 32](x, out), {"x": torch.arange(32.0), "out": empty(32, torch.float32)})


@cuda.jit
def _sum(x, out):
    out[0] += x[cuda.blockIdx.x]


def bug_race_between_blocks():
    return Bug(lambda x, out: _sum[4, 1](x, out), {"x": torch.ones(4), "out": torch.zeros(1)})


@cuda.jit
def _last_block(x, out, count):
    b = cuda.blockIdx.x
    out[1 + b] = 2 * x[b]
    cuda.threadfence()
    if cuda.atomic.add(count, 0, 1) == cuda.gridDim.x - 1:
        total = 0.0
        for i in range(cuda.gridDim.x):
            total += out[1 + i]
        out[0] = total


def bug_ordered_by_atomics():
    tensors = {"x": torch.ones(4), "out": torch.zeros(5), "count": torch.zeros(1, dtype=torch.int32)}
    return Bug(lambda x, out, count: _last_block[4, 1](x, out, count), tensors)


@cuda.jit
def _unwritten(out):
    row = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    if t > 0:
        row[t] = t
    cuda.syncthreads()
    out[t] = row[t]


def bug_uninitialised_shared():
    return Bug(lambda out: _unwritten[2, 64](out), {"out": empty(64, torch.float32)})


def bug_uninitialised_global():
    tensors = {"x": torch.ones(64), "out": empty(64, torch.float32)}
    return Bug(lambda x, out: _double[1, 64](x, out), tensors, unwritten="x")


@cuda.jit
def _early(x, out):
    i = cuda.grid(1)
    if i >= x.size:
        return
    cuda.syncthreads()  # not of all threads
    out[i] = x[i]


def bug_barrier_after_early_return():
    return Bug(lambda x, out: _early[4, 64](x, out), {"x": torch.ones(200), "out": empty(200, torch.float32)})


@cuda.jit
def _two(x, out):
    t = cuda.threadIdx.x
    if t < 32:
        cuda.syncthreads()  # of the first warp
        out[t] = 2 * x[t]
    else:
        cuda.syncthreads()  # of the second warp
        out[t] = 3 * x[t]


def bug_two_barriers():
    return Bug(lambda x, out: _two[1, 64](x, out), {"x": torch.ones(64), "out": empty(64, torch.float32)})


@cuda.jit
def _spin(flag, out):
    while cuda.atomic.add(flag, 0, 0) == 0:
        pass
    out[cuda.threadIdx.x] = 1


def bug_endless_loop():
    tensors = {"flag": torch.zeros(1, dtype=torch.int32), "out": empty(32, torch.float32)}
    return Bug(lambda flag, out: _spin[1, 32](flag, out), tensors)


@cuda.jit
def _signal(ready, out):
    t = cuda.threadIdx.x
    while t == 0 and cuda.atomic.add(ready, 0, 0) == 0:
        pass
    cuda.syncthreads()  # the signal is given behind it
    if t == 32:
        ready[0] = 1
    out[t] = 1


def bug_endless_loop_while_others_wait():
    tensors = {"ready": torch.zeros(1, dtype=torch.int32), "out": empty(64, torch.float32)}
    lines = ("cuda.syncthreads()  # the signal is given behind it",)
    return Bug(lambda ready, out: _signal[1, 64](ready, out), tensors, lines)


@cuda.jit
def _broadcast(x, out):
    t = cuda.threadIdx.x
    v = x[t]
    if t < 16:
        out[t] = cuda.shfl_sync(HALF, v, 20)


def bug_inactive_lane():
    return Bug(lambda x, out: _broadcast[1, 32](x, out), {"x": torch.ones(32), "out": empty(32, torch.float32)})


@cuda.jit
def _masked(x, out):
    t = cuda.threadIdx.x
    v = x[t]
    if t < 20:
        out[t] = cuda.shfl_down_sync(HALF, v, 1)


def bug_mask_mismatch():
    return Bug(lambda x, out: _masked[1, 32](x, out), {"x": torch.ones(32), "out": empty(32, torch.float32)})


@cuda.jit
def _scale(x, a):
    x[cuda.grid(1)] *= a


def bug_computes_in_double():
    return Bug(lambda x: _scale[1, 32](x, 0.5), {"x": torch.ones(32)})
