"""Which line of the kernel file an instruction belongs to.

A `.loc` names where an instruction comes from; where it was inlined from another function,
`inlined_at` names the place of the call, which has a `.loc` of its own further up, and so on
outwards. What counts is the outermost frame in the file that holds the kernel. Triton writes the
chain only as a comment: `// a.py:3:1 @[ b.py:9:4 ]`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ptxvm.types import Source

Place = tuple[int, int, int]  # file number, line, column
Frame = tuple[str, int]  # file, line

# The text of the two directives, for the scanners of a module and of a body.
FILE = r'\.file\s+(\d{1,9})\s+"((?:[^"\\\n]|\\.)*+)"(?:\s*,\s*\d+\s*,\s*\d+)?\s*;?'
LOC = (
    r"\.loc\s+(\d{1,9})\s+(\d{1,9})\s+(\d{1,9})"
    r"(?:\s*,\s*function_name\s+[\w$.]+(?:\s*\+\s*\d+)?"
    r"\s*,\s*inlined_at\s+(\d{1,9})\s+(\d{1,9})\s+(\d{1,9}))?\s*;?"
)

_FRAME = re.compile(r"\s*([^@\[\]]+?):(\d{1,9}):\d{1,9}\s*")


def chain_of_comment(comment: str) -> list[Frame]:
    """(base name, line) of each frame in `a.py:3:1 @[ b.py:9:4 ]`, innermost first, else []."""
    frames = []
    for piece in comment.replace("]", " ").split("@["):
        m = _FRAME.fullmatch(piece)
        if not m:
            return []
        frames.append((m[1], int(m[2])))
    return frames


class LineTable:
    """The `.loc` places of one function, in order of the text.

    files     the `.file` table
    comments  line of the PTX text -> comment behind its `.loc`
    """

    def __init__(self, files: Mapping[int, str], comments: Mapping[int, str]) -> None:
        self._files, self._comments = files, comments
        self._chains: dict[Place, tuple[Frame, ...]] = {}  # latest chain of each place, innermost first
        self._kernel_file: str | None = None
        self._known: dict[tuple[Place, Place | None, str], Source | None] = {}
        self.current: Source | None = None

    def loc(self, place: Place, inlined_at: Place | None, ptx_line: int) -> None:
        """A `.loc`. Line 0 means that the compiler knows no line: the one before stays."""
        comment = self._comments.get(ptx_line, "")
        if inlined_at is None and not comment:  # the usual case, and a frame of its own
            key = (place, None, "")
            if key in self._known:
                self._chains[place] = ((self._name(place), place[1]),)
                self.current = self._known[key] or self.current
                return
        frames: tuple[Frame, ...] = ((self._name(place), place[1]),)
        if inlined_at is not None:
            outer = self._chains.get(inlined_at) or ((self._name(inlined_at), inlined_at[1]),)
            frames = (frames + outer)[:256]  # recursion of places cannot grow without end
        elif comment:
            frames += tuple((self._path(name), line) for name, line in chain_of_comment(comment)[1:])
        self._chains[place] = frames
        if self._kernel_file is None:
            self._kernel_file = frames[-1][0]
        source = self._outermost(frames)
        if inlined_at is None and not comment:
            self._known[(place, None, "")] = source
        self.current = source or self.current

    def _outermost(self, frames: tuple[Frame, ...]) -> Source | None:
        named = [f for f in frames if f[1] > 0]
        for file, line in reversed(named):
            if file == self._kernel_file:
                return Source(file, line)
        return Source(*named[-1]) if named else None

    def _name(self, place: Place) -> str:
        return self._files.get(place[0], f"<file {place[0]}>")

    def _path(self, base_name: str) -> str:
        """The `.file` entry that a base name of a comment means."""
        for path in (self._kernel_file or "", *self._files.values()):
            if path == base_name or path.endswith("/" + base_name):
                return path
        return base_name
