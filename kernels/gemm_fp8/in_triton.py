"""fp8 multiplication in Triton: c[i, j] = sum_p a[i, p] * b[j, p], a (m, k), b (n, k) e4m3, c (m,
n) float32.
"""

import torch
import triton
import triton.language as tl

# --------------------------------------------------------------------------------------------------
# Idea: an e4m3 number is a 16-bit float with fewer bits: move exponent and mantissa up by 7, and it
# is the number times 2^-8, subnormal ones included. So decode by shifts and multiply on the 16-bit
# tensor cores.
# Should help: it runs on every card with 16-bit tensor cores; the factors and their products are
# exact.
# Costs: a few integer instructions a code, twice the shared memory, half the rate of fp8 tensor
# cores.


@triton.jit
def _decode(code):
    code = code.to(tl.uint16)  # 0 .. 255
    bits = ((code & 0x80) << 8) | ((code & 0x7F) << 7)
    bits = tl.where((code & 0x7F) == 0x7F, 0x7FFF, bits)  # e4m3 has its NaN where float16 has a number
    return bits.to(tl.float16, bitcast=True)  # times 2^8 is the number


@triton.jit
def _decoded_to_f16(
    a_ptr,
    b_ptr,
    c_ptr,
    m,
    n,
    k,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    row = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)  # (BLOCK_M,)
    col = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)  # (BLOCK_N,)
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for first in range(0, k, BLOCK_K):
        p = first + tl.arange(0, BLOCK_K)  # (BLOCK_K,) may pass k in the last round; code 0 is 0.0
        a = tl.load(a_ptr + row[:, None] * k + p, mask=(row[:, None] < m) & (p < k), other=0)  # (BLOCK_M, BLOCK_K)
        b = tl.load(b_ptr + col[:, None] * k + p, mask=(col[:, None] < n) & (p < k), other=0)  # (BLOCK_N, BLOCK_K)
        acc = tl.dot(_decode(a), tl.trans(_decode(b)), acc)
    acc *= 65536.0  # 2^8 for each factor
    inside = (row[:, None] < m) & (col[None, :] < n)
    tl.store(c_ptr + row[:, None] * n + col[None, :], acc, mask=inside)


def decoded_to_f16(a, b, c, *, BLOCK_M=64, BLOCK_N=64, BLOCK_K=32):
    (m, k), n = a.shape, b.shape[0]
    grid = (triton.cdiv(n, BLOCK_N), triton.cdiv(m, BLOCK_M))
    tiles = {"BLOCK_M": BLOCK_M, "BLOCK_N": BLOCK_N, "BLOCK_K": BLOCK_K}
    _decoded_to_f16[grid](a.view(torch.uint8), b.view(torch.uint8), c, m, n, k, **tiles)


# --------------------------------------------------------------------------------------------------
# Idea: hand the e4m3 tiles to tl.dot as they are.
# Should help: no decoding, half the shared memory, and twice the rate of 16-bit tensor cores.
# Costs: compute capability 8.9 or newer. The tensor cores keep fewer bits of a sum than float32
# does.


@triton.jit
def _fp8_dot(
    a_ptr,
    b_ptr,
    c_ptr,
    m,
    n,
    k,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    row = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)  # (BLOCK_M,)
    col = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)  # (BLOCK_N,)
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for first in range(0, k, BLOCK_K):
        p = first + tl.arange(0, BLOCK_K)  # (BLOCK_K,)
        a = tl.load(a_ptr + row[:, None] * k + p, mask=(row[:, None] < m) & (p < k), other=0.0)  # (BLOCK_M, BLOCK_K)
        b = tl.load(b_ptr + col[:, None] * k + p, mask=(col[:, None] < n) & (p < k), other=0.0)  # (BLOCK_N, BLOCK_K)
        acc = tl.dot(a, tl.trans(b), acc)
    inside = (row[:, None] < m) & (col[None, :] < n)
    tl.store(c_ptr + row[:, None] * n + col[None, :], acc, mask=inside)


def fp8_dot(a, b, c, *, BLOCK_M=64, BLOCK_N=64, BLOCK_K=32):
    (m, k), n = a.shape, b.shape[0]
    grid = (triton.cdiv(n, BLOCK_N), triton.cdiv(m, BLOCK_M))
    tiles = {"BLOCK_M": BLOCK_M, "BLOCK_N": BLOCK_N, "BLOCK_K": BLOCK_K}
    _fp8_dot[grid](a, b, c, m, n, k, **tiles)
