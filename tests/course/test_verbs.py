"""The verbs beside run, hint and reset: what they keep, take back and show."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from warpbench import errors
from warpbench.course import actions, bench, progress, runner, show

ROOT = Path(__file__).resolve().parents[2]
FIRST = "guard_the_tail"
WRONG = ("    out[i] = x[i] + y[i]", "    if i < out.size:\n        out[i] = x[i] - y[i]")
RIGHT = ("    out[i] = x[i] + y[i]", "    if i < out.size:\n        out[i] = x[i] + y[i]")


def write(exercise, change):
    text = exercise.cut().exercise
    assert change[0] in text
    exercise.path().write_text(text.replace(*change), encoding="utf-8")


def test_the_journal_tells_of_a_pass_and_what_failed_before(course):
    exercise = course.pick(FIRST)
    course.attempt(exercise)
    write(exercise, WRONG)
    first = course.attempt(exercise)["findings"][0]
    assert first["evidence"][-1] == "inputs and wanted values: .learn/last_failure.npz"
    write(exercise, RIGHT)
    course.attempt(exercise)
    course.attempt(exercise)  # told once
    text = (course.state / "journal.md").read_text(encoding="utf-8")
    assert text.count(f"{FIRST}: silver") == 1
    assert "3 attempts, 0 hints." in text
    assert "On the way: C1, M4." in text
    assert exercise.proved in text
    kept = np.load(course.state / "last_failure.npz")
    assert np.allclose(kept["want_out"], kept["x"].astype(np.float64) + kept["y"])
    assert "n=" in str(kept["case"])


def test_what_regressed_is_taken_back(course):
    for exercise in course.exercises[:2]:
        mine = course.progress()
        mine.record(exercise.id, "silver")
        mine.save()
    write(course.exercises[0], RIGHT)
    lines = show.again(course.check_again())
    assert lines[0].split() == [FIRST, "silver"]
    assert "not passed   was silver: C3" in lines[1]
    assert lines[2] == "2 exercises checked, 1 do not pass any more"
    mine = course.progress()
    assert mine.passed(FIRST)
    assert not mine.passed("grid_stride", "bronze")
    assert mine.row("grid_stride")["attempts"] == 1


def test_a_prediction_is_noted_once_and_answered_by_the_check(course):
    plain = course.pick("grid_stride")
    with pytest.raises(errors.UsageError, match="asks for no prediction"):
        course.predict(plain, 4)
    exercise = replace(plain, predict="How many sectors?", predict_of="M1<=4")
    assert show.question(exercise, course.progress())
    course.predict(exercise, 32)
    assert show.question(exercise, course.progress()) == []
    exercise.path().write_text(exercise.cut().solution, encoding="utf-8")
    course.check = lambda one, seed=1: runner.Course.check(course, one, marks=False, seed=seed)
    found = course.attempt(exercise)
    assert found["prediction"] == {"predicted": 32, "counted": 4.0}
    assert "You predicted 32. It is 4." in show.verdict(exercise, found, None)[0]
    assert course.attempt(exercise)["prediction"] is None
    assert "Predicted 32, counted 4." in (course.state / "journal.md").read_text(encoding="utf-8")
    with pytest.raises(errors.UsageError, match="it was 4"):
        course.predict(exercise, 4)


def test_a_milestone_tests_its_part_out(course):
    last = replace(course.exercises[2], milestone=True)
    course.exercises[2] = last
    mine = course.progress()
    mine.record(last.id, "silver")
    mine.save()
    assert course.done() == [e for e in course.exercises if e.part == last.part]
    assert (course.after(last) is None) == all(e.part == last.part for e in course.exercises)


def test_what_was_changed_is_shown(course):
    exercise = course.pick(FIRST)
    assert actions.difference(exercise)[0] == "Nothing is changed in the shipped text."
    write(exercise, RIGHT)
    lines = actions.difference(exercise)
    assert "-    out[i] = x[i] + y[i]" in lines
    assert "+    if i < out.size:" in lines


@pytest.mark.slow
def test_other_architectures_and_other_inputs(course):
    exercise = course.pick(FIRST)
    write(exercise, RIGHT)
    found = course.check(runner.on(exercise, "sm_90,sm_120"), seed=7)
    assert (found["level"], found["arch"]) == ("silver", ["sm_90", "sm_120"])
    with pytest.raises(errors.UsageError, match='no architecture "sm_1"'):
        runner.on(exercise, "sm_1")
    write(exercise, WRONG)
    assert "seed 7" in "".join(course.check(exercise, seed=7)["findings"][0]["evidence"])
    compiled = course.attempt(exercise, backend="compile")
    assert (compiled["findings"], runner.exit_code(compiled)) == ([], 0)
    assert course.progress().row(exercise.id)["attempts"] == 0


def test_lists_of_a_part_and_of_what_is_left(learn, course):
    mine = course.progress()
    mine.record(FIRST, "silver")
    mine.save()
    rows = json.loads(learn("list", "--todo", "--part", "01_threads", "--json").stdout)["exercises"]
    assert FIRST not in [row["id"] for row in rows]
    assert learn("list", "--part", "09").returncode == 2


# -- gold ----------------------------------------------------------------------------------------------------------
ROW = {"rung": "axpy/numba/grid_stride", "verdict": "pass", "reason": "", "seconds": 1e-5, "share_theory": 0.843,
       "share_note": "", "torch_over_this": 0.97}  # fmt: skip


def test_gold_without_a_card_is_a_sentence(learn):
    for verb in (("bench", FIRST), ("run", FIRST, "--backend", "gpu")):
        done = learn(*verb)
        assert done.returncode == errors.NOT_RUN
        assert "no card: " in done.stderr
        assert "Bronze and silver need none." in done.stderr
    assert "Nothing was measured yet" in learn("board").stdout


@pytest.mark.parametrize(
    ("change", "goal", "valid", "reached"),
    [
        ({}, {"pct_peak": 80}, True, True),
        ({}, {"pct_peak": 90}, True, False),
        ({}, {"pct_peak": 80, "vs_torch": 0.9}, True, True),
        ({"share_theory": None, "share_note": "fits in L2"}, {"pct_peak": 80}, True, False),
        ({"verdict": "invalid", "reason": "the SM clock fell"}, {"pct_peak": 80}, False, False),
        ({"seconds": None, "reason": "it was not timed"}, {"pct_peak": 80}, False, False),
        ({"rung": "another"}, {}, False, False),
    ],
)
def test_gold_is_given_for_a_valid_measurement_that_reaches_every_goal(course, change, goal, valid, reached):
    exercise = replace(course.pick("grid_stride"), gold=goal)
    found = bench.judged(exercise, [{**ROW, **change}], ROW["rung"])
    assert (found["valid"], found["reached"]) == (valid, reached)
    text = "\n".join(bench.text(exercise, {**found, "gpu": "a card", "run": "runs/1.jsonl"}))
    assert ("measurement_invalid" in text) == (not valid)


def test_an_answer_is_a_ladder_of_one_rung(course, tmp_path):
    from warpbench import catalogue

    exercise = course.pick("grid_stride")
    exercise.path().write_text(exercise.cut().solution, encoding="utf-8")
    root = bench._mirror(exercise, tmp_path / "kernels")
    [(operation, rung)] = catalogue.select("axpy/numba/grid_stride", root)
    assert rung.idea == exercise.objective
    assert operation.shapes.large


def test_the_board_is_exercise_by_card(course):
    mine = course.progress()
    gold = {"pct_peak": 84.0, "reached": True, "valid": True}
    mine.row(FIRST)["gold"] = {"B": gold, "A": {"valid": False}}
    mine.row("grid_stride")["gold"] = {"B": {**gold, "reached": False}}
    mine.save()
    rows = bench.board(course.exercises, progress.load(course.state))
    assert rows == [["exercise", "A", "B"], [FIRST, "invalid", "84.0 % gold"], ["grid_stride", "", "84.0 %"]]
    assert "<td>84.0 % gold</td>" in bench.board_page(rows)


# -- keys ----------------------------------------------------------------------------------------------------------
class Terminal:
    """`warpbench learn watch` on a terminal of its own."""

    def __init__(self, root, *arguments):
        self.end, other = pty.openpty()
        command = [sys.executable, "-m", "warpbench", "learn", "--root", str(root), "watch", *arguments]
        env = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=other, stdout=other, stderr=other, env=env)
        os.close(other)

    def until(self, words, seconds=60):
        """What is on the screen up to `words`."""
        seen, end = "", time.monotonic() + seconds
        while words not in seen:
            assert time.monotonic() < end, f"`{words}` did not come; what came: {seen}"
            if select.select([self.end], [], [], 0.2)[0]:
                seen += os.read(self.end, 1 << 16).decode()
        return seen

    def type(self, keys):
        os.write(self.end, keys.encode())


@pytest.mark.slow
def test_the_keys_of_watch_mode(root):
    terminal = Terminal(root, FIRST, "--manual-run")
    try:
        assert "M4" in terminal.until("q quit")
        terminal.type("n")
        terminal.until("This one first")
        terminal.type("h")
        terminal.until("Hint 1 of 3")
        terminal.type("v")
        assert "side by side" in terminal.until("store to out")
        terminal.type("p")
        terminal.until("asks for no prediction")
        terminal.type("b")
        terminal.until("no card: ")
        path = root / "01_threads" / f"{FIRST}.py"
        shipped = path.read_text()
        path.write_text(shipped.replace(*RIGHT))
        terminal.type("\n")
        assert "silver" in terminal.until("q quit")
        terminal.type("x")
        terminal.until("yours is kept as")
        assert path.read_text() == shipped
        terminal.type("c")
        terminal.until("1 do not pass any more")
        terminal.type("q")
        terminal.until("Progress is kept")
        assert terminal.process.wait(timeout=20) == 0
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.end)
