"""Proof that the tables agree with the formulas and with each other: what `make check` asks of them."""

from __future__ import annotations

from collections.abc import Iterator

from warpbench.hardware import peaks
from warpbench.hardware.cards import Gpu, gpus, limits
from warpbench.hardware.features import features, groups, known_cc
from warpbench.hardware.tables import CatalogueError

# Published figures are rounded (35.6 for 35.58, 156 for 155.9, 900 for 898.6): 1.3 % is the widest seen (L40S tensor).
ROUNDING = 0.013


def check() -> list[str]:
    """Every contradiction in gpus.toml and features.toml, one sentence each; empty when there is none."""
    try:
        cards, found = gpus(), features()
        groups()
    except CatalogueError as error:
        return [str(error)]
    problems = [problem for card in cards.values() for problem in card_problems(card)]
    for cc in known_cc():
        if cc not in limits():
            problems.append(f"features.toml: there is no [limits] for {cc}")
        if cc not in peaks.FP32_CORES_PER_SM:
            problems.append(f"peaks.py: FP32_CORES_PER_SM lacks {cc}")
    problems += [f"features.toml: [feature.{name}] has no source" for name, one in found.items() if not one.source]
    return problems


def card_problems(card: Gpu) -> Iterator[str]:
    """The contradictions within one row. An unverified figure may disagree with its formula: hence its name."""
    where = f"gpus.toml: [gpu.{card.slug}]"
    if card.memory_data_rate_gbit and card.memory_bus_bits and "memory_data_rate_gbit" not in card.unverified:
        formula = card.memory_data_rate_gbit * card.memory_bus_bits / 8
        yield from _differs(where, "bandwidth_gbps", card.bandwidth_gbps, formula)
    cores = peaks.FP32_CORES_PER_SM.get(card.cc)
    if card.fp32_cores_per_sm != cores:
        yield f"{where}: fp32_cores_per_sm is {card.fp32_cores_per_sm}; {card.cc} has {cores}"
    if card.boost_clock_mhz and card.fp32_cores_per_sm and "fp32_tflops" not in card.unverified:
        formula = peaks.fp32_tflops(card.sm_count, card.fp32_cores_per_sm, card.boost_clock_mhz)
        yield from _differs(where, "fp32_tflops", card.fp32_tflops, formula)
    clock = card.tensor_clock_mhz or card.boost_clock_mhz
    for key, published in card.tensor_tflops.items():
        rate = card.tensor_rates.get(key)
        if rate is not None and clock is not None:
            # FP64 runs at the FP32 clock where the tensor peaks imply another one
            at = card.boost_clock_mhz if key == "f64_f64" and card.boost_clock_mhz else clock
            formula = peaks.tensor_tflops(card.sm_count, rate, at)
            yield from _differs(where, f"tensor_tflops.{key}", published, formula)
        elif card.tensor_class:
            yield f"{where}: tensor_tflops.{key} has no rate in [rate.{card.tensor_class}]"
    for key in card.tensor_derived:
        if key not in card.tensor_tflops:
            yield f"{where}: tensor_derived names {key}, which tensor_tflops lacks"
    for figure in card.unverified:
        head, _, key = figure.partition(".")
        known = head in ("sm_count", "chip", "l2_mib") or hasattr(card, head)
        if not known or (key and key not in card.tensor_tflops):
            yield f"{where}: unverified names {figure}, which the row lacks"


def _differs(where: str, figure: str, published: float | None, formula: float) -> Iterator[str]:
    if published is not None and abs(published / formula - 1) > ROUNDING:
        yield f"{where}: {figure} is {published:g}, but the formula gives {formula:.4g}"
