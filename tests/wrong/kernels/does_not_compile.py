# expect: E2 vector_add n=1000
"""Triton: tl.arange needs a power of two."""

import triton
import triton.language as tl


@triton.jit
def _does_not_compile(x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(
        out_ptr + i, tl.load(x_ptr + i, mask=i < n) + tl.load(y_ptr + i, mask=i < n), mask=i < n
    )


def does_not_compile(x, y, out):
    n = out.numel()
    _does_not_compile[(triton.cdiv(n, 100),)](x, y, out, n, BLOCK=100)
