"""Does each instruction of one lane give, bit for bit, what the scalar reference says, in every shape of a group?

The forms stand in `lane_forms` and `lane_forms_float`, the sections of the kernel that runs them in `lane_kernel`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ptxvm
from tests.ptxvm.lane_forms import BITS, INTEGER, Form
from tests.ptxvm.lane_forms_float import ALL_COMPARES, COMPARE, CONVERT, FLOATING, LANE_FORMS
from tests.ptxvm.lane_kernel import LANES, SECTIONS, check
from tests.ptxvm.scalar import evaluate
from tests.ptxvm.scalar.results import Between, agrees

FAMILIES = {"integer": INTEGER, "bits": BITS, "floating": FLOATING, "compare": COMPARE, "convert": CONVERT}
SCALAR = Path(__file__).parent / "scalar"
F32 = {"one": 0x3F800000, "two": 0x40000000, "three": 0x40400000, "nan": 0x7FC00000, "third": 0x3EAAAAAB}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_form_in_every_shape(family: str) -> None:
    forms = FAMILIES[family]
    results = sum(len(form.results) for form in forms)
    assert check(forms) == results * LANES * len(SECTIONS) > 0


@pytest.mark.parametrize(
    "schedule", [ptxvm.Schedule.fuzz(3), ptxvm.Schedule.normal(batch_threads=64)], ids=["fuzzed", "a block at a time"]
)
def test_the_order_of_threads_does_not_matter(schedule: ptxvm.Schedule) -> None:
    """Groups of one warp, and of one block, give what all blocks together give."""
    check(LANE_FORMS[::9], schedule=schedule)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_every_form_on_other_values(seed: int) -> None:
    check(LANE_FORMS, seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_every_comparison_with_every_join(part: int) -> None:
    check(ALL_COMPARES[part::8])


def test_forms_have_names_of_their_own() -> None:
    names = [form.name for form in LANE_FORMS]
    assert len(names) == len(set(names)) > 2000


# -- the reference ---------------------------------------------------------------------------------------------------
def imports_of(path: Path) -> set[str]:
    """Top-level packages that a module imports, `tests.ptxvm.scalar` as such."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(f"{'.' * node.level}{node.module}")
    return {name if name.startswith("tests.ptxvm.scalar") else name.partition(".")[0] for name in found}


def test_the_reference_stands_alone() -> None:
    """Nothing of ptxvm and no NumPy: what checks the emulator must not share its mistakes."""
    modules = sorted(SCALAR.glob("*.py"))
    assert len(modules) >= 8
    allowed = {"__future__", "collections", "dataclasses", "math", "typing", "struct", "fractions", "itertools"}
    for module in modules:
        others = {name for name in imports_of(module) if not name.startswith("tests.ptxvm.scalar")}
        assert others <= allowed, f"{module.name} imports {sorted(others - allowed)}"


@pytest.mark.parametrize(
    ("opcode", "operands", "want"),
    [
        ("add.sat.s32", (0x7FFFFFFF, 1), 0x7FFFFFFF),
        ("shl.b32", (1, 32), 0),
        ("shr.s32", (0x80000000, 99), 0xFFFFFFFF),
        ("mul.hi.u64", (1 << 63, 6), 3),
        ("bfe.s32", (0x80, 0, 8), 0xFFFFFF80),
        ("prmt.b32", (0x03020100, 0x07060504, 0x7214), 0x07020104),
        ("div.rn.f32", (F32["one"], F32["three"]), F32["third"]),
        ("div.rz.f32", (F32["one"], F32["three"]), F32["third"] - 1),
        ("sqrt.rn.f32", (0x40800000,), F32["two"]),
        ("min.f32", (F32["nan"], F32["one"]), F32["one"]),
        ("max.f32", (0x80000000, 0), 0),
        ("fma.rn.f32", (0x3F800001, 0x3F800001, 0xBF800002), 0x28800000),  # (1 + u)^2 - (1 + 2u) = u^2, u = 2^-23
        ("cvt.rni.s32.f32", (0x40200000,), 2),  # 2.5
        ("cvt.rn.f16.f32", (0x477FF000,), 0x7C00),  # 65520 is a tie that goes to infinity
        ("cvt.rn.satfinite.e4m3x2.f32", (F32["two"], F32["one"]), 0x4038),
        ("setp.ltu.f32", (F32["nan"], F32["one"]), 1),
    ],
)
def test_the_reference_on_known_answers(opcode: str, operands: tuple[int, ...], want: int) -> None:
    base, *words = opcode.split(".")
    got = evaluate(base, tuple(words), *operands)[0]
    kind = "pred" if base == "setp" else words[0 if base == "setp" else -2 if "e4m3x2" in words else -1]
    if isinstance(got, int):
        assert got == want
    else:
        assert agrees(kind, want, got)


def test_agreement_is_strict() -> None:
    nan, other = 0x7FC00000, 0xFFFFFFFF
    assert agrees("f32", other, nan)
    assert not agrees("f32", 0, 0x80000000)
    assert not agrees("b32", other, nan)
    assert not agrees("f32", nan, F32["one"])
    assert agrees("f32", F32["one"], Between(0.99, 1.01))
    assert not agrees("f32", F32["two"], Between(0.99, 1.01))
    assert not agrees("f32", nan, Between(0.99, 1.01))
    assert agrees("f16x2", 0x3C007E01, 0x3C007FFF)
    assert not agrees("f16x2", 0x3C003C01, 0x3C003C00)


def test_a_wrong_result_is_shown_with_its_operands() -> None:
    wrong = Form("add.s32", ("s32",), ("s32", "s32"), reference=lambda a, b: ((a - b) & 0xFFFFFFFF,))
    with pytest.raises(AssertionError, match=r"add\.s32, uniform .*: result 0 of lane 0 is 0x[0-9a-f]+, not"):
        check([wrong])
