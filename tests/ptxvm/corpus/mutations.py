"""Good kernels of the corpus with one thing wrong, and the report that each must give.

Each takes a barrier, mask, wait, fence, guard or atomic out of a kernel, or changes a word of it. `mutations_ptx.py`
holds those that only the compiler's output can show.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """A change and what must be said of it.

    case     the kernel, as in `case.names()`
    old      a text that stands once in its file
    new      what stands there instead
    kind     of the finding, see `ptxvm.report.KINDS`
    at       a part of the source line that the finding names; of a race either line will do
    object   a pattern that the object must match: tensor and index, or the shared variable
    who      "block 3, thread 5", of the finding; "" where the order of threads decides
    fuzz     whether some shuffled schedule must give wrong numbers
    hidden   whether the normal one gives right numbers
    unwritten  a tensor that nobody has written, with the check that looks for it
    """

    case: str
    old: str
    new: str
    kind: str
    at: str
    object: str = ""
    who: str = ""
    fuzz: bool = False
    hidden: bool = False
    unwritten: str = ""

    @property
    def id(self) -> str:
        return f"{self.case}-{self.kind}-{self.at}".replace(" ", "_")


NUMBA = [
    Mutation("numba_calls:grid_sync", "        grid.sync()  # the round is complete\n", "", "race",
             "new[i] = old[i] + old["),
    Mutation("numba_calls:recursion", "_ackermann_of_two(n - 1)", "_ackermann_of_two(n + 1)", "stack overflow",
             "out[i] = _ackermann_of_two(x[i])"),
    Mutation("numba_calls:device_functions_of_tuples", "out[2 * i + 1] = pair[1]", "out[2 * i + 2] = pair[1]",
             "out of bounds", "_into(out, i, _swapped(", r"out\[64\]", "block 0, thread 31"),
    Mutation("numba_sums:dot_f64", "cuda.syncthreads()  # all products before the first round", "", "race",
             "partial[t] += partial[t + half]", "shared_0, byte", fuzz=True, hidden=True),
    Mutation("numba_sums:dot_f64", "cuda.syncthreads()  # this round before the next one", "", "race",
             "partial[t] += partial[t + half]"),
    Mutation("numba_sums:scan", "cuda.syncthreads()  # all have read this round", "", "race", "row[t] = value",
             "shared_0", fuzz=True, hidden=True),
    Mutation("numba_sums:scan", "cuda.syncthreads()  # all have written this round", "", "race", "row[t] = value",
             fuzz=True, hidden=True),
    Mutation("numba_sums:histogram_shared", "cuda.syncthreads()  # zeros before anybody counts", "", "race",
             "cuda.atomic.add(own, x[i], 1)", "shared_0", fuzz=True, hidden=True),
    Mutation("numba_grids:stencil_1d", "cuda.syncthreads()  # the tile and both ends are complete", "", "race",
             "out[i] = tile[t] - 2", "shared_0", fuzz=True, hidden=True),
    Mutation("numba_grids:transpose_padded",
             "cuda.syncthreads()  # the padded tile is complete before it is read by columns", "", "race",
             "out[col + r, row + tx] = tile[tx, r]", "shared_0, byte", fuzz=True, hidden=True),
    Mutation("numba_grids:matmul_tiled", "cuda.syncthreads()  # both tiles are complete", "", "race",
             "total += left[ty, i]", fuzz=True, hidden=True),
    Mutation("numba_grids:matmul_tiled", "cuda.syncthreads()  # both tiles have been read before the next pair", "",
             "race", "total += left[ty, i]", fuzz=True, hidden=True),
    Mutation("numba_rows:bitonic_sort", "cuda.syncthreads()  # both of a pair have written", "", "race", "row[t]",
             fuzz=True, hidden=True),
    Mutation("numba_rows:layer_norm", "cuda.syncthreads()  # all threads have read them", "", "race",
             "sums[t // 32] = part", fuzz=True, hidden=True),
    Mutation("numba_sums:histogram_global", "    if i < x.size:\n        cuda.atomic.add(out, x[i], 1)",
             "    cuda.atomic.add(out, x[i], 1)", "out of bounds", "cuda.atomic.add(out, x[i], 1)",
             r"x\[1000\]: first element past the end, x is \(1000,\)", "block 3, thread 232"),
    Mutation("numba_grids:stencil_2d", "0 < row < rows - 1 and 0 < col < cols - 1",
             "0 < row < rows and 0 < col < cols - 1", "out of bounds", "out[row, col] = x[row - 1, col]",
             r"x\[20, \d+\]: past the end, x is \(20, 37\)"),
    Mutation("numba_sums:histogram_global", "cuda.atomic.add(out, x[i], 1)", "out[x[i]] += 1", "race",
             "out[x[i]] += 1", r"out\[\d+\]"),
    Mutation("numba_grids:stencil_1d", "tile[65] = x", "tile[64] = x", "uninitialised read", "out[i] = tile[t] - 2",
             "shared_0, byte 260", "block 0, thread 63"),
    Mutation("numba_sums:histogram_shared", "    if t < 64:\n        own[t] = 0\n    cuda.syncthreads()",
             "    if t < 64:\n        own[t] = 0\n    if t >= 96:\n        return\n    cuda.syncthreads()",
             "barrier after early return", "cuda.syncthreads()"),
    Mutation("numba_sums:dot_f64", "    if t == 0:\n        cuda.atomic.add(out, 0, partial[0])",
             "    if t < 32:\n        cuda.syncthreads()\n        out[0] = partial[0]\n    else:\n        "
             "cuda.syncthreads()", "two barriers", "cuda.syncthreads()"),
    Mutation("numba_rows:match_and_votes", "    cuda.syncwarp()\n",
             "    if i % 2:\n        cuda.syncwarp(0xFFFF0000)\n", "mask mismatch", "cuda.syncwarp(0xFFFF0000)"),
    Mutation("numba_sums:segment_sums", "cuda.shfl_down_sync(0xFFFFFFFF, mine, delta)",
             "cuda.shfl_down_sync(0xFFFFFFFF, mine, delta) if lane < 20 else 0", "inactive lane", "shfl_down_sync"),
    Mutation("numba_rows:collatz_int64", "while n != 1:", "while n != 0:", "endless loop", "n = n // 2 if"),
    Mutation("numba_rows:argmax_by_packed_atomic", "x[i]) << uint64(32)", "x[i + (x.size << 34)]) << uint64(32)",
             "out of bounds", "cuda.atomic.max", r"x\["),
    Mutation("numba_worlds:bodies", "cuda.syncthreads()  # the tile is complete", "", "race",
             "d = tile[other] - mine", "shared_0, byte", fuzz=True, hidden=True),
    Mutation("numba_worlds:bodies", "cuda.syncthreads()  # all have read the tile", "", "race",
             "tile[t] = x[first + t]", "shared_0, byte", fuzz=True, hidden=True),
    Mutation("numba_worlds:scan_up_and_down", "cuda.syncthreads()  # the level below", "", "race",
             "tree[step * (2 * t + 2) - 1] +=", "shared_0, byte"),
    Mutation("numba_worlds:scan_up_and_down", "cuda.syncthreads()  # the level above", "", "race",
             "tree[step * (2 * t + ", "shared_0, byte"),
    Mutation("numba_worlds:game_of_life", "cells[r % rows, c % cols]", "cells[r, c % cols]", "out of bounds",
             "around += cells[r, c % cols]", r"a\[18, \d+\]: "),
    Mutation("numba_worlds:mandelbrot", "if row < out.shape[0] and col < out.shape[1]:\n        a, b",
             "if col < out.shape[1]:\n        a, b", "out of bounds", "out[row, col] = count",
             r"out\[30, 0\]: first element past the end, out is \(30, 30\)"),
    Mutation("numba_worlds:mandelbrot", "while count < most and x * x", "while x * x", "endless loop", "x"),
    Mutation("numba_worlds:views_with_strides", "(x.t(), y", "(x, y", "out of bounds",
             "out[row, col] = x[row, col] + y[row, col]", r"x\[16, 0\]: first element past the end, x is \(16, 32\)",
             "block 0, thread 16"),
    Mutation("numba_sums:histogram_shared", "    if t < 64:\n        own[t] = 0\n", "", "uninitialised read",
             "cuda.atomic.add(own, x[i], 1)", "shared_0, byte"),
    Mutation("numba_sums:histogram_shared", "cuda.atomic.add(own, x[i], 1)", "own[x[i]] += 1", "race",
             "own[x[i]] += 1", "shared_0, byte"),
]  # fmt: skip

CUDA = [
    Mutation("cuda_sums:block_sum", "__syncthreads();  // all eight sums are there", "", "race",
             "sums[threadIdx.x] : 0.f", "sums, byte", fuzz=True),
    Mutation("cuda_sums:block_sum", "__syncthreads();  // all eight sums are there",
             "if (threadIdx.x < 64) {\n    __syncthreads();\n    v += 0;\n  } else {\n    __syncthreads();\n  }",
             "two barriers", "__syncthreads();"),
    Mutation("cuda_sums:last_block_adds", "__syncthreads();  // this round before the next one", "", "race",
             "if (t < d) part[t] += part[t + d];"),
    Mutation("cuda_sums:last_block_adds", "    __threadfence();  // the sum before the count\n", "", "race",
             "((volatile int*)sums)[b]", r"sums\[\d\]"),
    Mutation("cuda_sums:decoupled_lookback", "__syncthreads();  // what comes before this block is known", "", "race",
             "out[i] = before + row[t];", "before", fuzz=True),
    Mutation("cuda_warps:radix_sort", "__syncthreads();  // all keys have moved", "", "race", "key = keys[t];",
             "keys, byte", fuzz=True, hidden=True),
    Mutation("cuda_warps:lock",
             "    __threadfence();  // what the last owner wrote is seen\n    *total = *total * 3 % 1000003 + "
             "1;\n    __threadfence();  // the total before the lock is free\n",
             "    *total = *total * 3 % 1000003 + 1;\n", "race", "*total = *total", r"total\[0\]"),
    Mutation("cuda_warps:lock", "    atomicExch(mutex, 0);\n", "", "endless loop", "while (atomicCAS(mutex, 0, 1)"),
    Mutation("cuda_warps:named_barriers", 'if (r > 0) asm volatile("bar.sync 2, 64;" ::: "memory");', "", "deadlock",
             'asm volatile("bar.sync 1, 64;"'),
    Mutation("cuda_warps:named_barriers", '      asm volatile("bar.arrive 1, 64;" ::: "memory");  // it is full\n', "",
             "deadlock", 'asm volatile("bar.sync 2, 64;"'),
    Mutation("cuda_rows:transpose_swizzled", "__syncthreads();  // the tile is complete before it is read by columns",
             "", "race", "out[(col + r) * rows + row + tx] = tile[tx][r ^ tx];", "tile, byte", fuzz=True, hidden=True),
    Mutation("cuda_rows:stencil_with_halo", "  if (tx == 0) tile[ty + 1][0] = at(row, col - 1);\n", "",
             "uninitialised read", "out[row * n + col] = tile", "tile, byte 72", "block 0, thread 0"),
    Mutation("cuda_rows:stencil_with_halo", "__syncthreads();  // the tile and its four edges are complete",
             "if (row == 3) return;\n  __syncthreads();", "barrier after early return", "__syncthreads();"),
    Mutation("cuda_rows:convolve_2d", "row >= rows - 2 ||", "row >= rows - 1 ||", "out of bounds", "sum += taps",
             r"x\[21, 0\]: first element past the end, x is \(21, 35\)"),
    Mutation("cuda_rows:dropout_philox", "float4 v = x[i];",
             "float4 v = *(const float4*)((const float*)x + 4 * i + 1);", "misaligned", "float4 v = ", r"x\[1\]",
             "block 0, thread 0"),
    Mutation("cuda_rows:powers_of_64_bits", "base[i] % modulus", "base[i] % (u64)(n - 48)", "division by zero",
             "u64 result = 1", who="block 0, thread 0"),
    Mutation("cuda_rows:median_in_local_memory", "i < count; i++) v[i] = x", "i < count - 1; i++) v[i] = x",
             "uninitialised read", "v[", "byte 32 of local memory"),
    Mutation("cuda_rows:csr_one_warp_a_row", "if (row >= rows) return;  // the",
             "if (row >= rows || lane == 31) return;  // the", "inactive lane", "__shfl_xor_sync(0xffffffff, sum, d)"),
    Mutation("cuda_rows:csr_one_warp_a_row", "__shfl_xor_sync(0xffffffff, sum, d)",
             "__shfl_xor_sync(0xfffffffe, sum, d)", "mask mismatch", "__shfl_xor_sync(0xfffffffe, sum, d)"),
    Mutation("cuda_rows:csr_one_warp_a_row", "if (lane == 0) out[row] = sum;", "out[0] = sum;", "race",
             "out[0] = sum;", r"out\[0\]"),
    Mutation("cuda_tiles:cp_async_pipeline",
             "    __syncwarp();              // all have read before the next copy into this buffer\n", "", "race",
             "__pipeline_memcpy_async"),
    Mutation("cuda_tiles:cp_async_pipeline", "    __pipeline_wait_prior(1);  // all but the newest copy have landed\n",
             "", "missing wait", "float4 v = tile[r % 2][31 - t];", "tile, byte"),
    Mutation("cuda_tiles:cp_async_staged", "  __pipeline_wait_prior(0);  // this thread's copy has landed\n", "",
             "missing wait", "out[base + t] = row[63 - t];", "row, byte 252"),
    Mutation("cuda_tiles:mma_f16_by_ldmatrix", "    __syncwarp();  // both tiles are complete\n", "", "race",
             "left[lane / 2][lane % 2 * 8] =", "left, byte"),
    Mutation("cuda_tiles:templates_and_dynamic_shared", "xs, shared=8 * 3 * 64)", "xs)", "out of bounds",
             "tile[i * blockDim.x + t] = x"),
    Mutation("cuda_calls:mutual_recursion", "return n != 0 && even(n - 1);", "return n != 0 && even(n + 3);",
             "stack overflow", "even"),
    Mutation("cuda_calls:function_pointers", "steps[which[i]](a[i], b[i])", "steps[which[i] + 1](a[i], b[i])",
             "out of bounds", "steps[which[i] + 1]", r"steps"),
    Mutation("cuda_calls:structures_by_value", "Span{middle + 1, s.last}", "Span{middle + 64, s.last + 64}",
             "out of bounds", "while (s.first < s.last)", r"table\["),
    Mutation("cuda_calls:printf_and_assert", "assert(x[i] >= 0);", "assert(x[i] > 0);", "assertion",
             "assert(x[i] > 0);"),
    Mutation("cuda_warps:grid_sync", "    grid.sync();  // b is complete\n", "", "race",
             "b[i] = a[i] + a[(i + 1) % n];"),
    Mutation("cuda_scans:sum_by_neighbours", "__syncthreads();  // the sums of the last round", "", "race",
             "pairs[t] += pairs[t + d];", "pairs, byte", fuzz=True),
    Mutation("cuda_scans:sum_by_halves", "__syncthreads();  // both halves", "", "race",
             "if (t < d) sums[t] += sums[t + d];", "sums, byte", fuzz=True, hidden=True),
    Mutation("cuda_scans:scan_by_shuffles", "__syncthreads();  // the sums of all warps", "", "race",
             "sum += totals[w];", "totals, byte", fuzz=True, hidden=True),
    Mutation("cuda_scans:scan_by_shuffles", "if (lane == 31) totals", "if (lane == 31 && warp > 0) totals",
             "uninitialised read", "sum += totals[w];", "totals, byte 0"),
    Mutation("cuda_scans:bodies_in_space", "__syncthreads();  // the tile is complete", "", "race",
             "float4 o = tile[k];", "tile, byte", fuzz=True, hidden=True),
    Mutation("cuda_scans:bodies_in_space", "__syncthreads();  // all have read it", "", "race",
             "tile[t] = place[first + t];", "tile, byte", fuzz=True, hidden=True),
    Mutation("cuda_scans:grid_of_three_dimensions", " && channel < channels", "", "out of bounds", "out[(row * cols",
             r"x\[5, 0, 0\]: first element past the end, x is \(5, 7, 20\)", "block (0, 0, 2), thread (0, 0, 1)"),
    Mutation("cuda_scans:matvec_int4", "word < cols / 8", "word <= cols / 8", "out of bounds", "unsigned packed = w",
             r"w\[5, 0\]: first element past the end, w is \(5, 64\)", "block 4, thread 0"),
    Mutation("cuda_scans:index_of_64_bits", "out[far >> shift]", "out[(far >> shift) % 64]", "race",
             "out[(far >> shift) % 64] =", r"out\[\d+\]"),
    Mutation("cuda_tiles:cp_async_staged", "  __syncthreads();           // so have those of the others\n", "",
             "race", "out[base + t] = row[63 - t];", "row, byte"),
    Mutation("cuda_products:wmma_int8", "  __syncwarp();  // the tile is complete\n", "", "race",
             "c[(row + e / 16) * n + col + e % 16] =", "staged, byte"),
]  # fmt: skip

TRITON = [
    Mutation("triton_rows:axpy", "y = tl.load(y_ptr + i, mask=inside)", "y = tl.load(y_ptr + i)", "out of bounds",
             "y = tl.load(y_ptr + i)", r"y\[1000\]: first element past the end, y is \(1000,\)"),
    Mutation("triton_rows:axpy", "tl.store(out_ptr + i, a * x + y, mask=inside)", "tl.store(out_ptr + i, a * x + y)",
             "out of bounds", "tl.store(out_ptr + i, a * x + y)", r"out\[1000\]"),
    Mutation("triton_rows:stencil_2d", "mask=inside & (row + 1 < rows), other=0.0", "mask=inside, other=0.0",
             "out of bounds", "down = tl.load", r"x\[19, 0\]: first element past the end, x is \(19, 45\)"),
    Mutation("triton_rows:layer_norm",
             "inside = col < cols\n    x = tl.load(x_ptr + row * cols + col, mask=inside, other=0.0)\n    mean",
             "inside = col < cols + 1\n    x = tl.load(x_ptr + row * cols + col, mask=inside, other=0.0)\n    "
             "mean", "out of bounds", "x = tl.load(x_ptr + row", r"x\[4, 0\]: first element past the end",
             "block 3, thread 100"),
    Mutation("triton_dots:split_k", "tl.atomic_add(c_ptr + m * N + n, total)",
             "tl.store(c_ptr + m * N + n, tl.load(c_ptr + m * N + n) + total)", "race", "tl.store(c_ptr + m * N + n",
             r"c\[\d+, \d+\]"),
    Mutation("triton_dots:stream_k_with_locks", "        tl.atomic_xchg(lock_ptr + tile, 0)\n", "", "endless loop",
             "while tl.atomic_cas(lock_ptr + tile, 0, 1) == 1:"),
    Mutation("triton_scans:histogram", "tl.atomic_add(out_ptr + tl.arange(0, BINS), counts)",
             "tl.store(out_ptr + tl.arange(0, BINS), counts)", "race",
             "tl.store(out_ptr + tl.arange(0, BINS), counts)", r"out\[\d+\]"),
    Mutation("triton_scans:decoupled_lookback", "    tl.atomic_xchg(state_ptr + block, (before + own) * 4 + 2)\n", "",
             "endless loop", "state = tl.atomic_add(state_ptr + b, 0)"),
    Mutation("triton_scans:scans_of_blocks", "tl.store(sums_ptr + i, tl.cumsum(x, axis=0))",
             "tl.store(sums_ptr + i, tl.cumsum(x // (tl.num_programs(0) - 3), axis=0))", "division by zero",
             "tl.cumsum(x // (", who="block 0, thread 0"),
    Mutation("triton_rows:quantise_and_back", "x = tl.load(x_ptr + at)\n    scale",
             "x = tl.load(tl.multiple_of(x_ptr + 1 + at, [16]))\n    scale", "misaligned",
             "x = tl.load(tl.multiple_of(", r"x\[0, 1\]", "block 0, thread 0"),
    Mutation("triton_rows:rms_norm_bf16", "tl.load(weight_ptr + col)", "tl.load(weight_ptr + col)",
             "uninitialised read", "tl.load(weight_ptr + col)", r"weight\[\d+\]", unwritten="weight"),
    Mutation("triton_worlds:game_of_life", "mine = tl.load(cells_ptr + i, mask=inside, other=0)",
             "mine = tl.load(cells_ptr + i)", "out of bounds", "mine = tl.load(cells_ptr + i)",
             r"a\[18, \d\]: .*past the end, a is \(18, 21\)", "block 2"),
    Mutation("triton_worlds:mandelbrot", "tl.store(out_ptr + i, count, mask=i < n * n)", "tl.store(out_ptr + i, count)",
             "out of bounds", "tl.store(out_ptr + i, count)", r"out\[20, 0\]: first element past the end", "block 3"),
    Mutation("triton_worlds:bags_of_embeddings", "_bags[(lengths.size,)]", "_bags[(lengths.size + 1,)]",
             "out of bounds", "first, end = tl.load(", r"starts\[5\]: first element past the end, starts is \(5,\)",
             "block 4"),
    Mutation("triton_worlds:permutation_of_blocks", "tl.store(out_ptr + first + ", "tl.store(out_ptr + ", "race",
             "tl.store(out_ptr + (a * A", r"out\[0, \d+, \d, \d\]"),
    Mutation("triton_worlds:matvec_int4", "tl.store(out_ptr + row, ", "tl.store(out_ptr, ", "race",
             "tl.store(out_ptr, tl.sum(", r"out\[0\]", fuzz=True),
]  # fmt: skip

MUTATIONS = [*NUMBA, *CUDA, *TRITON]
