"""Does the gate say which cards can run what, in a sentence that is true?"""

from __future__ import annotations

import itertools
import re

import pytest

from warpbench import hardware
from warpbench.hardware import peaks
from warpbench.hardware.features import article, known_cc

NEEDS = (
    "fp8",
    "tma",
    "block_scale",
    "mma_fp8",
    "wgmma_fp8",
    "tcgen05_mma_fp8",
    "mma_nvfp4",
    "tma_multicast",
    "cp_async",
)


@pytest.mark.parametrize(
    ("card", "lacking"),
    [
        ("p40", set(NEEDS)),
        ("rtx3090", set(NEEDS) - {"cp_async"}),
        ("rtx4090", set(NEEDS) - {"fp8", "mma_fp8", "cp_async"}),
        # mma.sync on FP8 is accepted on 9.0 and emulated: the group has it, the feature has not
        ("h100", {"block_scale", "mma_fp8", "tcgen05_mma_fp8", "mma_nvfp4"}),
        ("b200", {"mma_fp8", "wgmma_fp8", "mma_nvfp4"}),
        # an RTX 5090 is Blackwell without tcgen05, and its multicast is emulated
        ("rtx5090", {"wgmma_fp8", "tcgen05_mma_fp8", "tma_multicast"}),
        ("spark", {"wgmma_fp8", "tcgen05_mma_fp8", "tma_multicast"}),
    ],
)
def test_what_a_card_lacks(card: str, lacking: set[str]) -> None:
    found = hardware.missing(hardware.gpu(card), NEEDS)
    assert {one.name for one in found} == lacking
    assert [one.name for one in found] == [need for need in NEEDS if need in lacking]


def test_the_refusal_has_four_facts() -> None:
    card = hardware.gpu("rtx3090")
    sentence = hardware.refusal(
        "gemm_fp8/triton/fp8_dot", card, hardware.missing(card, ("fp8",)), "gemm_fp8/cupy/f32_tile"
    )
    assert sentence == (
        "gemm_fp8/triton/fp8_dot was not run. It needs FP8 tensor cores (compute capability 8.9 or newer); "
        "this is a GeForce RTX 3090 (8.6). Nearest rung that runs here: gemm_fp8/cupy/f32_tile."
    )


def test_the_refusal_of_several_needs_without_a_rung_that_runs() -> None:
    card = hardware.gpu("h100")
    sentence = hardware.refusal("gemm/cupy/x", card, hardware.missing(card, ("mma_nvfp4", "mma_fp8")), None)
    assert sentence == (
        "gemm/cupy/x was not run. It needs NVFP4 tensor cores reached by mma.sync (compute capability 12.0 or newer) "
        "and FP8 tensor cores reached by mma.sync (compute capability 8.9, 12.0 or 12.1); "
        "this is an H100 SXM5 80GB (9.0). No rung of gemm runs here."
    )


def test_or_newer_is_said_only_where_it_is_true() -> None:
    said = 0
    for name in [*hardware.features(), *hardware.groups()]:
        native = set(hardware.lookup(name).native_cc)
        words = hardware.having(tuple(native))
        if since := re.fullmatch(r"compute capability (\S+) or newer", words):
            least = tuple(map(int, since[1].split(".")))
            assert native == {cc for cc in known_cc() if tuple(map(int, cc.split("."))) >= least}, name
            said += 1
        else:
            assert set(re.findall(r"\d+\.\d", words)) == native, name
    assert said > 50


def test_every_subset_of_capabilities_is_worded_truly() -> None:
    known = known_cc()[-5:]
    for size in range(1, 6):
        for some in itertools.combinations(known, size):
            words = hardware.having(some)
            newest = some == known[-size:] and size > 1
            assert words.endswith("or newer") == newest, some


def test_every_feature_reads_well_inside_the_sentence() -> None:
    for name in [*hardware.features(), *hardware.groups()]:
        short = hardware.lookup(name).short
        assert "(" not in short, name
        assert "," not in short or name.startswith("cvt"), name
        assert not short.endswith("."), name


def test_an_unknown_feature_names_the_nearest() -> None:
    with pytest.raises(hardware.UnknownName) as raised:
        hardware.missing(hardware.gpu("rtx3090"), ("cp_async", "mma_fp88"))
    assert raised.value.nearest[0] == "mma_fp8"
    assert "warpbench features" in str(raised.value)


def test_missing_says_what_an_emulated_feature_becomes() -> None:
    (fp8,) = hardware.missing(hardware.gpu("h100"), ("mma_fp8",))
    assert "HMMA" in fp8.here
    (tma,) = hardware.missing(hardware.gpu("rtx4090"), ("tma",))
    assert tma.here == ""


@pytest.mark.parametrize(
    ("cc", "feature", "answer"),
    [
        ("13.0", "cp_async", True),  # newer than this file: plain instructions stay
        ("13.0", "fp8", True),
        ("13.0", "mma_fp8", False),  # 8.9 and 12.x only: nothing follows for the next one
        ("13.0", "wgmma_f16", False),
        ("13.0", "mma_nvfp4", False),  # needs a target of its own
        ("10.7", "tma", True),
        ("8.8", "fp8", False),
        ("8.8", "cp_async", True),
        ("6.0", "cp_async", False),
    ],
)
def test_a_capability_that_the_table_does_not_know(cc: str, feature: str, answer: bool) -> None:
    assert hardware.has(cc, feature) is answer


@pytest.mark.parametrize(
    ("name", "word"),
    [("GeForce RTX 3090", "a"), ("RTX PRO 4000 Blackwell", "an"), ("H100 SXM5 80GB", "an"), ("A10", "an"), ("L4", "an"),
     ("B200 SXM 180GB", "a"), ("Tesla P40", "a"), ("NVIDIA H200", "an"), ("T4", "a"), ("V100", "a"), ("Orin", "an")],
)  # fmt: skip
def test_articles(name: str, word: str) -> None:
    assert article(name) == word


def test_the_floor_is_the_slower_of_the_two_roofs() -> None:
    card = hardware.gpu("rtx3090")
    copy = hardware.floor(card, 936e9, 1.0, "f32")
    assert (copy.seconds, copy.bound) == (pytest.approx(1.0), "bandwidth")
    gemm = hardware.floor(card, 1.0, 35.6e12, "f32")
    assert (gemm.seconds, gemm.bound) == (pytest.approx(1.0), "arithmetic")
    assert hardware.floor_seconds(card, 1.0, 71.0e12, "f16") == pytest.approx(1.0)
    assert hardware.floor_seconds(card, 1.0, 142.0e12, "f16", "f16") == pytest.approx(1.0)
    assert hardware.floor_seconds(hardware.gpu("h100"), 1.0, 1979e12, "e4m3") == pytest.approx(1.0)


def test_an_unknown_roof_is_unknown() -> None:
    p40 = hardware.gpu("p40")
    assert hardware.peak_tflops(p40, "f16") is None
    assert hardware.peak_tflops(hardware.gpu("rtx3090"), "e4m3") is None
    assert hardware.peak_tflops(hardware.gpu("rtx3090"), "i64") is None
    assert hardware.floor(p40, 346e9, 1e20, "f16").bound == "bandwidth"  # the other roof alone
    unknown = hardware.Gpu(slug="x", name="X", cc="13.0", sm_count=1)
    assert hardware.floor(unknown, 1.0, 1.0, "f32") is None
    assert hardware.floor_seconds(unknown, 1.0, 1.0, "f32") is None


def test_the_roof_at_the_clock_of_a_sample() -> None:
    # measurement: a 4090 runs at 105 % of its rated boost, so only this roof cannot be passed
    card = hardware.gpu("rtx4090")
    assert hardware.peak_tflops(card, "f16", "f32", clock_mhz=2520) == pytest.approx(165.2, abs=0.1)
    assert hardware.peak_tflops(card, "f32", clock_mhz=2520) == pytest.approx(82.6, abs=0.1)
    assert peaks.tensor_key("u8", "i32") == "i8_i32"
    assert peaks.tensor_key("f32", "f32") is None
