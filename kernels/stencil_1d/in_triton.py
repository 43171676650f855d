"""Seven-point smoothing in Triton: x, out (n,) float32, x is 0 outside."""

import triton
import triton.language as tl

# --------------------------------------------------------------------------------------------------
# Idea: a program owns a block of out and loads x seven times, each time shifted by one element.
# Should help: it is the formula; the mask gives the zeros outside.
# Costs: each element is asked for seven times, and shifted addresses are no multiples of 16 bytes.


@triton.jit
def _seven_loads(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,), may pass n in the last program
    total = tl.zeros((BLOCK,), tl.float32)
    for k in tl.static_range(7):
        j = i + (k - 3)
        weight = 20 if k == 3 else (15 if (k == 2 or k == 4) else (6 if (k == 1 or k == 5) else 1))
        total += weight * tl.load(x_ptr + j, mask=(j >= 0) & (j < n), other=0.0)
    tl.store(out_ptr + i, total * (1 / 64), mask=i < n)


def seven_loads(x, out, *, BLOCK=256):
    n = x.numel()
    _seven_loads[(triton.cdiv(n, BLOCK),)](x, out, n, BLOCK=BLOCK)


# --------------------------------------------------------------------------------------------------
# Idea: a program loads BLOCK elements once and computes the BLOCK - 6 results that they suffice
# for; tl.gather fetches neighbours from the block itself.
# Should help: each element is asked for once, but for six at the seam of two programs.
# Costs: a gather passes through shared memory and a barrier; BLOCK - 6 is no power of two, so
# programs begin at odd addresses.


@triton.jit
def _gathered(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    t = tl.arange(0, BLOCK)
    i = tl.program_id(0) * (BLOCK - 6) - 3 + t  # (BLOCK,), from -3 on
    x = tl.load(x_ptr + i, mask=(i >= 0) & (i < n), other=0.0)
    total = tl.zeros((BLOCK,), tl.float32)
    for k in tl.static_range(7):
        weight = 20 if k == 3 else (15 if (k == 2 or k == 4) else (6 if (k == 1 or k == 5) else 1))
        # clipped at the ends of the block: what is wrong there is not stored
        total += weight * tl.gather(x, tl.minimum(tl.maximum(t + (k - 3), 0), BLOCK - 1), 0)
    inside = (t >= 3) & (t < BLOCK - 3) & (i < n)
    tl.store(out_ptr + i, total * (1 / 64), mask=inside)


def gathered(x, out, *, BLOCK=1024):
    n = x.numel()
    _gathered[(triton.cdiv(n, BLOCK - 6),)](x, out, n, BLOCK=BLOCK)
