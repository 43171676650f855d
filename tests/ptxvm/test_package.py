"""ptxvm is a package of its own: its README's example runs as written where nothing else can be imported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import ptxvm

PACKAGE = Path(ptxvm.__file__).resolve().parent
ABSENT = ("warpbench", "torch", "triton", "numba", "numba_cuda", "cupy", "cuda", "scipy")
HIDE = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""


def example() -> str:
    """The code blocks of the README, one after the other: one program."""
    text = (PACKAGE / "README.md").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


def alone(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that finds ptxvm, NumPy and the standard library only."""
    (folder / "ptxvm").symlink_to(PACKAGE)
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", HIDE + program]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_readme_runs_as_written_without_anything_else(tmp_path):
    program = example()
    assert program.count("assert ") >= 10, "each block proves what it says"
    done = alone(f"{program}\nprint('to the end')", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("to the end")


def test_the_packages_are_really_hidden(tmp_path):
    done = alone("import torch", tmp_path)
    assert done.returncode != 0
    assert "No module named 'torch'" in done.stderr


def test_no_module_of_it_needs_another_package(tmp_path):
    modules = sorted(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))
    assert len(modules) > 30
    done = alone(
        f"import importlib\nfor name in {modules!r}: importlib.import_module(name.removesuffix('.__init__'))", tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_says_how_many_forms_of_a_target_are_executed():
    from tests.ptxvm.test_opcodes_census import CENSUS, TARGETS, executed

    text = (PACKAGE / "README.md").read_text(encoding="utf-8")
    done = executed()
    said = {row[0]: (int(row[1]), int(row[2])) for row in re.findall(r"^\| (sm_\d+) \| (\d+) \| (\d+) \|$", text, re.M)}
    forms = {target: {form for form, targets in CENSUS.items() if target in targets} for target in TARGETS}
    assert said == {target: (len(names), len(names & done)) for target, names in forms.items()}


def test_the_readme_names_all_that_the_package_exports():
    text = (PACKAGE / "README.md").read_text(encoding="utf-8")
    missing = [name for name in ptxvm.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not missing
