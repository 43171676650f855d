"""Numba: reductions, scans and histograms."""

import numpy as np
import torch
from numba import cuda, float64, int32

from tests.ptxvm.corpus.case import Case, empty, tensor

WARP = 32


@cuda.jit
def _grid_stride_axpy(a, x, y):
    start, step = cuda.grid(1), cuda.gridsize(1)
    for i in range(start, x.size, step):
        y[i] = a * x[i] + y[i]


def case_grid_stride_axpy(rng):
    n, blocks, threads = 2976, 3, 128  # whole warps: the lanes of a warp take the same number of trips
    x, y = rng.integers(-9, 9, (2, n)).astype(np.float32)

    def launch(x, y):
        _grid_stride_axpy[blocks, threads](np.float32(3), x, y)

    counters = {
        "global_load_bytes": 8 * n,  # x and y once
        "global_store_bytes": 4 * n,
        "global_load_requests": 2 * n // WARP,  # a warp covers 32 neighbours at each trip
        "unique_load_sectors": 2 * n * 4 // 32,
        "flops": 2 * n,  # one fused multiply-add
    }
    return Case(launch, {"x": tensor(x), "y": tensor(y)}, {"y": 3 * x + y}, counters=counters)


@cuda.jit
def _dot_f64(x, y, out):
    partial = cuda.shared.array(64, float64)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    partial[t] = x[i] * y[i] if i < x.size else 0.0
    cuda.syncthreads()  # all products before the first round
    half = 32
    while half > 0:
        if t < half:
            partial[t] += partial[t + half]
        cuda.syncthreads()  # this round before the next one
        half //= 2
    if t == 0:
        cuda.atomic.add(out, 0, partial[0])


def case_dot_f64(rng):
    blocks, threads = 5, 64
    n = blocks * threads
    x, y = rng.integers(-99, 99, (2, n)).astype(np.float64)

    def launch(x, y, out):
        _dot_f64[blocks, threads](x, y, out)

    counters = {
        "global_load_sectors": 2 * n * 8 // 32,
        "barriers": blocks * threads // WARP * 7,  # one, and one for each of the rounds 32, 16, 8, 4, 2, 1
        "atomics": blocks,
    }
    tensors = {"x": tensor(x), "y": tensor(y), "out": torch.zeros(1, dtype=torch.float64)}
    return Case(launch, tensors, {"out": [x @ y]}, counters=counters)


@cuda.jit
def _scan_blocks(x, out, totals):
    row = cuda.shared.array(128, int32)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    row[t] = x[i]
    cuda.syncthreads()  # the row is complete
    step = 1
    while step < 128:
        value = row[t]
        if t >= step:
            value += row[t - step]
        cuda.syncthreads()  # all have read this round
        row[t] = value
        cuda.syncthreads()  # all have written this round
        step *= 2
    out[i] = row[t]
    if t == 127:
        totals[cuda.blockIdx.x] = row[t]


@cuda.jit
def _add_totals(out, totals):
    before = int32(0)
    for block in range(cuda.blockIdx.x):
        before += totals[block]
    out[cuda.grid(1)] += before


def case_scan(rng):
    blocks, threads = 6, 128
    n = blocks * threads
    x = rng.integers(-50, 50, n).astype(np.int32)

    def launch(x, out, totals):
        _scan_blocks[blocks, threads](x, out, totals)
        _add_totals[blocks, threads](out, totals)

    rounds = 7  # log2(128)
    warps = n // WARP
    counters = {
        "barriers": warps * (1 + 2 * rounds),
        # of the first kernel: first write, then read and write a round, one more read a round by warps with t >= step
        # (all 4 warps for steps up to 16, then 3 and 2), the last read, and that of the last thread
        "shared_requests": blocks * (4 + rounds * 8 + 4 * 5 + 3 + 2 + 4 + 1),
    }
    tensors = {"x": tensor(x), "out": empty(n, torch.int32), "totals": empty(blocks, torch.int32)}
    return Case(launch, tensors, {"out": np.cumsum(x)}, counters=counters)


@cuda.jit
def _histogram_global(x, out):
    i = cuda.grid(1)
    if i < x.size:
        cuda.atomic.add(out, x[i], 1)


def case_histogram_global(rng):
    n, bins = 1000, 16
    x = rng.integers(0, bins, n).astype(np.int32)

    def launch(x, out):
        _histogram_global[4, 256](x, out)

    warps = np.array_split(x, range(WARP, n, WARP))
    counters = {
        "atomics": n,
        "atomic_contention": max(np.bincount(w).max() for w in warps),  # lanes of a warp with one value
        # lanes at one word go one after another, in each of the two sectors of 8 words
        "global_store_sectors": sum(np.bincount(w, minlength=bins).reshape(2, 8).max(axis=1).sum() for w in warps),
    }
    tensors = {"x": tensor(x), "out": torch.zeros(bins, dtype=torch.int32)}
    return Case(launch, tensors, {"out": np.bincount(x, minlength=bins)}, counters=counters)


@cuda.jit
def _histogram_shared(x, out):
    own = cuda.shared.array(64, int32)
    t = cuda.threadIdx.x
    if t < 64:
        own[t] = 0
    cuda.syncthreads()  # zeros before anybody counts
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        cuda.atomic.add(own, x[i], 1)
    cuda.syncthreads()  # everybody has counted
    if t < 64:
        cuda.atomic.add(out, t, own[t])


def case_histogram_shared(rng):
    n, blocks, threads, bins = 2048, 4, 128, 64
    x = rng.integers(0, bins, n).astype(np.int32)

    def launch(x, out):
        _histogram_shared[blocks, threads](x, out)

    counters = {"atomics": n + blocks * bins, "barriers": blocks * threads // WARP * 2}
    tensors = {"x": tensor(x), "out": torch.zeros(bins, dtype=torch.int32)}
    return Case(launch, tensors, {"out": np.bincount(x, minlength=bins)}, counters=counters)


@cuda.jit
def _segment_sums(x, offsets, out):
    segment = cuda.grid(1) // 32
    lane = cuda.laneid
    if segment < out.size:  # the same for all lanes of a warp
        mine = int32(0)
        for i in range(offsets[segment] + lane, offsets[segment + 1], 32):
            mine += x[i]
        for delta in (16, 8, 4, 2, 1):
            mine += cuda.shfl_down_sync(0xFFFFFFFF, mine, delta)
        if lane == 0:
            out[segment] = mine


def case_segment_sums(rng):
    lengths = np.array([0, 1, 31, 32, 33, 100, 7, 64, 5])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    x = rng.integers(-9, 9, lengths.sum()).astype(np.int32)
    want = np.add.reduceat(np.append(x, 0), offsets[:-1]) * (lengths > 0)

    def launch(x, offsets, out):
        _segment_sums[3, 128](x, offsets, out)

    # a warp reads its two offsets (4 bytes a lane), then its segment
    counters = {"global_load_bytes": 4 * (2 * WARP * lengths.size + x.size), "global_store_requests": lengths.size}
    tensors = {"x": tensor(x), "offsets": tensor(offsets), "out": empty(lengths.size, torch.int32)}
    return Case(launch, tensors, {"out": want}, counters=counters)


@cuda.jit
def _column_sums(x, out):
    rows, cols = x.shape
    col = cuda.grid(1)
    if col < cols:
        total = 0.0
        for row in range(rows):
            total += x[row, col]
        out[col] = total


@cuda.jit
def _row_sums_strided(x, out):
    rows, cols = x.shape
    row = cuda.grid(1)
    if row < rows:
        total = 0.0
        for col in range(cols):
            total += x[row, col]
        out[row] = total


def _sums(kernel, axis, rng, sectors):
    rows, cols = 64, 96
    x = rng.integers(-9, 9, (rows, cols)).astype(np.float64)

    def launch(x, out):
        kernel[2, 64](x, out)

    counters = {"global_load_sectors": sectors(rows, cols), "flops": rows * cols}
    want = x.sum(axis=axis)
    return Case(launch, {"x": tensor(x), "out": empty(want.size, torch.float64)}, {"out": want}, counters=counters)


def case_column_sums(rng):
    # neighbouring threads read neighbouring elements: 32 * 8 bytes are 8 sectors
    return _sums(_column_sums, 0, rng, lambda rows, cols: rows * cols // WARP * 8)


def case_row_sums_strided(rng):
    # every lane is in another row: 32 sectors a request
    return _sums(_row_sums_strided, 1, rng, lambda rows, cols: rows // WARP * cols * 32)


@cuda.jit
def _compact_positive(x, out, count):
    i = cuda.grid(1)
    lane = cuda.laneid
    keep = i < x.size and x[i] > 0
    votes = cuda.ballot_sync(0xFFFFFFFF, keep)
    place = int32(0)
    if lane == 0 and votes != 0:
        place = cuda.atomic.add(count, 0, cuda.popc(votes))
    place = cuda.shfl_sync(0xFFFFFFFF, place, 0)
    if keep:
        out[place + cuda.popc(votes & ((1 << lane) - 1))] = x[i]


def case_compact_one_warp(rng):
    n = 32
    x = rng.integers(-9, 9, n).astype(np.int32)

    def launch(x, out, count):
        _compact_positive[1, 32](x, out, count)

    kept = x[x > 0]
    want = np.concatenate([kept, np.zeros(n - kept.size, np.int32)])
    tensors = {"x": tensor(x), "out": torch.zeros(n, dtype=torch.int32), "count": torch.zeros(1, dtype=torch.int32)}
    # what is kept is read once more to be stored; the atomic is a store of 4 bytes
    counters = {"atomics": 1, "global_load_bytes": 4 * (n + kept.size), "global_store_bytes": 4 * kept.size + 4}
    return Case(launch, tensors, {"out": want, "count": [kept.size]}, counters=counters)
