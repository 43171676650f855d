"""Is our occupancy that of NVIDIA's own calculator, cuda_occupancy.h?"""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from warpbench import hardware

ORACLE = r"""
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cuda_occupancy.h"
/* stdin: a line a question of 12 whole numbers; stdout: blocks and the limiting factors' bits */
int main(void) {
    int major, minor, sm_shared, block_shared, most, reserved, regs_sm, regs_block, threads_sm, threads, regs, shared;
    while (scanf("%d %d %d %d %d %d %d %d %d %d %d %d", &major, &minor, &sm_shared, &block_shared, &most, &reserved,
                 &regs_sm, &regs_block, &threads_sm, &threads, &regs, &shared) == 12) {
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
        state.carveoutConfig = SHAREDMEM_CARVEOUT_DEFAULT;
        int code = cudaOccMaxActiveBlocksPerMultiprocessor(&result, &card, &kernel, &state, threads, shared);
        if (code != CUDA_OCC_SUCCESS) printf("-1 %d\n", code);
        else printf("%d %u\n", result.activeBlocksPerMultiprocessor, result.limitingFactors);
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


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc compiles NVIDIA's calculator, and is not here")
@pytest.mark.skipif(header_folder() is None, reason="cuda_occupancy.h of the CUDA wheels is not here")
def test_occupancy_is_nvidias(tmp_path: Path) -> None:
    (tmp_path / "oracle.c").write_text(ORACLE)
    program = tmp_path / "oracle"
    subprocess.run(
        ["gcc", "-O1", "-I", str(header_folder()), "-o", str(program), str(tmp_path / "oracle.c")], check=True
    )
    draw = random.Random(1)
    questions = []
    for cc, most in hardware.limits().items():
        for _ in range(1500):
            threads = draw.choice([32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, draw.randint(1, 1024)])
            registers = draw.choice([0, 16, 32, 40, 64, 128, 168, 255, draw.randint(1, 255)])
            shared = draw.choice(
                [0, 0, 1, 1024, 16384, 49152, most.shared_per_block_optin_bytes, draw.randint(0, 240000)]
            )
            questions.append((cc, most, threads, registers, shared))
    lines = [
        " ".join(
            str(number)
            for number in (
                *map(int, cc.split(".")), most.shared_per_sm_bytes, most.shared_per_block_bytes,
                most.shared_per_block_optin_bytes, most.shared_reserved_per_block_bytes, most.registers_per_sm,
                most.registers_per_block, most.threads_per_sm, threads, registers, shared,
            )
        )
        for cc, most, threads, registers, shared in questions
    ]  # fmt: skip
    answers = subprocess.run([program], input="\n".join(lines), text=True, capture_output=True, check=True).stdout
    compared = 0
    for (cc, _, threads, registers, shared), answer in zip(questions, answers.splitlines(), strict=True):
        ours = hardware.occupancy(cc, threads, registers, shared)
        blocks, bits = map(int, answer.split())
        question = json.dumps({"cc": cc, "threads": threads, "registers": registers, "shared": shared})
        assert ours.blocks_per_sm == blocks, question
        assert sum(BITS[name] for name in ours.limiters) == bits, question
        compared += 1
    assert compared == 1500 * len(hardware.limits())


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
