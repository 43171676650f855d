"""What is wrong with an answer, as the course says it.

A *finding* is a dict, plain data for JSON:

    code, title, level   of findings.toml
    exercise, file       its id, the name of the learner's file
    lines                line numbers, the cause first; [] where there is no place
    thread, block        launch coordinates [x, y, z], or None
    evidence             lines of text: what was seen
    pattern              of wrong values ("tail", "shifted", ...), else ""
    next                 one question or step
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from warpbench import check as engine
from warpbench.course.catalogue import Exercise
from warpbench.course.contain import PRINT_BYTES, Stopped

Finding = dict[str, Any]
LINES = 12  # of a compiler's message that are shown


def finding(
    code: str,
    exercise: Exercise,
    file: str,
    evidence: str | Sequence[str],
    lines: Sequence[int] = (),
    pattern: str = "",
    next_step: str = "",
) -> Finding:
    """A finding; its title, level and, unless given, next step are those of findings.toml."""
    row = engine.finding_table()[code]
    return {
        "code": code, "title": row["title"], "level": row["level"], "exercise": exercise.id, "file": file,
        "lines": list(lines), "thread": None, "block": None,
        "evidence": [evidence] if isinstance(evidence, str) else list(evidence), "pattern": pattern,
        "next": next_step or row["next"],
    }  # fmt: skip


def sort(
    exercise: Exercise, files: Sequence[Path], found: Sequence[engine.Finding], case: str
) -> tuple[list[Finding], list[Finding]]:
    """The findings of a case: those that fail, the cause first, its consequences beneath it; and those only told."""
    failing = sorted((f for f in found if fails(f)), key=lambda f: (f["level"] != "fault", f["kind"] == "values"))
    causes = [f for f in failing if f["kind"] != "values"]
    out = [translated(exercise, one, files, case) for one in causes or failing]
    if causes:
        out[0]["evidence"] += [f"so: {f['message']}" for f in failing if f["kind"] == "values"]
    return out, [translated(exercise, one, files, case) for one in found if not fails(one)]


def fails(found: engine.Finding) -> bool:
    """Whether it fails an answer. A lint of ptxvm does if its code is a bronze one that every exercise is judged by."""
    row = engine.finding_table().get(found["code"] or "", {})
    return found["level"] != "lint" or (row.get("level") == "bronze" and not row.get("listed"))


def translated(exercise: Exercise, found: engine.Finding, files: Sequence[Path], case: str) -> Finding:
    """A finding of the engine as one of the course."""
    code = found["code"] or "E2"
    name = Path(found["file"]).name if found.get("file") else files[0].name
    lines = [found["line"]] if found.get("line") else []
    if found["kind"] == "values":
        evidence = [found["evidence"], f"at {case}"]
        return finding(code, exercise, name, evidence, lines, found["pattern"], found["guess"])
    if "detail" not in found:  # raised by the file itself, or refused at the launch
        return finding(code, exercise, name, [*str(found["message"]).splitlines()[:LINES], f"at {case}"], lines)
    evidence = [found["detail"]]
    if found["other"]:
        lines += [found["other"]["line"]] if found["other"]["line"] else []
        evidence += [f"{_who(side)}{_at_line(side)}" for side in (found, found["other"])]
    elif found["thread"]:
        more = f" ({found['count']:,} threads of the launch do)" if found["count"] > 1 else ""
        evidence = [f"{found['detail']} by {_who(found)}{more}{_at_line(found)}"]
    if found["object"]:
        evidence.append(found["object"])
    out = finding(code, exercise, name, [*evidence, f"at {case}"], lines)
    out["thread"] = list(found["thread"]) if found["thread"] else None
    out["block"] = list(found["block"]) if found["block"] else None
    return out


def raised(exercise: Exercise, error: BaseException, files: Sequence[Path]) -> Finding:
    """An exception of the learner's file, at its line there."""
    if isinstance(error, SystemExit):
        error = Stopped("it leaves the program (sys.exit)").with_traceback(error.__traceback__)
    found = engine.exception_finding(error, files)
    name = Path(found["file"]).name if found["file"] else files[0].name
    return finding("E2", exercise, name, found["message"], [found["line"]] if found["line"] else [])


def name_print_storm(found: Sequence[Finding]) -> None:
    """Say what the limit on printing means, in place of the operating system's words for it."""
    for one in found:
        if any("OSError" in line and "File too large" in line for line in one["evidence"]):
            one["evidence"] = [f"it prints without end: more than {PRINT_BYTES >> 20} MiB"]


def _who(found: engine.Finding) -> str:
    """`thread 1 of block 0`"""
    return f"thread {_position(found['thread'])} of block {_position(found['block'])}"


def _at_line(found: engine.Finding) -> str:
    """`, line 25: out[i] = x[i] + y[i]`"""
    return f", line {found['line']}: {found['text']}" if found["line"] else ""


def _position(position: Sequence[int]) -> str:
    """A coordinate as a number where there is only one dimension."""
    return str(position[0]) if tuple(position[1:]) == (0, 0) else f"({', '.join(map(str, position))})"
