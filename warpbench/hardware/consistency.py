"""Proof that the tables agree with the formulas and with each other: what `make check` asks of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from warpbench.hardware import decode, peaks
from warpbench.hardware.cards import Gpu, gpus, limits
from warpbench.hardware.features import claims, features, groups, has, known_cc, older
from warpbench.hardware.tables import CatalogueError

# Published figures are rounded (35.6 for 35.58, 156 for 155.9, 900 for 898.6): 1.3 % is the widest seen (L40S tensor).
ROUNDING = 0.013


def check() -> list[str]:
    """Every contradiction in the tables, one sentence each; empty when there is none."""
    try:
        cards, found = gpus(), features()
        groups()
        older()
        decode.published()
        said = claims()
    except CatalogueError as error:
        return [str(error)]
    problems = [problem for card in cards.values() for problem in card_problems(card)]
    for cc in known_cc():
        if cc not in limits():
            problems.append(f"features.toml: there is no [limits] for {cc}")
        if cc not in peaks.FP32_CORES_PER_SM:
            problems.append(f"peaks.py: FP32_CORES_PER_SM lacks {cc}")
    for claim in said:
        for wanted, evidence in ((True, claim.has), (False, claim.lacks)):
            for cc, name in ((cc, name) for cc, names in evidence.items() for name in names):
                if has(cc, name) is not wanted:
                    problems.append(
                        f'claims.toml: "{claim.claim}" rests on {name} of {cc}, where features.toml differs'
                    )
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
    if card.base_clock_mhz and card.boost_clock_mhz and card.base_clock_mhz > card.boost_clock_mhz:
        yield f"{where}: base_clock_mhz is {card.base_clock_mhz:g}, above boost_clock_mhz {card.boost_clock_mhz:g}"
    if card.nvlink_gbps and not card.nvlink_source:
        yield f"{where}: nvlink_gbps has no nvlink_source"
    if card.price and not re.fullmatch(r"20\d\d(-\d\d(-\d\d)?)?", card.price.date):
        yield f"{where}: price.date is {card.price.date!r}; it must look like 2020-09-24, 2020-09 or 2020"
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
