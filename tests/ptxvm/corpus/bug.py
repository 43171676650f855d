"""Small wrong kernels, and all that must be said of them.

The files `bugs_<dsl>.py` hold functions `bug_<name>()`, each below the kernel that it launches, and `bugs_<dsl>.txt`
the whole message for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import ptxvm
from tests.ptxvm.corpus import case as corpus
from warpbench import catalogue

VISITS = 5_000  # basic blocks that a kernel runs at most


@dataclass(frozen=True)
class Bug:
    """A launch that must be reported.

    tensors    as of a `case.Case`
    lines      source lines, for each `#` that stands within the first line of the message
    unwritten  a tensor that nobody has written, with the check that looks for it
    """

    launch: Callable[..., None]
    tensors: Mapping[str, Any]
    lines: tuple[str, ...] = ()
    unwritten: str = ""


def messages(dsl: str) -> dict[str, str]:
    """What must be said, by the name of a bug: with `:#` for the number of the source line whose text follows."""
    sections = (corpus.HERE / f"bugs_{dsl}.txt").read_text(encoding="utf-8").split("\n\n")
    parts = (section.strip().partition("\n") for section in sections)
    return {name: message for name, _, message in parts}


def numbered(message: str, lines: tuple[str, ...], file: Path) -> str:
    """A message with the line numbers of today. Each source line that is named stands once in the file."""
    source = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]

    def number(text: str) -> str:
        assert source.count(text) == 1, f"`{text}` must be one line of {file.name}"
        return str(source.index(text) + 1)

    first, _, rest = message.partition("\n")
    for text in lines:
        first = first.replace("#", number(text), 1)
    place = re.compile(r":#   (.*?)((?:   \((?:write|read|atomic)\))?)$", re.M)
    return first + "\n" + place.sub(lambda m: f":{number(m[1])}   {m[1]}{m[2]}", rest)


def names() -> list[str]:
    """Every bug as "dsl:name", by the text of the files."""
    return [
        f"{dsl}:{name}"
        for dsl in corpus.DSLS
        for name in re.findall(r"^def bug_(\w+)", _file(dsl).read_text(encoding="utf-8"), re.M)
    ]


def load(name: str) -> tuple[Bug, str]:
    """A bug by its name, and what must be said of it. The hooks of the DSL must be installed."""
    dsl, _, bug = name.partition(":")
    if dsl not in _modules:
        _modules[dsl] = catalogue.load_file(_file(dsl), f"bugs_{dsl}")
    one: Bug = getattr(_modules[dsl], f"bug_{bug}")()
    return one, numbered(messages(dsl)[bug], one.lines, _file(dsl))


_modules: dict[str, ModuleType] = {}


def _file(dsl: str) -> Path:
    return corpus.HERE / f"bugs_{dsl}.py"


def findings(bug: Bug, emulator: Any, checks: ptxvm.Checks | None = None) -> list[Any]:
    """What a launch reports, of all levels; a fault that stops it included."""
    launch = emulator.device.launch

    def forget_first(kernel: Any, grid: Any, block: Any, args: Any, **options: Any) -> Any:
        for arg in args:
            if isinstance(arg, ptxvm.Pointer) and arg.allocation.name == bug.unwritten:
                emulator.device.forget(arg)
        return launch(kernel, grid, block, args, **options)

    if bug.unwritten:
        checks = ptxvm.Checks(races="all", uninitialised_global=True)
    with mock.patch.object(emulator.device, "launch", forget_first):
        case = corpus.Case(bug.launch, bug.tensors, {})
        try:
            done = corpus.run(case, emulator, ptxvm.Schedule(max_visits=VISITS), checks)
        except ptxvm.Fault as fault:
            return fault.report.findings if fault.report else [fault.finding]
    return [finding for launch in done.launches for finding in launch.report.findings]
