"""A learner's file may do anything: it is contained, and what it did is said in a line."""

from __future__ import annotations

import pytest

KERNEL = "    blocks = (out.numel() + BLOCK - 1) // BLOCK"


def answer(course, change, name="guard_the_tail"):
    """The verdict for an exercise's solution after `change`, as the learner's file."""
    exercise = course.pick(name)
    exercise.path().write_text(change(exercise.cut().solution), encoding="utf-8")
    return course.check(exercise, marks=False)


def told(verdict) -> tuple[str, str]:
    """Code and text of the first finding."""
    assert verdict["verdict"] == "fail"
    assert verdict["level"] is None
    first = verdict["findings"][0]
    text = " | ".join(first["evidence"])
    assert "Traceback" not in text
    return first["code"], text


def before(line):
    """A change that puts a line at the beginning of the launching function."""
    return lambda text: text.replace(KERNEL, f"    {line}\n{KERNEL}")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda t: t.replace("if i < out.size:", "if i < out.size"), "E1", "it does not parse: expected ':', at: if i"),
        (lambda t: "import os, nonsense_of_mine\n" + t, "E2", "No module named 'nonsense_of_mine'"),
        (lambda t: "import sys\nsys.exit(3)\n" + t, "E2", "it leaves the program (sys.exit)"),
        (
            lambda t: t.replace("def guard_the_tail", "def guard_a_tail"),
            "E2",
            "it defines no function `guard_the_tail`",
        ),
        (before("1 / 0"), "E2", "ZeroDivisionError"),
        (before("import sys; sys.exit()"), "E2", "it leaves the program"),
        (before("import os; os.fork()"), "E2", "may not start another process (os.fork)"),
        (before("import os; os._exit(7)"), "E2", "it ended the process that checks it (exit code 7)"),
        (before("import ctypes; ctypes.string_at(0)"), "E2", "it ended the process that checks it (signal SIGSEGV)"),
        (before("big = bytearray(1 << 40)"), "E2", "MemoryError"),
        (lambda t: t.replace("out[i] = x[i] + y[i]", "out[i] = x[i] + nowhere[i]"), "E2", "nowhere"),
        (
            lambda t: t.replace("if i < out.size:", "if i < out.shape:"),
            "E2",
            "if i < out.shape: | `<` is not defined for int64 and a tuple | at n=1",
        ),
        (
            lambda t: t.replace("out[i] = x[i] + y[i]", "out[i] = x[i] + len"),
            "E2",
            "out[i] = x[i] + len | `+` is not defined for float32 and the function len | at n=1",
        ),
        (  # two lines with a +: it is not known which is meant
            lambda t: t.replace("out[i] = x[i] + y[i]", "out[i] = x[i] + len\n        out[i] = x[i] + y[i]"),
            "E2",
            "(x, y, out) | `+` is not defined for float32 and the function len | at n=1",
        ),
    ],
)
def test_what_a_file_does_is_told(course, change, code, words):
    found, text = told(answer(course, change))
    assert found == code
    assert words in text
    # the next answer is judged as if nothing had happened
    assert answer(course, lambda t: t)["level"] == "silver"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("if i < out.size:", "if i < n:", "if i < n:", "name 'n' is not defined"),
        ("out[i] = x[i] + y[i]", "cuda.syncthread()", "cuda.syncthread()", "has no attribute 'syncthread'"),
        ("i < out.size", "i < out.numel()", "if i < out.numel():", "Unknown attribute 'numel'"),
        ("= x[i] + y[i]", "= x + y", "", "has not the type of one element"),
    ],
)
def test_what_a_compiler_says_is_told_at_the_line_it_means(course, old, new, line, words):
    verdict = answer(course, lambda text: text.replace(old, new))
    code, text = told(verdict)
    first = verdict["findings"][0]
    assert code == "E2"
    assert words in text
    assert "site-packages" not in text
    assert first["evidence"][0].startswith(f"line {first['lines'][0]}: {line}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (before("while True: pass"), "did not end within 1 s"),
        (lambda t: t.replace("    if i < out.size:", "    while i < out.size:"), "did not end|never ends|idle"),
        pytest.param(lambda t: "while True: pass\n" + t, "did not end within 1 s", marks=pytest.mark.slow),
    ],
    ids=["in the launch", "in the kernel", "in the import"],
)
def test_what_never_ends_is_stopped(course, change, words):
    import re

    course.limit_s = 1.0
    code, text = told(answer(course, change))
    assert code == "E3"
    assert re.search(words, text)


def test_a_print_storm_is_stopped_and_a_few_lines_are_shown(course):
    few = answer(course, before("print('hello')"))
    assert few["level"] == "silver"
    assert few["printed"][0] == "hello"
    code, text = told(answer(course, before("while True: print('x' * 1000)")))
    assert code == "E2"
    assert "prints" in text


def test_a_file_that_is_gone_and_one_that_is_no_text(course):
    exercise = course.pick("guard_the_tail")
    exercise.path().write_bytes(b"\xff\xfe\x00")
    assert told(course.check(exercise))[0] == "E1"
    exercise.path().unlink()
    code, text = told(course.check(exercise))
    assert code == "E1"
    assert "warpbench learn reset guard_the_tail" in text


def test_text_around_the_marks_belongs_to_the_exercise(course):
    exercise = course.pick("guard_the_tail")
    shipped = exercise.path().read_text(encoding="utf-8")
    exercise.path().write_text(shipped.replace("BLOCK=256", "BLOCK=1"), encoding="utf-8")
    code, text = told(course.check(exercise))
    assert code == "E1"
    assert "`def guard_the_tail(x, y, out, *, BLOCK=256):` became `def guard_the_tail(x, y, out, *, BLOCK=1):`" in text
