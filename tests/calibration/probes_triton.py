"""Probes in Triton: blocks of known shape and layout, one program each unless the name says more."""

import triton
import triton.language as tl


@triton.jit
def _gather(index_ptr, x_ptr, out_ptr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    at = tl.load(index_ptr + i)
    tl.store(out_ptr + i, tl.load(x_ptr + at, mask=at >= 0, other=0.0))


def gather(index, x, out):
    _gather[(1,)](index, x, out, BLOCK=64, num_warps=2)


@triton.jit
def _scatter_add(index_ptr, out_ptr, BLOCK: tl.constexpr):
    at = tl.load(index_ptr + tl.arange(0, BLOCK))
    tl.atomic_add(out_ptr + at, 1.0, mask=at >= 0, sem="relaxed")


def scatter_add(index, out):
    _scatter_add[(1,)](index, out, BLOCK=64, num_warps=2)


@triton.jit
def _copy(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + i, tl.load(x_ptr + i, mask=i < n), mask=i < n)


def copy(x, out):
    """A length divisible by 16 gives accesses of 16 bytes, another of 4."""
    n = x.numel()
    _copy[(triton.cdiv(n, 1024),)](x, out, n, BLOCK=1024, num_warps=4)


@triton.jit
def _copy_rows(x_ptr, out_ptr, pitch, ROWS: tl.constexpr, COLS: tl.constexpr):
    row, col = tl.arange(0, ROWS)[:, None], tl.arange(0, COLS)[None, :]
    tl.store(out_ptr + row * COLS + col, tl.load(x_ptr + row * pitch + col))


def copy_rows(x, out, pitch):
    """x has rows of `pitch` elements: every row begins 4 bytes off where pitch is 33."""
    _copy_rows[(1,)](x, out, pitch, ROWS=32, COLS=32, num_warps=4)


@triton.jit
def _transpose(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    row, col = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)[None, :]
    tile = tl.load(x_ptr + row * n + col)
    tl.store(out_ptr + row * n + col, tl.trans(tile))  # through shared memory


def transpose(x, out):
    _transpose[(1,)](x, out, x.shape[1], BLOCK=64, num_warps=4)


@triton.jit
def _column_sums(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    row, col = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)[None, :]
    tl.store(out_ptr + tl.arange(0, BLOCK), tl.sum(tl.load(x_ptr + row * n + col), axis=0))


def column_sums(x, out):
    _column_sums[(1,)](x, out, x.shape[1], BLOCK=64, num_warps=4)


@triton.jit
def _running_sums(x_ptr, out_ptr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out_ptr + i, tl.cumsum(tl.load(x_ptr + i), axis=0))


def running_sums(x, out):
    _running_sums[(1,)](x, out, BLOCK=1024, num_warps=4)


@triton.jit
def _small_product(a_ptr, b_ptr, c_ptr, N: tl.constexpr):
    row, col = tl.arange(0, N)[:, None], tl.arange(0, N)[None, :]
    c = tl.dot(tl.load(a_ptr + row * N + col), tl.load(b_ptr + row * N + col))
    tl.store(c_ptr + row * N + col, c)


def small_product(a, b, c):
    """Too few rows for a warpgroup: mma.sync and ldmatrix on every card."""
    _small_product[(1,)](a, b, c, N=32, num_warps=2)


def launch(name, *args):
    """Tensors and Python integers, in the function's order."""
    globals()[name](*args)
