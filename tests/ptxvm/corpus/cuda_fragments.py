"""CUDA C++: products with `nvcuda::wmma`, in every type that has fragments, and with `mma` in inline assembly."""

import cupy
import numpy as np
import torch

from tests.ptxvm.corpus.case import Case, cuda_launch, empty, tensor

WARP = 32
OPTIONS = ("--std=c++17", "-lineinfo")

# One tile a warp, straight from global memory: d = alpha a b + c. A is stored by rows, B by columns.
_TILE = r"""
#include <mma.h>
#include <cuda_bf16.h>
using namespace nvcuda;
extern "C" __global__ void tile(const IN* a, const IN* b, const OUT* c, OUT* d, int n, int k, OUT alpha) {
  wmma::fragment<wmma::matrix_a, M, N, K, FRAGMENT, wmma::row_major> left;
  wmma::fragment<wmma::matrix_b, M, N, K, FRAGMENT, wmma::col_major> right;
  wmma::fragment<wmma::accumulator, M, N, K, OUT> sum, start;
  wmma::fill_fragment(sum, OUT(0));
  int row = blockIdx.y * M, column = (blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32) * N;
  for (int i = 0; i < k; i += K) {
    wmma::load_matrix_sync(left, a + row * k + i, k);
    wmma::load_matrix_sync(right, b + column * k + i, k);
    wmma::mma_sync(sum, left, right, sum);
  }
  wmma::load_matrix_sync(start, c + row * n + column, n, wmma::mem_row_major);
  for (int i = 0; i < sum.num_elements; i++) sum.x[i] = alpha * sum.x[i] + start.x[i];  // the same place in both
  wmma::store_matrix_sync(d + row * n + column, sum, n, wmma::mem_row_major);
}
"""


def _tile(given, fragment, out, m, n, k):
    names = {"IN": given, "FRAGMENT": fragment, "OUT": out, "M": m, "N": n, "K": k}
    return cupy.RawKernel("".join(f"#define {name} {text}\n" for name, text in names.items()) + _TILE, "tile", OPTIONS)


def _tiles(rng, kernel, kind, out, shape, most=4, since=80):
    """Two warps a block, a grid of 2 x 2 blocks, four steps along k."""
    m, n, k = shape
    rows, columns, depth, warps = 2 * m, 4 * n, 4 * k, 8
    a = tensor(rng.integers(0 if kind == torch.uint8 else -most, most + 1, (rows, depth))).to(kind)
    b = tensor(rng.integers(0 if kind == torch.uint8 else -most, most + 1, (columns, depth))).to(kind)
    c = tensor(rng.integers(-9, 10, (rows, columns))).to(out)
    alpha = {torch.float32: np.float32, torch.int32: np.int32, torch.float64: np.float64}[out](2)

    def launch(a, b, c, d):
        if kind == torch.bfloat16:  # CuPy has no such type: it passes the bits
            a, b = a.view(torch.int16), b.view(torch.int16)
        cuda_launch(kernel, (2, 2), 2 * WARP, a, b, c, d, columns, depth, alpha)

    counters = {
        "mma": warps * 4,
        "global_load_bytes": warps * (4 * (m * k + k * n) * a.element_size() + m * n * c.element_size()),
        "global_store_bytes": rows * columns * c.element_size(),
        "flops": 2 * rows * columns * depth + (0 if out == torch.int32 else 2 * rows * columns),
    }
    tensors = {"a": a, "b": b, "c": c, "d": empty((rows, columns), out)}
    want = 2 * (a.double() @ b.double().T) + c.double()
    return Case(launch, tensors, {"d": want}, counters=counters, since=since)


_half = _tile("half", "half", "float", 16, 16, 16)
_half_wide = _tile("half", "half", "float", 8, 32, 16)
_bfloat = _tile("__nv_bfloat16", "__nv_bfloat16", "float", 32, 8, 16)
_tf32 = _tile("float", "wmma::precision::tf32", "float", 16, 16, 8)
_signed = _tile("signed char", "signed char", "int", 16, 16, 16)
_unsigned = _tile("unsigned char", "unsigned char", "int", 8, 32, 16)
_double = _tile("double", "double", "double", 8, 8, 4)


def case_f16(rng):
    return _tiles(rng, _half, torch.float16, torch.float32, (16, 16, 16), since=75)


def case_f16_wide(rng):
    return _tiles(rng, _half_wide, torch.float16, torch.float32, (8, 32, 16), since=75)


def case_bf16(rng):
    return _tiles(rng, _bfloat, torch.bfloat16, torch.float32, (32, 8, 16))


def case_tf32(rng):
    """Small whole numbers are tf32 numbers as they are, so that nothing needs rounding."""
    return _tiles(rng, _tf32, torch.float32, torch.float32, (16, 16, 8))


def case_s8(rng):
    return _tiles(rng, _signed, torch.int8, torch.int32, (16, 16, 16), most=127, since=75)


def case_u8(rng):
    return _tiles(rng, _unsigned, torch.uint8, torch.int32, (8, 32, 16), most=255, since=75)


def case_f64(rng):
    return _tiles(rng, _double, torch.float64, torch.float64, (8, 8, 4), most=1000)


_shared = cupy.RawKernel(
    r"""
#include <mma.h>
using namespace nvcuda;
// Four warps share tiles of 64 x 32 and 32 x 64; each warp keeps 2 x 2 fragments.
extern "C" __global__ void shared_tiles(const half* a, const half* b, float* d, int n, int k) {
  __shared__ __align__(32) half left[64][32 + 16], right[32][64 + 16];  // the skew keeps lines in different banks
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum[2][2];
  for (auto& line : sum)
    for (auto& one : line) wmma::fill_fragment(one, 0.f);
  int warp = threadIdx.x / 32, row = blockIdx.y * 64, column = blockIdx.x * 64;
  for (int i = 0; i < k; i += 32) {
    for (int j = threadIdx.x; j < 64 * 32; j += 128) {
      left[j / 32][j % 32] = a[(row + j / 32) * k + i + j % 32];
      right[j / 64][j % 64] = b[(i + j / 64) * n + column + j % 64];
    }
    __syncthreads();  // the tiles are there
    for (int step = 0; step < 32; step += 16) {
      wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> fa[2];
      wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::row_major> fb[2];
      for (int x = 0; x < 2; x++) {
        wmma::load_matrix_sync(fa[x], &left[warp / 2 * 32 + x * 16][step], 48);
        wmma::load_matrix_sync(fb[x], &right[step][warp % 2 * 32 + x * 16], 80);
      }
      for (int x = 0; x < 2; x++)
        for (int y = 0; y < 2; y++) wmma::mma_sync(sum[x][y], fa[x], fb[y], sum[x][y]);
    }
    __syncthreads();  // every warp has read them before they are overwritten
  }
  for (int x = 0; x < 2; x++)
    for (int y = 0; y < 2; y++)
      wmma::store_matrix_sync(d + (row + warp / 2 * 32 + x * 16) * n + column + warp % 2 * 32 + y * 16, sum[x][y], n,
                              wmma::mem_row_major);
}
""",
    "shared_tiles",
    OPTIONS,
)


def case_shared_tiles(rng):
    m, n, k = 128, 128, 64
    a = rng.integers(-4, 5, (m, k)).astype(np.float16)
    b = rng.integers(-4, 5, (k, n)).astype(np.float16)

    def launch(a, b, d):
        cuda_launch(_shared, (n // 64, m // 64), 128, a, b, d, n, k)

    blocks = m // 64 * n // 64
    counters = {
        "mma": m // 16 * n // 16 * k // 16,
        "flops": 2 * m * n * k,
        "barriers": blocks * 4 * 2 * k // 32,
        "global_load_bytes": 2 * blocks * k * (64 + 64),
        "global_store_bytes": 4 * m * n,
    }
    tensors = {"a": tensor(a), "b": tensor(b), "d": empty((m, n), torch.float32)}
    return Case(launch, tensors, {"d": a.astype(np.float64) @ b}, counters=counters)


_assembly = cupy.RawKernel(
    r"""
// One warp: rows of A and columns of B lie side by side, so that a register is one 4-byte load.
extern "C" __global__ void assembly(const unsigned* a, const unsigned* b, float* d) {
  int group = threadIdx.x / 4, thread = threadIdx.x % 4;
  unsigned a0 = a[group * 4 + thread], a1 = a[(group + 8) * 4 + thread], b0 = b[group * 4 + thread];
  float d0, d1, d2, d3;
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %7, %7, %7};"
      : "=f"(d0), "=f"(d1), "=f"(d2), "=f"(d3) : "r"(a0), "r"(a1), "r"(b0), "f"(0.5f));
  d[group * 8 + 2 * thread] = d0;
  d[group * 8 + 2 * thread + 1] = d1;
  d[(group + 8) * 8 + 2 * thread] = d2;
  d[(group + 8) * 8 + 2 * thread + 1] = d3;
}
""",
    "assembly",
    OPTIONS,
)


def case_inline_assembly(rng):
    a = rng.integers(-9, 10, (16, 8)).astype(np.float16)
    b = rng.integers(-9, 10, (8, 8)).astype(np.float16)

    def launch(a, b, d):
        cuda_launch(_assembly, 1, WARP, a, b, d)

    counters = {"mma": 1, "flops": 2 * 16 * 8 * 8, "global_load_sectors": 3 * 4}
    tensors = {"a": tensor(a), "b": tensor(b), "d": empty((16, 8), torch.float32)}
    want = a.astype(np.float64) @ b.T.astype(np.float64) + 0.5
    return Case(launch, tensors, {"d": want}, counters=counters)
