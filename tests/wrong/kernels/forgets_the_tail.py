# expect: C1 reduce_sum n=4099
"""Triton: the grid is rounded down, so the last n % 1024 elements are in no program."""

import triton
import triton.language as tl


@triton.jit
def _forgets_the_tail(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.atomic_add(out_ptr, tl.sum(tl.load(x_ptr + i, mask=i < n, other=0.0)))


def forgets_the_tail(x, out):
    out.zero_()
    n = x.numel()
    _forgets_the_tail[(max(1, n // 1024),)](x, out, n, BLOCK=1024)
