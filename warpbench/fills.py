"""How well a rung fills an SM of each card of the catalogue that can run it, and what stops one more block.

A kernel has other registers on another architecture, so it is compiled for each: by its DSL, in a worker of its own,
and assembled by the DSL's own assembler. Nothing is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from warpbench import hardware
from warpbench.contract import Operation, Rung
from warpbench.measure import plan
from warpbench.pool import Pool

SAME = ("kernel", "block", "registers", "spill_bytes", "stack_bytes", "static_shared_bytes", "dynamic_shared_bytes",
        "barriers", "blocks_per_sm", "warps_per_sm", "occupancy", "limiters", "problem")  # fmt: skip


def on_cards(
    operation: Operation, rung: Rung, known: Mapping[str, Mapping[str, Any]], root: str | None, limit_s: float
) -> list[dict[str, Any]]:
    """A row for each kernel and group of cards with the same result.

    known   architecture -> what `inspection.inspect_rung` found for it already

    Each row has `cards` (slugs), `ccs` and what `SAME` names; where `problem` says why, the figures are None (else
    it is None). A card that lacks what the rung needs is in no row.
    """
    able = [card for card in hardware.gpus().values() if not hardware.missing(card, plan.needs(rung))]
    cc_of = {card.arch: card.cc for card in able}

    def compiled(arch: str) -> Mapping[str, Any]:
        if arch in known:
            return known[arch]
        task: dict[str, Any] = {"task": "inspect", "rung": operation.rung_path(rung), "root": root, "cc": cc_of[arch]}
        task.update(execute=False, ptx=False, sass=False)
        with Pool(f"emulated:{arch}", 1, limit_s) as pool:
            return next(answer for _, answer in pool.run([task]))

    archs = sorted(cc_of, key=lambda arch: int(arch.removeprefix("sm_")))
    with ThreadPoolExecutor(2) as threads:
        found = dict(zip(archs, threads.map(compiled, archs), strict=True))
    rows: dict[str, dict[str, Any]] = {}
    for arch in archs:
        for result in _results(found[arch]):
            row = rows.setdefault(repr(result), {"cards": [], "ccs": [], **result})
            row["ccs"].append(cc_of[arch])
            row["cards"] += [card.slug for card in able if card.arch == arch]
    return list(rows.values())


def _results(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is known of each kernel on one architecture, each once however often it is launched."""
    problems = {one["entry"]: one["problem"].partition("\n")[0] or None for one in found.get("kernels", ())}
    distinct = {}
    for one in found.get("launches", ()):
        result = {**one, "problem": problems[one["entry"]]}
        distinct[repr([result[name] for name in SAME])] = {name: result[name] for name in SAME}
    if distinct:
        return list(distinct.values())
    reason = str(found["reason"]).strip().partition("\n")[0] or "it launches no kernel"
    return [{**dict.fromkeys(SAME), "limiters": [], "problem": reason}]
