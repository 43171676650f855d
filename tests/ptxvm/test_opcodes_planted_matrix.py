"""Do the tests of matrix instructions see a mistake? As `test_opcodes_planted`, of whose errors these are more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ptxvm.codegen.emitter import EmitterFunction
from ptxvm.types import Immediate, Instruction, Vector
from tests.ptxvm import test_opcodes_matrix, test_opcodes_wmma
from tests.ptxvm.matrix_kernel import check_mma
from tests.ptxvm.test_opcodes_planted import (
    Check,
    Error,
    edited,
    error,
    literal,
    see,
    through,
    turned,
    unguarded,
    where,
    with_word,
    words,
)
from tests.ptxvm.wmma_kernel import Run, check


def products(opcode: str, how: str = "") -> Check:
    return lambda: check_mma([f"mma.{opcode}"], "planted", shapes=("both",), how=how)


def wmma(like: str, any_number: bool = False) -> Check:
    """Of two runs whose opcodes have a text in them."""
    runs = [run for run in test_opcodes_wmma.RUNS if like in " ".join(run.executed)][:2]
    assert len(runs) == 2
    return lambda: check_runs(runs, any_number)


def check_runs(runs: Sequence[Run], any_number: bool) -> None:
    check(test_opcodes_wmma.fresh(runs), "planted", any_number)


def only(word: str, change: Callable[[Instruction], Instruction]) -> Callable[[EmitterFunction], EmitterFunction]:
    return through(where(word, change))


def ldmatrix() -> None:
    test_opcodes_matrix.check_ldmatrix(["ldmatrix.sync.aligned.m8n8.x4.shared.b16"], "planted")


def stmatrix() -> None:
    test_opcodes_matrix.check_stmatrix(["stmatrix.sync.aligned.m8n8.x2.shared.b16"], "planted")


def columns_first(ins: Instruction) -> Instruction:
    """Rows for columns and columns for rows."""
    other = {"row": "col", "col": "row"}
    return replace(ins, parts=tuple(other.get(p, p) for p in ins.parts))


def other_selector(ins: Instruction) -> Instruction:
    last = ins.operands[-1]
    assert isinstance(last, Immediate)
    return replace(ins, operands=(*ins.operands[:-1], Immediate(last.value ^ 1)))


def dense(ins: Instruction) -> Instruction:
    return replace(ins, operands=ins.operands[:2])


def swapped(place: int) -> Callable[[Instruction], Instruction]:
    """The two halves of a vector operand."""

    def change(ins: Instruction) -> Instruction:
        vector = ins.operands[place]
        assert isinstance(vector, Vector)
        half = len(vector.items) // 2
        turned_over = Vector(vector.items[half:] + vector.items[:half])
        return replace(ins, operands=(*ins.operands[:place], turned_over, *ins.operands[place + 1 :]))

    return change


F16, S8 = "sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32"
QUADS = "sync.aligned.m8n8k4.row.row.f32.f16.f16.f32"
XOR = "sync.aligned.m8n8k128.row.col.s32.b1.b1.s32.xor.popc"
F64 = "sync.aligned.m16n8k8.row.col.f64.f64.f64.f64"
U4 = "sync.aligned.m16n8k64.row.col.s32.u4.s4.s32"
SPARSE = "sp.sync.aligned.m16n8k32.row.col.f32.bf16.bf16.f32"
ERRORS: list[Error] = [
    error("mma", through(turned(2)), products(F16), "the halves of B swapped"),
    error("mma", through(words(f16="bf16")), products(F16), "f16 read as bf16"),
    error("mma", through(words(satfinite="")), products(S8), "satfinite wraps"),
    error("mma", through(turned(3)), products(F16), "C in reverse"),
    error("mma", through(columns_first), products(QUADS), "layouts of m8n8k4 swapped"),
    error("mma", through(swapped(1)), products(QUADS), "the halves of A of m8n8k4 swapped"),
    error("mma", through(words(xor="and")), products(XOR), "xor is and"),
    error("mma", through(swapped(1)), products(F64), "A of f64 in another order of k"),
    error("mma", through(words(u4="s4")), products(U4), "u4 has a sign"),
    error("mma", through(unguarded), products(F16, "guarded"), "warps whose predicate is false multiply too"),
    error("mma", through(other_selector), products(SPARSE), "metadata of other lanes"),
    error("mma", through(literal(4, 0x44444444)), products(SPARSE), "metadata is not looked at"),
    error("wmma", only("mma", turned(1)), wmma("m16n16k16.f32.f32"), "A in reverse"),
    error("wmma", only("a", columns_first), wmma("m8n32k16.f32.bf16"), "A by the other lines"),
    error("wmma", only("store", columns_first), wmma("m16n16k8"), "D by the other lines"),
    error("wmma", only("c", turned(0)), wmma("m32n8k16.s32.s8"), "C in reverse"),
    error("wmma", only("load", dense), wmma("m8n8k32.s32.u4"), "strides are not looked at"),
    error("wmma", through(words(rp="rm")), wmma(".rp.f64", any_number=True), "rp rounds down"),
    error("wmma", through(words(satfinite="")), wmma("s32.satfinite"), "satfinite wraps"),
    error("ldmatrix", through(with_word("trans")), ldmatrix, "always transposed"),
    error("ldmatrix", through(turned(0)), ldmatrix, "matrices in reverse"),
    error("stmatrix", through(with_word("trans")), stmatrix, "always transposed"),
    error(
        "movmatrix", edited("mm.movmatrix(g, ", "(lambda a, _: a)("), test_opcodes_matrix.check_movmatrix, "not turned"
    ),
]


@pytest.mark.parametrize(
    ("base", "plant", "test"), [pytest.param(base, plant, test, id=what) for base, what, plant, test in ERRORS]
)
def test_a_planted_error_is_seen(
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    plant: Callable[[EmitterFunction], EmitterFunction],
    test: Callable[[], Any],
) -> None:
    see(monkeypatch, base, plant, test)
