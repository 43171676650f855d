"""Triton: rows of a network, element by element, gathers, stencils, conversions."""

import numpy as np
import torch
import triton
import triton.language as tl

from tests.ptxvm.corpus.case import Case, empty, tensor

WARP = 32


@triton.jit
def _axpy(x_ptr, y_ptr, out_ptr, a, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < n
    x = tl.load(x_ptr + i, mask=inside)
    y = tl.load(y_ptr + i, mask=inside)
    tl.store(out_ptr + i, a * x + y, mask=inside)


def case_axpy(rng):
    n, block = 1000, 256
    x, y = rng.integers(-9, 9, (2, n)).astype(np.float32)

    def launch(x, y, out):
        _axpy[(triton.cdiv(n, block),)](x, y, out, 2.0, n, BLOCK=block, num_warps=2)

    counters = {
        "global_load_bytes": 8 * n,
        "global_store_bytes": 4 * n,
        "unique_load_sectors": 2 * n * 4 // 32,
        "unique_store_sectors": n * 4 // 32,
    }
    tensors = {"x": tensor(x), "y": tensor(y), "out": empty(n, torch.float32)}
    return Case(launch, tensors, {"out": 2 * x + y}, counters=counters)


@triton.jit
def _layer_norm(x_ptr, weight_ptr, bias_ptr, out_ptr, cols, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    col = tl.arange(0, BLOCK)
    inside = col < cols
    x = tl.load(x_ptr + row * cols + col, mask=inside, other=0.0)
    mean = tl.sum(x) / cols
    away = tl.where(inside, x - mean, 0.0)
    scale = tl.rsqrt(tl.sum(away * away) / cols + eps)
    weight = tl.load(weight_ptr + col, mask=inside)
    bias = tl.load(bias_ptr + col, mask=inside)
    tl.store(out_ptr + row * cols + col, away * scale * weight + bias, mask=inside)


def case_layer_norm(rng):
    rows, cols = 4, 100
    x, weight, bias = (rng.standard_normal(s).astype(np.float32) for s in ((rows, cols), (cols,), (cols,)))

    def launch(x, weight, bias, out):
        _layer_norm[(rows,)](x, weight, bias, out, cols, 1e-5, BLOCK=128, num_warps=4)

    want = torch.nn.functional.layer_norm(tensor(x), (cols,), tensor(weight), tensor(bias))
    counters = {"global_load_bytes": 3 * 4 * rows * cols, "global_store_bytes": 4 * rows * cols}
    tensors = {
        "x": tensor(x),
        "weight": tensor(weight),
        "bias": tensor(bias),
        "out": empty((rows, cols), torch.float32),
    }
    return Case(launch, tensors, {"out": want}, rtol=1e-5, atol=1e-5, counters=counters)


@triton.jit
def _rms_norm(x_ptr, weight_ptr, out_ptr, cols, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    squares = tl.zeros([BLOCK], tl.float32)
    for first in range(0, cols, BLOCK):
        x = tl.load(x_ptr + row * cols + first + tl.arange(0, BLOCK)).to(tl.float32)
        squares += x * x
    scale = tl.rsqrt(tl.sum(squares) / cols + eps)
    for first in range(0, cols, BLOCK):
        col = first + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * cols + col).to(tl.float32)
        weight = tl.load(weight_ptr + col).to(tl.float32)
        tl.store(out_ptr + row * cols + col, (x * scale * weight).to(tl.bfloat16))


def case_rms_norm_bf16(rng):
    rows, cols, block = 3, 1024, 256
    x, weight = (tensor(rng.standard_normal(s).astype(np.float32)).bfloat16() for s in ((rows, cols), (cols,)))

    def launch(x, weight, out):
        _rms_norm[(rows,)](x, weight, out, cols, 1e-5, BLOCK=block, num_warps=2)

    wide = x.double()
    want = wide * torch.rsqrt((wide**2).mean(1, keepdim=True) + 1e-5) * weight.double()
    counters = {
        "global_load_sectors": 3 * rows * cols * 2 // 32,  # the row twice, and the weights
        "global_store_sectors": rows * cols * 2 // 32,
        "unique_load_sectors": (rows + 1) * cols * 2 // 32,
    }
    tensors = {"x": x, "weight": weight, "out": empty((rows, cols), torch.bfloat16)}
    return Case(launch, tensors, {"out": want}, rtol=4e-3, atol=1e-6, counters=counters)  # one rounding to bfloat16


@triton.jit
def _cross_entropy(logits_ptr, labels_ptr, losses_ptr, classes, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    biggest = -float("inf")
    total = 0.0
    for first in range(0, classes, BLOCK):
        col = first + tl.arange(0, BLOCK)
        x = tl.load(logits_ptr + row * classes + col, mask=col < classes, other=-float("inf"))
        higher = tl.maximum(biggest, tl.max(x))
        total = total * tl.exp(biggest - higher) + tl.sum(tl.exp(x - higher))
        biggest = higher
    label = tl.load(labels_ptr + row)
    tl.store(losses_ptr + row, tl.log(total) + biggest - tl.load(logits_ptr + row * classes + label))


def case_cross_entropy_online(rng):
    rows, classes = 5, 300
    logits = (4 * rng.standard_normal((rows, classes))).astype(np.float32)
    labels = rng.integers(0, classes, rows)

    def launch(logits, labels, losses):
        _cross_entropy[(rows,)](logits, labels, losses, classes, BLOCK=128, num_warps=1)

    want = torch.nn.functional.cross_entropy(tensor(logits).double(), tensor(labels), reduction="none")
    # every logit once; the label (8 bytes) and its logit by all lanes of the warp; lane 0 stores
    counters = {"global_load_bytes": rows * (4 * classes + WARP * 12), "global_store_bytes": 4 * rows}
    tensors = {"logits": tensor(logits), "labels": tensor(labels), "losses": empty(rows, torch.float32)}
    return Case(launch, tensors, {"losses": want}, rtol=1e-5, atol=1e-5, counters=counters)


@triton.jit
def _dropout(x_ptr, out_ptr, n, seed, p, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + i, mask=i < n)
    tl.store(out_ptr + i, tl.where(tl.rand(seed, i) > p, x / (1 - p), 0.0), mask=i < n)


def case_dropout_rand(rng):
    n, seed, p = 600, 77, 0.5
    x = rng.standard_normal(n).astype(np.float32)

    def launch(x, out):
        _dropout[(triton.cdiv(n, 256),)](x, out, n, seed, p, BLOCK=256, num_warps=4)

    keep = _triton_rand(seed, np.arange(n, dtype=np.uint64)) > p
    counters = {"global_load_bytes": 4 * n, "global_store_bytes": 4 * n}
    tensors = {"x": tensor(x), "out": empty(n, torch.float32)}
    return Case(launch, tensors, {"out": np.where(keep, 2 * x, 0)}, counters=counters)


def _triton_rand(seed, counter):
    """Philox 4x32-10 as `tl.rand` draws: the first word, its sign folded, times a little under 2^-31."""
    c, k = [counter, *(np.zeros_like(counter) for _ in range(3))], [seed, 0]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        high, low = np.uint64(32), np.uint64(0xFFFFFFFF)
        c = [(b >> high) ^ c[1] ^ np.uint64(k[0]), b & low, (a >> high) ^ c[3] ^ np.uint64(k[1]), a & low]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    signed = c[0].astype(np.uint32).view(np.int32).astype(np.int64)
    return np.where(signed < 0, -signed - 1, signed) * 4.6566127342e-10


@triton.jit
def _rotary(x_ptr, cos_ptr, sin_ptr, heads, HALF: tl.constexpr):
    position = tl.program_id(0)
    head = tl.program_id(1)
    i = tl.arange(0, HALF)
    at = x_ptr + (position * heads + head) * 2 * HALF + i
    a, b = tl.load(at), tl.load(at + HALF)
    c, s = tl.load(cos_ptr + position * HALF + i), tl.load(sin_ptr + position * HALF + i)
    tl.store(at, a * c - b * s)
    tl.store(at + HALF, a * s + b * c)


def case_rotary_embedding(rng):
    positions, heads, half = 3, 2, 32
    x = rng.standard_normal((positions, heads, 2 * half)).astype(np.float32)
    angle = np.arange(positions)[:, None] * 100.0 ** (-np.arange(half) / half)
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)

    def launch(x, cos, sin):
        _rotary[(positions, heads)](x, cos, sin, heads, HALF=half, num_warps=1)

    a, b, c, s = x[..., :half], x[..., half:], cos[:, None], sin[:, None]
    want = np.concatenate([a * c - b * s, a * s + b * c], axis=-1)
    halves = positions * heads
    counters = {
        "global_load_requests": 4 * halves,
        "global_load_sectors": 16 * halves,
        "global_store_sectors": 8 * halves,
    }
    return Case(
        launch, {"x": tensor(x), "cos": tensor(cos), "sin": tensor(sin)}, {"x": want}, rtol=1e-5, atol=1e-6,
        counters=counters,
    )  # fmt: skip


@triton.jit
def _quantise(x_ptr, out_ptr, scale_ptr, back_ptr, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    at = row * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at)
    scale = tl.max(tl.abs(x)) / 127.0
    q = tl.floor(x / scale + 0.5).to(tl.int8)
    tl.store(out_ptr + at, q)
    tl.store(scale_ptr + row, scale)
    tl.store(back_ptr + at, (q.to(tl.float32) * scale).to(tl.float16))


def case_quantise_and_back(rng):
    rows, cols = 4, 256
    q = rng.integers(-126, 127, (rows, cols)).astype(np.int8)
    q[:, 100] = 127
    scale = np.exp2(rng.integers(-4, 4, rows)).astype(np.float32)
    x = q * scale[:, None]  # whole multiples of a power of two: nothing is rounded

    def launch(x, out, scale, back):
        _quantise[(rows,)](x, out, scale, back, BLOCK=cols, num_warps=2)

    counters = {
        "global_load_sectors": rows * cols * 4 // 32,
        "global_store_sectors": rows * (cols // 32 + 1 + cols * 2 // 32),
        "global_store_bytes": rows * (cols + 4 + 2 * cols),
    }
    tensors = {
        "x": tensor(x),
        "out": empty((rows, cols), torch.int8),
        "scale": empty(rows, torch.float32),
        "back": empty((rows, cols), torch.float16),
    }
    return Case(launch, tensors, {"out": q, "scale": scale, "back": x.astype(np.float16)}, counters=counters)


@triton.jit
def _convert(x_ptr, half_ptr, brain_ptr, eight_ptr, whole_ptr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + i)
    tl.store(half_ptr + i, x.to(tl.float16))
    tl.store(brain_ptr + i, x.to(tl.bfloat16))
    tl.store(eight_ptr + i, x.to(tl.float8e5))
    tl.store(whole_ptr + i, x.to(tl.int64))


def case_conversions(rng):
    n = 512
    x = (rng.standard_normal(n) * 2.0 ** rng.integers(-10, 10, n)).astype(np.float32)

    def launch(x, half, brain, eight, whole):
        _convert[(1,)](x, half, brain, eight, whole, BLOCK=n, num_warps=4)

    kinds = {"half": torch.float16, "brain": torch.bfloat16, "eight": torch.float8_e5m2, "whole": torch.int64}
    tensors = {"x": tensor(x)} | {
        name: torch.zeros(n, dtype=torch.uint8).view(kind) if name == "eight" else empty(n, kind)
        for name, kind in kinds.items()
    }
    want = {name: tensor(x).to(kind) for name, kind in kinds.items()}
    counters = {"global_store_sectors": n * (2 + 2 + 1 + 8) // 32, "global_load_sectors": n * 4 // 32}
    return Case(launch, tensors, want, counters=counters, since=80)


@triton.jit
def _gather(x_ptr, index_ptr, out_ptr, scattered_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < n
    at = tl.load(index_ptr + i, mask=inside, other=0)
    tl.store(out_ptr + i, tl.load(x_ptr + at, mask=inside), mask=inside)
    tl.store(scattered_ptr + at, i, mask=inside)


def case_gather_and_scatter(rng):
    n = 300
    x = rng.standard_normal(n).astype(np.float32)
    index = rng.permutation(n).astype(np.int32)

    def launch(x, index, out, scattered):
        _gather[(triton.cdiv(n, 128),)](x, index, out, scattered, n, BLOCK=128, num_warps=4)

    tensors = {"x": tensor(x), "index": tensor(index), "out": empty(n, torch.float32), "back": empty(n, torch.int32)}
    warps = np.split(index, range(WARP, n, WARP))
    near = -(-n * 4 // 32)  # sectors of neighbouring elements; places that are gathered: 8 to a sector
    far = sum(np.unique(w // 8).size for w in warps)
    counters = {"global_load_sectors": near + far, "global_store_sectors": near + far, "global_load_bytes": 8 * n}
    return Case(launch, tensors, {"out": x[index], "back": np.argsort(index)}, counters=counters)


@triton.jit
def _stencil(x_ptr, out_ptr, rows, cols, BR: tl.constexpr, BC: tl.constexpr):
    row = tl.program_id(0) * BR + tl.arange(0, BR)[:, None]
    col = tl.program_id(1) * BC + tl.arange(0, BC)[None, :]
    inside = (row < rows) & (col < cols)
    at = x_ptr + row * cols + col
    up = tl.load(at - cols, mask=inside & (row > 0), other=0.0)
    down = tl.load(at + cols, mask=inside & (row + 1 < rows), other=0.0)
    left = tl.load(at - 1, mask=inside & (col > 0), other=0.0)
    right = tl.load(at + 1, mask=inside & (col + 1 < cols), other=0.0)
    tl.store(out_ptr + row * cols + col, up + down + left + right, mask=inside)


def case_stencil_2d(rng):
    rows, cols = 19, 45
    x = rng.integers(-9, 9, (rows, cols)).astype(np.float32)
    p = np.pad(x, 1)

    def launch(x, out):
        _stencil[(3, 2)](x, out, rows, cols, BR=8, BC=32, num_warps=2)

    want = p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]
    # each pair of neighbours is read from both sides
    counters = {"global_load_bytes": 4 * 2 * ((rows - 1) * cols + rows * (cols - 1)), "global_store_bytes": 4 * x.size}
    tensors = {"x": tensor(x), "out": empty((rows, cols), torch.float32)}
    return Case(launch, tensors, {"out": want}, counters=counters)


@triton.jit
def _ell(values_ptr, columns_ptr, x_ptr, out_ptr, rows, width, BLOCK: tl.constexpr):
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], tl.float32)
    for k in range(width):
        column = tl.load(columns_ptr + k * rows + row, mask=row < rows, other=-1)
        value = tl.load(values_ptr + k * rows + row, mask=column >= 0, other=0.0)
        total += value * tl.load(x_ptr + column, mask=column >= 0, other=0.0)
    tl.store(out_ptr + row, total, mask=row < rows)


def case_ell(rng):
    rows, cols, width = 75, 40, 4
    columns = rng.integers(-1, cols, (width, rows)).astype(np.int32)
    values = rng.integers(-9, 9, (width, rows)).astype(np.float32)
    x = rng.integers(-9, 9, cols).astype(np.float32)

    def launch(values, columns, x, out):
        _ell[(3,)](values, columns, x, out, rows, width, BLOCK=32, num_warps=1)

    want = (values * np.where(columns >= 0, x[columns], 0)).sum(axis=0)
    counters = {"global_load_bytes": 4 * width * rows + 8 * int((columns >= 0).sum()), "global_store_bytes": 4 * rows}
    tensors = {"values": tensor(values), "columns": tensor(columns), "x": tensor(x), "out": empty(rows, torch.float32)}
    return Case(launch, tensors, {"out": want}, counters=counters)
