"""Does set-up keep a torch that serves, refuse one that does not, and say in one line what a machine lacks?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from warpbench import bootstrap
from warpbench.bootstrap import Installed

LINES = (bootstrap.ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
TESTED = next(line for line in LINES if line.startswith("torch==")).partition("==")[2]


def here(
    torch: str = "", exact: tuple[str, ...] = (), python: tuple[int, int] = (3, 12), pip: str = "25.0"
) -> Installed:
    return Installed(python, pip, torch, exact)


def names(lines: list[str]) -> set[str]:
    return {line.partition("==")[0] for line in lines if "==" in line}


@pytest.mark.parametrize(
    ("version", "bounds", "answer"),
    [
        ("2.13.0+cpu", ">=2.11,<2.16", True),
        ("2.11.0", ">=2.11,<2.16", True),
        ("2.15.9", ">=2.11,<2.16", True),
        ("2.10.1", ">=2.11,<2.16", False),
        ("2.16.0", ">=2.11,<2.16", False),
        ("3.0.0+cu130", ">=2.11,<2.16", False),
    ],
)
def test_ranges(version: str, bounds: str, answer: bool) -> None:
    assert bootstrap.in_range(version, bounds) is answer


def test_a_fresh_venv_gets_every_tested_version() -> None:
    assert bootstrap.settled(LINES, here()) == LINES


@pytest.mark.parametrize("build", ["", "+cpu", "+cu130"])
def test_the_tested_torch_stays_and_so_do_the_other_versions(build: str) -> None:
    left = bootstrap.settled(LINES, here(TESTED + build, ("triton", "cuda-toolkit", "nvidia-cudnn-cu13")))
    assert names(LINES) - names(left) == {"torch"}


def test_another_torch_stays_with_what_it_pins() -> None:
    left = names(bootstrap.settled(LINES, here("2.12.1", ("cuda-toolkit", "triton", "nvidia_cudnn_cu13"))))
    assert not left & {
        "torch",
        "triton",
        "cuda-toolkit",
        "nvidia-cuda-nvrtc",
        "nvidia-cuda-runtime",
        "nvidia-nvjitlink",
    }
    assert {"numpy", "numba-cuda", "cupy-cuda13x", "nvidia-ml-py"} <= left


def test_another_cpu_torch_pins_nothing() -> None:
    left = names(bootstrap.settled(LINES, here("2.12.1+cpu")))
    assert names(LINES) - left == {"torch"}


def test_a_cpu_torch_out_of_range_is_refused_not_replaced() -> None:
    said = bootstrap.unfit(here("2.9.0+cpu"))
    assert said.startswith(".venv holds torch 2.9.0+cpu; torch>=2.11,<2.16 is needed.")
    assert bootstrap.unfit(here("2.13.0+cpu")) == ""
    assert bootstrap.unfit(here("2.9.0")) == ""  # pip replaces a CUDA build by another


def test_an_old_python_in_the_venv_is_refused() -> None:
    assert bootstrap.unfit(here(python=(3, 10))).startswith(".venv holds Python 3.10; 3.11 or newer is needed.")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("platform", "Linux, and on Windows inside WSL 2; this is darwin."),
        ("python", "Python 3.11 or newer is needed; this is 3.9.1."),
        ("venv", "-venv (or python3-venv)."),
        ("compiler", "install gcc."),
    ],
)
def test_what_a_machine_lacks_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str, said: str
) -> None:
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / "python")
    monkeypatch.delenv("CC", raising=False)
    if what == "platform":
        monkeypatch.setattr(sys, "platform", "darwin")
    elif what == "python":
        monkeypatch.setattr(sys, "version_info", (3, 9, 1, "final", 0))
        monkeypatch.setattr(sys, "version", "3.9.1 (main)")
    elif what == "venv":
        monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    assert bootstrap.missing().endswith(said)


def test_this_machine_lacks_nothing_and_this_venv_serves() -> None:
    assert bootstrap.missing() == ""
    if bootstrap.PYTHON.exists():
        found = bootstrap.probe()
        assert found is not None
        assert bootstrap.unfit(found) == ""


def test_a_venv_whose_python_is_gone_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "python"
    python.symlink_to(tmp_path / "gone")
    monkeypatch.setattr(bootstrap, "PYTHON", python)
    assert bootstrap.main() == 3
    said = capsys.readouterr().err
    assert said.startswith("make setup: The Python that .venv was made with is gone.")
    assert said.count("\n") == 1


def test_every_constraint_is_an_exact_version_within_its_range() -> None:
    exact = dict(line.split("==") for line in LINES if "==" in line)
    assert len(exact) > 50
    for name in (
        "torch",
        "triton",
        "numba-cuda",
        "cupy-cuda13x",
        "nvidia-cuda-nvrtc",
        "nvidia-nvvm",
        "nvidia-cuda-nvcc",
    ):
        assert bootstrap.in_range(exact[name], bootstrap.dependency(name)), name
