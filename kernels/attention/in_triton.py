"""Attention in Triton: out = softmax(q k^T / sqrt(d)) v, q, k, v, out (heads, n, d) float32;
causal: query i sees keys j <= i.
"""

import math

import torch
import triton
import triton.language as tl

# --------------------------------------------------------------------------------------------------
# Idea: three kernels, one for each line of the formula, with the scores (heads, n, n) in memory
# between them.
# Should help: each kernel is a few lines, and the launch of the next is the barrier.
# Costs: n n scores a head are written once, read and written by the softmax, and read again.


@triton.jit
def _scores(
    q_ptr,
    k_ptr,
    s_ptr,
    n,
    d,
    scale,
    CAUSAL: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    h = tl.program_id(2)
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,) queries
    j = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,) keys
    acc = tl.zeros((BLOCK, BLOCK), tl.float32)
    for first in range(0, d, BLOCK_D):
        e = first + tl.arange(0, BLOCK_D)  # (BLOCK_D,)
        q = tl.load(q_ptr + (h * n + i[:, None]) * d + e, mask=(i[:, None] < n) & (e < d), other=0.0)
        k = tl.load(k_ptr + (h * n + j[:, None]) * d + e, mask=(j[:, None] < n) & (e < d), other=0.0)
        acc = tl.dot(q, tl.trans(k), acc, input_precision="ieee")  # (BLOCK, BLOCK) += (BLOCK, BLOCK_D) x its turn
    acc *= scale
    if CAUSAL:
        acc = tl.where(j[None, :] <= i[:, None], acc, -float("inf"))
    tl.store(s_ptr + (h * n + i[:, None]) * n + j, acc, mask=(i[:, None] < n) & (j < n))


@triton.jit
def _softmax_rows(s_ptr, n, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * n  # one program a row, in place
    j = tl.arange(0, BLOCK)  # (BLOCK,), BLOCK >= n
    s = tl.load(s_ptr + row + j, mask=j < n, other=-float("inf"))
    e = tl.exp(s - tl.max(s))
    tl.store(s_ptr + row + j, e / tl.sum(e), mask=j < n)


@triton.jit
def _weighted_values(s_ptr, v_ptr, out_ptr, n, d, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr):
    h = tl.program_id(2)
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,) queries
    e = tl.program_id(0) * BLOCK_D + tl.arange(0, BLOCK_D)  # (BLOCK_D,)
    acc = tl.zeros((BLOCK, BLOCK_D), tl.float32)
    for first in range(0, n, BLOCK):
        j = first + tl.arange(0, BLOCK)  # (BLOCK,) keys
        w = tl.load(s_ptr + (h * n + i[:, None]) * n + j, mask=(i[:, None] < n) & (j < n), other=0.0)
        v = tl.load(v_ptr + (h * n + j[:, None]) * d + e, mask=(j[:, None] < n) & (e < d), other=0.0)
        acc = tl.dot(w, v, acc, input_precision="ieee")
    tl.store(out_ptr + (h * n + i[:, None]) * d + e, acc, mask=(i[:, None] < n) & (e < d))


def three_kernels(q, k, v, causal, out, *, BLOCK=32, BLOCK_D=32):
    heads, n, d = q.shape
    s = torch.empty((heads, n, n), device=q.device)  # scores, then weights
    tiles = triton.cdiv(n, BLOCK)
    sizes = {"BLOCK": BLOCK, "BLOCK_D": BLOCK_D, "num_stages": 1}
    _scores[(tiles, tiles, heads)](q, k, s, n, d, 1 / math.sqrt(d), CAUSAL=bool(causal), **sizes)
    # one element a thread or more: of threads that hold the same one, some might load it after another has stored it
    _softmax_rows[(heads * n,)](s, n, BLOCK=max(128, triton.next_power_of_2(n)), num_warps=4)
    _weighted_values[(triton.cdiv(d, BLOCK_D), tiles, heads)](s, v, out, n, d, **sizes)


# --------------------------------------------------------------------------------------------------
# Idea: a program owns a tile of queries and walks over tiles of keys, with a running maximum, sum
# and output a query. When a maximum grows by x, what has been added up so far is scaled by exp(-x).
# Should help: no score ever leaves the registers; keys and values are read once for BLOCK_M
# queries.
# Costs: the output tile is scaled again in every round; d must be a power of two, and 16 or more
# for tl.dot.


@triton.jit
def _fused_online(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    n,
    scale,
    D: tl.constexpr,
    CAUSAL: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    head = tl.program_id(1) * n  # first row of this head
    first_query = tl.program_id(0) * BLOCK_M
    i = first_query + tl.arange(0, BLOCK_M)  # (BLOCK_M,) queries, may pass n
    e = tl.arange(0, D)  # (D,)
    q = tl.load(q_ptr + (head + i[:, None]) * D + e, mask=i[:, None] < n, other=0.0) * scale  # (BLOCK_M, D)
    largest = tl.full((BLOCK_M,), -float("inf"), tl.float32)
    total = tl.zeros((BLOCK_M,), tl.float32)
    acc = tl.zeros((BLOCK_M, D), tl.float32)
    end = tl.minimum(n, first_query + BLOCK_M) if CAUSAL else n  # no query of the tile sees a key past its last one
    for first in range(0, end, BLOCK_N):
        j = first + tl.arange(0, BLOCK_N)  # (BLOCK_N,) keys
        k = tl.load(k_ptr + (head + j[:, None]) * D + e, mask=j[:, None] < n, other=0.0)  # (BLOCK_N, D)
        v = tl.load(v_ptr + (head + j[:, None]) * D + e, mask=j[:, None] < n, other=0.0)
        s = tl.dot(q, tl.trans(k), input_precision="ieee")  # (BLOCK_M, BLOCK_N)
        visible = (j[None, :] < n) & (j[None, :] <= i[:, None]) if CAUSAL else j[None, :] < n
        s = tl.where(visible, s, -float("inf"))
        # key 0 is visible to every query, so grown is finite from the first round on; exp(-inf -
        # grown) = 0
        grown = tl.maximum(largest, tl.max(s, 1))
        shrink = tl.exp(largest - grown)
        w = tl.exp(s - grown[:, None])  # (BLOCK_M, BLOCK_N)
        total = total * shrink + tl.sum(w, 1)
        acc = tl.dot(w, v, acc * shrink[:, None], input_precision="ieee")
        largest = grown
    tl.store(out_ptr + (head + i[:, None]) * D + e, acc / total[:, None], mask=i[:, None] < n)


def fused_online(q, k, v, causal, out, *, BLOCK_M=32, BLOCK_N=32):
    heads, n, d = q.shape
    sizes = {"D": d, "CAUSAL": bool(causal), "BLOCK_M": BLOCK_M, "BLOCK_N": BLOCK_N}
    _fused_online[(triton.cdiv(n, BLOCK_M), heads)](q, k, v, out, n, 1 / math.sqrt(d), **sizes, num_stages=1)
