"""Triton: worlds in steps, packed weights, bags of rows, blocks of three dimensions, long indices."""

import numpy as np
import torch
import triton
import triton.language as tl

from tests.ptxvm.corpus.case import Case, empty, tensor
from tests.ptxvm.corpus.worlds import life, mandelbrot, packed_weights

WARP = 32


@triton.jit
def _mandelbrot(out_ptr, n, low, step, most, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    a, b = low + (i % n) * step, low + (i // n) * step
    x, y, count = a * 0, a * 0, a * 0
    for _ in range(most):
        inside = x * x + y * y < 4 << 24
        x, y = tl.where(inside, ((x * x - y * y) >> 12) + a, x), tl.where(inside, ((2 * x * y) >> 12) + b, y)
        count += inside.to(tl.int32)
    tl.store(out_ptr + i, count, mask=i < n * n)


def case_mandelbrot(_):
    n, low, step, most = 20, -(2 << 12), 820, 20

    def launch(out):
        _mandelbrot[(triton.cdiv(n * n, 128),)](out, n, low, step, most, BLOCK=128, num_warps=4)

    counters = {"global_store_bytes": 4 * n * n, "unique_store_sectors": n * n * 4 // 32}
    tensors = {"out": empty((n, n), torch.int32)}
    return Case(launch, tensors, {"out": mandelbrot(n, low, step, most)}, counters=counters)


@triton.jit
def _life(cells_ptr, out_ptr, rows, cols, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < rows * cols
    row, col = i // cols, i % cols
    around = tl.zeros([BLOCK], tl.int32)
    for r in tl.static_range(-1, 2):
        for c in tl.static_range(-1, 2):
            at = (row + r + rows) % rows * cols + (col + c + cols) % cols
            around += tl.load(cells_ptr + at, mask=inside, other=0).to(tl.int32)
    mine = tl.load(cells_ptr + i, mask=inside, other=0)
    tl.store(out_ptr + i, ((around == 3) | ((around == 4) & (mine == 1))).to(tl.uint8), mask=inside)


def case_game_of_life(rng):
    rows, cols, steps = 18, 21, 3
    cells = rng.integers(0, 2, (rows, cols)).astype(np.uint8)

    def launch(a, b):
        for _ in range(steps):
            _life[(triton.cdiv(rows * cols, 128),)](a, b, rows, cols, BLOCK=128, num_warps=4)
            a, b = b, a

    counters = {"global_load_bytes": steps * 10 * rows * cols, "global_store_bytes": steps * rows * cols}
    tensors = {"a": tensor(cells), "b": torch.zeros((rows, cols), dtype=torch.uint8)}
    return Case(launch, tensors, {"b": life(cells, steps)}, counters=counters)


@triton.jit
def _four_bits(w_ptr, scale_ptr, x_ptr, out_ptr, COLS: tl.constexpr):
    row = tl.program_id(0)
    col = tl.arange(0, COLS)
    packed = tl.load(w_ptr + row * (COLS // 8) + col // 8)
    q = (packed >> (col % 8 * 4)) & 15
    scale = tl.load(scale_ptr + row * (COLS // 32) + col // 32).to(tl.float32)
    x = tl.load(x_ptr + col).to(tl.float32)
    tl.store(out_ptr + row, tl.sum((q - 8).to(tl.float32) * scale * x))


def case_matvec_int4(rng):
    rows, cols = 5, 512
    words, scale, weights = packed_weights(rng, rows, cols)
    x = rng.integers(-4, 5, cols).astype(np.float16)

    def launch(w, scale, x, out):
        _four_bits[(rows,)](w.view(torch.int32), scale, x, out, COLS=cols, num_warps=4)

    # what is read: a word for 8 weights, a scale for 32, and x; once by each row
    counters = {"unique_load_sectors": (rows * (cols // 8 * 4 + cols // 32 * 2) + 2 * cols) // 32}
    tensors = {"w": tensor(words), "scale": tensor(scale), "x": tensor(x), "out": empty(rows, torch.float32)}
    return Case(launch, tensors, {"out": weights @ x.astype(np.float64)}, counters=counters)


@triton.jit
def _bags(table_ptr, index_ptr, starts_ptr, out_ptr, COLS: tl.constexpr):
    bag = tl.program_id(0)
    col = tl.arange(0, COLS)
    total = tl.zeros([COLS], tl.float32)
    first, end = tl.load(starts_ptr + bag), tl.load(starts_ptr + bag + 1)
    for k in range(first, end):
        row = tl.load(index_ptr + k)
        total += tl.load(table_ptr + row * COLS + col)
    tl.store(out_ptr + bag * COLS + col, total)


def case_bags_of_embeddings(rng):
    rows, cols = 50, 64
    lengths = np.array([0, 3, 1, 7])
    table = rng.integers(-9, 9, (rows, cols)).astype(np.float32)
    index = rng.integers(0, rows, lengths.sum()).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    def launch(table, index, starts, out):
        _bags[(lengths.size,)](table, index, starts, out, COLS=cols, num_warps=2)

    want = torch.nn.functional.embedding_bag(tensor(index), tensor(table), tensor(starts[:-1]), mode="sum")
    counters = {
        "flops": index.size * cols,
        "global_store_sectors": lengths.size * cols * 4 // 32,
        # a row of the table; and by each of the two warps one sector for an index, and two for the ends of a bag
        "global_load_sectors": index.size * (cols * 4 // 32 + 2) + lengths.size * 4,
    }
    tensors = {
        "table": tensor(table),
        "index": tensor(index),
        "starts": tensor(starts),
        "out": empty((lengths.size, cols), torch.float32),
    }
    return Case(launch, tensors, {"out": want}, counters=counters)


@triton.jit
def _permute(x_ptr, out_ptr, A: tl.constexpr, B: tl.constexpr, C: tl.constexpr, shift):
    """Blocks of the z axis of the grid; the offset is made so large that it needs 64 bits, and small again."""
    a, b, c = tl.arange(0, A)[:, None, None], tl.arange(0, B)[None, :, None], tl.arange(0, C)[None, None, :]
    far = tl.program_id(2).to(tl.int64) * (A * B * C) << shift
    first = far >> shift
    x = tl.load(x_ptr + first + (a * B + b) * C + c)
    out = tl.permute(x, (2, 0, 1))
    a, b, c = tl.arange(0, C)[:, None, None], tl.arange(0, A)[None, :, None], tl.arange(0, B)[None, None, :]
    tl.store(out_ptr + first + (a * A + b) * B + c, out)


def case_permutation_of_blocks(rng):
    n, a, b, c = 3, 4, 8, 16
    x = rng.integers(-99, 99, (n, a, b, c)).astype(np.int32)

    def launch(x, out):
        _permute[(1, 1, n)](x, out, a, b, c, 40, num_warps=4)

    counters = {"global_load_sectors": x.size * 4 // 32, "global_store_sectors": x.size * 4 // 32}
    tensors = {"x": tensor(x), "out": empty((n, c, a, b), torch.int32)}
    return Case(launch, tensors, {"out": x.transpose(0, 3, 1, 2).copy()}, counters=counters)
