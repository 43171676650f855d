"""CUDA C++ with `nvcuda::wmma` and with `mma` in inline assembly, compiled by NVRTC: right results, and no report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ptxvm
from tests.ptxvm import compiled

# A tile a warp, straight from global memory; the sum is scaled element by element before it is stored.
GLOBAL = r"""
#include <mma.h>
using namespace nvcuda;
extern "C" __global__ void gemm(const IN *a, const IN *b, const OUT *c, OUT *d, int n, int k, OUT alpha) {
  wmma::fragment<wmma::matrix_a, M, N, K, FRAGMENT, wmma::LAYOUT_A> left;
  wmma::fragment<wmma::matrix_b, M, N, K, FRAGMENT, wmma::LAYOUT_B> right;
  wmma::fragment<wmma::accumulator, M, N, K, OUT> sum, start;
  wmma::fill_fragment(sum, (OUT)0);
  int row = blockIdx.y * M, column = (blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32) * N;
  int lda = ROWS_A ? k : gridDim.y * M, ldb = ROWS_B ? n : k;
  for (int i = 0; i < k; i += K) {
    wmma::load_matrix_sync(left, a + (ROWS_A ? row * lda + i : i * lda + row), lda);
    wmma::load_matrix_sync(right, b + (ROWS_B ? i * ldb + column : column * ldb + i), ldb);
    PREPARE
    wmma::mma_sync(sum, left, right, sum);
  }
  wmma::load_matrix_sync(start, c + row * n + column, n, wmma::mem_row_major);
  for (int i = 0; i < sum.num_elements; i++) sum.x[i] = alpha * sum.x[i] + start.x[i];
  wmma::store_matrix_sync(d + row * n + column, sum, n, wmma::mem_row_major);
}
"""
TF32 = """for (auto &x : left.x) x = wmma::__float_to_tf32(x);
    for (auto &x : right.x) x = wmma::__float_to_tf32(x);"""
# kind: (C type of A and B in memory, in fragments, type of C and D, shape, what stands before the product)
KINDS: dict[str, tuple[str, str, str, tuple[int, int, int], str]] = {
    "f16": ("half", "half", "float", (16, 16, 16), ""),
    "f16 wide": ("half", "half", "float", (8, 32, 16), ""),
    "f16 sum": ("half", "half", "half", (32, 8, 16), ""),
    "bf16": ("__nv_bfloat16", "__nv_bfloat16", "float", (32, 8, 16), ""),
    "tf32": ("float", "wmma::precision::tf32", "float", (16, 16, 8), TF32),
    "s8": ("signed char", "signed char", "int", (16, 16, 16), ""),
    "u8": ("unsigned char", "unsigned char", "int", (8, 32, 16), ""),
    "f64": ("double", "double", "double", (8, 8, 4), ""),
}
NUMPY: dict[str, str] = {
    "half": "float16", "__nv_bfloat16": "uint16", "float": "float32", "signed char": "int8", "unsigned char": "uint8",
    "int": "int32", "double": "float64",
}  # fmt: skip


def build(kind: str, arch: str, layouts: str) -> ptxvm.Module:
    given, fragment, out, (m, n, k), prepare = KINDS[kind]
    rows = {"r": "row_major", "c": "col_major"}
    values = {"IN": given, "FRAGMENT": fragment, "OUT": out, "M": m, "N": n, "K": k}
    values |= {"LAYOUT_A": rows[layouts[0]], "LAYOUT_B": rows[layouts[1]]}
    values |= {"ROWS_A": int(layouts[0] == "r"), "ROWS_B": int(layouts[1] == "r")}
    defined = "".join(f"#define {name} {value}\n" for name, value in values.items())
    prepared = " ".join(line.strip() for line in prepare.splitlines())
    source = f"{defined}#define PREPARE {prepared}\n{GLOBAL}"
    return ptxvm.Module.from_ptx(nvrtc(source, arch))


def nvrtc(source: str, arch: str) -> str:
    from cuda.pathfinder import find_nvidia_header_directory

    include = find_nvidia_header_directory("cudart") or ""
    return compiled.nvrtc(source, "kernel.cu", arch, f"-I{include}", "--std=c++17", "-lineinfo")


def numbers(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Any, Any]:
    """(what the kernel gets, what it means as float64)."""
    dtype = NUMPY[KINDS[kind][0]]
    if kind in ("s8", "u8"):
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max + 1, shape).astype(dtype)
        return x, x.astype(np.float64)
    y = rng.standard_normal(shape)
    if kind == "bf16":
        bits = (y.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        return bits, (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    x = y.astype(dtype)
    return x, x.astype(np.float64)


TOLERANCE = {"f16": 2e-6, "f16 wide": 2e-6, "f16 sum": 2e-2, "bf16": 2e-6, "tf32": 3e-3, "s8": 0, "u8": 0, "f64": 1e-14}


@pytest.mark.parametrize("layouts", ["rr", "rc", "cr", "cc"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_product_with_fragments(kind: str, layouts: str) -> None:
    arch = "75" if kind in ("f16", "s8") else "86"
    out, (m, n, k) = KINDS[kind][2], KINDS[kind][3]
    rows, columns, depth = 2 * m, 4 * n, 4 * k
    rng = np.random.default_rng(7)
    (a, left), (b, right) = numbers(kind, (rows, depth), rng), numbers(kind, (depth, columns), rng)
    c = rng.integers(-9, 10, (rows, columns)).astype(NUMPY[out])
    device = ptxvm.Device(f"sm_{arch}", memory_bytes=1 << 20)
    stored = (a if layouts[0] == "r" else a.T.copy(), b if layouts[1] == "r" else b.T.copy(), c)
    arrays = [device.array(x.shape, x.dtype.name, name=name) for x, name in zip(stored, "abc", strict=True)]
    for array, values in zip(arrays, stored, strict=True):
        array[:] = values
    d = device.array(c.shape, c.dtype.name, name="d")
    report = device.launch(
        build(kind, arch, layouts).kernel(), (2, 2), (64,),
        (*arrays, d, np.int32(columns), np.int32(depth), np.array(2, c.dtype)[()]), checks=ptxvm.Checks(races="all"),
    )  # fmt: skip
    want = 2 * (left @ right) + c
    scale = 2 * (np.abs(left) @ np.abs(right)) + np.abs(c)
    assert np.abs(np.array(d).astype(np.float64) - want).max() <= (TOLERANCE[kind] * scale).max()
    assert report.ok, [f.message() for f in report.findings]
    assert report.counters.mma == 8 * 4
    assert report.counters.flops >= 2 * rows * columns * depth
    assert {file for file, _ in report.lines} == {"kernel.cu"} or any("kernel.cu" in file for file, _ in report.lines)


# Four warps share tiles in shared memory, with a skew of 16 halves; each warp has 2 x 2 fragments.
SHARED = r"""
#include <mma.h>
using namespace nvcuda;
extern "C" __global__ void gemm(const half *a, const half *b, float *d, int n, int k) {
  __shared__ __align__(32) half left[64][32 + 16], right[32][64 + 16];
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum[2][2];
  for (auto &line : sum) for (auto &one : line) wmma::fill_fragment(one, 0.f);
  int warp = threadIdx.x / 32, row = blockIdx.y * 64, column = blockIdx.x * 64;
  for (int i = 0; i < k; i += 32) {
    for (int j = threadIdx.x; j < 64 * 32; j += 128) {
      left[j / 32][j % 32] = a[(row + j / 32) * k + i + j % 32];
      right[j / 64][j % 64] = b[(i + j / 64) * n + column + j % 64];
    }
    __syncthreads();
    for (int kk = 0; kk < 32; kk += 16) {
      wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> fa[2];
      wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::row_major> fb[2];
      for (int x = 0; x < 2; x++) {
        wmma::load_matrix_sync(fa[x], &left[(warp / 2) * 32 + x * 16][kk], 48);
        wmma::load_matrix_sync(fb[x], &right[kk][(warp % 2) * 32 + x * 16], 80);
      }
      for (int x = 0; x < 2; x++) for (int y = 0; y < 2; y++) wmma::mma_sync(sum[x][y], fa[x], fb[y], sum[x][y]);
    }
    BARRIER
  }
  for (int x = 0; x < 2; x++) for (int y = 0; y < 2; y++)
    wmma::store_matrix_sync(d + (row + (warp / 2) * 32 + x * 16) * n + column + (warp % 2) * 32 + y * 16, sum[x][y], n,
                            wmma::mem_row_major);
}
"""


SIDES = (("left[j", "&left["), ("right[j", "&right["))  # what writes a tile and what reads it


@pytest.mark.parametrize("barrier", [True, False])
def test_tiles_in_shared_memory(barrier: bool) -> None:
    """Without the second barrier a warp may overwrite what another still loads: the race is told, with its lines."""
    source = SHARED.replace("BARRIER", "__syncthreads();" if barrier else "")
    kernel = ptxvm.Module.from_ptx(nvrtc(source, "86")).kernel()
    rng = np.random.default_rng(3)
    device = ptxvm.Device("sm_86", memory_bytes=1 << 20)
    a, b = (device.array((128, 128), "float16", name=name) for name in "ab")
    a[:], b[:] = rng.standard_normal((2, 128, 128)).astype(np.float16)
    d = device.array((128, 128), "float32", name="d")
    checks = ptxvm.Checks(races="all")
    report = device.launch(kernel, (2, 2), (128,), (a, b, d, np.int32(128), np.int32(128)), checks=checks)
    if not barrier:
        assert not report.ok
        line = {text: source[: source.index(text)].count("\n") + 1 for pair in SIDES for text in pair}
        told = {frozenset((race.line, race.other.line)) for race in report.races if race.other}
        assert told == {frozenset(line[text] for text in pair) for pair in SIDES}
        return
    wanted = np.array(a).astype(np.float64) @ np.array(b).astype(np.float64)
    assert np.abs(np.array(d) - wanted).max() < 1e-4
    assert report.ok, [f.message() for f in report.findings]
    assert report.counters.mma == 4 * 4 * 4 * 2 * 4  # blocks, warps, steps of 32, halves, fragments


MMA = r"""
#include <cuda_fp16.h>
extern "C" __global__ void one(const unsigned *a, const unsigned *b, float *d) {
  int lane = threadIdx.x, group = lane / 4, thread = lane % 4;
  const unsigned a0 = a[group * 4 + thread], a1 = a[(group + 8) * 4 + thread], b0 = b[group * 4 + thread];
  float d0, d1, d2, d3;
  asm volatile("{ .reg .b32 t;\n movmatrix.sync.aligned.m8n8.trans.b16 t, %6;\n"
               " movmatrix.sync.aligned.m8n8.trans.b16 t, t;\n"
               " mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {t}, {%7, %7, %7, %7}; }"
               : "=f"(d0), "=f"(d1), "=f"(d2), "=f"(d3) : "r"(a0), "r"(a1), "r"(b0), "f"(0.5f));
  d[group * 8 + 2 * thread] = d0;
  d[group * 8 + 2 * thread + 1] = d1;
  d[(group + 8) * 8 + 2 * thread] = d2;
  d[(group + 8) * 8 + 2 * thread + 1] = d3;
}
"""


def test_inline_assembly() -> None:
    device = ptxvm.Device("sm_75", memory_bytes=1 << 16)
    rng = np.random.default_rng(5)
    a, b = (device.array(shape, "float16", name=name) for name, shape in (("a", (16, 8)), ("b", (8, 8))))
    a[:], b[:] = rng.standard_normal((16, 8)).astype(np.float16), rng.standard_normal((8, 8)).astype(np.float16)
    d = device.array((16, 8), "float32", name="d")
    device.launch(ptxvm.Module.from_ptx(nvrtc(MMA, "75")).kernel(), (1,), (32,), (a, b, d))
    want = np.array(a).astype(np.float64) @ np.array(b).astype(np.float64).T + 0.5
    assert np.abs(np.array(d) - want).max() < 1e-5
