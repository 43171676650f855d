"""Edit to verdict: how long a learner waits after a change, once the libraries are imported.

A file of kernels is written anew with another comment in it, as an editor would, then loaded, run on 4,096 elements
with all checks of the course and compared with the result that it should have. The first edit of a process also pays
what compilers and ptxvm do once.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import ptxvm
from warpbench import catalogue
from warpbench.backends.emulated import Launch
from warpbench.targets import Emulated

N = 4096
FOLDER = catalogue.ROOT / "kernels" / "vector_add"
# DSL -> (files, function, the text behind which the comment is put: inside of a kernel, where every compiler sees it)
KERNELS = {
    "cuda": (("in_cupy.py", "in_cupy.cu"), "one_thread_an_element", "if (i < n)"),
    "triton": (("in_triton.py",), "one_element_a_thread", "tl.load("),
    "numba": (("in_numba.py",), "one_thread_an_element", "cuda.grid(1)"),
}
LIBRARIES = {"cuda": "cupy", "triton": "triton", "numba": "numba.cuda"}
EDITS = 4
_numbers = itertools.count()


def measure(dsl: str) -> dict[str, float]:
    """Seconds of the first edit and of the fastest later one, and the parts of the later one.

    again       to run what has been compiled, and to compare
    parse, codegen  of ptxvm
    compiler    the rest: Triton, Numba or NVRTC, its hook, and loading the file
    """
    backend = Emulated("sm_86")
    importlib.import_module(LIBRARIES[dsl])
    backend.emulator.checks = ptxvm.Checks(races="all")
    x, y = torch.randn(N), torch.randn(N)
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(EDITS):
            start = time.perf_counter()
            function = _edited(dsl, Path(folder))
            launch = _verdict(backend, function, x, y)
            times.append(time.perf_counter() - start)
        start = time.perf_counter()
        _verdict(backend, function, x, y)
        again = time.perf_counter() - start
    parts = _parts(launch)
    best = min(times[1:])
    return {"first": times[0], "edit": best, "again": again, **parts, "compiler": best - again - sum(parts.values())}


def _edited(dsl: str, folder: Path) -> Callable[..., None]:
    """The function of a new copy of the kernel's files, with a comment that no copy had before."""
    files, name, place = KERNELS[dsl]
    number = next(_numbers)
    sign = "//" if dsl == "cuda" else "#"
    stem = f"edit{number}"
    for file in files:
        lines = (FOLDER / file).read_text(encoding="utf-8").splitlines()
        for i, line in enumerate(lines):
            if place in line and not line.lstrip().startswith(sign):
                lines[i] += f"  {sign} edit {time.time_ns()}"
        (folder / f"{stem}{Path(file).suffix}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"bench_{dsl}_{number}", folder / f"{stem}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., None] = getattr(module, name)
    return found


def _verdict(backend: Emulated, function: Callable[..., None], x: Any, y: Any) -> Launch:
    """Run and compare."""
    out = torch.full_like(x, float("nan"))
    with backend.emulator.record({"x": x, "y": y, "out": out}) as launches:
        function(x, y, out)
    report = launches[0].report
    if report is None or not report.ok or not torch.equal(out, x + y):
        raise AssertionError("the kernel of the benchmark is wrong")
    return launches[0]


def _parts(launch: Launch) -> dict[str, float]:
    """Seconds that ptxvm takes for a text that it has not seen: to read it, and to write its code."""
    from ptxvm.codegen.blocks import compile_function

    start = time.perf_counter()
    module = ptxvm.Module.from_ptx(f"{launch.ptx}\n// {time.time_ns()}\n")
    kernel = module.kernel(launch.entry)
    graph = kernel.graph
    read = time.perf_counter()
    refused = kernel.unsupported
    assert not refused
    compile_function(kernel.function, graph)
    return {"parse": read - start, "codegen": time.perf_counter() - read}
