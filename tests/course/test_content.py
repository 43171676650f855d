"""The exercises: each fails as shipped for its stated reason, its solution solves it, its wrong answers are found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from warpbench.course import automatic, catalogue, dev
from warpbench.course.catalogue import load
from warpbench.course.cut import CutError, cut, outside_holes

EXERCISES = load()
WRONG = Path(__file__).resolve().parents[1] / "wrong" / "exercises"
MUTANTS = [(e.id, path.name) for e in EXERCISES for path in sorted((WRONG / e.id).glob("*.*")) if path.is_file()]
# right by brute force, which takes long by its nature: in make test-all
DEAR = {
    "compact/one_thread.py", "guard_the_tail/each_block_all.py", "histogram/bin_by_bin.py",
    "occupancy_spills/row_read_again.cu", "reduce_tree/one_thread_alone.py", "scan_large/totals_on_the_way.py",
}  # fmt: skip


def test_catalogue_and_files_agree():
    assert catalogue.check() == []


def test_every_exercise_has_wrong_answers_and_none_is_a_stray():
    assert {name for name, _ in MUTANTS} == {e.id for e in EXERCISES}
    assert {path.name for path in WRONG.iterdir() if path.is_dir()} == {e.id for e in EXERCISES}


@pytest.mark.parametrize("name", [e.id for e in EXERCISES])
def test_as_shipped_it_fails_and_its_solution_reaches_silver(shipped_course, name):
    exercise = shipped_course.pick(name)
    assert dev.prove(shipped_course, exercise, with_mutants=False).problems == []


@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        pytest.param(*one, id=path, marks=pytest.mark.slow if path in DEAR else ())
        for one in MUTANTS
        if (path := "/".join(one))
    ],
)
def test_a_wrong_answer_dies_as_declared(shipped_course, name, mutant):
    exercise = shipped_course.pick(name)
    solution = {file: exercise.cut(file).solution for file in exercise.files}
    assert dev.mutant(shipped_course, exercise, solution, WRONG / name / mutant) == []


def test_an_answer_that_is_a_copy_has_no_wrong_copy(course):
    for name, there in (("map2d", False), ("guard_the_tail", True)):
        exercise = course.pick(name)
        text = automatic.text(exercise, exercise.cut().solution, "copy of an input")
        assert (text is not None) == there


@pytest.mark.slow
@pytest.mark.parametrize("mutant", automatic.NAMES)
@pytest.mark.parametrize("name", [e.id for e in EXERCISES])
def test_what_is_put_in_place_of_the_result_dies_of_its_values(shipped_course, name, mutant):
    exercise = shipped_course.pick(name)
    solution = {file: exercise.cut(file).solution for file in exercise.files}
    assert dev.automatic_mutant(shipped_course, exercise, solution, mutant) == []


def test_codes_that_are_relied_on_are_shown_to_come(course, wrong):
    assert dev.unproved(course) == []
    course.exercises[0] = replace(course.exercises[0], checks=("P3<=1",), hints_for={"M8": "?"})
    for path in wrong.rglob("*.py"):
        path.unlink()
    problems = dev.unproved(course)
    assert f"{course.exercises[0].id}: nothing in tests/wrong dies with P3" in problems


def test_a_proof_notices_what_it_must(course, wrong):
    """Each promise of a row, broken on purpose: the proof names it."""
    exercise = course.pick("guard_the_tail")
    folder = wrong / exercise.id
    (folder / "no_guard.py").write_text("# expect: R1\n" + exercise.cut().exercise, encoding="utf-8")
    (folder / "none_at_all.py").write_text("# expect: M4\n" + exercise.cut().solution, encoding="utf-8")
    (folder / "no_words.py").write_text(exercise.cut().exercise, encoding="utf-8")
    problems = "\n".join(dev.prove(course, exercise, with_mutants=True).problems)
    assert "no_guard.py must fail with R1, and fails with M4" in problems
    assert "none_at_all.py must fail with M4, and reaches silver" in problems
    assert "no_words.py: its first line must be" in problems


# -- cutting -------------------------------------------------------------------------------------------------------
SOLUTION = """\
def f(a):
    # hole: 1 line. What comes back?
    #| return None
    return a
    # end hole
"""


def test_one_text_two_readings():
    both = cut(SOLUTION, "f.py")
    assert both.solution == "def f(a):\n    return a\n"
    assert both.exercise == (
        "def f(a):\n    # --- your code (1 line): What comes back?\n    return None\n    # --- end of your code\n"
    )
    assert both.holes == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SOLUTION.replace("    # end hole\n", ""), "has no end"),
        (SOLUTION.replace("1 line", "2 lines"), "says 2 lines, its answer has 1"),
        (SOLUTION.replace("    #| return None\n", ""), "nothing is shipped"),
        (SOLUTION.replace("    #| return None\n", "    # hole: 1 line. Again?\n"), "a hole inside a hole"),
        ("    # end hole\n", "`end hole` without a hole"),
    ],
)
def test_marks_that_do_not_fit_are_named(text, words):
    with pytest.raises(CutError, match=words):
        cut(text, "f.py")


def test_what_stands_between_the_marks_is_the_learners():
    shipped = cut(SOLUTION, "f.py").exercise
    assert outside_holes(shipped.replace("return None", "b = a\n    return b")) == outside_holes(shipped)
    assert outside_holes(shipped.replace("def f(a)", "def f(b)")) != outside_holes(shipped)


# -- the static check ----------------------------------------------------------------------------------------------
def test_an_exercise_that_was_edited_is_not_what_its_solution_gives(root):
    path = load(root)[0].path()
    path.write_text(path.read_text(encoding="utf-8").replace("out[i] = x[i]", "out[i] = y[i]", 1), encoding="utf-8")
    assert any("is not what its solution gives" in problem for problem in catalogue.check(root))


def test_a_learners_answer_in_the_marks_is_no_problem_of_the_catalogue(root):
    """Whoever learns has `.learn/state.json`: the text in the marks is theirs, the text around them is not."""
    exercise = load(root)[0]
    (root.parent / ".learn").mkdir()
    (root.parent / ".learn" / "state.json").write_text("{}", encoding="utf-8")
    shipped = exercise.path().read_text(encoding="utf-8")
    exercise.path().write_text(shipped.replace("    out[i] = x[i]", "    if i < 5:\n        out[i] = x[i]"), "utf-8")
    assert catalogue.check(root) == []
    exercise.path().write_text(shipped.replace("rounded up", "rounded"), encoding="utf-8")
    assert any("is not what its solution gives" in problem for problem in catalogue.check(root))


def test_an_exercise_without_a_hole_is_named(root):
    exercise = load(root)[0]
    path = exercise.solution_path(exercise.files[0])
    path.write_text(exercise.cut().solution, encoding="utf-8")
    assert f"{exercise.id}: no hole in any of its files" in catalogue.check(root)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('fails_with = "M4"', 'fails_with = "Z9"', "Z9 is no code of findings.toml"),
        ('checks = ["M1<=4"]', 'checks = ["M1 is small"]', "grid_stride: "),
        ('files = ["no_f64.py"]', 'files = ["gone.py"]', "is missing"),
        ('id = "grid_stride"', 'id = "guard_the_tail"', "the id is taken"),
        ('"if i < out.size:  and the addition below it, indented."', '""', "three hints are wanted"),
    ],
)
def test_a_broken_row_is_named(root, old, new, words):
    path = root / "catalog.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert any(words in problem for problem in catalogue.check(root))


def test_two_exercises_share_no_half_of_their_text(root):
    one, two = load(root)[:2]
    text = one.solution_path().read_text(encoding="utf-8")
    two.solution_path().write_text(text.replace(one.id, two.id), encoding="utf-8")
    assert f"{two.id}: shares half of its text with {one.id}" in catalogue.check(root)


def test_two_exercises_share_no_hint(root):
    path = root / "catalog.toml"
    text = path.read_text(encoding="utf-8")
    first, second = (load(root)[i].hints[0] for i in (0, 1))
    path.write_text(text.replace(second, first), encoding="utf-8")
    assert "grid_stride: shares a hint with guard_the_tail" in catalogue.check(root)
