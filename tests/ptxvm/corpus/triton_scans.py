"""Triton: scans, sorts, histograms, reductions with results of their own, atomics, 64 bits, inline PTX."""

import numpy as np
import torch
import triton
import triton.language as tl

from tests.ptxvm.corpus.case import Case, empty, tensor

WARP = 32


@triton.jit
def _running(x_ptr, sums_ptr, greatest_ptr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + i)
    tl.store(sums_ptr + i, tl.cumsum(x, axis=0))
    tl.store(greatest_ptr + i, tl.associative_scan(x, 0, _greater))


@triton.jit
def _greater(a, b):
    return tl.maximum(a, b)


def case_scans_of_blocks(rng):
    rows, block = 3, 256
    x = rng.integers(-99, 99, (rows, block)).astype(np.int32)

    def launch(x, sums, greatest):
        _running[(rows,)](x, sums, greatest, BLOCK=block, num_warps=4)

    counters = {"global_load_sectors": rows * block * 4 // 32, "global_store_sectors": 2 * rows * block * 4 // 32}
    tensors = {"x": tensor(x), "sums": empty(x.shape, torch.int32), "greatest": empty(x.shape, torch.int32)}
    want = {"sums": np.cumsum(x, axis=1), "greatest": np.maximum.accumulate(x, axis=1)}
    return Case(launch, tensors, want, counters=counters)


@triton.jit
def _compose(a1, b1, a2, b2):
    return a1 * a2, b1 * a2 + b2


@triton.jit
def _recurrence(a_ptr, b_ptr, out_ptr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    _, y = tl.associative_scan((tl.load(a_ptr + i), tl.load(b_ptr + i)), 0, _compose)
    tl.store(out_ptr + i, y)


def case_linear_recurrence(rng):
    n = 64
    a, b = rng.integers(-1, 2, n).astype(np.int32), rng.integers(-9, 9, n).astype(np.int32)

    def launch(a, b, out):
        _recurrence[(1,)](a, b, out, BLOCK=n, num_warps=2)

    want, y = [], 0
    for scale, shift in zip(a, b, strict=True):
        y = int(scale) * y + int(shift)
        want.append(y)
    tensors = {"a": tensor(a), "b": tensor(b), "out": empty(n, torch.int32)}
    return Case(launch, tensors, {"out": want}, counters={"global_load_bytes": 8 * n, "global_store_bytes": 4 * n})


@triton.jit
def _lookback(x_ptr, out_ptr, state_ptr, ticket_ptr, BLOCK: tl.constexpr):
    """Blocks are numbered as they start. State: 0 nothing, 1 own sum, 2 sum up to here; upper half: the value."""
    block = tl.atomic_add(ticket_ptr, 1)
    i = block * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + i)
    own = tl.sum(x).to(tl.int64)
    before = tl.zeros([], tl.int64)
    if block > 0:
        tl.atomic_xchg(state_ptr + block, own * 4 + 1)
        b = block - 1
        while b >= 0:
            state = tl.atomic_add(state_ptr + b, 0)
            if state % 4 != 0:
                before += state // 4
                b = b - 1 if state % 4 == 1 else -1
    tl.atomic_xchg(state_ptr + block, (before + own) * 4 + 2)
    tl.store(out_ptr + i, before.to(tl.int32) + tl.cumsum(x, axis=0))


def case_decoupled_lookback(rng):
    blocks, block = 6, 128
    x = rng.integers(0, 99, blocks * block).astype(np.int32)

    def launch(x, out, state, ticket):
        _lookback[(blocks,)](x, out, state, ticket, BLOCK=block, num_warps=2)

    tensors = {
        "x": tensor(x),
        "out": empty(x.size, torch.int32),
        "state": torch.zeros(blocks, dtype=torch.int64),
        "ticket": torch.zeros(1, dtype=torch.int32),
    }
    unordered = "how far a block looks back depends on how far the others are"
    counters = {"global_load_bytes": 4 * x.size, "unique_load_sectors": x.size * 4 // 32}
    return Case(launch, tensors, {"out": np.cumsum(x)}, counters=counters, unordered=unordered)


@triton.jit
def _histogram(x_ptr, out_ptr, n, BINS: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    counts = tl.histogram(tl.load(x_ptr + i, mask=i < n, other=0), BINS, mask=i < n)
    tl.atomic_add(out_ptr + tl.arange(0, BINS), counts)


def case_histogram(rng):
    n, bins, block = 700, 32, 256
    x = rng.integers(0, bins, n).astype(np.int32)

    def launch(x, out):
        _histogram[(triton.cdiv(n, block),)](x, out, n, BINS=bins, BLOCK=block, num_warps=2)

    counters = {"global_load_bytes": 4 * n}
    tensors = {"x": tensor(x), "out": torch.zeros(bins, dtype=torch.int32)}
    return Case(launch, tensors, {"out": np.bincount(x, minlength=bins)}, counters=counters)


@triton.jit
def _sort(x_ptr, sorted_ptr, top_ptr, BLOCK: tl.constexpr, K: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * BLOCK + i)
    tl.store(sorted_ptr + row * BLOCK + i, tl.sort(x))
    tl.store(top_ptr + row * K + tl.arange(0, K), tl.topk(x, K))


def case_sort_and_top_k(rng):
    rows, block, k = 2, 64, 4
    x = rng.standard_normal((rows, block)).astype(np.float32)

    def launch(x, ordered, top):
        _sort[(rows,)](x, ordered, top, BLOCK=block, K=k, num_warps=1)

    ordered = np.sort(x, axis=1)
    counters = {"global_load_bytes": 4 * x.size, "global_store_bytes": 4 * (x.size + rows * k)}
    tensors = {"x": tensor(x), "sorted": empty(x.shape, torch.float32), "top": empty((rows, k), torch.float32)}
    return Case(launch, tensors, {"sorted": ordered, "top": ordered[:, : -k - 1 : -1].copy()}, counters=counters)


@triton.jit
def _argmax(x_ptr, place_ptr, least_ptr, cols, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * cols + i, mask=i < cols, other=-float("inf"))
    tl.store(place_ptr + row, tl.argmax(x, axis=0))
    tl.store(least_ptr + row, tl.min(tl.where(i < cols, x, float("inf"))))


def case_argmax(rng):
    rows, cols = 5, 100
    x = rng.integers(-20, 20, (rows, cols)).astype(np.float32)  # of equal ones the first

    def launch(x, place, least):
        _argmax[(rows,)](x, place, least, cols, BLOCK=128, num_warps=4)

    counters = {"global_load_bytes": 4 * rows * cols, "global_store_requests": 2 * rows}
    tensors = {"x": tensor(x), "place": empty(rows, torch.int32), "least": empty(rows, torch.float32)}
    return Case(launch, tensors, {"place": x.argmax(axis=1), "least": x.min(axis=1)}, counters=counters)


@triton.jit
def _merge_moments(mean_a, squares_a, count_a, mean_b, squares_b, count_b):
    count = count_a + count_b
    delta = mean_b - mean_a
    return mean_a + delta * count_b / count, squares_a + squares_b + delta * delta * count_a * count_b / count, count


@triton.jit
def _moments(x_ptr, out_ptr, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    x = tl.load(x_ptr + row * BLOCK + tl.arange(0, BLOCK))
    mean, squares, _ = tl.reduce((x, tl.zeros_like(x), tl.full([BLOCK], 1.0, tl.float64)), 0, _merge_moments)
    tl.store(out_ptr + 2 * row, mean)
    tl.store(out_ptr + 2 * row + 1, squares / BLOCK)


def case_welford_f64(rng):
    rows, block = 2, 128
    x = rng.standard_normal((rows, block)) + 1000

    def launch(x, out):
        _moments[(rows,)](x, out, BLOCK=block, num_warps=2)

    counters = {"global_load_sectors": rows * block * 8 // 32, "global_store_bytes": rows * 2 * 8}
    tensors = {"x": tensor(x), "out": empty((rows, 2), torch.float64)}
    want = np.stack([x.mean(axis=1), x.var(axis=1)], axis=1)
    return Case(launch, tensors, {"out": want}, rtol=1e-12, counters=counters)


@triton.jit
def _transpose(x_ptr, out_ptr, ROWS: tl.constexpr, COLS: tl.constexpr):
    r, c = tl.arange(0, ROWS), tl.arange(0, COLS)
    x = tl.load(x_ptr + r[:, None] * COLS + c[None, :])
    tl.store(out_ptr + c[:, None] * ROWS + r[None, :], tl.trans(x))


def case_transpose(rng):
    rows, cols = 64, 32
    x = rng.standard_normal((rows, cols)).astype(np.float32)

    def launch(x, out):
        _transpose[(1,)](x, out, ROWS=rows, COLS=cols, num_warps=4)

    counters = {"global_load_sectors": rows * cols * 4 // 32, "global_store_sectors": rows * cols * 4 // 32}
    return Case(launch, {"x": tensor(x), "out": empty((cols, rows), torch.float32)}, {"out": x.T}, counters=counters)


@triton.jit
def _shuffle(x_ptr, out_ptr, flipped_ptr, HALF: tl.constexpr):
    i = tl.arange(0, HALF)
    low, high = tl.load(x_ptr + i), tl.load(x_ptr + HALF + i)
    both = tl.interleave(low, high)
    j = tl.arange(0, 2 * HALF)
    tl.store(out_ptr + j, both)
    tl.store(flipped_ptr + j, tl.flip(both, 0))


def case_interleave_and_flip(rng):
    half = 64
    x = rng.integers(-99, 99, 2 * half).astype(np.int64)

    def launch(x, out, flipped):
        _shuffle[(1,)](x, out, flipped, HALF=half, num_warps=1)

    want = x.reshape(2, half).T.reshape(-1)
    counters = {"global_load_sectors": 2 * half * 8 // 32, "global_store_sectors": 2 * 2 * half * 8 // 32}
    tensors = {"x": tensor(x), "out": empty(x.size, torch.int64), "flipped": empty(x.size, torch.int64)}
    return Case(launch, tensors, {"out": want, "flipped": want[::-1].copy()}, counters=counters)


@triton.jit
def _atomics(x_ptr, out_ptr, claimed_ptr, SLOTS: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + i)
    tl.atomic_max(out_ptr + x % SLOTS, x)
    tl.atomic_min(out_ptr + SLOTS + x % SLOTS, x)
    tl.atomic_xor(out_ptr + 2 * SLOTS + x % SLOTS, x)
    tl.atomic_or(out_ptr + 3 * SLOTS + x % SLOTS, x)
    tl.atomic_cas(claimed_ptr + x % SLOTS, tl.zeros_like(x), tl.full([BLOCK], 1, tl.int32))


def case_atomics(rng):
    n, slots, block = 256, 8, 64
    x = rng.integers(0, 1 << 20, n).astype(np.int32)

    def launch(x, out, claimed):
        _atomics[(n // block,)](x, out, claimed, SLOTS=slots, BLOCK=block, num_warps=2)

    groups = [x[x % slots == s] for s in range(slots)]
    want = [[f(g) for g in groups] for f in (np.max, np.min, np.bitwise_xor.reduce, np.bitwise_or.reduce)]
    start = torch.zeros(4, slots, dtype=torch.int32)
    start[1] = 1 << 30
    warps = np.split(x % slots, n // WARP)
    counters = {
        "atomics": 5 * n,
        "atomic_contention": max(int(np.bincount(w).max()) for w in warps),  # lanes of a warp that share a slot
        # slots of 4 bytes: one sector an operation, as many passes as its fullest slot has lanes
        "global_store_sectors": 5 * sum(int(np.bincount(w).max()) for w in warps),
    }
    tensors = {"x": tensor(x), "out": start, "claimed": torch.zeros(slots, dtype=torch.int32)}
    return Case(launch, tensors, {"out": np.array(want), "claimed": np.ones(slots)}, counters=counters)


@triton.jit
def _inline(x_ptr, y_ptr, out_ptr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    x, y = tl.load(x_ptr + i), tl.load(y_ptr + i)
    both = tl.inline_asm_elementwise(
        "{ .reg .b32 t; prmt.b32 t, $1, $2, 0x5410; lop3.b32 $0, t, $1, $2, 0x96; }",
        "=r,r,r", [x, y], dtype=tl.int32, is_pure=True, pack=1,
    )  # fmt: skip
    tl.store(out_ptr + i, both)


def case_inline_ptx(rng):
    n = 128
    x, y = rng.integers(-(1 << 31), 1 << 31, (2, n)).astype(np.int32)

    def launch(x, y, out):
        _inline[(1,)](x, y, out, BLOCK=n, num_warps=2)

    packed = (x & 0xFFFF) | (y << 16)
    counters = {"global_load_bytes": 8 * n, "global_store_bytes": 4 * n}
    tensors = {"x": tensor(x), "y": tensor(y), "out": empty(n, torch.int32)}
    return Case(launch, tensors, {"out": packed ^ x ^ y}, counters=counters)
