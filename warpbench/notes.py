"""The tables of counts in kernels/*/notes.md: made from a run on ptxvm, written between two markers.

    python -m warpbench.notes [OP ...]     count again and write the tables

A table may lag behind its ladder (a new rung has no row until the tables are written again); what it says must be true:
`check` finds rows without a rung in no time, a test compares every figure with a run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from warpbench import catalogue, check, counts, hardware
from warpbench.contract import Operation, Rung
from warpbench.errors import KernelWrong, WarpbenchError
from warpbench.report.terminal import figure, shape_text

GPU = "rtx3090"  # whose architecture the tables are counted for
BEGIN, END = "<!-- counts: begin (python -m warpbench.notes) -->", "<!-- counts: end -->"
Figures = Mapping[str, Any]

# heading -> its cell. A column that is 0 in every row of an operation is left out
COLUMNS: Mapping[str, Callable[[Figures], str]] = {
    "requests": lambda f: f"{f['requests']:,}",
    "sectors/request": lambda f: figure(f["sectors"] / f["requests"]) if f["requests"] else "0",
    "asked/compulsory": lambda f: figure(f["bytes_asked"] / f["compulsory"], 2),
    "atomics": lambda f: f"{f['atomics']:,}",
    "barriers": lambda f: f"{f['barriers']:,}",
    "shared requests": lambda f: f"{f['shared_requests']:,}",
    "excess wavefronts": lambda f: f"{f['wavefronts'] - f['wavefronts_ideal']:,}",
    "mma": lambda f: f"{f['mma']:,}",
    "warp instructions": lambda f: f"{f['instructions']:,}",
    "registers": lambda f: "unknown" if f["registers"] is None else str(f["registers"]),
}


def path(operation: Operation) -> Path:
    """The notes of an operation."""
    return catalogue.KERNELS / operation.name / "notes.md"


def figures(operation: Operation, rung: Rung, backend: Any) -> Figures | None:
    """What is counted of a rung at its first tiny shape, all launches together; None if ptxvm does not execute it.

    Raises KernelWrong for a rung whose answer is wrong: its counts would mean nothing.
    """
    case = counts.counted_case(operation, rung)
    judged, launches = check.run_case(operation, rung, catalogue.function(operation, rung), case, backend)
    if judged["verdict"] == "fail":
        raise KernelWrong(f"{operation.rung_path(rung)}: {check.first_message(judged)} Nothing was written.")
    if any(launch.report is None for launch in launches):
        return None
    registers = counts.summary([counts.static(launch, backend.arch) for launch in launches], "regs")
    return {**counted(operation, case, launches), "registers": registers}


def counted(operation: Operation, case: check.Case, launches: Sequence[Any]) -> dict[str, Any]:
    """What executed launches of a case did together; the figures of COLUMNS but for the registers."""
    seen = [launch.report.counters for launch in launches]
    more = {name: sum(getattr(one, name) for one in seen) for name in ("atomics", "shared_requests", "instructions")}
    shape, dtype = case.sizes, case.dtype
    compulsory = operation.bytes_read(shape, dtype) + operation.bytes_written(shape, dtype)
    return {**counts.totals([launch.report for launch in launches]), **more, "compulsory": compulsory}


def runnable(operation: Operation) -> list[Rung]:
    """The rungs that the card of the tables has what it takes for."""
    card = hardware.gpu(GPU)
    return [rung for rung in operation.ladder if not hardware.missing(card, rung.needs)]


def table(operation: Operation, rows: Mapping[str, Figures]) -> str:
    """The text between the markers: what was counted, and a row a rung ("numba/grid_stride")."""
    cells = {heading: [cell(one) for one in rows.values()] for heading, cell in COLUMNS.items()}
    cells = {heading: column for heading, column in cells.items() if set(column) != {"0"}}
    shape = shape_text(operation.shapes.tiny[0])
    lines = [
        f"Counted by ptxvm for {hardware.gpu(GPU).arch} at {shape}; registers are those of ptxas:",
        "",
        "| rung | " + " | ".join(cells) + " |",
        "| --- |" + " ---: |" * len(cells),
    ]
    for i, name in enumerate(rows):
        lines.append(f"| {name} | " + " | ".join(column[i] for column in cells.values()) + " |")
    return "\n".join(lines)


def between(text: str) -> str | None:
    """The text between the markers; None where they do not stand there once, in order."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        return None
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def rows_of(block: str) -> dict[str, dict[str, str]]:
    """The rows of a table: rung -> heading -> cell."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if line[:1] == "|"]
    headings, _, *rows = lines
    return {row[0]: dict(zip(headings[1:], row[1:], strict=True)) for row in rows}


def check_tables(root: Path | None = None) -> list[str]:
    """Notes without a table, and rows that fit no rung; empty when all is well. Runs nothing."""
    problems = []
    for operation in catalogue.operations(root).values():
        place = f"kernels/{operation.name}/notes.md"
        block = between(((root or catalogue.KERNELS) / operation.name / "notes.md").read_text(encoding="utf-8"))
        if block is None:
            problems.append(f"{place} has no table of counts. Put in the two lines {BEGIN} and {END}, then write it.")
            continue
        known = {f"{rung.dsl}/{rung.name}" for rung in operation.ladder}
        rows = rows_of(block) if block else {}
        strays = sorted(set(rows) - known)
        problems += [f"{place} has a row for {stray}, which is no rung of the ladder." for stray in strays]
        if not rows:
            problems.append(f"{place} has an empty table of counts.")
    return [f"{problem} Write the tables: python -m warpbench.notes" for problem in problems]


def main(arguments: Sequence[str]) -> int:
    """Write the tables of these operations, or of all. 0 when done."""
    from warpbench.targets import Emulated

    backend = Emulated(hardware.gpu(GPU).arch)
    names = arguments or list(catalogue.operations())
    for operation in {one.name: one for name in names for one, _ in catalogue.select(name)}.values():
        counted = {f"{rung.dsl}/{rung.name}": figures(operation, rung, backend) for rung in runnable(operation)}
        text = path(operation).read_text(encoding="utf-8")
        block = between(text)
        if block is None:
            raise KernelWrong(f"{path(operation)} lacks the lines {BEGIN} and {END}. Nothing was written.")
        new = table(operation, {name: one for name, one in counted.items() if one is not None})
        head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
        path(operation).write_text(f"{head}{BEGIN}\n{new}\n{END}{tail}", encoding="utf-8")
        print(f"kernels/{operation.name}/notes.md: {len(counted)} rungs", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except WarpbenchError as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_code)
