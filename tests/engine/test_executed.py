"""The page of what four cards execute: it is what the compilers make, and `make check` sees that it is stale."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from warpbench import executed, hardware

PAGE = executed.PAGE.read_text(encoding="utf-8")
BLOCK = executed.between(PAGE)
KERNEL = {"registers": 40, "opcodes": {"HMMA.16816.F32": 4, "FFMA": 9, "LDG.E.128": 2, "IADD3": 7}}


def test_it_is_not_stale_and_a_changed_rung_would_make_it_so(monkeypatch):
    assert executed.stale() == []
    monkeypatch.setattr(executed.catalogue, "rung_sha256", lambda *pick: "another")
    assert executed.stale() == [
        "kernels/README.md shows other rungs than there are. Write it again: python -m warpbench.executed"
    ]


def test_it_says_what_the_text_above_it_says():
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in BLOCK.splitlines() if line[:1] == "|"}
    ampere, ada, blackwell, hopper = rows["triton/fp8_dot"]
    assert ampere == "not run: no FP8 tensor cores"
    assert "QMMA.16832.F32.E4M3.E4M3" in ada
    assert "QMMA.16832.F32.E4M3.E4M3" in blackwell
    assert "QGMMA" in hopper
    assert all("UTMALDG" in cell for cell in rows["triton/tensor_descriptors"][2:])
    assert "UTCQMMA" not in BLOCK
    assert all(
        "MMA" not in cell and "UTMA" not in cell for name, cells in rows.items() if "numba" in name for cell in cells
    )


def test_a_cell_tells_what_works_and_what_is_missing():
    card = hardware.gpu("rtx3090")
    found = {"refused_by_cc": {}, "kernels_by_cc": {"8.6": [KERNEL]}}
    assert executed.cell(found, card) == "4 `HMMA.16816.F32`<br>2 `LDG.E.128`<br>40 registers"
    found["kernels_by_cc"]["8.6"] = [{**KERNEL, "opcodes": None}]
    assert executed.cell(found, card) == "does not compile"
    found["refused_by_cc"] = {"8.6": "x was not run. It needs TMA (compute capability 9.0 or newer); this is"}
    assert executed.cell(found, card) == "not run: no TMA"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_is_what_the_compilers_make():
    others = [name for name in executed.COMPILERS if f"{name} {version(name)}" not in BLOCK]
    if others:
        pytest.skip(f"the page was made with other versions of {', '.join(others)}")
    assert executed.page() == BLOCK
