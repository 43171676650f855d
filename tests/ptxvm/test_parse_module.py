"""Module and Kernel: what a launch asks of a parsed text."""

from __future__ import annotations

from collections import Counter

import pytest

from ptxvm.arch import capability, runs_on
from ptxvm.errors import LaunchError, PtxSyntaxError
from ptxvm.module import Module

HEAD = ".version 9.0\n.target sm_86\n.address_size 64\n"
TEXT = (
    HEAD
    + """
.file 1 "/a/k.cu"
.extern .func (.param .b32 r) cudaCGGetIntrinsicHandle (.param .b32 a);
.shared .align 4 .b8 mine[10];
.shared .align 16 .b8 theirs[100];
.extern .shared .align 16 .b8 dynamic[];
.func leaf(.param .u64 p) { .reg .b32 %r<2>; mov.u32 %r1, mine; st.shared.u32 [%r1], 1; ret; }
.func middle() { call leaf; ret; }
.visible .entry first(.param .u64 x, .param .u32 n)
.reqntid 128
{
    .reg .b32 %r<4>; .shared .align 8 .b8 own[16];
    mov.u32 %r1, own; mov.u32 %r2, dynamic;
    call middle;
    ret;
}
.entry second() .maxntid 64, 2 .explicitcluster .reqnctapercluster 2
{ .reg .b32 %r<2>; mov.u32 %r1, %envreg1; st.shared.u32 [theirs], %r1; ret; }
.entry third() { call cudaCGGetIntrinsicHandle, (0); ret; }
"""
)


@pytest.fixture
def module() -> Module:
    return Module.from_ptx(TEXT)


def test_a_module_is_parsed_once(module: Module) -> None:
    assert Module.from_ptx(TEXT) is module
    assert Module.from_ptx(TEXT + "\n") is not module
    assert module.kernel("first") is module.kernel("first")
    assert module.kernel("first").graph is module.kernel("first").graph


def test_what_a_module_says(module: Module) -> None:
    assert module.isa_version == (9, 0)
    assert module.target == "sm_86"
    assert module.entries == ("first", "second", "third")
    assert module.source_files == ("/a/k.cu",)


def test_kernels_by_name(module: Module) -> None:
    assert module.kernel("second").name == "second"
    with pytest.raises(LaunchError, match=r"no kernel nobody; this module holds first, second, third"):
        module.kernel("nobody")
    with pytest.raises(LaunchError, match=r"holds 3 kernels \(first, second, third\): name one"):
        module.kernel()
    assert Module.from_ptx(HEAD + ".entry only() { ret; }").kernel().name == "only"
    with pytest.raises(LaunchError, match="holds 0 kernels"):
        Module.from_ptx(HEAD).kernel()
    with pytest.raises(LaunchError, match="no kernel leaf"):
        module.kernel("leaf")  # a device function cannot be launched


def test_a_text_that_cannot_be_read_is_not_kept() -> None:
    for _ in range(2):
        with pytest.raises(PtxSyntaxError):
            Module.from_ptx(HEAD + "nonsense")


def test_opcodes_are_counted_through_calls(module: Module) -> None:
    expected = {"mov.u32": 3, "call": 2, "ret": 3, "st.shared.u32": 1}
    assert module.opcodes("first") == Counter(expected)


def test_shared_memory_of_a_kernel_and_of_what_it_calls(module: Module) -> None:
    first = module.kernel("first")
    assert [v.name for v in first.shared_variables] == ["mine", "own", "dynamic"]
    assert first.static_shared_bytes == 16 + 16  # mine: 10, own begins at a multiple of 8
    assert module.kernel("second").static_shared_bytes == 100


def test_blocks_and_clusters(module: Module) -> None:
    first, second, third = (module.kernel(name) for name in module.entries)
    assert (first.required_block, first.max_block, first.cluster) == ((128, 1, 1), 128, None)
    assert (second.required_block, second.max_block, second.cluster) == (None, 128, (2, 1, 1))
    assert (third.required_block, third.max_block, third.cluster) == (None, None, None)


def test_grid_wide_waits(module: Module) -> None:
    assert [module.kernel(name).needs_cooperative for name in module.entries] == [False, True, True]


def test_params(module: Module) -> None:
    assert [(p.name, p.bytes, p.offset) for p in module.kernel("first").params] == [("x", 8, 0), ("n", 4, 8)]


@pytest.mark.parametrize(
    ("target", "expected"), [("sm_86", (8, 6)), ("sm_90a", (9, 0)), ("sm_120", (12, 0)), ("compute_103f", (10, 3))]
)
def test_capability(target: str, expected: tuple[int, int]) -> None:
    assert capability(target) == expected


@pytest.mark.parametrize("target", ["", "sm_", "sm_8", "86", "sm_86b", "gfx90a", "sm_1200"])
def test_what_is_no_target(target: str) -> None:
    with pytest.raises(ValueError, match="not a target"):
        capability(target)


@pytest.mark.parametrize(
    ("target", "arch", "expected"),
    [
        ("sm_80", "sm_86", True), ("sm_86", "sm_80", False), ("sm_90a", "sm_90a", True), ("sm_90a", "sm_120", False),
        ("sm_90", "sm_120", True), ("sm_100f", "sm_103", True), ("sm_100f", "sm_120", False),
        ("sm_103f", "sm_100", False),
    ],
)  # fmt: skip
def test_runs_on(target: str, arch: str, expected: bool) -> None:
    assert runs_on(target, arch) is expected
