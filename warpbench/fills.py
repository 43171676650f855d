"""What becomes of a rung on every card of the catalogue: registers, spills, occupancy with its limiter, instructions.

A kernel has other registers and other instructions on another architecture, so it is compiled for each: by its DSL, in
a worker of its own, and assembled by the DSL's own assembler. Nothing is executed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from warpbench import hardware
from warpbench.contract import Operation, Rung
from warpbench.measure import plan
from warpbench.pool import Pool

SAME = ("kernel", "block", "registers", "spill_bytes", "stack_bytes", "static_shared_bytes", "dynamic_shared_bytes",
        "barriers", "blocks_per_sm", "warps_per_sm", "occupancy", "limiters", "problem")  # fmt: skip
FIGURES = ("registers", "spill_bytes", "blocks_per_sm", "warps_per_sm", "occupancy", "limiters")


def on_cards(
    operation: Operation,
    rung: Rung,
    known: Mapping[str, Mapping[str, Any]],
    root: str | None,
    limit_s: float,
    only: Collection[str] = (),
) -> dict[str, Any]:
    """What each card of the catalogue makes of a rung.

    known   architecture -> what `inspection.inspect_rung` found for it already
    only    the architectures of interest; empty: all

    cards      a row for each kernel and group of cards with the same result: `cards` (slugs), `ccs` and what `SAME`
               names; where `problem` says why, the figures are None (else it is None)
    kernels_by_cc    compute capability -> each kernel once: its name, what `FIGURES` names, target, shared_bytes,
               `mix` (mnemonics of the machine code, matrix instructions as "MMA") and `opcodes` (the same whole), each
               with how often it stands there; None where the kernel could not be assembled
    refused_by_cc    compute capability -> why the rung cannot run there; such a card is in none of the above
    """
    cards = [card for card in hardware.gpus().values() if not only or card.arch in only]
    refused = {
        card.cc: hardware.refusal(operation.rung_path(rung), card, lacking, plan.nearest_rung(operation, rung, card))
        for card in cards
        if (lacking := hardware.missing(card, plan.needs(rung)))
    }
    able = [card for card in cards if card.cc not in refused]
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
    by_cc = {cc_of[arch]: _kernels(found[arch]) for arch in archs}
    return {"cards": list(rows.values()), "kernels_by_cc": by_cc, "refused_by_cc": refused}


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


def _kernels(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each kernel on one architecture, as it is launched first."""
    first: dict[str, Mapping[str, Any]] = {}
    for launch in found.get("launches", ()):
        first.setdefault(launch["entry"], launch)
    rows = []
    for kernel in found.get("kernels", ()):
        launch, sass = first[kernel["entry"]], kernel["sass"]
        rows.append({
            "kernel": kernel["kernel"], "target": kernel["target"],
            "shared_bytes": launch["shared_bytes"], **{name: launch[name] for name in FIGURES},
            "mix": None if sass is None else {row["family"]: row["sass"] for row in sass["mix"] if row["sass"]},
            "opcodes": None if sass is None else sass["opcodes"],
        })  # fmt: skip
    return rows
