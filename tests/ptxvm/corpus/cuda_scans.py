"""CUDA C++: scans, reductions of two orders, products with packed weights, grids of three dimensions, long indices."""

import cupy
import numpy as np
import torch

from tests.ptxvm.corpus.case import Case, cuda_launch, empty, tensor
from tests.ptxvm.corpus.worlds import packed_weights

WARP = 32
OPTIONS = ("--std=c++17", "-lineinfo")

_orders = cupy.RawModule(
    code=r"""
// Both add 256 elements of a block in shared memory: pairs that lie together first, or halves of the row.
extern "C" __global__ void neighbours(const float* x, float* out) {
  extern __shared__ float pairs[];
  int t = threadIdx.x;
  pairs[t] = x[blockIdx.x * blockDim.x + t];
  for (int d = 1; d < blockDim.x; d *= 2) {
    __syncthreads();  // the sums of the last round
    if (t % (2 * d) == 0) pairs[t] += pairs[t + d];
  }
  if (t == 0) out[blockIdx.x] = pairs[0];
}
extern "C" __global__ void halves(const float* x, float* out) {
  extern __shared__ float sums[];
  int t = threadIdx.x;
  sums[t] = x[blockIdx.x * blockDim.x + t];
  for (int d = blockDim.x / 2; d > 0; d /= 2) {
    __syncthreads();  // both halves
    if (t < d) sums[t] += sums[t + d];
  }
  if (t == 0) out[blockIdx.x] = sums[0];
}
""",
    options=OPTIONS,
)


def _ordered(kernel, rng, wavefronts):
    blocks, threads = 3, 256
    x = rng.integers(-99, 99, (blocks, threads)).astype(np.float32)

    def launch(x, out):
        cuda_launch(_orders.get_function(kernel), blocks, threads, x, out, shared=4 * threads)

    rounds, warps = 8, threads // WARP
    counters = {
        "barriers": blocks * warps * rounds,
        "flops": blocks * (threads - 1),
        "shared_wavefronts": blocks * wavefronts,
        "global_load_sectors": blocks * threads * 4 // 32,
    }
    tensors = {"x": tensor(x), "out": empty(blocks, torch.float32)}
    return Case(launch, tensors, {"out": x.sum(axis=1)}, counters=counters)


def case_sum_by_neighbours(rng):
    # A warp stores once; a round reads twice and stores once in the warps that still add: all 8 in the rounds 1 to 16,
    # then 4, 2 and 1. No two lanes of a warp share a bank. The last thread reads once more.
    return _ordered("neighbours", rng, 8 + 3 * (5 * 8 + 4 + 2 + 1) + 1)


def case_sum_by_halves(rng):
    # warps that add: 4, 2, 1 and then one in each of the rounds of 16, 8, 4, 2, 1
    return _ordered("halves", rng, 8 + 3 * (4 + 2 + 1 + 5) + 1)


_warp_scan = cupy.RawKernel(
    r"""
extern "C" __global__ void warp_scan(const int* x, int* out) {
  __shared__ int totals[8];
  int i = blockIdx.x * 256 + threadIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int sum = x[i];
  for (int d = 1; d < 32; d *= 2) {
    int below = __shfl_up_sync(0xffffffff, sum, d);
    if (lane >= d) sum += below;
  }
  if (lane == 31) totals[warp] = sum;
  __syncthreads();  // the sums of all warps
  for (int w = 0; w < warp; w++) sum += totals[w];
  out[i] = sum;
}
""",
    "warp_scan",
    OPTIONS,
)


def case_scan_by_shuffles(rng):
    blocks, threads = 2, 256
    x = rng.integers(-99, 99, (blocks, threads)).astype(np.int32)

    def launch(x, out):
        cuda_launch(_warp_scan, blocks, threads, x, out)

    warps = threads // WARP
    counters = {
        "barriers": blocks * warps,
        "global_load_sectors": blocks * threads * 4 // 32,
        "global_store_sectors": blocks * threads * 4 // 32,
    }
    return Case(
        launch, {"x": tensor(x), "out": empty(x.shape, torch.int32)}, {"out": x.cumsum(axis=1)}, counters=counters
    )


_four_bits = cupy.RawKernel(
    r"""
#include <cuda_fp16.h>
// w (rows, cols / 8): eight weights of 4 bits a word, less 8; scale (rows, cols / 32) in half; a warp a row.
extern "C" __global__ void four_bits(const unsigned* w, const __half* scale, const __half* x, float* out, int cols) {
  int row = blockIdx.x, lane = threadIdx.x;
  float sum = 0;
  for (int word = lane; word < cols / 8; word += 32) {
    unsigned packed = w[row * (cols / 8) + word];
    float part = 0;
    for (int k = 0; k < 8; k++)
      part = fmaf((int)(packed >> (4 * k) & 15) - 8, __half2float(x[8 * word + k]), part);
    sum = fmaf(__half2float(scale[row * (cols / 32) + word / 4]), part, sum);
  }
  for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffff, sum, d);
  if (lane == 0) out[row] = sum;
}
""",
    "four_bits",
    OPTIONS,
)


def case_matvec_int4(rng):
    rows, cols = 5, 512
    words, scale, weights = packed_weights(rng, rows, cols)
    x = rng.integers(-4, 5, cols).astype(np.float16)

    def launch(w, scale, x, out):
        cuda_launch(_four_bits, rows, 32, w.view(torch.int32), scale, x, out, cols)

    lanes = rows * cols // 8  # a word each
    counters = {
        "flops": lanes * (2 * 8 + 2) + 5 * WARP * rows,
        "global_load_bytes": lanes * (4 + 2 + 2 * 8),
        "global_store_requests": rows,
    }
    tensors = {"w": tensor(words), "scale": tensor(scale), "x": tensor(x), "out": empty(rows, torch.float32)}
    return Case(launch, tensors, {"out": weights @ x.astype(np.float64)}, counters=counters)


_bodies = cupy.RawKernel(
    r"""
// place (n): x, y, z, mass. pull[i] = sum of mass * d / (|d|^2 + 1)^(3/2) over all bodies.
extern "C" __global__ void bodies(const float4* place, float4* pull, int n) {
  __shared__ float4 tile[64];
  int t = threadIdx.x, i = blockIdx.x * 64 + t;
  float4 mine = place[i], sum = make_float4(0, 0, 0, 0);
  for (int first = 0; first < n; first += 64) {
    tile[t] = place[first + t];
    __syncthreads();  // the tile is complete
    for (int k = 0; k < 64; k++) {
      float4 o = tile[k];
      float x = o.x - mine.x, y = o.y - mine.y, z = o.z - mine.z, r = rsqrtf(x * x + y * y + z * z + 1);
      float by = o.w * r * r * r;
      sum.x += x * by;
      sum.y += y * by;
      sum.z += z * by;
    }
    __syncthreads();  // all have read it
  }
  pull[i] = sum;
}
""",
    "bodies",
    OPTIONS,
)


def case_bodies_in_space(rng):
    n = 128
    place = rng.standard_normal((n, 4)).astype(np.float32)
    d = place[None, :, :3].astype(np.float64) - place[:, None, :3]
    by = place[:, 3] * ((d * d).sum(axis=2) + 1) ** -1.5
    want = np.concatenate([(d * by[:, :, None]).sum(axis=1), np.zeros((n, 1))], axis=1)

    def launch(place, pull):
        cuda_launch(_bodies, n // 64, 64, place, pull, n)

    tiles, warps = n // 64, n // WARP
    counters = {
        "barriers": 2 * tiles * warps,
        "global_load_sectors": warps * (1 + tiles) * 16,
        "global_store_sectors": warps * 16,
        "shared_requests": warps * tiles * (1 + 64),
        # three differences, one product and two additions chained to products and 1, two for the cube and one for the
        # mass, three additions of products; the reciprocal root is counted as one
        "flops": n * n * (3 + 1 + 2 * 2 + 1 + 1 + 3 + 3 * 2),
    }
    tensors = {"place": tensor(place), "pull": empty((n, 4), torch.float32)}
    return Case(launch, tensors, {"pull": want}, rtol=1e-4, atol=1e-4, counters=counters)


_channels_last = cupy.RawKernel(
    r"""
extern "C" __global__ void channels_last(const short* x, short* out, int channels, int rows, int cols) {
  int col = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
  int channel = blockIdx.z * blockDim.z + threadIdx.z;
  if (col < cols && row < rows && channel < channels)
    out[(row * cols + col) * channels + channel] = x[(channel * rows + row) * cols + col];
}
""",
    "channels_last",
    OPTIONS,
)


def case_grid_of_three_dimensions(rng):
    channels, rows, cols = 5, 7, 20
    x = rng.integers(-999, 999, (channels, rows, cols)).astype(np.int16)

    def launch(x, out):
        cuda_launch(_channels_last, (2, 4, 3), (16, 2, 2), x, out, channels, rows, cols)

    counters = {"global_load_bytes": 2 * x.size, "global_store_bytes": 2 * x.size}
    tensors = {"x": tensor(x), "out": empty((rows, cols, channels), torch.int16)}
    return Case(launch, tensors, {"out": x.transpose(1, 2, 0).copy()}, counters=counters)


_long = cupy.RawKernel(
    r"""
// Element i is asked for as i << shift, which needs 64 bits.
extern "C" __global__ void long_index(const float* x, float* out, long long n, int shift) {
  long long far = ((long long)blockIdx.x * blockDim.x + threadIdx.x) << shift;
  long long step = (long long)gridDim.x * blockDim.x << shift;
  for (; far < n << shift; far += step) out[far >> shift] = x[n - 1 - (far >> shift)];
}
""",
    "long_index",
    OPTIONS,
)


def case_index_of_64_bits(rng):
    n = 256
    x = rng.standard_normal(n).astype(np.float32)

    def launch(x, out):
        cuda_launch(_long, 2, 64, x, out, np.int64(n), 40)

    counters = {"global_load_sectors": n * 4 // 32, "global_store_sectors": n * 4 // 32}
    return Case(launch, {"x": tensor(x), "out": empty(n, torch.float32)}, {"out": x[::-1].copy()}, counters=counters)
