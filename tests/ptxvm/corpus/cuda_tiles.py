"""CUDA C++: asynchronous copies, matrix instructions, halves, bfloat16, eight-bit floats."""

import cupy
import numpy as np
import torch

from tests.ptxvm.corpus.case import Case, cuda_launch, empty, tensor

WARP = 32
OPTIONS = ("--std=c++17", "-lineinfo")

_pipeline = cupy.RawKernel(
    r"""
#include <cuda_pipeline_primitives.h>
// Sums rounds x 128 elements of each block, 16 bytes a copy, two buffers.
extern "C" __global__ void pipeline(const float4* x, float* out, int rounds) {
  __shared__ float4 tile[2][32];
  int t = threadIdx.x;
  const float4* mine = x + blockIdx.x * rounds * 32 + t;
  __pipeline_memcpy_async(&tile[0][t], mine, 16);
  __pipeline_commit();
  float sum = 0;
  for (int r = 0; r < rounds; r++) {
    if (r + 1 < rounds) __pipeline_memcpy_async(&tile[(r + 1) % 2][t], mine + (r + 1) * 32, 16);
    __pipeline_commit();
    __pipeline_wait_prior(1);  // all but the newest copy have landed
    __syncwarp();              // those of the other lanes too
    float4 v = tile[r % 2][31 - t];
    sum += v.x + v.y + v.z + v.w;
    __syncwarp();              // all have read before the next copy into this buffer
  }
  for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffff, sum, d);
  if (t == 0) out[blockIdx.x] = sum;
}
""",
    "pipeline",
    OPTIONS,
)


def case_cp_async_pipeline(rng):
    blocks, rounds = 4, 5
    x = rng.integers(-9, 9, (blocks, rounds * 128)).astype(np.float32)

    def launch(x, out):
        cuda_launch(_pipeline, blocks, 32, x, out, rounds)

    counters = {
        "global_load_requests": blocks * rounds,
        "global_load_sectors": 16 * blocks * rounds,
        "global_load_bytes": 16 * WARP * blocks * rounds,
        "flops": (4 * rounds + 5) * blocks * WARP,  # four additions a vector, five rounds of shuffles
    }
    tensors = {"x": tensor(x), "out": empty(blocks, torch.float32)}
    return Case(launch, tensors, {"out": x.sum(axis=1)}, counters=counters, since=80)


_staged = cupy.RawKernel(
    r"""
#include <cuda_pipeline_primitives.h>
// One block of 64 threads stages a row with cp.async and writes it in reverse.
extern "C" __global__ void staged(const float* x, float* out) {
  __shared__ float row[64];
  int t = threadIdx.x, base = blockIdx.x * 64;
  __pipeline_memcpy_async(&row[t], &x[base + t], 4);
  __pipeline_commit();
  __pipeline_wait_prior(0);  // this thread's copy has landed
  __syncthreads();           // so have those of the others
  out[base + t] = row[63 - t];
}
""",
    "staged",
    OPTIONS,
)


def case_cp_async_staged(rng):
    blocks = 3
    x = rng.standard_normal((blocks, 64)).astype(np.float32)

    def launch(x, out):
        cuda_launch(_staged, blocks, 64, x, out)

    warps = blocks * 2
    counters = {"global_load_sectors": 4 * warps, "barriers": warps, "global_store_sectors": 4 * warps}
    tensors = {"x": tensor(x), "out": empty(x.shape, torch.float32)}
    return Case(launch, tensors, {"out": x[:, ::-1].copy()}, counters=counters, since=80)


_mma_f16 = cupy.RawKernel(
    r"""
#include <cuda_fp16.h>
// c (16, 8 a block) = a (16, k) b (k, n): one warp a block, 16 steps of k at a time, through ldmatrix.
extern "C" __global__ void mma_f16(const half* a, const half* b, float* c, int n, int k) {
  __shared__ __align__(16) half left[16][16];
  __shared__ __align__(16) half right[16][8];
  int lane = threadIdx.x, col = blockIdx.x * 8;
  float d[4] = {};
  for (int first = 0; first < k; first += 16) {
    *(uint4*)&left[lane / 2][lane % 2 * 8] = *(const uint4*)&a[lane / 2 * k + first + lane % 2 * 8];
    *(uint2*)&right[lane / 2][lane % 2 * 4] = *(const uint2*)&b[(first + lane / 2) * n + col + lane % 2 * 4];
    __syncwarp();  // both tiles are complete
    unsigned x[4], y[2];
    unsigned at = __cvta_generic_to_shared(&left[lane % 16][lane / 16 * 8]);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(at));
    at = __cvta_generic_to_shared(&right[lane % 16][0]);
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(y[0]), "=r"(y[1]) : "r"(at));
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
    __syncwarp();  // both tiles have been read
  }
  for (int i = 0; i < 4; i++) c[(lane / 4 + i / 2 * 8) * n + col + lane % 4 * 2 + i % 2] = d[i];
}
""",
    "mma_f16",
    OPTIONS,
)


def case_mma_f16_by_ldmatrix(rng):
    m, n, k = 16, 32, 64
    a = rng.integers(-4, 5, (m, k)).astype(np.float16)
    b = rng.integers(-4, 5, (k, n)).astype(np.float16)

    def launch(a, b, c):
        cuda_launch(_mma_f16, n // 8, WARP, a, b, c, n, k)

    steps = n // 8 * k // 16
    counters = {
        "mma": steps,
        "flops": 2 * m * n * k,
        "global_load_bytes": steps * (16 * 16 * 2 + 16 * 8 * 2),
        "global_load_sectors": steps * 2 * 16,  # 16 rows of 32 bytes of a; 16 rows of 16 bytes of b
    }
    tensors = {"a": tensor(a), "b": tensor(b), "c": empty((m, n), torch.float32)}
    return Case(launch, tensors, {"c": a.astype(np.float64) @ b}, counters=counters, since=80)


_mma_s8 = cupy.RawKernel(
    r"""
// c (16, 8) = a (16, 32) b (32, 8) of a batch; b is stored by columns. A warp a product, straight from global memory.
extern "C" __global__ void mma_s8(const int* a, const int* b, int* c) {
  int lane = threadIdx.x, d[4] = {};
  const int *left = a + blockIdx.x * 16 * 8, *right = b + blockIdx.x * 8 * 8;
  unsigned x[4], y[2];
  for (int i = 0; i < 4; i++) x[i] = left[(lane / 4 + i % 2 * 8) * 8 + lane % 4 + i / 2 * 4];
  for (int i = 0; i < 2; i++) y[i] = right[lane / 4 * 8 + lane % 4 + i * 4];
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
  for (int i = 0; i < 4; i++) c[blockIdx.x * 128 + (lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}
""",
    "mma_s8",
    OPTIONS,
)


def case_mma_int8_batched(rng):
    batch = 3
    a = rng.integers(-128, 128, (batch, 16, 32)).astype(np.int8)
    b = rng.integers(-128, 128, (batch, 8, 32)).astype(np.int8)

    def launch(a, b, c):
        cuda_launch(_mma_s8, batch, WARP, a.view(torch.int32), b.view(torch.int32), c)

    want = a.astype(np.int32) @ b.astype(np.int32).transpose(0, 2, 1)
    counters = {
        "mma": batch,
        "flops": 2 * batch * 16 * 8 * 32,
        # 8 rows of 16 bytes a request: half a sector each
        "global_load_sectors": batch * 6 * 8,
        "global_load_bytes": batch * 6 * 4 * WARP,
    }
    tensors = {"a": tensor(a), "b": tensor(b), "c": empty((batch, 16, 8), torch.int32)}
    return Case(launch, tensors, {"c": want}, counters=counters, since=80)


_rms_norm = cupy.RawKernel(
    r"""
#include <cuda_fp16.h>
extern "C" __global__ void rms_norm(const half2* x, const half2* weight, half2* out, int pairs, float eps) {
  __shared__ float sums[2];
  int t = threadIdx.x;
  const half2* row = x + blockIdx.x * pairs;
  float sum = 0;
  for (int i = t; i < pairs; i += 64) {
    float2 v = __half22float2(row[i]);
    sum += v.x * v.x + v.y * v.y;
  }
  for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(0xffffffff, sum, d);
  if (t % 32 == 0) sums[t / 32] = sum;
  __syncthreads();  // both sums are there
  half2 scale = __float2half2_rn(rsqrtf((sums[0] + sums[1]) / (2 * pairs) + eps));
  for (int i = t; i < pairs; i += 64) out[blockIdx.x * pairs + i] = __hmul2(__hmul2(row[i], scale), weight[i]);
}
""",
    "rms_norm",
    OPTIONS,
)


def case_rms_norm_half2(rng):
    rows, cols = 3, 256
    x, weight = (rng.standard_normal(shape).astype(np.float16) for shape in ((rows, cols), (cols,)))

    def launch(x, weight, out):
        cuda_launch(_rms_norm, rows, 64, x, weight, out, cols // 2, 1e-5)

    wide = x.astype(np.float64)
    want = wide / np.sqrt((wide**2).mean(axis=1, keepdims=True) + 1e-5) * weight
    requests = rows * cols // 2 // WARP
    counters = {
        "global_load_requests": 3 * requests,  # the row twice, and the weights
        "global_load_sectors": 3 * 4 * requests,
        "global_store_sectors": 4 * requests,
        "barriers": 2 * rows,
    }
    tensors = {"x": tensor(x), "weight": tensor(weight), "out": empty((rows, cols), torch.float16)}
    return Case(launch, tensors, {"out": want}, rtol=3e-3, atol=1e-4, counters=counters)  # three roundings to half


_bf16 = cupy.RawKernel(
    r"""
#include <cuda_bf16.h>
extern "C" __global__ void bf16_axpy(const __nv_bfloat162* x, __nv_bfloat162* y, float a, int pairs) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= pairs) return;
  float2 u = __bfloat1622float2(x[i]), v = __bfloat1622float2(y[i]);
  y[i] = __floats2bfloat162_rn(fmaf(a, u.x, v.x), fmaf(a, u.y, v.y));
}
""",
    "bf16_axpy",
    OPTIONS,
)


def case_bf16_axpy(rng):
    n = 300
    x, y = (tensor(rng.standard_normal(n).astype(np.float32)).bfloat16() for _ in range(2))

    def launch(x, y):
        cuda_launch(_bf16, 2, 96, x.view(torch.int32), y.view(torch.int32), 1.5, n // 2)

    want = (1.5 * x.double() + y.double()).float().bfloat16()
    counters = {"global_load_bytes": 2 * 2 * n, "global_store_bytes": 2 * n, "flops": 2 * n}
    return Case(launch, {"x": x, "y": y}, {"y": want}, counters=counters)


_fp8 = cupy.RawKernel(
    r"""
#include <cuda_fp8.h>
extern "C" __global__ void fp8(const float* x, __nv_fp8_e4m3* narrow, __nv_fp8_e5m2* range, float* back, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  narrow[i] = __nv_fp8_e4m3(x[i]);
  range[i] = __nv_fp8_e5m2(x[i]);
  back[i] = float(narrow[i]) - float(range[i]);
}
""",
    "fp8",
    OPTIONS,
)


def case_fp8_conversions(rng):
    n = 256
    x = (rng.standard_normal(n) * 2.0 ** rng.integers(-12, 8, n)).astype(np.float32)
    narrow = tensor(x).to(torch.float8_e4m3fn)
    wide_range = tensor(x).to(torch.float8_e5m2)

    def launch(x, narrow, range_, back):
        cuda_launch(_fp8, 2, 128, x, narrow, range_, back, n)

    tensors = {
        "x": tensor(x),
        "narrow": torch.zeros(n, dtype=torch.uint8),
        "range": torch.zeros(n, dtype=torch.uint8),
        "back": empty(n, torch.float32),
    }
    want = {
        "narrow": narrow.view(torch.uint8),
        "range": wide_range.view(torch.uint8),
        "back": narrow.float() - wide_range.float(),
    }
    counters = {"global_store_sectors": n * (1 + 1 + 4) // 32, "global_store_bytes": n * (1 + 1 + 4)}
    return Case(launch, tensors, want, counters=counters)


_top_k = cupy.RawKernel(
    r"""
// The k greatest of a row of 128, one warp a row: k times the greatest of what is left, by votes.
extern "C" __global__ void top_k(const float* x, float* values, int* places, int k) {
  int lane = threadIdx.x, row = blockIdx.x;
  float v[4];
#pragma unroll
  for (int i = 0; i < 4; i++) v[i] = x[row * 128 + 32 * i + lane];
  for (int j = 0; j < k; j++) {
    float best = fmaxf(fmaxf(v[0], v[1]), fmaxf(v[2], v[3]));
    for (int d = 16; d > 0; d /= 2) best = fmaxf(best, __shfl_xor_sync(0xffffffff, best, d));
    bool found = false;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      unsigned here = __ballot_sync(0xffffffff, !found && v[i] == best);
      if (here && !found) {
        found = true;
        int owner = __ffs(here) - 1;
        if (lane == 0) {
          values[row * k + j] = best;
          places[row * k + j] = 32 * i + owner;
        }
        if (lane == owner) v[i] = -INFINITY;
      }
    }
  }
}
""".replace("INFINITY", "__int_as_float(0x7f800000)"),
    "top_k",
    OPTIONS,
)


def case_top_k(rng):
    rows, k = 4, 5
    x = rng.standard_normal((rows, 128)).astype(np.float32)

    def launch(x, values, places):
        cuda_launch(_top_k, rows, WARP, x, values, places, k)

    values, places = torch.topk(tensor(x), k)
    counters = {"global_load_sectors": rows * 4 * 4, "global_store_bytes": rows * k * 8}
    tensors = {"x": tensor(x), "values": empty((rows, k), torch.float32), "places": empty((rows, k), torch.int32)}
    return Case(launch, tensors, {"values": values, "places": places}, counters=counters)


_dynamic = cupy.RawModule(
    code=r"""
template <typename T, int N> __global__ void reversed(const T* x, T* out) {
  extern __shared__ char raw[];
  T* tile = reinterpret_cast<T*>(raw);
  int t = threadIdx.x;
  for (int i = 0; i < N; i++) tile[i * blockDim.x + t] = x[i * blockDim.x + t];
  __syncthreads();  // the tile is complete
  for (int i = 0; i < N; i++) out[i * blockDim.x + t] = tile[N * blockDim.x - 1 - (i * blockDim.x + t)];
}
""",
    options=OPTIONS,
    name_expressions=("reversed<double, 3>", "reversed<unsigned char, 2>"),
)


def case_templates_and_dynamic_shared(rng):
    x = rng.standard_normal(3 * 64)
    y = rng.integers(0, 255, 2 * 64).astype(np.uint8)

    def launch(x, y, xs, ys):
        cuda_launch(_dynamic.get_function("reversed<double, 3>"), 1, 64, x, xs, shared=8 * 3 * 64)
        cuda_launch(_dynamic.get_function("reversed<unsigned char, 2>"), 1, 64, y, ys, shared=2 * 64)

    counters = {"barriers": 2 * 2, "global_load_bytes": 8 * x.size + y.size, "global_store_bytes": 8 * x.size + y.size}
    tensors = {"x": tensor(x), "y": tensor(y), "xs": empty(x.size, torch.float64), "ys": empty(y.size, torch.uint8)}
    return Case(launch, tensors, {"xs": x[::-1].copy(), "ys": y[::-1].copy()}, counters=counters)
