"""What stands in the texts of the course as code or as a command can be typed as it is."""

from __future__ import annotations

import ast
import re
import shlex
import textwrap

import pytest
from typer.main import get_command

from warpbench import cli
from warpbench.check import finding_table
from warpbench.course import catalogue, show
from warpbench.course.cli import app

EXERCISES = catalogue.load()
QUOTED = re.compile(r"`([^`\n]+)`")
WORD = re.compile(r"[^\s()=]+")  # a name, an opcode, an option: no statement
C_LIKE = re.compile(r"[;{}]|__|//|\b(float|int|unsigned|const|extern|cudaMalloc|blockIdx|threadIdx)\b|<<<")


def texts(exercise):
    """Every text of an exercise that a learner reads."""
    yield from (exercise.title, exercise.objective, exercise.proved, exercise.predict, *exercise.hints)
    yield from exercise.hints_for.values()
    for name in exercise.files:
        yield exercise.cut(name).exercise
        yield exercise.cut(name).solution


def commands(text):
    """Lines and quotations that begin with `warpbench`."""
    yield from (quoted for quoted in QUOTED.findall(text) if quoted.startswith("warpbench "))
    yield from re.findall(r"^\s*(?:\$ )?(warpbench [a-z].*)$", text, re.M)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_commands_in_a_text_exist(exercise):
    for text in texts(exercise):
        for line in commands(text):
            assert known(shlex.split(line)[1:]), line


def test_a_command_that_is_none_is_seen():
    assert known(["learn", "show", "x", "--html", "x.html"])
    assert not known(["learn", "sow", "x"])
    assert not known(["learn", "show", "x", "--htm", "x.html"])


def known(words):
    """Whether these words name a command of warpbench and options of it."""
    command = get_command(app) if words[:1] == ["learn"] else get_command(cli.app)
    words = words[1:] if words[:1] == ["learn"] else words
    while words and hasattr(command, "commands"):
        if words[0] not in command.commands:
            return False
        command, words = command.commands[words[0]], words[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    return all(word.partition("=")[0] in options for word in words if word.startswith("--"))


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if e.dsl != "cupy"], ids=lambda e: e.id)
def test_quoted_code_is_python(exercise):
    for text in texts(exercise):
        for quoted in QUOTED.findall(text):
            if not quoted.startswith("warpbench ") and not WORD.fullmatch(quoted) and not C_LIKE.search(quoted):
                assert parses(quoted), quoted


def test_code_that_is_none_is_seen():
    assert parses("if i < n:")
    assert parses("out[i] = x[i]")
    assert not parses("if i < n out[i]")


def parses(text):
    """Whether a line is Python, or begins a block of it."""
    for whole in (text, f"{text}\n    pass", f"{text.rstrip(':')}"):
        try:
            ast.parse(textwrap.dedent(whole))
        except SyntaxError:
            continue
        return True
    return False


def test_findings_name_commands_that_exist():
    for row in finding_table().values():
        for text in (row["meaning"], row["pattern"], row["next"]):
            for line in commands(text):
                assert known(shlex.split(line)[1:]), line


@pytest.mark.parametrize("columns", [60, 100])
def test_an_explanation_is_wrapped_to_the_screen_and_its_code_is_not(monkeypatch, columns):
    monkeypatch.setattr(show, "width", lambda: columns)
    for code, row in finding_table().items():
        lines = show.explained(show.explanation(code))
        code_of = [line for line in row["pattern"].splitlines() if line.startswith(" ")]
        assert {f"    {line}" for line in code_of} <= set(lines)
        assert all(len(line) <= columns for line in lines if line.strip() not in {one.strip() for one in code_of})
        letters = "".join("".join(lines).split())
        assert "".join(row["meaning"].split()) in letters
        assert "".join(row["pattern"].split()) in letters
