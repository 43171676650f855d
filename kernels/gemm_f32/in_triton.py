"""Matrix multiplication in Triton: c = a @ b, a (m, k), b (k, n), c (m, n), float32."""

import triton
import triton.language as tl

# --------------------------------------------------------------------------------------------------
# Idea: a program owns a tile of c and adds one outer product at a time: a column of a times a row
# of b.
# Should help: each value that is loaded serves a whole row or column of the tile.
# Costs: a column of a is strided, 32 sectors a request; BLOCK + BLOCK loads for BLOCK * BLOCK
# multiply-adds, and none overlap.


@triton.jit
def _outer_products(a_ptr, b_ptr, c_ptr, m, n, k, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    row = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)  # (BLOCK_M,)
    col = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)  # (BLOCK_N,)
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for p in range(k):
        a = tl.load(a_ptr + row * k + p, mask=row < m, other=0.0)  # (BLOCK_M,)
        b = tl.load(b_ptr + p * n + col, mask=col < n, other=0.0)  # (BLOCK_N,)
        acc += a[:, None] * b[None, :]
    inside = (row[:, None] < m) & (col[None, :] < n)
    tl.store(c_ptr + row[:, None] * n + col[None, :], acc, mask=inside)


def outer_products(a, b, c, *, BLOCK_M=32, BLOCK_N=32):
    (m, k), n = a.shape, b.shape[1]
    grid = (triton.cdiv(n, BLOCK_N), triton.cdiv(m, BLOCK_M))
    _outer_products[grid](a, b, c, m, n, k, BLOCK_M=BLOCK_M, BLOCK_N=BLOCK_N)


# --------------------------------------------------------------------------------------------------
# Idea: load whole tiles of a and b and multiply them by tl.dot. "ieee" keeps float32: the default
# would round to tf32.
# Should help: both tiles are read along rows, and the compiler shares them among the warps through
# shared memory.
# Costs: without tensor cores the multiplication is plain multiply-adds; each round waits for its
# loads (num_stages=1).


@triton.jit
def _tile_dot(
    a_ptr,
    b_ptr,
    c_ptr,
    m,
    n,
    k,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    row = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)  # (BLOCK_M,)
    col = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)  # (BLOCK_N,)
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for first in range(0, k, BLOCK_K):
        p = first + tl.arange(0, BLOCK_K)  # (BLOCK_K,) may pass k in the last round
        inside = (row[:, None] < m) & (p[None, :] < k)
        a = tl.load(a_ptr + row[:, None] * k + p[None, :], mask=inside, other=0.0)  # (BLOCK_M, BLOCK_K)
        inside = (p[:, None] < k) & (col[None, :] < n)
        b = tl.load(b_ptr + p[:, None] * n + col[None, :], mask=inside, other=0.0)  # (BLOCK_K, BLOCK_N)
        acc = tl.dot(a, b, acc, input_precision="ieee")
    inside = (row[:, None] < m) & (col[None, :] < n)
    tl.store(c_ptr + row[:, None] * n + col[None, :], acc, mask=inside)


def tile_dot(a, b, c, *, BLOCK_M=64, BLOCK_N=32, BLOCK_K=16):
    (m, k), n = a.shape, b.shape[1]
    grid = (triton.cdiv(n, BLOCK_N), triton.cdiv(m, BLOCK_M))
    tiles = {"BLOCK_M": BLOCK_M, "BLOCK_N": BLOCK_N, "BLOCK_K": BLOCK_K}
    _tile_dot[grid](a, b, c, m, n, k, **tiles, num_warps=4, num_stages=1)


# --------------------------------------------------------------------------------------------------
# Idea: the same kernel with three stages: the compiler starts the copies of later rounds before
# this one multiplies.
# Should help: the wait for memory hides behind the arithmetic.
# Costs: shared memory for three pairs of tiles. Below compute capability 8.0 there is no cp.async,
# and no pipeline.


def pipelined_dot(a, b, c, *, BLOCK_M=64, BLOCK_N=32, BLOCK_K=16):
    (m, k), n = a.shape, b.shape[1]
    grid = (triton.cdiv(n, BLOCK_N), triton.cdiv(m, BLOCK_M))
    tiles = {"BLOCK_M": BLOCK_M, "BLOCK_N": BLOCK_N, "BLOCK_K": BLOCK_K}
    _tile_dot[grid](a, b, c, m, n, k, **tiles, num_warps=4, num_stages=3)
