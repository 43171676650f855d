"""Vector addition in Triton: out[i] = x[i] + y[i], all (n,) float32."""

import triton
import triton.language as tl


@triton.jit
def _add_block(x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,) indices, may pass n in the last program
    inside = i < n
    x = tl.load(x_ptr + i, mask=inside)
    y = tl.load(y_ptr + i, mask=inside)
    tl.store(out_ptr + i, x + y, mask=inside)


# --------------------------------------------------------------------------------------------------
# Idea: a program owns BLOCK neighbouring elements and masks those past n. 128 elements for 4 warps:
# one a thread.
# Should help: the mask replaces the guard of a CUDA kernel; neighbouring lanes read neighbouring
# elements.
# Costs: many small programs, and 4-byte loads.


def one_element_a_thread(x, y, out, *, BLOCK=128):
    n = out.numel()
    _add_block[(triton.cdiv(n, BLOCK),)](x, y, out, n, BLOCK=BLOCK, num_warps=4)


# --------------------------------------------------------------------------------------------------
# Idea: the same kernel with 1024 elements for 4 warps, eight a thread.
# Should help: when n is a multiple of 16 the compiler proves that four neighbours share a mask and
# loads them as 16 bytes.
# Costs: with a ragged n the mask may end anywhere, so the loads stay at 4 bytes. Fewer programs for
# small n.


def eight_elements_a_thread(x, y, out, *, BLOCK=1024):
    n = out.numel()
    _add_block[(triton.cdiv(n, BLOCK),)](x, y, out, n, BLOCK=BLOCK, num_warps=4)
