"""Which row of the catalogue a plugged-in card is: names are ambiguous, so SMs and memory decide too."""

from __future__ import annotations

import re
from typing import TypedDict, Unpack

from warpbench.hardware import peaks
from warpbench.hardware.cards import Gpu, gpus

# A driver reports a little less memory than the box says (ECC, firmware), and GB on boxes are sometimes GiB.
MEMORY_SLACK = 0.12


class Said(TypedDict):
    """What the driver says of a card; None where it says nothing."""

    clock_mhz: float | None
    memory_clock_mhz: float | None
    memory_bus_bits: int | None
    l2_bytes: int | None
    integrated: bool


def match(name: str, cc: str, sm_count: int, memory_bytes: int) -> Gpu | None:
    """The row for a card with this driver name; None if no row fits in compute capability, SMs and memory.

    "RTX 4090" is in "RTX 4090 Laptop GPU" and "RTX 3060" names two cards: better no row than the wrong peaks.
    """
    best: tuple[int, float, Gpu] | None = None
    for card in gpus().values():
        length = max((len(part) for part in card.device_names if part in name), default=0)
        if not length or card.cc != cc or (card.sm_count != sm_count and "sm_count" not in card.unverified):
            continue
        off = 0.0
        if card.memory_gb is not None:
            off = min(abs(memory_bytes / (card.memory_gb * unit) - 1) for unit in (1e9, 2**30))
        if off > MEMORY_SLACK:
            continue
        if best is None or (length, -off) > (best[0], -best[1]):
            best = (length, off, card)
    return None if best is None else best[2]


def from_driver(
    name: str,
    cc: str,
    sm_count: int,
    memory_bytes: int,
    *,
    partitioned: bool,
    **said: Unpack[Said],
) -> Gpu:
    """A card that is not in the catalogue, from what its driver reports. Tensor peaks stay unknown.

    For a part of a card (MIG) the roofs stay unknown too: clock and bus are those of the whole card.
    """
    short = name.removeprefix("NVIDIA ").strip() or "unnamed card"
    cores = peaks.FP32_CORES_PER_SM.get(cc)
    memory_clock, bus, clock = said["memory_clock_mhz"], said["memory_bus_bits"], said["clock_mhz"]
    bandwidth = fp32 = None
    if memory_clock and bus and not partitioned:
        bandwidth = peaks.bandwidth_gbps(memory_clock * 1e3, bus, said["integrated"])
    if cores and clock and not partitioned:
        fp32 = peaks.fp32_tflops(sm_count, cores, clock)
    return Gpu(
        slug=re.sub(r"[^a-z0-9]+", "_", short.lower()).strip("_") or "unnamed_card",
        name=short,
        cc=cc,
        sm_count=sm_count,
        device_names=(name,),
        fp32_cores_per_sm=cores,
        boost_clock_mhz=clock,
        integrated=said["integrated"],
        memory_bus_bits=bus,
        bandwidth_gbps=bandwidth,
        memory_gb=memory_bytes / 1e9,
        l2_bytes=said["l2_bytes"],
        fp32_tflops=fp32,
        source="the card's driver",
    )
