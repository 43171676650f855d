"""Do the tables of cards and features agree with the formulas, and is a planted slip found?"""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import pytest

from warpbench import hardware
from warpbench.hardware import cards, consistency, match, peaks, tables
from warpbench.hardware.features import features, groups, known_cc

CARDS = list(hardware.gpus().values())
by_slug = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.slug)


def test_the_tables_are_there_whole() -> None:
    assert len(CARDS) >= 39
    assert len(hardware.features()) >= 107
    assert set(hardware.groups()) == {"fp8", "block_scale"}
    assert known_cc() == tuple(hardware.limits())
    assert hardware.check() == []


def test_bandwidth_is_data_rate_times_bus() -> None:
    off = set()
    for card in CARDS:
        formula = card.memory_data_rate_gbit * card.memory_bus_bits / 8
        if card.bandwidth_gbps != pytest.approx(formula, rel=0.003):
            off.add(card.slug)
            assert "memory_data_rate_gbit" in card.unverified, card.slug
    assert off == {"b200", "gb200"}  # no source confirms the data rate behind their published 7.7 and 8.0 TB/s


def test_fp32_is_two_operations_a_core_and_clock() -> None:
    unknown = set()
    for card in CARDS:
        if card.boost_clock_mhz is None:
            unknown.add(card.slug)
            continue
        cores = card.sm_count * card.fp32_cores_per_sm
        formula = 2 * cores * card.boost_clock_mhz * 1e6 / 1e12
        assert card.fp32_tflops == pytest.approx(formula, rel=0.01), card.slug
    assert unknown == {"gb200"}


def test_tensor_peaks_are_rate_times_sms_times_clock() -> None:
    compared = 0
    for card in CARDS:
        for key, published in card.tensor_tflops.items():
            if key in card.tensor_rates:
                clock = card.tensor_clock_mhz if card.tensor_clock_mhz and key != "f64_f64" else card.boost_clock_mhz
                formula = card.sm_count * card.tensor_rates[key] * clock * 1e6 / 1e12
                assert published == pytest.approx(formula, rel=0.013), f"{card.slug} {key}"
                compared += 1
    assert compared > 150


def test_the_accumulator_halves_the_rate_on_geforce_only() -> None:
    def ratio(slug: str) -> float:
        card = hardware.gpu(slug)
        return hardware.peak_tflops(card, "f16", "f16") / hardware.peak_tflops(card, "f16", "f32")

    assert [round(ratio(slug), 1) for slug in ("rtx3090", "rtx4090", "rtx5090")] == [2.0, 2.0, 2.0]
    assert [round(ratio(slug), 1) for slug in ("a10", "l40s", "a100", "h100")] == [1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("clock_khz", "bits", "integrated", "gbps"),
    [
        (9_751_000, 384, False, 936.1),  # RTX 3090
        (14_001_000, 512, False, 1792.1),  # RTX 5090
        (2_619_000, 5120, False, 3352.3),  # H100 SXM
        (3_615_000, 384, False, 347.0),  # P40
        (8_533_000, 256, True, 273.1),  # GB10: the clock is the data rate, factor 1
    ],
)
def test_bandwidth_from_the_drivers_attributes(clock_khz: int, bits: int, integrated: bool, gbps: float) -> None:
    assert peaks.bandwidth_gbps(clock_khz, bits, integrated) == pytest.approx(gbps, abs=0.1)


def test_every_feature_is_native_only_where_it_is_accepted() -> None:
    for feature in hardware.features().values():
        assert set(feature.native_cc) <= set(feature.accepted_cc), feature.name
        assert set(feature.emulated) <= set(feature.accepted_cc) - set(feature.native_cc), feature.name


def test_every_group_is_the_union_of_its_members() -> None:
    for group in hardware.groups().values():
        members = [hardware.features()[name] for name in group.any]
        assert set(group.native_cc) == {cc for member in members for cc in member.native_cc}


def test_every_name_finds_its_card_however_it_is_spelt() -> None:
    names = 0
    for card in CARDS:
        for name in (card.slug, *card.aliases):
            for spelt in (name, name.upper(), name.replace("_", ""), name.replace("_", "-")):
                assert hardware.gpu(spelt) is card, spelt
                names += 1
    assert names > 200


def test_the_short_names_mean_the_common_card() -> None:
    slugs = {name: hardware.gpu(name).slug for name in ("rtx3090", "RTX-4090", "h100", "h200", "a100", "spark")}
    assert slugs == {
        "rtx3090": "rtx_3090",
        "RTX-4090": "rtx_4090",
        "h100": "h100_sxm5",
        "h200": "h200_sxm",
        "a100": "a100_sxm4_80gb",
        "spark": "dgx_spark_gb10",
    }


@pytest.mark.parametrize("name", ["rtx_3091", "RTX 390", "h10", "", "90"])
def test_an_unknown_card_names_the_nearest(name: str) -> None:
    with pytest.raises(LookupError) as raised:
        hardware.gpu(name)
    assert isinstance(raised.value, hardware.UnknownName)
    assert set(raised.value.nearest) <= set(hardware.gpus())
    assert "\n" not in str(raised.value)
    if name == "rtx_3091":
        assert raised.value.nearest[0] == "rtx_3090"
        assert "Nearest: rtx_3090, " in str(raised.value)


@by_slug
def test_a_plugged_in_card_is_matched_by_name_sms_and_memory(card: hardware.Gpu) -> None:
    name = "NVIDIA " + max(card.device_names, key=len).removeprefix("NVIDIA ")
    reported = round(card.memory_gb * 2**30 * 0.985)
    found = match.match(name, card.cc, card.sm_count, reported)
    assert found is card


@pytest.mark.parametrize(
    ("name", "cc", "sm_count", "gib", "slug"),
    [
        ("NVIDIA GeForce RTX 3090", "8.6", 82, 24, "rtx_3090"),
        ("NVIDIA GeForce RTX 3090 Ti", "8.6", 84, 24, "rtx_3090_ti"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "8.9", 76, 16, None),  # another chip under the same name
        ("NVIDIA GeForce RTX 3060", "8.6", 28, 8, None),  # 128-bit memory: not the 12 GB card's bandwidth
        ("NVIDIA L40S", "8.9", 142, 45, "l40s"),
        ("NVIDIA L40", "8.9", 142, 45, "l40"),
        ("NVIDIA A100-SXM4-80GB", "8.0", 108, 80, "a100_sxm4_80gb"),
        ("NVIDIA H100 80GB HBM3", "9.0", 132, 79.2, "h100_sxm5"),
        ("NVIDIA H200", "9.0", 132, 139.8, "h200_sxm"),
        ("Orin", "8.7", 8, 7.4, "jetson_orin_nano_super"),
    ],
)
def test_names_of_real_drivers(name: str, cc: str, sm_count: int, gib: float, slug: str | None) -> None:
    found = match.match(name, cc, sm_count, round(gib * 2**30))
    assert (found.slug if found else None) == slug


def test_a_contradiction_within_a_row_is_reported() -> None:
    good = hardware.gpu("rtx3090")
    planted = {
        "bandwidth_gbps": 1008.0,
        "fp32_tflops": 71.0,
        "fp32_cores_per_sm": 64,
        "tensor_tflops": {"f16_f32": 142.0},
        "tensor_derived": ("fp4_f32",),
        "unverified": ("colour",),
        "boost_clock_mhz": 1800.0,
    }
    assert list(consistency.card_problems(good)) == []
    for figure, value in planted.items():
        problems = list(consistency.card_problems(dataclasses.replace(good, **{figure: value})))
        assert problems, f"{figure} = {value} was not noticed"
        assert all(problem.startswith("gpus.toml: [gpu.rtx_3090]: ") for problem in problems)


SLIPS = {
    "cc is missing": {"cc": None},
    "has no [limits]": {"cc": "8.8"},
    "a number above 0": {"bandwidth_gbps": 0},
    "sm_count is '82'": {"sm_count": "82"},
    "unknown key bandwith_gbps": {"bandwith_gbps": 936},
    "no [rate.geforce]": {"tensor_class": "geforce"},
    "source is missing": {"source": None},
    "stands for h100_sxm5 already": {"aliases": ["H-100"]},
}


@pytest.mark.parametrize(("said", "change"), SLIPS.items(), ids=list(SLIPS))
def test_a_slip_in_a_row_is_named_with_its_place(monkeypatch: pytest.MonkeyPatch, said: str, change: dict) -> None:
    table = copy.deepcopy(dict(tables.read("gpus.toml")))
    row = table["gpu"].pop("rtx_3090")
    row.update(change)
    table["gpu"]["rtx_3090"] = {key: value for key, value in row.items() if value is not None}
    original = tables.read
    monkeypatch.setattr(tables, "read", lambda name: table if name == "gpus.toml" else original(name))
    with pytest.raises(hardware.CatalogueError) as raised:
        cards.gpus.__wrapped__()
    assert said in str(raised.value)
    assert "rtx_3090" in str(raised.value)


def test_a_native_capability_that_is_not_accepted_is_a_slip(monkeypatch: pytest.MonkeyPatch) -> None:
    table = copy.deepcopy(dict(tables.read("features.toml")))
    table["feature"]["mma_fp8"]["native_cc"].append("8.6")
    monkeypatch.setattr(tables, "read", lambda name: table)
    with pytest.raises(hardware.CatalogueError, match=r"\[feature.mma_fp8\]: 8.6 is native or emulated but not acc"):
        features.__wrapped__()


def test_a_group_of_an_unknown_feature_is_a_slip(monkeypatch: pytest.MonkeyPatch) -> None:
    table = copy.deepcopy(dict(tables.read("features.toml")))
    table["group"]["fp8"]["any"].append("mma_fp9")
    monkeypatch.setattr(tables, "read", lambda name: table)
    with pytest.raises(hardware.CatalogueError, match=r"\[group.fp8\]: any names \['mma_fp9'\]"):
        groups.__wrapped__()


def test_a_file_that_is_no_toml_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "gpus.toml").write_text("[gpu.rtx_3090\n")
    monkeypatch.setattr(tables, "files", lambda package: tmp_path)
    with pytest.raises(hardware.CatalogueError, match=r"gpus.toml: .*line 1"):
        tables.read.__wrapped__("gpus.toml")
