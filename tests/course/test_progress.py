"""What is passed is kept in a text file that survives crashes, merges and other versions."""

from __future__ import annotations

import json
import os

import pytest

from warpbench import errors
from warpbench.course import actions, progress
from warpbench.course.runner import exit_code


def test_levels_attempts_and_the_day(tmp_path):
    mine = progress.load(tmp_path)
    assert not mine.record("a", None)
    assert mine.record("a", "bronze")
    assert not mine.record("a", "bronze")
    assert mine.record("a", "silver")
    mine.save()
    again = progress.load(tmp_path)
    assert again.row("a")["attempts"] == 4
    assert again.passed("a", "bronze")
    assert again.passed("a")
    assert not again.passed("b", "bronze")


def test_silver_at_once_is_bronze_too(tmp_path):
    mine = progress.load(tmp_path)
    mine.record("a", "silver")
    assert mine.passed("a", "bronze")


def test_what_this_version_does_not_know_is_kept(tmp_path):
    (tmp_path / "state.json").write_text(
        '{"version": 9, "theme": "dark", "current": "a", "exercises": {"a": {"gold": 1}}}'
    )
    mine = progress.load(tmp_path)
    mine.record("a", "bronze")
    mine.save()
    data = json.loads((tmp_path / "state.json").read_text())
    assert data["theme"] == "dark"
    assert data["exercises"]["a"]["gold"] == 1


def test_one_exercise_a_line_so_that_two_machines_merge(tmp_path):
    mine = progress.load(tmp_path)
    for name in ("b", "a", "c"):
        mine.record(name, "bronze")
    lines = [line.strip() for line in mine.text().splitlines() if '"attempts"' in line]
    assert [line[1] for line in lines] == ["a", "b", "c"]
    assert json.loads(mine.text())["exercises"].keys() == {"a", "b", "c"}


@pytest.mark.parametrize(
    "text", ["", '{"exercises": {', "[1]", '{"exercises": [1]}', '{"exercises": {"a": 3}}', "\x00"]
)
def test_a_broken_file_is_kept_and_told(tmp_path, text):
    (tmp_path / "state.json").write_text(text)
    mine = progress.load(tmp_path)
    assert mine.exercises == {}
    assert "state.broken-1.json" in mine.notice
    assert (tmp_path / "state.broken-1.json").read_text() == text
    mine.save()
    (tmp_path / "state.json").write_text(text)
    progress.load(tmp_path)
    assert (tmp_path / "state.broken-2.json").exists()


def test_a_crash_while_saving_leaves_the_old_state(tmp_path, monkeypatch):
    mine = progress.load(tmp_path)
    mine.record("a", "bronze")
    mine.save()

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    mine.record("b", "bronze")
    with pytest.raises(KeyboardInterrupt):
        mine.save()
    assert set(progress.load(tmp_path).exercises) == {"a"}


# -- what the verbs do to it ---------------------------------------------------------------------------------------
def test_an_attempt_is_counted_and_the_next_exercise_is_picked(course):
    first = course.exercises[0]
    assert course.pick(None) == first
    assert course.attempt(first)["level"] is None
    first.path().write_text(
        first.path().read_text().replace("    out[i] = ", "    if i < out.size:\n        out[i] = ")
    )
    verdict = course.attempt(first)
    assert verdict["level"] == "silver"
    assert verdict["new"]
    assert not course.attempt(first)["new"]
    assert course.progress().row(first.id)["attempts"] == 3
    assert course.pick(None) == course.after(first) == course.exercises[1]


def test_hints_come_one_by_one_and_speak_of_the_last_finding(course):
    exercise = course.exercises[0]
    course.attempt(exercise)  # M4
    given = [actions.hint(course, exercise) for _ in range(4)]
    assert [one["level"] for one in given] == [1, 2, 3, 3]
    assert given[0]["text"] == exercise.hints_for["M4"]
    assert given[1]["text"] == exercise.hints[1]
    assert [one["more"] for one in given] == [True, True, False, False]
    assert course.progress().row(exercise.id)["hints"] == 3
    with pytest.raises(errors.UsageError, match="hints 1 to 3"):
        actions.hint(course, exercise, 4)


def test_a_reset_keeps_what_was_there(course):
    exercise = course.exercises[0]
    shipped = exercise.path().read_bytes()
    assert actions.reset(course, exercise)["written"] == []
    for n in (1, 2):
        exercise.path().write_text(f"mine {n}")
        [kept] = actions.reset(course, exercise)["kept"]
        with open(kept) as file:
            assert file.read() == f"mine {n}"
        assert exercise.path().read_bytes() == shipped
    exercise.path().unlink()
    assert actions.reset(course, exercise)["kept"] == []
    assert exercise.path().read_bytes() == shipped


def test_the_solution_is_locked_until_bronze_or_giving_up(course):
    exercise = course.exercises[0]
    with pytest.raises(errors.WarpbenchError, match="--i-give-up"):
        actions.solution(course, exercise, give_up=False)
    [file] = actions.solution(course, exercise, give_up=True)["files"]
    assert file["text"] == exercise.cut().solution
    assert course.progress().row(exercise.id)["gave_up"]
    other = course.exercises[1]
    mine = course.progress()
    mine.record(other.id, "bronze")
    mine.save()
    assert actions.solution(course, other, give_up=False)["files"]
    assert "gave_up" not in course.progress().row(other.id)


def test_exit_codes_by_level():
    def code(level, asked, verdict="fail"):
        return exit_code({"level": level, "verdict": verdict}, asked)

    assert code("silver", "silver", "pass") == code("silver", "bronze", "pass") == code("bronze", "bronze") == 0
    assert code("bronze", "silver") == code(None, "bronze") == 1
    assert code(None, "silver", "not executed") == 5
