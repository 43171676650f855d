"""Sum in Triton: out[0] = sum of x, x (n,) float32, out (1,) float32."""

import torch
import triton
import triton.language as tl

# --------------------------------------------------------------------------------------------------
# Idea: one program walks over the array, keeps BLOCK sums in registers, and adds those up at the
# end.
# Should help: nobody has to agree with anybody; the order is fixed.
# Costs: one multiprocessor works, all others idle.


@triton.jit
def _one_program(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    sums = tl.zeros((BLOCK,), tl.float32)
    for first in range(0, n, BLOCK):
        i = first + tl.arange(0, BLOCK)  # (BLOCK,), may pass n in the last round
        sums += tl.load(x_ptr + i, mask=i < n, other=0.0)  # masked elements add nothing
    tl.store(out_ptr, tl.sum(sums))


def one_program(x, out, *, BLOCK=1024):
    _one_program[(1,)](x, out, x.numel(), BLOCK=BLOCK)


# --------------------------------------------------------------------------------------------------
# Idea: one program a block of elements; tl.sum adds up within it by shuffles and shared memory, one
# atomic joins it.
# Should help: all multiprocessors work.
# Costs: the order of the atomics, and so the rounding, differs from run to run; out must hold 0 at
# the start.


@triton.jit
def _one_atomic_a_program(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    x = tl.load(x_ptr + i, mask=i < n, other=0.0)
    tl.atomic_add(out_ptr, tl.sum(x), sem="relaxed")  # only the sum matters: it orders no other access


def one_atomic_a_program(x, out, *, BLOCK=4096):
    out.zero_()
    n = x.numel()
    _one_atomic_a_program[(triton.cdiv(n, BLOCK),)](x, out, n, BLOCK=BLOCK)


# --------------------------------------------------------------------------------------------------
# Idea: each program writes its sum to a place of its own, and a second kernel adds those up: its
# launch is the barrier.
# Should help: no atomics, out needs no zero, and the same bits come out in every run.
# Costs: a second launch, a few microseconds; memory for one partial sum a program.


@triton.jit
def _partial_sums(x_ptr, partial_ptr, n, BLOCK: tl.constexpr):
    program = tl.program_id(0)
    sums = tl.zeros((BLOCK,), tl.float32)
    for first in range(program * BLOCK, n, tl.num_programs(0) * BLOCK):
        i = first + tl.arange(0, BLOCK)  # (BLOCK,)
        sums += tl.load(x_ptr + i, mask=i < n, other=0.0)
    tl.store(partial_ptr + program, tl.sum(sums))


def two_kernels(x, out, *, BLOCK=1024, PROGRAMS=1024):
    n = x.numel()
    programs = min(PROGRAMS, triton.cdiv(n, BLOCK))
    partial = torch.empty(programs, device=x.device)  # (programs,) float32, written in full by the first kernel
    _partial_sums[(programs,)](x, partial, n, BLOCK=BLOCK)
    _one_program[(1,)](partial, out, programs, BLOCK=1024)
