"""Counters of rungs as closed formulas of the problem size, each with its reason.

Each holds at two shapes, so that a formula is more than one number. All are for float32, 32 lanes a warp and sectors of
8 elements.
"""

from __future__ import annotations

import pytest

from warpbench import catalogue, check, counts


def streamed(elements: int, loads: int, flops: int, vector: int = 1) -> dict[str, int]:
    """`loads` tensors are read and one is written, in order, `vector` elements a lane; every sector once."""
    requests, sectors = elements // (32 * vector), elements // 8
    return {
        "global_load_requests": loads * requests, "global_load_sectors": loads * sectors,
        "global_load_bytes": 4 * loads * elements, "global_store_requests": requests, "global_store_sectors": sectors,
        "global_store_bytes": 4 * elements, "flops": flops * elements, "divergent_branches": 0, "barriers": 0,
        "shared_requests": 0, "unique_load_sectors": loads * sectors, "unique_store_sectors": sectors,
    }  # fmt: skip


def strided(elements: int, loads: int, flops: int, read: bool, written: bool) -> dict[str, int]:
    """The same by lanes whose neighbours are far away: a sector a lane on the sides that are named."""
    plain = streamed(elements, loads, flops)
    if read:
        plain["global_load_sectors"] = loads * elements
    if written:
        plain["global_store_sectors"] = elements
    return plain


def turned(rows: int, cols: int, read_wavefronts: int) -> dict[str, int]:
    """A transpose through a 32 x 32 tile: a block of 8 warps writes it by rows and reads it by columns."""
    elements = rows * cols
    through = elements // 32
    return {
        **streamed(elements, 1, 0), "shared_requests": 2 * through, "shared_wavefronts_ideal": 2 * through,
        "shared_wavefronts": through + read_wavefronts * through, "barriers": elements // 1024 * 8,
    }  # fmt: skip


def product(m: int, n: int, k: int, loads: dict[str, int], **more: int) -> dict[str, int]:
    """out (m, n) written in whole sectors."""
    return {
        **loads, "global_store_bytes": 4 * m * n, "flops": 2 * m * n * k, "unique_store_sectors": m * n // 8,
        "unique_load_sectors": (m * k + k * n) // 8, "divergent_branches": 0, **more,
    }  # fmt: skip


def naive_product(m: int, n: int, k: int) -> dict[str, int]:
    """16 x 16 threads: a warp is 2 rows, so it reads 2 elements of A (2 sectors) and 16 of B (2 sectors) for each k."""
    warps = m * n // 32
    loads = {"global_load_requests": 2 * k * warps, "global_load_sectors": 4 * k * warps,
             "global_load_bytes": 2 * 4 * m * n * k}  # fmt: skip
    return product(m, n, k, loads, barriers=0, shared_requests=0, global_store_requests=warps,
                   global_store_sectors=4 * warps)  # fmt: skip


def tiled_product(m: int, n: int, k: int) -> dict[str, int]:
    """Tiles of 16 x 16: 2 m n k / 16 elements are loaded, each warp 2 rows of 16, which is 4 sectors. A thread stores 2
    and loads 32 elements of shared memory for each tile; two barriers a tile."""
    warps, tiles = m * n // 32, k // 16
    loads = {"global_load_requests": 2 * warps * tiles, "global_load_sectors": 8 * warps * tiles,
             "global_load_bytes": 4 * 2 * m * n * k // 16}  # fmt: skip
    shared = (2 + 32) * warps * tiles
    loads |= {"shared_requests": shared, "shared_wavefronts": shared, "shared_wavefronts_ideal": shared}
    return product(
        m, n, k, loads, barriers=2 * warps * tiles, global_store_requests=warps, global_store_sectors=4 * warps
    )


def register_product(m: int, n: int, k: int) -> dict[str, int]:
    """64 x 64 of out a block of 256 threads, tiles 16 deep: 64 * 16 elements of A and of B a tile, in whole sectors."""
    blocks, tiles = m * n // 64**2, k // 16
    loaded = 2 * 64 * 16 * blocks * tiles
    loads = {"global_load_sectors": loaded // 8, "global_load_bytes": 4 * loaded}
    return product(m, n, k, loads, barriers=2 * 8 * blocks * tiles)


def triton_product(m: int, n: int, k: int, block_m: int, block_n: int) -> dict[str, int]:
    """block_m x block_n of out a program: A is read n / block_n times and B m / block_m times, 16 bytes a lane."""
    loaded = m * k * (n // block_n) + k * n * (m // block_m)
    loads = {"global_load_requests": loaded // 128, "global_load_sectors": loaded // 8, "global_load_bytes": 4 * loaded}
    return product(m, n, k, loads, global_store_requests=m * n // 128, global_store_sectors=m * n // 8)


def summed(n: int, vector: int = 1) -> dict[str, int]:
    """Each element is read once, in order."""
    return {"global_load_requests": n // (32 * vector), "global_load_sectors": n // 8, "global_load_bytes": 4 * n,
            "unique_load_sectors": n // 8, "unique_store_sectors": 1}  # fmt: skip


def atomic_sum(n: int) -> dict[str, int]:
    """All 32 lanes of a warp add to one word, one after another."""
    return {**summed(n), "atomics": n, "atomic_contention": 32, "global_store_requests": n // 32,
            "global_store_sectors": n, "global_store_bytes": 4 * n, "barriers": 0, "shared_requests": 0}  # fmt: skip


def tree_sum(n: int) -> dict[str, int]:
    """256 threads put a value each, then halves add: a barrier before each of 8 steps and after the first store. Steps
    of 128, 64 and 32 lanes keep 4, 2 and 1 whole warps busy, 5 more a part of one; each busy warp loads 2 and stores 1.
    Thread 0 loads the sum. A warp is split in 5 steps and where one thread adds."""
    blocks, busy = n // 256, 4 + 2 + 1 + 5
    shared = (8 + 3 * busy + 1) * blocks
    return {**summed(n), "atomics": blocks, "atomic_contention": 1, "barriers": 8 * 9 * blocks,
            "shared_requests": shared, "shared_wavefronts": shared, "shared_wavefronts_ideal": shared,
            "divergent_branches": 6 * blocks, }  # fmt: skip


def partial_sums(n: int, elements_a_block: int, vector: int = 1) -> dict[str, int]:
    """A word a block goes to memory by one atomic."""
    blocks = n // elements_a_block
    return {**summed(n, vector), "atomics": blocks, "atomic_contention": 1, "global_store_requests": blocks,
            "global_store_sectors": blocks, "global_store_bytes": 4 * blocks}  # fmt: skip


def rows_read(rows: int, cols: int, passes: int, vector: int = 1) -> dict[str, int]:
    """A softmax that reads each row `passes` times and writes it once, in order."""
    elements = rows * cols
    return {
        "global_load_requests": passes * elements // (32 * vector), "global_load_sectors": passes * elements // 8,
        "global_load_bytes": 4 * passes * elements, "global_store_requests": elements // (32 * vector),
        "global_store_sectors": elements // 8, "global_store_bytes": 4 * elements,
        "unique_load_sectors": elements // 8, "unique_store_sectors": elements // 8,
    }  # fmt: skip


def thread_rows(rows: int, cols: int) -> dict[str, int]:
    """A thread a row, three passes: lanes are a whole row apart, so each has a sector of its own."""
    elements = rows * cols
    return {**rows_read(rows, cols, 3), "global_load_sectors": 3 * elements, "global_store_sectors": elements}


FORMULAS = {
    "vector_add/numba/one_thread_an_element": lambda n: streamed(n, 2, 1),
    "vector_add/numba/grid_stride": lambda n: streamed(n, 2, 1),
    "vector_add/numba/streaming_hints": lambda n: streamed(n, 2, 1),
    "vector_add/cupy/one_thread_an_element": lambda n: streamed(n, 2, 1),
    "vector_add/cupy/four_floats_a_load": lambda n: streamed(n, 2, 1, vector=4),
    "vector_add/cupy/streaming_hints": lambda n: streamed(n, 2, 1, vector=4),
    "vector_add/triton/one_element_a_thread": lambda n: streamed(n, 2, 1),
    "vector_add/triton/eight_elements_a_thread": lambda n: streamed(n, 2, 1, vector=4),
    "axpy/numba/grid_stride": lambda n: streamed(n, 2, 2),
    "axpy/cupy/one_thread_an_element": lambda n: streamed(n, 2, 2),
    "axpy/cupy/four_floats_a_load": lambda n: streamed(n, 2, 2, vector=4),
    "axpy/triton/one_element_a_thread": lambda n: streamed(n, 2, 2),
    "axpy/triton/persistent_programs": lambda n: streamed(n, 2, 2, vector=4),
    "scale_bias/numba/single_precision": lambda n: streamed(n, 1, 2),
    "scale_bias/cupy/single_precision": lambda n: streamed(n, 1, 2),
    "scale_bias/triton/one_element_a_thread": lambda n: streamed(n, 1, 2),
    "scale_bias/triton/eight_elements_a_thread": lambda n: streamed(n, 1, 2, vector=4),
    "copy_2d/numba/threads_down_a_column": lambda rows, cols: strided(rows * cols, 1, 0, read=True, written=True),
    "copy_2d/numba/threads_along_a_row": lambda rows, cols: streamed(rows * cols, 1, 0),
    "copy_2d/cupy/threads_along_a_row": lambda rows, cols: streamed(rows * cols, 1, 0),
    "copy_2d/cupy/four_floats_a_load": lambda rows, cols: streamed(rows * cols, 1, 0, vector=4),
    "copy_2d/triton/tile_of_pointers": lambda rows, cols: streamed(rows * cols, 1, 0, vector=4),
    "transpose/numba/one_thread_an_element": lambda rows, cols: strided(rows * cols, 1, 0, read=False, written=True),
    "transpose/numba/shared_tile": lambda rows, cols: turned(rows, cols, 32),
    "transpose/numba/padded_tile": lambda rows, cols: turned(rows, cols, 1),
    "transpose/cupy/one_thread_an_element": lambda rows, cols: strided(rows * cols, 1, 0, read=False, written=True),
    "transpose/cupy/shared_tile": lambda rows, cols: turned(rows, cols, 32),
    "transpose/cupy/padded_tile": lambda rows, cols: turned(rows, cols, 1),
    "transpose/cupy/swizzled_tile": lambda rows, cols: turned(rows, cols, 1),
    "gemm_f32/numba/one_thread_an_element": naive_product,
    "gemm_f32/numba/shared_tile": tiled_product,
    "gemm_f32/numba/register_tile": register_product,
    "gemm_f32/cupy/one_thread_an_element": naive_product,
    "gemm_f32/cupy/shared_tile": tiled_product,
    "gemm_f32/cupy/register_tile": register_product,
    "gemm_f32/triton/tile_dot": lambda m, n, k: triton_product(m, n, k, 64, 32),
    "gemm_f32/triton/pipelined_dot": lambda m, n, k: triton_product(m, n, k, 64, 32),
    "reduce_sum/numba/one_atomic_an_element": atomic_sum,
    "reduce_sum/cupy/one_atomic_an_element": atomic_sum,
    "reduce_sum/numba/shared_tree": tree_sum,
    "reduce_sum/cupy/shared_tree": tree_sum,
    "reduce_sum/cupy/four_floats_a_load": lambda n: partial_sums(n, 1024, vector=4),
    "reduce_sum/triton/one_atomic_a_program": lambda n: partial_sums(n, 4096, vector=4),
    "softmax/numba/one_thread_a_row": thread_rows,
    "softmax/cupy/one_thread_a_row": thread_rows,
    "softmax/numba/one_block_a_row": lambda rows, cols: rows_read(rows, cols, 3),
    "softmax/numba/one_warp_a_row": lambda rows, cols: rows_read(rows, cols, 3),
    "softmax/cupy/one_warp_a_row": lambda rows, cols: rows_read(rows, cols, 3),
    "softmax/triton/one_program_a_row": lambda rows, cols: rows_read(rows, cols, 1, vector=4),
}


@pytest.mark.parametrize("scale", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("path", FORMULAS)
def test_counters_are_the_formula(path, scale, emulated):
    ((operation, rung),) = catalogue.select(path)
    tiny = dict(counts.counted_case(operation, rung).shape)
    axis = next(iter(tiny))
    case = check.Case(tuple({**tiny, axis: scale * tiny[axis]}.items()), "f32")
    judged, launches = check.run_case(operation, rung, catalogue.function(operation, rung), case, emulated)
    assert judged["verdict"] == "pass", judged["findings"]
    reports = [launch.report for launch in launches]
    want = FORMULAS[path](**case.sizes)
    found = {name: sum(getattr(report.counters, name) for report in reports) for name in want}
    assert found == want


def test_the_table_is_wide():
    assert len(FORMULAS) >= 25
    assert {path.split("/")[1] for path in FORMULAS} == {"numba", "cupy", "triton"}
