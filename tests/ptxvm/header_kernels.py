"""CUDA C++ that stands on libcu++: barriers, copies, pipelines and atomics of a block; with what NumPy says of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

N, THREADS = 512, 128
KERNELS: dict[str, tuple[str, str, Callable[[Any], Any]]] = {}


def kernel(name: str, headers: str, body: str, want: Callable[[Any], Any], kind: str = "f") -> None:
    """`body` turns `x` into `out`, both of N elements of `kind` (f: float, i: unsigned), a block for each THREADS."""
    includes = "".join(f"#include <{h}>\n" for h in headers.split())
    element = {"f": "float", "i": "unsigned"}[kind]
    source = f'{includes}extern "C" __global__ void k(const {element}* x, {element}* out) {{\n{body}\n}}\n'
    KERNELS[name] = (source, kind, want)


def blocks(x: Any) -> Any:
    return x.reshape(-1, THREADS)


I = "int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;\n"  # noqa: E741

# -- barriers ---------------------------------------------------------------------------------------------------------
kernel(
    "barrier",
    "cuda/barrier",
    I
    + """
  __shared__ cuda::barrier<cuda::thread_scope_block> bar;
  __shared__ float row[128];
  if (t == 0) init(&bar, blockDim.x);
  __syncthreads();
  for (int step = 0; step < 3; step++) {
    row[t] = x[i] + step;
    auto token = bar.arrive();
    bar.wait(cuda::std::move(token));
    float other = row[127 - t];
    bar.arrive_and_wait();
    out[i] = other;
  }""",
    lambda x: blocks(x)[:, ::-1] + 2,
)
kernel(
    "barrier with parts",
    "cuda/barrier",
    I
    + """
  __shared__ cuda::barrier<cuda::thread_scope_block> full, empty;
  __shared__ float row[64];
  if (t == 0) { init(&full, 64); init(&empty, 64); }
  __syncthreads();
  for (int step = 0; step < 4; step++) {
    if (t < 64) {                                   // produce
      if (step) empty.wait_parity((step - 1) & 1);
      row[t] = x[i] * (step + 1);
      (void)full.arrive();
      out[i] = 0;
    } else {                                        // consume
      full.wait_parity(step & 1);
      out[i] = row[t - 64];
      (void)empty.arrive();
    }
  }""",
    lambda x: np.concatenate([0 * blocks(x)[:, :64], 4 * blocks(x)[:, :64]], axis=1),
)
kernel(
    "barrier that some leave",
    "cuda/barrier",
    I
    + """
  __shared__ cuda::barrier<cuda::thread_scope_block> bar;
  __shared__ int sum;
  if (t == 0) { init(&bar, blockDim.x); sum = 0; }
  __syncthreads();
  for (int step = 0; step < 4; step++) {
    if (t >= 96 - 32 * step) { bar.arrive_and_drop(); break; }
    atomicAdd(&sum, 1);
    bar.arrive_and_wait();
  }
  __syncthreads();
  out[i] = sum;""",
    lambda x: 0 * blocks(x) + 96 + 64 + 32,
)
kernel(
    "completion, latch and semaphore",
    "cuda/barrier cuda/latch cuda/semaphore",
    I
    + """
  __shared__ cuda::latch<cuda::thread_scope_block>* none;
  __shared__ cuda::std::aligned_storage<sizeof(cuda::latch<cuda::thread_scope_block>), 16>::type place;
  auto* latch = reinterpret_cast<cuda::latch<cuda::thread_scope_block>*>(&place);
  __shared__ float total;
  if (t == 0) { new (latch) cuda::latch<cuda::thread_scope_block>(blockDim.x); total = 0; }
  __syncthreads();
  atomicAdd(&total, 1.0f);
  latch->arrive_and_wait();
  out[i] = total + x[i];""",
    lambda x: blocks(x) + THREADS,
)

# -- copies -----------------------------------------------------------------------------------------------------------
kernel(
    "memcpy_async under a barrier",
    "cuda/barrier cooperative_groups.h",
    I
    + """
  __shared__ cuda::barrier<cuda::thread_scope_block> bar;
  __shared__ alignas(16) float row[128];
  auto block = cooperative_groups::this_thread_block();
  if (t == 0) init(&bar, blockDim.x);
  block.sync();
  cuda::memcpy_async(block, row, x + blockIdx.x * 128, cuda::aligned_size_t<16>(sizeof(row)), bar);
  bar.arrive_and_wait();
  out[i] = row[t ^ 33];""",
    lambda x: blocks(x)[:, np.arange(THREADS) ^ 33],
)
kernel(
    "memcpy_async of a group",
    "cooperative_groups.h cooperative_groups/memcpy_async.h",
    I
    + """
  __shared__ alignas(16) float row[128];
  auto block = cooperative_groups::this_thread_block();
  cooperative_groups::memcpy_async(block, row, x + blockIdx.x * 128, sizeof(row));
  cooperative_groups::wait(block);
  out[i] = row[127 - t];""",
    lambda x: blocks(x)[:, ::-1],
)
PIPELINE = (
    I
    + """
  constexpr int STAGES = 2, STEPS = 4;
  __shared__ alignas(16) float rows[STAGES][128];
  auto block = cooperative_groups::this_thread_block();
  MAKE
  float sum = 0;
  int filled = 0;
  for (int step = 0; step < STEPS; step++) {
    for (; filled < STEPS && filled < step + STAGES; filled++) {
      pipe.producer_acquire();
      cuda::aligned_size_t<16> size(128 * sizeof(float));
      cuda::memcpy_async(block, rows[filled % STAGES], x + filled * 128, size, pipe);
      pipe.producer_commit();
    }
    pipe.consumer_wait();
    block.sync();
    sum += (step + 1) * rows[step % STAGES][127 - t];
    block.sync();
    pipe.consumer_release();
  }
  out[i] = sum;"""
)


def pipeline(x: Any) -> Any:
    return np.tile(((np.arange(4) + 1)[:, None] * blocks(x)).sum(axis=0)[::-1], (4, 1))


kernel(
    "pipeline of threads",
    "cuda/pipeline cooperative_groups.h",
    PIPELINE.replace("MAKE", "auto pipe = cuda::make_pipeline();"),
    pipeline,
)
SHARED_STATE = """__shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, STAGES> state;
  auto pipe = cuda::make_pipeline(block, &state);"""
kernel("pipeline of a block", "cuda/pipeline cooperative_groups.h", PIPELINE.replace("MAKE", SHARED_STATE), pipeline)
kernel(
    "pipeline of producers and consumers",
    "cuda/pipeline cooperative_groups.h",
    I
    + """
  constexpr int STAGES = 2, STEPS = 4;
  __shared__ alignas(16) float rows[STAGES][128];
  __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, STAGES> state;
  auto block = cooperative_groups::this_thread_block();
  bool produces = t < 32;
  using role = cuda::pipeline_role;
  auto pipe = cuda::make_pipeline(block, &state, produces ? role::producer : role::consumer);
  float sum = 0;
  for (int step = 0; step < STEPS; step++) {
    if (produces) {
      pipe.producer_acquire();
      for (int j = t; j < 128; j += 32)
        cuda::memcpy_async(&rows[step % STAGES][j], x + step * 128 + j, cuda::aligned_size_t<4>(4), pipe);
      pipe.producer_commit();
    } else {
      pipe.consumer_wait();
      sum += rows[step % STAGES][127 - t];
      pipe.consumer_release();
    }
  }
  out[i] = sum;""",
    lambda x: np.tile(np.where(np.arange(128) < 32, 0, blocks(x).sum(axis=0)[::-1]), (4, 1)),
)

# -- atomics ----------------------------------------------------------------------------------------------------------
kernel(
    "atomic",
    "cuda/atomic",
    I
    + """
  __shared__ cuda::atomic<unsigned, cuda::thread_scope_block> cells[8];
  if (t < 8) cells[t].store(t == 3 ? 0xffffffffu : 0, cuda::memory_order_relaxed);
  __syncthreads();
  cells[0].fetch_add(x[i]);
  cells[1].fetch_sub(x[i], cuda::memory_order_relaxed);
  cells[2].fetch_max(x[i]);
  cells[3].fetch_min(x[i]);
  cells[4].fetch_xor(x[i], cuda::memory_order_acq_rel);
  cells[5].fetch_or(x[i]);
  unsigned seen = cells[6].load();
  while (!cells[6].compare_exchange_weak(seen, seen + (x[i] & 7))) {}
  __syncthreads();
  out[i] = cells[t % 8].load(cuda::memory_order_acquire);""",
    lambda x: _atomics(blocks(x)),
    "i",
)
kernel(
    "atomic_ref of every width",
    "cuda/atomic",
    I
    + """
  __shared__ unsigned long long wide; __shared__ double sum;
  __shared__ unsigned char bytes[4]; __shared__ unsigned short half[2];
  if (t == 0) { wide = 0; sum = 0; for (auto& b : bytes) b = 0; half[0] = half[1] = 0; }
  __syncthreads();
  cuda::atomic_ref<unsigned long long, cuda::thread_scope_device>(wide).fetch_add((unsigned long long)x[i] << 8);
  cuda::atomic_ref<double, cuda::thread_scope_block>(sum).fetch_add(x[i] & 255);
  cuda::atomic_ref<unsigned char, cuda::thread_scope_block>(bytes[t % 4]).fetch_add(x[i]);
  cuda::atomic_ref<unsigned short, cuda::thread_scope_block>(half[t % 2]).fetch_xor(x[i]);
  __syncthreads();
  out[i] = t < 4 ? bytes[t] : t < 6 ? half[t - 4] : t < 7 ? (unsigned)(wide >> 8) : t < 8 ? (unsigned)sum : 0;""",
    lambda x: _widths(blocks(x)),
    "i",
)
kernel(
    "lock",
    "cuda/atomic cuda/std/atomic",
    I
    + """
  __shared__ cuda::atomic<int, cuda::thread_scope_block> locked;
  __shared__ float sum;
  if (t == 0) { locked = 0; sum = 0; }
  __syncthreads();
  for (bool done = false; !done;) {
    if (locked.exchange(1, cuda::memory_order_acquire) == 0) {
      sum += 1;
      locked.store(0, cuda::memory_order_release);
      done = true;
    }
  }
  __syncthreads();
  out[i] = sum;""",
    lambda x: 0 * x + THREADS,
)


def _atomics(x: Any) -> Any:
    wrap = x.astype(np.uint64)
    rows = [wrap.sum(1), -wrap.sum(1).astype(np.int64), x.max(1), x.min(1), np.bitwise_xor.reduce(x, 1),
            np.bitwise_or.reduce(x, 1), (x & 7).sum(1), 0 * x[:, 0]]  # fmt: skip
    return np.tile(np.stack([r.astype(np.uint64).astype(np.uint32) for r in rows], 1), (1, THREADS // 8))


def _widths(x: Any) -> Any:
    out = np.zeros_like(x)
    for i in range(4):
        out[:, i] = x[:, i::4].sum(1) & 255
    for i in range(2):
        out[:, 4 + i] = np.bitwise_xor.reduce(x[:, i::2], 1) & 0xFFFF
    out[:, 6] = x.astype(np.uint64).sum(1).astype(np.uint32)
    out[:, 7] = (x & 255).sum(1)
    return out
