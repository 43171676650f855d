"""What `warpbench gpus`, `gpus show` and `gpus compare` say: are the figures the sources', and are they judged?"""

from __future__ import annotations

import dataclasses
import json

import pytest

from warpbench import catalogue, cli, errors, hardware
from warpbench.hardware import consistency, decode
from warpbench.report import card_compare

HOME_LAB = (
    "rtx_pro_4000_blackwell", "rtx_4500_ada", "rtx_5080", "rtx_5090", "rtx_3090", "rtx_4090", "dgx_spark_gb10", "p40",
    "l40",
)  # fmt: skip
LLAMA = decode.models()["llama_3_8b"]


@pytest.fixture(scope="module")
def compared():
    return card_compare.compare("rtx3090", "rtx5090")


def row(rows, **wanted):
    (found,) = [one for one in rows if all(one[key] == value for key, value in wanted.items())]
    return found


# -- the catalogue -------------------------------------------------------------------------------------------------
def test_the_home_lab_list_is_there_whole():
    for slug in HOME_LAB:
        card = hardware.gpus()[slug]
        assert card.bandwidth_gbps, slug
        assert card.fp32_tflops, slug
        assert card.memory_gb, slug
        assert card.l2_bytes, slug
        assert card.pcie, slug
        assert card.power_watts, slug
        assert any(decode.of_card(card)), slug


def test_figures_on_which_the_list_errs_are_those_of_better_sources():
    assert hardware.gpu("rtx5080").bandwidth_gbps == 960  # not 896: that is the RTX 5070 Ti
    assert hardware.gpu("p40").nvlink_gbps == 0
    spark = hardware.gpu("spark")
    assert (spark.cc, spark.fp32_cores) == ("12.1", 6144)


def test_only_cards_with_nvlink_say_so():
    linked = {card.slug for card in hardware.gpus().values() if card.nvlink_gbps}
    assert linked == {
        "rtx_3090", "rtx_3090_ti", "v100_sxm2_16gb", "a100_pcie_40gb", "a100_sxm4_40gb", "a100_pcie_80gb",
        "a100_sxm4_80gb", "h100_pcie", "h100_sxm5", "h200_sxm", "b200", "gb200",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base_clock_mhz": 1800.0}, "base_clock_mhz is 1800, above boost_clock_mhz 1695"),
        ({"nvlink_source": ""}, "nvlink_gbps has no nvlink_source"),
        ({"price": hardware.Price(1499, "USD", "24.9.2020", "a shop")}, "price.date is '24.9.2020'"),
    ],
)
def test_a_planted_slip_is_found(change, said):
    card = dataclasses.replace(hardware.gpu("rtx3090"), **change)
    assert said in "\n".join(consistency.card_problems(card))


# -- tokens a second, memory ---------------------------------------------------------------------------------------
def test_the_models_have_their_published_sizes():
    assert LLAMA.parameters == 8_030_261_248
    assert decode.models()["llama_3_70b"].parameters == 70_553_706_496
    assert LLAMA.kv_bytes_a_token == 128 * 1024


def test_a_decode_step_reads_every_weight_but_the_embedding_table():
    moved = (8_030_261_248 - 128_256 * 4096 + 4096) * 2
    assert decode.most_tokens_per_s(hardware.gpu("rtx3090"), LLAMA, "fp16") == pytest.approx(936e9 / moved)
    with_context = 936e9 / (moved + 8192 * LLAMA.kv_bytes_a_token)
    assert decode.most_tokens_per_s(hardware.gpu("rtx3090"), LLAMA, "fp16", 8192) == pytest.approx(with_context)
    unknown = dataclasses.replace(hardware.gpu("rtx3090"), bandwidth_gbps=None)
    assert decode.most_tokens_per_s(unknown, LLAMA, "fp16") is None


def test_a_figure_above_what_bandwidth_allows_is_called_so():
    (spark,) = decode.of_card(hardware.gpu("spark"))
    said = decode.judged(spark, hardware.gpu("spark"))
    assert said == "ABOVE what bandwidth allows: 2.0 times the most, 3.93, but int4 would allow 7.86"


def test_measured_figures_stand_below_the_roof():
    measured = [one for one in decode.published() if "XiongjieDai" in one.source]
    assert len(measured) > 8
    for figure in measured:
        assert "% of the most" in decode.judged(figure, hardware.gpus()[figure.gpu]), figure


@pytest.mark.parametrize(
    ("slug", "formats"),
    [("rtx_4500_ada", "fp16 and int8"), ("rtx_5080", "fp16 and int8"), ("rtx_3090", "fp16"), ("p40", "fp16")],
)
def test_a_figure_without_a_format_rules_out_what_is_too_large(slug, formats):
    card = hardware.gpus()[slug]
    (figure,) = [one for one in decode.of_card(card) if not one.format]
    assert decode.judged(figure, card).endswith(f"ABOVE what bandwidth allows for Llama 3 8B in {formats}")


def test_a_figure_that_every_format_allows_is_no_accusation():
    (figure,) = [one for one in decode.published() if one.gpu == "l40"]
    slow = dataclasses.replace(figure, tokens_per_s=20.0)
    assert "fp16, int8 and int4 alike" in decode.judged(slow, hardware.gpu("l40"))


def test_memory_rules():
    needed = {rule.slug: rule.gb(LLAMA) for rule in decode.memory_rules()}
    assert needed["inference_fp16"] == pytest.approx(2.2 * 8.03, rel=0.001)
    assert needed["full"] == pytest.approx(16 * 8.03, rel=0.001)
    assert needed["inference_int4"] < needed["lora_int4"] < needed["lora_fp16"] < needed["full"]


# -- two cards -----------------------------------------------------------------------------------------------------
def test_ratios_are_the_second_over_the_first(compared):
    assert row(compared["roofs"], what="bandwidth")["ratio"] == pytest.approx(1792 / 936)
    assert row(compared["roofs"], what="FP32")["ratio"] == pytest.approx(104.8 / 35.6)
    assert row(compared["roofs"], what="blocks of an SM") == {
        "what": "blocks of an SM", "unit": "", "a": 16, "b": 24, "ratio": 1.5,
    }  # fmt: skip


def test_a_peak_of_cores_that_are_not_there_is_none_and_no_unknown(compared):
    fp8 = row(compared["tensor"], key="fp8_f32")
    assert (fp8["a"], fp8["a_has"], fp8["b"], fp8["ratio"]) == (None, False, 419, None)
    int4 = row(compared["tensor"], key="i4_i32")
    assert (int4["b"], int4["b_has"]) == (None, False)


def test_features_gained_and_lost(compared):
    gained = {one["name"] for one in compared["gained"]}
    lost = {one["name"] for one in compared["lost"]}
    assert {"fp8", "block_scale", "tma", "clusters_dsm", "mma_nvfp4", "pdl", "ld_256bit"} <= gained
    assert gained.isdisjoint({"wgmma_f16", "tcgen05_mma_f16", "tma_multicast", "fma_f32x2"})
    assert {"mma_s4", "mma_b1"} <= lost
    back = card_compare.compare("rtx5090", "rtx3090")
    assert {one["name"] for one in back["gained"]} == lost
    assert {one["name"] for one in back["lost"]} == gained


def test_floors_of_every_operation(compared):
    assert {one["operation"] for one in compared["floors"]} == set(catalogue.operations())
    add = row(compared["floors"], operation="vector_add")
    assert add["a"] == pytest.approx(3 * 4 * add["shape"]["n"] / 936e9)
    assert add["ratio"] == pytest.approx(936 / 1792)
    assert add["a_bound"] == "bandwidth"


def test_where_one_roof_is_unknown_there_is_no_ratio(compared):
    fp8 = row(compared["floors"], operation="gemm_fp8", dtype="e4m3")
    assert (fp8["a_bound"], fp8["b_bound"], fp8["ratio"]) == ("bandwidth alone", "arithmetic", None)


def test_prices(compared):
    rows = compared["prices"]["rows"]
    assert row(rows, what="a GB/s of bandwidth")["b"] == pytest.approx(1999 / 1792)
    assert compared["prices"]["a"]["date"] == "2020-09-24"
    unknown = card_compare.compare("p40", "rtx3090")["prices"]
    assert unknown["a"] is None
    assert all(one["a"] is None and one["ratio"] is None for one in unknown["rows"])
    assert row(unknown["rows"], what="list price")["b"] == 1499


def test_two_currencies_have_no_ratio():
    a = hardware.gpu("rtx3090")
    b = dataclasses.replace(a, price=hardware.Price(1399, "EUR", "2020-09", "a shop"))
    assert all(one["ratio"] is None for one in card_compare.prices(a, b)["rows"])


def test_memory_that_fits(compared):
    assert row(compared["memory"], use="inference, fp16")["a_fits"] is True
    assert row(compared["memory"], use="full fine-tuning, Adam")["b_fits"] is False


# -- the commands --------------------------------------------------------------------------------------------------
def said(capsys, line):
    assert cli.main(line.split()) == errors.OK
    return capsys.readouterr().out


def test_compare_in_words(capsys):
    text = said(capsys, "gpus compare rtx3090 rtx5090")
    assert "Ratio: rtx_5090 over rtx_3090." in text
    for line in (
        r"bandwidth, GB/s                                     936      1,792   1.91",
        "FP8 tensor, sums in FP32, TFLOPS                   none        419",
        "rtx_3090, Llama 3 8B: about 111 tokens/s: no format is recorded: ABOVE what bandwidth allows",
        "Features that GeForce RTX 5090 has and GeForce RTX 3090 has not: ",
    ):
        assert line in text


@pytest.mark.parametrize("slug", hardware.gpus())
def test_every_card_can_be_shown_with_its_sources(slug, capsys):
    text = said(capsys, f"gpus show {slug}")
    card = hardware.gpus()[slug]
    assert text.startswith(f"{card.name} ({slug})\n")
    assert card.source in text
    assert card.tensor_source in text
    assert "None" not in text
    assert " 0 GB/s" not in text
    assert ("?" in text.partition("? no second")[0]) == bool(set(card.unverified) & shown_figures(card))


def shown_figures(card: hardware.Gpu) -> set[str]:
    """The figures of a row behind which a `?` can stand, but for those that the row leaves out."""
    tensor = {"tensor_tflops", *(f"tensor_tflops.{key}" for key in card.tensor_tflops)} if card.tensor_tflops else set()
    every = {"chip", "sm_count", "memory_data_rate_gbit", "bandwidth_gbps", "l2_mib", "power_watts", "nvlink_gbps"}
    return every | tensor | {"fp32_tflops", "boost_clock_mhz"}


@pytest.mark.parametrize("line", ["gpus show rtx3090 --json", "gpus compare p40 dgx_spark_gb10 --json"])
def test_json_is_json(line, capsys):
    assert isinstance(json.loads(said(capsys, line)), dict)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gpus show rtx3091", "unknown card 'rtx3091'. Nearest: rtx_3090, "),
        ("gpus compare rtx3090 rtx509", "unknown card 'rtx509'. Nearest: rtx_5090"),
        ("gpus compare rtx3090", "Missing argument 'B'. Nothing was run. See: warpbench gpus compare --help"),
        ("gpus sho rtx3090", "Did you mean 'show'?"),
    ],
)
def test_errors_say_what_to_do(line, words, capsys):
    assert cli.main(line.split()) == errors.USAGE
    text = capsys.readouterr().err
    assert words in text
    assert text.count("\n") == 1
