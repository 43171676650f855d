"""CUDA C++: device functions that are called, recursion, function pointers, printf and assert."""

import cupy
import numpy as np
import torch

from tests.ptxvm.corpus.case import Case, cuda_launch, empty, tensor

WARP = 32
OPTIONS = ("--std=c++17", "-lineinfo")

_module = cupy.RawModule(
    code=r"""
__device__ __noinline__ int fibonacci(int n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
extern "C" __global__ void recursive(const int* x, int* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = fibonacci(x[i]);
}

// Two functions that call each other: whether a number is even.
__device__ __noinline__ bool odd(unsigned n);
__device__ __noinline__ bool even(unsigned n) { return n == 0 || odd(n - 1); }
__device__ __noinline__ bool odd(unsigned n) { return n != 0 && even(n - 1); }
extern "C" __global__ void mutual(const int* x, int* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = even(x[i]);
}

typedef float (*Step)(float, float);
__device__ __noinline__ float plus(float a, float b) { return a + b; }
__device__ __noinline__ float minus(float a, float b) { return a - b; }
__device__ __noinline__ float times(float a, float b) { return a * b; }
__device__ Step steps[3] = {plus, minus, times};
extern "C" __global__ void chosen(const float* a, const float* b, const int* which, float* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = steps[which[i]](a[i], b[i]);
}

struct Span { int first, last; };
__device__ __noinline__ Span half(Span s, bool right) {
  int middle = (s.first + s.last) / 2;
  return right ? Span{middle + 1, s.last} : Span{s.first, middle};
}
// The place of x[i] in a sorted table, by halves.
extern "C" __global__ void sought(const int* table, const int* x, int* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  Span s = {0, n - 1};
  while (s.first < s.last) s = half(s, table[(s.first + s.last) / 2] < x[i]);
  out[i] = s.first;
}

extern "C" __global__ void told(const int* x, int* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  assert(x[i] >= 0);
  if (x[i] == n - 1) printf("the largest of %d is at %d, %5.2f of the way\n", n, i, (double)i / n);
  out[i] = x[i];
}
""",
    options=OPTIONS,
)


def _launched(name, grid, block):
    def launch(*tensors):
        cuda_launch(_module.get_function(name), grid, block, *tensors, tensors[-1].numel())

    return launch


def _moved(n, loads, stores=1):
    """Counters of a kernel that loads and stores so many 4-byte elements a thread."""
    return {
        "global_load_bytes": 4 * n * loads, "global_store_bytes": 4 * n * stores,
        "global_store_requests": -(-n // WARP) * stores,
    }  # fmt: skip


def case_recursion(rng):
    n = 50
    x = rng.integers(0, 8, n).astype(np.int32)
    want = np.array([0, 1, 1, 2, 3, 5, 8, 13])[x].astype(np.int32)
    tensors = {"x": tensor(x), "out": empty(n, torch.int32)}
    return Case(_launched("recursive", 2, 32), tensors, {"out": want}, counters=_moved(n, 1))


def case_mutual_recursion(rng):
    n = 40
    x = rng.integers(0, 9, n).astype(np.int32)
    tensors = {"x": tensor(x), "out": empty(n, torch.int32)}
    return Case(_launched("mutual", 1, 64), tensors, {"out": (x % 2 == 0).astype(np.int32)}, counters=_moved(n, 1))


def case_function_pointers(rng):
    n = 70
    a, b = (rng.standard_normal(n).astype(np.float32) for _ in range(2))
    which = rng.integers(0, 3, n).astype(np.int32)
    want = np.choose(which, [a + b, a - b, a * b])
    tensors = {"a": tensor(a), "b": tensor(b), "which": tensor(which), "out": empty(n, torch.float32)}
    counters = {"global_load_bytes": (3 * 4 + 8) * n, "global_store_bytes": 4 * n}  # 8: the address in the table
    return Case(_launched("chosen", 3, 32), tensors, {"out": want}, counters=counters)


def case_structures_by_value(rng):
    n = 64
    table = np.sort(rng.choice(1000, n, replace=False)).astype(np.int32)
    order = rng.permutation(n)
    tensors = {"table": tensor(table), "x": tensor(table[order]), "out": empty(n, torch.int32)}
    # x once, and of the table one element in each of log2(n) steps
    counters = {"global_load_bytes": 4 * n * (1 + 6), "global_store_bytes": 4 * n}
    return Case(_launched("sought", 2, 32), tensors, {"out": order.astype(np.int32)}, counters=counters)


def case_printf_and_assert(rng):
    n = 45
    x = rng.permutation(n).astype(np.int32)
    tensors = {"x": tensor(x), "out": empty(n, torch.int32)}
    return Case(_launched("told", 2, 32), tensors, {"out": x}, counters={"global_store_bytes": 4 * n})
