"""Do the texts hold: links that lead somewhere, commands that exist, nothing that only their authors could know?"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from warpbench import cli, selfcheck

ROOT = Path(__file__).resolve().parents[2]
TEXTS = list(selfcheck.texts())
PAGES = [path for path in TEXTS if path.suffix == ".md"]
FENCE = re.compile(r"^ *```(?P<kind>\w*)\n(?P<body>.*?)^ *```$", re.M | re.S)
LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)\s]+)\)")
# `.venv/bin/warpbench x`, `$ warpbench x` and `warpbench x` at the begin of a line; what follows # is a comment
COMMAND = re.compile(r"^ *(?:\$ )?(?:\.venv/bin/)?(?P<command>(?:warpbench|make)(?: [^#\n]*)?)", re.M)
INLINE = re.compile(r"`(?P<command>(?:warpbench|make)(?: [^`]*)?)`")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(page: str) -> Iterator[str]:
    """The commands of a page's fenced shell blocks, whole, and those in its prose, up to the first placeholder."""
    for fence in FENCE.finditer(page):
        if fence["kind"] in ("bash", "console"):
            yield from (found["command"].strip() for found in COMMAND.finditer(fence["body"]))
    for found in INLINE.finditer(FENCE.sub("", page)):
        yield re.split(r"[\[…]|\.\.\.|=", found["command"])[0].strip()


COMMANDS = sorted({command for path in PAGES for command in commands(path.read_text(encoding="utf-8"))})


def refusal(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Why a command of a text would not be understood; empty if it would be. Nothing is run."""
    program, *words = shlex.split(command)
    if program == "make":
        targets = [word for word in words if not word.startswith("-")]
        done = subprocess.run(["make", "-n", *targets], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stderr
    code = cli.main([*words, "--help"])  # names and options are looked at first, then the help is shown
    return capsys.readouterr().err if code else ""


def test_there_are_pages_and_commands():
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "profiling/README.md"} <= {name_of(path) for path in PAGES}
    assert len(PAGES) >= 15
    assert sum(command.startswith("warpbench ") for command in COMMANDS) >= 20
    assert sum(command.startswith("make ") for command in COMMANDS) >= 5


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_to_files(path):
    for found in LINK.finditer(FENCE.sub("", path.read_text(encoding="utf-8"))):
        target = found["target"].partition("#")[0]
        if target and not target.startswith("https://"):
            assert (path.parent / target).exists(), f"{name_of(path)} links to {target}, which is not there"


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command, capsys):
    assert refusal(command, capsys) == ""


@pytest.mark.parametrize(
    "command", ["warpbench profil", "warpbench profile --gppu rtx3090", "warpbench learn rum", "make nothing"]
)
def test_a_command_that_does_not_exist_is_seen(command, capsys):
    assert refusal(command, capsys)


# What a reader of the repository cannot look up, or should not have to.
FOREIGN = {
    "an issue's number": re.compile(r"\b(?:issue|pull request|ticket) #?\d+|(?<![\w&#])#\d+\b(?!\w)", re.I),
    "a path of a machine": re.compile(r"(?<![\w.$}])/(?:work|home(?!/me/)|root|Users|mnt)/\w"),
    "a host of a package registry": re.compile(
        r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|https?://[\w.-]+:\d+"
    ),
    "an address": re.compile(r"\b(?:10|127|192)(?:\.\d{1,3}){3}\b"),
    "who wrote it": re.compile(r"\b(?:language model|chatbot|as an AI)\b", re.I),
}


def test_nothing_foreign_is_mentioned():
    assert len(TEXTS) > 500
    for path in TEXTS:
        text = "" if path == Path(__file__) else path.read_text(encoding="utf-8")
        for what, pattern in FOREIGN.items():
            found = pattern.search(text)
            assert found is None, f"{name_of(path)} mentions {what}: {found[0]}"


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("an issue's number", "see issue 12"),
        ("an issue's number", "mends #7"),
        ("a path of a machine", "lies in /home/ann/venv"),
        ("a host of a package registry", "from https://pypi.org/simple"),
        ("an address", "at 192.168.0.1"),
        ("who wrote it", "by a language model"),
    ],
)
def test_foreign_words_are_seen(what, text):
    assert FOREIGN[what].search(text)


# -- the check of `make check` that looks at any text -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "raw", "problem"),
    [
        ("README.md", b"a \nb\n", "README.md:1 ends in white space."),
        ("README.md", b"a", "README.md must end with one newline."),
        ("README.md", b"a\n\n", "README.md must end with one newline."),
        ("README.md", b"\xff\n", "README.md is no UTF-8 text: invalid start byte at byte 0."),
        ("pyproject.toml", b"a = = 1\n", "pyproject.toml: Invalid value (at line 1, column 5)"),
        ("kernels/big.cu", b"x\n" * 200_000, "kernels/big.cu has 400,000 bytes; at most 200,000 are wanted."),
    ],
)
def test_a_careless_text_is_seen(tmp_path, name, raw, problem):
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_bytes(b"")
    (tmp_path / name).write_bytes(raw)
    assert selfcheck.check_texts(tmp_path) == [problem]


def test_a_check_is_chosen_by_its_name(monkeypatch, capsys):
    monkeypatch.setattr(selfcheck, "CHECKS", {"one": list, "two": lambda: ["it is broken"]})
    assert selfcheck.main(["one"]) == 0
    assert capsys.readouterr().out == "ok      one\n1 of 1 checks passed\n"
    assert selfcheck.main([]) == 1
    assert "failed  two\n        it is broken\n1 of 2 checks passed" in capsys.readouterr().out
    assert selfcheck.main(["three"]) == 2
    assert "there is no check 'three'. Nothing was checked. There are: one, two" in capsys.readouterr().err
