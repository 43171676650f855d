"""From `.loc` to the line that the learner wrote."""

from __future__ import annotations

from ptxvm.lines import chain_of_comment
from ptxvm.parse import parse
from ptxvm.types import Source

HEAD = ".version 8.7\n.target sm_86\n.address_size 64\n"
FILES = '.file 1 "/home/me/kernel.cu"\n.file 2 "/usr/include/fp16.hpp"\n.file 3 "/home/me/helpers.cu"\n'


def sources(body: str) -> list[Source | None]:
    """Sources of a kernel's instructions but for the closing `ret`. The file table stands at the end."""
    return [
        i.source
        for i in parse(f"{HEAD}.entry k()\n{{ .reg .b32 a;\n{body}\nret; }}\n{FILES}").functions["k"].instructions[:-1]
    ]


KERNEL = "/home/me/kernel.cu"


def test_plain_lines() -> None:
    assert sources("mov.u32 a, 0;\n.loc 1 5 2\nmov.u32 a, 1;\nmov.u32 a, 2;\n.loc 1 9 1\nmov.u32 a, 3;") == [
        None, Source(KERNEL, 5), Source(KERNEL, 5), Source(KERNEL, 9),
    ]  # fmt: skip


def test_line_zero_keeps_the_line_before() -> None:
    assert sources(".loc 1 5 2\nmov.u32 a, 1;\n.loc 1 0 2\nmov.u32 a, 2;") == [Source(KERNEL, 5)] * 2


def test_inlined_code_belongs_to_the_line_of_the_call() -> None:
    body = ".loc 1 5 2\nmov.u32 a, 1;\n.loc 2 9 1, function_name f, inlined_at 1 5 2\nmov.u32 a, 2;"
    assert sources(body) == [Source(KERNEL, 5)] * 2


def test_a_chain_of_calls_is_followed_outwards() -> None:
    body = """.loc 1 5 2
    .loc 3 20 1, function_name $L__info_string0, inlined_at 1 5 2
    mov.u32 a, 1;
    .loc 2 100 1, function_name $L__info_string1+16, inlined_at 3 20 1
    mov.u32 a, 2;
    .loc 1 6 2
    .loc 3 20 1, function_name $L__info_string0, inlined_at 1 6 2
    .loc 2 100 1, function_name $L__info_string1, inlined_at 3 20 1
    mov.u32 a, 3;"""
    assert sources(body) == [Source(KERNEL, 5), Source(KERNEL, 5), Source(KERNEL, 6)]


def test_a_call_place_without_a_line_of_its_own() -> None:
    body = ".loc 1 5 2\nmov.u32 a, 1;\n.loc 2 100 1, function_name $L__info_string0, inlined_at 1 8 3\nmov.u32 a, 2;"
    assert sources(body) == [Source(KERNEL, 5), Source(KERNEL, 8)]


def test_a_place_inlined_into_itself_ends() -> None:
    body = ".loc 1 5 2\n" + ".loc 1 6 2, function_name f, inlined_at 1 6 2\n" * 400 + "mov.u32 a, 1;"
    assert sources(body) == [Source(KERNEL, 6)]


def test_chains_in_comments() -> None:
    """As Triton writes them: base names only, and no `inlined_at`."""
    body = """.loc 1 5 0   // kernel.cu:5:0
    mov.u32 a, 1;
    .loc 2 170 27   // fp16.hpp:170:27 @[ fp16.hpp:191:40 @[ kernel.cu:20:29 ] ]
    mov.u32 a, 2;
    .loc 2 170 27   // a remark @[ that is no chain ]
    mov.u32 a, 3;"""
    assert sources(body) == [Source(KERNEL, 5), Source(KERNEL, 20), Source("/usr/include/fp16.hpp", 170)]


def test_the_kernel_file_is_preferred_to_an_outer_frame_elsewhere() -> None:
    """A frame of another file around the kernel's own (a generated wrapper) does not hide the kernel's line."""
    body = """.loc 1 5 2
    mov.u32 a, 1;
    .loc 3 2 1
    .loc 1 7 1, function_name f, inlined_at 3 2 1
    mov.u32 a, 2;"""
    assert sources(body) == [Source(KERNEL, 5), Source(KERNEL, 7)]


def test_a_file_that_is_not_in_the_table_is_named_by_its_number() -> None:
    assert sources(".loc 9 5 2\nmov.u32 a, 1;") == [Source("<file 9>", 5)]


def test_chain_of_comment() -> None:
    assert chain_of_comment(" a b.py:3:1 @[ c.py:9:4 @[ d.py:2:1 ] ]") == [("a b.py", 3), ("c.py", 9), ("d.py", 2)]
    assert chain_of_comment(" see x @[ y ]") == []
