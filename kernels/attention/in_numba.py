"""Attention in Numba: out = softmax(q k^T / sqrt(d)) v, q, k, v, out (heads, n, d) float32; causal:
query i sees keys j <= i.
"""

import math

import numpy as np
import torch
from numba import cuda, float32

MINUS_INFINITY = np.float32(-np.inf)
ZERO = np.float32(0.0)

# --------------------------------------------------------------------------------------------------
# Idea: three kernels, one for each line of the formula, with the scores (heads, n, n) in memory
# between them.
# Should help: each kernel is a few lines, and the launch of the next is the barrier.
# Costs: n n scores a head are written once, read and written by the softmax, and read again.


@cuda.jit
def _scores(q, k, s, scale, causal):
    j, i = cuda.grid(2)  # key and query: lanes run along j, a row of s
    h = cuda.blockIdx.z  # in [0, heads)
    if i < s.shape[1] and j < s.shape[2]:
        acc = ZERO
        for e in range(q.shape[2]):
            acc += q[h, i, e] * k[h, j, e]
        s[h, i, j] = MINUS_INFINITY if causal and j > i else acc * scale


@cuda.jit
def _softmax_rows(s):
    i = cuda.grid(1)
    h = cuda.blockIdx.y
    if i < s.shape[1]:  # one thread a row; a row holds at least one finite score, j = 0
        largest = MINUS_INFINITY
        for j in range(s.shape[2]):
            largest = max(largest, s[h, i, j])
        total = ZERO
        for j in range(s.shape[2]):
            weight = math.exp(s[h, i, j] - largest)
            total += weight
            s[h, i, j] = weight
        for j in range(s.shape[2]):
            s[h, i, j] /= total


@cuda.jit
def _weighted_values(s, v, out):
    e, i = cuda.grid(2)  # lanes run along e, a row of out
    h = cuda.blockIdx.z
    if i < out.shape[1] and e < out.shape[2]:
        acc = ZERO
        for j in range(s.shape[2]):
            acc += s[h, i, j] * v[h, j, e]
        out[h, i, e] = acc


def three_kernels(q, k, v, causal, out):
    heads, n, d = q.shape
    s = torch.empty((heads, n, n), device=q.device)  # scores, then weights
    tiles = (n + 15) // 16
    _scores[(tiles, tiles, heads), (16, 16)](q, k, s, np.float32(1 / math.sqrt(d)), causal)
    _softmax_rows[((n + 31) // 32, heads), 32](s)
    _weighted_values[((d + 15) // 16, tiles, heads), (16, 16)](s, v, out)


# --------------------------------------------------------------------------------------------------
# Idea: one thread a query walks over the keys in tiles of 16 and keeps a running maximum, sum and
# output. When the maximum grows by x, what has been added up so far is scaled by exp(-x).
# Should help: no score ever goes to memory; a tile of keys and values is fetched once for 64
# queries.
# Costs: d = 64 is written into the kernel: 64 values of q and 64 of the output live in registers,
# and the 16 scores of a tile in shared memory, because a loop over them is not unrolled.

D = 64
KEYS = 16  # keys a tile
QUERIES = 64  # queries, and threads, a block


@cuda.jit
def _fused_online(q, k, v, out, scale, causal):
    tile_k = cuda.shared.array((KEYS, D), float32)
    tile_v = cuda.shared.array((KEYS, D), float32)
    weight = cuda.shared.array((KEYS, QUERIES), float32)  # column t is this thread's own: no barrier needed
    query = cuda.local.array(D, float32)  # registers, because the loops over e are unrolled
    acc = cuda.local.array(D, float32)
    n = q.shape[1]
    h, t = cuda.blockIdx.y, cuda.threadIdx.x
    i = cuda.blockIdx.x * QUERIES + t  # this thread's query; past n it computes along and writes nothing
    for e in range(D):
        query[e] = q[h, i, e] * scale if i < n else ZERO
        acc[e] = ZERO
    largest, total = MINUS_INFINITY, ZERO
    # no thread of the block sees a key past its last query
    end = min(n, (cuda.blockIdx.x + 1) * QUERIES) if causal else n
    for first in range(0, end, KEYS):
        for row in range(KEYS):  # 64 threads fetch a row of 64 at a time
            tile_k[row, t] = k[h, first + row, t] if first + row < n else ZERO
            tile_v[row, t] = v[h, first + row, t] if first + row < n else ZERO
        cuda.syncthreads()  # the tile is complete before anybody reads it
        grown = largest
        for row in range(KEYS):
            score = ZERO
            for e in range(D):
                score += query[e] * tile_k[row, e]  # all lanes read the same word: a broadcast
            j = first + row
            weight[row, t] = score if j < n and (not causal or j <= i) else MINUS_INFINITY
            grown = max(grown, weight[row, t])
        # key 0 is visible to every query, so grown is finite from the first tile on; exp(-inf -
        # grown) = 0
        shrink = math.exp(largest - grown)
        largest = grown
        total *= shrink
        for e in range(D):
            acc[e] *= shrink
        for row in range(KEYS):
            w = math.exp(weight[row, t] - largest)
            total += w
            for e in range(D):
                acc[e] += w * tile_v[row, e]
        cuda.syncthreads()  # everybody is done with the tile before it is overwritten
    if i < n:
        for e in range(D):
            out[h, i, e] = acc[e] / total


def fused_online(q, k, v, causal, out):
    heads, n, d = q.shape
    assert d == D, "the kernel is written for d = 64"
    _fused_online[((n + QUERIES - 1) // QUERIES, heads), QUERIES](q, k, v, out, np.float32(1 / math.sqrt(d)), causal)
