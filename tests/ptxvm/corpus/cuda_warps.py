"""CUDA C++: sorts, warp operations, cooperative groups, locks, named barriers."""

import cupy
import numpy as np
import torch

from tests.ptxvm.corpus.case import Case, cuda_launch, empty, tensor

WARP = 32
OPTIONS = ("--std=c++17", "-lineinfo")

_radix = cupy.RawKernel(
    r"""
// Sorts 256 keys of a block: one pass a bit, zeros before ones, each in their old order.
extern "C" __global__ void radix(const unsigned* x, unsigned* out, int bits) {
  __shared__ unsigned keys[256];
  __shared__ int zeros[8];
  int t = threadIdx.x, warp = t / 32, lane = t % 32;
  unsigned key = x[blockIdx.x * 256 + t];
  for (int bit = 0; bit < bits; bit++) {
    bool one = key >> bit & 1;
    unsigned without = __ballot_sync(0xffffffff, !one);
    if (lane == 0) zeros[warp] = __popc(without);
    __syncthreads();  // all eight counts are there
    int before = 0, all = 0;
    for (int w = 0; w < 8; w++) {
      if (w < warp) before += zeros[w];
      all += zeros[w];
    }
    before += __popc(without & ((1u << lane) - 1));
    keys[one ? all + t - before : before] = key;
    __syncthreads();  // all keys have moved
    key = keys[t];  // the barrier of the next pass stands before the next move
  }
  out[blockIdx.x * 256 + t] = key;
}
""",
    "radix",
    OPTIONS,
)


def case_radix_sort(rng):
    blocks, bits = 2, 12
    x = rng.integers(0, 1 << bits, (blocks, 256)).astype(np.int32)

    def launch(x, out):
        cuda_launch(_radix, blocks, 256, x, out, bits)

    warps = blocks * 8
    counters = {"barriers": 2 * bits * warps, "global_load_sectors": 4 * warps}
    tensors = {"x": tensor(x), "out": empty(x.shape, torch.int32)}
    return Case(launch, tensors, {"out": np.sort(x, axis=1)}, counters=counters)


_warp_sort = cupy.RawKernel(
    r"""
extern "C" __global__ void warp_sort(const float* x, float* out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
  float v = x[i];
#pragma unroll
  for (int size = 2; size <= 32; size *= 2)
#pragma unroll
    for (int step = size / 2; step > 0; step /= 2) {
      float other = __shfl_xor_sync(0xffffffff, v, step);
      bool smaller = ((lane & step) == 0) == ((lane & size) == 0);
      v = smaller ? fminf(v, other) : fmaxf(v, other);
    }
  out[i] = v;
}
""",
    "warp_sort",
    OPTIONS,
)


def case_warp_sort_by_shuffles(rng):
    x = rng.standard_normal((4, WARP)).astype(np.float32)

    def launch(x, out):
        cuda_launch(_warp_sort, 2, 64, x, out)

    counters = {"shared_requests": 0, "barriers": 0, "global_load_bytes": 4 * x.size}
    return Case(
        launch, {"x": tensor(x), "out": empty(x.shape, torch.float32)}, {"out": np.sort(x, axis=1)}, counters=counters
    )


_redux = cupy.RawKernel(
    r"""
extern "C" __global__ void redux(const int* x, int* out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int v = x[i];
  int sum = __reduce_add_sync(0xffffffff, v), least = __reduce_min_sync(0xffffffff, v);
  unsigned bits = __reduce_xor_sync(0xffffffff, (unsigned)v);
  if (threadIdx.x % 32 == 0) {
    int* o = &out[3 * (i / 32)];
    o[0] = sum;
    o[1] = least;
    o[2] = bits;
  }
}
""",
    "redux",
    OPTIONS,
)


def case_redux(rng):
    x = rng.integers(-(1 << 20), 1 << 20, (4, WARP)).astype(np.int32)

    def launch(x, out):
        cuda_launch(_redux, 2, 64, x, out)

    want = np.stack([x.sum(axis=1), x.min(axis=1), np.bitwise_xor.reduce(x, axis=1)], axis=1)
    counters = {"global_store_requests": 3 * 4, "global_store_bytes": 4 * 3 * 4}
    return Case(launch, {"x": tensor(x), "out": empty((4, 3), torch.int32)}, {"out": want}, counters=counters, since=80)


_tiles = cupy.RawKernel(
    r"""
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
namespace cg = cooperative_groups;
extern "C" __global__ void tiles(const int* x, int* out) {
  auto block = cg::this_thread_block();
  auto tile = cg::tiled_partition<8>(block);
  int v = x[blockIdx.x * blockDim.x + block.thread_rank()];
  int sum = cg::reduce(tile, v, cg::plus<int>());
  int scan = v;
  for (int d = 1; d < 8; d *= 2) {
    int lower = tile.shfl_up(scan, d);
    if (tile.thread_rank() >= d) scan += lower;
  }
  block.sync();  // nothing is shared: the barrier is only counted
  out[blockIdx.x * blockDim.x + block.thread_rank()] = 1000 * sum + scan;
}
""",
    "tiles",
    OPTIONS,
)


def case_cooperative_tiles(rng):
    x = rng.integers(0, 9, (16, 8)).astype(np.int32)

    def launch(x, out):
        cuda_launch(_tiles, 2, 64, x, out)

    want = 1000 * x.sum(axis=1, keepdims=True) + np.cumsum(x, axis=1)
    counters = {"barriers": x.size // WARP, "global_load_bytes": 4 * x.size}
    return Case(launch, {"x": tensor(x), "out": empty(x.shape, torch.int32)}, {"out": want}, counters=counters)


_sweeps = cupy.RawModule(
    code=r"""
#include <cooperative_groups.h>
extern "C" __global__ void sweeps(int* a, int* b, int n, int rounds) {
  auto grid = cooperative_groups::this_grid();
  for (int r = 0; r < rounds; r++) {
    for (int i = grid.thread_rank(); i < n; i += grid.size()) b[i] = a[i] + a[(i + 1) % n];
    grid.sync();  // b is complete
    int* other = a;
    a = b;
    b = other;
  }
}
""",
    options=OPTIONS,
    enable_cooperative_groups=True,
)


def case_grid_sync(rng):
    n, rounds = 200, 4
    a = rng.integers(0, 9, n).astype(np.int32)
    want = a.copy()
    for _ in range(rounds):
        want += np.roll(want, -1)

    def launch(a, b):
        cuda_launch(_sweeps.get_function("sweeps"), 3, 64, a, b, n, rounds)

    tensors = {"a": tensor(a), "b": empty(n, torch.int32)}
    return Case(launch, tensors, {"a": want}, unordered="blocks spin until all have come")


_lock = cupy.RawKernel(
    r"""
extern "C" __global__ void lock(int* mutex, int* total) {
  if (threadIdx.x == 0) {
    while (atomicCAS(mutex, 0, 1) != 0) {}
    __threadfence();  // what the last owner wrote is seen
    *total = *total * 3 % 1000003 + 1;
    __threadfence();  // the total before the lock is free
    atomicExch(mutex, 0);
  }
}
""",
    "lock",
    OPTIONS,
)


def case_lock(_):
    blocks = 9
    want = 0
    for _ in range(blocks):
        want = want * 3 % 1000003 + 1

    def launch(mutex, total):
        cuda_launch(_lock, blocks, 32, mutex, total)

    tensors = {"mutex": torch.zeros(1, dtype=torch.int32), "total": torch.zeros(1, dtype=torch.int32)}
    return Case(launch, tensors, {"total": [want], "mutex": [0]}, unordered="how long a block spins")


_ring = cupy.RawKernel(
    r"""
// Warp 0 fills, warp 1 empties; barriers 1 and 2 of 64 threads: "full" and "empty".
extern "C" __global__ void ring(const int* x, int* out, int rounds) {
  __shared__ int slot[32];
  int lane = threadIdx.x % 32;
  if (threadIdx.x < 32) {
    for (int r = 0; r < rounds; r++) {
      if (r > 0) asm volatile("bar.sync 2, 64;" ::: "memory");  // the slot is empty
      slot[lane] = x[32 * r + lane];
      asm volatile("bar.arrive 1, 64;" ::: "memory");  // it is full
    }
  } else {
    for (int r = 0; r < rounds; r++) {
      asm volatile("bar.sync 1, 64;" ::: "memory");  // the slot is full
      out[32 * r + lane] = slot[31 - lane];
      if (r + 1 < rounds) asm volatile("bar.arrive 2, 64;" ::: "memory");  // it is empty
    }
  }
}
""",
    "ring",
    OPTIONS,
)


def case_named_barriers(rng):
    rounds = 5
    x = rng.integers(0, 99, (rounds, WARP)).astype(np.int32)

    def launch(x, out):
        cuda_launch(_ring, 1, 64, x, out, rounds)

    counters = {"barriers": 2 * rounds + 2 * (rounds - 1), "shared_wavefronts": 2 * rounds}
    tensors = {"x": tensor(x), "out": empty(x.shape, torch.int32)}
    return Case(launch, tensors, {"out": x[:, ::-1].copy()}, counters=counters)
