"""Wrong kernels: each must be rejected, and for the reason that its first line states.

    # expect: CODE OPERATION axis=length ...      the first finding's code; the shape at which it must be found
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from warpbench import catalogue, check
from warpbench.contract import Rung

FILES = sorted((Path(__file__).parent / "kernels").glob("*.py"))
EXPECT = re.compile(r"# expect: (?P<code>[A-Z]\d) (?P<operation>\w+) (?P<shape>\w+=\d+(?: \w+=\d+)*)")
DSL = re.compile(r'^""("|")?(?P<dsl>Numba|Triton|CUDA C\+\+):', re.M)
NAMES = {"Numba": "numba", "Triton": "triton", "CUDA C++": "cupy"}


def expectation(path: Path) -> tuple[str, str, dict[str, int]]:
    """(code, operation, shape) of a file's first line."""
    found = EXPECT.fullmatch(path.read_text(encoding="utf-8").splitlines()[0])
    assert found, f"{path.name}: the first line must be # expect: CODE OPERATION axis=length ..."
    pairs = (pair.split("=") for pair in found["shape"].split())
    return found["code"], found["operation"], {axis: int(length) for axis, length in pairs}


def judge(path: Path, emulated) -> dict:
    """The verdict on a wrong kernel at its shape."""
    _, name, shape = expectation(path)
    operation = catalogue.operations()[name]
    dsl = NAMES[DSL.search(path.read_text(encoding="utf-8"))["dsl"]]
    rung = Rung(f"in_{dsl}:{path.stem}", "wrong on purpose")
    files = [path, *path.parent.glob(f"{path.stem}.cu")]
    module = catalogue.load_file(path, f"wrong_kernels.{path.stem}")
    case = check.Case(tuple(shape.items()), "f32")
    judged, _ = check.run_case(operation, rung, getattr(module, path.stem), case, emulated, files)
    return judged


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_wrong_kernel_is_rejected_for_its_reason(path, emulated):
    code, _, _ = expectation(path)
    judged = judge(path, emulated)
    serious = [finding for finding in judged["findings"] if finding["level"] != "lint"]
    assert judged["verdict"] == "fail", "a wrong kernel passed"
    assert serious[0]["code"] == code, serious[0]["message"]


def test_there_are_enough_of_them_and_of_every_kind():
    codes = {expectation(path)[0] for path in FILES}
    assert len(FILES) >= 25
    assert codes >= {"C1", "C2", "C3", "E2", "E3", "M4", "M5", "M7", "M8", "R1", "R2", "R3", "R5", "X6"}
    assert {DSL.search(path.read_text(encoding="utf-8"))["dsl"] for path in FILES} == set(NAMES)
