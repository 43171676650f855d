"""The card's roofs: the copy bandwidth measured in this run, the theoretical ones from the driver and the catalogue.

And what follows from them: the least time that a case can take, and whether a time can be true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from warpbench.hardware.peaks import tensor_key
from warpbench.measure import statistics
from warpbench.measure.records import Case, Roof
from warpbench.measure.timer import Stopwatch, sample

GIB = 1 << 30
# A time below these shares of the least one is not a time of the work. Bandwidth follows a memory clock that does not
# boost. Arithmetic peaks are at the rated clock, and cards run up to 15 % above it (RTX 5090).
BANDWIDTH_SLACK, ARITHMETIC_SLACK = 0.97, 0.97 / 1.15


def copy_bytes(l2_bytes: int, free_bytes: int) -> int:
    """Bytes of the copied tensor: 1 GiB or an eighth of the free memory, never under 4 L2."""
    return max(min(GIB, free_bytes // 8), 4 * l2_bytes) // 16 * 16


def measure_copy(watch: Stopwatch, l2_bytes: int, device: str = "cuda") -> dict[str, Any]:
    """The bandwidth of a device-to-device copy, bytes read and written over the median time: fields of a Roof."""
    import torch

    free, _ = torch.cuda.mem_get_info()
    size = copy_bytes(l2_bytes, free)
    source = torch.ones(size // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    samples = sample(lambda: target.copy_(source), watch)
    value = 2 * size / statistics.median(samples.seconds) / 1e9
    return {
        "kind": "bw_copy", "value": round(value, 3), "unit": "GB/s", "source": "measured", "bytes": 2 * size,
        "ci_rel": statistics.half_width(samples.seconds),
    }  # fmt: skip


def theoretical(run_id: str, card: Any) -> list[Roof]:
    """Roofs by formula and by catalogue of a detected card (hardware.DetectedGpu); what is unknown is left out."""
    roofs = []
    if card.bandwidth_gbps is not None:
        clock = card.memory_clock_mhz
        roofs.append(Roof(run_id, "bw_theory", card.bandwidth_gbps, "GB/s", "attribute", at_mem_mhz=clock))
    elif card.gpu.bandwidth_gbps is not None and not card.partitioned:
        roofs.append(Roof(run_id, "bw_theory", card.gpu.bandwidth_gbps, "GB/s", "table", table_row=card.slug))
    if card.partitioned:  # the catalogue describes the whole card
        return roofs
    rates = {"f32": card.gpu.fp32_tflops, **card.gpu.tensor_tflops}
    for key, value in rates.items():
        inputs, _, accumulator = key.partition("_")
        if value is not None:
            roofs.append(
                Roof(
                    run_id, "flops_theory_rated", value, "TFLOP/s", "table",
                    dtype=inputs, accumulate=accumulator or None, table_row=card.slug,
                )
            )  # fmt: skip
    return roofs


def roofs_of(roofs: Iterable[Roof]) -> dict[str, float]:
    """Roofs by name: bw_copy and bw_theory in GB/s, "flops_<dtype>_<accumulator>" in TFLOP/s."""
    found: dict[str, float] = {}
    for roof in roofs:
        if roof.kind in ("bw_copy", "bw_theory"):
            found[roof.kind] = roof.value
        elif roof.kind == "flops_theory_rated":
            found[f"flops_{roof.dtype}" + (f"_{roof.accumulate}" if roof.accumulate else "")] = roof.value
    return found


def arithmetic_roof(case: Case, roofs: Mapping[str, float]) -> float | None:
    """The arithmetic roof of a case in TFLOP/s, or None."""
    if case.dtype == "f32":
        return roofs.get("flops_f32")
    accumulator = case.accumulate or "f32"
    if accumulator.endswith("_mma"):  # says how tensor cores round ("fp8_mma"); they accumulate in float32
        accumulator = "f32"
    key = tensor_key(case.dtype, accumulator)
    return roofs.get(f"flops_{key}") if key else None


def binding(case: Case, roofs: Mapping[str, float]) -> str | None:
    """What decides a case on this card: "bandwidth" or "arithmetic"; None if no bandwidth is known to weigh by.

    The measured copy stands in for an unknown theoretical bandwidth.
    """
    gbps = roofs.get("bw_theory") or roofs.get("bw_copy")
    if gbps is None:
        return None
    peak = arithmetic_roof(case, roofs)
    moved = (case.bytes_read + case.bytes_written) / (gbps * 1e9)
    return "arithmetic" if peak and case.flops / (peak * 1e12) > moved else "bandwidth"


def implausible(case: Case, seconds: float, roofs: Mapping[str, float], l2_bytes: int) -> str:
    """Why a time cannot be true: the card cannot do the work so fast. Empty if it can, or if no roof is known.

    Written bytes that fit the L2 may stay there: they do not count.
    """
    terms = []
    if "bw_theory" in roofs:
        moved = case.bytes_read + max(0, case.bytes_written - l2_bytes)
        terms.append((moved / (roofs["bw_theory"] * 1e9), BANDWIDTH_SLACK, "bandwidth"))
    peak = arithmetic_roof(case, roofs)
    if peak:
        terms.append((case.flops / (peak * 1e12), ARITHMETIC_SLACK, "arithmetic"))
    for least, slack, what in terms:
        if seconds < slack * least:
            return (
                f"{seconds * 1e6:,.1f} us is faster than the card's {what} allows ({least * 1e6:,.1f} us): "
                "not a time of this work"
            )
    return ""
