"""CUDA C++: rows of a network, sparse matrices, stencils, integers, local arrays, structs."""

import cupy
import numpy as np
import torch

from tests.ptxvm.corpus.case import Case, cuda_launch, empty, tensor

WARP = 32
OPTIONS = ("--std=c++17", "-lineinfo")

_swizzled = cupy.RawKernel(
    r"""
extern "C" __global__ void swizzled(const float* x, float* out, int rows, int cols) {
  __shared__ float tile[32][32];
  int tx = threadIdx.x, ty = threadIdx.y, row = blockIdx.y * 32, col = blockIdx.x * 32;
  for (int r = ty; r < 32; r += 8) tile[r][tx ^ r] = x[(row + r) * cols + col + tx];
  __syncthreads();  // the tile is complete before it is read by columns
  for (int r = ty; r < 32; r += 8) out[(col + r) * rows + row + tx] = tile[tx][r ^ tx];
}
""",
    "swizzled",
    OPTIONS,
)


def case_transpose_swizzled(rng):
    rows, cols = 96, 64
    x = rng.standard_normal((rows, cols)).astype(np.float32)

    def launch(x, out):
        cuda_launch(_swizzled, (cols // 32, rows // 32), (32, 8), x, out, rows, cols)

    requests = rows * cols // WARP
    counters = {
        "shared_wavefronts": 2 * requests,  # the exclusive or keeps the lanes of a row and of a column on 32 banks
        "shared_wavefronts_ideal": 2 * requests,
        "global_load_sectors": 4 * requests,
        "global_store_sectors": 4 * requests,
        "barriers": requests // 4,  # four rows a warp
    }
    return Case(launch, {"x": tensor(x), "out": empty((cols, rows), torch.float32)}, {"out": x.T}, counters=counters)


_halo = cupy.RawKernel(
    r"""
#define B 16
extern "C" __global__ void halo(const float* x, float* out, int n) {
  __shared__ float tile[B + 2][B + 2];
  int tx = threadIdx.x, ty = threadIdx.y, col = blockIdx.x * B + tx, row = blockIdx.y * B + ty;
  auto at = [&](int r, int c) { return r >= 0 && r < n && c >= 0 && c < n ? x[r * n + c] : 0.f; };
  tile[ty + 1][tx + 1] = at(row, col);
  if (ty == 0) tile[0][tx + 1] = at(row - 1, col);
  if (ty == B - 1) tile[B + 1][tx + 1] = at(row + 1, col);
  if (tx == 0) tile[ty + 1][0] = at(row, col - 1);
  if (tx == B - 1) tile[ty + 1][B + 1] = at(row, col + 1);
  __syncthreads();  // the tile and its four edges are complete
  if (row < n && col < n)
    out[row * n + col] = tile[ty][tx + 1] + tile[ty + 2][tx + 1] + tile[ty + 1][tx] + tile[ty + 1][tx + 2];
}
""",
    "halo",
    OPTIONS,
)


def case_stencil_with_halo(rng):
    n, b = 48, 16
    x = rng.integers(-9, 9, (n, n)).astype(np.float32)
    p = np.pad(x, 1)

    def launch(x, out):
        cuda_launch(_halo, (n // b, n // b), (b, b), x, out, n)

    inner = n // b - 1  # block edges within the matrix in each direction: read from both sides
    counters = {
        "global_load_bytes": 4 * (n * n + 2 * 2 * inner * n),
        "global_store_bytes": 4 * n * n,
        "barriers": n * n // WARP,
        "flops": 3 * n * n,
    }
    want = p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]
    return Case(launch, {"x": tensor(x), "out": empty((n, n), torch.float32)}, {"out": want}, counters=counters)


_convolve_2d = cupy.RawKernel(
    r"""
__constant__ float taps[9] = {1, 2, 1, 2, 4, 2, 1, 2, 1};
extern "C" __global__ void convolve_2d(const float* x, float* out, int rows, int cols) {
  int col = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
  if (row >= rows - 2 || col >= cols - 2) return;
  float sum = 0;
  for (int r = 0; r < 3; r++)
    for (int c = 0; c < 3; c++) sum += taps[3 * r + c] * x[(row + r) * cols + col + c];
  out[row * (cols - 2) + col] = sum;
}
""",
    "convolve_2d",
    OPTIONS,
)


def case_convolve_2d(rng):
    rows, cols = 21, 35
    x = rng.integers(-9, 9, (rows, cols)).astype(np.float32)
    taps = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])

    def launch(x, out):
        cuda_launch(_convolve_2d, (3, 5), (16, 4), x, out, rows, cols)

    made = (rows - 2) * (cols - 2)
    want = torch.nn.functional.conv2d(tensor(x)[None, None], taps[None, None])[0, 0]
    counters = {"global_load_bytes": 4 * 9 * made, "flops": 2 * 9 * made, "global_store_bytes": 4 * made}
    tensors = {"x": tensor(x), "out": empty((rows - 2, cols - 2), torch.float32)}
    return Case(launch, tensors, {"out": want}, counters=counters)


_csr = cupy.RawKernel(
    r"""
extern "C" __global__ void csr(const float* values, const int* columns, const int* starts, const float* x, float* out,
                               int rows) {
  int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;  // the whole warp
  float sum = 0;
  for (int i = starts[row] + lane; i < starts[row + 1]; i += 32) sum += values[i] * x[columns[i]];
  for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(0xffffffff, sum, d);
  if (lane == 0) out[row] = sum;
}
""",
    "csr",
    OPTIONS,
)


def case_csr_one_warp_a_row(rng):
    rows, cols = 30, 80
    dense = rng.integers(-9, 9, (rows, cols)) * (rng.random((rows, cols)) < 0.5)
    row, column = np.nonzero(dense)
    x = rng.integers(-9, 9, cols).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))]).astype(np.int32)

    def launch(values, columns, starts, x, out):
        cuda_launch(_csr, 8, 128, values, columns, starts, x, out, rows)

    # value, column and x of an entry; both starts once a lane
    counters = {"global_load_bytes": 12 * row.size + 8 * WARP * rows, "flops": 2 * row.size + 5 * WARP * rows}
    tensors = {
        "values": tensor(dense[row, column].astype(np.float32)),
        "columns": tensor(column.astype(np.int32)),
        "starts": tensor(starts),
        "x": tensor(x),
        "out": empty(rows, torch.float32),
    }
    return Case(launch, tensors, {"out": dense @ x}, counters=counters)


_rotary = cupy.RawKernel(
    r"""
// x (positions, 2 * half): pairs (i, i + half) are turned by the angle position * rate^(-i / half).
extern "C" __global__ void rotary(float* x, int half, float log2_rate) {
  int i = threadIdx.x, position = blockIdx.x;
  float angle = position * exp2f(-log2_rate * i / half), s, c;
  __sincosf(angle, &s, &c);
  float* row = x + 2 * half * position;
  float a = row[i], b = row[i + half];
  row[i] = a * c - b * s;
  row[i + half] = a * s + b * c;
}
""",
    "rotary",
    OPTIONS,
)


def case_rotary_embedding(rng):
    positions, half = 7, 32
    x = rng.standard_normal((positions, 2 * half)).astype(np.float32)
    angle = np.arange(positions)[:, None] * 10000.0 ** (-np.arange(half) / half)
    a, b = x[:, :half], x[:, half:]
    want = np.concatenate([a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)], axis=1)

    def launch(x):
        cuda_launch(_rotary, positions, half, x, half, float(np.log2(10000.0)))

    requests = positions * half // WARP * 2
    counters = {"global_load_sectors": 4 * requests, "global_store_sectors": 4 * requests}
    return Case(launch, {"x": tensor(x)}, {"x": want}, rtol=1e-4, atol=1e-5, counters=counters)


_philox = cupy.RawKernel(
    r"""
__device__ uint4 philox(uint4 c, unsigned k0, unsigned k1) {
  for (int r = 0; r < 10; r++) {
    unsigned a = __umulhi(0xD2511F53u, c.x), b = __umulhi(0xCD9E8D57u, c.z);
    c = make_uint4(b ^ c.y ^ k0, 0xCD9E8D57u * c.z, a ^ c.w ^ k1, 0xD2511F53u * c.x);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}
extern "C" __global__ void dropout(const float4* x, float4* out, int vectors, unsigned seed, unsigned limit) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= vectors) return;
  uint4 r = philox(make_uint4(i, 0, 0, 0), seed, 0);
  float4 v = x[i];
  out[i] = make_float4(r.x < limit ? 0 : 2 * v.x, r.y < limit ? 0 : 2 * v.y, r.z < limit ? 0 : 2 * v.z,
                       r.w < limit ? 0 : 2 * v.w);
}
""",
    "dropout",
    OPTIONS,
)


def philox(counter, key):
    """Philox 4x32-10 of counters (n,) with a 32-bit key: (n, 4)."""
    c = [counter.astype(np.uint64), *(np.zeros_like(counter, np.uint64) for _ in range(3))]
    k = [key, 0]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        high, low = np.uint64(32), np.uint64(0xFFFFFFFF)
        c = [(b >> high) ^ c[1] ^ np.uint64(k[0]), b & low, (a >> high) ^ c[3] ^ np.uint64(k[1]), a & low]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, axis=1).astype(np.uint32)


def case_dropout_philox(rng):
    n, seed, limit = 1200, 1234, 1 << 31
    x = rng.standard_normal(n).astype(np.float32)

    def launch(x, out):
        cuda_launch(_philox, 3, 128, x, out, n // 4, np.uint32(seed), np.uint32(limit))

    keep = philox(np.arange(n // 4), seed).reshape(n) >= limit
    counters = {"global_load_requests": -(-n // 4 // WARP), "global_load_bytes": 4 * n, "global_store_bytes": 4 * n}
    return Case(launch, {"x": tensor(x), "out": empty(n, torch.float32)}, {"out": 2 * x * keep}, counters=counters)


_local = cupy.RawKernel(
    r"""
extern "C" __global__ void local_median(const int* x, int* out, int rows, int count) {
  int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  int v[9];
  for (int i = 0; i < count; i++) v[i] = x[i * rows + row];
  for (int i = 1; i < count; i++) {  // insertion: indices that are known at run time only
    int key = v[i], j = i;
    for (; j > 0 && v[j - 1] > key; j--) v[j] = v[j - 1];
    v[j] = key;
  }
  out[row] = v[count / 2];
}
""",
    "local_median",
    OPTIONS,
)


def case_median_in_local_memory(rng):
    rows = 50
    x = rng.integers(0, 99, (9, rows)).astype(np.int32)

    def launch(x, out):
        cuda_launch(_local, 2, 32, x, out, rows, 9)

    counters = {"global_load_requests": 9 * -(-rows // WARP), "global_load_bytes": 4 * 9 * rows}
    tensors = {"x": tensor(x), "out": empty(rows, torch.int32)}
    return Case(launch, tensors, {"out": np.median(x, axis=0).astype(np.int32)}, counters=counters)


_struct = cupy.RawKernel(
    r"""
struct Line { double slope, intercept; int n; short clamp; };
extern "C" __global__ void line(const double* x, double* out, Line l) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < l.n) {
    double y = l.slope * x[i] + l.intercept;
    out[i] = y > l.clamp ? l.clamp : y;
  }
}
""",
    "line",
    OPTIONS,
)


def case_struct_argument(rng):
    n = 100
    x = rng.integers(-9, 9, n).astype(np.float64)
    fields = np.dtype([("slope", "f8"), ("intercept", "f8"), ("n", "i4"), ("clamp", "i2")], align=True)
    line = np.array([(2.5, -1.0, n, 12)], fields)

    def launch(x, out):
        cuda_launch(_struct, 4, 32, x, out, line)

    counters = {"global_load_sectors": n * 8 // 32, "flops": 2 * n}
    tensors = {"x": tensor(x), "out": empty(n, torch.float64)}
    return Case(launch, tensors, {"out": np.minimum(2.5 * x - 1, 12)}, counters=counters)


_power = cupy.RawKernel(
    r"""
typedef unsigned long long u64;
extern "C" __global__ void power(const u64* base, u64* out, u64* high, int n, u64 exponent, u64 modulus) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  u64 result = 1, b = base[i] % modulus;
  for (u64 e = exponent; e; e >>= 1) {
    if (e & 1) result = result * b % modulus;
    b = b * b % modulus;
  }
  out[i] = result;
  high[i] = __umul64hi(base[i], ~result) + __popcll(base[i]) + __clzll(result);
}
""",
    "power",
    OPTIONS,
)


def case_powers_of_64_bits(rng):
    n, exponent, modulus = 48, 65537, 4294967291
    base = rng.integers(1, 1 << 63, n).astype(np.uint64)

    def launch(base, out, high):
        cuda_launch(_power, 2, 32, base, out, high, n, np.uint64(exponent), np.uint64(modulus))

    out = [pow(int(b), exponent, modulus) for b in base]
    high = [
        (int(b) * ((1 << 64) - 1 - r) >> 64) + int(b).bit_count() + 64 - r.bit_length()
        for b, r in zip(base, out, strict=True)
    ]
    tensors = {"base": tensor(base), "out": empty(n, torch.uint64), "high": empty(n, torch.uint64)}
    want = {"out": np.array(out, np.uint64), "high": np.array(high, np.uint64)}
    return Case(launch, tensors, want, counters={"global_store_sectors": 2 * n * 8 // 32})


_matvec_int8 = cupy.RawKernel(
    r"""
extern "C" __global__ void matvec_int8(const int* a, const int* x, int* out, int words) {
  int row = blockIdx.x, lane = threadIdx.x, sum = 0;
  for (int i = lane; i < words; i += 32) sum = __dp4a(a[row * words + i], x[i], sum);
  for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffff, sum, d);
  unsigned bytes = __byte_perm(a[row * words], x[0], 0x4602);
  if (lane == 0) {
    out[2 * row] = sum;
    out[2 * row + 1] = __funnelshift_r(bytes, bytes, 8);
  }
}
""",
    "matvec_int8",
    OPTIONS,
)


def case_matvec_int8(rng):
    rows, cols = 6, 256
    a = rng.integers(-128, 128, (rows, cols)).astype(np.int8)
    x = rng.integers(-128, 128, cols).astype(np.int8)

    def launch(a, x, out):
        cuda_launch(_matvec_int8, rows, 32, a.view(torch.int32), x.view(torch.int32), out, cols // 4)

    picked = [np.concatenate([row[:4], x[:4]])[[2, 0, 6, 4]] for row in a]
    turned = [np.roll(p, -1).view(np.int32)[0] for p in picked]
    want = np.stack([a.astype(np.int32) @ x.astype(np.int32), turned], axis=1)
    # words of a and x once a row, and the first ones again in every lane of a broadcast
    counters = {"global_load_sectors": rows * (2 * cols // 32 + 2), "global_store_requests": 2 * rows}
    tensors = {"a": tensor(a), "x": tensor(x), "out": empty((rows, 2), torch.int32)}
    return Case(launch, tensors, {"out": want}, counters=counters)
