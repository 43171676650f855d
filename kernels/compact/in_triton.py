"""Compaction in Triton: x (n,) float32; out (n,) gets the positive ones in order, count (1,) int32 their number."""

import torch
import triton
import triton.language as tl

# --------------------------------------------------------------------------------------------------
# Idea: an element that stays goes to the place that is the number of those before it: a tl.cumsum of
# flags, block after block, with the number of those done carried along.
# Should help: order is kept, which a common counter would not do.
# Costs: one multiprocessor works. With one element a thread, warps meet at a barrier for every 128.


@triton.jit
def _one_program_walks(x_ptr, out_ptr, count_ptr, n, BLOCK: tl.constexpr):
    done = 0  # how many stay of the blocks before
    for first in range(0, n, BLOCK):
        i = first + tl.arange(0, BLOCK)  # (BLOCK,), may pass n in the last round
        x = tl.load(x_ptr + i, mask=i < n, other=0.0)
        stays = (x > 0).to(tl.int32)
        place = done + tl.cumsum(stays, 0) - 1  # the sum counts this element too
        tl.store(out_ptr + place, x, mask=x > 0)
        done += tl.sum(stays)
    for first in range(0, n, BLOCK):
        i = first + tl.arange(0, BLOCK)
        tl.store(out_ptr + i, tl.zeros((BLOCK,), tl.float32), mask=(i >= done) & (i < n))  # behind those that stay
    tl.store(count_ptr, done)


def one_program_walks(x, out, count, *, BLOCK=128):
    _one_program_walks[(1,)](x, out, count, x.numel(), BLOCK=BLOCK)


# --------------------------------------------------------------------------------------------------
# Idea: in three launches: the number of each block, a scan of the numbers, and every program moves
# its own elements.
# Should help: all multiprocessors work; with eight elements a thread most of the sum needs no
# barrier.
# Costs: x is read twice.


@triton.jit
def _numbers(x_ptr, numbers_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    x = tl.load(x_ptr + i, mask=i < n, other=0.0)
    tl.store(numbers_ptr + tl.program_id(0), tl.sum((x > 0).to(tl.int32)))


@triton.jit
def _scan_of_numbers(numbers_ptr, before_ptr, count_ptr, programs, BLOCK: tl.constexpr):
    done = 0
    for first in range(0, programs, BLOCK):
        p = first + tl.arange(0, BLOCK)  # (BLOCK,)
        numbers = tl.load(numbers_ptr + p, mask=p < programs, other=0)
        tl.store(before_ptr + p, done + tl.cumsum(numbers, 0) - numbers, mask=p < programs)
        done += tl.sum(numbers)
    tl.store(count_ptr, done)


@triton.jit
def _move(x_ptr, before_ptr, count_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    x = tl.load(x_ptr + i, mask=i < n, other=0.0)
    place = tl.load(before_ptr + tl.program_id(0)) + tl.cumsum((x > 0).to(tl.int32), 0) - 1
    tl.store(out_ptr + place, x, mask=x > 0)
    behind = (i >= tl.load(count_ptr)) & (i < n)
    tl.store(out_ptr + i, tl.zeros((BLOCK,), tl.float32), mask=behind)


def totals_first(x, out, count, *, BLOCK=1024):
    n = x.numel()
    programs = triton.cdiv(n, BLOCK)
    numbers, before = torch.empty(2, programs, dtype=torch.int32, device=x.device)  # (programs,) each
    _numbers[(programs,)](x, numbers, n, BLOCK=BLOCK)
    _scan_of_numbers[(1,)](numbers, before, count, programs, BLOCK=1024)
    _move[(programs,)](x, before, count, out, n, BLOCK=BLOCK)
