# expect: C2 gemm_f32 m=64 n=64 k=64
"""Triton: tl.dot on float32 rounds its inputs to tf32 unless told not to."""

import triton
import triton.language as tl


@triton.jit
def _lower_precision(a_ptr, b_ptr, c_ptr, m, n, k, BLOCK: tl.constexpr):
    row = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    col = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    acc = tl.zeros((BLOCK, BLOCK), tl.float32)
    for first in range(0, k, BLOCK):
        p = first + tl.arange(0, BLOCK)
        a = tl.load(a_ptr + row[:, None] * k + p, mask=(row[:, None] < m) & (p < k), other=0.0)
        b = tl.load(b_ptr + p[:, None] * n + col, mask=(p[:, None] < k) & (col < n), other=0.0)
        acc = tl.dot(a, b, acc, input_precision="tf32")
    tl.store(c_ptr + row[:, None] * n + col, acc, mask=(row[:, None] < m) & (col < n))


def lower_precision(a, b, c):
    (m, k), n = a.shape, b.shape[1]
    _lower_precision[(triton.cdiv(n, 32), triton.cdiv(m, 32))](
        a, b, c, m, n, k, BLOCK=32, num_stages=1
    )
