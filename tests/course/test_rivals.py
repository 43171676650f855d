"""An answer beside the other DSLs: on the card after a pass, and counted anew by `learn compare`."""

from __future__ import annotations

import json

import pytest

from warpbench.course import catalogue, rivals

COUNTS = {"requests": 10, "sectors": 320, "bytes_asked": 64, "compulsory": 32, "instructions": 5, "atomics": 0,
          "mma": 0, "barriers": 0, "shared_requests": 0, "wavefronts": 0, "wavefronts_ideal": 0}  # fmt: skip


@pytest.mark.parametrize("exercise", catalogue.load(), ids=lambda e: e.id)
def test_every_card_shows_the_other_dsls(exercise):
    head, titles, _, *rows = rivals.card(exercise, COUNTS, 100)
    assert head.startswith(f"The same operation in all three DSLs, counted for {exercise.arch[0]} at ")
    assert titles.split()
    assert [row.split()[0].partition("/")[0] for row in rows] == ["yours", "numba", "cupy", "triton"]
    assert any("32" in row for row in rows[0].split())


def test_a_card_on_a_narrow_screen_leaves_columns_out():
    exercise = catalogue.load()[0]
    narrow = rivals.card(exercise, COUNTS, 60)
    assert max(map(len, narrow[1:])) <= 60 < max(map(len, rivals.card(exercise, COUNTS, 100)[1:]))


def test_what_was_not_counted_makes_no_card():
    assert rivals.card(catalogue.load()[0], None, 100) == []


def test_nothing_is_compared_before_it_is_right(learn):
    done = learn("compare", "guard_the_tail")
    assert done.returncode == 1
    assert "is compared once it is passed at bronze" in done.stderr


@pytest.mark.slow
def test_yours_the_solution_and_the_other_dsls(course, learn):
    exercise = course.pick("guard_the_tail")
    mine = course.progress()
    mine.record(exercise.id, "silver")
    mine.save()
    rows = json.loads(learn("compare", exercise.id, "--json").stdout)["rows"]
    assert [row["name"].partition("/")[0] for row in rows] == ["yours", "solution", "numba", "cupy", "triton"]
    assert rows[0]["verdict"] == "pass"  # the shipped text, at a size of whole blocks
    for row in rows:
        assert row["registers"] > 0
        assert row["sass"] > 0
        assert row["asked_over_compulsory"] == 1.0
    text = learn("compare", exercise.id).stdout
    assert "registers and SASS" in text
