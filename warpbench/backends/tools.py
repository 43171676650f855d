"""NVIDIA's command-line tools: which assembler a DSL would use itself, where it is, and what it says.

ptxas       assembles PTX: CUDA's own for Numba and CUDA C++, one of the two in Triton's wheel for Triton
nvdisasm    takes the machine code apart: it comes in Triton's wheel, not in that of nvcc
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from warpbench.errors import EnvironmentProblem

NVCC_WHEEL = "nvidia-cuda-nvcc>=13.0,<13.1"
# Triton 3.7 and newer give this to ptxas, around a fault of ptxas 13 (CUDABackend.make_cubin); 3.6 does not
TRITON_OPTIONS = ("--regAllocOptLevel=2",)


@dataclass(frozen=True)
class Tool:
    """A program, its version ("13.0.88") and the options that its user always gives."""

    path: str
    version: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{Path(self.path).name} {self.version}"


@dataclass(frozen=True)
class Said:
    """What a tool answered: its exit status, standard output and standard error."""

    status: int
    out: str
    err: str


def assembler(dsl: str, target: str) -> Tool:
    """The ptxas that this DSL would use for a target such as "sm_90a".

    Raises EnvironmentProblem, with the line that installs it, where there is none.
    """
    if dsl != "triton":
        return ptxas()
    number = int(re.sub(r"\D", "", target) or 0)
    try:
        from triton import __version__ as version
        from triton.backends.nvidia.compiler import get_ptxas

        path = get_ptxas(number).path
    except ImportError as error:
        raise _missing("ptxas of Triton", "triton", "Nothing was assembled") from error
    except RuntimeError as error:  # Triton is there, its ptxas is not
        raise _missing("ptxas of Triton", "--force-reinstall triton", "Nothing was assembled") from error
    since = tuple(int(part) for part in version.split(".")[:2])
    return _tool(str(path), TRITON_OPTIONS if since >= (3, 7) else ())


def ptxas() -> Tool:
    """CUDA's own ptxas, of the nvcc wheel or of an installed toolkit. Raises EnvironmentProblem where there is none."""
    found = _first("ptxas", _pathfinder, lambda name: _of_wheel("nvidia-cuda-nvcc", name))
    if found is None:
        raise _missing("ptxas", f"'{NVCC_WHEEL}'", "Nothing was assembled")
    return _tool(found)


def nvdisasm() -> Tool:
    """The disassembler of Triton's wheel, or of an installed toolkit. Raises EnvironmentProblem where there is none."""
    found = _first("nvdisasm", lambda name: _of_wheel("triton", name), _pathfinder, shutil.which)
    if found is None:
        raise _missing("nvdisasm", "triton", "Nothing was disassembled")
    return _tool(found)


def run(tool: Tool, arguments: Sequence[str], folder: Path) -> Said:
    """Run a tool with its options and these arguments in a folder, and wait for it."""
    command = [tool.path, *tool.options, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, errors="replace")
    return Said(done.returncode, done.stdout, done.stderr)


def _first(name: str, *ways: Callable[[str], str | None]) -> str | None:
    """The path that the first of these ways finds."""
    return next((path for way in ways if (path := way(name))), None)


def _pathfinder(name: str) -> str | None:
    """Where cuda-pathfinder finds a program: wheels, conda, CUDA_PATH. None too where its version knows no programs."""
    try:
        from cuda.pathfinder import find_nvidia_binary_utility
    except ImportError:
        return None
    try:
        found: str | None = find_nvidia_binary_utility(name)
    except Exception:  # its errors differ from version to version; all of them mean that it knows no such program
        return None
    return found


def _of_wheel(distribution: str, name: str) -> str | None:
    """The program `name` among the files of an installed distribution."""
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    places = (Path(str(file.locate())) for file in files if file.name == name and file.parent.name == "bin")
    return next((str(place) for place in places if place.exists()), None)


def _tool(path: str, options: tuple[str, ...] = ()) -> Tool:
    return Tool(path, _version(path), options)


@cache
def _version(path: str) -> str:
    """The version that a program gives, such as "13.0.88"; EnvironmentProblem where it does not run."""
    try:
        text = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError as error:
        reason = error.strerror or "no reason given"
        raise EnvironmentProblem(
            f"{path} cannot be run: {reason}. Nothing was assembled. Repair it: make setup"
        ) from error
    found = re.search(r"\bV(\d+(?:\.\d+)+)", text)
    if found is None:
        raise EnvironmentProblem(f"{path} does not say its version. Nothing was assembled. Repair it: make setup")
    return found[1]


def _missing(what: str, package: str, consequence: str) -> EnvironmentProblem:
    line = f"pip install {package}"
    return EnvironmentProblem(f"{what} is not installed. {consequence}. Install it: {line} (or everything: make setup)")
