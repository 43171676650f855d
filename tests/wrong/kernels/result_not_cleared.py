# expect: C1 reduce_sum n=1000
"""Triton: adds to whatever stands in the output; on fresh memory that is often zero, so it seems to
work.
"""

import triton
import triton.language as tl


@triton.jit
def _result_not_cleared(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.atomic_add(out_ptr, tl.sum(tl.load(x_ptr + i, mask=i < n, other=0.0)))


def result_not_cleared(x, out):
    n = x.numel()
    _result_not_cleared[(triton.cdiv(n, 1024),)](x, out, n, BLOCK=1024)
