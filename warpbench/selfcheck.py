"""`make check`: everything that can be proved without running a kernel. Reads only.

    python -m warpbench.selfcheck [NAME ...]     all checks, or those of these names ("texts", "operations")

Prints a line a check, then the output of those that failed.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
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
    from warpbench.course import catalogue, targets

    exercises = catalogue.load()
    return [*catalogue.check(), *targets.stale(exercises[0].root, exercises)] if exercises else catalogue.check()


def _cards() -> list[str]:
    from warpbench import hardware

    return hardware.check()


def _counts() -> list[str]:
    from warpbench import notes

    return notes.check_tables()


def _executed() -> list[str]:
    from warpbench import executed

    return executed.stale()


def _results() -> list[str]:
    from warpbench import results

    return results.stale()


# -- what any text must be -----------------------------------------------------------------------------------------
FOLDERS = ("warpbench", "ptxvm", "kernels", "exercises", "tests", ".ci")
FILES = (
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml", "constraints.txt",
    ".gitignore", ".pre-commit-config.yaml", "profiling/README.md",
)  # fmt: skip
MOST_BYTES = 200_000  # nobody reads a longer source; records of runs lie elsewhere


def texts(root: Path = ROOT) -> Iterator[Path]:
    """The files that are written by hand, or generated from such: not what was read on cards."""
    for folder in FOLDERS:
        paths = sorted(path for path in (root / folder).rglob("*") if path.is_file())
        yield from (path for path in paths if not {"__pycache__", "readings"} & set(path.relative_to(root).parts))
    yield from (path for name in FILES if (path := root / name).exists())


def check_texts(root: Path = ROOT) -> list[str]:
    """Texts that no tool of a language looks at: white space at ends, sizes, TOML that parses."""
    problems = []
    for path in texts(root):
        name = path.relative_to(root)
        raw = path.read_bytes()
        if len(raw) > MOST_BYTES:
            problems.append(f"{name} has {len(raw):,} bytes; at most {MOST_BYTES:,} are wanted.")
            continue
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            problems.append(f"{name} is no UTF-8 text: {error.reason} at byte {error.start}.")
            continue
        problems += [
            f"{name}:{number} ends in white space."
            for number, line in enumerate(text.split("\n"), start=1)
            if line != line.rstrip()
        ]
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            problems.append(f"{name} must end with one newline.")
        if path.suffix == ".toml":
            try:
                tomllib.loads(text)
            except tomllib.TOMLDecodeError as error:
                problems.append(f"{name}: {error}")
    return problems


CHECKS: dict[str, Callable[[], list[str]]] = {
    "lint": _run("ruff", "check", "--no-cache", "--quiet", "."),
    "format": _run("ruff", "format", "--no-cache", "--quiet", "--check", "--diff", "."),
    "types": _run("mypy"),
    "spelling": _run("codespell_lib", *FOLDERS, *FILES),
    "texts": check_texts,
    "hooks": _run("pre_commit", "validate-config", ".pre-commit-config.yaml"),
    "import rules": _imports,
    "operations": _operations,
    "tables of counts": _counts,
    "what cards execute": _executed,
    "results of cards": _results,
    "exercises": _exercises,
    "cards and features": _cards,
}


def main(names: Sequence[str]) -> int:
    """0 if every check passes, 1 otherwise, 2 for a name that is none."""
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"there is no check {unknown[0]!r}. Nothing was checked. There are: {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    chosen = {name: check for name, check in CHECKS.items() if not names or name in names}
    failed = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = {name: pool.submit(check) for name, check in chosen.items()}
        for name, result in results.items():
            try:
                problems = result.result()
            except Exception as error:  # a check that breaks has failed; the others still run
                problems = [f"{type(error).__name__}: {error}"]
            print(f"{'failed' if problems else 'ok':7} {name}", flush=True)
            if problems:
                failed += 1
                print("\n".join(f"        {line}" for line in problems))
    print(f"{len(chosen) - failed} of {len(chosen)} checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
