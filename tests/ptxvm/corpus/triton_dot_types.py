"""Triton: `tl.dot` in the types and precisions that `triton_dots` leaves out."""

import torch
import triton
import triton.language as tl

from tests.ptxvm.corpus.case import Case, empty, tensor

M, N, K = 64, 32, 64


@triton.jit
def _dot(a_ptr, b_ptr, c_ptr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, PRECISION: tl.constexpr,
         OUT: tl.constexpr):  # fmt: skip
    m, n, k = tl.arange(0, M)[:, None], tl.arange(0, N)[None, :], tl.arange(0, K)
    a = tl.load(a_ptr + m * K + k[None, :])
    b = tl.load(b_ptr + k[:, None] * N + n)
    tl.store(c_ptr + m * N + n, tl.dot(a, b, input_precision=PRECISION, out_dtype=OUT))


def product(rng, kind, out, precision="ieee", counters=None, most=4, since=80, **tolerance):
    a = tensor(rng.uniform(-most, most, (M, K)) if tolerance else rng.integers(-most, most + 1, (M, K))).to(kind)
    b = tensor(rng.uniform(-most, most, (K, N)) if tolerance else rng.integers(-most, most + 1, (K, N))).to(kind)
    triton_type = {torch.float32: tl.float32, torch.float16: tl.float16, torch.float64: tl.float64}[out]

    def launch(a, b, c):
        _dot[(1,)](a, b, c, M, N, K, precision, triton_type, num_warps=4)

    counters = {**(counters or {}), "unique_store_sectors": M * N * out.itemsize // 32}
    tensors = {"a": a, "b": b, "c": empty((M, N), out)}
    return Case(launch, tensors, {"c": a.double() @ b.double()}, counters=counters, since=since, **tolerance)


def case_f16_summed_in_f16(rng):
    """Sums below 2^11 are exact: 64 products of at most 16."""
    products = M // 16 * N // 8 * K // 16
    return product(rng, torch.float16, torch.float16, counters={"mma": products, "flops": 2 * M * N * K})


def case_e5m2(rng):
    """Ada multiplies them as they are; older cards multiply them as f16."""
    return product(rng, torch.float8_e5m2, torch.float32, counters={"flops": 2 * M * N * K}, since=75)


def case_tf32x3(rng):
    """Three products of tf32 make nearly one of float32."""
    products = 3 * (M // 16 * N // 8 * K // 8)
    return product(rng, torch.float32, torch.float32, "tf32x3", {"mma": products}, rtol=1e-5, atol=1e-4)


def case_bf16x3(rng):
    """Two parts of 8 bits a number: 2^-16 of a product is left out."""
    products = 3 * (M // 16 * N // 8 * K // 16)
    return product(rng, torch.float32, torch.float32, "bf16x3", {"mma": products}, rtol=1e-4, atol=5e-3)


def case_bf16x6(rng):
    products = 6 * (M // 16 * N // 8 * K // 16)
    return product(rng, torch.float32, torch.float32, "bf16x6", {"mma": products}, rtol=1e-5, atol=1e-4)


def case_f64(rng):
    """On a card with `mma` for it, m8n8k4; elsewhere fused multiply-adds."""
    return product(rng, torch.float64, torch.float64, counters={"flops": 2 * M * N * K}, most=1000, since=75)
