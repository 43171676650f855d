"""The learner's files: are they as shipped outside of the marks, do they parse, and what function do they define?

A file is executed anew each time under a module name of its own: caches of byte code, of source lines and of compiled
kernels would otherwise hand out an earlier text of it.
"""

from __future__ import annotations

import difflib
import linecache
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from warpbench.course.catalogue import Exercise
from warpbench.course.cut import outside_holes
from warpbench.course.findings import Finding, finding, raised
from warpbench.errors import EnvironmentProblem, missing_package

PARSE = "Which character does Python miss, on this line or at the end of the one above?"
NEEDED = ("torch", "triton", "numba", "cupy", "numpy")  # packages whose absence is the environment's fault
_loaded: list[str] = []  # names of the modules of learners' files that this process executed


def read(exercise: Exercise, files: Sequence[Path], marks: bool) -> tuple[Callable[..., None] | None, list[Finding]]:
    """The learner's function, or the finding that says why there is none."""
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            evidence = (
                f"the file is not there. Nothing was checked. To get it back: warpbench learn reset {exercise.id}"
            )
            return None, [finding("E1", exercise, path.name, evidence)]
        except UnicodeDecodeError as error:
            return None, [finding("E1", exercise, path.name, f"it is not UTF-8 text: {error}")]
        changed = _changed(exercise, path, text) if marks else None
        try:
            if path.suffix == ".py":
                compile(text, str(path), "exec")
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            shown = (getattr(error, "text", "") or "").strip()
            reason = f"it does not parse: {getattr(error, 'msg', error)}" + (f", at: {shown}" if shown else "")
            return None, [finding("E1", exercise, path.name, reason, [line] if line else [], next_step=PARSE)]
        if changed:
            return None, [changed]
    try:
        module = _load(exercise, next(path for path in files if path.name == exercise.module))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in NEEDED:
            raise missing_package(error.name) from None
        return None, [raised(exercise, error, files)]
    except EnvironmentProblem:
        raise
    except (Exception, SystemExit) as error:
        return None, [raised(exercise, error, files)]
    function = getattr(module, exercise.id, None)
    if not callable(function):
        return None, [finding("E2", exercise, exercise.module, f"it defines no function `{exercise.id}`")]
    return function, []


def _changed(exercise: Exercise, path: Path, text: str) -> Finding | None:
    """Whether something outside the marks differs from the shipped text: the first such line."""
    shipped, mine = outside_holes(exercise.cut(path.name).exercise), outside_holes(text)
    if shipped == mine:
        return None
    for kind, i, _, j, k in difflib.SequenceMatcher(None, shipped, mine, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        new = mine[j] if j < k else ""
        was = shipped[i] if i < len(shipped) and kind != "insert" else ""
        numbered = [n for n, line in enumerate(text.splitlines(), 1) if line.rstrip() == new or line.strip() == new]
        what = f"changed: `{was.strip()}` became `{new.strip()}`" if was and new.strip() else ""
        what = what or (f"removed: `{was.strip()}`" if was.strip() else f"added: `{new.strip()}`")
        evidence = f"text outside of the marks was {what}. Nothing was run."
        return finding("E1", exercise, path.name, evidence, numbered[:1] if new.strip() else [])
    return None


def _load(exercise: Exercise, path: Path) -> ModuleType:
    """Execute a file as a new module; the one before it is forgotten."""
    if _loaded:
        sys.modules.pop(_loaded[-1], None)
    linecache.clearcache()
    module = ModuleType(f"exercise_{len(_loaded)}_{exercise.id}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # JIT compilers look it up there
    _loaded.append(module.__name__)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module
