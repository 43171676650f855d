"""Is our occupancy that of NVIDIA's own calculator, cuda_occupancy.h?"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warpbench import hardware

ORACLE = r"""
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cuda_occupancy.h"
/* stdin: a line a question of 13 whole numbers; stdout: blocks and the limiting factors' bits */
int main(void) {
    int major, minor, sm_shared, block_shared, most, reserved, regs_sm, regs_block, threads_sm, threads, regs, shared;
    int carveout; /* per cent of the cache for shared memory that a kernel prefers; -1: leaves it to the driver */
    while (scanf("%d %d %d %d %d %d %d %d %d %d %d %d %d", &major, &minor, &sm_shared, &block_shared, &most, &reserved,
                 &regs_sm, &regs_block, &threads_sm, &threads, &regs, &shared, &carveout) == 13) {
        cudaOccDeviceProp card;
        cudaOccFuncAttributes kernel;
        cudaOccDeviceState state;
        cudaOccResult result;
        memset(&card, 0, sizeof card);
        memset(&kernel, 0, sizeof kernel);
        card.computeMajor = major;
        card.computeMinor = minor;
        card.maxThreadsPerBlock = 1024;
        card.maxThreadsPerMultiprocessor = threads_sm;
        card.regsPerBlock = regs_block;
        card.regsPerMultiprocessor = regs_sm;
        card.warpSize = 32;
        card.sharedMemPerBlock = block_shared;
        card.sharedMemPerMultiprocessor = sm_shared;
        card.numSms = 1;
        card.sharedMemPerBlockOptin = most;
        card.reservedSharedMemPerBlock = reserved;
        kernel.maxThreadsPerBlock = 1024;
        kernel.numRegs = regs;
        kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
        kernel.maxDynamicSharedSizeBytes = shared;
        kernel.numBlockBarriers = 0; /* named barriers stop nothing that the block limit does not */
        state.cacheConfig = CACHE_PREFER_NONE;
        state.carveoutConfig = carveout;
        int code = cudaOccMaxActiveBlocksPerMultiprocessor(&result, &card, &kernel, &state, threads, shared);
        if (code != CUDA_OCC_SUCCESS) printf("-1 %d\n", code);
        else printf("%d %u\n", result.activeBlocksPerMultiprocessor, result.limitingFactors);
        fflush(stdout);
    }
    return 0;
}
"""
BITS = {"threads": 1, "registers": 2, "shared memory": 4, "blocks": 8}


def header_folder() -> Path | None:
    """Where the CUDA wheels or Triton have put cuda_occupancy.h."""
    places = [("nvidia", "cu13/include"), ("triton", "backends/nvidia/include")]
    for package, below in places:
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or []) if spec else []:
            if (Path(root) / below / "cuda_occupancy.h").exists():
                return Path(root) / below
    return None


Question = tuple[str, int, int, int, int]  # compute capability, threads, registers, shared bytes, carve-out


@pytest.fixture(scope="module")
def nvidias(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Question], tuple[int, int]]]:
    """NVIDIA's calculator, running: a question gives blocks and the bits of what limits them."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc compiles NVIDIA's calculator, and is not here")
    include = header_folder()
    if include is None:
        pytest.skip("cuda_occupancy.h of the CUDA wheels is not here")
    folder = tmp_path_factory.mktemp("oracle")
    (folder / "oracle.c").write_text(ORACLE)
    subprocess.run(["gcc", "-O1", "-I", str(include), "-o", "oracle", "oracle.c"], check=True, cwd=folder)
    with subprocess.Popen([folder / "oracle"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin is not None
        assert running.stdout is not None

        def ask(question: Question) -> tuple[int, int]:
            cc, *kernel = question
            most = hardware.limits()[cc]
            numbers = (
                *map(int, cc.split(".")), most.shared_per_sm_bytes, most.shared_per_block_bytes,
                most.shared_per_block_optin_bytes, most.shared_reserved_per_block_bytes, most.registers_per_sm,
                most.registers_per_block, most.threads_per_sm, *kernel,
            )  # fmt: skip
            running.stdin.write(" ".join(map(str, numbers)) + "\n")
            running.stdin.flush()
            blocks, bits = running.stdout.readline().split()
            return int(blocks), int(bits)

        yield ask
        running.stdin.close()


def test_the_limits_of_every_card_are_known() -> None:
    assert {card.cc for card in hardware.gpus().values()} <= set(hardware.limits())


def near(*edges: int, most: int) -> st.SearchStrategy[int]:
    """Any number from 0 to `most`, often one beside an edge."""
    beside = [n for edge in edges for n in (edge - 1, edge, edge + 1) if 0 <= n <= most]
    return st.sampled_from(beside) | st.integers(0, most)


@pytest.mark.parametrize("cc", hardware.limits())
def test_occupancy_is_nvidias(cc: str, nvidias: Callable[[Question], tuple[int, int]]) -> None:
    """For a kernel that takes as much shared memory as it needs, and one that prefers all of the cache for it."""
    most = hardware.limits()[cc]
    by_blocks = [most.shared_per_sm_bytes // blocks - most.shared_reserved_per_block_bytes for blocks in range(1, 9)]
    compared = 0

    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @given(
        threads=near(*range(32, 1025, 32), most=1024).filter(bool),
        registers=near(*range(0, 256, 8), 168, most=255),
        shared=near(0, 1024, 49152, most.shared_per_block_optin_bytes, *by_blocks, most=240_000),
        carveout=st.sampled_from([-1, 100]),
    )
    def agrees(threads: int, registers: int, shared: int, carveout: int) -> None:
        nonlocal compared
        ours = hardware.occupancy(cc, threads, registers, shared)
        assert ours is not None
        blocks, bits = nvidias((cc, threads, registers, shared, carveout))
        assert ours.blocks_per_sm == blocks
        assert sum(BITS[name] for name in ours.limiters) == bits
        compared += 1

    agrees()
    assert compared >= 150


@pytest.mark.parametrize(
    ("cc", "threads", "registers", "shared", "blocks", "share", "limiters"),
    [
        ("8.6", 256, 32, 0, 6, 1.0, ("threads",)),
        ("8.6", 256, 64, 0, 4, 4 * 8 / 48, ("registers",)),
        ("8.6", 128, 32, 48 * 1024, 2, 2 * 4 / 48, ("shared memory",)),  # 1 KiB a block is the driver's
        ("8.6", 32, 16, 0, 16, 16 / 48, ("blocks",)),
        ("9.0", 1024, 32, 0, 2, 1.0, ("threads", "registers")),
        ("8.6", 256, 32, 102400, 0, 0.0, ("shared memory",)),
        ("8.6", 1024, 65, 0, 0, 0.0, ("registers",)),
    ],
)
def test_cases_worked_by_hand(
    cc: str, threads: int, registers: int, shared: int, blocks: int, share: float, limiters: tuple[str, ...]
) -> None:
    found = hardware.occupancy(cc, threads, registers, shared)
    assert (found.blocks_per_sm, found.share, found.limiters) == (blocks, pytest.approx(share), limiters)


def test_an_unknown_capability_has_no_occupancy() -> None:
    assert hardware.occupancy("13.0", 128, 32, 0) is None


@pytest.mark.parametrize(("threads", "registers", "shared"), [(0, 32, 0), (32, -1, 0), (32, 32, -1)])
def test_impossible_kernels_are_refused(threads: int, registers: int, shared: int) -> None:
    with pytest.raises(ValueError, match="threads must be 1 or more"):
        hardware.occupancy("8.6", threads, registers, shared)
