"""Exclusive prefix sum in Triton: out[i] = sum of x[:i], x, out (n,) float32."""

import torch
import triton
import triton.language as tl

# --------------------------------------------------------------------------------------------------
# Idea: one program takes BLOCK elements at a time, scans them with tl.cumsum and carries the sum on.
# Should help: nobody waits for anybody.
# Costs: one multiprocessor works. With one element a thread, warps meet at a barrier for every 128.


@triton.jit
def _one_program_walks(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    carry = 0.0  # the sum of all blocks before
    for first in range(0, n, BLOCK):
        i = first + tl.arange(0, BLOCK)  # (BLOCK,), may pass n in the last round
        # the elements one to the left: their sums up to i are the sums before i
        left = tl.load(x_ptr + i - 1, mask=(i > first) & (i <= n), other=0.0)
        tl.store(out_ptr + i, carry + tl.cumsum(left, 0), mask=i < n)
        carry += tl.sum(tl.load(x_ptr + i, mask=i < n, other=0.0))


def one_program_walks(x, out, *, BLOCK=128):
    _one_program_walks[(1,)](x, out, x.numel(), BLOCK=BLOCK)


# --------------------------------------------------------------------------------------------------
# Idea: first every program finds the total of its block; one program scans the totals; then every
# program scans its own block, beginning with the sum of all before it.
# Should help: all multiprocessors work; with eight elements a thread most of the sum needs no barrier.
# Costs: x is read twice and more, and there are three launches.


@triton.jit
def _block_totals(x_ptr, totals_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    tl.store(totals_ptr + tl.program_id(0), tl.sum(tl.load(x_ptr + i, mask=i < n, other=0.0)))


@triton.jit
def _scan_from(x_ptr, before_ptr, out_ptr, n, BLOCK: tl.constexpr):
    first = tl.program_id(0) * BLOCK
    i = first + tl.arange(0, BLOCK)  # (BLOCK,)
    left = tl.load(x_ptr + i - 1, mask=(i > first) & (i <= n), other=0.0)
    before = tl.load(before_ptr + tl.program_id(0))
    tl.store(out_ptr + i, before + tl.cumsum(left, 0), mask=i < n)


def totals_first(x, out, *, BLOCK=1024):
    n = x.numel()
    programs = triton.cdiv(n, BLOCK)
    totals, before = torch.empty(2, programs, device=x.device)  # (programs,) float32 each, written in full
    _block_totals[(programs,)](x, totals, n, BLOCK=BLOCK)
    _one_program_walks[(1,)](totals, before, programs, BLOCK=1024)
    _scan_from[(programs,)](x, before, out, n, BLOCK=BLOCK)
