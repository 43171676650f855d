"""CUDA C++ that stands on cooperative groups, narrow floats, CUB and intrinsics; with what NumPy says of each."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ptxvm.header_kernels import KERNELS, THREADS, I, N, blocks, kernel

__all__ = ["KERNELS"]

# -- cooperative groups -----------------------------------------------------------------------------------------------
GROUPS = "cooperative_groups.h cooperative_groups/reduce.h cooperative_groups/scan.h"
kernel(
    "tiles",
    GROUPS,
    "namespace cg = cooperative_groups;\n"
    + I
    + """
  auto tile = cg::tiled_partition<16>(cg::this_thread_block());
  unsigned v = x[i];
  unsigned sum = cg::reduce(tile, v, cg::plus<unsigned>()), most = cg::reduce(tile, v, cg::greater<unsigned>());
  unsigned bits = cg::reduce(tile, v, cg::bit_xor<unsigned>());
  unsigned scan = cg::inclusive_scan(tile, v), before = cg::exclusive_scan(tile, v);
  unsigned flags = tile.ballot(v & 1), other = tile.shfl_xor(v, 5), up = tile.shfl_up(v, 2);
  out[i] = sum + 3 * most + 5 * bits + 7 * scan + 11 * before + 13 * flags + 17 * other
         + 19 * (tile.thread_rank() < 2 ? 0 : up) + 23 * tile.meta_group_rank()
         + tile.any(v == 3) + tile.all(v < 9);""",
    lambda x: _tiles(x.reshape(-1, 16)),
    "i",
)
kernel(
    "coalesced threads",
    GROUPS,
    "namespace cg = cooperative_groups;\n"
    + I
    + """
  unsigned v = x[i], result = 0;
  if (v % 3 == 0) {
    auto active = cg::coalesced_threads();
    result = 1000 * active.size() + 10 * active.thread_rank() + cg::reduce(active, v & 7, cg::plus<unsigned>());
    result += active.shfl(v & 1, 0);
  } else {
    auto half = cg::binary_partition(cg::coalesced_threads(), v & 1);
    result = half.size() * 100 + cg::reduce(half, v & 3, cg::less<unsigned>());
  }
  out[i] = result;""",
    lambda x: _coalesced(x.reshape(-1, 32)),
    "i",
)
kernel(
    "labels",
    GROUPS,
    "namespace cg = cooperative_groups;\n"
    + I
    + """
  auto warp = cg::tiled_partition<32>(cg::this_thread_block());
  auto same = cg::labeled_partition(warp, x[i] % 5);
  out[i] = same.size() * 100 + same.thread_rank() + (warp.match_any(x[i] % 5) & 1) * 10000;""",
    lambda x: _labels(x.reshape(-1, 32) % 5),
    "i",
)
kernel(
    "blocks",
    GROUPS,
    "namespace cg = cooperative_groups;\n"
    + I
    + """
  auto block = cg::this_thread_block();
  __shared__ float row[128];
  row[block.thread_rank()] = x[i];
  cg::sync(block);
  auto dynamic = cg::tiled_partition(block, 8);
  row[t] = row[t] + 1;
  cg::sync(dynamic);
  float sum = 0;
  for (int j = 0; j < 8; j++) sum += row[t / 8 * 8 + j];
  out[i] = sum + block.group_index().x + block.dim_threads().x;""",
    lambda x: _dynamic(blocks(x)),
)


def _tiles(x: Any) -> Any:
    x = x.astype(np.uint64)
    scan = np.cumsum(x, 1)
    flags = ((x & 1) << np.arange(16, dtype=np.uint64)).sum(1, keepdims=True)
    up = np.where(np.arange(16) < 2, 0, np.roll(x, 2, 1))
    rank = (np.arange(x.shape[0], dtype=np.uint64) % np.uint64(THREADS // 16))[:, None]
    total = x.sum(1, keepdims=True) + 3 * x.max(1, keepdims=True) + 5 * np.bitwise_xor.reduce(x, 1, keepdims=True)
    total = total + 7 * scan + 11 * (scan - x) + 13 * flags + 17 * x[:, np.arange(16) ^ 5] + 19 * up + 23 * rank
    return (total + (x == 3).any(1, keepdims=True) + (x < 9).all(1, keepdims=True)).astype(np.uint32)


def _coalesced(x: Any) -> Any:
    out = np.zeros_like(x)
    for row, given in zip(out, x, strict=True):
        third = given % 3 == 0
        mine = given[third]
        row[third] = 1000 * mine.size + 10 * np.arange(mine.size) + (mine & 7).sum() + (mine[0] & 1 if mine.size else 0)
        for parity in (0, 1):
            part = ~third & (given & 1 == parity)
            row[part] = 100 * part.sum() + ((given[part] & 3).min() if part.any() else 0)
    return out


def _labels(x: Any) -> Any:
    same = x[:, :, None] == x[:, None, :]
    rank = (same & (np.arange(32)[None, None, :] < np.arange(32)[None, :, None])).sum(2)
    return same.sum(2) * 100 + rank + same[:, :, 0] * 10000


def _dynamic(x: Any) -> Any:
    sums = (x + np.float32(1)).reshape(-1, 16, 8)
    total = np.zeros(sums.shape[:2], np.float32)
    for j in range(8):
        total += sums[:, :, j]
    return np.repeat(total, 8, axis=1) + np.arange(4, dtype=np.float32)[:, None] + THREADS


# -- narrow floats ----------------------------------------------------------------------------------------------------
def _half(x: Any) -> Any:
    h = x.astype(np.float16)
    f = h.astype(np.float32)
    r = (f * f + np.float32(1)).astype(np.float16).astype(np.float32)  # exact before the rounding
    s = np.clip((f + np.float32(0.25)).astype(np.float16), 0, 1).astype(np.float32)
    relu = np.maximum((f * np.float32(2) - np.float32(1)).astype(np.float16), 0).astype(np.float32)
    low = np.minimum(f, np.float32(0.125)) + np.maximum(f, np.float32(0.125))
    return r + s + relu + low + np.sqrt(np.abs(h)).astype(np.float32) + np.rint(f) + np.abs(f)


HALF = (
    I
    + """
  TYPE h = FROM(x[i]), one = FROM(1.0f), quarter = FROM(0.25f), eighth = FROM(0.125f);
  TYPE r = __hfma(h, h, one), s = SAT, relu = __hfma_relu(h, FROM(2.0f), FROM(-1.0f));
  TYPE2 both = __halves2TWO(h, eighth);
  TYPE2 swapped = __halves2TWO(eighth, h);
  TYPE2 least = __hmin2(both, swapped), most = __hmax2(both, swapped);
  float low = TO(__low2TYPE(least)) + TO(__high2TYPE(most));
  out[i] = TO(r) + TO(s) + TO(relu) + low + TO(ROOT) + TO(hrint(h)) + TO(__habs(h));"""
)
kernel(
    "half",
    "cuda_fp16.h",
    HALF.replace("SAT", "__hadd_sat(h, quarter)")
    .replace("ROOT", "hsqrt(__habs(h))")
    .replace("__halves2TWO", "__halves2half2")
    .replace("low2TYPE", "low2half")
    .replace("high2TYPE", "high2half")
    .replace("TYPE2", "half2")
    .replace("TYPE", "half")
    .replace("FROM", "__float2half")
    .replace("TO(", "__half2float("),
    _half,
)


def _bf16(x: Any) -> Any:
    def narrow(f: Any) -> Any:
        bits = f.astype(np.float32).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)

    f = narrow(x)
    relu = np.maximum(narrow(f.astype(np.float64) * 2 - 1), 0)
    total = narrow(f.astype(np.float64) * f + 1) + narrow(f + np.float32(0.25)) + relu
    total = total + (np.minimum(f, np.float32(0.125)) + np.maximum(f, np.float32(0.125)))
    return total + f * 0 + np.rint(f) + np.abs(f)


kernel(
    "bfloat16",
    "cuda_bf16.h",
    HALF.replace("SAT", "__hadd(h, quarter)")
    .replace("TO(ROOT)", "0.0f")
    .replace("__halves2TWO", "__halves2bfloat162")
    .replace("low2TYPE", "low2bfloat16")
    .replace("high2TYPE", "high2bfloat16")
    .replace("TYPE2", "__nv_bfloat162")
    .replace("TYPE", "__nv_bfloat16")
    .replace("FROM", "__float2bfloat16")
    .replace("TO(", "__bfloat162float("),
    _bf16,
)
kernel(
    "conversions of half",
    "cuda_fp16.h",
    I
    + """
  half down = __float2half_rd(x[i]), up = __float2half_ru(x[i]), cut = __float2half_rz(x[i]);
  int whole = __half2int_rn(up) + __half2int_rz(down) + __half2uint_ru(__habs(cut));
  half2 two = __floats2half2_rn(x[i], -x[i]);
  float2 back = __half22float2(__hmul2(two, two));
  out[i] = (__half2float(up) - __half2float(down)) * 1024 + whole + back.x + back.y + (__hlt(down, up) ? 1 : 0)
         + (__hbne2(two, two) ? 1 : 0) + __half2float(__ushort_as_half(__half_as_ushort(cut)));""",
    lambda x: _conversions(x),
)


def _conversions(x: Any) -> Any:
    near = x.astype(np.float16)
    exact = near.astype(np.float32)
    down = np.where(exact > x, np.nextafter(near, np.float16(-np.inf)), near).astype(np.float32)
    up = np.where(exact < x, np.nextafter(near, np.float16(np.inf)), near).astype(np.float32)
    cut = np.where(x > 0, down, up)
    whole = np.rint(up) + np.trunc(down) + np.ceil(np.abs(cut))
    square = (exact * exact).astype(np.float16).astype(np.float32)
    return (up - down) * 1024 + whole + square + square + (down < up) + 0 + cut


kernel(
    "fp8",
    "cuda_fp8.h",
    I
    + """
  __nv_fp8_e4m3 a(x[i]); __nv_fp8_e5m2 b(x[i]);
  __nv_fp8x4_e4m3 four(make_float4(x[i], -x[i], 0.5f * x[i], 1e6f));
  float4 back = float4(four);
  out[i] = float(a) + 16 * float(b) + back.x - back.y + back.z + back.w;""",
    lambda x: _fp8(x),
)


def _fp8(x: Any) -> Any:
    def narrow(f: Any, mantissa: int, low: int, top: float) -> Any:
        size = np.minimum(np.abs(f).astype(np.float64), top)
        step = 2.0 ** (np.maximum(np.floor(np.log2(np.maximum(size, 1e-30))), low) - mantissa)
        return (np.sign(f) * np.minimum(np.rint(size / step) * step, top)).astype(np.float32)

    e4, e5 = narrow(x, 3, -6, 448.0), narrow(x, 2, -14, 57344.0)
    return e4 + 16 * e5 + e4 + e4 + narrow(np.float32(0.5) * x, 3, -6, 448.0) + 448


# -- CUB --------------------------------------------------------------------------------------------------------------
kernel(
    "block reduce and scan",
    "cub/block/block_reduce.cuh cub/block/block_scan.cuh",
    I
    + """
  using Reduce = cub::BlockReduce<unsigned, 128>; using Scan = cub::BlockScan<unsigned, 128>;
  __shared__ union { typename Reduce::TempStorage reduce; typename Scan::TempStorage scan; } room;
  __shared__ unsigned shared_sum;
  unsigned sum = Reduce(room.reduce).Sum(x[i]);
  if (t == 0) shared_sum = sum;
  __syncthreads();
  unsigned before, all;
  Scan(room.scan).ExclusiveSum(x[i], before, all);
  __syncthreads();
  unsigned most = Reduce(room.reduce).Reduce(x[i], [](unsigned a, unsigned b) { return a > b ? a : b; });
  out[i] = shared_sum + 3 * before + 5 * all + (t == 0 ? most : 0);""",
    lambda x: _reduced(blocks(x)),
    "i",
)
kernel(
    "warp scan and reduce",
    "cub/warp/warp_scan.cuh cub/warp/warp_reduce.cuh",
    I
    + """
  using Scan = cub::WarpScan<float>; using Reduce = cub::WarpReduce<float, 16>;
  __shared__ typename Scan::TempStorage scan[4]; __shared__ typename Reduce::TempStorage reduce[8];
  float v = rintf(x[i] * 8), sum, most = Reduce(reduce[t / 16]).Sum(v);
  Scan(scan[t / 32]).InclusiveSum(v, sum);
  out[i] = sum + (t % 16 == 0 ? 100 * most : 0);""",
    lambda x: _warps(np.rint(x * 8)),
)
kernel(
    "block sort and exchange",
    "cub/block/block_radix_sort.cuh cub/block/block_load.cuh cub/block/block_store.cuh",
    I
    + """
  using Load = cub::BlockLoad<unsigned, 128, 4, cub::BLOCK_LOAD_TRANSPOSE>;
  using Store = cub::BlockStore<unsigned, 128, 4, cub::BLOCK_STORE_WARP_TRANSPOSE>;
  using Sort = cub::BlockRadixSort<unsigned, 128, 4>;
  __shared__ union {
    typename Load::TempStorage load; typename Sort::TempStorage sort; typename Store::TempStorage store;
  } room;
  if (blockIdx.x) return;
  unsigned keys[4];
  Load(room.load).Load(x, keys);
  __syncthreads();
  Sort(room.sort).Sort(keys);
  __syncthreads();
  Store(room.store).Store(out, keys);""",
    np.sort,
    "i",
)
kernel(
    "block histogram and neighbours",
    "cub/block/block_histogram.cuh cub/block/block_adjacent_difference.cuh",
    I
    + """
  using Histogram = cub::BlockHistogram<unsigned char, 128, 1, 16>;
  using Difference = cub::BlockAdjacentDifference<unsigned, 128>;
  __shared__ typename Histogram::TempStorage room; __shared__ typename Difference::TempStorage near;
  __shared__ unsigned bins[16];
  unsigned char item[1] = {(unsigned char)(x[i] % 16)};
  Histogram(room).Histogram(item, bins);
  __syncthreads();
  unsigned in[1] = {x[i]}, gap[1];
  Difference(near).SubtractLeft(in, gap, [](unsigned a, unsigned b) { return a - b; });
  out[i] = bins[t % 16] + (t ? gap[0] : 0);""",
    lambda x: _histogram(blocks(x)),
    "i",
)


def _reduced(x: Any) -> Any:
    wide = x.astype(np.uint64)
    scan = np.cumsum(wide, 1) - wide
    total = 6 * wide.sum(1, keepdims=True) + 3 * scan
    total[:, 0] += wide.max(1)
    return total.astype(np.uint32)


def _warps(x: Any) -> Any:
    total = np.cumsum(x.reshape(-1, 32), 1).reshape(-1, 16)
    total[:, 0] += 100 * x.reshape(-1, 16).sum(1)
    return total


def _histogram(x: Any) -> Any:
    bins = np.stack([np.bincount(row % 16, minlength=16) for row in x])
    gap = np.concatenate([0 * x[:, :1], x[:, 1:] - x[:, :-1]], 1)
    return (np.tile(bins, (1, THREADS // 16)) + gap).astype(np.uint32)


# -- intrinsics -------------------------------------------------------------------------------------------------------
kernel(
    "integers and bits",
    "cuda/std/bit cuda/cmath",
    I
    + """
  unsigned v = x[i], w = x[i ^ 1];
  unsigned sum = __byte_perm(v, w, 0x2461) ^ __brev(v) ^ __funnelshift_lc(v, w, t) ^ __funnelshift_r(v, w, t);
  sum += __popc(v) + __clz(v) + __ffs(w) + __fns(v, t % 32, 1 + t % 3) + __umulhi(v, w) + __usad(v, w, 7u);
  sum += __dp4a(v, w, 3u) + __dp2a_lo(v, w, 5u) + __umul24(v, w) + __uhadd(v, w) + __urhadd(v, w);
  sum += cuda::std::rotl(v, 5) + cuda::std::bit_width(w) + cuda::ceil_div(v, 7u);
  out[i] = sum;""",
    lambda x: _bits(x),
    "i",
)
kernel(
    "bytes and halves of a word",
    "cuda_fp16.h",
    I
    + """
  unsigned v = x[i], w = x[i ^ 1];
  out[i] = __vadd4(v, w) ^ __vsub2(v, w) ^ __vabsdiffu4(v, w) ^ __vmaxu2(v, w) ^ __vmins4(v, w) ^ __vcmpgtu4(v, w)
         ^ __vavgu2(v, w) ^ __vaddus4(v, w) ^ __vsads2(v, w) ^ __vsadu4(v, w) ^ __vnegss2(v) ^ __vseteq4(v, w);""",
    lambda x: _simd(x),
    "i",
)


def _bits(x: Any) -> Any:
    other = x[np.arange(N) ^ 1]
    out = []
    for i, (v, w) in enumerate(zip(x.tolist(), other.tolist(), strict=True)):
        t = i % THREADS
        both = v | w << 32
        permuted = sum((both >> 8 * int(n) & 255) << 8 * j for j, n in enumerate("1642"))
        left = (both << min(t, 32) >> 32) & 0xFFFFFFFF
        right = (both >> (t & 31)) & 0xFFFFFFFF
        total = permuted ^ int(f"{v:032b}"[::-1], 2) ^ left ^ right
        places = [p for p in range(t % 32, 32) if v >> p & 1]
        nth = places[t % 3] if len(places) > t % 3 else -1
        total += v.bit_count() + 32 - v.bit_length() + ((w & -w).bit_length()) + nth + (v * w >> 32) + abs(v - w) + 7
        quads = [(v >> 8 * j & 255) * (w >> 8 * j & 255) for j in range(4)]
        total += sum(quads) + 3 + (v & 0xFFFF) * (w & 255) + (v >> 16) * (w >> 8 & 255) + 5
        total += (v & 0xFFFFFF) * (w & 0xFFFFFF) + (v + w >> 1) + (v + w + 1 >> 1)
        total += (v << 5 | v >> 27) + w.bit_length() + -(-v // 7)
        out.append(total & 0xFFFFFFFF)
    return np.array(out, np.uint32)


def _simd(x: Any) -> Any:
    a, b = x, x[np.arange(N) ^ 1]
    u4, v4, s4, w4 = (z.view(k).reshape(-1, 4) for k in ("u1", "i1") for z in (a, b))
    u2, v2, s2, w2 = (z.view(k).reshape(-1, 2) for k in ("u2", "i2") for z in (a, b))

    def word(z: Any, kind: str) -> Any:
        return np.ascontiguousarray(z.astype(kind)).view(np.uint32).ravel()

    i4, j4, i2, j2 = (z.astype(np.int64) for z in (u4, v4, u2, v2))
    p4, q4, p2, q2 = (z.astype(np.int64) for z in (s4, w4, s2, w2))
    result = word(i4 + j4, "u1") ^ word(i2 - j2, "u2") ^ word(abs(i4 - j4), "u1") ^ word(np.maximum(i2, j2), "u2")
    result ^= word(np.minimum(p4, q4), "i1") ^ word(np.where(i4 > j4, 255, 0), "u1") ^ word((i2 + j2 + 1) >> 1, "u2")
    result ^= word(np.minimum(i4 + j4, 255), "u1") ^ abs(p2 - q2).sum(1).astype(np.uint32)
    result ^= abs(i4 - j4).sum(1).astype(np.uint32) ^ word(np.minimum(-p2, 32767), "i2") ^ word(i4 == j4, "u1")
    return result
