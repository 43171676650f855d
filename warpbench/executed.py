"""The page in kernels/README.md of what four cards really execute for one fp8 product and one copy, in each DSL.

    python -m warpbench.executed     compile again and write the page, between two markers

Taken from machine code, nothing is executed. `stale` notices in no time that a rung has changed since.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from warpbench import catalogue, fills, hardware
from warpbench.errors import WarpbenchError
from warpbench.report.all_cards import tensor_instructions

PAGE = catalogue.KERNELS / "README.md"
BEGIN, END = "<!-- executed: begin (python -m warpbench.executed) -->", "<!-- executed: end -->"
CARDS = ("rtx3090", "rtx4090", "rtx5090", "h100")
OPERATIONS = ("gemm_fp8", "copy_2d")
COMPILERS = ("triton", "numba-cuda", "cupy-cuda13x", "nvidia-cuda-nvrtc", "nvidia-nvvm", "nvidia-cuda-nvcc")
# what does the work of these operations, beside matrix instructions: whole opcodes that begin with one of these
TOLD = ("FFMA", "LDG", "LDGSTS", "UTMALDG", "UTMASTG", "UBLKCP", "STG")


def digest() -> str:
    """Of everything that the rungs of the page are made of."""
    parts = [catalogue.rung_sha256(*pick) for name in OPERATIONS for pick in catalogue.select(name)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def stale() -> list[str]:
    """Why the page must be written again; empty if it need not. Compiles nothing."""
    block = between(PAGE.read_text(encoding="utf-8"))
    if block is not None and f"sources {digest()}" in block:
        return []
    return ["kernels/README.md shows other rungs than there are. Write it again: python -m warpbench.executed"]


def between(text: str) -> str | None:
    """The text between the markers; None where they do not stand there once, in order."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        return None
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def page() -> str:
    """The text between the markers, from a fresh compilation of each rung for each card."""
    cards = [hardware.gpu(slug) for slug in CARDS]
    versions = ", ".join(f"{name} {version(name)}" for name in COMPILERS)
    lines = [f"<!-- sources {digest()} -->", f"Compiled with {versions}.", ""]
    for name in OPERATIONS:
        lines += [
            f"**{name}**: {catalogue.operations()[name].title}",
            "",
            "| rung | " + " | ".join(f"{card.name.removeprefix('GeForce ')} ({card.cc})" for card in cards) + " |",
            "| --- |" + " --- |" * len(cards),
        ]
        for operation, rung in catalogue.select(name):
            found = fills.on_cards(operation, rung, {}, None, 120.0, {card.arch for card in cards})
            cells = [cell(found, card) for card in cards]
            lines.append(f"| {rung.dsl}/{rung.name} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines).strip()


def cell(found: Mapping[str, Any], card: hardware.Gpu) -> str:
    """What stands in the machine code for a card, or why there is none."""
    if card.cc in found["refused_by_cc"]:
        return f"not run: no {found['refused_by_cc'][card.cc].partition('It needs ')[2].partition(' (')[0]}"
    kernels = found["kernels_by_cc"][card.cc]
    if not kernels or any(one["opcodes"] is None for one in kernels):
        return "does not compile"
    opcodes: dict[str, int] = {}
    for one in kernels:
        for opcode, count in one["opcodes"].items():
            opcodes[opcode] = opcodes.get(opcode, 0) + count
    tensor = tensor_instructions(opcodes)
    moves = {
        one: count
        for one, count in opcodes.items()
        if one.partition(".")[0] in TOLD and not (tensor and one.startswith("FFMA"))
    }
    shown = [f"{count} `{one}`" for one, count in (*tensor.items(), *sorted(moves.items()))]
    return "<br>".join([*shown, f"{max(one['registers'] for one in kernels)} registers"])


def main(arguments: Sequence[str]) -> int:
    """Write the page. 0 when done."""
    text = PAGE.read_text(encoding="utf-8")
    if between(text) is None:
        raise WarpbenchError(f"{PAGE} lacks the lines {BEGIN} and {END}. Nothing was written.")
    new = page()
    PAGE.write_text(f"{text.partition(BEGIN)[0]}{BEGIN}\n{new}\n{END}{text.partition(END)[2]}", encoding="utf-8")
    print("kernels/README.md is written")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except WarpbenchError as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_code)
