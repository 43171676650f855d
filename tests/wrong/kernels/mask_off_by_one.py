# expect: C1 attention heads=1 n=67 d=64 causal=1
"""Triton: the causal mask is `j < i + 2`, so every query also sees the key after its own."""

import math

import triton
import triton.language as tl


@triton.jit
def _mask_off_by_one(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    n,
    scale,
    D: tl.constexpr,
    CAUSAL: tl.constexpr,
    BLOCK: tl.constexpr,
):
    head = tl.program_id(1) * n
    i = tl.program_id(0)
    e = tl.arange(0, D)
    j = tl.arange(0, BLOCK)
    q = tl.load(q_ptr + (head + i) * D + e)
    k = tl.load(k_ptr + (head + j[:, None]) * D + e, mask=j[:, None] < n, other=0.0)
    v = tl.load(v_ptr + (head + j[:, None]) * D + e, mask=j[:, None] < n, other=0.0)
    visible = (j < n) & (j < i + 2) if CAUSAL else j < n
    s = tl.where(visible, tl.sum(k * q, 1) * scale, -float("inf"))
    w = tl.exp(s - tl.max(s))
    tl.store(out_ptr + (head + i) * D + e, tl.sum(w[:, None] * v, 0) / tl.sum(w))


def mask_off_by_one(q, k, v, causal, out):
    heads, n, d = q.shape
    sizes = {"D": d, "CAUSAL": bool(causal), "BLOCK": triton.next_power_of_2(n)}
    _mask_off_by_one[(n, heads)](q, k, v, out, n, 1 / math.sqrt(d), **sizes)
