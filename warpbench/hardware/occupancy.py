"""How many blocks and warps of a kernel fit on one SM, and what stops the next one.

The arithmetic is that of cuda_occupancy.h of CUDA 13, which the tests compile and compare with.
"""

from __future__ import annotations

from dataclasses import dataclass

from warpbench.hardware.cards import Limits, limits

WARP = 32


@dataclass(frozen=True)
class Occupancy:
    """Blocks and warps resident on one SM. `limiters` are the resources that stop one more block, in words.

    0 blocks means that the kernel cannot be launched at all; `limiters` then says what it exceeds.
    """

    blocks_per_sm: int
    warps_per_sm: int
    most_warps_per_sm: int
    limiters: tuple[str, ...]

    @property
    def share(self) -> float:
        """Warps that are resident of those that could be, 0 to 1."""
        return self.warps_per_sm / self.most_warps_per_sm


def occupancy(cc: str, threads_per_block: int, registers_per_thread: int, shared_bytes: int) -> Occupancy | None:
    """Occupancy of a kernel on one SM; None for a compute capability whose limits are not known.

    shared_bytes    static and dynamic shared memory of one block (the kernel is taken to ask for what it needs)
    """
    if threads_per_block < 1 or registers_per_thread < 0 or shared_bytes < 0:
        raise ValueError("threads must be 1 or more, registers and shared bytes 0 or more")
    here = limits().get(cc)
    if here is None:
        return None
    warps = _up(threads_per_block, WARP) // WARP
    most = here.threads_per_sm // WARP
    fits = {
        "threads": most // warps if threads_per_block <= here.threads_per_block else 0,
        "registers": _by_registers(here, warps, registers_per_thread),
        "shared memory": _by_shared(here, shared_bytes),
        "blocks": here.blocks_per_sm,
    }
    known = {name: blocks for name, blocks in fits.items() if blocks is not None}
    blocks = min(known.values())
    return Occupancy(blocks, blocks * warps, most, tuple(name for name, fit in known.items() if fit == blocks))


def _by_registers(here: Limits, warps: int, registers: int) -> int | None:
    """Blocks that the registers allow; None if the kernel uses none."""
    if registers == 0:
        return None
    a_warp = _up(registers * WARP, here.register_granularity)
    # the launch check counts as if every sub-partition held as many warps as the fullest
    checked = a_warp * _up(warps, here.sub_partitions)
    if checked > here.registers_per_block or registers > here.registers_per_thread:
        return 0
    warps_a_part = here.registers_per_sm // here.sub_partitions // a_warp
    return warps_a_part * here.sub_partitions // warps


def _by_shared(here: Limits, shared_bytes: int) -> int | None:
    """Blocks that shared memory allows; None if a block takes none at all."""
    a_block = _up(shared_bytes + here.shared_reserved_per_block_bytes, here.shared_granularity_bytes)
    if a_block == 0:
        return None
    if a_block > here.shared_per_block_optin_bytes + here.shared_reserved_per_block_bytes:
        return 0
    return here.shared_per_sm_bytes // a_block


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
