"""Text that is not PTX: one PtxSyntaxError with the line, never another exception, never without end."""

from __future__ import annotations

import contextlib
import random
import re
import time

import pytest

from ptxvm import ir
from ptxvm.errors import PtxSyntaxError
from ptxvm.parse import parse

HEAD = ".version 8.7\n.target sm_86\n.address_size 64\n"
REGISTERS = ".reg .pred %p<3>; .reg .b32 %r<4>; .reg .b64 %rd<4>;"


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("mov.u32 %r1, %r9;", 6, "register %r9 is not declared"),
        ("\nmov.u32 %r1;\nadd.s32 %r1, %r2,;", 8, "an operand is missing"),
        ("mov.u32 %r1, 5", 6, "5"),
        ("bra NOWHERE;", 6, "NOWHERE is not a label"),
        ("bra;", 6, "needs a label"),
        ("call nobody;", 6, "`nobody` is not declared"),
        ("call;", 6, "name of a function"),
        ("mov.u32 %r1, unknown;", 6, "`unknown` is not declared"),
        ("@%r1 mov.u32 %r1, 1;", 6, "predicate"),
        ("@nobody mov.u32 %r1, 1;", 6, "predicate"),
        (".reg .b32 %r1;", 6, "twice"),
        (".reg .b99 x;", 6, "b99"),
        (".reg .b32 9x;", 6, "name of a register"),
        (".reg .b32 %x<9999999>;", 6, "registers"),
        ("L:\nL: ret;", 7, "label L stands twice"),
        ("ld.global.b32 %r1, [%rd1;", 6, "closed"),
        ("ld.global.b32 %r1, [%rd1+%r2];", 6, "not an address"),
        ("ld.global.b32 %r1, [%tid.x];", 6, "address"),
        ("mov.b64 %rd1, {{%r1}, %r2};", 6, "vector"),
        ("mov.b64 %rd1, 99999999999999999999999999999999999999999;", 6, "large|operand"),
        ("MOV.u32 %r1, 1;", 6, "not a statement"),
        ("mov.u32 %r1, %r2 %r3;", 6, "operand"),
        ("brx.idx %r1, nothing;", 6, "label|table"),
        (".shared .b8 s[4]; .shared .b8 s[4];", 6, "twice"),
        (".shared s[4];", 6, "type"),
        (".branchtargets A;", 6, "needs a label"),
        ("t: .branchtargets A; t: ret;", 6, "label t stands twice"),
        ("setp.eq.s32 %p1|5, %r1, %r2;", 6, "register"),
        ("{ .reg .b32 t; } mov.u32 %r1, t;", 6, "`t` is not declared"),
        ("{ L: ret; } bra L;", 6, "L is not a label"),
        ("ld.global.b32 %r1, [%rd1+4294967296];", 6, "too large"),
        ("ld.global.b32 %r1, [18446744073709551615];", 6, "too large"),
        ("mov.u32 %r1, 5\nmov.u32 %r2, 6;", 6, "5 mov.u32 %r2"),
    ],
)
def test_bodies(body: str, line: int, words: str) -> None:
    with pytest.raises(PtxSyntaxError) as caught:
        parse(f"{HEAD}.entry k()\n{{{REGISTERS}\n{body}\n}}\n")
    assert caught.value.line == line
    assert re.search(words, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "version"),
        ("hello", 1, "statement"),
        (HEAD + ".entry k() {\nret;\n", 6, "not closed"),
        (HEAD + ".entry k( { ret; }", 4, "parameter"),
        (HEAD + ".entry k(.param .u64) { ret; }", 4, "name"),
        (HEAD + ".entry k(.param .u64 a, .param .u64 a) { ret; }", 4, "two parameters"),
        (HEAD + ".entry k() { ret; }\n.entry k() { ret; }", 5, "two functions"),
        (HEAD + ".entry k(.param .u32 a) { .reg .b64 x;\nld.param.u64 x, [a]; ret; }", 5, "a has 4 bytes"),
        (HEAD + ".global .u32 a;\n.global .u32 a;", 5, "two variables"),
        (HEAD + ".global .u32 a = ;", 4, "value"),
        (HEAD + ".global .u32 a = 1.5;", 4, "float"),
        (HEAD + ".global .u32 a[1] = {1, 2};", 4, "holds 4 bytes"),
        (HEAD + ".global .u32 a[2] = {1, 2;", 4, "expected"),
        (HEAD + ".global .align 3 .u32 a;", 4, "power of two"),
        (HEAD + ".global .texref t;", 4, "texref"),
        (HEAD + ".global .f32 a = 1e999;", 4, "fit|value"),
        (HEAD + ".global .b8 a[99999999999999];", 4, "large"),
        (HEAD + ".section .debug_str {", 4, "not closed"),
        (HEAD + "/* never closed\n.entry k() { ret; }", 4, "statement"),
        (HEAD.replace("64", "32") + ".entry k() { ret; }", 3, "32 bits"),
    ],
)
def test_modules(text: str, line: int, words: str) -> None:
    with pytest.raises(PtxSyntaxError) as caught:
        parse(text)
    assert caught.value.line == line
    assert re.search(words, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + ".entry k() { " + "{" * 20_000,
        HEAD + ".entry k() { " + "{" * 20_000 + "}" * 20_001,
        HEAD + ".global .b8 a[2] = " + "{" * 50_000,
        HEAD + ".entry k() { mov.u32 a, " + "[" * 50_000 + ";}",
        HEAD + '.entry k() .pragma "' + "a" * 100_000,
        HEAD + ".weak " * 50_000,
        HEAD + ".visible .entry k() { .shared " + '"' * 50_001,
        HEAD + ".entry k() { mov.u32 a" + ",a" * 100_000,
        HEAD + "/*" * 50_000,
        HEAD + ".entry k() {" + " " * 200_000 + "@" + " " * 200_000,
        "9" * 200_000,
    ],
)
def test_long_nonsense_ends_soon(text: str) -> None:
    began = time.monotonic()
    with contextlib.suppress(PtxSyntaxError):
        parse(text)
    assert time.monotonic() - began < 10  # s: they take 0.5; a regular expression that backtracks would take hours


SAMPLE = (
    HEAD
    + """
.extern .shared .align 16 .b8 dynamic[];
.const .align 4 .f32 c[2] = {1.0, 0f40000000};
.global .align 8 .u64 t[2] = {generic(c), 7};
.extern .func (.param .b32 r) vprintf (.param .b64 a, .param .b64 b);
.visible .entry k(
    .param .u64 .ptr .global .align 1 x,
    .param .u32 n
)
.reqntid 128, 1, 1
{
    .reg .pred %p<3>; .reg .b32 %r<8>; .reg .f32 %f<4>; .reg .b64 %rd<6>;
    .loc 1 5 2
    ld.param.u64 %rd1, [x]; ld.param.u32 %r1, [n];
    .loc 2 9 1, function_name $L__info_string0, inlined_at 1 5 2
    mov.u32 %r2, %tid.x;
    setp.ge.and.s32 %p1|%p2, %r2, %r1, !%p1;
    @%p1 bra $L__BB0_2;
    { .reg .b32 t; mov.b64 {t, _}, %rd1; LAB: @!%p2 bra LAB; }
    mul.wide.u32 %rd2, %r2, 4; add.s64 %rd3, %rd1, %rd2; // address
    ld.global.v2.f32 {%f1, %f2}, [%rd3+8];
    fma.rn.f32 %f3, %f1, 0f3F800000, %f2; /* a comment */
    { .param .b64 p; st.param.b64 [p+0], %rd1; .param .b32 r;
      call.uni (r), vprintf, (p, p); ld.param.b32 %r3, [r]; }
    st.global.f32 [%rd3+-4], %f3;
    ts: .branchtargets $L__BB0_2, LAST;
    brx.idx %r2, ts;
$L__BB0_2:
    shfl.sync.bfly.b32 %r4|%p2, %r2, 16, 31, -1;
LAST: ret;
}
.file 1 "/a/kernel.cu"
.section .debug_abbrev { .b8 1 }
"""
)
JUNK = [
    *"{}()[];:,.@!%|+-_\"'/*\\ \n\t09aZ$<>=~&", "0f", ".reg ", ".loc 1 2 3", "/*", "//", "%r<99999999>", "\0", "é",
    "call ", "bra ", "{ .reg .b32 x; x: bra x; }", ".branchtargets a, b;", "@p ", "9" * 5000, ".section .x {",
    ".entry", "generic(",
]  # fmt: skip


def damaged(text: str, rng: random.Random) -> str:
    """`text` cut off, with something put in, taken out, doubled or two lines swapped."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        i = rng.randrange(len(text) + 1)
        match rng.randrange(5):
            case 0:
                text = text[:i]
            case 1:
                text = text[:i] + rng.choice(JUNK) + text[i:]
            case 2:
                text = text[:i] + text[i + rng.choice((1, 3, 40)) :]
            case 3:
                j = rng.randrange(len(text) + 1)
                text = text[:i] + text[j : j + 60] + text[i:]
            case _:
                lines = text.split("\n")
                a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
                lines[a], lines[b] = lines[b], lines[a]
                text = "\n".join(lines)
    return text


def test_damaged_text_gives_a_syntax_error_or_a_program() -> None:
    rng = random.Random(20)
    assert "k" in parse(SAMPLE).functions
    read = 0
    lines: list[tuple[int, int]] = []  # line of each error, number of lines
    for _ in range(3000):
        text = damaged(SAMPLE, rng)
        try:
            for function in parse(text).functions.values():
                ir.build(function)
            read += 1
        except PtxSyntaxError as error:
            lines.append((error.line, text.count("\n") + 1))
    assert all(1 <= line <= count for line, count in lines)
    assert read > 100
    assert len(lines) > 1000
