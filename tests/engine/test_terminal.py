"""Tables on terminals of any width: nothing wider than the terminal, nothing cut in silence, the key columns there."""

from __future__ import annotations

import io
import itertools
import re
import sys
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest

from tests.engine.commands import Checkout
from warpbench import catalogue, hardware
from warpbench.course import catalogue as course
from warpbench.report import compared, inspected, terminal, virtual
from warpbench.report.cards import gpus
from warpbench.report.progress import PATIENCE_S, SELDOM_S, launch_progress
from warpbench.report.terminal import Column, Section, aligned, fit, folded, quantity

WIDTHS = (60, 80, 120, 200)
SOME = tuple(pytest.param(width, marks=pytest.mark.slow) if width != 80 else width for width in WIDTHS)
RUNGS = [operation.rung_path(rung) for operation, rung in catalogue.rungs()]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Two records of transpose; before the second, the padding of the padded tile was taken away."""
    checkout = Checkout(tmp_path_factory.mktemp("checkout"), "transpose", "vector_add")
    source = checkout.root / "kernels" / "transpose" / "in_cupy.cu"
    whole = source.read_text()
    assert whole.count("[TILE + 1]") == 1
    for text in (whole, whole.replace("[TILE + 1]", "[TILE]")):
        source.write_text(text)
        assert checkout.run("profile", "transpose/cupy", "--quick").code == 0
    source.write_text(whole)
    return checkout


def body(screen, first):
    """The lines of a table, from the one whose first word is `first` to the first empty line or note."""
    begin = next(i for i, line in enumerate(screen.lines) if line.startswith(first))
    return screen.lines[begin:]


def widest(screen):
    return max(len(line.rstrip()) for line in screen.lines)


# -- commands ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("width", WIDTHS)
def test_gpus(checkout, width):
    screen = checkout.screen(width, "gpus")
    assert screen.code == 0
    assert widest(screen) <= width
    table = body(screen, "slug")
    for card in gpus():  # the slug is what --gpu takes: whole; with it the two figures that decide
        row = next(line.split() for line in table if line.startswith(f"{card['slug']} "))
        assert card["cc"] in row
        assert terminal.figure(card["bandwidth_gbps"], 0) in row
    assert ("Left out, the terminal is too narrow: " in screen.text) == (width < 120)


@pytest.mark.parametrize("width", WIDTHS)
def test_features(checkout, width):
    screen = checkout.screen(width, "features", "--gpu", "rtx4090")
    assert widest(screen) <= width
    table = body(screen, "feature")
    middle = next(i for i, line in enumerate(table) if line.startswith("It has not"))
    for name, one in hardware.features().items():
        place = next(i for i, line in enumerate(table) if line.startswith(f"{name} "))
        assert (place < middle) == hardware.has("8.9", name)
        if width == 200 and place < middle:
            assert one.title.split()[0] in table[place].split()


@pytest.mark.parametrize("width", WIDTHS)
def test_list(checkout, width):
    screen = checkout.screen(width, "list")
    assert widest(screen) <= width
    here = [path for path in RUNGS if path.startswith(("transpose/", "vector_add/"))]
    assert [line.split()[0] for line in screen.lines if re.match(r"  \w+/", line)] == here
    for operation, rung in catalogue.select("transpose"):
        assert rung.idea in screen.text, operation.rung_path(rung)
    assert f"{len(here)} rungs of 2 operations" in screen.lines


@pytest.mark.parametrize("width", SOME)
def test_profile(checkout, width):
    screen = checkout.screen(width, "profile", "transpose/cupy", "--quick")
    assert screen.code == 0
    assert max(len(line.rstrip()) for line in screen.lines if not line.startswith("record: ")) <= width
    rows = [line.split() for line in screen.lines if line.startswith("transpose/cupy/")]
    assert [row[0] for row in rows] == [path for path in RUNGS if path.startswith("transpose/cupy/")]
    assert {row[1] for row in rows} == {"pass"}
    assert [row[2] for row in rows] == ["18.0", "4.0", "4.0", "4.0"]  # sectors a request
    assert "Floor on GeForce RTX 3090" in screen.text
    assert ("registers" in screen.text.partition("Left out")[0]) == (width >= 120)


@pytest.mark.parametrize("width", WIDTHS)
def test_compare(checkout, width):
    screen = checkout.screen(width, "compare", *(str(path) for path in checkout.records[:2]))
    assert screen.code == 1  # B lost something
    assert max(len(line.rstrip()) for line in screen.lines if not line.startswith(("A  ", "B  "))) <= width
    row = next(line for line in screen.lines if line.startswith("transpose/cupy/padded_tile "))
    assert "worse" in row
    assert ("0 -> 7,936" in row) == (width >= 80)
    assert ("rows=128, cols=64" in row) == (width >= 120)
    assert "3 of 4 rungs count the same in A and B" in screen.text


@pytest.mark.parametrize("width", WIDTHS)
def test_learn_list(checkout, width):
    screen = checkout.screen(width, "learn", "list")
    assert widest(screen) <= width
    row = next(line for line in screen.lines if "guard_the_tail" in line)
    assert row.startswith(">")
    assert "Guard the tail" in row
    assert f"0 of {len(course.load())} passed at silver" in screen.text


@pytest.mark.parametrize("width", SOME)
def test_inspect(checkout, width):
    screen = checkout.screen(width, "inspect", "transpose/cupy/shared_tile", "--counters")
    assert widest(screen) <= width
    rows = [line.split() for line in screen.lines if line.startswith("in_cupy.cu:")]
    assert len(rows) > 5
    conflicts = [row for row in rows if "7,936" in row]
    assert len(conflicts) == 1
    assert "4.0" in conflicts[0]
    if width >= 80:
        line = next(line for line in screen.lines if "7,936" in line)
        assert "out[(first_col" in line
        assert ("…" in line) == (width < 200)


# -- any table -----------------------------------------------------------------------------------------------------
TABLES = {
    "profile": virtual.COLUMNS,
    "compare": compared.VIRTUAL,
    "compare measured": compared.MEASURED,
    "launches": inspected.LAUNCHES,
    "lines": inspected.LINES,
}


def rows_of(columns):
    """Rows as wide as they come: the longest path of a rung, figures of seven digits."""
    path = max(RUNGS, key=len)
    return [
        [path if column.title in ("rung", "kernel") else "compiled, not executed" if column.wrap else "1,234,567"
         for column in columns],
        ["x" for _ in columns],
    ]  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("columns", TABLES.values(), ids=TABLES)
def test_every_column_is_shown_whole_or_named_as_left_out(columns, width):
    layout = fit(columns, rows_of(columns), width)
    assert sorted([*layout.kept, *layout.dropped]) == list(range(len(columns)))
    assert sum(layout.widths[i] for i in layout.kept) + layout.gap * (len(layout.kept) - 1) <= width
    assert {i for i, column in enumerate(columns) if column.priority == 0} <= set(layout.kept)
    for i in layout.kept:
        for row in rows_of(columns):
            shown = folded(row[i], layout.widths[i], cut=bool(columns[i].least))
            assert shown.replace("\n", "").replace(" ", "") == row[i].replace(" ", "") or (
                columns[i].least and shown.endswith("…")
            )


def test_the_wider_the_terminal_the_more_is_shown():
    for columns in TABLES.values():
        shown = [set(fit(columns, rows_of(columns), width).kept) for width in range(40, 300, 10)]
        assert all(less <= more for less, more in pairwise(shown))
        assert shown[-1] == set(range(len(columns)))


def test_where_all_fits_nothing_is_folded():
    columns = (Column("a long title"), Column("verdict", wrap=True))
    layout = fit(columns, [["x", "compiled, not executed"]], 80)
    assert (layout.widths, layout.gap) == ((12, 22), 2)


def test_what_gives_way_is_what_matters_least():
    columns = (Column("name"), Column("first", priority=2), Column("second", priority=1), Column("third", priority=2))
    rows = [["n" * 20, "a" * 20, "b" * 20, "c" * 20]]
    assert fit(columns, rows, 83).dropped == ()
    assert fit(columns, rows, 82).dropped == (3,)
    assert fit(columns, rows, 61).dropped == (1, 3)
    assert fit(columns, rows, 40).dropped == (1, 2, 3)


def test_a_column_that_may_be_cut_is_cut_before_others_are_left_out():
    columns = (Column("line"), Column("source", priority=1, least=10), Column("note", priority=2))
    rows = [["12", "s" * 40, "n" * 10]]
    assert fit(columns, rows, 30).kept == (0, 1, 2)
    assert fit(columns, rows, 30).widths[1] == 14
    assert fit(columns, rows, 24).kept == (0, 1)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("softmax/triton/one_program_a_row", 40, ["softmax/triton/one_program_a_row"]),
        ("softmax/triton/one_program_a_row", 20, ["softmax/triton/one_", "program_a_row"]),
        ("softmax/triton/one_program_a_row", 14, ["softmax/", "triton/one_", "program_a_row"]),
        ("compiled, not executed", 13, ["compiled, not", "executed"]),
        ("incomprehensible", 8, ["incompr…"]),
        ("", 5, [""]),
    ],
)
def test_words_are_folded_where_they_can_be_read(text, width, lines):
    assert folded(text, width).split("\n") == lines


def test_what_is_cut_takes_one_line():
    assert folded("out[(first_col + j) * rows] = tile", 12, cut=True) == "out[(first_…"


def test_a_pipe_gets_every_column_and_no_border():
    columns = (Column("rung"), Column("n", "right", 5))
    text = aligned(columns, [Section("softmax", "a note"), ["a/b", "1"], ["c", "1,000"]])
    assert text.split("\n") == ["rung      n", "----  -----", "", "softmax. a note", "a/b       1", "c     1,000"]


@pytest.mark.parametrize(("count", "text"), [(0, "0 rungs"), (1, "1 rung"), (1234, "1,234 rungs")])
def test_quantities(count, text):
    assert quantity(count, "rung") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (2.0, "2.00 s"),
        (1.5e-3, "1.50 ms"),
        (143e-6, "143 us"),
        (12.34e-6, "12.3 us"),
        (5e-9, "5.00 ns"),
    ],
)
def test_times_carry_their_unit_and_three_digits(seconds, text):
    assert terminal.seconds_text(seconds) == text


def test_what_is_unknown_is_never_0():
    assert terminal.figure(None) == terminal.percent(None) == terminal.seconds_text(None) == "unknown"
    assert (terminal.figure(0), terminal.percent(0.0)) == ("0", "0 %")


@pytest.mark.parametrize("on_a_terminal", [True, False])
@pytest.mark.parametrize("seconds", [PATIENCE_S / 9, SELDOM_S + 1])
def test_a_launch_that_takes_long_says_how_far_it_is(monkeypatch, on_a_terminal, seconds):
    stderr = io.StringIO()
    stderr.isatty = lambda: on_a_terminal
    clock = itertools.count(0, seconds)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with launch_progress(SimpleNamespace(kernel="slow")) as tell:
        for done in (1024, 2048, 4096):
            tell(done, 4096)
    said = stderr.getvalue()
    lines = ["warpbench: slow: 1,024 of 4,096 blocks", "warpbench: slow: 2,048 of 4,096 blocks"]
    if seconds < PATIENCE_S:
        assert not said
    elif on_a_terminal:
        assert said == "".join(f"\r\x1b[K{line}" for line in [*lines, ""])
    else:
        assert said.splitlines() == lines
