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

import ast
import linecache
import re
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
        return _refused(exercise, found, files, case)
    evidence = [_act(found)]
    if found["other"]:
        lines += [found["other"]["line"]] if found["other"]["line"] else []
        evidence = [found["detail"], *(f"{_who(side)}{_at_line(side)}" for side in (found, found["other"]))]
        evidence += [f"the word: {_object(found)}"] if found["object"] else []
    elif found["line"]:
        more = f"   ({found['count']:,} threads of the launch do)" if found["count"] > 1 and found["thread"] else ""
        evidence.append(f"line {found['line']}: {found['text']}{more}")
    out = finding(code, exercise, name, [*evidence, f"at {case}"], lines)
    out["thread"] = list(found["thread"]) if found["thread"] else None
    out["block"] = list(found["block"]) if found["block"] else None
    return out


def _act(found: engine.Finding) -> str:
    """Who does what to which element: `thread 1 of block 0 reads x[1]: first element past the end, x has 1 element`."""
    detail, what = str(found["detail"]), _object(found)
    does = re.fullmatch(r"(load|store|atomic) of (\d+) bytes(.*)", detail)
    if found["thread"] and does and what:
        verb = {"load": "reads", "store": "writes", "atomic": "changes"}[does[1]]
        wide = f" ({does[2]} bytes at once)" if int(does[2]) > 4 else ""
        return f"{_who(found)} {verb}{wide} {what}{does[3]}"
    return "; ".join(filter(None, [f"{_who(found)}: {detail}" if found["thread"] else detail, what]))


def _object(found: engine.Finding) -> str:
    """The tensor and index, with its size in words."""
    sized = re.sub(r"(\w+) is \((\d+),\)", r"\1 has \2 elements", str(found["object"]))
    return re.sub(r"\b1 elements", "1 element", re.sub(r"(, byte \d+) \(shared memory byte \d+\)", r"\1", sized))


# Lines of a compiler that say nothing about the learner's code.
NOISE = re.compile(
    r"\s*(?:$|(NumbaRuntimeError: )?Failed in \w+ mode|During: |.*<source elided>|- Resolution failure|raised from "
    r"|None$|There are \d+ candidate|- Of which|Overload |With argument|No match|Rejected as|\^|File \")"
)
TITLES = {"compile error": "does not compile", "launch refused": "the launch is refused"}
# what Numba says -> what it means here
MEANS = {
    "NRT required": "an array is made inside the kernel; a thread works on single elements: x[i], not x or x[:]",
    "Function(<built-in function setitem>)": "what stands right of = has not the type of one element: is it indexed?",
}
# what Numba calls an operator -> how it is written, its node
OPERATORS = {
    "lt": ("<", ast.Lt), "le": ("<=", ast.LtE), "gt": (">", ast.Gt), "ge": (">=", ast.GtE), "eq": ("==", ast.Eq),
    "ne": ("!=", ast.NotEq), "add": ("+", ast.Add), "sub": ("-", ast.Sub), "mul": ("*", ast.Mult),
    "truediv": ("/", ast.Div), "floordiv": ("//", ast.FloorDiv), "mod": ("%", ast.Mod), "pow": ("**", ast.Pow),
    "lshift": ("<<", ast.LShift), "rshift": (">>", ast.RShift), "and": ("&", ast.BitAnd), "or": ("|", ast.BitOr),
    "xor": ("^", ast.BitXor),
}  # fmt: skip
NOT_DEFINED = re.compile(r"Function\(<built-in function i?(\w+?)_?>\) found for signature:\s+>>> \w+\((.*)\)")
# types as Numba writes them -> in words
WORDS = (
    (r"(?:Uni)?Tuple\([^()]*\)", "a tuple"),
    (r"Function\(<(?:built-in )?function (\w+)[^>]*>\)", r"the function \1"),
    (r"array\((\w+), \d+d, \w\)", r"a whole array of \1"),
)


def _not_defined(text: str) -> tuple[str, type[ast.AST]] | None:
    """What Numba says of an operator that the types do not have, in a line, and the operator's node."""
    said = NOT_DEFINED.search(text)
    if not said or said[1] not in OPERATORS:
        return None
    sign, node = OPERATORS[said[1]]
    types = said[2]
    for written, words in WORDS:
        types = re.sub(written, words, types)
    return f"`{sign}` is not defined for {' and '.join(types.split(', '))}", node


def _refused(exercise: Exercise, found: engine.Finding, files: Sequence[Path], case: str) -> Finding:
    """An exception of the learner's file, or what a compiler or a launch said, down to the words that matter."""
    text = re.sub(r"^\S+:\d+ (?:raises )?", "", str(found["message"]))
    file, line = _spoken_of(text, files) or (found.get("file") or str(files[0]), found.get("line"))
    shown = list(dict.fromkeys(text.splitlines()))
    if found["kind"] == "compile error":
        own = {row.strip() for row in linecache.getlines(file)}
        shown = [row for row in shown if not NOISE.match(row) and row.strip() not in own] or shown
        if operator := _not_defined(text):
            shown = [operator[0]]
        elif meant := [means for said, means in MEANS.items() if said in text]:
            shown = [*meant, *shown[:2]]
    source = linecache.getline(file, line).strip() if line else ""
    evidence = [*([f"line {line}: {source}"] if source else []), *shown[:LINES], f"at {case}"]
    out = finding(found["code"] or "E2", exercise, Path(file).name, evidence, [line] if line else [])
    if out["code"] == "E2":
        out["title"] = TITLES.get(found["kind"], "an exception was raised")
    return out


def _spoken_of(text: str, files: Sequence[Path]) -> tuple[str, int] | None:
    """The line of the learner's file that a message speaks of.

    For an unknown name that is the first use of it, for an operator the only one.
    """
    operator = _not_defined(text)
    unknown = re.search(r"name '(\w+)' is not defined|has no attribute '(\w+)'", text)
    for path in files:
        named = re.findall(rf'{re.escape(path.name)}(?:", line |:| \()(\d+)', text)
        if named:
            return str(path), int(named[-1])
        number = None
        if operator:
            number = _only_in_a_kernel(path, operator[1])
        elif unknown:
            number = _first_use(path, unknown[1] or unknown[2])
        if number:
            return str(path), number
    return None


def _only_in_a_kernel(path: Path, operator: type[ast.AST]) -> int | None:
    """The line of a function with a decorator, so of a kernel, that uses an operator; None where several do."""
    try:
        module = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    kernels = [one for one in module.body if isinstance(one, ast.FunctionDef) and one.decorator_list]
    lines = {
        node.lineno
        for kernel in kernels
        for node in ast.walk(kernel)
        if isinstance(node, ast.BinOp | ast.AugAssign | ast.Compare)
        if any(isinstance(one, operator) for one in (node.ops if isinstance(node, ast.Compare) else [node.op]))
    }
    return lines.pop() if len(lines) == 1 else None


def _first_use(path: Path, name: str) -> int | None:
    """The first line of a Python file that uses a name, or an attribute of that name."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    except (OSError, SyntaxError, ValueError):
        return None
    names = [one.lineno for one in nodes if isinstance(one, ast.Name) and one.id == name]
    return min(
        [*names, *(one.lineno for one in nodes if isinstance(one, ast.Attribute) and one.attr == name)], default=None
    )


def raised(exercise: Exercise, error: BaseException, files: Sequence[Path]) -> Finding:
    """An exception of the learner's file, at its line there."""
    if isinstance(error, SystemExit):
        error = Stopped("it leaves the program (sys.exit)").with_traceback(error.__traceback__)
    found = engine.exception_finding(error, files)
    return _refused(exercise, found, files, "loading")


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
