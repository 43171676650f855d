"""Numba: stencils, convolutions, transposes, matrix products, sparse matrices, gathers."""

import numpy as np
import torch
from numba import cuda, float32

from tests.ptxvm.corpus.case import Case, empty, tensor

WARP = 32
TAPS = np.array([1, -2, 3, -2, 1], np.float32)


@cuda.jit
def _stencil_1d(x, out):
    tile = cuda.shared.array(66, float32)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    tile[t + 1] = x[i]
    if t == 0:
        tile[0] = x[i - 1] if i > 0 else np.float32(0)
    if t == 63:
        tile[65] = x[i + 1] if i + 1 < x.size else np.float32(0)
    cuda.syncthreads()  # the tile and both ends are complete
    out[i] = tile[t] - 2 * tile[t + 1] + tile[t + 2]


def case_stencil_1d(rng):
    blocks, threads = 4, 64
    n = blocks * threads
    x = rng.integers(-9, 9, n).astype(np.float32)
    padded = np.pad(x, 1)

    def launch(x, out):
        _stencil_1d[blocks, threads](x, out)

    counters = {
        "global_load_bytes": 4 * (n + 2 * (blocks - 1)),  # each element, and both ends of a block but at the edges
        "barriers": n // WARP,
        "shared_requests": 4 * n // WARP + 2 * blocks,  # one store and three loads a warp, two ends a block
    }
    tensors = {"x": tensor(x), "out": empty(n, torch.float32)}
    return Case(launch, tensors, {"out": padded[:-2] - 2 * x + padded[2:]}, counters=counters)


@cuda.jit
def _stencil_2d(x, out):
    row, col = cuda.grid(2)
    rows, cols = x.shape
    if 0 < row < rows - 1 and 0 < col < cols - 1:
        out[row, col] = x[row - 1, col] + x[row + 1, col] + x[row, col - 1] + x[row, col + 1] - 4 * x[row, col]


def case_stencil_2d(rng):
    rows, cols = 20, 37
    x = rng.integers(-9, 9, (rows, cols)).astype(np.float32)
    want = np.zeros_like(x)
    want[1:-1, 1:-1] = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1]

    def launch(x, out):
        _stencil_2d[(3, 5), (8, 8)](x, out)

    inside = (rows - 2) * (cols - 2)
    counters = {"global_load_bytes": 4 * 5 * inside, "global_store_bytes": 4 * inside}
    return Case(launch, {"x": tensor(x), "out": torch.zeros(rows, cols)}, {"out": want}, counters=counters)


@cuda.jit
def _stencil_3d(x, out):
    i, j, k = cuda.grid(3)
    a, b, c = x.shape
    if i < a and j < b and k < c:
        total = np.float32(0)
        if i > 0:
            total += x[i - 1, j, k]
        if i + 1 < a:
            total += x[i + 1, j, k]
        if j > 0:
            total += x[i, j - 1, k]
        if j + 1 < b:
            total += x[i, j + 1, k]
        if k > 0:
            total += x[i, j, k - 1]
        if k + 1 < c:
            total += x[i, j, k + 1]
        out[i, j, k] = total


def case_stencil_3d(rng):
    a, b, c = 6, 7, 9
    x = rng.integers(-9, 9, (a, b, c)).astype(np.float32)
    p = np.pad(x, 1)
    want = p[:-2, 1:-1, 1:-1] + p[2:, 1:-1, 1:-1] + p[1:-1, :-2, 1:-1] + p[1:-1, 2:, 1:-1]
    want += p[1:-1, 1:-1, :-2] + p[1:-1, 1:-1, 2:]

    def launch(x, out):
        _stencil_3d[(2, 2, 3), (4, 4, 4)](x, out)

    # every pair of neighbours is read from both sides
    pairs = (a - 1) * b * c + a * (b - 1) * c + a * b * (c - 1)
    counters = {"global_load_bytes": 4 * 2 * pairs, "global_store_bytes": 4 * a * b * c}
    return Case(launch, {"x": tensor(x), "out": empty((a, b, c), torch.float32)}, {"out": want}, counters=counters)


@cuda.jit
def _convolve_1d(x, out):
    taps = cuda.const.array_like(TAPS)
    i = cuda.grid(1)
    if i < out.size:
        total = np.float32(0)
        for k in range(taps.size):
            total += taps[k] * x[i + k]
        out[i] = total


def case_convolve_1d(rng):
    n = 300
    x = rng.integers(-9, 9, n).astype(np.float32)

    def launch(x, out):
        _convolve_1d[3, 128](x, out)

    made = n - TAPS.size + 1
    # taps are constants: two operations for each that is not 1, an addition for each that is
    operations = 2 * TAPS.size - int((TAPS == 1).sum())
    counters = {"global_load_bytes": 4 * TAPS.size * made, "flops": operations * made}
    tensors = {"x": tensor(x), "out": empty(made, torch.float32)}
    return Case(launch, tensors, {"out": np.correlate(x, TAPS)}, counters=counters)


@cuda.jit
def _transpose_padded(x, out):
    tile = cuda.shared.array((32, 33), float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    row, col = cuda.blockIdx.y * 32, cuda.blockIdx.x * 32
    for r in range(ty, 32, 8):
        tile[r, tx] = x[row + r, col + tx]
    cuda.syncthreads()  # the padded tile is complete before it is read by columns
    for r in range(ty, 32, 8):
        out[col + r, row + tx] = tile[tx, r]


@cuda.jit
def _transpose_conflicts(x, out):
    tile = cuda.shared.array((32, 32), float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    row, col = cuda.blockIdx.y * 32, cuda.blockIdx.x * 32
    for r in range(ty, 32, 8):
        tile[r, tx] = x[row + r, col + tx]
    cuda.syncthreads()  # the tile is complete before it is read by columns
    for r in range(ty, 32, 8):
        out[col + r, row + tx] = tile[tx, r]


def _transposed(kernel, rng, column_wavefronts):
    rows, cols = 64, 96
    x = rng.standard_normal((rows, cols)).astype(np.float32)

    def launch(x, out):
        kernel[(cols // 32, rows // 32), (32, 8)](x, out)

    requests = rows * cols // WARP  # a warp moves 32 elements of a row
    counters = {
        "global_load_sectors": 4 * requests,
        "global_store_sectors": 4 * requests,
        "shared_wavefronts": requests * (1 + column_wavefronts),  # stored by rows, loaded by columns
        "shared_wavefronts_ideal": 2 * requests,
        "unique_store_sectors": rows * cols * 4 // 32,
    }
    return Case(launch, {"x": tensor(x), "out": empty((cols, rows), torch.float32)}, {"out": x.T}, counters=counters)


def case_transpose_padded(rng):
    return _transposed(_transpose_padded, rng, 1)  # a column steps by 33 words: 32 banks


def case_transpose_conflicts(rng):
    return _transposed(_transpose_conflicts, rng, 32)  # a column steps by 32 words: one bank


@cuda.jit
def _matmul_tiled(a, b, c):
    left = cuda.shared.array((16, 16), float32)
    right = cuda.shared.array((16, 16), float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    row, col = cuda.blockIdx.y * 16 + ty, cuda.blockIdx.x * 16 + tx
    total = np.float32(0)
    for k in range(0, a.shape[1], 16):
        left[ty, tx] = a[row, k + tx]
        right[ty, tx] = b[k + ty, col]
        cuda.syncthreads()  # both tiles are complete
        for i in range(16):
            total += left[ty, i] * right[i, tx]
        cuda.syncthreads()  # both tiles have been read before the next pair
    c[row, col] = total


def case_matmul_tiled(rng):
    m, n, k, tile = 48, 32, 64, 16
    a = rng.integers(-9, 9, (m, k)).astype(np.float32)
    b = rng.integers(-9, 9, (k, n)).astype(np.float32)

    def launch(a, b, c):
        _matmul_tiled[(n // tile, m // tile), (tile, tile)](a, b, c)

    counters = {
        "global_load_bytes": 4 * 2 * m * n * k // tile,  # every element of a n/tile times, of b m/tile times
        "flops": 2 * m * n * k,
        "barriers": 2 * k // tile * m * n // WARP,
        "global_store_sectors": m * n * 4 // 32,  # half a warp writes 64 neighbouring bytes
    }
    tensors = {"a": tensor(a), "b": tensor(b), "c": empty((m, n), torch.float32)}
    return Case(launch, tensors, {"c": a @ b}, counters=counters)


@cuda.jit
def _csr_rows(values, columns, starts, x, out):
    row = cuda.grid(1)
    if row < out.size:
        total = 0.0
        for i in range(starts[row], starts[row + 1]):
            total += values[i] * x[columns[i]]
        out[row] = total


def case_csr_rows(rng):
    rows, cols = 70, 50
    dense = rng.integers(-9, 9, (rows, cols)) * (rng.random((rows, cols)) < 0.1)
    x = rng.integers(-9, 9, cols).astype(np.float64)
    row, column = np.nonzero(dense)
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))]).astype(np.int32)

    def launch(values, columns, starts, x, out):
        _csr_rows[3, 32](values, columns, starts, x, out)

    # two starts a row; a value (8 bytes), its column (4) and an element of x (8) an entry
    counters = {"global_load_bytes": 8 * rows + 20 * row.size, "flops": 2 * row.size}
    tensors = {
        "values": tensor(dense[row, column].astype(np.float64)),
        "columns": tensor(column.astype(np.int32)),
        "starts": tensor(starts),
        "x": tensor(x),
        "out": empty(rows, torch.float64),
    }
    return Case(launch, tensors, {"out": dense @ x}, counters=counters)


@cuda.jit
def _ell(values, columns, x, out):
    row = cuda.grid(1)
    width, rows = values.shape
    if row < rows:
        total = np.float32(0)
        for i in range(width):
            column = columns[i, row]
            if column >= 0:
                total += values[i, row] * x[column]
        out[row] = total


def case_ell(rng):
    rows, cols, width = 64, 40, 5
    columns = rng.integers(-1, cols, (width, rows)).astype(np.int32)
    values = rng.integers(-9, 9, (width, rows)).astype(np.float32)
    x = rng.integers(-9, 9, cols).astype(np.float32)
    want = (values * np.where(columns >= 0, x[columns], 0)).sum(axis=0)

    def launch(values, columns, x, out):
        _ell[1, 64](values, columns, x, out)

    # a column of 4 bytes for each place, a value and an element of x for each entry
    counters = {"global_load_bytes": 4 * width * rows + 8 * int((columns >= 0).sum())}
    tensors = {"values": tensor(values), "columns": tensor(columns), "x": tensor(x), "out": empty(rows, torch.float32)}
    return Case(launch, tensors, {"out": want}, counters=counters)


@cuda.jit
def _permute(x, index, out, inverse):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = x[index[i]]
        inverse[index[i]] = i


def case_gather_and_scatter(rng):
    n = 500
    x = rng.standard_normal(n).astype(np.float32)
    index = rng.permutation(n).astype(np.int64)

    def launch(x, index, out, inverse):
        _permute[4, 128](x, index, out, inverse)

    tensors = {
        "x": tensor(x),
        "index": tensor(index),
        "out": empty(n, torch.float32),
        "inverse": empty(n, torch.int64),
    }
    warps = np.split(index, range(WARP, n, WARP))
    counters = {
        # 8-byte stores at random places: 4 to a sector
        "global_store_sectors": sum(np.unique(w // 4).size for w in warps) + -(-n * 4 // 32)
    }
    return Case(launch, tensors, {"out": x[index], "inverse": np.argsort(index)}, counters=counters)
