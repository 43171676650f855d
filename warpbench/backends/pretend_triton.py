"""Triton that says that a card is there, beyond what its driver object (in `triton.py`) says: registers, benchmarks."""

from __future__ import annotations

import functools
import importlib
from dataclasses import replace
from typing import Any

from warpbench.backends import hooks
from warpbench.backends.pretend import AUTOTUNED_BLOCKS, Card, nothing, scope
from warpbench.backends.triton import benchmarks, is_autotuner


def install(card: Card) -> None:
    """After the hook has made ptxvm Triton's driver."""
    import triton
    import triton.testing

    driver = type(triton.runtime.driver.active)
    driver.get_active_torch_device = _cuda
    driver.get_device_interface = _interface
    triton.testing.Mark.run = _no_sweep(card)
    _patch_benchmark(triton, card)
    _patch_resources(card)
    hooks.when_imported("triton.profiler", _no_profiler)


def _cuda(self: Any) -> Any:
    import torch

    return torch.device("cuda", 0)


def _interface(self: Any) -> Any:
    import torch

    return torch.cuda


def _patch_benchmark(triton: Any, card: Card) -> None:
    """The autotuner ranks configurations by a part of the grid, without a look for races: the one that is chosen is
    launched again, and checked as any other. Everybody else's call is made once, whole.
    """
    benchmark = benchmarks(card.emulator, card.nan)

    def do_bench(fn: Any, *args: Any, **options: Any) -> Any:
        emulator, checks = card.emulator, card.emulator.checks
        if is_autotuner(fn):
            emulator.blocks, emulator.checks = AUTOTUNED_BLOCKS, replace(checks, races="off")
        try:
            return benchmark(fn, *args, **options)
        finally:
            emulator.blocks, emulator.checks = None, checks

    triton.testing.do_bench = triton.testing.do_bench_cudagraph = do_bench
    type(triton.runtime.driver.active).get_benchmarker = lambda self: do_bench


def _no_sweep(card: Card) -> Any:
    """In place of `perf_report(...).run()`: a sweep over sizes is for times, and there are none."""

    def run(self: Any, *args: Any, return_df: bool = False, **options: Any) -> Any:
        benchmarks = self.benchmarks if isinstance(self.benchmarks, list | tuple) else [self.benchmarks]
        names = ", ".join(one.plot_name for one in benchmarks)
        card.tell(
            f"sweep {names}",
            f"triton.testing.perf_report: nothing is timed without a card, so {names} would be a table of NaN. It was "
            "not run.",
        )
        if not return_df:
            return None
        pd = importlib.import_module("pandas")  # the script's, not a package that we need
        tables = [
            pd.DataFrame(dict.fromkeys(one.x_names, one.x_vals) | dict.fromkeys(one.line_names, float("nan")))
            for one in benchmarks
        ]
        return tables if isinstance(self.benchmarks, list | tuple) else tables[0]

    return run


def _patch_resources(card: Card) -> None:
    """`compiled.n_regs` and `n_spills`: asked of ptxas when the script asks."""
    from triton.compiler.compiler import CompiledKernel

    @functools.cache
    def resources(ptx: str, name: str) -> tuple[int, int]:
        from warpbench.backends import sass

        panel = sass.static_panel(ptx, card.emulator.arch, "triton", name)
        return panel.registers, panel.spill_bytes // 4  # in registers, as the driver's loader tells Triton

    def of(index: int) -> property:
        def ask(self: Any) -> int:
            ptx = self.asm["ptx"]
            return resources(ptx.decode() if isinstance(ptx, bytes) else ptx, self.name)[index]

        return property(ask, nothing)  # the loader's 0 is dropped

    CompiledKernel.n_regs, CompiledKernel.n_spills = of(0), of(1)


def _no_profiler() -> None:
    """Proton needs the driver's profiling library: its calls do nothing."""
    import triton.profiler as proton

    for name in ("activate", "deactivate", "finalize", "start", "enter_scope", "exit_scope"):
        setattr(proton, name, nothing)
    proton.scope = proton.cpu_timed_scope = scope
    proton.profile = lambda function=None, **options: function if function is not None else lambda one: one
