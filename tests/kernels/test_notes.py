"""The tables of counts in kernels/*/notes.md say what a run counts, and the check of `make check` sees a stale one."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from warpbench import catalogue, notes
from warpbench.contract import DSLS

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = catalogue.operations()
# whose version decides what a DSL compiles; the tables are those of constraints.txt
COMPILERS = {
    "numba": ("numba-cuda", "nvidia-nvvm"),
    "cupy": ("cupy-cuda13x", "nvidia-cuda-nvrtc"),
    "triton": ("triton",),
}


def pinned(package: str) -> str:
    """The version that constraints.txt gives."""
    return re.search(rf"^{package}==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M)[1]


def shown(operation) -> dict[str, dict[str, str]]:
    """The rows of an operation's table."""
    return notes.rows_of(notes.between(notes.path(operation).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("operation", "dsl"),
    [
        # one DSL of each operation in the fast part, in turn
        pytest.param(one, dsl, id=f"{one.name}-{dsl}", marks=() if dsl == DSLS[k % len(DSLS)] else pytest.mark.slow)
        for k, one in enumerate(OPERATIONS.values())
        for dsl in DSLS
    ],
)
def test_the_table_says_what_a_run_counts(operation, dsl, emulated):
    others = {p: version(p) for p in COMPILERS[dsl] if version(p) != pinned(p)}
    if others:
        pytest.skip(f"the tables are counted with the versions of constraints.txt; here are {others}")
    table = shown(operation)
    compared = 0
    for rung in notes.runnable(operation):
        row = table.get(f"{rung.dsl}/{rung.name}")
        if rung.dsl != dsl or row is None:
            continue
        counted = notes.figures(operation, rung, emulated)
        assert {heading: notes.COLUMNS[heading](counted) for heading in row} == row, (
            f"{rung.name}: to write the table again: python -m warpbench.notes {operation.name}"
        )
        compared += len(row)
    assert compared > 0


def test_every_table_is_found_and_fits_its_ladder():
    assert notes.check_tables() == []


def test_a_table_is_written_and_read_back():
    operation = OPERATIONS["transpose"]
    zeros = dict.fromkeys(("atomics", "mma", "barriers", "shared_requests", "wavefronts", "wavefronts_ideal"), 0)
    one = {
        "requests": 1024,
        "sectors": 4608,
        "bytes_asked": 300,
        "compulsory": 200,
        "instructions": 7,
        "registers": None,
    }
    text = notes.table(operation, {"numba/shared_tile": {**one, **zeros}})
    assert notes.rows_of(text) == {
        "numba/shared_tile": {
            "requests": "1,024",
            "sectors/request": "4.5",
            "asked/compulsory": "1.50",
            "warp instructions": "7",
            "registers": "unknown",
        }
    }
    conflicts = {**one, **zeros, "wavefronts": 9, "wavefronts_ideal": 2}
    assert "excess wavefronts" in notes.table(operation, {"numba/shared_tile": conflicts})


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (None, "has no table of counts"),
        ("", "has an empty table"),
        ("| rung | requests |\n| --- | ---: |\n| numba/plain | 1 |\n| numba/gone | 1 |", "a row for numba/gone, which"),
    ],
)
def test_a_stale_table_is_seen(make_notes, block, problem):
    (found,) = notes.check_tables(make_notes(block))
    assert problem in found
    assert "python -m warpbench.notes" in found


def test_a_table_that_lags_behind_its_ladder_is_let_pass(make_notes):
    assert notes.check_tables(make_notes("| rung | requests |\n| --- | ---: |\n| numba/plain | 1 |")) == []


@pytest.fixture
def make_notes(tmp_path):
    """make_notes(text between the markers, or None for no markers): the root of a catalogue with one operation."""
    op = (
        "from warpbench.contract import Operation, Rung, Shapes\n"
        "OPERATION = Operation(name='double', title='', axes=('n',), shapes=Shapes((), (), ()), ladder=(\n"
        "    Rung('in_numba:plain', 'start here'), Rung('in_numba:new', 'another')),\n"
        "    **dict.fromkeys(('inputs', 'outputs', 'reference', 'rival', 'bytes_read', 'bytes_written', 'flops',\n"
        "    'tolerance')))\n"
    )

    def make(block: str | None) -> Path:
        folder = tmp_path / "double"
        folder.mkdir()
        (folder / "op.py").write_text(op)
        text = "" if block is None else f"{notes.BEGIN}\n{block}\n{notes.END}\n"
        (folder / "notes.md").write_text(f"# double\n\n{text}")
        return tmp_path

    return make
