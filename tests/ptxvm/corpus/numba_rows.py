"""Numba: rows of a network, sorting, 64-bit integers, local arrays, device functions, cooperative grids."""

import math

import numpy as np
import torch
from numba import cuda, float32, int32, uint32, uint64

from tests.ptxvm.corpus.case import Case, empty, tensor

WARP = 32
FULL = 0xFFFFFFFF


@cuda.jit(device=True)
def _sum_of_warp(value):
    for delta in (16, 8, 4, 2, 1):
        value += cuda.shfl_xor_sync(FULL, value, delta)
    return value


@cuda.jit
def _layer_norm(x, weight, bias, out, eps):
    sums = cuda.shared.array(4, float32)
    row, t = cuda.blockIdx.x, cuda.threadIdx.x
    value = x[row, t]
    part = _sum_of_warp(value)
    if t % 32 == 0:
        sums[t // 32] = part
    cuda.syncthreads()  # all four sums are there
    mean = (sums[0] + sums[1] + sums[2] + sums[3]) / np.float32(128)
    cuda.syncthreads()  # all threads have read them
    part = _sum_of_warp((value - mean) ** 2)
    if t % 32 == 0:
        sums[t // 32] = part
    cuda.syncthreads()  # all four squares are there
    variance = (sums[0] + sums[1] + sums[2] + sums[3]) / np.float32(128)
    out[row, t] = (value - mean) / math.sqrt(variance + eps) * weight[t] + bias[t]


def case_layer_norm(rng):
    rows, cols = 5, 128
    x, weight, bias = (rng.standard_normal(shape).astype(np.float32) for shape in ((rows, cols), (cols,), (cols,)))

    def launch(x, weight, bias, out):
        _layer_norm[rows, cols](x, weight, bias, out, np.float32(1e-5))

    want = torch.nn.functional.layer_norm(*map(torch.from_numpy, (x,)), (cols,), tensor(weight), tensor(bias))
    warps = rows * cols // WARP
    counters = {
        "global_load_bytes": 3 * 4 * rows * cols,
        "barriers": 3 * warps,
        "shared_requests": warps * (2 + 2 * 4),  # two sums stored by a warp, two times four loaded
    }
    tensors = {
        "x": tensor(x),
        "weight": tensor(weight),
        "bias": tensor(bias),
        "out": empty((rows, cols), torch.float32),
    }
    return Case(launch, tensors, {"out": want}, rtol=1e-5, atol=1e-5, counters=counters)


@cuda.jit
def _cross_entropy(logits, labels, losses):
    row = cuda.grid(1) // 32
    lane = cuda.laneid
    if row < losses.size:
        biggest = np.float32(-math.inf)
        for col in range(lane, logits.shape[1], 32):
            biggest = max(biggest, logits[row, col])
        for delta in (16, 8, 4, 2, 1):
            biggest = max(biggest, cuda.shfl_xor_sync(FULL, biggest, delta))
        total = np.float32(0)
        for col in range(lane, logits.shape[1], 32):
            total += math.exp(logits[row, col] - biggest)
        total = _sum_of_warp(total)
        if lane == 0:
            losses[row] = math.log(total) + biggest - logits[row, labels[row]]


def case_cross_entropy(rng):
    rows, classes = 9, 100
    logits = (4 * rng.standard_normal((rows, classes))).astype(np.float32)
    labels = rng.integers(0, classes, rows)

    def launch(logits, labels, losses):
        _cross_entropy[3, 128](logits, labels, losses)

    want = torch.nn.functional.cross_entropy(tensor(logits).double(), tensor(labels), reduction="none")
    # the row twice, the label (8 bytes) and its logit
    counters = {"global_load_bytes": rows * (2 * 4 * classes + 8 + 4), "global_store_bytes": 4 * rows}
    tensors = {"logits": tensor(logits), "labels": tensor(labels), "losses": empty(rows, torch.float32)}
    return Case(launch, tensors, {"losses": want}, rtol=1e-5, atol=1e-5, counters=counters)


@cuda.jit(device=True)
def _mixed(x):
    x = uint32((x ^ (x >> uint32(16))) * uint32(0x7FEB352D))
    x = uint32((x ^ (x >> uint32(15))) * uint32(0x846CA68B))
    return uint32(x ^ (x >> uint32(16)))


@cuda.jit
def _dropout(x, out, seed, threshold):
    i = cuda.grid(1)
    if i < x.size:
        keep = _mixed(uint32(i) ^ seed) >= threshold
        out[i] = x[i] * np.float32(2) if keep else np.float32(0)


def case_dropout(rng):
    n, seed = 1000, 0x1234567
    x = rng.standard_normal(n).astype(np.float32)

    def launch(x, out):
        _dropout[8, 128](x, out, np.uint32(seed), np.uint32(1 << 31))

    h = np.arange(n, dtype=np.uint32) ^ np.uint32(seed)
    h = (h ^ (h >> 16)) * np.uint32(0x7FEB352D)
    h = (h ^ (h >> 15)) * np.uint32(0x846CA68B)
    keep = (h ^ (h >> 16)) >= 1 << 31
    assert 0.4 * n < keep.sum() < 0.6 * n
    counters = {"global_load_bytes": 4 * int(keep.sum()), "global_store_bytes": 4 * n}  # what is dropped is not read
    return Case(launch, {"x": tensor(x), "out": empty(n, torch.float32)}, {"out": x * 2 * keep}, counters=counters)


@cuda.jit
def _quantise(x, out, scales):
    row = cuda.blockIdx.x
    lane = cuda.laneid
    biggest = np.float32(0)
    for col in range(lane, x.shape[1], 32):
        biggest = max(biggest, abs(x[row, col]))
    for delta in (16, 8, 4, 2, 1):
        biggest = max(biggest, cuda.shfl_xor_sync(FULL, biggest, delta))
    scale = biggest / np.float32(127)
    for col in range(lane, x.shape[1], 32):
        out[row, col] = int32(round(x[row, col] / scale))
    if lane == 0:
        scales[row] = scale


def case_quantise_int8(rng):
    rows, cols = 4, 160
    x = rng.standard_normal((rows, cols)).astype(np.float32)

    def launch(x, out, scales):
        _quantise[rows, 32](x, out, scales)

    scales = np.abs(x).max(axis=1) / np.float32(127)
    counters = {
        "global_load_sectors": 2 * rows * cols * 4 // 32,
        "global_store_sectors": rows * cols // 32 + rows,  # 32 bytes a warp; a scale a row
        "global_store_bytes": rows * cols + 4 * rows,
    }
    tensors = {"x": tensor(x), "out": empty((rows, cols), torch.int8), "scales": empty(rows, torch.float32)}
    want = {"out": np.rint(x / scales[:, None]).astype(np.int8), "scales": scales}
    return Case(launch, tensors, want, counters=counters)


@cuda.jit
def _bitonic(x, out):
    row = cuda.shared.array(128, int32)
    t = cuda.threadIdx.x
    row[t] = x[cuda.grid(1)]
    cuda.syncthreads()  # the row is complete
    size = 2
    while size <= 128:
        step = size // 2
        while step > 0:
            other = t ^ step
            mine, theirs = row[t], row[other]
            cuda.syncthreads()  # both of a pair have read
            ascending = (t & size) == 0
            if (t < other) == ascending:
                row[t] = min(mine, theirs)
            else:
                row[t] = max(mine, theirs)
            cuda.syncthreads()  # both of a pair have written
            step //= 2
        size *= 2
    out[cuda.grid(1)] = row[t]


def case_bitonic_sort(rng):
    blocks, threads = 3, 128
    x = rng.integers(-999, 999, (blocks, threads)).astype(np.int32)

    def launch(x, out):
        _bitonic[blocks, threads](x.view(-1), out.view(-1))

    stages = 7 * 8 // 2  # log2(128) * (log2(128) + 1) / 2
    counters = {"barriers": blocks * threads // WARP * (1 + 2 * stages)}
    tensors = {"x": tensor(x), "out": empty((blocks, threads), torch.int32)}
    return Case(launch, tensors, {"out": np.sort(x, axis=1)}, counters=counters)


@cuda.jit
def _collatz(start, steps):
    i = cuda.grid(1)
    if i < start.size:
        n = start[i]
        count = int32(0)
        while n != 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            count += 1
        steps[i] = count


def case_collatz_int64(rng):
    n = 100
    start = rng.integers(1, 1 << 20, n) + (np.arange(n, dtype=np.int64) % 3 << 33)

    def steps(value):
        count = 0
        while value != 1:
            value = value // 2 if value % 2 == 0 else 3 * value + 1
            count += 1
        return count

    def launch(start, out):
        _collatz[2, 64](start, out)

    counters = {"global_load_requests": -(-n // WARP), "global_load_sectors": n * 8 // 32}
    tensors = {"start": tensor(start), "out": empty(n, torch.int32)}
    return Case(launch, tensors, {"out": [steps(int(v)) for v in start]}, counters=counters)


@cuda.jit
def _largest(x, out, keep):
    best = cuda.local.array(8, float32)
    row = cuda.grid(1)
    if row < x.shape[0]:
        for i in range(keep):
            best[i] = -math.inf
        for col in range(x.shape[1]):
            value = x[row, col]
            for i in range(keep):
                if value > best[i]:  # the value takes the place, and what stood there goes on
                    best[i], value = value, best[i]
        for i in range(keep):
            out[row, i] = best[i]


def case_top_3_in_local_array(rng):
    rows, cols = 40, 30
    x = rng.standard_normal((rows, cols)).astype(np.float32)

    def launch(x, out):
        _largest[2, 32](x, out, 3)

    counters = {"global_load_bytes": 4 * rows * cols, "global_store_bytes": 12 * rows}
    tensors = {"x": tensor(x), "out": empty((rows, 3), torch.float32)}
    return Case(launch, tensors, {"out": -np.sort(-x, axis=1)[:, :3]}, counters=counters)


@cuda.jit
def _most_common(x, out, kinds):
    counts = cuda.local.array(16, int32)
    row = cuda.grid(1)
    if row < x.shape[0]:
        for kind in range(kinds):
            counts[kind] = 0
        for col in range(x.shape[1]):
            counts[x[row, col]] += 1
        best = 0
        for kind in range(1, kinds):
            if counts[kind] > counts[best]:
                best = kind
        out[row] = best


def case_most_common_in_local_memory(rng):
    rows, cols, kinds = 40, 30, 9
    x = rng.integers(0, kinds, (rows, cols)).astype(np.int32)

    def launch(x, out):
        _most_common[2, 32](x, out, kinds)

    want = np.array([np.bincount(row, minlength=kinds).argmax() for row in x])
    counters = {"global_load_bytes": 4 * rows * cols, "global_store_bytes": 4 * rows}
    return Case(launch, {"x": tensor(x), "out": empty(rows, torch.int32)}, {"out": want}, counters=counters)


@cuda.jit(device=True)
def _horner(coefficients, x):
    value = np.float64(0)
    for c in coefficients:
        value = value * x + c
    return value


@cuda.jit
def _polynomial(x, coefficients, pair, out):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = _horner(coefficients, x[i]) * pair[0] + pair[1]


def case_polynomial_of_a_tuple(rng):
    n = 90
    x = rng.integers(-5, 5, n).astype(np.float64)
    coefficients = (2.0, -1.0, 3.0, 5.0)

    def launch(x, out):
        _polynomial[3, 32](x, coefficients, (np.int32(3), np.float32(0.5)), out)

    tensors = {"x": tensor(x), "out": empty(n, torch.float64)}
    want = np.polyval(coefficients, x) * 3 + 0.5
    return Case(launch, tensors, {"out": want}, counters={"global_load_bytes": 8 * n, "global_store_bytes": 8 * n})


@cuda.jit
def _argmax(x, best):
    i = cuda.grid(1)
    if i < x.size:
        # the greatest value wins, and of equal ones the first: both in one 64-bit word
        cuda.atomic.max(best, 0, (uint64(x[i]) << uint64(32)) | uint64(0xFFFFFFFF - i))


def case_argmax_by_packed_atomic(rng):
    n = 300
    x = rng.integers(0, 50, n).astype(np.uint32)

    def launch(x, best):
        _argmax[3, 128](x, best)

    want = np.uint64((int(x.max()) << 32) | (0xFFFFFFFF - int(x.argmax())))
    tensors = {"x": tensor(x), "best": torch.zeros(1, dtype=torch.uint64)}
    counters = {"atomics": n, "atomic_contention": WARP, "global_store_sectors": n}  # all lanes meet at one word
    return Case(launch, tensors, {"best": np.array([want])}, counters=counters)


@cuda.jit
def _bits(x, out):
    i = cuda.grid(1)
    if i < x.size:
        v = x[i]
        out[0, i] = cuda.popc(v)
        out[1, i] = cuda.clz(v)
        out[2, i] = cuda.ffs(v)
        out[3, i] = int32(cuda.brev(v) & uint64(0x7FFFFFFF))


def case_bits_of_64(rng):
    n = 64
    x = rng.integers(1, 1 << 62, n).astype(np.uint64) >> rng.integers(0, 60, n).astype(np.uint64)
    x |= np.uint64(1)

    def launch(x, out):
        _bits[2, 32](x, out)

    def row(v):
        text = f"{v:064b}"
        return [text.count("1"), text.index("1"), 1 + text[::-1].index("1"), int(text[::-1], 2) & 0x7FFFFFFF]

    tensors = {"x": tensor(x), "out": empty((4, n), torch.int32)}
    return Case(launch, tensors, {"out": np.array([row(int(v)) for v in x]).T}, counters={"global_store_bytes": 16 * n})


@cuda.jit
def _votes(x, out):
    i = cuda.grid(1)
    same = cuda.match_any_sync(FULL, x[i])
    out[0, i] = cuda.popc(same)
    out[1, i] = cuda.all_sync(FULL, x[i] >= 0)
    out[2, i] = cuda.any_sync(FULL, x[i] == 7)
    cuda.syncwarp()
    out[3, i] = cuda.shfl_up_sync(FULL, x[i], 3)


def case_match_and_votes(rng):
    n = 64
    x = rng.integers(0, 9, n).astype(np.int32)
    x[40] = -1

    def launch(x, out):
        _votes[1, n](x, out)

    rows = x.reshape(2, WARP)
    counts = (rows[:, :, None] == rows[:, None, :]).sum(axis=2)
    shifted = rows[:, np.maximum(np.arange(WARP) - 3, np.arange(WARP) * (np.arange(WARP) < 3))]
    every = np.broadcast_to((rows >= 0).all(axis=1, keepdims=True), rows.shape)
    some = np.broadcast_to((rows == 7).any(axis=1, keepdims=True), rows.shape)
    want = np.stack([a.reshape(n).astype(np.int32) for a in (counts, every, some, shifted)])
    tensors = {"x": tensor(x), "out": empty((4, n), torch.int32)}
    return Case(launch, tensors, {"out": want}, counters={"global_store_requests": 4 * n // WARP})
