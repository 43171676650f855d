"""Build `.venv` with the tested versions. Run by make, with any Python from 3.11 on and nothing installed.

A torch (and the triton that came with it) that is already in `.venv` and in the range of pyproject.toml stays: that is
how a reader chooses PyTorch's CPU build, or the one for an older CUDA, before running make.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
READY = VENV / ".warpbench-ready"
PYTHON = VENV / "bin" / "python"


def main() -> int:
    """0 when `.venv` is ready, 3 when the machine lacks something (said in one line)."""
    problem = missing()
    if problem:
        print(f"{problem} Nothing was set up.", file=sys.stderr)
        return 3
    if not PYTHON.exists():
        print(f"creating .venv with Python {sys.version_info.major}.{sys.version_info.minor}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    kept = kept_versions()
    for name, version in kept.items():
        print(f"keeping {name} {version}, which is in .venv already", flush=True)
    print("installing the tested versions (a few minutes the first time)", flush=True)
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line.partition("==")[0].strip().lower() not in kept]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as constraints:
        constraints.write("\n".join(wanted + [f"{name}=={version}" for name, version in kept.items()]) + "\n")
        constraints.flush()
        command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*command, "-c", constraints.name, "-e", f"{ROOT}[dev]"], check=False)
    if done.returncode:
        print("pip could not install the packages; its reason stands above. Run make setup again when it is mended.", file=sys.stderr)
        return 3
    READY.touch()
    return 0


def missing() -> str:
    """What the machine lacks, as a sentence; empty when all is there."""
    if sys.platform != "linux":
        return "Warpbench runs on Linux, and on Windows inside WSL2."
    if sys.version_info < (3, 11):
        return f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}."
    if importlib.util.find_spec("ensurepip") is None:
        return "Python's venv module is incomplete: install the package python3-venv of your distribution."
    if shutil.which("gcc") is None and shutil.which("cc") is None and "CC" not in os.environ:
        return "A C compiler is needed (Triton builds its launcher with it): install gcc."
    return ""


def kept_versions() -> dict[str, str]:
    """Versions of torch and triton in `.venv` that stay because torch is in range; empty otherwise."""
    code = (
        "import importlib.metadata as m\n"
        "for n in ('torch', 'triton'):\n"
        "    try: print(n, m.version(n))\n"
        "    except m.PackageNotFoundError: pass\n"
    )
    found = dict(
        line.split() for line in subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    )
    if "torch" not in found or not in_range(found["torch"], dependency("torch")):
        return {}
    if "triton" in found and not in_range(found["triton"], dependency("triton")):
        del found["triton"]
    return found


def dependency(name: str) -> str:
    """The range that pyproject.toml gives for a package, such as ">=2.11,<2.16"."""
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
