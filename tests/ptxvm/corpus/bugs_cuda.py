"""CUDA C++: small wrong kernels. What must be said of each stands in `bugs_cuda.txt`."""

import cupy
import numpy as np
import torch

from tests.ptxvm.corpus.bug import Bug
from tests.ptxvm.corpus.case import cuda_launch, empty

OPTIONS = ("--std=c++17", "-lineinfo")

_all = cupy.RawModule(
    code=r"""
#include <cuda_awbarrier_primitives.h>
#include <cuda_pipeline_primitives.h>
extern "C" {
__global__ void doubled(const float* x, float* out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = 2 * x[i];
}
__global__ void from_null(float* out, const float* x) {
  out[threadIdx.x] = x[threadIdx.x];
}
__global__ void shifted(const float* x, float* out, int by) {
  out[threadIdx.x] = x[threadIdx.x + by];
}
__global__ void dynamic(const float* x, float* out) {
  extern __shared__ float asked[];
  asked[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = asked[63 - threadIdx.x];
}
__global__ void one_word(const float* x, float* out) {
  out[threadIdx.x / 8] = x[threadIdx.x];
}
__global__ void vectors(const float* x, float4* out, int first) {
  out[threadIdx.x] = *(const float4*)(x + first + 4 * threadIdx.x);
}
__global__ void stops(const float* x) {
  if (x[threadIdx.x] < 0) __trap();
}
__global__ void asserts(const float* x) {
  assert(x[threadIdx.x] >= 0);
}
__device__ __noinline__ float down(const float* x, int i) {
  if (x[i] < 0) return i;
  return down(x, i) + x[i];  // no step to the next
}
__global__ void recursive(const float* x, float* out) {
  out[threadIdx.x] = down(x, threadIdx.x);
}
__device__ __noinline__ float twice(float x) { return 2 * x; }
__device__ __noinline__ float half(float x) { return x / 2; }
__global__ void chosen(const float* x, float* out, int which) {
  float (*table[3])(float) = {twice, half, nullptr};
  out[threadIdx.x] = table[(threadIdx.x + which) % 3](x[threadIdx.x]);
}
__global__ void waits(float* out) {
  if (threadIdx.x < 64)
    asm volatile("bar.sync 1, 128;" ::: "memory");
  else
    asm volatile("bar.sync 2, 96;" ::: "memory");
  out[threadIdx.x] = 1;
}
__global__ void grid_wait(volatile int* flag, int* out) {
  if (blockIdx.x == 0) while (*flag == 0) {}
  out[blockIdx.x] = 1;
}
__global__ void signal(volatile int* ready, int* out) {
  if (threadIdx.x == 0) while (*ready == 0) {}
  __syncthreads();  // the signal is given behind it
  if (threadIdx.x == 32) *ready = 1;
  out[threadIdx.x] = 1;
}
__global__ void shuffle(const int* x, int* out) {
  int v = x[threadIdx.x];
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xffff, v, 20);
}
__global__ void masked(const int* x, int* out) {
  int v = x[threadIdx.x];
  if (threadIdx.x < 20) out[threadIdx.x] = __shfl_down_sync(0xffff, v, 1);
}
__global__ void two(const float* x, float* out) {
  if (threadIdx.x < 32) {
    __syncthreads();  // of the first warp
    out[threadIdx.x] = 2 * x[threadIdx.x];
  } else {
    __syncthreads();  // of the second warp
    out[threadIdx.x] = 3 * x[threadIdx.x];
  }
}
__global__ void counts_nobody(float* out) {
  __shared__ __mbarrier_t arrivals;
  if (threadIdx.x == 0) __mbarrier_init(&arrivals, blockDim.x - 64);  // of the threads beyond the first 64
  __syncthreads();
  out[threadIdx.x] = 1;
}
__global__ void mirror(const float* x, float* out) {
  __shared__ float row[64];
  row[threadIdx.x] = x[threadIdx.x];
  out[threadIdx.x] = row[63 - threadIdx.x];
}
__global__ void mirror_warp(const float* x, float* out) {
  __shared__ float line[32];
  line[threadIdx.x] = x[threadIdx.x];
  out[threadIdx.x] = line[31 - threadIdx.x];
}
__global__ void sum(const float* x, float* out) {
  out[0] += x[blockIdx.x];
}
__global__ void last_block(const float* x, float* out, int* count) {
  out[1 + blockIdx.x] = 2 * x[blockIdx.x];
  __threadfence();
  if (atomicAdd(count, 1) == gridDim.x - 1) {
    float total = 0;
    for (int i = 0; i < gridDim.x; i++) total += out[1 + i];
    out[0] = total;
  }
}
__global__ void unwritten(float* out) {
  __shared__ float part[64];
  if (threadIdx.x > 0) part[threadIdx.x] = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = part[threadIdx.x];
}
__global__ void unwritten_local(const int* x, int* out, int kinds) {
  int counts[8];
  for (int i = 0; i < kinds - 1; i++) counts[i] = 0;
  counts[x[threadIdx.x]] += 1;
  out[threadIdx.x] = counts[x[threadIdx.x]];
}
__global__ void early(const float* x, float* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  __syncthreads();  // not of all threads
  out[i] = x[i];
}
__global__ void staged(const float* x, float* out) {
  __shared__ float stage[64];
  __pipeline_memcpy_async(&stage[threadIdx.x], &x[threadIdx.x], 4);
  __pipeline_commit();
  __syncthreads();
  out[threadIdx.x] = stage[63 - threadIdx.x];
}
__global__ void divide(const int* x, const int* d, int* out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = x[i] / d[i];
}
__global__ void scale(float* x, float a, int n) {
  if (threadIdx.x < n) x[threadIdx.x] *= a;
}
}
""",
    options=OPTIONS,
)


def _bug(kernel, grid, block, tensors, *scalars, **more):
    def launch(*given):
        cuda_launch(_all.get_function(kernel), grid, block, *given, *scalars)

    return Bug(launch, tensors, **more)


def bug_out_of_bounds():
    return _bug("doubled", 4, 256, {"x": torch.ones(1000), "out": empty(1000, torch.float32)})


def bug_out_of_bounds_in_a_neighbour():
    return _bug("shifted", 1, 32, {"x": torch.ones(1024), "out": torch.zeros(1024)}, 1280)


def bug_out_of_bounds_of_shared():
    return _bug("dynamic", 1, 64, _row())


def bug_misaligned():
    return _bug("vectors", 1, 32, {"x": torch.ones(256), "out": torch.zeros(32, 4)}, 2)


def bug_out_of_bounds_of_an_empty_tensor():
    return _bug("doubled", 1, 32, {"x": torch.ones(0), "out": torch.zeros(32)})


def bug_null_pointer():
    return _bug("from_null", 1, 32, {"out": torch.zeros(32)}, np.uint64(0))


def _one_below_zero():
    return {"x": torch.arange(32.0).roll(2).sub(1)}


def bug_trap():
    return _bug("stops", 2, 32, _one_below_zero())


def bug_assertion():
    return _bug("asserts", 2, 32, _one_below_zero(), lines=("assert(x[threadIdx.x] >= 0);",))


def bug_stack_overflow():
    return _bug("recursive", 2, 32, {"x": torch.ones(32), "out": empty(32, torch.float32)})


def bug_wrong_target():
    return _bug("chosen", 1, 32, {"x": torch.ones(32), "out": empty(32, torch.float32)}, 0)


def bug_deadlock():
    return _bug(
        "waits",
        2,
        128,
        {"out": empty(128, torch.float32)},
        lines=('asm volatile("bar.sync 1, 128;" ::: "memory");', 'asm volatile("bar.sync 2, 96;" ::: "memory");'),
    )


def bug_endless_loop():
    return _bug("grid_wait", 2, 1, {"flag": torch.zeros(1, dtype=torch.int32), "out": empty(2, torch.int32)})


def bug_endless_loop_while_others_wait():
    tensors = {"ready": torch.zeros(1, dtype=torch.int32), "out": empty(64, torch.int32)}
    return _bug("signal", 1, 64, tensors, lines=("__syncthreads();  // the signal is given behind it",))


def _lanes():
    return {"x": torch.arange(32, dtype=torch.int32), "out": empty(32, torch.int32)}


def bug_inactive_lane():
    return _bug("shuffle", 1, 32, _lanes())


def bug_mask_mismatch():
    return _bug("masked", 1, 32, _lanes())


def _row():
    return {"x": torch.arange(64.0), "out": empty(64, torch.float32)}


def bug_two_barriers():
    return _bug("two", 1, 64, _row())


def bug_broken_mbarrier():
    return _bug("counts_nobody", 1, 64, {"out": empty(64, torch.float32)})


def bug_race_between_warps():
    return _bug("mirror", 1, 64, _row())


def bug_race_within_a_warp():
    return _bug("mirror_warp", 1, 32, {"x": torch.arange(32.0), "out": empty(32, torch.float32)})


def bug_race_of_one_instruction():
    return _bug("one_word", 1, 64, _row())


def bug_race_between_blocks():
    return _bug("sum", 4, 1, {"x": torch.ones(4), "out": torch.zeros(1)})


def bug_ordered_by_atomics():
    tensors = {"x": torch.ones(4), "out": torch.zeros(5), "count": torch.zeros(1, dtype=torch.int32)}
    return _bug("last_block", 4, 1, tensors)


def bug_uninitialised_shared():
    return _bug("unwritten", 2, 64, {"out": empty(64, torch.float32)})


def bug_uninitialised_local():
    x = torch.arange(32, dtype=torch.int32) % 5
    return _bug("unwritten_local", 1, 32, {"x": x, "out": empty(32, torch.int32)}, 5)


def bug_uninitialised_global():
    return _bug("doubled", 1, 64, _row(), unwritten="x")


def bug_barrier_after_early_return():
    return _bug("early", 4, 64, {"x": torch.ones(200), "out": empty(200, torch.float32)}, 200)


def bug_missing_wait():
    return _bug("staged", 1, 64, _row())


def bug_division_by_zero():
    d = torch.arange(64, dtype=torch.int32) - 40
    tensors = {"x": torch.ones(64, dtype=torch.int32), "d": d, "out": empty(64, torch.int32)}
    return _bug("divide", 2, 32, tensors)


def bug_wrong_argument_type():
    def launch(x):
        _all.get_function("scale")((1,), (32,), (cupy.asarray(x), np.float64(0.5), np.int32(32)))

    return Bug(launch, {"x": torch.ones(32)})


def bug_wide_argument():
    def launch(x):
        _all.get_function("scale")((1,), (32,), (cupy.asarray(x), np.float32(0.5), 32))

    return Bug(launch, {"x": torch.ones(32)})
