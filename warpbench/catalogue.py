"""The operations and rungs that are there: found by path, loaded one by one, proved to agree with the files.

Listing imports `kernels/*/op.py` only, which import nothing heavy; a DSL is imported when `function` is asked for a
rung. `root` is the folder that holds the operation folders; None means this repository's `kernels/`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from warpbench import errors
from warpbench.contract import DSLS, ITEMSIZE, Operation, Rung
from warpbench.errors import EnvironmentProblem, KernelWrong, UsageError, unknown

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ROOT / "kernels"


# -- finding and loading -------------------------------------------------------------------------------------------
@cache
def operations(root: Path | None = None) -> Mapping[str, Operation]:
    """All operations by name, in alphabetical order.

    Raises KernelWrong for an op.py that does not load, EnvironmentProblem where another package `kernels` hides ours.
    """
    folder = root or KERNELS
    found = {}
    for path in sorted(folder.glob("*/op.py")):
        operation = getattr(_load(folder, path), "OPERATION", None)
        if not isinstance(operation, Operation):
            raise KernelWrong(f"{_shown(path)} has no OPERATION = Operation(...). Nothing was listed.")
        found[path.parent.name] = operation
    return found


def rungs(root: Path | None = None) -> list[tuple[Operation, Rung]]:
    """Every rung of every operation, ladder by ladder."""
    return [(operation, rung) for operation in operations(root).values() for rung in operation.ladder]


def select(pattern: str | None, root: Path | None = None) -> list[tuple[Operation, Rung]]:
    """The rungs that OP, OP/DSL, OP/DSL/RUNG or OP/RUNG names; all of them for None or "".

    With * or ? in it the pattern is the shell's: "*/triton", "gemm_*", "*/naive*".
    Raises UsageError with the nearest names.
    """
    if not pattern:
        return rungs(root)
    if "*" in pattern or "?" in pattern:
        paths = {operation.rung_path(rung): (operation, rung) for operation, rung in rungs(root)}
        matching = [pick for path, pick in paths.items() if fnmatch(path, pattern) or fnmatch(path, f"{pattern}/*")]
        if not matching:
            raise UsageError(f'no rung matches "{pattern}". Nothing was run. See all of them: warpbench list')
        return matching
    name, *rest = pattern.strip("/").split("/")
    every = operations(root)
    if name not in every:
        raise unknown("operation", name, every, "Nothing was run")
    operation = every[name]
    if len(rest) > 2:
        raise UsageError(f'"{pattern}" has too many parts: write OP, OP/DSL or OP/DSL/RUNG. Nothing was run.')
    chosen = list(operation.ladder)
    if rest and rest[0] in DSLS:
        chosen = [rung for rung in chosen if rung.dsl == rest[0]]
        if not chosen:
            raise UsageError(f"{name} has no {rest[0]} rung. Nothing was run. It has: {_dsls(operation)}.")
        rest = rest[1:]
    elif len(rest) == 2:
        raise unknown("DSL", rest[0], DSLS, "Nothing was run")
    if rest:
        named = [rung for rung in chosen if rung.name == rest[0]]
        if not named:
            choices = {operation.rung_path(rung): rung for rung in chosen}
            if rest == [pattern.split("/")[1]]:  # the second of two parts: a DSL may have been meant
                raise unknown("DSL or rung", rest[0], [*DSLS, *(rung.name for rung in chosen)], "Nothing was run")
            raise unknown("rung", pattern, choices, "Nothing was run")
        chosen = named
    return [(operation, rung) for rung in chosen]


def function(operation: Operation, rung: Rung, root: Path | None = None) -> Callable[..., None]:
    """The rung's function. Imports its module, and so its DSL.

    Raises EnvironmentProblem for a missing package, KernelWrong for a file that does not load or lacks the name.
    """
    path = (root or KERNELS) / operation.name / f"{rung.module}.py"
    if not path.exists():
        raise KernelWrong(f"{_shown(path)} is not there, but op.py names {rung.where}. Nothing was run.")
    module = _load(root or KERNELS, path)
    found: Callable[..., None] | None = getattr(module, rung.name, None)
    if not callable(found):
        raise KernelWrong(f"{_shown(path)} defines no `{rung.name}`, but op.py has a row for it. Nothing was run.")
    return found


def _load(folder: Path, path: Path) -> ModuleType:
    """Import the module at `path`, which is folder/<operation>/<module>.py."""
    operation, stem = path.parent.name, path.stem
    try:
        if folder == KERNELS:
            _ours()
            return importlib.import_module(f"kernels.{operation}.{stem}")
        name = f"kernels_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}.{operation}.{stem}"
        return sys.modules.get(name) or load_file(path, name)
    except ModuleNotFoundError as error:
        raise errors.missing_package(error.name) from error
    except SyntaxError as error:
        raise KernelWrong(f"{_shown(path)}:{error.lineno} does not parse: {error.msg}. Nothing was run.") from error
    except errors.WarpbenchError:
        raise
    except Exception as error:
        line = line_in(error, [path])
        place = f"{_shown(path)}:{line[1]}" if line else _shown(path)
        raise KernelWrong(
            f"{place} raises {type(error).__name__} when it is loaded: {error}. Nothing was run."
        ) from error


def load_file(path: Path, name: str) -> ModuleType:
    """Execute a Python file as the module `name`, and leave it in sys.modules (JIT compilers look it up there)."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _ours() -> None:
    """Make sure that `import kernels` finds this repository's."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    package = importlib.import_module("kernels")
    places = [Path(place).resolve() for place in package.__path__]
    if KERNELS not in places:
        raise EnvironmentProblem(
            f"another package called `kernels` is imported first: {places[0] if places else package}. "
            f"Nothing was listed. Run from {ROOT}, or remove it from this environment."
        )


def line_in(error: BaseException, files: Iterable[Path]) -> tuple[Path, int] | None:
    """The innermost place of an exception's traceback that lies in one of these files."""
    wanted = {path.resolve() for path in files}
    place = None
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.resolve() in wanted:
            place = (file, trace.tb_lineno)
        trace = trace.tb_next
    return place


# -- identity ------------------------------------------------------------------------------------------------------
def source_files(operation: Operation, rung: Rung, root: Path | None = None) -> tuple[Path, ...]:
    """The files that hold a rung: in_<dsl>.py, and the .cu beside it if there is one."""
    python = (root or KERNELS) / operation.name / f"{rung.module}.py"
    return tuple(path for path in (python, python.with_suffix(".cu")) if path.exists())


def rung_sha256(operation: Operation, rung: Rung, root: Path | None = None) -> str:
    """Hash of the rung's function, of every module-level name that it reaches, and of the whole .cu file.

    Comments and layout of Python do not count. An unparsable file is hashed as it is.
    """
    digest = hashlib.sha256(rung.where.encode())
    for path in source_files(operation, rung, root):
        text = path.read_text(encoding="utf-8")
        digest.update(text.encode() if path.suffix == ".cu" else _reached(text, rung.name).encode())
    return digest.hexdigest()


def _reached(text: str, name: str) -> str:
    """The module-level statements that `name` needs, transitively, as normalised text."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return text
    defines: dict[str, list[int]] = {}
    always: list[int] = []  # statements that define nothing by name: they may do anything
    for i, node in enumerate(tree.body):
        names = _defined(node)
        for one in names:
            defines.setdefault(one, []).append(i)
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not names and not is_text:
            always.append(i)
    wanted, todo = set(always), [*always, *defines.get(name, [])]
    while todo:
        i = todo.pop()
        wanted.add(i)
        for part in ast.walk(tree.body[i]):
            if isinstance(part, ast.Name):
                todo += [j for j in defines.get(part.id, []) if j not in wanted]
                wanted.update(defines.get(part.id, []))
    return "\n".join(ast.unparse(tree.body[i]) for i in sorted(wanted))


def _defined(node: ast.stmt) -> list[str]:
    """The module-level names that a statement binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets: Sequence[ast.expr] = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
    return []


# -- proof that rows and files agree -------------------------------------------------------------------------------
def check(root: Path | None = None) -> list[str]:
    """Every way in which rows and files disagree, one sentence each. Imports no DSL."""
    folder = root or KERNELS
    if not any(folder.glob("*/op.py")):
        return [f"{_shown(folder)} holds no operation: there is no */op.py in it."]
    try:
        every = operations(root)
    except errors.WarpbenchError as error:
        return [str(error)]
    problems: list[str] = []
    for name, operation in every.items():
        problems += _check_operation(folder / name, operation)
    strays = {path.parent for path in folder.glob("*/in_*.py")} - {folder / name for name in every}
    problems += [f"{_shown(stray)} holds kernels, but no op.py." for stray in sorted(strays)]
    return problems


def _check_operation(folder: Path, operation: Operation) -> list[str]:
    place = _shown(folder)
    problems = []
    if operation.name != folder.name:
        problems.append(f'{place}: op.py says name="{operation.name}", but the folder is {folder.name}.')
    if not (folder / "__init__.py").exists():
        problems.append(f"{place}: __init__.py is missing (it is empty).")
    if not operation.ladder:
        problems.append(f"{place}: the ladder has no rung.")
    for group in ("tiny", "ragged", "large"):
        shapes = getattr(operation.shapes, group)
        if not shapes:
            problems.append(f"{place}: there are no {group} shapes.")
        problems += [
            f"{place}: {group} shape {dict(shape)} does not have the axes {', '.join(operation.axes)}."
            for shape in shapes
            if tuple(shape) != tuple(operation.axes)
        ]
    if problems:
        return problems  # what follows needs sound shapes
    for rung in operation.ladder:
        problems += [f"{operation.rung_path(rung)}: {text}" for text in _check_rung(operation, rung)]
    for file in sorted(
        {*(f"{rung.module}.py" for rung in operation.ladder), *(p.name for p in folder.glob("in_*.py"))}
    ):
        problems += _check_functions(folder / file, operation)
    seen = [operation.rung_path(rung) for rung in operation.ladder]
    problems += [
        f"{path} stands twice in the ladder." for path in sorted({path for path in seen if seen.count(path) > 1})
    ]
    return problems


def _check_rung(operation: Operation, rung: Rung) -> Iterable[str]:
    if not re.fullmatch(r"in_[a-z0-9_]+:[a-z][a-z0-9_]*", rung.where):
        yield f'where is "{rung.where}"; it must be "in_<dsl>:<function>" in snake case.'
        return
    if rung.dsl not in DSLS:
        yield f"there is no DSL {rung.dsl}; known: {', '.join(DSLS)}."
    if not rung.idea.strip():
        yield "the idea is empty."
    for dtype in rung.dtypes:
        if dtype not in ITEMSIZE:
            yield f"dtype {dtype} is unknown; known: {', '.join(ITEMSIZE)}."
    for condition in rung.shows:
        if not re.fullmatch(r"sm_\d+[af]?\+?", condition):
            yield f'shows has the condition "{condition}"; it must look like "sm_86" or "sm_80+".'
    try:
        if not any(rung.serves(shape) for shape in operation.shapes.tiny):
            yield f"when={rung.when!r} leaves it no tiny shape, so ptxvm would never run it."
        if not any(rung.serves(shape) for shape in operation.shapes.large):
            yield f"when={rung.when!r} leaves it no large shape, so it would never be timed."
    except Exception as error:
        yield f"when={rung.when!r} cannot be evaluated: {error}."
    from warpbench import hardware

    for need in rung.needs:
        try:
            hardware.lookup(need)
        except LookupError as error:
            yield f"needs={need!r}: {error}"


def _check_functions(path: Path, operation: Operation) -> list[str]:
    """Rows without a function, and public functions without a row, of one in_<dsl>.py."""
    if not path.exists():
        return [f"{_shown(path)} is not there, but op.py names it."]
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        return [f"{_shown(path)}:{error.lineno} does not parse: {error.msg}."]
    public = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")}
    rows = {rung.name for rung in operation.ladder if rung.module == path.stem}
    problems = [
        f"{_shown(path)} defines `{name}`, but op.py has no row for it. "
        "Add a Rung, or start its name with an underscore."
        for name in public
        if name not in rows
    ]
    problems += [
        f"{_shown(path)} defines no `{name}`, but op.py has a row for it." for name in sorted(rows - set(public))
    ]
    for name in sorted(rows & set(public)):
        arguments = public[name].args
        optional = len(arguments.defaults)
        if optional:
            problems.append(
                f"{_shown(path)}: `{name}` has optional positional arguments; tile sizes are keyword-only (after `*`)."
            )
        if any(default is None for default in arguments.kw_defaults):
            problems.append(f"{_shown(path)}: `{name}` has a keyword argument without a default.")
    return problems


# -- small helpers -------------------------------------------------------------------------------------------------
def _dsls(operation: Operation) -> str:
    return ", ".join(dict.fromkeys(rung.dsl for rung in operation.ladder))


def _shown(path: Path) -> str:
    """A path as a learner would type it from the repository root."""
    try:
        return str(path.relative_to(ROOT))
    except ValueError:
        return str(path)


def plain(operation: Operation, rung: Rung) -> dict[str, Any]:
    """A rung as plain data, for `list --json`."""
    return {
        "rung": operation.rung_path(rung),
        "operation": operation.name,
        "dsl": rung.dsl,
        "name": rung.name,
        "idea": rung.idea,
        "needs": list(rung.needs),
        "dtypes": list(rung.dtypes),
        "accumulator": rung.accumulator,
        "when": rung.when,
        "shows": {condition: list(claims) for condition, claims in rung.shows.items()},
        "counts": rung.counts,
    }
