"""Row softmax in Triton: y[i, j] = exp(x[i, j] - m[i]) / sum_k exp(x[i, k] - m[i]), x, y (rows,
cols) float32.
"""

import triton
import triton.language as tl

# --------------------------------------------------------------------------------------------------
# Idea: one program a row; three passes over it in blocks, as in the formula: maximum, sum, result.
# Should help: neighbouring lanes read neighbours, whatever the width of the row.
# Costs: x is read three times, exp is computed twice.


@triton.jit
def _three_passes(x_ptr, y_ptr, cols, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * cols  # the row's first element; may pass 2^31
    largest = tl.full((BLOCK,), -float("inf"), tl.float32)  # (BLOCK,) one running maximum a lane
    for first in range(0, cols, BLOCK):
        col = first + tl.arange(0, BLOCK)  # (BLOCK,) may pass cols in the last round
        largest = tl.maximum(largest, tl.load(x_ptr + row + col, mask=col < cols, other=-float("inf")))
    m = tl.max(largest)
    total = tl.zeros((BLOCK,), tl.float32)
    for first in range(0, cols, BLOCK):
        col = first + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row + col, mask=col < cols, other=-float("inf"))
        total += tl.exp(x - m)  # masked lanes add exp(-inf) = 0
    s = tl.sum(total)
    for first in range(0, cols, BLOCK):
        col = first + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row + col, mask=col < cols)
        tl.store(y_ptr + row + col, tl.exp(x - m) / s, mask=col < cols)


def three_passes(x, y, *, BLOCK=256):
    rows, cols = x.shape
    _three_passes[(rows,)](x, y, cols, BLOCK=BLOCK, num_warps=4)


# --------------------------------------------------------------------------------------------------
# Idea: keep a running maximum and a running sum; when the maximum grows, scale the sum down by
# exp(old - new).
# Should help: two reads of x instead of three, and still any number of columns.
# Costs: two exps an element in the first pass. A lane that has seen only -inf must not compute -inf
# - -inf.


@triton.jit
def _online_max_and_sum(x_ptr, y_ptr, cols, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * cols
    largest = tl.full((BLOCK,), -float("inf"), tl.float32)  # (BLOCK,) running maximum of each lane
    total = tl.zeros((BLOCK,), tl.float32)  # (BLOCK,) sum of exp(x - shift) of each lane
    for first in range(0, cols, BLOCK):
        col = first + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row + col, mask=col < cols, other=-float("inf"))
        grown = tl.maximum(largest, x)
        shift = tl.where(grown == -float("inf"), 0.0, grown)  # nothing but -inf so far: subtract 0, add exp(-inf) = 0
        total = total * tl.exp(largest - shift) + tl.exp(x - shift)
        largest = grown
    m = tl.max(largest)
    # lanes have different maxima: bring each sum to the common one. Where a lane met only -inf,
    # -inf - m needs no exp: its sum is 0
    s = tl.sum(tl.where(largest == -float("inf"), total, total * tl.exp(largest - m)))
    for first in range(0, cols, BLOCK):
        col = first + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row + col, mask=col < cols)
        tl.store(y_ptr + row + col, tl.exp(x - m) / s, mask=col < cols)


def online_max_and_sum(x, y, *, BLOCK=256):
    rows, cols = x.shape
    _online_max_and_sum[(rows,)](x, y, cols, BLOCK=BLOCK, num_warps=4)


# --------------------------------------------------------------------------------------------------
# Idea: a block as wide as the row: the row is loaded once and stays in registers.
# Should help: one read and one write, the compulsory bytes; no loop.
# Costs: BLOCK is rounded up to a power of two (cols = 257 idles 255 lanes); past 16384 columns the
# registers run out.


@triton.jit
def _one_program_a_row(x_ptr, y_ptr, cols, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * cols
    col = tl.arange(0, BLOCK)  # (BLOCK,), BLOCK >= cols
    x = tl.load(x_ptr + row + col, mask=col < cols, other=-float("inf"))
    e = tl.exp(x - tl.max(x))  # masked lanes are exp(-inf) = 0
    tl.store(y_ptr + row + col, e / tl.sum(e), mask=col < cols)


def one_program_a_row(x, y):
    rows, cols = x.shape
    BLOCK = triton.next_power_of_2(cols)
    num_warps = min(16, max(1, BLOCK // 512))  # 16 elements a thread or fewer, up to 8192 columns
    _one_program_a_row[(rows,)](x, y, cols, BLOCK=BLOCK, num_warps=num_warps)
