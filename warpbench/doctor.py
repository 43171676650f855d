"""`warpbench doctor`: what works on this machine, what does not, and what to install.

Tools and packages are looked up; each DSL then runs one known kernel, the first rung of vector_add, on ptxvm and on the
card if there is one, each in a worker of its own. Nothing is timed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from warpbench import bootstrap, catalogue, hardware
from warpbench.contract import DSLS
from warpbench.errors import EnvironmentProblem
from warpbench.hardware import Detection
from warpbench.pool import Pool
from warpbench.profiling_run import DEFAULT_GPU, processes

OPERATION = "vector_add"
# what pip calls it, what this project calls it
PACKAGES = {"torch": "torch", "triton": "triton", "numba-cuda": "numba-cuda[cu13]", "cupy-cuda13x": "cupy-cuda13x"}
OF_DSL = {"numba": "numba-cuda", "cupy": "cupy-cuda13x", "triton": "triton"}
HELLO = b'extern "C" __global__ void hello(int* out) { out[0] = 1; }'


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `fix`: what to do where it is not ok; `optional`: the rest works without it."""

    name: str
    ok: bool
    text: str
    fix: str = ""
    optional: bool = False


def examine() -> list[dict[str, Any]]:
    """Everything, in the order in which it is needed, as plain data. Takes some seconds: three DSLs are imported."""
    detected = hardware.detect()
    found = [python(), *map(package, PACKAGES), nvrtc(), nvvm(), *tools()]
    found += [compiler(), headers(bool(detected.usable)), make(), card(detected), *on_ptxvm(), *on_card(detected)]
    return [asdict(one) for one in found]


# -- Python and its packages ---------------------------------------------------------------------------------------
def python() -> Finding:
    """The Python that runs this."""
    version, least = platform.python_version(), bootstrap.LEAST
    text = f"{version} ({sys.executable})"
    fix = f"Python {bootstrap.dotted(least)} or newer is needed: make setup PYTHON=/path/to/it"
    return _judged("Python", sys.version_info[:2] >= least, text, fix)


def package(name: str) -> Finding:
    """A package that the DSLs need: is it there, and in the range of versions that is tested?"""
    bounds = bootstrap.dependency(name)
    fix = f"pip install '{PACKAGES[name]}{bounds}' (or everything: make setup)"
    version = _version(name)
    if version is None:
        return Finding(name, False, "not installed", fix)
    if not bootstrap.in_range(version, bounds):
        return Finding(name, False, f"{version}; {bounds} is needed", fix)
    return Finding(name, True, f"{version}{_build() if name == 'torch' else ''}")


def _build() -> str:
    """Which build of torch this is, by the file in which it says so: importing torch takes seconds."""
    spec = importlib.util.find_spec("torch")
    try:
        text = Path(str(spec.origin if spec else "")).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    cuda = re.search(r"^cuda\b.*=\s*['\"]([\d.]+)['\"]", text, re.M)
    return f", built for CUDA {cuda[1]}" if cuda else ", CPU build (a card needs the CUDA build)"


def nvrtc() -> Finding:
    """NVIDIA's run-time compiler: does it compile a kernel?"""
    return _attempt("NVRTC", _try_nvrtc, "nvidia-cuda-nvrtc")


def _try_nvrtc() -> str:
    from cuda.bindings import nvrtc as library

    def call(result: tuple[Any, ...]) -> Any:
        if int(result[0]) != 0:
            raise RuntimeError(str(getattr(result[0], "name", result[0])))
        return result[1:]

    major, minor = call(library.nvrtcVersion())
    (program,) = call(library.nvrtcCreateProgram(HELLO, b"hello.cu", 0, [], []))
    options = [b"--gpu-architecture=compute_86"]
    call(library.nvrtcCompileProgram(program, len(options), options))
    call(library.nvrtcDestroyProgram(program))
    return f"{major}.{minor}, compiles"


def nvvm() -> Finding:
    """NVIDIA's LLVM, which Numba compiles with: does the library load?"""
    return _attempt("NVVM", _try_nvvm, "nvidia-nvvm")


def _try_nvvm() -> str:
    from cuda.pathfinder import load_nvidia_dynamic_lib

    path = load_nvidia_dynamic_lib("nvvm").abs_path
    return f"{_version('nvidia-nvvm') or 'of a toolkit'} ({Path(str(path)).name})"


def _attempt(name: str, work: Callable[[], str], distribution: str) -> Finding:
    """What `work` says, or why it failed: an import, a library that does not load, an error code."""
    try:
        return Finding(name, True, work())
    except Exception as error:  # a library that cannot be loaded raises what it likes
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return Finding(name, False, reason, f"pip install '{distribution}{bootstrap.dependency(distribution)}'")


# -- programs ------------------------------------------------------------------------------------------------------
def tools() -> Iterator[Finding]:
    """The assembler and the disassembler of the static panel. Triton's own assembler is tried with Triton."""
    from warpbench.backends import tools as programs

    for name, find in (("ptxas", programs.ptxas), ("nvdisasm", programs.nvdisasm)):
        try:
            tool = find()
            yield Finding(name, True, f"{tool.version} ({tool.path})")
        except EnvironmentProblem as error:
            what, _, fix = str(error).rpartition("Install it: ")
            yield Finding(name, False, what.partition(".")[0] or str(error), fix or "make setup")


def compiler() -> Finding:
    """The C compiler with which Triton builds its launcher."""
    names = [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "clang", "cc"]
    return _program("C compiler", names, "install your distribution's package gcc")


def make() -> Finding:
    """make, which only saves typing."""
    fix = "install your distribution's package make, or type: python -m warpbench"
    return _program("make", ["make"], fix, optional=True)


def headers(needed: bool) -> Finding:
    """Python.h, which Triton's launcher for a card includes."""
    path = Path(sysconfig.get_path("include")) / "Python.h"
    package = f"python{bootstrap.dotted(sys.version_info[:2])}-dev"
    fix = f"install your distribution's package {package} (or python3-devel); Triton needs it on a card"
    return _judged("Python.h", path.exists(), str(path) if path.exists() else f"not at {path}", fix, not needed)


def _program(name: str, choices: list[str], fix: str, optional: bool = False) -> Finding:
    """The first of these programs that is there, with the first line that it says of its version."""
    path = next((path for choice in choices if (path := shutil.which(choice))), None)
    if path is None:
        return Finding(name, False, f"not found: {', '.join(choices)}", fix, optional)
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError as error:
        return Finding(name, False, f"{path} cannot be run: {error.strerror}", fix, optional)
    return Finding(name, True, f"{said.partition(chr(10))[0].strip()} ({path})", optional=optional)


# -- the card, and the DSLs ----------------------------------------------------------------------------------------
def card(detected: Detection) -> Finding:
    """The cards that can be used, or why none can. No card at all is fine; one that cannot be used is not."""
    if detected.usable:
        unusable = [one.problem for one in detected if one.problem]
        return Finding("card", True, "; ".join([*map(described, detected.usable), *unusable]))
    text = f"{detected.reason} Kernels are executed and counted on ptxvm, nothing is timed"
    fix = "make what the reason names work, then: warpbench doctor" if detected.broken else ""
    return Finding("card", False, text, fix, optional=not detected.broken)


def described(one: hardware.DetectedGpu) -> str:
    """A plugged-in card: name, capability, memory, power limit, driver, and what is odd about it."""
    facts = [f"{one.name} ({one.cc})", f"{one.memory_bytes / 2**30:.1f} GiB"]
    if one.power_limit_watts is not None:
        facts.append(f"power limit {one.power_limit_watts:.0f} W")
    facts.append(f"driver {one.driver}")
    if one.partitioned:
        facts.append("a part of a card (MIG): its roofs are unknown")
    elif not one.catalogued:
        facts.append("not in the catalogue: its roofs are what its driver reports")
    return ", ".join(facts)


def on_ptxvm() -> Iterator[Finding]:
    """Each DSL compiles, ptxvm executes, the answer is compared, and the DSL's assembler is asked."""
    gpu = hardware.gpu(DEFAULT_GPU)
    more = {"execute": True, "ptx": False, "sass": True, "cc": gpu.cc}
    with Pool(f"emulated:{gpu.arch}", processes()) as pool:
        answers = {task["dsl"]: answer for task, answer in pool.run(_tasks("inspect", **more))}
    for dsl in DSLS:
        yield judged_on_ptxvm(dsl, answers[dsl], gpu.arch)


def judged_on_ptxvm(dsl: str, answer: dict[str, Any], arch: str) -> Finding:
    """What a worker's answer (`inspection.inspect_rung`) says of a DSL."""
    name = f"{dsl} on ptxvm"
    if answer["verdict"] != "pass":
        return _failed(name, dsl, answer)
    kernel = answer["kernels"][0]
    if kernel["problem"]:
        reason = kernel["problem"].partition("\n")[0]
        return Finding(name, False, f"right, but there is no static panel: {reason}", "make setup")
    return Finding(name, True, f"right, compiled for {arch}; {kernel['tool']}: {kernel['registers']} registers")


def on_card(detected: Detection) -> Iterator[Finding]:
    """Each DSL on the first card that can be used; nothing where there is none."""
    if not detected.usable:
        return
    here = detected.usable[0]
    with Pool(f"card:{here.uuid}", 1) as pool:
        for task, answer in pool.run(_tasks("check", full=False)):
            name = f"{task['dsl']} on the card"
            if answer["verdict"] == "pass":
                yield Finding(name, True, f"right on {here.name}")
            else:
                yield _failed(name, task["dsl"], answer)


def _tasks(kind: str, **more: Any) -> list[dict[str, Any]]:
    """The first rung of each DSL as a task for a worker."""
    operation = catalogue.operations()[OPERATION]
    first = {rung.dsl: operation.rung_path(rung) for rung in reversed(operation.ladder)}
    return [{"task": kind, "rung": first[dsl], "dsl": dsl, **more} for dsl in DSLS]


def _failed(name: str, dsl: str, answer: dict[str, Any]) -> Finding:
    """Why a DSL does not work, and the line that installs it."""
    reason, _, line = str(answer["reason"]).partition(" Install it: ")
    text = f"{answer['verdict']}: {reason.partition(chr(10))[0]}"
    return Finding(name, False, text, line or package(OF_DSL[dsl]).fix or "make setup")


def _judged(name: str, ok: bool, text: str, fix: str, optional: bool = False) -> Finding:
    return Finding(name, ok, text, "" if ok else fix, optional)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
