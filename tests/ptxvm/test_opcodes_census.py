"""Is each opcode form that the compilers emit executed and tested, or refused by name and line before anything runs?

`opcodes.toml` lists the forms. Which are executed follows from the tests; the rest must be refused: neither is listed
by hand, so a form cannot be forgotten, nor lose its test unseen.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ptxvm
from ptxvm.codegen.emitter import EMITTERS, BlockWriter
from ptxvm.errors import Unsupported
from ptxvm.types import DTYPES, Immediate, Instruction, Operand, Pair, Register
from tests.ptxvm import (
    test_calls,
    test_opcodes_async,
    test_opcodes_atomic,
    test_opcodes_control,
    test_opcodes_matrix,
    test_opcodes_mbarrier,
    test_opcodes_memory,
    test_opcodes_sparse,
    test_opcodes_warp,
    test_opcodes_wmma,
)
from tests.ptxvm.lane_forms import Form
from tests.ptxvm.lane_forms_float import ALL_COMPARES, LANE_FORMS

CENSUS: dict[str, list[str]] = tomllib.loads((Path(__file__).parent / "opcodes.toml").read_text())["form"]
TARGETS = {"sm_75", "sm_86", "sm_89", "sm_90", "sm_120"}
# Forms in the census, those of them that are executed, and all that are executed: these numbers may only grow.
LEAST = (587, 550, 7185)
MATRIX = {"mma", "wmma", "ldmatrix", "stmatrix", "movmatrix"}
HEADER = ".version 9.0\n.target sm_90\n.address_size 64\n"


def executed() -> set[str]:
    """Every opcode form that a test of this folder runs and compares."""
    forms = {form.opcode for form in (*LANE_FORMS, *ALL_COMPARES)}
    forms |= {opcode for opcode, _ in (*test_opcodes_memory.LOADS, *test_opcodes_memory.STORES)}
    forms |= {f"ld.param.{kind}" for kind in test_opcodes_memory.TYPES}
    forms |= {f"cvta.{to}{space}.u64" for to in ("", "to.") for space in test_opcodes_memory.SPACES}
    forms |= {opcode for opcode, _ in test_opcodes_async.COPIES}
    forms |= {"cp.async.commit_group", "cp.async.wait_group", "cp.async.wait_all", "cvta.param.u64"}
    forms |= {*test_opcodes_mbarrier.INIT, *test_opcodes_mbarrier.INVAL, *test_opcodes_mbarrier.ARRIVE}
    forms |= {*test_opcodes_mbarrier.DROP, *test_opcodes_mbarrier.WAIT, *test_opcodes_mbarrier.COPIES}
    forms |= {f"isspacep.{space}" for space in test_opcodes_memory.WINDOWS}
    forms |= {"mbarrier.pending_count.b64"}
    forms |= {*test_opcodes_atomic.ATOMICS, *test_opcodes_atomic.REDUCTIONS}
    forms |= {*test_opcodes_warp.OPCODES, "elect.sync", "bar.warp.sync"}
    forms |= {*test_opcodes_matrix.MMA, *test_opcodes_matrix.REST, test_opcodes_matrix.MOVE}
    forms |= {*test_opcodes_matrix.LOADS, *test_opcodes_matrix.STORES}
    forms |= {*test_opcodes_sparse.SPARSE, *test_opcodes_wmma.FORMS}
    forms |= {*test_opcodes_control.ARRIVALS, *test_opcodes_control.EXITS, "bra", "bra.uni", "trap"}
    forms |= {text.split()[0] for text in test_opcodes_control.FENCES}
    forms |= {"call", "call.uni", "brx.idx", "brx.idx.uni", *test_opcodes_control.VOTES}
    forms |= {f"{way}.param.{move}" for way in ("ld", "st") for move in test_calls.MOVES}
    forms |= {f"{stack}.{kind}" for stack in ("alloca", "stacksave", "stackrestore") for kind in ("u32", "u64")}
    return forms | set(re.findall(r"\b(?:bar|barrier)\.[.\w]+", " ".join(test_opcodes_control.BARRIERS)))


def refusals(statement: str) -> list[Unsupported]:
    """What `Module.unsupported` says of a kernel whose line 7 is a statement."""
    registers = ".reg .b32 %r<4>; .reg .b64 %d<4>;"
    text = f"{HEADER}//\n.visible .entry k()\n{{ {registers}\n{statement}\nret;\n}}\n"
    return ptxvm.Module.from_ptx(text).unsupported("k")


def refusal(opcode: str) -> Unsupported | None:
    """The refusal of one form by its own name."""
    return next((error for error in refusals(f"{opcode} %r0, %r1;") if error.form == opcode), None)


def test_every_form_of_the_census_is_executed_or_refused() -> None:
    done = executed()
    for opcode in sorted(set(CENSUS) - done):
        error = refusal(opcode)
        assert error is not None, f"{opcode} is neither tested nor refused"
        assert (error.line, f"`{error.form}` (PTX line 7)" in str(error)) == (7, True)
    counts = (len(CENSUS), len(set(CENSUS) & done), len(done))
    assert all(n >= least for n, least in zip(counts, LEAST, strict=True)), counts


@pytest.mark.parametrize("target", ["sm_75", "sm_86", "sm_89"])
def test_matrix_forms_up_to_ada_are_executed(target: str) -> None:
    """All that compilers emit for it."""
    there = [o for o, targets in CENSUS.items() if target in targets and o.split(".")[0] in MATRIX]
    assert len(there) >= 14
    assert set(there) <= executed()


def test_the_census_names_targets_that_we_compile_for() -> None:
    assert set().union(*CENSUS.values()) == TARGETS
    assert list(CENSUS) == sorted(CENSUS)


def test_no_emitter_is_without_a_test() -> None:
    """But for hints to caches, which have no result, and what is refused in every form known to the tests."""
    hints = {"prefetch", "prefetchu", "discard", "applypriority", "createpolicy", "brkpt", "pragma", "pmevent"}
    tested = {form.split(".")[0] for form in executed()}
    assert set(EMITTERS) - tested - hints == set()
    assert refusal("griddepcontrol.wait") is not None
    assert refusal("setmaxnreg.inc.sync.aligned.u32") is not None


# -- forms one word away -------------------------------------------------------------------------------------------
def key(opcode: str) -> tuple[str, frozenset[str], tuple[str, ...]]:
    """(first word, modifiers, types): emitters do not look at the order of modifiers."""
    base, *words = opcode.split(".")
    return base, frozenset(w for w in words if w not in DTYPES), tuple(w for w in words if w in DTYPES)


def neighbours(form: Form, modifiers: set[str]) -> Iterator[tuple[str, ...]]:
    """The words of opcodes that differ from a form's in one: one more, one less, or one type for another."""
    _, words, types = key(form.opcode)
    for word in sorted(modifiers - words):
        yield (word, *sorted(words), *types)
    for word in words:
        yield (*sorted(words - {word}), *types)
    for i, other in ((i, t) for i in range(len(types)) for t in DTYPES):
        yield (*sorted(words), *types[:i], other, *types[i + 1 :])


def accepts(form: Form, words: tuple[str, ...]) -> bool:
    """Whether the emitter of a form takes other words with the form's number of operands."""
    kinds = [w for w in words if w in DTYPES] or ["b32"]
    registers = {f"%a{i}": "pred" if kind == "pred" else kinds[-1] for i, kind in enumerate(form.inputs)}
    registers |= {"%d0": "pred" if form.opcode.startswith("setp") else kinds[0], "%d1": "pred"}
    target: Operand = Register("%d0")
    given: list[Operand] = [Register(name) for name in registers if name[1] == "a"]
    if "|" in form.lines[0]:
        target = Pair(Register("%d0"), Register("%d1"))
    if form.opcode.startswith("lop3"):
        given.insert(3, Immediate(0x96))
    w = BlockWriter(registers)
    base = form.opcode.split(".")[0]
    w.instruction = Instruction(0, (base, *words), (target, *given), None, 1, None)
    try:
        EMITTERS[base](w, w.instruction)
    except Unsupported:
        return False
    return True


def test_what_is_accepted_is_tested() -> None:
    """An emitter that takes a form that no test runs takes too much: or the form is missing in the lists."""
    known = {key(form.opcode) for form in (*LANE_FORMS, *ALL_COMPARES)}
    modifiers = defaultdict(set)
    for base, words, _ in known:
        modifiers[base] |= words
    untested = set()
    plain = {key(form.opcode): form for form in LANE_FORMS if len(form.lines) == 1 and "{{" not in form.lines[0]}
    for form in plain.values():
        base = form.opcode.split(".")[0]
        for words in neighbours(form, modifiers[base]):
            opcode = ".".join((base, *words))
            if key(opcode) not in known and opcode not in untested and accepts(form, words):
                untested.add(opcode)
    assert untested == set()


# -- at load, not in the middle of a run -----------------------------------------------------------------------------
UNKNOWN = [
    ("add.f128 %r0, %r1, %r2;", "add.f128"),
    ("frobnicate.u32 %r0, %r1;", "frobnicate.u32"),
    ("cvt.rs.f16x2.f32 %r0, %r1, %r2, %r3;", "cvt.rs.f16x2.f32"),
    ("mma.sync.aligned.m16n8k16.col.row.f32.f16.f16.f32 {%r0}, {%r1}, {%r2}, {%r3};", "mma.sync.aligned.m16n8k16.col"),
    ("fma.rn.s32 %r0, %r1, %r2, %r3;", "fma.rn.s32"),
    ("red.global.exch.b32 [%d0], %r0;", "red.global.exch.b32"),
    ("bar.red.xor.pred %r0, 0, %r1;", "bar.red.xor.pred"),
    ("mov.u32 %r0, %pm0;", "%pm0"),
    ("mov.u32 %r0, %tid;", "%tid"),
]


@pytest.mark.parametrize(("statement", "name"), UNKNOWN, ids=[name for _, name in UNKNOWN])
def test_an_unknown_form_is_refused_before_anything_runs(statement: str, name: str) -> None:
    """The store above it is not made, and a branch around it does not help."""
    text = f"""{HEADER}.visible .entry k(.param .u64 out)
{{ .reg .b32 %r<4>; .reg .b64 %d<4>; .reg .pred %p;
ld.param.u64 %d0, [out];
st.global.u32 [%d0], 1;
setp.eq.u32 %p, 0, 0;
@%p bra END;
{statement}
END: ret;
}}
"""
    kernel = ptxvm.Module.from_ptx(text).kernel()
    device = ptxvm.Device("sm_90", memory_bytes=1 << 16)
    out = device.array((1,), "uint32")
    with pytest.raises(Unsupported) as caught:
        device.launch(kernel, (1,), (1,), (out,))
    assert caught.value.form.startswith(name)
    assert caught.value.line == 10
    assert np.array(out).tolist() == [0]
    assert [str(error) for error in kernel.module.unsupported()] == [str(caught.value)]


# Instructions whose operands are not looked at.
UNREAD = {
    "trap", "brkpt", "ret", "exit", "prefetch", "prefetchu", "discard", "applypriority", "pragma", "membar", "fence",
    "nanosleep", "pmevent",
}  # fmt: skip


@pytest.mark.parametrize("base", sorted(EMITTERS))
def test_a_statement_with_the_wrong_operands_is_refused(base: str) -> None:
    """Inline assembly of a learner reaches ptxvm unchecked: it gets a sentence, not a traceback."""
    opcode = min((form for form in executed() if form.split(".")[0] == base), default=base)
    count = 0
    for operands in ("", "%r0", "%r0, %r1", "%r0, %r1, %r2, %r3, %r0, %r1, %r2", "[%d0]", "{%r0}, {%r1}"):
        try:
            count += bool(refusals(f"{opcode} {operands};"))
        except ptxvm.PtxSyntaxError:
            count += 1
    assert count >= 1 or base in UNREAD


def test_every_unknown_form_of_a_kernel_is_named_once() -> None:
    found = refusals("wgmma.fence.sync.aligned;\nmapa.u64 %d0, %d1, %r0;\nmapa.u64 %d1, %d2, %r0;")
    assert [(error.form, error.line) for error in found] == [("wgmma.fence.sync.aligned", 7), ("mapa.u64", 8)]
