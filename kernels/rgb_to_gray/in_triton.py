"""Grey values in Triton: rgb (n, 3) uint8, out (n,) uint8."""

import triton
import triton.language as tl

# --------------------------------------------------------------------------------------------------
# Idea: a program owns BLOCK pixels and loads each channel with addresses three bytes apart.
# Should help: it is the formula.
# Costs: each of the three loads touches all sectors of the block.


@triton.jit
def _three_loads(rgb_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,), may pass n in the last program
    inside = i < n
    # wider than a byte before anything is multiplied
    red = tl.load(rgb_ptr + 3 * i, mask=inside).to(tl.int32)
    green = tl.load(rgb_ptr + 3 * i + 1, mask=inside).to(tl.int32)
    blue = tl.load(rgb_ptr + 3 * i + 2, mask=inside).to(tl.int32)
    gray = (77 * red + 150 * green + 29 * blue + 128) >> 8
    tl.store(out_ptr + i, gray.to(tl.uint8), mask=inside)


def three_loads(rgb, out, *, BLOCK=256):
    n = out.numel()
    _three_loads[(triton.cdiv(n, BLOCK),)](rgb, out, n, BLOCK=BLOCK)


# --------------------------------------------------------------------------------------------------
# Idea: a program loads the bytes of its 256 pixels side by side, and takes red, green and blue from
# the block with tl.gather.
# Should help: every sector is asked for once.
# Costs: a block has a power of two of elements: 1024 for 768 bytes, the rest masked. The gather
# passes through shared memory.


@triton.jit
def _gathered(rgb_ptr, out_ptr, n):
    first = tl.program_id(0) * 256
    k = tl.arange(0, 1024)
    tile = tl.load(rgb_ptr + 3 * first + k, mask=(k < 768) & (3 * first + k < 3 * n), other=0).to(tl.int32)
    t = tl.arange(0, 256)
    red = tl.gather(tile, 3 * t, 0)
    green = tl.gather(tile, 3 * t + 1, 0)
    blue = tl.gather(tile, 3 * t + 2, 0)
    gray = (77 * red + 150 * green + 29 * blue + 128) >> 8
    tl.store(out_ptr + first + t, gray.to(tl.uint8), mask=first + t < n)


def gathered(rgb, out):
    n = out.numel()
    _gathered[(triton.cdiv(n, 256),)](rgb, out, n)
