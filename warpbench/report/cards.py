"""Cards and their features as plain data and as text."""

from __future__ import annotations

from typing import Any

from warpbench import errors, hardware
from warpbench.report.terminal import Column, figure, show


def gpus() -> list[dict[str, Any]]:
    """Every card of the catalogue. None is unknown."""
    return [
        {
            "slug": card.slug, "name": card.name, "cc": card.cc, "sm_count": card.sm_count, "memory_gb": card.memory_gb,
            "bandwidth_gbps": card.bandwidth_gbps, "l2_bytes": card.l2_bytes, "fp32_tflops": card.fp32_tflops,
            "tensor_tflops": dict(card.tensor_tflops), "unverified": list(card.unverified), "source": card.source,
        }
        for card in hardware.gpus().values()
    ]  # fmt: skip


def show_gpus() -> int:
    """Print the table of cards."""
    columns = (
        Column("slug"),
        Column("card", priority=4, wrap=True),
        Column("cc", "right"),
        Column("SMs", "right", 1),
        Column("memory GB", "right", 2),
        Column("GB/s", "right"),
        Column("L2 MiB", "right", 3),
        Column("FP32 TFLOPS", "right", 1),
        Column("16-bit tensor", "right", 2),
    )
    rows = []
    for card in gpus():
        l2 = card["l2_bytes"]
        cells = [card["slug"], card["name"], card["cc"], str(card["sm_count"]), figure(card["memory_gb"], 0)]
        cells += [figure(card["bandwidth_gbps"], 0), "unknown" if l2 is None else f"{l2 / 2**20:g}"]
        cells += [figure(card["fp32_tflops"]), figure(card["tensor_tflops"].get("f16_f32"), 0)]
        rows.append(cells)
    show(columns, rows, ["Dense rates, sums in float32. Any of these: --gpu SLUG (case, - and _ do not matter)"])
    return errors.OK


def features(gpu: str | None) -> dict[str, Any]:
    """What a card has: the one named, the plugged-in one, or an RTX 3090."""
    card: Any
    if gpu:
        card = hardware.gpu(gpu)
    else:
        usable = hardware.detect().usable
        card = usable[0].gpu if usable else hardware.gpu("rtx3090")
    rows = []
    known: dict[str, hardware.Group | hardware.Feature] = {**hardware.groups(), **hardware.features()}
    for name, one in known.items():
        rows.append(
            {
                "name": name, "group": isinstance(one, hardware.Group), "has": hardware.has(card.cc, name),
                "title": one.title, "where": hardware.having(one.native_cc),
                "emulated": one.emulated.get(card.cc, "") if isinstance(one, hardware.Feature) else "",
            }
        )  # fmt: skip
    return {"slug": card.slug, "gpu": card.name, "cc": card.cc, "features": rows}


def show_features(found: dict[str, Any]) -> int:
    """Print the features of one card."""
    rows = [
        [
            one["name"] + (" (group)" if one["group"] else ""),
            "yes" if one["has"] else f"emulated: {one['emulated']}" if one["emulated"] else "no",
            one["where"],
            one["title"],
        ]
        for one in found["features"]
    ]
    columns = (
        Column("feature"),
        Column("here", least=20),
        Column("needs", priority=2),
        Column("what it is", priority=1, least=20),
    )
    has = sum(one["has"] for one in found["features"])
    show(columns, rows, [f"{found['gpu']} ({found['cc']}) has {has} of {len(rows)}"])
    return errors.OK
