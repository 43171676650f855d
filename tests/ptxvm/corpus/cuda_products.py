"""CUDA C++: products through the fragments of wmma, whose layout the language leaves open."""

import cupy
import numpy as np
import torch

from tests.ptxvm.corpus.case import Case, cuda_launch, empty, tensor

WARP = 32
OPTIONS = ("--std=c++17", "-lineinfo")

_wmma = cupy.RawModule(
    code=r"""
#include <mma.h>
using namespace nvcuda;
// A warp makes a tile of 16 x 16 of c (m, n) = a (m, k) * b (k, n).
extern "C" __global__ void tiles_f16(const half* a, const half* b, float* c, int n, int k) {
  wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> left;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::row_major> right;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
  wmma::fill_fragment(sum, 0.f);
  int row = blockIdx.y * 16, col = (blockIdx.x * blockDim.x + threadIdx.x) / 32 * 16;
  for (int i = 0; i < k; i += 16) {
    wmma::load_matrix_sync(left, a + row * k + i, k);
    wmma::load_matrix_sync(right, b + i * n + col, n);
    wmma::mma_sync(sum, left, right, sum);
  }
  for (int e = 0; e < sum.num_elements; e++) sum.x[e] = 2 * sum.x[e];  // alike for every element: the layout is open
  wmma::store_matrix_sync(c + row * n + col, sum, n, wmma::mem_row_major);
}
extern "C" __global__ void tiles_s8(const signed char* a, const signed char* b, int* c, int n, int k) {
  __shared__ int staged[16 * 16];
  wmma::fragment<wmma::matrix_a, 16, 16, 16, signed char, wmma::row_major> left;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, signed char, wmma::col_major> right;
  wmma::fragment<wmma::accumulator, 16, 16, 16, int> sum;
  wmma::fill_fragment(sum, 0);
  int row = blockIdx.y * 16, col = blockIdx.x * 16;
  for (int i = 0; i < k; i += 16) {
    wmma::load_matrix_sync(left, a + row * k + i, k);
    wmma::load_matrix_sync(right, b + col * k + i, k);  // b is (n, k)
    wmma::mma_sync(sum, left, right, sum);
  }
  wmma::store_matrix_sync(staged, sum, 16, wmma::mem_col_major);
  __syncwarp();  // the tile is complete
  for (int e = threadIdx.x; e < 256; e += 32) c[(row + e / 16) * n + col + e % 16] = staged[e % 16 * 16 + e / 16];
}
""",
    options=OPTIONS,
)


def case_wmma_f16(rng):
    m, n, k = 32, 64, 48
    a, b = rng.integers(-4, 5, (m, k)).astype(np.float16), rng.integers(-4, 5, (k, n)).astype(np.float16)

    def launch(a, b, c):
        cuda_launch(_wmma.get_function("tiles_f16"), (n // 32, m // 16), 64, a, b, c, n, k)

    products = m * n * k // 16**3
    counters = {
        "flops": 2 * m * n * k + m * n,  # each element is doubled
        "mma": products,
        "global_load_bytes": products * 2 * 16 * 16 * 2,  # halves of both tiles
        "unique_store_sectors": m * n * 4 // 32,
    }
    want = 2 * a.astype(np.float32) @ b.astype(np.float32)
    tensors = {"a": tensor(a), "b": tensor(b), "c": empty((m, n), torch.float32)}
    return Case(launch, tensors, {"c": want}, counters=counters)


def case_wmma_int8(rng):
    m, n, k = 32, 16, 64
    a, b = rng.integers(-128, 128, (m, k)).astype(np.int8), rng.integers(-128, 128, (n, k)).astype(np.int8)

    def launch(a, b, c):
        cuda_launch(_wmma.get_function("tiles_s8"), (n // 16, m // 16), 32, a, b, c, n, k)

    counters = {"flops": 2 * m * n * k, "mma": m * n * k // 16**3, "global_store_sectors": m * n * 4 // 32}
    tensors = {"a": tensor(a), "b": tensor(b), "c": empty((m, n), torch.int32)}
    return Case(launch, tensors, {"c": a.astype(np.int32) @ b.astype(np.int32).T}, counters=counters)
