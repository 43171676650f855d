"""An exercise is cut from its solution: one text, two readings.

    # hole: 2 lines. Which threads may write?        becomes   # --- your code (2 lines): Which threads may write?
    #| out[i] = a[i]                                            out[i] = a[i]
    if i < out.size:                                            # --- end of your code
        out[i] = a[i]
    # end hole

Lines after `#|` are what is shipped in place of the answer. CUDA C++ uses `//` for `#`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HOLE = re.compile(r"^(?P<indent>\s*)(?P<mark>#|//) hole: (?P<lines>\d+) lines?\. (?P<question>.+)$")
SHIPPED = re.compile(r"^(?P<indent>\s*)(?P<mark>#|//)\| ?(?P<text>.*)$")
END = re.compile(r"^\s*(#|//) end hole\s*$")
BEGIN_CUT = re.compile(r"^\s*(#|//) --- your code \(\d+ lines?\): ")
END_CUT = re.compile(r"^\s*(#|//) --- end of your code\s*$")


class CutError(ValueError):
    """A solution whose marks do not fit: the message names the line."""


@dataclass(frozen=True)
class Cut:
    """What a solution gives: the exercise as shipped, and the solution without its marks."""

    exercise: str
    solution: str
    holes: int


def cut(text: str, name: str) -> Cut:
    """Cut an exercise from the text of its solution. Raises CutError for marks that do not match.

    A file may have no hole: the launch that is given with a kernel. `catalogue.check` wants one in some file of each.
    """
    exercise: list[str] = []
    solution: list[str] = []
    inside = False
    holes = shipped = answered = 0
    for number, line in enumerate(text.splitlines(), 1):
        start, end, start_line = HOLE.match(line), END.match(line), SHIPPED.match(line)
        if start:
            if inside:
                raise CutError(f"{name}:{number}: a hole inside a hole")
            inside, shipped, answered = True, 0, 0
            holes += 1
            plural = "line" if start["lines"] == "1" else "lines"
            head = f"{start['indent']}{start['mark']} --- your code ({start['lines']} {plural}): {start['question']}"
            exercise.append(head)
            mark, wanted, indent = start["mark"], int(start["lines"]), start["indent"]
        elif end:
            if not inside:
                raise CutError(f"{name}:{number}: `end hole` without a hole")
            if answered != wanted:
                raise CutError(f"{name}:{number}: the hole says {wanted} lines, its answer has {answered}")
            if not shipped:
                raise CutError(f"{name}:{number}: nothing is shipped in this hole (lines after `{mark}|`)")
            exercise.append(f"{indent}{mark} --- end of your code")
            inside = False
        elif inside and start_line:
            exercise.append(f"{start_line['indent']}{start_line['text']}".rstrip())
            shipped += 1
        elif inside:
            solution.append(line)
            answered += 1
        else:
            exercise.append(line)
            solution.append(line)
    if inside:
        raise CutError(f"{name}: the last hole has no end")
    return Cut("\n".join(exercise) + "\n", "\n".join(solution) + "\n", holes)


def outside_holes(text: str) -> list[str]:
    """The lines of an exercise that are not the learner's, to see whether something else was changed."""
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        if BEGIN_CUT.match(line):
            inside = True
            kept.append(line.strip())
        elif END_CUT.match(line):
            inside = False
            kept.append(line.strip())
        elif not inside:
            kept.append(line.rstrip())
    while kept and not kept[-1]:
        kept.pop()
    return kept
