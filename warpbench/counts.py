"""What a rung does, counted: its launches at a tiny shape on ptxvm, and what ptxas says of each kernel.

Runs inside a worker process. No time is measured here and none comes out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from warpbench import cache, catalogue, check
from warpbench.contract import Operation, Rung
from warpbench.errors import EnvironmentProblem, KernelWrong

# ours <- sum of these counters of ptxvm, over all launches of a rung
SUMS = {
    "requests": ("global_load_requests", "global_store_requests"),
    "sectors": ("global_load_sectors", "global_store_sectors"),
    "unique_sectors": ("unique_load_sectors", "unique_store_sectors"),
    "wavefronts": ("shared_wavefronts",),
    "wavefronts_ideal": ("shared_wavefronts_ideal",),
    "barriers": ("barriers",),
    "divergent": ("divergent_branches",),
    "mma": ("mma",),
    "flops": ("flops",),
}


def profile_rung(
    operation: Operation,
    rung: Rung,
    backend: Any,
    root: Path | None = None,
    begin: Callable[[str], None] = lambda case: None,
    cached: bool = True,
    quick: bool = False,
) -> dict[str, Any]:
    """Check a rung on its tiny and ragged shapes, count it on the first tiny one, and ask ptxas about its kernels.

    `quick`: check it at the shape that is counted only.

    Returns what `check.check_rung` returns and, where it came so far, `counted`: {"case", "shape", "dtype", "arch",
    "ptx_sha256", "counts" (None: compiled, not executed), "launches": [{kernel, grid, block, regs, spill_bytes,
    smem_bytes, threads, tool}]}. `from_cache` says whether every case came from the cache.
    """
    result: dict[str, Any] = {
        "rung": operation.rung_path(rung),
        "verdict": "pass",
        "reason": "",
        "cases": [],
        "counted": None,
    }
    try:
        function = catalogue.function(operation, rung, root)
    except EnvironmentProblem as error:
        return {**result, "verdict": "not run", "reason": str(error)}
    except KernelWrong as error:
        return {**result, "verdict": "fail", "reason": str(error)}
    hits = []
    main = counted_case(operation, rung)
    todo = dict.fromkeys([main, *([] if quick else check.cases(operation, rung, full=False))])
    for case in todo:
        begin(str(case))
        judged = _case(operation, rung, function, case, backend, root, case == main, cached)
        hits.append(judged.pop("from_cache"))
        counted = judged.pop("counted", None)
        result["cases"].append(judged)
        result["counted"] = counted or result["counted"]
        if judged["verdict"] != "pass":
            result.update(verdict=judged["verdict"], reason=judged["reason"] or check.first_message(judged))
            break
    return {**result, "from_cache": all(hits)}


def counted_case(operation: Operation, rung: Rung) -> check.Case:
    """The case that is counted: the first tiny shape that the rung serves, its first dtype."""
    shape = next(s for s in operation.shapes.tiny if rung.serves(s))
    return check.Case(tuple(shape.items()), rung.dtypes[0])


def _case(
    operation: Operation,
    rung: Rung,
    function: Callable[..., None],
    case: check.Case,
    backend: Any,
    root: Path | None,
    count: bool,
    cached: bool,
) -> dict[str, Any]:
    """One case, from the cache where the very same was judged before."""
    files = catalogue.source_files(operation, rung, root)
    key = _key(operation, rung, function, case, backend, root, count) if cached else None
    found = cache.load(key) if key else None
    if found is not None:
        return {**found, "from_cache": True}
    judged, launches = check.run_case(operation, rung, function, case, backend, files)
    if count and launches:
        judged["counted"] = _counted(case, backend.arch, launches)
    known = not any(launch.get("problem") for launch in judged.get("counted", {}).get("launches", ()))
    if key and known:  # what a missing assembler could not say must be asked again
        cache.store(key, judged)
    return {**judged, "from_cache": False}


def _key(
    operation: Operation,
    rung: Rung,
    function: Callable[..., None],
    case: check.Case,
    backend: Any,
    root: Path | None,
    count: bool,
) -> str | None:
    """The cache key of a case: compiles the rung without running it. None if that fails (running it says why)."""
    tensors = check.place(operation, case, backend.device, backend.band)
    try:
        launches = backend.run(lambda: function(*tensors.arguments.values()), tensors.by_name, case, False)
    except Exception:
        return None
    story = (root or catalogue.KERNELS) / operation.name / "op.py"
    return cache.key(
        operation.rung_path(rung),
        catalogue.rung_sha256(operation, rung, root),
        hashlib.sha256(story.read_bytes()).hexdigest(),
        str(case),
        backend.arch,
        count,
        [[ptx_sha256(launch.ptx), launch.grid, launch.block, launch.dynamic_shared_bytes] for launch in launches],
    )


def ptx_sha256(ptx: str) -> str:
    return hashlib.sha256(ptx.encode()).hexdigest()


def _counted(case: check.Case, arch: str, launches: Sequence[Any]) -> dict[str, Any]:
    executed = all(launch.report is not None for launch in launches)
    together = hashlib.sha256("".join(ptx_sha256(launch.ptx) for launch in launches).encode()).hexdigest()
    return {
        "case": str(case),
        "shape": dict(case.shape),
        "dtype": case.dtype,
        "arch": arch,
        "ptx_sha256": ptx_sha256(launches[0].ptx) if len(launches) == 1 else together,
        "counts": totals([launch.report for launch in launches]) if executed else None,
        "launches": [static(launch, arch) for launch in launches],
    }


def totals(reports: Sequence[Any]) -> dict[str, int]:
    """The counts of several launches, summed."""
    out = {ours: sum(getattr(r.counters, name) for r in reports for name in theirs) for ours, theirs in SUMS.items()}
    out["bytes_asked"] = 32 * out["sectors"]
    return out


def static(launch: Any, arch: str) -> dict[str, Any]:
    """What ptxas says of a launch's kernel. `regs` and the rest are None where it could not be assembled."""
    from warpbench.backends import sass

    x, y, z = launch.block
    row: dict[str, Any] = {
        "kernel": launch.kernel, "grid": list(launch.grid), "block": list(launch.block), "threads": x * y * z,
        "regs": None, "spill_bytes": None, "smem_bytes": None, "tool": None, "problem": "",
    }  # fmt: skip
    try:
        panel = sass.static_panel(launch.ptx, arch, launch.dsl, launch.entry)
    except Exception as error:  # a missing assembler, or PTX that it refuses: told in the row, never lost
        return {**row, "problem": str(error).strip().partition("\n")[0]}
    shared = panel.shared_bytes + launch.dynamic_shared_bytes
    return {**row, "regs": panel.registers, "spill_bytes": panel.spill_bytes, "smem_bytes": shared, "tool": panel.tool}


def summary(launches: Sequence[Mapping[str, Any]], name: str) -> int | None:
    """The greatest figure of several launches; None if one is unknown."""
    values = [launch[name] for launch in launches]
    return None if not values or any(value is None for value in values) else max(values)
