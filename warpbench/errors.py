"""The errors of Warpbench: one tree, and the exit code that each means.

    WarpbenchError
    ├── UsageError          2  bad arguments, or input that cannot be read: the caller must act
    ├── EnvironmentProblem  3  a package is missing, a card is there but unusable: the machine's owner must act
    ├── MeasurementInvalid  4  the run said nothing about the kernel: run again, quieter
    ├── CapabilityMissing   5  not run: the card cannot do it
    └── KernelWrong         1  a kernel, or the file that holds it, is wrong: its author must act

A message is whole sentences: what is needed, what is here, what did not happen, what to do instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

OK = 0
WRONG = 1
USAGE = 2
ENVIRONMENT = 3
INVALID = 4
NOT_RUN = 5
UNCLEAR = 6
INTERNAL = 70  # a bug of ours: none of the above, and never silent
INTERRUPTED = 130  # what shells use for Ctrl-C


class WarpbenchError(Exception):
    """Base of everything that Warpbench raises on purpose; `exit_code` is what the command ends with."""

    exit_code = WRONG


class UsageError(WarpbenchError):
    """Bad arguments, or input that cannot be read."""

    exit_code = USAGE


class EnvironmentProblem(WarpbenchError):
    """A package is missing, or a card is there but unusable."""

    exit_code = ENVIRONMENT


class MeasurementInvalid(WarpbenchError):
    """The measurement failed; nothing is said about the kernel."""

    exit_code = INVALID


class CapabilityMissing(WarpbenchError):
    """A card cannot do what a rung needs, so the rung was not run."""

    exit_code = NOT_RUN


class KernelWrong(WarpbenchError):
    """A kernel gives wrong answers, or its file cannot be loaded."""

    exit_code = WRONG


def unknown(what: str, name: str, choices: Iterable[str], consequence: str = "Nothing was done") -> UsageError:
    """A lookup that failed, with the nearest names: `there is no operation "sofmax". Nearest: softmax. ...`"""
    known = sorted(choices)
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    if near:
        hint = f"Nearest: {', '.join(near)}."
    elif known:
        shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
        hint = f"Known: {shown}."
    else:
        hint = "There is none at all."
    return UsageError(f'there is no {what} "{name}". {hint} {consequence}.')


# distribution that brings each module
_PACKAGES = {
    "torch": "torch",
    "triton": "triton",
    "numba": "numba-cuda[cu13]",
    "numba_cuda": "numba-cuda[cu13]",
    "cupy": "cupy-cuda13x",
    "cuda": "cuda-bindings",
    "pynvml": "nvidia-ml-py",
    "pydantic": "pydantic",
    "rich": "rich",
    "numpy": "numpy",
}


def missing_package(module: str | None) -> EnvironmentProblem:
    """A module that cannot be imported, with the line that installs it."""
    name = (module or "a package").partition(".")[0]
    line = (
        f"pip install '{_PACKAGES.get(name, name)}'"
        if "[" in _PACKAGES.get(name, name)
        else f"pip install {_PACKAGES.get(name, name)}"
    )
    return EnvironmentProblem(
        f"{name} is not installed. Nothing was run. Install it: {line} (or everything: make setup)"
    )
