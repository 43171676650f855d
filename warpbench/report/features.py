"""What a card can do and what it lacks, one feature whole, and popular claims, as plain data and as text."""

from __future__ import annotations

from typing import Any

from warpbench import errors, hardware
from warpbench.hardware.probes import probes
from warpbench.report.terminal import Column, Row, Section, say, show

DEFAULT = "rtx3090"


def features(gpu: str | None) -> dict[str, Any]:
    """What a card has: the one named, the plugged-in one, or an RTX 3090."""
    card: Any
    if gpu:
        card = hardware.gpu(gpu)
    else:
        usable = hardware.detect().usable
        card = usable[0].gpu if usable else hardware.gpu(DEFAULT)
    rows = []
    known: dict[str, hardware.Group | hardware.Feature] = {**hardware.groups(), **hardware.features()}
    for name, one in known.items():
        chip = one if isinstance(one, hardware.Feature) else None
        rows.append(
            {
                "name": name, "group": chip is None, "kind": chip.kind if chip else "chip",
                "has": hardware.has(card.cc, name), "title": one.title, "where": hardware.having(one.native_cc),
                "since": one.native_cc[0] if one.native_cc else None,
                "emulated": chip.emulated.get(card.cc, "") if chip else "", "instead": chip.instead if chip else "",
            }
        )  # fmt: skip
    return {
        "slug": card.slug, "gpu": card.name, "cc": card.cc, "features": rows,
        "older": list(hardware.older().get(card.cc, ())),
    }  # fmt: skip


def show_features(found: dict[str, Any]) -> int:
    """Print the features of one card: those that it has, then those that it has not, with what takes their place."""
    columns = (Column("feature"), Column("since", "right"), Column("where", priority=2, wrap=True),
               Column("here, and instead", priority=1, least=24))  # fmt: skip
    has = [one for one in found["features"] if one["has"]]
    lacks = [one for one in found["features"] if not one["has"]]
    rows: list[Row | Section] = [Section(f"{found['gpu']} ({found['cc']}) has {len(has)} of {len(found['features'])}")]
    rows += [[_name(one), one["since"] or "never", one["where"], one["title"]] for one in has]
    rows.append(
        Section(f"It has not {len(lacks)}", "Emulated: the assembler takes it and makes other instructions of it")
    )
    for one in lacks:
        here = f"emulated: {one['emulated']}" if one["emulated"] else "refused" if one["kind"] == "chip" else "no"
        instead = f". Instead: {one['instead']}" if one["instead"] else ""
        rows.append([_name(one), one["since"] or "never", one["where"], here + instead])
    notes = ["One of them whole: warpbench features NAME. Popular claims that are false: warpbench features --claims"]
    if found["older"]:
        notes = [
            "What works on this card, without being tried on one:",
            *(f"  {line}" for line in found["older"]),
            *notes,
        ]
    show(columns, rows, notes)
    return errors.OK


def feature(name: str) -> dict[str, Any]:
    """One feature or group whole."""
    one = hardware.lookup(name)
    row: dict[str, Any] = {
        "name": name, "title": one.title, "native_cc": list(one.native_cc), "where": hardware.having(one.native_cc),
        "cards": [card.slug for card in hardware.gpus().values() if card.cc in one.native_cc],
    }  # fmt: skip
    if isinstance(one, hardware.Group):
        return {**row, "any": list(one.any)}
    probe = probes().get(name)
    meanings = hardware.sources()
    return {
        **row, "since": one.since, "suffix": one.suffix, "targets": list(one.targets), "emulated": dict(one.emulated),
        "instead": one.instead, "min_ptx": one.min_ptx or None, "min_cuda": one.min_cuda or None,
        "sass": list(one.sass), "probe": probe.text if probe else None, "note": one.note,
        "source": [meanings.get(source, source) for source in one.source],
    }  # fmt: skip


def show_feature(one: dict[str, Any]) -> int:
    """Print it."""
    say(f"{one['name']}: {one['title']}", f"native on {', '.join(one['native_cc']) or 'no chip'} ({one['where']})")
    say(f"cards: {', '.join(one['cards']) or 'none'}")
    if "any" in one:
        say(f"one of: {', '.join(one['any'])}")
        return errors.OK
    say(*(f"emulated on {cc}: {text}" for cc, text in one["emulated"].items()))
    say(f"assembled for exactly: {', '.join(one['targets'])}")
    for key, name in (("min_ptx", "PTX from"), ("min_cuda", "CUDA from"), ("instead", "instead, where it is missing")):
        if one[key]:
            say(f"{name}: {one[key]}")
    if one["sass"]:
        say(f"machine code that shows it: {' or '.join(one['sass'])}")
    if one["probe"]:
        say(
            "probe, assembled for every architecture by the tests:",
            *(f"  {line}" for line in one["probe"].splitlines()),
        )
    say(*(f"source: {source}" for source in one["source"]), *([f"note: {one['note']}"] if one["note"] else []))
    return errors.OK


def claims() -> list[dict[str, Any]]:
    """Popular claims, what is true of them, and the evidence."""
    return [
        {
            "claim": one.claim, "verdict": one.verdict, "fact": one.fact,
            "has": {cc: list(names) for cc, names in one.has.items()},
            "lacks": {cc: list(names) for cc, names in one.lacks.items()},
        }
        for one in hardware.claims()
    ]  # fmt: skip


def show_claims(found: list[dict[str, Any]]) -> int:
    """Print them with their evidence."""
    for one in found:
        say(f"{one['claim']}: {one['verdict']}", f"  {one['fact']}")
        proofs = [f"{cc} has {', '.join(names)}" for cc, names in one["has"].items()]
        proofs += [f"{cc} lacks {', '.join(names)}" for cc, names in one["lacks"].items()]
        say(f"  evidence: {'; '.join(proofs)}", "")
    say("The features named are assembled, and their machine code read, by the tests: warpbench features NAME")
    return errors.OK


def _name(one: dict[str, Any]) -> str:
    return str(one["name"]) + (" (group)" if one["group"] else "")
