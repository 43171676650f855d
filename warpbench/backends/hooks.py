"""Install each DSL's hook at the moment when the DSL is imported: a process that runs Numba kernels never loads Triton.

An import hook watches for `triton`, `numba.cuda` and `cupy`, lets the import run its course, and then replaces the
launch path. What is imported already is hooked at once.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warpbench.backends.emulated import Emulator

# module whose import is waited for -> the module here that hooks it
HOOKS = {
    "triton": "warpbench.backends.triton",
    "numba.cuda": "warpbench.backends.numba",
    "cupy": "warpbench.backends.cupy",
}


def install(emulator: Emulator) -> None:
    """Hook every DSL for this emulator."""
    for name, hook in HOOKS.items():
        prepare = importlib.import_module(hook)
        prepare.before_import()
        when_imported(name, functools.partial(prepare.install, emulator))


def when_imported(name: str, apply: Callable[[], object]) -> None:
    """Call `apply` when a module has been imported: now, if it has been. The last that is given goes last."""
    if name in sys.modules:
        apply()
    else:
        sys.meta_path.insert(0, _Watch(name, apply))


class _Watch(importlib.abc.MetaPathFinder):
    """Finds one module as everybody else would, and calls `apply` after it was executed."""

    def __init__(self, name: str, apply: Callable[[], object]) -> None:
        self.name, self.apply = name, apply

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        spec.loader = _Loader(spec.loader, self.apply)
        return spec


class _Loader(importlib.abc.Loader):
    """Another loader, and something to do after it."""

    def __init__(self, loader: importlib.abc.Loader, apply: Callable[[], object]) -> None:
        self.loader, self.apply = loader, apply

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        self.apply()
