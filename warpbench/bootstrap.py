"""Build `.venv` with the tested versions. Run by make, with any Python from 3.11 on and nothing installed.

A torch that is already in `.venv` and in the range of pyproject.toml stays, and so does everything that it asks for by
exact version: that is how a reader chooses PyTorch's CPU build, or the one for another CUDA, before running make.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
READY = VENV / ".warpbench-ready"
PYTHON = VENV / "bin" / "python"
LEAST = (3, 11)

# Run by the Python of .venv: what is installed there, and what torch asks for by exact version.
PROBE = """
import importlib.metadata as m, json, re, sys
def version(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return ""
asks = (m.requires("torch") or []) if version("torch") else []
exact = [re.match("[A-Za-z0-9._-]+", a)[0] for a in asks if "==" in a.partition(";")[0]]
print(json.dumps({"python": sys.version_info[:2], "pip": version("pip"), "torch": version("torch"), "exact": exact}))
"""


@dataclass(frozen=True)
class Installed:
    """What is in `.venv`; an empty text is what is not. `exact`: what torch asks for by exact version."""

    python: tuple[int, int]
    pip: str
    torch: str
    exact: tuple[str, ...]


def main() -> int:
    """0 when `.venv` is ready, 3 when the machine lacks something (said in one line)."""
    problem = missing() or make_venv()
    if problem:
        return refuse(f"{problem} Nothing was set up.")
    here = probe()
    if here is None:
        return refuse("the Python in .venv does not run. Nothing was set up. Remove the folder .venv, then: make setup")
    problem = unfit(here) or ensure_pip(here)
    if problem:
        return refuse(f"{problem} Nothing was installed.")
    if here.torch:
        print(f"keeping torch {here.torch}, which is in .venv already", flush=True)
    elif not card_seen():
        print("no NVIDIA card is seen: PyTorch's CPU build, much smaller, would do (README, Without a card)")
    print("installing the tested versions (a few minutes the first time)", flush=True)
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as constraints:
        constraints.write("\n".join(settled(lines, here)) + "\n")
        constraints.flush()
        options = [
            "--quiet",
            "--no-compile",
            "--disable-pip-version-check",
            "-c",
            constraints.name,
            "-e",
            f"{ROOT}[dev]",
        ]
        done = subprocess.run([str(PYTHON), "-m", "pip", "install", *options], check=False)
    if done.returncode:
        return refuse("pip could not install the packages; its reason stands above. Then again: make setup")
    compile_all()
    READY.touch()
    return 0


def compile_all() -> None:
    """Bytecode of all packages and of ours: pip makes it on one core only, and a shell may forbid Python to make it."""
    # large, and imported by nothing of ours: Python compiles what it meets of them
    skipped = "/(sympy|networkx|mpmath|pip|setuptools|mypy|torch/_inductor|torch/_dynamo|torch/testing|torch/onnx)/"
    folders = [str(VENV / "lib"), *(str(ROOT / name) for name in ("warpbench", "ptxvm", "kernels"))]
    # some packages ship files that do not compile and are never imported: no failure of the set-up
    subprocess.run([str(PYTHON), "-m", "compileall", "-qq", "-j", "0", "-x", skipped, *folders], check=False)


def refuse(sentence: str) -> int:
    print(f"make setup: {sentence}", file=sys.stderr)
    return 3


def missing() -> str:
    """What the machine lacks, as a sentence; empty when all is there."""
    if sys.platform != "linux":
        return f"Warpbench runs on Linux, and on Windows inside WSL 2; this is {sys.platform}."
    if sys.version_info[:2] < LEAST:
        return f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}."
    if not PYTHON.exists() and any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip")):
        package = f"python{dotted(sys.version_info[:2])}-venv"
        return f"Python's venv module is incomplete: install your distribution's package {package} (or python3-venv)."
    if not os.environ.get("CC") and not any(shutil.which(name) for name in ("gcc", "clang", "cc")):
        return "A C compiler is needed (Triton builds its launcher with it): install gcc."
    return ""


def make_venv() -> str:
    """Create `.venv` unless it is there; a sentence if that fails."""
    if PYTHON.exists():
        return ""
    if PYTHON.is_symlink():
        return "The Python that .venv was made with is gone. Remove the folder .venv, then: make setup."
    print(f"creating .venv with Python {dotted(sys.version_info[:2])}", flush=True)
    done = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        return f"Python could not create .venv: {reason[-1]}"
    return ""


def probe() -> Installed | None:
    """What is in `.venv`; None if its Python does not run."""
    try:
        done = subprocess.run([str(PYTHON), "-c", PROBE], capture_output=True, text=True, check=False)
        found = json.loads(done.stdout)
    except (OSError, ValueError):
        return None
    major, minor = found["python"]
    return Installed((major, minor), found["pip"], found["torch"], tuple(found["exact"]))


def unfit(here: Installed) -> str:
    """Why this `.venv` cannot serve, as a sentence; empty if it can.

    A CPU build of torch outside the range is refused, not replaced: pip might put a CUDA build of 3 GB in its place.
    """
    if here.python < LEAST:
        return f".venv holds Python {dotted(here.python)}; 3.11 or newer is needed. Remove .venv, then: make setup."
    bounds = dependency("torch")
    if "+cpu" in here.torch and not in_range(here.torch, bounds):
        return (
            f".venv holds torch {here.torch}; torch{bounds} is needed. Install PyTorch's CPU build of such a version "
            "into .venv, or remove the folder."
        )
    return ""


def ensure_pip(here: Installed) -> str:
    """Give `.venv` a pip if it has none (some tools make it without); a sentence if that fails."""
    if here.pip:
        return ""
    done = subprocess.run([str(PYTHON), "-m", "ensurepip"], capture_output=True, text=True, check=False)
    return "There is no pip in .venv. Remove the folder, then: make setup." if done.returncode else ""


def settled(lines: list[str], here: Installed) -> list[str]:
    """The lines of constraints.txt that leave a torch which is there as it is, and what it pins.

    lines   of the form "name==version", and comments
    """
    if not here.torch or not in_range(here.torch, dependency("torch")):
        return lines
    pinned = {normal(name) for name in ("torch", *here.exact)}
    own_cuda = any(name.startswith(("nvidia-", "cuda-")) for name in pinned)

    def stays(line: str) -> bool:
        name = normal(line.partition("==")[0])
        return name not in pinned and not (own_cuda and name.startswith(("nvidia-cu", "nvidia-nv", "cuda-toolkit")))

    tested = next((line for line in lines if normal(line.partition("==")[0]) == "torch"), "")
    if tested.partition("==")[2] == here.torch.partition("+")[0]:
        return [line for line in lines if line != tested]  # the tested torch: all other versions hold
    return [line for line in lines if stays(line)]


def card_seen() -> bool:
    """Whether a driver's device is here: Linux's own, or WSL's."""
    return any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg"))


def normal(name: str) -> str:
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def dependency(name: str) -> str:
    """The range that pyproject.toml gives for a package, such as ">=2.11,<2.16"."""
    import tomllib  # here, so that an older Python reaches its refusal

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for text in project["project"]["dependencies"]:
        match = re.fullmatch(rf"{name}(?:\[.*\])?(.*)", text)
        if match:
            return match[1]
    raise KeyError(name)


def in_range(version: str, bounds: str) -> bool:
    """Whether a version such as "2.13.0+cpu" lies in ">=2.11,<2.16"."""
    have = _numbers(version)
    for bound in bounds.split(","):
        limit = _numbers(bound.strip("<>= "))
        if bound.startswith(">=") and have < limit:
            return False
        if bound.startswith("<") and have >= limit:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version.partition("+")[0])[:3])


if __name__ == "__main__":
    sys.exit(main())
