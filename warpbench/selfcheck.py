"""`make check`: everything that can be proved without running a kernel. Reads only.

Prints a line a check with what it looked at, then the output of those that failed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _run(*command: str) -> Callable[[], list[str]]:
    """A check by a program: its output if it fails, nothing if it passes."""

    def check() -> list[str]:
        done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).splitlines() if done.returncode else []

    return check


def _imports() -> list[str]:
    script = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(script), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines() if done.returncode else []


def _operations() -> list[str]:
    from warpbench import catalogue

    return catalogue.check()


def _exercises() -> list[str]:
    from warpbench.course import catalogue

    return catalogue.check()


def _cards() -> list[str]:
    from warpbench import hardware

    return hardware.check()


TEXTS = ("warpbench", "ptxvm", "kernels", "exercises", "tests", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")

CHECKS: dict[str, Callable[[], list[str]]] = {
    "lint": _run("ruff", "check", "--no-cache", "--quiet", "."),
    "format": _run("ruff", "format", "--no-cache", "--quiet", "--check", "--diff", "."),
    "types": _run("mypy"),
    "spelling": _run("codespell_lib", *TEXTS),
    "import rules": _imports,
    "operations": _operations,
    "exercises": _exercises,
    "cards and features": _cards,
}


def main() -> int:
    """0 if every check passes, 1 otherwise."""
    failed = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = {name: pool.submit(check) for name, check in CHECKS.items()}
        for name, result in results.items():
            try:
                problems = result.result()
            except Exception as error:  # a check that breaks has failed; the others still run
                problems = [f"{type(error).__name__}: {error}"]
            print(f"{'failed' if problems else 'ok':7} {name}", flush=True)
            if problems:
                failed += 1
                print("\n".join(f"        {line}" for line in problems))
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
