# expect: C2 vector_add n=1000
"""Triton: hands back its first input."""

import triton
import triton.language as tl


@triton.jit
def _copy_of_an_input(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + i, tl.load(x_ptr + i, mask=i < n), mask=i < n)


def copy_of_an_input(x, y, out):
    n = out.numel()
    _copy_of_an_input[(triton.cdiv(n, 256),)](x, out, n, BLOCK=256)
