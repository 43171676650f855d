"""Adding an exercise takes files and no code: begun by `learn dev new`, in each DSL, it is checked like any other."""

from __future__ import annotations

import pytest

from warpbench import errors
from warpbench.course import bench, catalogue, dev, scaffold
from warpbench.course.runner import Course

ANSWERS = {  # DSL -> (what the template computes, the sum of two vectors)
    "numba": ("y[i]", "x[i] + y[i]"),
    "cupy": ("y[i];", "x[i] + y[i];"),
    "triton": (
        "tl.load(y_ptr + i, mask=i < n), mask",
        "tl.load(x_ptr + i, mask=i < n) + tl.load(y_ptr + i, mask=i < n), mask",
    ),
}


def begun(course, dsl):
    """A new exercise of a DSL, its answer filled in, and a course that has it."""
    scaffold.new(course, f"new_{dsl}", "09_new", dsl, "vector_add")
    new = Course(course.root, limit_s=20.0, workers=course.workers)
    exercise = new.pick(f"new_{dsl}")
    path = exercise.solution_path()
    path.write_text(path.read_text(encoding="utf-8").replace(*ANSWERS[dsl]), encoding="utf-8")
    dev.cut([exercise])
    return new, exercise


SLOW = [pytest.param(dsl, marks=pytest.mark.slow) for dsl in ("numba", "triton")]


@pytest.mark.parametrize("dsl", ["cupy", *SLOW])
def test_an_exercise_of_each_dsl_fails_as_shipped_and_is_solved_by_its_solution(course, dsl, tmp_path):
    new, exercise = begun(course, dsl)
    assert dev.prove(new, exercise, with_mutants=False).problems == []
    found = new.check_texts(exercise, {name: exercise.cut(name).exercise for name in exercise.files})
    first = found["findings"][0]
    assert first["code"] == "M4"
    assert first["file"] == exercise.files[0]  # of CUDA C++ the .cu
    assert first["evidence"][1].startswith(f"line {first['lines'][0]}: ")
    for file in exercise.files:
        exercise.path(file).write_text(exercise.cut(file).solution, encoding="utf-8")
    [launch] = new.picture(exercise)["launches"]
    assert {one["tensor"] for one in launch["accesses"]} == {"x", "y", "out"}
    root = bench._mirror(exercise, tmp_path / "kernels")
    assert sorted(path.name for path in (root / "vector_add").iterdir() if path.stem == f"in_{dsl}") == sorted(
        f"in_{dsl}{name[name.index('.') :]}" for name in exercise.files
    )


def test_the_row_stands_behind_its_part_and_says_what_is_missing(course):
    scaffold.new(course, "one_more", "01_threads", "numba", "vector_add")
    ids = [e.id for e in catalogue.load(course.root)]
    parts = [e.part for e in catalogue.load(course.root)]
    assert "one_more" in ids
    assert parts == sorted(parts)
    assert any(problem.startswith("one_more: three hints are wanted") for problem in catalogue.check(course.root))


@pytest.mark.parametrize(
    ("name", "dsl", "operation", "words"),
    [
        ("guard_the_tail", "numba", "axpy", "cannot be the id"),
        ("Not Snake", "numba", "axpy", "cannot be the id"),
        ("fine", "opencl", "axpy", 'no DSL "opencl"'),
        ("fine", "numba", "axpi", "Nearest: axpy"),
    ],
)
def test_names_that_cannot_be_are_refused_and_nothing_is_written(course, name, dsl, operation, words):
    before = (course.root / "catalog.toml").read_text(encoding="utf-8")
    with pytest.raises(errors.UsageError, match=words):
        scaffold.new(course, name, "01_threads", dsl, operation)
    assert (course.root / "catalog.toml").read_text(encoding="utf-8") == before
