"""Does ptxvm take just the matrix instructions that ptxas takes for a target, and refuse the others by name and line?

Candidates are all forms that ptxvm knows and what differs from one of them in a type, the shape, a layout or a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

import pytest

import ptxvm
from ptxvm.matrix_forms import FRAGMENTS, MMA
from ptxvm.types import Instruction
from ptxvm.units import mma_flops_of, unit_of
from tests.ptxvm.assembled import assemble, refused_by_ptxas, refused_by_ptxvm
from tests.ptxvm.scalar.fragments import WIDTH

TARGETS = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_120")
ALIKE = [t if t == "sm_89" else pytest.param(t, marks=pytest.mark.slow) for t in TARGETS]
BITS = {**WIDTH, "f32": 32, "s32": 32}
SHAPES = (
    "m8n8k4", "m8n8k16", "m8n8k32", "m8n8k128", "m16n8k2", "m16n8k4", "m16n8k8", "m16n8k16", "m16n8k32", "m16n8k64",
    "m16n8k128", "m16n8k256", "m16n16k16", "m32n8k16", "m8n32k16", "m16n16k8",
)  # fmt: skip
# What ptxas takes beyond the PTX ISA, which does not say where the elements lie.
UNDESCRIBED = re.compile(
    r"mma\.sync\.aligned\.m8n8k4\.(row|col)\.(row|col)\.f32\.(bf16\.bf16|tf32\.tf32)\.f32"
    r"|wmma\.mma\.sync\.aligned\.(row|col)\.(row|col)\.m16n16k16\.s32\.(s4\.s4|u4\.u4)\.s32(\.satfinite)?"
    r"|wmma\.mma\.sync\.aligned\.(row|col)\.(row|col)\.m16n16k(8|16)(\.r[nzmp])?\.f64\.f64\.f64\.f64"
)
HEADER = """.version 9.0
.target {target}
.address_size 64
.visible .entry k()
{{ .reg .b32 %r<64>, %e; .reg .b64 %d<128>, %at; .reg .b32 %stride;
"""


def numbers(shape: str) -> tuple[int, int, int]:
    m, n, k = (int(s) for s in re.findall(r"\d+", shape))
    return m, n, k


def vector(kind: str, count: int, first: int) -> str:
    letter = "d" if kind == "f64" else "r"
    return f"{{{', '.join(f'%{letter}{first + i}' for i in range(count))}}}"


def statement(opcode: str) -> str:
    """A statement with as many registers as the shape and types want; "" where that is no whole number."""
    words = opcode.split(".")
    m, n, k = numbers(next(w for w in words if re.fullmatch(r"m\d+n\d+k\d+", w)))
    kinds = [w for w in words if w in BITS]
    if "load" in words or "store" in words:
        rows = {"a": m * k, "b": n * k}.get(words[2], m * n)
        count = 8 if words[2] in "ab" and kinds[0] == "f16" else rows * BITS[kinds[0]] // 32 // max(32, BITS[kinds[0]])
        fragment = vector(kinds[0], count, 0)
        operands = f"[%at], {fragment}" if words[1] == "store" else f"{fragment}, [%at]"
        return f"{opcode} {operands}, %stride;" if 0 < count <= 16 else ""
    if len(kinds) == 2:
        kinds = [kinds[0], "f16", "f16", kinds[1]]
    sizes = [m * n // 32, m * k // 32, n * k // 32, m * n // 32]
    if words[0] == "mma" and (m, n, k) == (8, 8, 4) and kinds[1] != "f64":
        sizes = [8, 4, 4, 8]
    if words[1].startswith("sp"):
        sizes[1] //= 2
    counts = [s * BITS[kind] // max(32, BITS[kind]) for s, kind in zip(sizes, kinds, strict=True)]
    if words[0] == "wmma" and kinds[1:3] == ["f16", "f16"]:
        counts[1:3] = [8, 8]
    if 0 in counts or max(counts) > 16:
        return ""
    text = ", ".join(vector(kind, c, 16 * i) for i, (kind, c) in enumerate(zip(kinds, counts, strict=True)))
    return f"{opcode} {text}{', %e, 0' if words[1].startswith('sp') else ''};"


def neighbours(opcode: str) -> Iterator[str]:
    """Opcodes that differ in one word, or in all types of a kind."""
    words = opcode.split(".")
    for i, word in enumerate(words):
        if re.fullmatch(r"m\d+n\d+k\d+", word):
            choices: Iterable[str] = SHAPES
        elif word in ("row", "col"):
            choices = ("row", "col")
        elif word in BITS:
            choices = BITS
        elif word in ("xor", "and"):
            choices = ("xor", "and", "or")
        else:
            choices = ("",) if word in ("satfinite", "sync", "aligned") else ()
        for other in choices:
            yield ".".join(w for w in (*words[:i], other, *words[i + 1 :]) if w)
    factors = sorted({w for w in words if w in WIDTH})
    for old, new in product(factors, BITS):
        yield ".".join(new if w == old else w for w in words)
    if "mma" in words[:2] and words[-1] == "s32" and "satfinite" not in words:
        yield f"{opcode}.satfinite"


KNOWN = [o for o in (*MMA, *FRAGMENTS) if "shared" not in o and "kind" not in o]
PLAIN = [o for o in KNOWN if "satfinite" not in o and "ordered" not in o and "col.row" not in o and "col.col" not in o]
CANDIDATES = sorted(o for o in {*KNOWN, *(o for plain in PLAIN for o in neighbours(plain))} if statement(o))


def refused(target: str, opcodes: list[str], folder: Path) -> tuple[set[str], set[str]]:
    """By ptxvm, and by ptxas."""
    header, statements = HEADER.format(target=target), {statement(o): o for o in opcodes}
    ours, theirs = refused_by_ptxvm(header, [*statements]), refused_by_ptxas(target, header, [*statements], folder)
    return {statements[s] for s in ours}, {statements[s] for s in theirs}


@pytest.mark.parametrize("target", ALIKE)
def test_ptxvm_takes_what_ptxas_takes(target: str, tmp_path: Path) -> None:
    assert len(CANDIDATES) > 4000
    products = [o for o in CANDIDATES if not o.startswith(("wmma.load", "wmma.store"))]
    ours, theirs = refused(target, products, tmp_path)
    assert {o for o in ours ^ theirs if not UNDESCRIBED.fullmatch(o)} == set()
    assert any(UNDESCRIBED.fullmatch(o) for o in ours - theirs)


@pytest.mark.slow
def test_the_readme_says_how_many_are_executed(tmp_path: Path) -> None:
    products = [o for o in CANDIDATES if not o.startswith(("wmma.load", "wmma.store"))]
    row = []
    for target in ("sm_75", "sm_86", "sm_89"):
        ours, theirs = refused(target, products, tmp_path)
        row.append(f"{len(products) - len(ours)} of {len(products) - len(theirs)}")
    readme = Path(ptxvm.__file__).parent / "README.md"
    assert f"| matrix products | {' | '.join(row)} |" in readme.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["sm_75", "sm_80"])
def test_fragments_too(target: str, tmp_path: Path) -> None:
    moves = [o for o in CANDIDATES if o.startswith(("wmma.load", "wmma.store")) and ".global." in o]
    ours, theirs = refused(target, moves, tmp_path)
    assert ours == theirs


OTHERS = {
    "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r0, %r1, %r2, %r3}, [%at];": "sm_75",
    "ldmatrix.sync.aligned.m8n8.x2.b16 {%r0, %r1}, [%at];": "sm_75",
    "ldmatrix.sync.aligned.m8n8.x1.global.b16 {%r0}, [%at];": "",
    "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r0, %r1}, [%at];": "",
    "ldmatrix.sync.m8n8.x1.shared.b16 {%r0}, [%at];": "",
    "ldmatrix.sync.aligned.m16n16.x1.trans.shared.b8 {%r0, %r1}, [%at];": "",
    "stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%at], {%r0, %r1};": "sm_90",
    "stmatrix.sync.aligned.m16n8.x1.trans.shared.b8 [%at], {%r0};": "",
    "movmatrix.sync.aligned.m8n8.trans.b16 %r0, %r1;": "sm_75",
    "movmatrix.sync.aligned.m8n8.b16 %r0, %r1;": "",
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", OTHERS, ids=[t.split()[0] for t in OTHERS])
def test_matrices_of_halves(text: str, target: str, tmp_path: Path) -> None:
    """Those of bytes are for sm_100a and newer."""
    first = OTHERS[text]
    whole = f"{HEADER.format(target=target)}{text}\nret; }}\n"
    there = bool(first) and TARGETS.index(target) >= TARGETS.index(first)
    assert (assemble(target, whole, tmp_path) == "") is there
    refusals = ptxvm.Module.from_ptx(whole).unsupported()
    assert [(r.form, r.line) for r in refusals] == ([] if there else [(text.split(maxsplit=1)[0], 6)])


def test_a_refusal_names_the_target() -> None:
    opcode = "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32"
    text = f"{HEADER.format(target='sm_86')}{statement(opcode)}\nret; }}\n"
    (error,) = ptxvm.Module.from_ptx(text).unsupported()
    said = f"ptxvm does not execute `{opcode}` (PTX line 6): it is for sm_89 or newer, and this text for sm_86"
    assert str(error) == said


@pytest.mark.parametrize(
    ("target", "opcode", "reason"),
    [
        ("sm_86", "mma.sync.aligned.m16n8k4.row.col.f32.f16.f16.f32", "m16n8k8.row.col.f32.f16.f16.f32"),
        ("sm_75", "mma.sync.aligned.m16n8k64.row.col.f32.f16.f16.f32", "m16n8k8.row.col.f32.f16.f16.f32"),
        ("sm_86", "mma.sync.aligned.m16n8k16.col.row.f32.bf16.bf16.f32", "m16n8k16.row.col.f32.bf16.bf16.f32"),
    ],
)
def test_a_refusal_names_the_nearest_form(target: str, opcode: str, reason: str) -> None:
    text = f"{HEADER.format(target=target)}{opcode} %r0, %r1;\nret; }}\n"
    (error,) = ptxvm.Module.from_ptx(text).unsupported()
    said = f"ptxvm does not execute `{opcode}` (PTX line 6): the nearest form that {target} has is "
    assert str(error) == f"{said}`mma.sync.aligned.{reason}`"


def test_the_order_of_words_is_open(tmp_path: Path) -> None:
    """But for types and layouts."""
    for opcode in (
        "mma.aligned.sync.row.col.m16n8k16.f32.f16.f16.f32",
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32.satfinite",
        "wmma.mma.sync.aligned.m16n16k16.row.row.f32.f16",
    ):
        text = f"{HEADER.format(target='sm_86')}{statement(opcode)}\nret; }}\n"
        assert assemble("sm_86", text, tmp_path) == ""
        assert ptxvm.Module.from_ptx(text).unsupported() == []


def test_every_product_counts_for_its_unit() -> None:
    """By the type of A; `mma` m8n8k4 of f16 makes four products, and a sparse one counts as if it were dense."""
    for opcode, form in MMA.items():
        ins = Instruction(0, tuple(opcode.split(".")), (), None, 1, None)
        m, n, k = form.shape
        products = 4 if opcode.startswith("mma.sync.aligned.m8n8k4") and "f16" in opcode else 1
        assert (unit_of(ins), mma_flops_of(ins)) == (f"tensor {form.kinds[1]}", products * 2 * m * n * k), opcode
