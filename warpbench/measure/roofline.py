"""The card's roofs: the copy bandwidth measured in this run, the theoretical ones from the catalogue and the driver."""

from __future__ import annotations

from typing import Any

from warpbench.measure import statistics
from warpbench.measure.cache import Flusher
from warpbench.measure.records import Roof
from warpbench.measure.timer import sample

GIB = 1 << 30


def copy_bytes(l2_bytes: int, free_bytes: int) -> int:
    """Bytes of the copied tensor: 1 GiB or an eighth of the free memory, never under 4 L2."""
    return max(min(GIB, free_bytes // 8), 4 * l2_bytes) // 16 * 16


def measure_copy(run_id: str, flusher: Flusher, l2_bytes: int) -> Roof:
    """The bandwidth of a device-to-device copy: bytes read and written over the median time."""
    import torch

    free, _ = torch.cuda.mem_get_info()
    size = copy_bytes(l2_bytes, free)
    source = torch.ones(size // 4, dtype=torch.float32, device="cuda")
    target = torch.empty_like(source)

    def call() -> None:
        target.copy_(source)

    samples = sample(call, flusher)
    value = 2 * size / statistics.median(samples.seconds) / 1e9
    width = statistics.half_width(samples.seconds)
    return Roof(run_id, "bw_copy", round(value, 3), "GB/s", "measured", bytes=2 * size, ci_rel=width)


def theoretical(run_id: str, card: Any) -> list[Roof]:
    """Roofs by formula and by catalogue of a detected card (hardware.DetectedGpu); what is unknown is left out."""
    roofs = []
    if card.bandwidth_gbps is not None:
        roofs.append(
            Roof(run_id, "bw_theory", card.bandwidth_gbps, "GB/s", "attribute", at_mem_mhz=card.memory_clock_mhz)
        )
    elif card.gpu.bandwidth_gbps is not None and not card.partitioned:
        roofs.append(Roof(run_id, "bw_theory", card.gpu.bandwidth_gbps, "GB/s", "table", table_row=card.slug))
    if card.gpu.fp32_tflops is not None and not card.partitioned:
        roofs.append(
            Roof(
                run_id, "flops_theory_rated", card.gpu.fp32_tflops, "TFLOP/s", "table", dtype="f32", table_row=card.slug
            )
        )
    if not card.partitioned:
        for key, value in card.gpu.tensor_tflops.items():
            inputs, _, accumulator = key.partition("_")
            roofs.append(
                Roof(
                    run_id, "flops_theory_rated", value, "TFLOP/s", "table",
                    dtype=inputs, accumulate=accumulator, table_row=card.slug,
                )
            )  # fmt: skip
    return roofs
