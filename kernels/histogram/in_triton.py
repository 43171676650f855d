"""Histogram in Triton: x (n,) int32 in 0..255, out (256,) int32."""

import triton
import triton.language as tl

# --------------------------------------------------------------------------------------------------
# Idea: a program loads BLOCK elements and adds one to the bin of each, atomically.
# Should help: it is right, and short.
# Costs: an atomic an element. Elements of one value stand in one queue, from all over the grid.


@triton.jit
def _one_atomic_an_element(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,), may pass n in the last program
    x = tl.load(x_ptr + i, mask=i < n)
    tl.atomic_add(out_ptr + x, 1, mask=i < n, sem="relaxed")  # only the sums matter


def one_atomic_an_element(x, out, *, BLOCK=256):
    out.zero_()  # the kernel only adds
    n = x.numel()
    _one_atomic_an_element[(triton.cdiv(n, BLOCK),)](x, out, n, BLOCK=BLOCK)


# --------------------------------------------------------------------------------------------------
# Idea: tl.histogram counts the block of a program; 256 sums are added to those of the grid.
# Should help: 256 atomics in global memory a program, however many elements it counts.
# Costs: bins in shared memory that the compiler clears and adds up.


@triton.jit
def _bins_of_the_program(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,), may pass n in the last program
    counts = tl.histogram(tl.load(x_ptr + i, mask=i < n, other=0), 256, mask=i < n)
    tl.atomic_add(out_ptr + tl.arange(0, 256), counts, sem="relaxed")


def bins_of_the_program(x, out, *, BLOCK=2048):
    out.zero_()
    n = x.numel()
    _bins_of_the_program[(triton.cdiv(n, BLOCK),)](x, out, n, BLOCK=BLOCK)
