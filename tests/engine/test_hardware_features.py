"""What `warpbench features` says of cards, features, older cards and popular claims: is it what the tables hold?"""

from __future__ import annotations

import copy
import json

import pytest

from warpbench import catalogue, cli, errors, hardware
from warpbench.hardware import tables
from warpbench.measure import plan
from warpbench.report import features, profiles

TOOLCHAINS = [one for one in hardware.features().values() if one.kind == "toolchain"]


def said(capsys, line):
    assert cli.main(line.split()) == errors.OK
    return capsys.readouterr().out


# -- a card --------------------------------------------------------------------------------------------------------
def test_a_card_has_or_has_not_every_feature():
    found = features.features("rtx3090")
    assert {one["name"] for one in found["features"]} == {*hardware.features(), *hardware.groups()}
    by_name = {one["name"]: one for one in found["features"]}
    assert by_name["cp_async"]["has"]
    assert by_name["cp_async"]["since"] == "8.0"
    assert not by_name["tma"]["has"]
    assert by_name["tma"]["instead"].startswith("cp.async")


def test_every_feature_that_some_card_lacks_says_what_to_do_instead():
    speechless = [
        one.name
        for one in hardware.features().values()
        if not one.instead and set(one.native_cc) < set(hardware.limits()) and one.native_cc
    ]
    assert speechless == []


def test_the_table_in_words(capsys):
    text = said(capsys, "features --gpu rtx3090")
    has, lacks = text.split("It has not ")
    assert "GeForce RTX 3090 (8.6) has " in has
    assert "\ncp_async " in has
    assert "\nmma_fp8 " in lacks
    assert "refused. Instead: 8.x below 8.9: convert to f16 and use mma_f16" in lacks
    assert "What works on this card" not in text


def test_a_card_that_cuda_13_has_left_gets_a_plain_answer(capsys):
    text = said(capsys, "features --gpu p40")
    for words in (
        "driver: 580 is the last",
        "cupy-cuda12x",
        "numba-cuda[cu12]",
        "Triton: not supported",
        "INT8 by dp4a",
    ):
        assert words in text
    for cc in hardware.older():
        assert not hardware.has(cc, "cuda13")


# -- toolchains ----------------------------------------------------------------------------------------------------
def test_toolchains_are_features_that_a_rung_may_need():
    assert len(TOOLCHAINS) >= 10
    lacking = hardware.missing(hardware.gpu("t4"), ("cuda13", "triton", "shared_99k"))
    assert [one.name for one in lacking] == ["triton", "shared_99k"]
    assert not hardware.has("12.0", "shared_163k")
    assert hardware.has("10.0", "shared_227k")


def test_shared_memory_that_the_limits_deny_is_a_slip(monkeypatch):
    table = copy.deepcopy(dict(tables.read("toolchains.toml")))
    table["toolchain"]["shared_163k"]["native_cc"].append("12.0")
    original = tables.read
    monkeypatch.setattr(tables, "read", lambda name: table if name == "toolchains.toml" else original(name))
    with pytest.raises(
        hardware.CatalogueError, match=r"shared_163k\]: \[limits.12.0\] of features.toml says otherwise"
    ):
        hardware.features.__wrapped__()


def test_what_triton_says_of_its_fp8_types():
    """The installed Triton, asked for every architecture."""
    from triton.backends.compiler import GPUTarget
    from triton.backends.nvidia.compiler import CUDABackend

    for cc in _known():
        major, minor = tables.capability(cc)
        if (major, minor) < (7, 5):
            continue
        options = CUDABackend(GPUTarget("cuda", 10 * major + minor, 32)).parse_options({})
        assert ("fp8e4nv" in options.supported_fp8_dtypes) == hardware.has(cc, "triton_fp8e4nv"), cc
        assert ("fp8e4b15" not in options.deprecated_fp8_dot_operand_dtypes) == hardware.has(cc, "triton_fp8e4b15"), cc
        assert "fp8e5" in options.supported_fp8_dtypes


def _known():
    return [*hardware.limits()]


# -- the gate ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("slug", ["p40", "v100_pcie"])
def test_no_rung_meets_a_compiler_that_refuses_the_card(slug):
    card = hardware.gpu(slug)
    todo = plan.make(catalogue.select("vector_add"), card)
    assert todo.runs == ()
    for refused in todo.refused:
        assert "It needs CUDA 13 (compute capability 7.5 or newer); this is a Tesla " in refused.sentence
        assert refused.sentence.endswith(f"What works on this card: warpbench features --gpu {slug}")


def test_a_bigger_card_can_pretend_to_be_a_smaller_one(capsys):
    assert cli.main(["check", "gemm_fp8/triton/fp8_dot", "--gpu", "rtx5090", "--pretend", "rtx3090"]) == errors.NOT_RUN
    text = capsys.readouterr().out
    assert "It needs FP8 tensor cores (compute capability 8.9 or newer)" in text
    assert "this is a GeForce RTX 5090 that pretends to be a GeForce RTX 3090 (8.6)" in text


def test_profile_gates_by_the_card_that_is_pretended(monkeypatch, capsys):
    """Both cards must have what a rung needs; the rest of the run is the real card's."""
    asked = []

    def run(options, quiet):
        asked.append(options)
        raise errors.UsageError("enough")

    monkeypatch.setattr(profiles, "run", run)
    assert cli.main(["profile", "gemm_fp8/triton", "--gpu", "rtx5090", "--pretend", "rtx3090"]) == errors.USAGE
    (options,) = asked
    todo = plan.make(catalogue.select(options.pattern), hardware.gpu(options.gpu), options.pretend)
    assert [rung.name for _, rung in todo.runs] == ["decoded_to_f16"]
    (refused,) = todo.refused
    assert "this is a GeForce RTX 5090 that pretends to be a GeForce RTX 3090 (8.6)" in refused.sentence


def test_pretending_gives_no_card_what_it_has_not(capsys):
    assert cli.main(["check", "gemm_fp8/triton/fp8_dot", "--gpu", "rtx3090", "--pretend", "rtx5090"]) == errors.NOT_RUN
    assert "this is a GeForce RTX 3090 (8.6)" in capsys.readouterr().out


# -- claims, one feature -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("claim", hardware.claims(), ids=lambda one: one.claim)
def test_the_evidence_of_a_claim_is_in_the_tables(claim):
    assert claim.has or claim.lacks
    for cc, names in claim.has.items():
        for name in names:
            assert hardware.has(cc, name), f"{cc} {name}"
    for cc, names in claim.lacks.items():
        for name in names:
            assert not hardware.has(cc, name), f"{cc} {name}"


def test_claims_in_words(capsys):
    text = said(capsys, "features --claims")
    assert "FP8 needs compute capability 9.0: false\n" in text
    assert "evidence: 9.0 has tma_multicast; 12.0 has tma, clusters_dsm; 12.0 lacks tma_multicast" in text
    assert len(json.loads(said(capsys, "features --claims --json"))) == len(hardware.claims()) >= 12


def test_one_feature_whole(capsys):
    text = said(capsys, "features mma_fp8")
    assert "native on 8.9, 12.0, 12.1" in text
    assert "emulated on 9.0: unpacked to f16" in text
    assert "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32" in text
    assert said(capsys, "features fp8").endswith("one of: mma_fp8, wgmma_fp8, tcgen05_mma_fp8\n")
    assert json.loads(said(capsys, "features triton --json"))["since"] == "8.0"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("features mma_fp88", "unknown feature 'mma_fp88'. Nearest: mma_fp8, "),
        ("features mma_fp8 --claims", "three questions. Nothing was shown. Ask one of them."),
        ("profile vector_add --pretend rtx3091", "unknown card 'rtx3091'. Nearest: rtx_3090, "),
        ("check vector_add --pretend rtx3091", "unknown card 'rtx3091'. Nearest: rtx_3090, "),
    ],
)
def test_errors_say_what_to_do(line, words, capsys):
    assert cli.main(line.split()) == errors.USAGE
    text = capsys.readouterr().err
    assert words in text
    assert text.count("\n") == 1
