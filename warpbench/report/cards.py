"""The cards of the catalogue as plain data and as text: all of them, and one with everything that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from warpbench import errors, hardware
from warpbench.hardware import decode
from warpbench.report.terminal import Column, Row, Section, figure, say, show

TENSOR_NAMES = {
    "f16": "FP16", "bf16": "BF16", "tf32": "TF32", "fp8": "FP8", "mxfp8": "MXFP8", "fp4": "FP4", "i8": "INT8",
    "i4": "INT4", "f64": "FP64",
}  # fmt: skip
SUMS = {"f16": "FP16", "f32": "FP32", "f64": "FP64", "i32": "INT32"}
FORMATS = ("fp16", "int8", "int4")
MODEL = "llama_3_8b"


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
        cells = [card["slug"], card["name"], card["cc"], str(card["sm_count"]), figure(card["memory_gb"], 0)]
        cells += [figure(card["bandwidth_gbps"], 0), mib(card["l2_bytes"])]
        cells += [figure(card["fp32_tflops"]), figure(card["tensor_tflops"].get("f16_f32"), 0)]
        rows.append(cells)
    notes = [
        "Dense rates, sums in float32. Any of these: --gpu SLUG (case, - and _ do not matter)",
        "One of them: warpbench gpus show rtx3090. Two side by side: warpbench gpus compare rtx3090 rtx5090",
    ]
    show(columns, rows, notes)
    return errors.OK


def card(name: str) -> dict[str, Any]:
    """Everything that is known of one card: its row, its limits, what it decodes at most, what was published of it."""
    one = hardware.gpu(name)
    row = {key: dict(value) if isinstance(value, Mapping) else value for key, value in vars(one).items()}
    row |= {"arch": one.arch, "fp32_cores": one.fp32_cores, "tensor_rates": dict(one.tensor_rates)}
    row["price"] = None if one.price is None else asdict(one.price)
    return {
        **row,
        "limits": None if one.limits is None else asdict(one.limits),
        "decode": {form: decode.most_tokens_per_s(one, decode.models()[MODEL], form) for form in FORMATS},
        "published": [published(figure, one) for figure in decode.of_card(one)],
    }


def published(figure: decode.Published, gpu: hardware.Gpu) -> dict[str, Any]:
    """A published figure, with what bandwidth says of it."""
    return {
        "gpu": gpu.slug, "model": figure.model.name, "format": figure.format or None,
        "tokens_per_s": figure.tokens_per_s, "about": figure.about, "source": figure.source,
        "verdict": decode.judged(figure, gpu),
    }  # fmt: skip


def show_card(one: dict[str, Any]) -> int:
    """Print one card: figures, with a `?` where no source agrees, then where they come from."""
    doubtful = set(one["unverified"])

    def line(name: str, text: str, *keys: str) -> list[str]:
        unsure = any(key in doubtful for key in keys) and text != "unknown"
        return [name, text + (" ?" if unsure else "")]

    clocks = f"{figure(one['base_clock_mhz'], 0)} to {figure(one['boost_clock_mhz'], 0)} MHz"
    memory = f"{figure(one['memory_gb'], 0)} GB {one['memory_type']}, {one['memory_bus_bits']} bits"
    rate = f"{figure(one['memory_data_rate_gbit'], 3).rstrip('0').rstrip('.')} Gbit/s a pin"
    rows: list[Row | Section] = [
        line("chip, capability", f"{one['chip']}, {one['cc']} ({one['arch']})", "chip"),
        line("SMs, FP32 cores", f"{one['sm_count']}, {figure(one['fp32_cores'])}", "sm_count"),
        line("clocks", clocks, "boost_clock_mhz"),
        line("memory", f"{memory}, {rate}", "memory_data_rate_gbit"),
        line("bandwidth", f"{figure(one['bandwidth_gbps'])} GB/s", "bandwidth_gbps"),
        line("L2", f"{mib(one['l2_bytes'])} MiB", "l2_mib"),
        line("FP32", f"{figure(one['fp32_tflops'], 2)} TFLOPS", "fp32_tflops"),
        line("power", f"{figure(one['power_watts'], 0)} W", "power_watts"),
        line("PCIe, NVLink", f"{one['pcie'] or 'unknown'}; {nvlink(one['nvlink_gbps'])}", "nvlink_gbps"),
        line("list price", str(hardware.gpu(one["slug"]).price or "unknown")),
        Section("Dense tensor peaks, TFLOPS (TOPS for integers), and operations a clock and SM"),
    ]
    for key, peak in one["tensor_tflops"].items():
        whence = "" if key not in one["tensor_derived"] else "  from the rate of its class"
        of_rate = one["tensor_rates"].get(key)
        rate = "" if of_rate is None else f"  ({of_rate:,.0f} a clock and SM)"
        rows.append(line(tensor_name(key), f"{peak:,.1f}{rate}{whence}", "tensor_tflops", f"tensor_tflops.{key}"))
    if not one["tensor_tflops"]:
        rows.append(["none", "no tensor cores, or no published figure"])
    rows.append(Section("What one SM and one block may hold"))
    rows += [[name, text] for name, text in held(one["limits"])]
    rows.append(Section("Llama 3 8B, one decode step at batch 1", "Bandwidth allows no more"))
    rows += [[form, tokens(one["decode"][form])] for form in FORMATS]
    rows += [[f"published, {shown(each)}", each["verdict"]] for each in one["published"]]
    say(f"{one['name']} ({one['slug']})")
    show((Column("what"), Column("figure", wrap=True)), rows)
    say("", "? no second source agrees, or sources differ. Sources:", f"  figures: {one['source']}")
    say(f"  tensor peaks: {one['tensor_source']}")
    if one["nvlink_source"]:
        say(f"  NVLink: {one['nvlink_source']}")
    if one["price"]:
        say(f"  price: {one['price']['source']}")
    for source in dict.fromkeys(each["source"] for each in one["published"]):
        say(f"  published tokens: {source}")
    say(f"  limits: {hardware.sources()['limits']}")
    if one["note"]:
        say(f"Note: {one['note']}")
    return errors.OK


def held(limits: Mapping[str, int] | None) -> list[tuple[str, str]]:
    """The limits that a kernel's author meets, in words."""
    if limits is None:
        return [("limits", "unknown")]
    return [
        ("shared memory of an SM", f"{limits['shared_per_sm_bytes'] // 1024} KiB"),
        ("shared memory of a block", f"{limits['shared_per_block_optin_bytes']:,} bytes on request, 49,152 without"),
        ("registers of an SM", f"{limits['registers_per_sm']:,}, at most {limits['registers_per_thread']} a thread"),
        ("threads of an SM", f"{limits['threads_per_sm']:,} in at most {limits['blocks_per_sm']} blocks"),
    ]


# -- figures in words ----------------------------------------------------------------------------------------------
def mib(size: float | None) -> str:
    """Bytes as MiB."""
    return "unknown" if size is None else f"{size / 2**20:g}"


def nvlink(gbps: float | None) -> str:
    """NVLink in words."""
    return "NVLink unknown" if gbps is None else f"NVLink {gbps:g} GB/s" if gbps else "no NVLink"


def tensor_name(key: str) -> str:
    """`FP16 tensor, sums in FP32` for f16_f32."""
    inputs, _, sums = key.partition("_")
    return f"{TENSOR_NAMES.get(inputs, inputs)} tensor, sums in {SUMS.get(sums, sums)}"


def tokens(most: float | None) -> str:
    """A roof in tokens a second."""
    return "unknown" if most is None else f"at most {most:.3g} tokens/s"


def shown(one: Mapping[str, Any]) -> str:
    """`Llama 3 8B q4_k_m: 112 tokens/s`, with "about" where the source is rounded."""
    form = f" {one['format']}" if one["format"] else ""
    return f"{one['model']}{form}: {'about ' if one['about'] else ''}{one['tokens_per_s']:g} tokens/s"
