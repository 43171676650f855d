"""`warpbench learn` as it is typed: output, JSON, exit codes, wrong moves, and watching a file."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from warpbench.course.catalogue import load

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND = (exercise.id for exercise in load()[:2])


def solve(root, name=FIRST):
    """Write the solution between the marks of the learner's file."""
    exercise = next(e for e in load(root) if e.id == name)
    answers = exercise.solution_path().read_text().partition(" hole: ")[2].partition("# end hole")[0].splitlines()[1:]
    kept = [line for line in answers if line.strip() and not line.lstrip().startswith("#|")]
    head, _, rest = exercise.path().read_text().partition("# --- your code")
    question, _, rest = rest.partition("\n")
    tail = rest[rest.index("# --- end of your code") :]
    indent = " " * (len(kept[0]) - len(kept[0].lstrip()))
    text = f"{head}# --- your code{question}\n" + "\n".join(kept) + f"\n{indent}{tail}"
    exercise.path().write_text(text)


def test_a_newcomers_way(learn, root):
    """List, run, hint, solve, run, next: what is passed is remembered from one command to the next."""
    listed = learn("list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert f"0 of {len(load())} passed at silver" in listed.stdout
    wrong = learn("run")
    assert wrong.returncode == 1
    assert "M4" in wrong.stdout
    assert f"{FIRST}.py:" in wrong.stdout
    assert "reads x[1]: first element past the end, x has 1 element" in wrong.stdout
    hint = learn("hint")
    assert hint.returncode == 0
    assert "thread" in hint.stdout
    solve(root)
    right = learn("run", FIRST)
    assert (right.returncode, right.stderr) == (0, "")
    assert "silver" in right.stdout
    assert SECOND in right.stdout  # what comes next
    rows = json.loads(learn("list", "--json").stdout)["exercises"]
    assert [row["level"] for row in rows] == ["silver", *[None] * (len(load()) - 1)]
    assert learn("solution", FIRST).returncode == 0


@pytest.mark.slow
def test_json_is_json_and_text_is_plain(learn):
    found = json.loads(learn("run", FIRST, "--json").stdout)
    assert found["exercise"] == FIRST
    assert found["findings"][0]["code"] == "M4"
    assert found["next"] == SECOND
    assert json.loads(learn("hint", FIRST, "--json").stdout)["level"] == 1
    assert json.loads(learn("explain", "M4", "--json").stdout)
    assert json.loads(learn("reset", FIRST, "--json").stdout)["written"] == []
    assert "\x1b" not in learn("run", FIRST).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "guard_tail"), 2, f"Nearest: {FIRST}"),
        (("run", "--level", "gold"), 2, "level"),
        (("hint", FIRST, "--level", "7"), 2, "hints 1 to 3"),
        (("explain", "M99"), 2, "Known: C1"),
        (("solution", FIRST), 1, "--i-give-up"),
        (("reset",), 2, "ID"),
        (("go",), 2, "go"),
    ],
)
def test_wrong_moves_get_one_line_and_their_code(learn, arguments, code, words):
    done = learn(*arguments)
    assert done.returncode == code
    said = done.stderr + done.stdout
    assert words in said
    assert "Traceback" not in said
    assert len(done.stderr.strip().splitlines()) <= 4


def test_a_course_that_is_not_there_or_cannot_be_read(learn, root):
    (root / "catalog.toml").write_text("format = ")
    broken = learn("list")
    assert broken.returncode == 2
    assert "cannot be read" in broken.stderr
    (root / "catalog.toml").unlink()
    gone = learn("list")
    assert gone.returncode == 2
    assert "is missing" in gone.stderr


def test_a_broken_state_costs_nothing_but_the_state(learn, root):
    state = root.parent / ".learn" / "state.json"
    state.parent.mkdir()
    state.write_text("{")
    done = learn("list")
    assert done.returncode == 0
    assert "state.broken-1.json" in done.stdout
    assert (state.parent / "state.broken-1.json").read_text() == "{"


class Watching:
    """`warpbench learn watch` in a process of its own, its lines in a queue."""

    def __init__(self, root, *arguments):
        command = [sys.executable, "-m", "warpbench", "learn", "--root", str(root), "watch", *arguments]
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip())

    def until(self, words, seconds=60):
        """The lines up to the one that holds `words`."""
        seen, end = [], time.monotonic() + seconds
        while not seen or words not in seen[-1]:
            try:
                seen.append(self.lines.get(timeout=max(0.1, end - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"`{words}` did not come; what came: {seen}") from None
        return seen

    def stop(self):
        """Ctrl-C. Returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()


def test_watching_checks_now_and_at_each_save_and_ends_by_ctrl_c(root):
    with Watching(root, FIRST) as watching:
        assert any("M4" in line for line in watching.until("Waiting for a save"))
        solve(root)
        assert any("silver" in line for line in watching.until("Waiting for a save"))
        path = next(e for e in load(root) if e.id == FIRST).path()
        path.write_text("def broken(:\n")
        assert any("does not parse" in line for line in watching.until("Waiting for a save"))
        assert watching.stop() == 0
        assert "Progress is kept" in watching.until("Progress is kept")[-1]
        assert watching.process.stderr.read() == ""


@pytest.mark.slow
def test_watching_in_json_gives_a_line_a_verdict(root):
    with Watching(root, FIRST, "--json") as watching:
        first = json.loads(watching.until("findings")[-1])
        solve(root)
        second = json.loads(watching.until("findings")[-1])
        assert (first["level"], second["level"]) == (None, "silver")
        assert watching.stop() == 0
