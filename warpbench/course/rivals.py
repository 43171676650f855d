"""An answer beside the solution and beside the same operation in the other DSLs: counters, registers, machine code.

The card after a pass takes the rungs' counts from `kernels/<operation>/notes.md`; `learn compare` counts all anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from warpbench import catalogue, hardware, notes
from warpbench.contract import Operation, Rung
from warpbench.course.catalogue import Exercise
from warpbench.report.terminal import Column, aligned, figure

Row = Mapping[str, Any]


def best(operation: Operation) -> dict[str, Rung]:
    """The last rung of each DSL that runs on the card of the notes: DSL -> rung."""
    return {rung.dsl: rung for rung in notes.runnable(operation)}


# -- the card ------------------------------------------------------------------------------------------------------
def card(exercise: Exercise, counts: Row | None, width: int) -> list[str]:
    """A table: the answer's counts and those of the best rung of each DSL, the first ones that fit into `width`.

    Empty where the rungs were counted for another architecture.
    """
    operation = catalogue.operations().get(exercise.operation)
    if operation is None or counts is None or hardware.gpu(notes.GPU).arch != exercise.arch[0]:
        return []
    block = notes.between(notes.path(operation).read_text(encoding="utf-8"))
    known = notes.rows_of(block) if block else {}
    rungs = [f"{dsl}/{rung.name}" for dsl, rung in best(operation).items()]
    rows = {name: known[name] for name in rungs if name in known}
    if not rows:
        return []
    headings = [name for name in next(iter(rows.values())) if name != "registers"]
    mine = {name: notes.COLUMNS[name](counts) for name in headings}
    while True:
        columns = [Column(""), *(Column(name, "right") for name in headings)]
        cells = [[name, *(row[heading] for heading in headings)] for name, row in {"yours": mine, **rows}.items()]
        lines = aligned(columns, cells).splitlines()
        if max(map(len, lines)) <= width or len(headings) == 1:
            break
        headings.pop()
    title = block.partition(";")[0].removeprefix("Counted by ptxvm for ") if block else ""
    return [f"The same operation in all three DSLs, counted for {title}:", *lines]


# -- learn compare -------------------------------------------------------------------------------------------------
def perform(task: Mapping[str, Any], backend: Any, begin: Callable[[str], None]) -> dict[str, Any]:
    """The worker's task "dissect": what `inspection.inspect_rung` says of an answer's first variant."""
    from pathlib import Path

    from warpbench import inspection
    from warpbench.course.catalogue import find, load
    from warpbench.course.check import opened
    from warpbench.course.contain import contained

    exercise = find(load(Path(task["root"])), task["rung"])
    head: dict[str, Any] = {"exercise": exercise.id, "verdict": "fail", "reason": "", "counts": None, "kernels": []}
    with contained([]):
        trial, findings = opened(exercise, {**task, "marks": False}, backend, begin)
        if trial is None:
            return {**head, "reason": findings[0]["title"]}
        wanted = {"execute": True, "ptx": False, "sass": False, "cc": hardware.gpu(notes.GPU).cc}
        own = trial.call(exercise.variants[0]), trial.files
        return {**head, **inspection.inspect_rung(trial.operation, trial.rung, backend, wanted, begin=begin, own=own)}


COLUMNS = (
    Column(""), Column("registers", "right"), Column("SASS", "right"), Column("warp instr.", "right", 1),
    Column("requests", "right", 4), Column("sectors/request", "right", 2), Column("asked/compulsory", "right", 2),
    Column("shared requests", "right", 5), Column("wavefronts", "right", 3), Column("barriers", "right", 3),
    Column("verdict"),
)  # fmt: skip


def row(name: str, found: Row) -> dict[str, Any]:
    """One line of the comparison, from `inspection.inspect_rung`: plain data, None where it is not known."""
    counts, kernels = found["counts"] or {}, found["kernels"]
    registers = [one["registers"] for one in kernels if one["registers"] is not None]
    codes = [sum(line["sass"] for line in one["sass"]["mix"]) for one in kernels if one["sass"]]
    asked, least = counts.get("bytes_asked"), found.get("compulsory_bytes")
    return {
        "name": name, "verdict": found["verdict"], "reason": found["reason"],
        "registers": max(registers, default=None), "sass": sum(codes) if codes else None,
        "instructions": counts.get("instructions"), "requests": counts.get("requests"),
        "sectors_per_request": counts["sectors"] / counts["requests"] if counts.get("requests") else None,
        "asked_over_compulsory": asked / least if asked is not None and least else None,
        "shared_requests": counts.get("shared_requests"), "wavefronts": counts.get("wavefronts"),
        "barriers": counts.get("barriers"),
    }  # fmt: skip


def cells(rows: Sequence[Row]) -> list[list[str]]:
    """The rows under COLUMNS."""
    return [
        [
            one["name"], _whole(one["registers"]), _whole(one["sass"]), _whole(one["instructions"]),
            _whole(one["requests"]), figure(one["sectors_per_request"]), figure(one["asked_over_compulsory"], 2),
            _whole(one["shared_requests"]), _whole(one["wavefronts"]), _whole(one["barriers"]),
            one["verdict"] if one["verdict"] == "pass" else f"{one['verdict']}: {one['reason']}".partition("\n")[0],
        ]
        for one in rows
    ]  # fmt: skip


def _whole(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
