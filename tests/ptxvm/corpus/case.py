"""One kernel of the corpus: how it is launched, what it must compute, and what must be counted.

A kernel file holds functions `case_<name>(rng)`, each below the kernels that it launches, and each makes one `Case`.
The files import a DSL, so they are loaded only after the hooks are installed; `names` reads them as text.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np

import ptxvm
from warpbench import catalogue

HERE = Path(__file__).resolve().parent
SEED = 20
DSLS = ("numba", "cuda", "triton")


@dataclass(frozen=True)
class Case:
    """A kernel with inputs drawn from a seed.

    launch     called with the tensors in their order: inputs first, outputs last
    tensors    torch tensors on the CPU; outputs hold values that nobody would compute (`empty`)
    want       what tensors must hold afterwards, computed by NumPy or torch
    rtol       relative tolerance, `atol` the absolute one; both 0: bit for bit
    counters   fields of `ptxvm.Counters` of all launches together, as formulas of the sizes
    unordered  why results or counters may depend on who runs first; "" where they may not
    since      the first architecture that has its instructions
    """

    launch: Callable[..., None]
    tensors: Mapping[str, Any]
    want: Mapping[str, Any]
    rtol: float = 0.0
    atol: float = 0.0
    counters: Mapping[str, int] = field(default_factory=dict)
    unordered: str = ""
    since: int = 75


@dataclass(frozen=True)
class Run:
    """What came of one run: a report a launch, and the tensors."""

    launches: list[Any]
    tensors: Mapping[str, Any]

    @property
    def findings(self) -> list[Any]:
        return [f for launch in self.launches if launch.report for f in (*launch.report.faults, *launch.report.races)]

    @property
    def counters(self) -> ptxvm.Counters:
        whole = ptxvm.Counters()
        for launch in self.launches:
            whole.add(launch.report.counters)
        return whole


# -- finding cases ---------------------------------------------------------------------------------------------------
def names() -> list[str]:
    """Every case as "file:name", by the text of the kernel files."""
    found = []
    for dsl in DSLS:
        for path in sorted(HERE.glob(f"{dsl}_*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
            found += [f"{path.stem}:{name.removeprefix('case_')}" for name in defined if name.startswith("case_")]
    return found


def load(name: str) -> Case:
    """A case by its name, freshly drawn. The hooks of the DSL must be installed."""
    file, _, case = name.partition(":")
    return made(_module(file), case)


def made(module: ModuleType, case: str) -> Case:
    """A case of a kernel file that is loaded."""
    one: Case = getattr(module, f"case_{case}")(np.random.default_rng(SEED))
    return one


_modules: dict[str, ModuleType] = {}


def _module(file: str) -> ModuleType:
    if file not in _modules:
        _modules[file] = catalogue.load_file(HERE / f"{file}.py", f"corpus_{file}")
    return _modules[file]


# -- running ---------------------------------------------------------------------------------------------------------
def run(
    case: Case,
    emulator: Any,
    schedule: ptxvm.Schedule | None = None,
    checks: ptxvm.Checks | None = None,
    edit: Callable[[str], str] | None = None,
) -> Run:
    """Launch a case on copies of its tensors, its PTX changed by `edit`. Raises what a launch raises."""
    own = {name: t.clone() if hasattr(t, "clone") else t for name, t in case.tensors.items()}
    named = {name: t for name, t in own.items() if hasattr(t, "clone")}
    with _changed(emulator, schedule, checks, edit), emulator.record(named) as launches:
        case.launch(*own.values())
    return Run(list(launches), own)


@contextlib.contextmanager
def _changed(
    emulator: Any,
    schedule: ptxvm.Schedule | None,
    checks: ptxvm.Checks | None,
    edit: Callable[[str], str] | None,
) -> Iterator[None]:
    """Give the emulator's launches another schedule, other checks or another text."""
    on_device, on_emulator = emulator.device.launch, emulator.launch

    def launch_kernel(*args: Any, **options: Any) -> Any:
        chosen = {"schedule": schedule, "checks": checks}
        return on_device(*args, **{**options, **{k: v for k, v in chosen.items() if v is not None}})

    def launch(one: Any, *args: Any, **options: Any) -> Any:
        return on_emulator(one if edit is None else replace(one, ptx=edit(one.ptx)), *args, **options)

    with (
        mock.patch.object(emulator.device, "launch", launch_kernel),
        mock.patch.object(emulator, "launch", launch),
        mock.patch.multiple(emulator, execute=True, shuffle=None),
    ):
        yield


def wrong(case: Case, run_: Run) -> str:
    """What is wrong with a run's tensors, "" for nothing."""
    import torch

    for name, want in case.want.items():
        have = run_.tensors[name]
        expected = torch.as_tensor(want)
        try:
            if case.rtol == case.atol == 0:
                torch.testing.assert_close(have, expected.to(have.dtype).reshape(have.shape), rtol=0, atol=0)
            else:
                torch.testing.assert_close(
                    have.double(), expected.double().reshape(have.shape), rtol=case.rtol, atol=case.atol
                )
        except AssertionError as error:
            return f"{name}: {error}"
    return ""


# -- what kernel files use -------------------------------------------------------------------------------------------
def tensor(array: Any) -> Any:
    """A NumPy array as a torch tensor with memory of its own."""
    import torch

    return torch.from_numpy(np.array(array))


def empty(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """A tensor for outputs, full of NaN, or of a bit pattern that no test computes."""
    import torch

    out = torch.empty(shape, dtype=dtype)
    return out.fill_(float("nan")) if out.is_floating_point() else out.view(torch.uint8).fill_(0x5A).view(dtype)


def cuda_launch(
    kernel: Any, grid: int | tuple[int, ...], block: int | tuple[int, ...], *args: Any, shared: int = 0
) -> None:
    """Launch a CuPy kernel: tensors as CuPy takes them, Python integers as int, Python floats as float."""
    import cupy

    def packed(arg: Any) -> Any:
        if hasattr(arg, "untyped_storage"):
            return cupy.asarray(arg)
        return {int: np.int32, float: np.float32}.get(type(arg), lambda a: a)(arg)

    def sizes(of: int | tuple[int, ...]) -> tuple[int, ...]:
        return of if isinstance(of, tuple) else (of,)

    kernel(sizes(grid), sizes(block), tuple(map(packed, args)), shared_mem=shared)
