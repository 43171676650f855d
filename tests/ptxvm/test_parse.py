"""What the parser makes of a function's body: statements, scopes, operands, calls, branches."""

from __future__ import annotations

import math
import struct

import pytest

from ptxvm.parse import parse
from ptxvm.types import (
    Address,
    Function,
    Immediate,
    Instruction,
    Not,
    Operand,
    Pair,
    Register,
    Sink,
    Special,
    Symbol,
    Vector,
)

HEAD = ".version 8.7\n.target sm_86\n.address_size 64\n"


def function(body: str, before: str = "", params: str = "") -> Function:
    """The kernel `k` with a body, its only function with one."""
    program = parse(f"{HEAD}{before}\n.visible .entry k({params})\n{{\n{body}\n}}\n")
    return program.functions["k"]


def operands(text: str) -> tuple[Operand, ...]:
    """Operands of one instruction, with registers of every kind declared."""
    declared = ".reg .pred %p<4>; .reg .b32 %r<9>; .reg .f32 %f<9>; .reg .b64 %rd<9>; .shared .b8 s[64];"
    return function(f"{declared} {text}").instructions[0].operands


def written(ins: Instruction) -> str:
    """The register that an instruction with a plain result writes."""
    assert isinstance(ins.operands[0], Register)
    return ins.operands[0].name


def base(operand: Operand) -> Operand:
    """What an address stands on."""
    assert isinstance(operand, Address)
    return operand.base


R, RD, P = (lambda i: Register(f"%r{i}")), (lambda i: Register(f"%rd{i}")), (lambda i: Register(f"%p{i}"))


# -- operands ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("add.s32 %r1, %r2, %r3;", (R(1), R(2), R(3))),
        ("mov.u32 %r1, %tid.x;", (R(1), Special("%tid.x"))),
        ("mov.u32 %r1, %envreg31;", (R(1), Special("%envreg31"))),
        ("mov.u32 %r1, %lanemask_lt;", (R(1), Special("%lanemask_lt"))),
        ("mov.b64 {%r1,%r2}, %rd1;", (Vector((R(1), R(2))), RD(1))),
        ("mov.b64\t{ %r1 , _ },%rd1;", (Vector((R(1), Sink())), RD(1))),
        ("mov.b64{%r1,%r2},%rd1;", (Vector((R(1), R(2))), RD(1))),
        ("setp.lt.and.s32 %p1|%p2, %r1, 5, !%p3;", (Pair(P(1), P(2)), R(1), Immediate(5), Not(P(3)))),
        (
            "shfl.sync.down.b32 %r1|_, %r2, 1, 31, -1;",
            (Pair(R(1), Sink()), R(2), Immediate(1), Immediate(31), Immediate(-1)),
        ),
        ("ld.global.v2.b32 {%r1, %r2}, [%rd1];", (Vector((R(1), R(2))), Address(RD(1)))),
        ("ld.global.b32 %r1, [%rd1+8];", (R(1), Address(RD(1), 8))),
        ("ld.global.b32 %r1, [ %rd1 + 0x10 ];", (R(1), Address(RD(1), 16))),
        ("ld.global.b32 %r1, [%rd1+-4];", (R(1), Address(RD(1), -4))),
        ("ld.global.b32 %r1, [%rd1-4];", (R(1), Address(RD(1), -4))),
        ("ld.global.b32 %r1, [%rd1+8+4];", (R(1), Address(RD(1), 12))),
        ("ld.shared.b32 %r1, [s+12];", (R(1), Address(Symbol("s"), 12))),
        ("ld.shared.b32 %r1, [64];", (R(1), Address(Immediate(64)))),
        ("mov.u32 %r1, s;", (R(1), Symbol("s"))),
        ("mov.u32 %r1, s+4;", (R(1), Symbol("s", 4))),
        ("mov.u32 %r1, WARP_SZ;", (R(1), Immediate(32))),
        (
            "cp.async.bulk.tensor.2d.shared::cta.global.mbarrier::complete_tx::bytes [%r1], [%rd1, {%r2, %r3}], [%r4];",
            (Address(R(1)), Vector((Address(RD(1)), Vector((R(2), R(3))))), Address(R(4))),
        ),
        ("bar.sync 0;", (Immediate(0),)),
        ("membar.gl;", ()),
    ],
)
def test_operands(text: str, expected: tuple[Operand, ...]) -> None:
    assert operands(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("10", 10), ("-1", -1), ("+3", 3), ("- 7", -7), ("0x1F", 31), ("0XffU", 255), ("017", 15),
        ("4294967295U", 0xFFFFFFFF), ("0b101", 5), ("0B11U", 3), ("~0", -1), ("!5", 0), ("-0x8", -8),
        ("18446744073709551615", (1 << 64) - 1), ("-9223372036854775808", -(1 << 63)),
    ],
)  # fmt: skip
def test_integer_literals(text: str, value: int) -> None:
    assert operands(f"mov.b64 %rd1, {text};")[1] == Immediate(value)


@pytest.mark.parametrize(
    ("text", "number", "kind"),
    [
        ("0f3F800000", 1.0, "f32"), ("0FBf800000", -1.0, "f32"), ("-0f3F800000", -1.0, "f32"),
        ("0d3FF8000000000000", 1.5, "f64"), ("0D7FF0000000000000", math.inf, "f64"),
        ("2.5", 2.5, "f64"), ("-1.0e-3", -1e-3, "f64"), ("3.", 3.0, "f64"),
    ],
)  # fmt: skip
def test_float_literals_hold_the_bits(text: str, number: float, kind: str) -> None:
    literal = operands(f"mov.f32 %f1, {text};")[1]
    code = "<f" if kind == "f32" else "<d"
    assert literal == Immediate(int.from_bytes(struct.pack(code, number), "little"), kind)


def test_opcode_words_keep_double_colons_together() -> None:
    ins = function(".reg .b32 %r<2>; st.shared::cta.v2.b32 [%r1], {%r0, %r0};").instructions[0]
    assert ins.parts == ("st", "shared::cta", "v2", "b32")
    assert ins.opcode == "st.shared::cta.v2.b32"


def test_guards() -> None:
    f = function(
        ".reg .pred %p<2>, q; .reg .b32 %r<2>;\n@%p1 mov.u32 %r1, 1; @!%p0 mov.u32 %r1, 2; @!q\n mov.u32 %r1, 3; ret;"
    )
    assert [i.guard for i in f.instructions] == [Register("%p1"), Not(Register("%p0")), Not(Register("q")), None]


def test_several_statements_on_a_line_and_comments() -> None:
    body = """.reg .b32 a, b; mov.u32 a, 1; /* a comment; with { braces
        over two lines */ add.u32 b, a, // the rest of this ; line is } a comment
          a; .pragma "nounroll"; ret;"""
    f = function(body)
    assert [(i.opcode, i.ptx_line) for i in f.instructions] == [("mov.u32", 7), ("add.u32", 8), ("ret", 9)]
    assert f.registers == {"a": "b32", "b": "b32"}


def test_a_comment_sign_in_a_file_name_is_no_comment() -> None:
    text = HEAD + '.file 1 "http://x/*y.py"\n.entry k() { .loc 1 7 1\n ret; }\n'
    program = parse(text)
    assert program.files == {1: "http://x/*y.py"}
    assert program.functions["k"].instructions[0].source is not None


def test_trailing_nul_bytes_are_no_text() -> None:
    assert parse(HEAD + ".entry k() { ret; }\n\0\0").functions["k"].name == "k"


# -- scopes --------------------------------------------------------------------------------------------------------
def test_registers_of_inner_scopes_get_unique_names() -> None:
    f = function("""
        .reg .b32 %r<3>; .reg .b32 t;
        mov.u32 t, 0;
        { .reg .b32 t; mov.u32 t, 1; { .reg .pred t; setp.eq.s32 t, %r1, 1; } mov.u32 %r1, t; }
        {.reg.b16 t, u;
          cvt.u16.u32 t, %r1; mov.b32 %r2, {t, u};}
        mov.u32 %r2, t;""")
    t, inner, innermost, r1 = (written(i) for i in f.instructions[:4])
    assert len({t, inner, innermost}) == 3
    assert (t, r1) == ("t", "%r1")
    assert [f.registers[name] for name in (t, inner, innermost)] == ["b32", "b32", "pred"]
    assert f.instructions[3].operands[1] == Register(inner)
    narrow = written(f.instructions[4])
    assert f.registers[narrow] == "b16"
    assert narrow not in (t, inner, innermost)
    assert f.instructions[6].operands[1] == Register("t")


def test_a_name_means_the_outer_register_until_the_scope_declares_its_own() -> None:
    f = function(".reg .b32 x; { mov.u32 x, 1; .reg .b32 x; mov.u32 x, 2; } mov.u32 x, 3;")
    first, second, third = (written(i) for i in f.instructions[:3])
    assert first == third == "x"
    assert second != "x"


def test_labels_of_inner_scopes_are_their_own() -> None:
    f = function("""
        .reg .pred %p<2>;
        LOOP: @%p1 bra LOOP;
        { @%p1 bra LOOP; LOOP: @%p0 bra LOOP; }
        { LOOP: @%p0 bra LOOP; bra OUT; }
        OUT: ret;""")
    targets = [i.operands[0] for i in f.instructions if i.parts[0] == "bra"]
    places = [f.labels[t.name] for t in targets if isinstance(t, Symbol)]
    assert places == [0, 2, 2, 3, 5]


def test_variables_of_a_call_sequence() -> None:
    f = function(
        """
        .reg .b64 %rd<4>; .reg .b32 %r<4>;
        { // callseq 0, 0
        .param .b64 param0; st.param.b64 [param0+0], %rd1;
        .param .align 8 .b8 param1[16]; st.param.b64 [param1+8], %rd1;
        .param .b32 retval0;
        call.uni (retval0),
        helper,
        (
        param0,
        param1
        );
        ld.param.b32 %r1, [retval0+0];
        } // callseq 0
        { .param .b64 param0; st.param.b64 [param0], %rd2; call helper2, (param0); }""",
        before=".extern .func (.param .b32 r) helper (.param .b64 a, .param .align 8 .b8 b[16]);"
        ".func helper2(.param .b64 a);",
    )
    spaces = {v.name: (v.space, v.bytes) for v in f.variables}
    assert sorted(spaces.values()) == [("param", 4), ("param", 8), ("param", 8), ("param", 16)]
    first, call, load, second, other = (f.instructions[i] for i in (0, 2, 3, 4, 5))
    results, callee, arguments = call.operands
    assert callee == Symbol("helper")
    assert isinstance(results, Vector)
    assert isinstance(arguments, Vector)
    assert arguments.items == (base(first.operands[0]), Symbol(f.variables[1].name))
    assert results.items == (base(load.operands[1]),) == (Symbol(f.variables[2].name),)
    assert base(second.operands[0]) != base(first.operands[0])
    assert other.operands == (Vector(()), Symbol("helper2"), Vector((base(second.operands[0]),)))


def test_calls_without_results_or_arguments() -> None:
    f = function("call helper; call.uni helper, ();", before=".func helper() { ret; }")
    assert [i.operands for i in f.instructions[:2]] == [(Vector(()), Symbol("helper"), Vector(()))] * 2


def test_indirect_call_with_a_prototype() -> None:
    f = function(
        """.reg .b64 %rd<2>; .reg .f32 %f<2>; mov.u64 %rd1, twice;
        { .param .b32 a; .param .b32 r;
        prototype_4 : .callprototype (.param .b32 _) _ (.param .b32 _);
        call (r), %rd1, (a), prototype_4; }""",
        before=".func (.param .b32 o) twice (.param .b32 i) { ret; }",
    )
    assert f.instructions[1].operands[1] == Register("%rd1")
    assert len(f.instructions[1].operands) == 4
    assert not f.labels  # a prototype's name is no place in the code


# -- branches ------------------------------------------------------------------------------------------------------
def test_labels_and_branches() -> None:
    f = function("$L__BB0_1:\n.reg .pred %p<2>;\nA: B: @%p1 bra $L__BB0_1; bra.uni END;\nEND:")
    assert f.labels == {"$L__BB0_1": 0, "A": 0, "B": 0, "END": 2}
    assert f.instructions[-1].opcode == "ret"  # END stands before an instruction


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("", 1),
        (".reg .pred p; @p ret;", 2),
        (".reg .b32 a; mov.u32 a, 1;", 2),
        ("ret;", 1),
        ("trap;", 1),
        ("L: bra L;", 1),
        ("exit;", 1),
    ],
)
def test_a_function_never_runs_past_its_end(body: str, count: int) -> None:
    f = function(body)
    assert len(f.instructions) == count
    assert f.instructions[-1].guard is None
    assert [i.index for i in f.instructions] == list(range(count))


def test_branch_tables_are_resolved_to_their_labels() -> None:
    f = function(".reg .b32 %r<2>;\nts: .branchtargets A, B,\n A;\n brx.idx %r1, ts; A: mov.u32 %r1, 1; B: ret;")
    assert f.instructions[0] == Instruction(
        0, ("brx", "idx"), (Register("%r1"), Vector((Symbol("A"), Symbol("B"), Symbol("A")))), None, 10, None
    )
