"""`warpbench inspect`: one rung in detail, at the tiny shape that `profile` counts.

`gather` asks for it; `inspect_rung` does the work in a worker, for the hooks of ptxvm must not live in the command's
own process. Nothing is timed. Everything is plain data for JSON; None is unknown.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from warpbench import catalogue, check, counts, hardware
from warpbench.contract import Operation, Rung
from warpbench.errors import WarpbenchError
from warpbench.measure import plan
from warpbench.pool import Pool
from warpbench.profiling_run import DEFAULT_GPU


def gather(
    pick: plan.Pick,
    gpu: str | None = None,
    ptx: bool = False,
    sass: bool = False,
    counters: bool = False,
    all_cards: bool = False,
    root: Path | None = None,
    limit_s: float = 120.0,
) -> dict[str, Any]:
    """What is known of a rung on a card of the catalogue. Raises LookupError for an unknown card.

    ptx, sass, counters, all_cards    what is wanted; none: the summary. Only counters and summary execute the rung

    Returns rung, idea, gpu, name, cc, arch, wants, refused (the sentence, or None) and, unless it was refused and only
    its execution was asked for, what `inspect_rung` returns; with `all_cards`, what `warpbench.fills.on_cards` returns.
    """
    operation, rung = pick
    card = hardware.gpu(gpu or DEFAULT_GPU)
    refused = plan.make([pick], card).refused
    wants = {"summary": not (ptx or sass or counters or all_cards), "ptx": ptx, "sass": sass, "counters": counters}
    wants["all_cards"] = all_cards
    head: dict[str, Any] = {
        "rung": operation.rung_path(rung), "idea": rung.idea, "gpu": card.slug, "name": card.name, "cc": card.cc,
        "arch": card.arch, "wants": wants, "refused": refused[0].sentence if refused else None,
    }  # fmt: skip
    execute = not refused and (counters or wants["summary"])
    where = None if root is None else str(root)
    task = {"task": "inspect", "rung": head["rung"], "root": where, "cc": card.cc, "execute": execute}
    task.update(ptx=ptx, sass=sass)
    found: dict[str, Any] = {**head, "verdict": "not run", "reason": head["refused"]}
    known: dict[str, dict[str, Any]] = {}
    if not refused or ptx or sass or wants["summary"]:
        with Pool(f"emulated:{card.arch}", 1, limit_s) as pool:
            found = {**next(answer for _, answer in pool.run([task])), **head}
        known[card.arch] = found
    if all_cards:
        from warpbench import fills

        found.update(fills.on_cards(operation, rung, known, where, limit_s))
    return found


def inspect_rung(
    operation: Operation,
    rung: Rung,
    backend: Any,
    task: Mapping[str, Any],
    root: Path | None = None,
    begin: Callable[[str], None] = lambda case: None,
    own: tuple[Callable[..., None], Sequence[Path]] | None = None,
) -> dict[str, Any]:
    """Compile a rung, execute it if the task says so, and look at its kernels. Runs inside a worker.

    verdict    "pass", "fail", "not executed" (ptxvm cannot), "compiled" (not asked to), with its reason
    case, shape, dtype, findings    as of `check.run_case`
    kernels    each kernel once: its panel, its instruction mix; `ptx` and the listing where the task asks for them
    launches   in order: grid, block, shared memory, occupancy on the task's `cc`
    claims     what the ladder says of the PTX, and whether it is there
    counts     totals over all launches; `lines`: the same by source line; both None if it was not executed

    `own` is a function to take in place of the rung's, and its files: an answer to an exercise.
    """
    if own is None:
        own = catalogue.function(operation, rung, root), catalogue.source_files(operation, rung, root)
    function, files = own
    case = counts.counted_case(operation, rung)
    begin(str(case))
    judged: dict[str, Any] = {"verdict": "compiled", "reason": "", "findings": []}
    launches: Sequence[Any] = ()
    if task["execute"]:
        judged, launches = check.run_case(operation, rung, function, case, backend, files)
    executed = bool(launches) and all(launch.report is not None for launch in launches)
    if not launches:  # not to be executed, or it stopped on the way: what was compiled is there all the same
        try:
            launches = _compiled(operation, function, case, backend)
        except Exception as error:
            finding = backend.explain(error, files)
            if finding is None:
                raise
            if judged["verdict"] == "compiled":
                judged.update(verdict="fail", findings=[finding])
    kernels = _kernels(launches, backend.arch, task)
    moved = operation.bytes_read(case.sizes, case.dtype) + operation.bytes_written(case.sizes, case.dtype)
    found: dict[str, Any] = {
        "verdict": judged["verdict"],
        "reason": judged["reason"] or check.first_message(judged),
        "case": str(case),
        "shape": case.sizes,
        "dtype": case.dtype,
        "findings": judged["findings"],
        "compulsory_bytes": moved,
        "kernels": kernels,
        "launches": [_launch(launch, kernels, str(task["cc"])) for launch in launches],
        "claims": _claims(rung, backend.arch, launches),
        "counts": None,
        "lines": None,
    }
    if executed:
        reports = [launch.report for launch in launches]
        found["counts"] = totals(reports)
        found["lines"] = by_line(reports)
    return found


def _compiled(operation: Operation, function: Callable[..., None], case: check.Case, backend: Any) -> Sequence[Any]:
    """The launches of a rung, none of them executed."""
    tensors = check.place(operation, case, backend.device, backend.band)
    launches: Sequence[Any] = backend.run(lambda: function(*tensors.arguments.values()), tensors.by_name, case, False)
    return launches


# -- static --------------------------------------------------------------------------------------------------------
def _kernels(launches: Sequence[Any], arch: str, task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the assembler says of each kernel, once however often it was launched."""
    distinct = {(launch.ptx, launch.entry): launch for launch in launches}
    return [_kernel(launch, arch, task) for launch in distinct.values()]


def _kernel(launch: Any, arch: str, task: Mapping[str, Any]) -> dict[str, Any]:
    """One kernel. `problem` says why its panel or machine code is unknown, `problem_code` is the exit code for it."""
    from warpbench.backends import sass as static

    row: dict[str, Any] = {
        "kernel": launch.kernel, "entry": launch.entry, "dsl": launch.dsl, "ptx_sha256": counts.ptx_sha256(launch.ptx),
        "target": static.target_of(launch.ptx, arch), "registers": None, "spill_bytes": None, "stack_bytes": None,
        "shared_bytes": None, "barriers": None, "tool": None, "problem": "", "problem_code": 0,
        "ptx": launch.ptx if task["ptx"] else None, "sass": None,
    }  # fmt: skip
    try:
        panel = static.static_panel(launch.ptx, arch, launch.dsl, launch.entry)
        row.update({name: getattr(panel, name) for name in PANEL})
        row["sass"] = machine_code(static.sass(launch.ptx, arch, launch.dsl, launch.entry), launch.ptx, task["sass"])
    except WarpbenchError as error:
        row.update(problem=str(error), problem_code=error.exit_code)
    return row


PANEL = ("registers", "spill_bytes", "stack_bytes", "shared_bytes", "barriers", "tool")


def machine_code(sass: Any, ptx: str, listing: bool) -> dict[str, Any]:
    """Machine code (`backends.sass.Sass`) as plain data: its instruction mix beside the PTX's, the listing if asked."""
    from warpbench.backends import mix

    rows = mix.side_by_side(mix.opcodes(ptx, sass.entry), sass.histogram)
    return {
        "assembler": sass.assembler,
        "disassembler": sass.disassembler,
        "target": sass.target,
        "code": [vars(one) for one in sass.code] if listing else None,
        "mix": [{**vars(row), "differs": row.differs} for row in rows],
        "opcodes": dict(mix.whole_opcodes(one.text for one in sass.code if one.mnemonic not in ("", "NOP"))),
        "warnings": mix.warnings(rows, sass.assembler),
    }


def _launch(launch: Any, kernels: Iterable[Mapping[str, Any]], cc: str) -> dict[str, Any]:
    """One launch, and how well it fills an SM."""
    sha = counts.ptx_sha256(launch.ptx)
    kernel = next(one for one in kernels if (one["ptx_sha256"], one["entry"]) == (sha, launch.entry))
    x, y, z = launch.block
    row: dict[str, Any] = {
        "kernel": launch.kernel, "entry": launch.entry, "grid": list(launch.grid), "block": list(launch.block),
        "threads": x * y * z, "dynamic_shared_bytes": launch.dynamic_shared_bytes, "shared_bytes": None,
        **{name: kernel[name] for name in ("registers", "spill_bytes", "stack_bytes", "barriers")},
        "static_shared_bytes": kernel["shared_bytes"], "blocks_per_sm": None, "warps_per_sm": None, "occupancy": None,
        "limiters": [], "not_executed": launch.not_executed,
    }  # fmt: skip
    if kernel["registers"] is None:
        return row
    row["shared_bytes"] = kernel["shared_bytes"] + launch.dynamic_shared_bytes
    fills = hardware.occupancy(cc, row["threads"], row["registers"], row["shared_bytes"])
    if fills is not None:
        row.update(blocks_per_sm=fills.blocks_per_sm, warps_per_sm=fills.warps_per_sm)
        row.update(occupancy=fills.share, limiters=list(fills.limiters))
    return row


def _claims(rung: Rung, arch: str, launches: Sequence[Any]) -> list[dict[str, Any]]:
    """What the ladder says that the PTX shows here, and whether one of the kernels does."""
    from warpbench.backends import mix

    kernels = {(launch.ptx, launch.entry) for launch in launches}
    return [
        {"claim": claim, "found": any(mix.shown(claim, ptx, entry) for ptx, entry in kernels)}
        for claim in (mix.claims(rung, arch) if kernels else ())
    ]


# -- counted -------------------------------------------------------------------------------------------------------
def totals(reports: Sequence[Any]) -> dict[str, Any]:
    """What a rung's launches did together (`ptxvm.Report`)."""
    whole = type(reports[0].counters)()
    for report in reports:
        whole.add(report.counters)
    unique = {"unique_load_bytes": whole.unique_load_bytes, "unique_store_bytes": whole.unique_store_bytes}
    return {**figures(whole), **counts.totals(reports), **unique}


def by_line(reports: Sequence[Any]) -> list[dict[str, Any]]:
    """The same by line of the kernel file, all launches together, in order of file and line."""
    lines: dict[tuple[str, int], Any] = {}
    for report in reports:
        for place, counters in report.lines.items():
            lines.setdefault(place, type(counters)()).add(counters)
    return lines_of(lines)


def lines_of(lines: Mapping[tuple[str, int], Any]) -> list[dict[str, Any]]:
    """Counters by file and line as plain data, in order of file and line."""
    return [
        {"file": file, "line": line, "text": linecache.getline(file, line).strip(), **figures(counters)}
        for (file, line), counters in sorted(lines.items())
    ]


def figures(counters: Any) -> dict[str, Any]:
    """Counters of a line or of a launch (`ptxvm.Counters`), with what is derived of them.

    efficiency    bytes that threads asked for over the bytes of the sectors that they touched, 0 to 1; above 1 where
                  several threads read the same bytes
    ideal         wavefronts that the same accesses take without bank conflicts; excess: those beyond them
    contention    the most lanes of a warp whose atomics hit one address
    units, mix    operations by unit and warp instructions by class, as `ptxvm.units` names them
    """
    c = counters
    return {
        "requests": c.requests,
        "sectors": c.sectors,
        "sectors_per_request": c.sectors_per_request,
        "load_bytes": c.global_load_bytes,
        "store_bytes": c.global_store_bytes,
        "efficiency": c.efficiency,
        "shared_requests": c.shared_requests,
        "wavefronts": c.shared_wavefronts,
        "ideal": c.shared_wavefronts_ideal,
        "excess": c.shared_excess,
        "instructions": c.instructions,
        "flops": c.flops,
        "mma": c.mma,
        "atomics": c.atomics,
        "contention": c.atomic_contention,
        "divergent": c.divergent_branches,
        "barriers": c.barriers,
        "units": dict(c.units),
        "mix": dict(c.mix),
    }
