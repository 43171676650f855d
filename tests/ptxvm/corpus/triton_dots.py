"""Triton: matrix products in every type, with split k, persistent programs, stream-k and locks."""

import numpy as np
import torch
import triton
import triton.language as tl

from tests.ptxvm.corpus.case import Case, empty, tensor

WARP = 32


@triton.jit
def _matvec(a_ptr, x_ptr, out_ptr, cols, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    total = tl.zeros([ROWS, BLOCK], tl.float32)
    for first in range(0, cols, BLOCK):
        col = first + tl.arange(0, BLOCK)
        total += tl.load(a_ptr + row[:, None] * cols + col[None, :]) * tl.load(x_ptr + col)[None, :]
    tl.store(out_ptr + row, tl.sum(total, axis=1))


def case_matvec(rng):
    rows, cols = 16, 256
    a = rng.integers(-9, 9, (rows, cols)).astype(np.float32)
    x = rng.integers(-9, 9, cols).astype(np.float32)

    def launch(a, x, out):
        _matvec[(rows // 4,)](a, x, out, cols, ROWS=4, BLOCK=128, num_warps=4)

    counters = {"unique_load_sectors": (rows + 1) * cols * 4 // 32, "unique_store_sectors": rows * 4 // 32}
    tensors = {"a": tensor(a), "x": tensor(x), "out": empty(rows, torch.float32)}
    return Case(launch, tensors, {"out": a @ x}, counters=counters)


@triton.jit
def _batched(a_ptr, b_ptr, c_ptr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, precision: tl.constexpr):
    batch = tl.program_id(0)
    m, n, k = tl.arange(0, M)[:, None], tl.arange(0, N), tl.arange(0, K)
    a = tl.load(a_ptr + batch * M * K + m * K + k[None, :])
    b = tl.load(b_ptr + batch * K * N + k[:, None] * N + n[None, :])
    if precision == "int8":
        c = tl.dot(a, b, out_dtype=tl.int32)
    else:
        c = tl.dot(a, b, input_precision=precision)
    tl.store(c_ptr + batch * M * N + m * N + n[None, :], c)


def _product(rng, kind, precision, mma_k, size, most=4, m=32, n=32, k=32):
    """A batch of small products; `mma_k` is the k of the matrix instruction, `size` the bytes of an element."""
    batch = 2
    a = tensor(rng.integers(-most, most + 1, (batch, m, k))).to(kind)
    b = tensor(rng.integers(-most, most + 1, (batch, k, n))).to(kind)
    out = torch.int32 if kind == torch.int8 else torch.float32

    def launch(a, b, c):
        _batched[(batch,)](a, b, c, M=m, N=n, K=k, precision=precision, num_warps=4)

    counters = {
        "mma": batch * m // 16 * n // 8 * k // mma_k,  # m16n8k of the type
        "unique_load_sectors": batch * (m * k + k * n) * size // 32,
        "unique_store_sectors": batch * m * n * 4 // 32,
    }
    tensors = {"a": a, "b": b, "c": empty((batch, m, n), out)}
    return Case(launch, tensors, {"c": a.double() @ b.double()}, counters=counters, since=80)


def case_batched_f16(rng):
    return _product(rng, torch.float16, "ieee", 16, 2)


def case_batched_bf16(rng):
    return _product(rng, torch.bfloat16, "ieee", 16, 2)


def case_batched_tf32(rng):
    return _product(rng, torch.float32, "tf32", 8, 4)


def case_batched_int8(rng):
    return _product(rng, torch.int8, "int8", 32, 1, most=127)


@triton.jit
def _ieee(a_ptr, b_ptr, c_ptr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    m, n, k = tl.arange(0, M)[:, None], tl.arange(0, N), tl.arange(0, K)
    a = tl.load(a_ptr + m * K + k[None, :])
    b = tl.load(b_ptr + k[:, None] * N + n[None, :])
    tl.store(c_ptr + m * N + n[None, :], tl.dot(a, b, input_precision="ieee"))


def case_dot_f32(rng):
    m, n, k = 16, 32, 16
    a = rng.integers(-9, 9, (m, k)).astype(np.float32)
    b = rng.integers(-9, 9, (k, n)).astype(np.float32)

    def launch(a, b, c):
        _ieee[(1,)](a, b, c, M=m, N=n, K=k, num_warps=2)

    counters = {"flops": 2 * m * n * k, "mma": 0, "unique_store_sectors": m * n * 4 // 32}
    tensors = {"a": tensor(a), "b": tensor(b), "c": empty((m, n), torch.float32)}
    return Case(launch, tensors, {"c": a @ b}, counters=counters)


@triton.jit
def _split_k(a_ptr, b_ptr, c_ptr, N: tl.constexpr, K: tl.constexpr, SPLIT: tl.constexpr, BLOCK: tl.constexpr):
    m, n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[:, None], tl.arange(0, N)[None, :]
    total = tl.zeros([BLOCK, N], tl.float32)
    for step in range(K // (SPLIT * BLOCK)):
        k = (step * SPLIT + tl.program_id(1)) * BLOCK + tl.arange(0, BLOCK)
        total = tl.dot(tl.load(a_ptr + m * K + k[None, :]), tl.load(b_ptr + k[:, None] * N + n), total)
    tl.atomic_add(c_ptr + m * N + n, total)


def case_split_k(rng):
    m, n, k, split, block = 32, 16, 128, 4, 16
    a = rng.integers(-4, 5, (m, k)).astype(np.float16)
    b = rng.integers(-4, 5, (k, n)).astype(np.float16)

    def launch(a, b, c):
        _split_k[(m // block, split)](a, b, c, N=n, K=k, SPLIT=split, BLOCK=block, num_warps=1)

    counters = {"mma": m // 16 * n // 8 * k // 16, "atomics": m * n * split, "atomic_contention": 1}
    tensors = {"a": tensor(a), "b": tensor(b), "c": torch.zeros(m, n)}
    return Case(launch, tensors, {"c": a.astype(np.float64) @ b}, counters=counters, since=80)


@triton.jit
def _persistent(a_ptr, b_ptr, c_ptr, tiles, N: tl.constexpr, K: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
                BK: tl.constexpr):  # fmt: skip
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        m = tile // (N // BN) * BM + tl.arange(0, BM)[:, None]
        n = tile % (N // BN) * BN + tl.arange(0, BN)[None, :]
        total = tl.zeros([BM, BN], tl.float32)
        for first in range(0, K, BK):
            k = first + tl.arange(0, BK)
            total = tl.dot(tl.load(a_ptr + m * K + k[None, :]), tl.load(b_ptr + k[:, None] * N + n), total)
        tl.store(c_ptr + m * N + n, total.to(tl.float16))


def case_persistent_with_async_copies(rng):
    m, n, k, bm, bn, bk, programs = 64, 96, 64, 32, 32, 16, 4
    a = rng.integers(-3, 4, (m, k)).astype(np.float16)
    b = rng.integers(-3, 4, (k, n)).astype(np.float16)
    tiles = m // bm * n // bn

    def launch(a, b, c):
        _persistent[(programs,)](
            a, b, c, tiles, N=n, K=k, BM=bm, BN=bn, BK=bk, num_warps=4, num_stages=3
        )  # fmt: skip

    counters = {
        "mma": m // 16 * n // 8 * k // 16,
        "unique_load_sectors": (m * k + k * n) * 2 // 32,
        "global_store_bytes": 2 * m * n,
    }
    tensors = {"a": tensor(a), "b": tensor(b), "c": empty((m, n), torch.float16)}
    return Case(launch, tensors, {"c": a.astype(np.float64) @ b}, counters=counters, since=80)


@triton.jit
def _stream_k(a_ptr, b_ptr, c_ptr, lock_ptr, work, each, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr,
              B: tl.constexpr):  # fmt: skip
    """Each program takes `each` steps of the list of all (tile, step); tiles that two programs share have a lock."""
    step = tl.program_id(0) * each
    last = tl.minimum(step + each, work)
    while step < last:
        tile = step // (K // B)
        end = tl.minimum((tile + 1) * (K // B), last)
        m = tile // (N // B) * B + tl.arange(0, B)[:, None]
        n = tile % (N // B) * B + tl.arange(0, B)[None, :]
        total = tl.zeros([B, B], tl.float32)
        while step < end:
            k = step % (K // B) * B + tl.arange(0, B)
            total = tl.dot(tl.load(a_ptr + m * K + k[None, :]), tl.load(b_ptr + k[:, None] * N + n), total)
            step += 1
        while tl.atomic_cas(lock_ptr + tile, 0, 1) == 1:
            pass
        at = c_ptr + m * N + n
        tl.store(at, tl.load(at, volatile=True) + total)
        tl.debug_barrier()
        tl.atomic_xchg(lock_ptr + tile, 0)


def case_stream_k_with_locks(rng):
    m, n, k, b, programs = 32, 32, 64, 16, 3
    left = rng.integers(-4, 5, (m, k)).astype(np.float16)
    right = rng.integers(-4, 5, (k, n)).astype(np.float16)
    work = m // b * n // b * k // b

    def launch(a, b_, c, locks):
        _stream_k[(programs,)](
            a, b_, c, locks, work, triton.cdiv(work, programs), M=m, N=n, K=k, B=b, num_warps=1
        )  # fmt: skip

    tensors = {
        "a": tensor(left),
        "b": tensor(right),
        "c": torch.zeros(m, n),
        "locks": torch.zeros(m // b * n // b, dtype=torch.int32),
    }
    counters = {"mma": work * b // 16 * b // 8 * b // 16}
    return Case(
        launch, tensors, {"c": left.astype(np.float64) @ right}, counters=counters, unordered="programs spin", since=80
    )


@triton.jit
def _convolution(x_ptr, w_ptr, out_ptr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, F: tl.constexpr):
    """out (H-2, W-2, F) = x (H, W, C) with w (3, 3, C, F): one program a row, a product for each tap."""
    row = tl.program_id(0)
    col, c, f = tl.arange(0, W), tl.arange(0, C), tl.arange(0, F)
    inside = (col < W - 2)[:, None]
    total = tl.zeros([W, F], tl.float32)
    for tap in tl.static_range(9):
        at = ((row + tap // 3) * W + col + tap % 3)[:, None] * C + c[None, :]
        pixels = tl.load(x_ptr + at, mask=inside, other=0.0)
        total = tl.dot(pixels, tl.load(w_ptr + (tap * C + c[:, None]) * F + f[None, :]), total)
    tl.store(out_ptr + (row * (W - 2) + col)[:, None] * F + f[None, :], total, mask=inside)


def case_convolution_by_products(rng):
    h, w, c, f = 6, 16, 16, 16
    x = rng.integers(-3, 4, (h, w, c)).astype(np.float16)
    taps = rng.integers(-3, 4, (3, 3, c, f)).astype(np.float16)

    def launch(x, taps, out):
        _convolution[(h - 2,)](x, taps, out, H=h, W=w, C=c, F=f, num_warps=1)

    image, filters = tensor(x).double().permute(2, 0, 1)[None], tensor(taps).double().permute(3, 2, 0, 1)
    want = torch.nn.functional.conv2d(image, filters)[0].permute(1, 2, 0)
    counters = {
        "mma": (h - 2) * 9 * w // 16 * f // 8 * c // 16,
        "global_load_bytes": (h - 2) * 9 * 2 * ((w - 2) * c + c * f),
        "global_store_bytes": 4 * (h - 2) * (w - 2) * f,
    }
    tensors = {"x": tensor(x), "taps": tensor(taps), "out": empty((h - 2, w - 2, f), torch.float32)}
    return Case(launch, tensors, {"out": want.contiguous()}, counters=counters, since=80)
