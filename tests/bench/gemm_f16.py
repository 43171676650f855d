"""A matrix product in float16 by tensor cores: the one kernel of the benchmark that no operation of the catalogue has.

c[i, j] = sum_k a[i, k] b[k, j]

a (m, k), b (k, n), c (m, n)    float16, contiguous; m, n, k multiples of the tile
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

TILE_K = 32


@triton.jit
def _tile_dot(a_ptr, b_ptr, c_ptr, n, k, TILE_M: tl.constexpr, TILE_N: tl.constexpr, TILE_K: tl.constexpr):
    rows = tl.program_id(0) * TILE_M + tl.arange(0, TILE_M)
    columns = tl.program_id(1) * TILE_N + tl.arange(0, TILE_N)
    inner = tl.arange(0, TILE_K)
    a_tile = a_ptr + rows[:, None] * k + inner[None, :]  # (TILE_M, TILE_K)
    b_tile = b_ptr + inner[:, None] * n + columns[None, :]  # (TILE_K, TILE_N)
    acc = tl.zeros((TILE_M, TILE_N), dtype=tl.float32)
    for _ in range(0, k, TILE_K):
        acc = tl.dot(tl.load(a_tile), tl.load(b_tile), acc)
        a_tile += TILE_K
        b_tile += TILE_K * n
    tl.store(c_ptr + rows[:, None] * n + columns[None, :], acc.to(tl.float16))


def tile_dot(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> None:
    """c = a b."""
    (m, k), n = a.shape, b.shape[1]
    tile = 64 if m * n >= 1 << 20 else 32  # a small product in small tiles, or most of a card has nothing to do
    _tile_dot[(m // tile, n // tile)](a, b, c, n, k, tile, tile, TILE_K)
