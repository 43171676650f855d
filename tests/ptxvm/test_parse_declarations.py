"""Variables, parameters and directives."""

from __future__ import annotations

import struct

import pytest

from ptxvm.parse import parse
from ptxvm.types import Parameter, Program, Variable

HEAD = ".version 9.0\n.target sm_90a, debug\n.address_size 64\n"


def module(text: str) -> Program:
    return parse(HEAD + text)


def variable(text: str) -> Variable:
    (found,) = module(text).variables
    return found


def test_version_and_target() -> None:
    program = module(".entry k() { ret; }")
    assert program.isa_version == (9, 0)
    assert program.target == "sm_90a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".global .align 4 .u32 counter = 7;", Variable("counter", "global", 4, 4, b"\x07\0\0\0")),
        (".global .u64 x;", Variable("x", "global", 8, 8)),
        (
            ".visible .const .align 8 .f64 c[2] = {1.5, 0dBFF0000000000000};",
            Variable("c", "const", 16, 8, struct.pack("<2d", 1.5, -1)),
        ),
        (".const .f32 c = 0f3F800000;", Variable("c", "const", 4, 4, struct.pack("<f", 1))),
        (".const .f32 c[3] = {1, -2.5, -0f3F800000};", Variable("c", "const", 12, 4, struct.pack("<3f", 1, -2.5, -1))),
        (".global .align 1 .b8 $str$1[6] = {116, 119, 111};", Variable("$str$1", "global", 6, 1, b"two\0\0\0")),
        ('.global .b8 s[] = "a;\\n\\"b";', Variable("s", "global", 6, 1, b'a;\n"b\0')),
        (
            ".global .s16 m[2][2] = {{1, -1}, {0x7fff, -0x8000}};",
            Variable("m", "global", 8, 2, struct.pack("<4h", 1, -1, 0x7FFF, -0x8000)),
        ),
        (".global .v4 .f32 q;", Variable("q", "global", 16, 16)),
        (".shared .align 16 .b8 s[2048];", Variable("s", "shared", 2048, 16)),
        (".extern .shared .align 16 .b8 dynamic[];", Variable("dynamic", "shared", 0, 16, None, True)),
        (".shared .b8 open[];", Variable("open", "shared", 0, 1, None, True)),
        (".common .global .align 8 .u64 env;", Variable("env", "global", 8, 8)),
        (".weak .global .align 1 .b8 w[3];", Variable("w", "global", 3, 1)),
        (".visible .global .attribute(.managed) .align 4 .u32 m = 1;", Variable("m", "global", 4, 4, b"\1\0\0\0")),
    ],
)  # fmt: skip
def test_variables(text: str, expected: Variable) -> None:
    assert variable(text) == expected


def test_several_variables_in_one_statement() -> None:
    found = module(".global .u32 a, b[2], c = 3;").variables
    assert [(v.name, v.bytes, v.initial) for v in found] == [("a", 4, None), ("b", 8, None), ("c", 4, b"\3\0\0\0")]


def test_addresses_in_an_initialiser_are_zeros_and_a_relocation() -> None:
    program = module(".global .b8 a[4];\n.global .align 8 .u64 t[3] = {generic(a), 5, a+2};")
    table = program.variables[1]
    assert table.initial == struct.pack("<3Q", 0, 5, 0)
    assert table.relocations == ((0, "a", 0), (16, "a", 2))


def test_kernel_parameters_are_packed_by_alignment() -> None:
    program = module("""
        .visible .entry k(
            .param .u64 .ptr .global .align 1 p0,
            .param .u32 p1, .param .f64 p2, .param .b8 p3,
            .param .align 64 .b8 p4[128]
        ) { ret; }""")
    assert program.functions["k"].params == (
        Parameter("p0", "u64", 8, 8, 0),
        Parameter("p1", "u32", 4, 4, 8),
        Parameter("p2", "f64", 8, 8, 16),
        Parameter("p3", "b8", 1, 1, 24),
        Parameter("p4", "b8", 128, 64, 64),
    )


def test_directives_of_a_kernel() -> None:
    program = module("""
        .entry k(.param .u64 p)
        .maxntid 256, 1, 1
        .minnctapersm 2 .maxnreg 64
        .explicitcluster
        .reqnctapercluster 2, 1, 1
        .pragma "nounroll";
        { ret; }
        .entry j() .reqntid 128 { ret; }""")
    assert program.functions["k"].directives == {
        "maxntid": (256, 1, 1), "minnctapersm": (2,), "maxnreg": (64,),
        "explicitcluster": (), "reqnctapercluster": (2, 1, 1),
    }  # fmt: skip
    assert program.functions["j"].directives == {"reqntid": (128,)}


def test_device_functions() -> None:
    program = module("""
        .extern .func (.param .b32 r) vprintf (.param .b64 a, .param .b64 b);
        .visible .func (.param .align 8 .b8 r[16]) pair(.param .b64 x) .noreturn;
        .func .noreturn stop() ;
        .weak .func (.param .b32 r) twice (.param .b32 x)
        { .reg .b32 %r<3>; ld.param.b32 %r1, [x]; shl.b32 %r2, %r1, 1; st.param.b32 [r], %r2; ret; }
        .func (.reg .u32 out) old (.reg .u32 in) { add.u32 out, in, 1; ret; }""")
    assert set(program.functions) == {"twice", "old"}
    twice = program.functions["twice"]
    assert not twice.entry
    assert [p.name for p in twice.params] == ["x"]
    assert [p.name for p in twice.returns] == ["r"]
    assert program.functions["old"].registers == {"out": "u32", "in": "u32"}


def test_debug_sections_and_old_dwarf_are_skipped() -> None:
    program = module("""
        @@DWARF .byte 1; { not read
        .section .debug_abbrev
        {
        .b8 1
        .b32 .debug_line
        $L__info_string0: .b8 95
        }
        .section .debug_macinfo { }
        .entry k() { ret; }
        .file 1 "/a/b.cu", 1234, 99
        """)
    assert set(program.functions) == {"k"}
    assert program.files == {1: "/a/b.cu"}


def test_shared_and_local_variables_inside_a_kernel() -> None:
    program = module(
        ".entry k() { .local .align 8 .b8 __local_depot0[24]; .shared .align 4 .b8 t[64]; .reg .b64 %SP; ret; }"
    )
    assert program.functions["k"].variables == (
        Variable("__local_depot0", "local", 24, 8),
        Variable("t", "shared", 64, 4),
    )
    assert program.functions["k"].registers == {"%SP": "b64"}
