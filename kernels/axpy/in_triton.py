"""axpy in Triton: out[i] = a * x[i] + y[i], x, y, out (n,) float32."""

import triton
import triton.language as tl

# --------------------------------------------------------------------------------------------------
# Idea: a program owns BLOCK neighbouring elements and masks those past n. 128 elements for 4 warps:
# one a thread.
# Should help: neighbouring lanes read neighbouring elements.
# Costs: as many programs as there are blocks of 128 elements.


@triton.jit
def _axpy_block(a, x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,) indices, may pass n in the last program
    inside = i < n
    x = tl.load(x_ptr + i, mask=inside)
    y = tl.load(y_ptr + i, mask=inside)
    tl.store(out_ptr + i, a * x + y, mask=inside)


def one_element_a_thread(a, x, y, out, *, BLOCK=128):
    n = out.numel()
    _axpy_block[(triton.cdiv(n, BLOCK),)](a, x, y, out, n, BLOCK=BLOCK, num_warps=4)


# --------------------------------------------------------------------------------------------------
# Idea: a fixed number of programs; each takes every `programs`-th block, and a block holds four
# elements a thread.
# Should help: no start-up cost for each block; loads of 16 bytes where n is a multiple of 16.
# Costs: a loop; with too few programs multiprocessors stay idle, and the right number depends on
# the card.


@triton.jit
def _axpy_persistent(a, x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr):
    blocks = tl.cdiv(n, BLOCK)
    # block b of the array goes to program b % programs
    for b in range(tl.program_id(0), blocks, tl.num_programs(0)):
        i = b * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
        inside = i < n
        x = tl.load(x_ptr + i, mask=inside)
        y = tl.load(y_ptr + i, mask=inside)
        tl.store(out_ptr + i, a * x + y, mask=inside)


def persistent_programs(a, x, y, out, *, BLOCK=512, PROGRAMS=1024):
    n = out.numel()
    programs = min(PROGRAMS, triton.cdiv(n, BLOCK))  # no more programs than there are blocks
    _axpy_persistent[(programs,)](a, x, y, out, n, BLOCK=BLOCK, num_warps=4)
