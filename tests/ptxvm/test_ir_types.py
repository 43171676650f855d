"""The canonical type of a register, and from which parameter an address may come."""

from __future__ import annotations

import pytest

from ptxvm import ir
from ptxvm.parse import parse
from ptxvm.types import bits_of

HEAD = ".version 8.7\n.target sm_86\n.address_size 64\n"
REGISTERS = (
    ".reg .pred %p<4>; .reg .b16 %h<9>; .reg .b32 %r<9>; .reg .f32 %f<9>; .reg .b64 %rd<9>; .reg .f64 %d<9>;"
    ".shared .align 8 .b8 s[64];"
)
PARAMS = ".param .u64 x, .param .u64 y, .param .u64 n, .param .u32 m, .param .align 8 .b8 t[16]"


def graph(body: str) -> ir.Graph:
    text = f"{HEAD}.global .b8 v[64];\n.visible .entry k({PARAMS}) {{ {REGISTERS}\n{body}\nret; }}"
    return ir.build(parse(text).functions["k"])


# -- types ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("add.f32 %r1, %r2, %r3;", {"%r1": "f32", "%r2": "f32", "%r3": "f32"}),
        ("fma.rn.f16 %h1, %h2, %h3, %h1;", {"%h1": "f16", "%h2": "f16", "%h3": "f16"}),
        ("fma.rn.bf16 %h1, %h2, %h3, %h1;", {"%h1": "u16", "%h2": "u16"}),
        ("add.f16x2 %r1, %r2, %r3;", {"%r1": "u32"}),
        ("add.rn.f32x2 %rd1, %rd2, %rd3;", {"%rd1": "u64"}),
        ("cvt.f32.s32 %r1, %r2;", {"%r1": "f32", "%r2": "s32"}),
        ("cvt.rn.f16.f32 %h1, %r2;", {"%h1": "f16", "%r2": "f32"}),
        ("cvt.rn.f16x2.f32 %r1, %r2, %r3;", {"%r1": "u32", "%r2": "f32", "%r3": "f32"}),
        ("cvt.rna.tf32.f32 %r1, %r2;", {"%r1": "u32", "%r2": "f32"}),
        ("cvt.u64.u32 %rd1, %r1;", {"%rd1": "u64", "%r1": "u32"}),
        ("setp.lt.f32 %p1, %r1, %r2;", {"%p1": "pred", "%r1": "f32", "%r2": "f32"}),
        ("set.eq.f32.s32 %r1, %r2, %r3;", {"%r1": "f32", "%r2": "s32", "%r3": "s32"}),
        ("mul.wide.s32 %rd1, %r1, %r2;", {"%rd1": "s64", "%r1": "s32"}),
        ("mad.wide.u16 %r1, %h1, %h2, %r2;", {"%r1": "u32", "%h1": "u16", "%r2": "u32"}),
        ("shl.b32 %r1, %r2, %r3;", {"%r1": "u32", "%r2": "u32", "%r3": "u32"}),
        ("shr.s32 %r1, %r2, %r3;", {"%r1": "s32", "%r2": "s32", "%r3": "u32"}),
        ("shr.s64 %rd1, %rd2, %r3;", {"%rd1": "s64", "%rd2": "s64", "%r3": "u32"}),
        ("bfe.s32 %r1, %r2, %r3, %r4;", {"%r1": "s32", "%r2": "s32", "%r3": "u32", "%r4": "u32"}),
        ("popc.b64 %r1, %rd1;", {"%r1": "u32", "%rd1": "u64"}),
        ("bfind.s64 %r1, %rd1;", {"%r1": "u32", "%rd1": "s64"}),
        ("slct.f32.s32 %r1, %r2, %r3, %r4;", {"%r1": "f32", "%r2": "f32", "%r4": "s32"}),
        ("slct.s32.f32 %r1, %r2, %r3, %r4;", {"%r1": "s32", "%r4": "f32"}),
        ("vote.sync.ballot.b32 %r1, %p1, %r2;", {"%r1": "u32", "%p1": "pred", "%r2": "u32"}),
        ("match.any.sync.b64 %r1, %rd1, %r2;", {"%r1": "u32", "%rd1": "u64"}),
        ("redux.sync.min.s32 %r1, %r2, %r3;", {"%r1": "s32", "%r2": "s32", "%r3": "u32"}),
        ("atom.global.add.f32 %r1, [%rd1], %r2;", {"%r1": "f32", "%r2": "f32", "%rd1": "s64"}),
        ("red.global.add.f64 [%rd1], %rd2;", {"%rd2": "f64"}),
        ("dp4a.u32.s32 %r1, %r2, %r3, %r4;", {"%r1": "s32", "%r2": "u32", "%r3": "s32", "%r4": "s32"}),
        ("fma.rn.f32.f16 %r1, %h1, %h2, %r2;", {"%r1": "f32", "%h1": "f16", "%r2": "f32"}),
        ("sub.rn.f32.f16 %r1, %h1, %r2;", {"%r1": "f32", "%h1": "f16", "%r2": "f32"}),
        ("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"
         " {%r1,%r2,%r3,%r4}, {%r5,%r6,%r7,%r8}, {%r5,%r6}, {%r1,%r2,%r3,%r4};",
         {"%r1": "f32", "%r4": "f32", "%r5": "u32", "%r8": "u32"}),
        ("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32"
         " {%r1,%r2,%r3,%r4}, {%r5,%r6,%r7,%r8}, {%r5,%r6}, {%r1,%r2,%r3,%r4};",
         {"%r1": "s32", "%r5": "u32"}),
        ("ld.global.f32 %r1, [%rd1];", {"%r1": "f32", "%rd1": "s64"}),
        ("ld.global.s8 %r1, [%rd1];", {"%r1": "u32"}),
        ("ld.global.u8 %h1, [%rd1];", {"%h1": "u16"}),
        ("mov.b64 {%r1, %r2}, %rd1; add.f32 %r1, %r1, %r1;", {"%r1": "f32", "%r2": "u32", "%rd1": "u64"}),
        ("lop3.or.b32 %r1|%p1, %r2, %r3, %r4, 0x80, %p2;", {"%r1": "u32", "%p1": "pred", "%p2": "pred"}),
        ("add.cc.u32 %r1, %r2, %r3;", {"%cc": "pred"}),
    ],
)  # fmt: skip
def test_types_of_operands(body: str, expected: dict[str, str]) -> None:
    dtypes = graph(body).dtypes
    assert {name: dtypes[name] for name in expected} == expected


def test_arithmetic_outvotes_the_copies() -> None:
    """Triton clears a register with an integer move, loads it as bits and computes floats with it."""
    g = graph("mov.u32 %r1, 0; mov.u32 %r2, 0; ld.global.v2.b32 {%r1, %r2}, [%rd1]; add.f32 %r3, %r1, %r2;")
    assert [g.dtypes[r] for r in ("%r1", "%r2", "%r3")] == ["f32"] * 3


def test_the_majority_decides() -> None:
    assert (
        graph("add.f32 %r1, %r2, %r2; add.s32 %r3, %r1, 1; xor.b32 %r4, %r1, 5; xor.b32 %r5, %r1, 5;").dtypes["%r1"]
        == "u32"
    )
    assert graph("add.f32 %r1, %r1, %r1; xor.b32 %r4, %r1, 5;").dtypes["%r1"] == "f32"


def test_ties_go_to_the_declared_type() -> None:
    assert graph("add.s32 %r1, %r2, 1; xor.b32 %r3, %r1, 5;").dtypes["%r1"] == "u32"
    assert graph("add.s32 %f1, %r2, 1; add.f32 %f2, %f1, 0f00000000;").dtypes["%f1"] == "f32"


def test_a_register_without_a_use_keeps_its_declared_type() -> None:
    dtypes = graph("").dtypes
    assert {dtypes[r] for r in ("%p0", "%h0", "%r0", "%f0", "%rd0", "%d0")} == {
        "pred",
        "u16",
        "u32",
        "f32",
        "u64",
        "f64",
    }


def test_no_type_of_another_width() -> None:
    """Instructions at odds with the register's width (loads of bytes, packed elements) never change its width."""
    g = graph("""ld.global.u8 %r1, [%rd1]; ld.global.s16 %r2, [%rd1]; cvt.u16.u32 %h1, %r1; st.global.u8 [%rd1], %r2;
        ld.shared.u32 %rd2, [s]; cvt.s64.s8 %rd3, %h2; mov.b32 {%h3, %h4}, %r3; mov.b64 %rd4, {%r4, %r5};""")
    for name, declared in g.function.registers.items():
        assert bits_of(g.dtypes[name]) == bits_of(declared)


# -- provenance ----------------------------------------------------------------------------------------------------
def origins(body: str) -> list[set[str]]:
    """Where the accesses of a body may come from, in order. %rd1 is x, %rd2 is y, %rd3 the 8-byte number n."""
    g = graph(f"ld.param.u64 %rd1, [x]; ld.param.u64 %rd2, [y]; ld.param.u64 %rd3, [n]; ld.param.u32 %r1, [m];\n{body}")
    return [set(g.provenance[i]) for i in sorted(g.provenance)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("ld.global.b32 %r2, [%rd1];", {"x"}),
        ("ld.b32 %r2, [%rd1+8];", {"x"}),
        ("st.global.b32 [%rd2], %r2;", {"y"}),
        ("atom.global.add.u32 %r2, [%rd1], 1;", {"x"}),
        ("red.global.add.u32 [%rd1], 1;", {"x"}),
        ("cp.async.ca.shared.global [%r2], [%rd2], 4;", {"y"}),
        ("wmma.load.a.sync.aligned.row.m16n16k16.global.f16 {%r2, %r3}, [%rd1], %r4;", {"x"}),
        ("cvta.to.global.u64 %rd4, %rd1; mul.wide.s32 %rd5, %r1, 4; add.s64 %rd6, %rd4, %rd5; ld.b32 %r2, [%rd6];",
         {"x"}),
        ("mul.wide.s32 %rd5, %r1, 4; add.s64 %rd6, %rd5, %rd2; ld.global.b32 %r2, [%rd6];", {"y"}),
        ("mad.wide.s32 %rd4, %r1, 4, %rd1; ld.global.b32 %r2, [%rd4];", {"x"}),
        ("mad.lo.s64 %rd4, %rd3, 4, %rd1; ld.global.b32 %r2, [%rd4];", {"x"}),
        ("shl.b64 %rd4, %rd3, 2; add.s64 %rd5, %rd1, %rd4; ld.global.b32 %r2, [%rd5];", {"x"}),
        ("setp.lt.s64 %p1, %rd4, %rd3; add.s64 %rd5, %rd1, %rd3; ld.global.b8 %r2, [%rd5];", {"x"}),
        ("sub.s64 %rd4, %rd1, 4; ld.global.b32 %r2, [%rd4];", {"x"}),
        ("and.b64 %rd4, %rd1, -16; ld.global.b32 %r2, [%rd4];", {"x"}),
        ("selp.b64 %rd4, %rd1, %rd2, %p1; ld.global.b32 %r2, [%rd4];", {"x", "y"}),
        ("mov.b64 %rd4, %rd1; @%p1 mov.b64 %rd4, %rd2; ld.global.b32 %r2, [%rd4];", {"x", "y"}),
        ("mov.b64 %rd4, %rd1; L: ld.global.b32 %r2, [%rd4]; add.s64 %rd4, %rd4, 4; @%p1 bra L;", {"x"}),
        ("mov.b64 %rd4, %rd1; mov.b64 %rd5, %rd2; L: mov.b64 %rd6, %rd4; mov.b64 %rd4, %rd5; mov.b64 %rd5, %rd6;"
         "ld.global.b32 %r2, [%rd4]; @%p1 bra L;", {"x", "y"}),
        ("mov.b64 %rd4, %rd1; mov.b64 %rd5, %rd2; L: mov.b64 %rd6, %rd4; ld.global.b32 %r2, [%rd6];"
         "mov.b64 %rd4, %rd5; mov.b64 %rd5, %rd6; @%p1 bra L;", {"x", "y"}),
        # what the flow cannot tell is unknown, never one wrong parameter
        ("ld.global.b32 %r2, [v];", None),
        ("mov.u64 %rd4, v; ld.global.b32 %r2, [%rd4];", set()),
        ("mov.u64 %rd4, v; add.s64 %rd5, %rd4, %rd1; ld.global.b32 %r2, [%rd5];", set()),
        ("mov.u64 %rd4, v; selp.b64 %rd5, %rd4, %rd1, %p1; ld.global.b32 %r2, [%rd5];", set()),
        ("ld.param.u64 %rd4, [t+8]; ld.global.b32 %r2, [%rd4];", set()),
        ("ld.param.u64 %rd4, [t]; selp.b64 %rd5, %rd4, %rd1, %p1; ld.global.b32 %r2, [%rd5];", set()),
        ("mov.b64 %rd4, %rd1; @%p1 mov.u64 %rd4, 0; ld.global.b32 %r2, [%rd4];", set()),
        ("sub.s64 %rd4, %rd1, %rd2; ld.global.b32 %r2, [%rd4];", set()),
        ("xor.b64 %rd4, %rd1, 64; ld.global.b32 %r2, [%rd4];", set()),
        ("ld.global.b32 %r2, [%rd8];", set()),
    ],
)  # fmt: skip
def test_provenance(body: str, expected: set[str] | None) -> None:
    found = origins(body)
    assert found == ([] if expected is None else [expected])


def test_a_pointer_loaded_from_memory_is_unknown() -> None:
    assert origins("ld.global.u64 %rd4, [%rd1]; ld.global.b32 %r2, [%rd4];") == [{"x"}, set()]


def test_other_spaces_have_no_provenance() -> None:
    assert origins("ld.shared.b32 %r2, [%rd1]; st.local.b32 [%rd1], %r2; ld.const.b32 %r2, [%rd1];") == []


def test_parameters_of_device_functions_are_not_those_of_a_launch() -> None:
    text = f"{HEAD}.func f(.param .u64 x) {{ {REGISTERS} ld.param.u64 %rd1, [x]; ld.global.b32 %r1, [%rd1]; ret; }}"
    assert ir.build(parse(text).functions["f"]).provenance == {1: frozenset()}
