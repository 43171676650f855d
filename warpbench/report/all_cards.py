"""The text of `warpbench inspect --all-cards`: what `warpbench.fills.on_cards` found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from warpbench.report.terminal import Column, figure, percent, say
from warpbench.report.terminal import show as table

Found = Mapping[str, Any]
CARDS = (
    Column("kernel", priority=3),
    Column("cc"),
    Column("registers", "right"),
    Column("spill bytes", "right", 2),
    Column("shared bytes", "right", 2),
    Column("blocks/SM", "right", 1),
    Column("occupancy", "right"),
    Column("limited by", least=16),
)
SIDE_BY_SIDE = ("8.6", "8.9", "9.0", "10.0", "12.0")  # Ampere, Ada, Hopper and both Blackwells: a card of each at least
# instructions that tell architectures apart: who moves data, who waits for it; others are shown where there are many
TOLD = (
    "LDG", "STG", "LDGSTS", "UTMALDG", "UTMASTG", "UBLKCP", "LDS", "STS", "LDSM", "STSM", "LDTM", "STTM", "LDL", "STL",
    "SHFL", "REDUX", "ATOM", "ATOMG", "ATOMS", "RED", "REDG", "BAR", "LDGDEPBAR", "DEPBAR", "SYNCS", "UTCBAR",
    "WARPGROUP", "FFMA", "FFMA2", "HFMA2", "DFMA", "MUFU", "F2FP",
)  # fmt: skip
MANY = 0.05  # of a kernel's instructions


def show(found: Found) -> None:
    """Occupancy on every card; registers and instructions of each kernel on five architectures; who cannot run it."""
    _occupancy(found["cards"])
    chosen = {cc: found["kernels_by_cc"].get(cc, []) for cc in SIDE_BY_SIDE}
    for name in dict.fromkeys(kernel["kernel"] for kernels in chosen.values() for kernel in kernels):
        on = {cc: next((one for one in kernels if one["kernel"] == name), None) for cc, kernels in chosen.items()}
        columns = [Column(name), *(Column(f"sm_{cc.replace('.', '')}", "right") for cc in on)]
        say("")
        table(columns, side_by_side(list(on.values())))
    say("", "Compiled for each by its DSL, nothing executed. Instructions are those that stand in the machine code.")
    if found["refused_by_cc"]:
        groups: dict[str, list[str]] = {}
        for cc, sentence in found["refused_by_cc"].items():
            groups.setdefault(sentence.partition(" was not run. ")[2].partition(";")[0], []).append(cc)
        for needs, ccs in groups.items():
            say(f"Not for {', '.join(sorted(ccs, key=float))}: {needs[:1].lower()}{needs[1:]}.")


def _occupancy(rows: Sequence[Found]) -> None:
    """How well each kernel fills an SM, by groups of cards with the same result; below it the cards of each group."""
    say("")
    table(CARDS, [_fills(one) for one in rows if one["problem"] is None])
    groups = dict.fromkeys((", ".join(one["ccs"]), ", ".join(one["cards"])) for one in rows if one["problem"] is None)
    failed = {", ".join(one["ccs"]): f"{', '.join(one['cards'])} (no figures: {one['problem']})" for one in rows
              if one["problem"] is not None}  # fmt: skip
    say("", *(f"{ccs}: {cards}" for ccs, cards in (*groups, *failed.items())))


def _fills(one: Found) -> list[str]:
    return [
        one["kernel"],
        ", ".join(one["ccs"]),
        figure(one["registers"]),
        figure(one["spill_bytes"]),
        figure(one["static_shared_bytes"] + one["dynamic_shared_bytes"]),
        figure(one["blocks_per_sm"]),
        percent(one["occupancy"]),
        ", ".join(one["limiters"]),
    ]


def tensor_instructions(opcodes: Mapping[str, int]) -> dict[str, int]:
    """The matrix instructions among whole opcodes: `HMMA.16816.F32` -> how often it stands there."""
    from warpbench.backends.mix import family_of_mnemonic

    return {one: count for one, count in opcodes.items() if family_of_mnemonic(one.partition(".")[0]) == "MMA"}


def side_by_side(kernels: Sequence[Found | None]) -> list[list[str]]:
    """Rows of a kernel's figures and instructions, a column an architecture; "-" where it does not compile."""

    def row(title: str, cell: Any) -> list[str]:
        return [title, *("-" if one is None else cell(one) for one in kernels)]

    rows = [
        row("registers", lambda one: figure(one["registers"])),
        row("spill bytes", lambda one: figure(one["spill_bytes"])),
        row("shared bytes", lambda one: figure(one["shared_bytes"])),
        row("occupancy", lambda one: percent(one["occupancy"])),
        row("limited by", lambda one: ", ".join(one["limiters"]) or "-"),
    ]
    mixes = [(one or {}).get("mix") or {} for one in kernels]
    tensor = [tensor_instructions((one or {}).get("opcodes") or {}) for one in kernels]
    tensor_names = dict.fromkeys(name for one in tensor for name in one)
    rows += [[name, *(figure(one[name]) if name in one else "-" for one in tensor)] for name in tensor_names]
    many = {name for mix in mixes for name, count in mix.items() if count >= MANY * sum(mix.values())} - {"MMA"}
    told = [name for name in TOLD if any(name in mix for mix in mixes)]
    names = [*told, *sorted(many - set(told), key=lambda name: -max(mix.get(name, 0) for mix in mixes))]
    rows += [[name, *(figure(mix[name]) if name in mix else "-" for mix in mixes)] for name in names]
    others = [sum(count for name, count in mix.items() if name not in names and name != "MMA") for mix in mixes]
    return [
        *rows,
        ["other", *(figure(count) if mix else "-" for count, mix in zip(others, mixes, strict=True))],
        ["all instructions", *(figure(sum(mix.values())) if mix else "-" for mix in mixes)],
    ]
