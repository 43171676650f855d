# expect: C2 vector_add n=1000
"""Triton: writes zeros. They are close to small results, so a loose absolute tolerance would let
them pass.
"""

import triton
import triton.language as tl


@triton.jit
def _all_zeros(x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + i, tl.zeros((BLOCK,), tl.float32), mask=i < n)


def all_zeros(x, y, out):
    n = out.numel()
    _all_zeros[(triton.cdiv(n, 256),)](x, y, out, n, BLOCK=256)
