"""Watch mode: the current exercise is checked now and at each save, by a worker that stays warm.

A file's text decides, not the event: a save that changes nothing does nothing, and a change of another exercise
neither. Where the file system sends no events (some network mounts) the file is looked at once a second all the same.
On a terminal the screen is cleared before each check and single keys work; elsewhere lines follow each other.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import sys
import threading
from collections.abc import Iterator
from typing import Any

from warpbench.course import actions, bench, draw, show
from warpbench.course.catalogue import Exercise
from warpbench.course.runner import Course
from warpbench.errors import WarpbenchError

LOOK_S = 1.0  # how often the file is looked at without an event
DEBOUNCE_MS = 200  # an editor's save is several events
KEYS = (
    "n next   h hint   e explain   v view picture   l list   p predict",
    "r run again   c check all   x reset   b bench   q quit",
)


class Watch:
    """One session of `warpbench learn watch`."""

    def __init__(self, course: Course, exercise: Exercise, as_json: bool, manual: bool = False) -> None:
        self.course, self.exercise, self.as_json, self.manual = course, exercise, as_json, manual
        self.terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not as_json
        self.events: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.code = ""  # of the first finding of the last check
        self._stop = threading.Event()
        self._typing = threading.Event()  # a line is being typed: every key counts

    def run(self) -> None:
        """Check and wait, until Ctrl-C or the key q."""
        watcher = threading.Thread(target=self._saves, daemon=True)
        if not self.manual:
            watcher.start()
        try:
            with self._keys():
                self._serve()
        except KeyboardInterrupt:
            pass
        finally:
            self._stop.set()
            if not self.manual:
                watcher.join(timeout=2)
        if not self.as_json:
            self._say("stopped. Progress is kept: warpbench learn list")

    def _serve(self) -> None:
        seen: list[bytes] | None = None
        while True:
            if (now := self._texts()) != seen and not (self.manual and seen is not None):
                seen = now
                if self._check() == "q":
                    return
            try:
                event = self.events.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            if event == "q":
                return
            if event in "r\n" or (event == "n" and self._next()):
                seen = None
            elif event != "save":
                try:
                    self._answer(event)
                except WarpbenchError as error:
                    self._say(str(error))

    def _pressed(self) -> str:
        """What came while a check ran is dropped, but for q."""
        pressed = ""
        with contextlib.suppress(queue.Empty):
            while pressed != "q":
                pressed = self.events.get_nowait()
        return pressed

    def _texts(self) -> list[bytes]:
        """What the current exercise's files hold; empty for one that is being replaced or is gone."""
        out = []
        for name in self.exercise.files:
            try:
                out.append(self.exercise.path(name).read_bytes())
            except OSError:
                out.append(b"")
        return out

    # -- saying --------------------------------------------------------------------------------------------------
    def _check(self) -> str:
        """Check the exercise and show the verdict. "q" if that key was pressed meanwhile."""
        if self.terminal:
            self._say("\x1b[2J\x1b[H", end="")
        if not self.as_json:
            self._say(f"Checking `{self.exercise.id}` ({show.shown_path(self.exercise)}) ...")
        found = self.course.attempt(self.exercise)
        pressed = self._pressed()  # before the keys are shown again: from then on each of them counts
        self.code = found["findings"][0]["code"] if found["findings"] else ""
        following = self.course.after(self.exercise)
        if self.as_json:
            self._say(json.dumps({**found, "next": following.id if following else None}, default=str))
            return pressed
        mine = self.course.progress()
        for line in show.fitted([*show.question(self.exercise, mine), *show.verdict(self.exercise, found, following)]):
            self._say(line)
        self._say("")
        self._say(show.bar(self.course.exercises, mine))
        path = show.shown_path(self.exercise)
        self._say(
            f"Press Enter to check {path} (Ctrl-C ends)"
            if self.manual
            else f"Waiting for a save of {path} (Ctrl-C ends)"
        )
        if self.terminal:
            for line in KEYS:
                self._say(line)
        return pressed

    def _next(self) -> bool:
        """Go on to the next exercise, once this one is passed."""
        if not self.course.progress().passed(self.exercise.id, "bronze"):
            self._say("This one first: `n` goes on once it is passed at bronze.")
            return False
        following = self.course.after(self.exercise)
        if following is None:
            self._say("That was the last one: all exercises are passed.")
            return False
        self.exercise = following
        return True

    def _answer(self, key: str) -> None:
        """The keys that neither check nor go on."""
        lines: list[str] = []
        if key == "h":
            lines = show.hint(actions.hint(self.course, self.exercise))
        elif key == "e":
            lines = show.explained(show.explanation(self.code)) if self.code else ["There is no finding to explain."]
        elif key == "l":
            rows = show.plain(self.course.exercises, self.course.progress(), self.exercise.id)
            lines = show.listed(rows)
        elif key == "v":
            lines = draw.text(self.course.picture(self.exercise), show.colour())
        elif key == "x":
            kept = actions.reset(self.course, self.exercise)["kept"]
            lines = [f"Written as shipped; yours is kept as {path}" for path in kept] or ["It is as it was shipped."]
        elif key == "c":
            lines = show.again(self.course.check_again())
        elif key == "b":
            lines = bench.text(self.exercise, bench.measure(self.course, self.exercise))
        elif key == "p":
            lines = self._predict()
        for line in show.fitted(lines):
            self._say(line)

    def _predict(self) -> list[str]:
        """Ask for the number that the exercise wants to be predicted."""
        self._typing.set()
        self._say(f"{self.exercise.predict or 'This exercise asks for no prediction.'} ", end="")
        try:
            text = self._line() if self.exercise.predict else ""
        finally:
            self._typing.clear()
        try:
            value = float(text)
        except ValueError:
            return ["", "Nothing was noted: a number was wanted."]
        self.course.predict(self.exercise, value)
        return ["", f"Noted: {value:g}. The check says what it is."]

    def _line(self) -> str:
        """What is typed up to Enter, echoed; keys mean nothing meanwhile."""
        out = ""
        while (key := self.events.get()) != "\n":
            if len(key) == 1:
                out = out[:-1] if key in "\x7f\b" else out + key
                self._say("\b \b" if key in "\x7f\b" else key, end="")
        return out

    @staticmethod
    def _say(text: str, end: str = "\n") -> None:
        print(text, end=end, flush=True)

    # -- listening -----------------------------------------------------------------------------------------------
    def _saves(self) -> None:
        """Report each change below the folder of exercises. Ends quietly where it cannot be watched: LOOK_S goes on."""
        with contextlib.suppress(ImportError, OSError, RuntimeError):  # no watchfiles, no inotify, or none left
            import watchfiles

            for _ in watchfiles.watch(
                self.course.root, debounce=DEBOUNCE_MS, stop_event=self._stop, raise_interrupt=False, rust_timeout=500
            ):
                self.events.put("save")

    @contextlib.contextmanager
    def _keys(self) -> Iterator[None]:
        """On a terminal: report single keys, and leave the terminal as it was."""
        if not (self.terminal and sys.stdin.isatty()):
            if self.manual:
                threading.Thread(target=self._read_lines, daemon=True).start()
            yield
            return
        import termios
        import tty

        descriptor = sys.stdin.fileno()
        before: list[Any] = termios.tcgetattr(descriptor)
        reader = threading.Thread(target=self._read_keys, args=(descriptor,), daemon=True)
        try:
            tty.setcbreak(descriptor)
            reader.start()
            yield
        finally:
            self._stop.set()
            reader.join(timeout=2)
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

    def _read_keys(self, descriptor: int) -> None:
        while not self._stop.is_set():
            ready, _, _ = select.select([descriptor], [], [], 0.2)
            if ready:
                key = os.read(descriptor, 1).decode(errors="replace").lower()
                if not key:
                    return
                if key in "nhelvxcbprq\n" or self._typing.is_set():
                    self.events.put(key)

    def _read_lines(self) -> None:
        """Without a terminal: each line of standard input is Enter."""
        for _ in sys.stdin:
            self.events.put("\n")
