"""The text of `warpbench features --triton`: what Triton makes of a few kernels, by card and version."""

from __future__ import annotations

from typing import Any

from warpbench import errors, hardware
from warpbench.hardware.lowering import Lowered, main_instructions, triton
from warpbench.report.all_cards import SIDE_BY_SIDE
from warpbench.report.terminal import Column
from warpbench.report.terminal import show as table


def lowered(gpu: str | None) -> dict[str, Any]:
    """With a card: what each version makes there of each kernel. Without: what the newest one makes on each card.

    Raises LookupError for an unknown card. `kernels`: name -> version, or compute capability -> instructions, or why
    there are none.
    """
    versions = triton()
    newest = next(reversed(versions))
    if gpu is None:
        return {"gpu": None, "cc": None, "version": newest, "kernels": versions[newest]}
    card = hardware.gpu(gpu)
    kernels = {
        name: {version: rows[name][card.cc] for version, rows in versions.items() if card.cc in rows[name]}
        for name in versions[newest]
    }
    return {"gpu": card.name, "cc": card.cc, "version": None, "kernels": kernels}


def show(found: dict[str, Any]) -> int:
    """Print it."""
    columns = SIDE_BY_SIDE if found["gpu"] is None else list(triton())
    titles = [f"sm_{one.replace('.', '')}" if found["gpu"] is None else f"Triton {one}" for one in columns]
    where = f"Triton {found['version']}" if found["gpu"] is None else f"{found['gpu']} ({found['cc']})"
    rows: list[list[str]] = []
    refusals: dict[str, None] = {}
    for name, by in found["kernels"].items():
        cells = [_cell(by.get(one), whole=found["gpu"] is not None) for one in columns]
        rows.append([name, *cells])
        refusals.update(dict.fromkeys(reason for one in columns if isinstance(reason := by.get(one), str)))
    if found["gpu"] is None:
        note = "The instruction that does the work, and how many stand in the code of one tile. All of them: --gpu SLUG"
    else:
        note = "Instructions of the machine code that do the work, and how many of each stand there."
    table([Column(where), *(Column(title) for title in titles)], rows, ["", note, *refusals])
    return errors.OK


def _cell(one: Lowered | None, whole: bool) -> str:
    if one is None:
        return "-"
    if isinstance(one, str):
        return "refused"
    return ", ".join(f"{count} {name}" for name, count in one.items()) or "-" if whole else main_instructions(one)
