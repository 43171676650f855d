"""CUDA C++: reductions, scans, histograms: what the threads of a block and the blocks of a grid do together."""

import cupy
import numpy as np
import torch

from tests.ptxvm.corpus.case import Case, cuda_launch, empty, tensor

WARP = 32
OPTIONS = ("--std=c++17", "-lineinfo")

_scale_float4 = cupy.RawKernel(
    r"""
extern "C" __global__ void scale_float4(const float4* x, float4* out, int vectors, float a) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < vectors; i += gridDim.x * blockDim.x) {
    float4 v = x[i];
    out[i] = make_float4(a * v.x, a * v.y, a * v.z, a * v.w);
  }
}
""",
    "scale_float4",
    OPTIONS,
)


def case_scale_float4(rng):
    n = 4 * 640
    x = rng.standard_normal(n).astype(np.float32)

    def launch(x, out):
        cuda_launch(_scale_float4, 3, 128, x, out, n // 4, 2.0)

    requests = n // 4 // WARP
    counters = {
        "global_load_requests": requests,
        "global_load_sectors": 16 * requests,  # 32 lanes of 16 bytes
        "global_store_sectors": 16 * requests,
        "flops": n,
    }
    return Case(launch, {"x": tensor(x), "out": empty(n, torch.float32)}, {"out": 2 * x}, counters=counters)


_block_sum = cupy.RawKernel(
    r"""
extern "C" __global__ void block_sum(const float* x, float* out, int n) {
  __shared__ float sums[8];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  float v = i < n ? x[i] : 0.f;
  for (int d = 16; d > 0; d /= 2) v += __shfl_down_sync(0xffffffff, v, d);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = v;
  __syncthreads();  // all eight sums are there
  if (threadIdx.x < 32) {
    v = threadIdx.x < 8 ? sums[threadIdx.x] : 0.f;
    for (int d = 4; d > 0; d /= 2) v += __shfl_down_sync(0xffffffff, v, d);
    if (threadIdx.x == 0) atomicAdd(out, v);
  }
}
""",
    "block_sum",
    OPTIONS,
)


def case_block_sum(rng):
    n, threads = 1000, 256
    blocks = -(-n // threads)
    x = rng.integers(-9, 9, n).astype(np.float32)

    def launch(x, out):
        cuda_launch(_block_sum, blocks, threads, x, out, n)

    counters = {
        "global_load_requests": -(-n // WARP),
        "atomics": blocks,
        "barriers": blocks * threads // WARP,
        "shared_wavefronts": blocks * (threads // WARP + 1),  # a store a warp, and one load
    }
    return Case(launch, {"x": tensor(x), "out": torch.zeros(1)}, {"out": [x.sum()]}, counters=counters)


_last_block = cupy.RawKernel(
    r"""
__device__ unsigned arrived;
extern "C" __global__ void last_block(const int* x, int* sums, int* out) {
  __shared__ int part[64];
  __shared__ bool last;
  int t = threadIdx.x;
  part[t] = x[blockIdx.x * 64 + t];
  __syncthreads();  // the row is complete
  for (int d = 32; d > 0; d /= 2) {
    if (t < d) part[t] += part[t + d];
    __syncthreads();  // this round before the next one
  }
  if (t == 0) {
    sums[blockIdx.x] = part[0];
    __threadfence();  // the sum before the count
    last = atomicAdd(&arrived, 1) == gridDim.x - 1;
  }
  __syncthreads();  // everybody knows whether this is the last block
  if (last && t == 0) {
    int total = 0;
    for (int b = 0; b < gridDim.x; b++) total += ((volatile int*)sums)[b];
    *out = total;
    arrived = 0;
  }
}
""",
    "last_block",
    OPTIONS,
)


def case_last_block_adds(rng):
    blocks = 6
    x = rng.integers(-99, 99, 64 * blocks).astype(np.int32)

    def launch(x, sums, out):
        cuda_launch(_last_block, blocks, 64, x, sums, out)

    counters = {"atomics": blocks, "barriers": blocks * 2 * (1 + 6 + 1), "global_load_bytes": 4 * (x.size + blocks)}
    tensors = {"x": tensor(x), "sums": empty(blocks, torch.int32), "out": empty(1, torch.int32)}
    return Case(launch, tensors, {"out": [x.sum()]}, counters=counters)


_lookback = cupy.RawKernel(
    r"""
// state of a block: 0 nothing, 1 its own sum is known, 2 the sum up to it is known; upper half: the value
extern "C" __global__ void lookback(const int* x, int* out, unsigned long long* state, int* ticket) {
  __shared__ int row[128];
  __shared__ int block, before;
  int t = threadIdx.x;
  if (t == 0) block = atomicAdd(ticket, 1);  // blocks are numbered as they start: nobody waits for one that has not
  __syncthreads();  // the number is there
  int i = block * 128 + t;
  row[t] = x[i];
  __syncthreads();  // the row is complete
  for (int d = 1; d < 128; d *= 2) {
    int v = t >= d ? row[t - d] : 0;
    __syncthreads();  // all have read this round
    row[t] += v;
    __syncthreads();  // all have written this round
  }
  if (t == 0) {
    int own = row[127], sum = 0;
    if (block > 0) {
      atomicExch(&state[block], ((unsigned long long)(unsigned)own << 32) | 1);
      for (int b = block - 1; b >= 0;) {
        unsigned long long s = *(volatile unsigned long long*)&state[b];
        if ((s & 3) == 0) continue;
        sum += (int)(s >> 32);
        if ((s & 3) == 2) break;
        b--;
      }
    }
    atomicExch(&state[block], ((unsigned long long)(unsigned)(sum + own) << 32) | 2);
    before = sum;
  }
  __syncthreads();  // what comes before this block is known
  out[i] = before + row[t];
}
""",
    "lookback",
    OPTIONS,
)


def case_decoupled_lookback(rng):
    blocks = 7
    n = blocks * 128
    x = rng.integers(-99, 99, n).astype(np.int32)

    def launch(x, out, state, ticket):
        cuda_launch(_lookback, blocks, 128, x, out, state, ticket)

    tensors = {
        "x": tensor(x),
        "out": empty(n, torch.int32),
        "state": torch.zeros(blocks, dtype=torch.int64),
        "ticket": torch.zeros(1, dtype=torch.int32),
    }
    # the ticket, two states a block but one in the first, and the sums
    counters = {"atomics": 3 * blocks - 1, "global_store_bytes": 4 * n + 8 * (2 * blocks - 1) + 4 * blocks}
    unordered = "how far a block looks back depends on how far the others are"
    return Case(launch, tensors, {"out": np.cumsum(x)}, counters=counters, unordered=unordered)


_aggregated = cupy.RawKernel(
    r"""
extern "C" __global__ void aggregated(const int* x, int* bins, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) {
    unsigned active = __activemask();
    unsigned same = __match_any_sync(active, x[i]);
    if (threadIdx.x % 32 == __ffs(same) - 1) atomicAdd(&bins[x[i]], __popc(same));
  }
}
""",
    "aggregated",
    OPTIONS,
)


def case_histogram_warp_aggregated(rng):
    n = 500
    x = rng.integers(0, 10, n).astype(np.int32)

    def launch(x, bins):
        cuda_launch(_aggregated, 4, 128, x, bins, n)

    warps = np.split(x, range(WARP, n, WARP))
    counters = {"atomics": sum(np.unique(w).size for w in warps), "atomic_contention": 1}
    tensors = {"x": tensor(x), "bins": torch.zeros(10, dtype=torch.int32)}
    return Case(launch, tensors, {"bins": np.bincount(x, minlength=10)}, counters=counters)
