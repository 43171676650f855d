"""Scale and bias in Triton: out[i] = 0.5 * x[i] + 1, x, out (n,) float32."""

import triton
import triton.language as tl


@triton.jit
def _scale_bias(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,) indices, may pass n in the last program
    inside = i < n
    x = tl.load(x_ptr + i, mask=inside)
    # a Python float takes the type of the tensor that it meets: these are float32
    tl.store(out_ptr + i, x * 0.5 + 1.0, mask=inside)


# --------------------------------------------------------------------------------------------------
# Idea: a program owns BLOCK neighbouring elements and masks those past n. 128 elements for 4 warps:
# one a thread.
# Should help: nothing has to be said about the constants.
# Costs: many small programs, and 4-byte loads.


def one_element_a_thread(x, out, *, BLOCK=128):
    n = out.numel()
    _scale_bias[(triton.cdiv(n, BLOCK),)](x, out, n, BLOCK=BLOCK, num_warps=4)


# --------------------------------------------------------------------------------------------------
# Idea: the same kernel with 1024 elements for 4 warps, eight a thread.
# Should help: when n is a multiple of 16 the compiler loads four neighbours as 16 bytes.
# Costs: with a ragged n the loads stay at 4 bytes.


def eight_elements_a_thread(x, out, *, BLOCK=1024):
    n = out.numel()
    _scale_bias[(triton.cdiv(n, BLOCK),)](x, out, n, BLOCK=BLOCK, num_warps=4)
