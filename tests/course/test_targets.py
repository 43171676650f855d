"""What an answer is held to comes from the solution's own trace, and from a new one where the compilers are others."""

from __future__ import annotations

import pytest

from warpbench import cache
from warpbench.course import dev, figures, targets
from warpbench.course.runner import Course
from warpbench.errors import UsageError

NAME = "grid_stride"


@pytest.mark.parametrize(
    ("text", "value", "allowed"),
    [("M1<=4", 4.0, 4.2), ("M2<=2", 1.0, 1.05), ("X1<=0", 0.0, 0.0), ("R4==1", 1.0, 1.0),
     ("X2 occupancy>=50", 66.6667, 63.33), ("X2 shared<=4224", 4224.0, 4436.0), ("W1 adds<=3", 2.00391, 2.105)],
)  # fmt: skip
def test_five_percent_of_room_and_none_where_a_number_is_exact(text, value, allowed):
    figure = figures.parse(text)
    assert targets.allowed(figure, value) == pytest.approx(allowed, rel=1e-3)
    assert figure.keeps(value, [value, targets.allowed(figure, value)])


def test_the_file_is_written_as_it_is_read(course):
    before = (course.root / "targets.toml").read_text(encoding="utf-8")
    targets.store(course.root, course.exercises, targets.load(course.root))
    assert (course.root / "targets.toml").read_text(encoding="utf-8") == before
    (course.root / "targets.toml").write_text("format = 1\n[", encoding="utf-8")
    with pytest.raises(UsageError, match="learn dev trace"):
        targets.load(course.root)


def test_what_does_not_fit_the_text_any_more_is_stale(course):
    assert targets.stale(course.root, course.exercises) == []
    path = course.pick(NAME).solution_path()
    path.write_text(path.read_text(encoding="utf-8").replace("BLOCKS=8", "BLOCKS=9"), encoding="utf-8")
    [problem] = targets.stale(course.root, course.exercises)
    assert problem == f"{NAME}: its targets are stale (run: warpbench learn dev trace {NAME})"
    (course.root / "targets.toml").unlink()
    assert "are missing" in targets.stale(course.root, course.exercises)[0]


def test_an_answer_is_held_to_the_target_and_not_to_the_authors_limit(course):
    exercise = course.pick(NAME)
    solution = {name: exercise.cut(name).solution for name in exercise.files}
    course.targets[NAME] = {**course.targets[NAME], "sm_86": {"M1<=4": [3.0, 3.15]}}
    found = course.check_texts(exercise, solution)
    assert found["level"] == "bronze"
    assert "the solution has 3, <= 3.15 will do" in found["findings"][0]["evidence"][-1]
    assert course.check_texts(exercise, solution, held=False)["level"] == "silver"
    problems = "\n".join(dev.prove(course, exercise, with_mutants=False).problems)
    assert "the solution does not reach silver: M1" in problems


def test_a_solution_beyond_its_authors_limit_and_a_record_of_other_figures_are_told(course):
    path = course.root / "catalog.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("M1<=4", "M1<=3"), encoding="utf-8")
    low = Course(course.root, limit_s=5.0, workers=course.workers)
    exercise = low.pick(NAME)
    assert "does not reach silver: M1" in dev.trace(low, [exercise])[NAME][0]
    assert low.targets[NAME] == course.targets[NAME]  # what was recorded is left alone
    low.targets[NAME] = {**course.targets[NAME], "sm_86": {"M1<=3": [5.0, 5.25]}}
    problems = "\n".join(dev.prove(low, exercise, with_mutants=False).problems)
    assert "the solution's own figure for M1<=3 is 4 on sm_86" in problems
    assert "its targets are not what the solution reaches" in problems


def test_with_another_compiler_the_solution_is_traced_once(course, monkeypatch):
    kept = {}
    monkeypatch.setattr(targets, "compilers", lambda dsl: ("numba-cuda 99.0",))
    monkeypatch.setattr(cache, "load", kept.get)
    monkeypatch.setattr(cache, "store", kept.__setitem__)
    exercise, traced = course.pick(NAME), []
    trace = course.trace
    monkeypatch.setattr(course, "trace", lambda one: traced.append(one) or trace(one))
    for _ in range(2):
        assert course.table(exercise)["sm_86"] == course.targets[NAME]["sm_86"]
    assert traced == [exercise]
    assert course.table(course.pick("no_f64")) == {}
