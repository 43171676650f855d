"""PTX with its scalar loads from shared memory merged, as ptxas merges them.

Neighbouring 4-byte loads of a basic block become one of 8 or 16 bytes where every address that was seen is aligned for
it. ptxas does so where it can prove the alignment, which is less often: this shows what a merge does to the counts, not
where there is one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

LOAD = re.compile(
    r"\s*ld\.shared(?:\.v[24])?\.([fbu]32)\s+(\{[^}]*\}|%\w+), \[\s*([%\w$]+)(?:\s*\+\s*(\d+))?\s*\];\s*$"
)
# what a load does not move across, and every predicated instruction
ENDS = re.compile(r"\s*(@|[$\w]+:|bar|barrier|st\.|atom|red|cp\.|bra|ret|[{}]|fence|membar|call)")
Word = tuple[int, str]  # line of its load (from 0), register


def merged(ptx: str, low_bits: Mapping[int, int]) -> str:
    """The text with loads merged. `low_bits`: line (from 1) of each load -> all its addresses, or-ed together."""
    lines = ptx.split("\n")
    run: dict[tuple[str, str], dict[int, Word]] = defaultdict(dict)  # (base, type) -> offset in bytes -> word
    for number, line in enumerate(ptx.split("\n")):
        load = LOAD.match(line)
        if load and number + 1 in low_bits:
            type_name, registers, base, offset = load.groups()
            for i, register in enumerate(registers.strip("{}").split(",")):
                run[base, type_name][int(offset or 0) + 4 * i] = (number, register.strip())
        elif ENDS.match(line):
            _merge(lines, run, low_bits)
            run.clear()
    _merge(lines, run, low_bits)
    return "\n".join(lines)


def _merge(lines: list[str], run: Mapping[tuple[str, str], Mapping[int, Word]], low_bits: Mapping[int, int]) -> None:
    for (base, type_name), words in run.items():
        left = set(words)
        for count in (4, 2):
            for start in sorted(words):
                span = [start + 4 * i for i in range(count)]
                if not left.issuperset(span):
                    continue
                loads = {words[at][0] for at in span}
                whole = all(at in span for at, (load, _) in words.items() if load in loads)
                if not whole or low_bits[words[start][0] + 1] % (4 * count):
                    continue
                left.difference_update(span)
                registers = ", ".join(words[at][1] for at in span)
                for load in loads:
                    lines[load] = ""
                lines[min(loads)] = f"ld.shared.v{count}.{type_name} {{{registers}}}, [{base}+{start}];"
