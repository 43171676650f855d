"""Where the largest element stands, in Triton. x (n,) float32, n < 2^31, out (1,) int64."""

import triton
import triton.language as tl

LOWEST = -(2**63)  # less than every key

# --------------------------------------------------------------------------------------------------
# Idea: one program walks over the array and keeps a pair of value and index in each of BLOCK lanes;
# tl.reduce compares those at the end, with a rule of our own.
# Should help: nobody has to agree with anybody.
# Costs: one multiprocessor works, all others idle. (tl.argmax is shorter, but a NaN may get lost.)


@triton.jit
def _better(v, i, w, j):
    # the better of v at index i and w at j; the same answer with the two exchanged
    nan_first = (v != v) & ((w == w) | (i < j))  # a NaN loses only to an earlier NaN
    first = nan_first | (v > w) | ((v == w) & (i < j))
    return tl.where(first, v, w), tl.where(first, i, j)


@triton.jit
def _one_program(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    value = tl.full((BLOCK,), float("-inf"), tl.float32)
    index = tl.full((BLOCK,), 0x7FFFFFFF, tl.int32)  # loses to every element, to -infinity too
    for first in range(0, n, BLOCK):
        i = first + tl.arange(0, BLOCK)  # (BLOCK,), may pass n in the last round
        x = tl.load(x_ptr + i, mask=i < n, other=float("-inf"))  # i >= n loses to all i < n
        value, index = _better(value, index, x, i)
    value, index = tl.reduce((value, index), 0, _better)
    tl.store(out_ptr, index.to(tl.int64))


def one_program(x, out, *, BLOCK=1024):
    _one_program[(1,)](x, out, x.numel(), BLOCK=BLOCK)


# --------------------------------------------------------------------------------------------------
# Idea: value and index become one whole number, the key: the larger value has the larger key, and
# of equal values the smaller index. One program a block of elements, one atomic joins it.
# Should help: all multiprocessors work, and tl.max of whole numbers needs no rule.
# Costs: keys have 64 bits; a second launch takes the index out of the key.


@triton.jit
def _one_atomic_a_program(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)  # (BLOCK,)
    x = tl.load(x_ptr + i, mask=i < n, other=float("-inf"))
    order = (x + 0.0).to(tl.int32, bitcast=True)  # the addition makes 0.0 of -0.0
    order = tl.where(order < 0, order ^ 0x7FFFFFFF, order)  # negative: the more bits, the less
    order = tl.where(x != x, 0x7FFFFFFF, order)  # every NaN, above infinity
    key = (order.to(tl.int64) << 32) | (0xFFFFFFFF - i.to(tl.int64))  # i >= n loses to all i < n
    tl.atomic_max(out_ptr, tl.max(key), sem="relaxed")  # it orders no other access


@triton.jit
def _index_of_key(out_ptr):
    tl.store(out_ptr, 0xFFFFFFFF - (tl.load(out_ptr) & 0xFFFFFFFF))


def one_atomic_a_program(x, out, *, BLOCK=2048):
    out.fill_(LOWEST)  # the kernel only raises it
    n = x.numel()
    _one_atomic_a_program[(triton.cdiv(n, BLOCK),)](x, out, n, BLOCK=BLOCK)
    _index_of_key[(1,)](out)
