"""What stands in a kernel's PTX, beside what ptxas made of it: the static instruction mix, and the ladder's claims.

ptxvm counts PTX instructions, a card's counters count machine instructions. Where ptxas merges loads, drops common ones
or unrolls, the two differ; this says where.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warpbench.contract import Rung

# families in which the PTX's count and the machine code's are expected to agree
COMPARED = ("LDG", "STG", "LDS", "STS", "MMA")
# families that are shown side by side, in this order; what else stands in the machine code is shown alone
FAMILIES = (*COMPARED, "LDSM", "STSM", "LDGSTS", "UTMALDG", "UTMASTG", "LDL", "STL", "SHFL", "BAR", "FFMA")
_FEWER = "merged into wider ones, hoisted, or dropped as common or dead"
_MORE = "unrolled, copied for another path, split, or made of atomics or other instructions"
_SPACES = {"global": "G", "shared": "S", "local": "L"}
_MMA = re.compile(r"(?:[HIQODB]|[HIQB]G|UTC[A-Z]*)MMA")


@dataclass(frozen=True)
class Row:
    """A family of instructions: how often it stands in the PTX and in the machine code (`names`: as what).

    `ptx` None: PTX has no one instruction that becomes it.
    """

    family: str
    ptx: int | None
    sass: int
    names: str = ""

    @property
    def differs(self) -> bool:
        return self.family in COMPARED and self.ptx != self.sass


def side_by_side(opcodes: Mapping[str, int], histogram: Mapping[str, int]) -> list[Row]:
    """A row a family that stands in either, then a row for each other mnemonic of the machine code.

    opcodes     PTX opcode -> how often (`opcodes`)
    histogram   mnemonic -> how often (`sass.Sass.histogram`)
    """
    theirs: dict[str, Counter[str]] = {}
    for mnemonic, count in histogram.items():
        theirs.setdefault(family_of_mnemonic(mnemonic), Counter())[mnemonic] += count
    ours = _families(opcodes)
    rows = []
    for family in FAMILIES:
        named = theirs.pop(family, Counter())
        if named or ours[family]:
            names = (
                "" if set(named) <= {family} else ", ".join(f"{count} {name}" for name, count in named.most_common())
            )
            rows.append(Row(family, ours[family], named.total(), names))
    rest = Counter({family: counts.total() for family, counts in theirs.items()})
    return rows + [Row(family, None, count) for family, count in rest.most_common()]


def opcodes(ptx: str, entry: str) -> Mapping[str, int]:
    """How often each PTX opcode stands in a kernel and in the functions that it calls."""
    from ptxvm import Module

    return Module.from_ptx(ptx).opcodes(entry)


def warnings(rows: Sequence[Row], tool: str = "ptxas") -> list[str]:
    """A sentence for each family in which the two must agree and do not, and one for registers that were spilled.

    tool    name and version of the assembler that made the machine code
    """
    said = [
        f"{tool} changed it: {row.ptx} {row.family} in the PTX, {row.sass} in the machine code "
        f"({_FEWER if row.sass < (row.ptx or 0) else _MORE}). What ptxvm counts of {row.family} is the PTX's."
        for row in rows
        if row.differs
    ]
    local = {row.family: row.sass - (row.ptx or 0) for row in rows if row.family in ("LDL", "STL")}
    if any(more > 0 for more in local.values()):
        extra = " and ".join(f"{more} {family}" for family, more in local.items() if more > 0)
        said.append(f"{tool} added {extra} that the PTX lacks (registers spilled): ptxvm does not count them.")
    return said


def whole_opcodes(texts: Iterable[str]) -> Counter[str]:
    """Lines of machine code by their whole opcode: `@!P0 HMMA.16816.F32 R4, ...` is one "HMMA.16816.F32"."""
    return Counter(re.sub(r"^@!?U?P\w+ +", "", text).partition(" ")[0].rstrip(";") for text in texts)


def family_of_mnemonic(mnemonic: str) -> str:
    """`HMMA`, `IMMA`, `HGMMA` are all "MMA"; every other mnemonic is a family of its own."""
    return "MMA" if _MMA.fullmatch(mnemonic) else mnemonic


def family_of_opcode(opcode: str) -> str | None:
    """The family that a PTX opcode becomes one instruction of; None where that is not so simple."""
    parts = opcode.split(".")
    if parts[0] in ("ld", "ldu", "st"):
        spaces = (_SPACES.get(part.partition("::")[0]) for part in parts[1:])
        space = next((space for space in spaces if space), None)
        return None if space is None else ("ST" if parts[0] == "st" else "LD") + space
    match parts:
        case ["mma", *_] | ["wmma", "mma", *_] | ["wgmma", "mma_async", *_] | ["tcgen05", "mma", *_]:
            return "MMA"
        case ["ldmatrix", *_]:
            return "LDSM"
        case ["stmatrix", *_]:
            return "STSM"
        case ["cp", "async", "bulk", "tensor", *rest]:
            places = [part for part in rest if part.partition("::")[0] in _SPACES]
            return "UTMASTG" if places[:1] == ["global"] else "UTMALDG"
        case ["cp", "async", "ca" | "cg", *_]:
            return "LDGSTS"
        case ["shfl", *_]:
            return "SHFL"
        case ["bar" | "barrier", kind, *_] if kind not in ("warp", "cluster"):
            return "BAR"
        case ["fma", *_, "f32"]:
            return "FFMA"
    return None


def _families(opcodes: Mapping[str, int]) -> Counter[str]:
    table: Counter[str] = Counter()
    for opcode, count in opcodes.items():
        family = family_of_opcode(opcode)
        if family is not None:
            table[family] += count
    return table


# -- claims --------------------------------------------------------------------------------------------------------
def claims(rung: Rung, arch: str) -> tuple[str, ...]:
    """What a rung says that its PTX shows on an architecture such as "sm_86"."""
    here = _number(arch)
    return tuple(
        dict.fromkeys(
            claim
            for condition, texts in rung.shows.items()
            if here == _number(condition) or (condition.endswith("+") and here > _number(condition))
            for claim in texts
        )
    )


def shown(claim: str, ptx: str, entry: str) -> bool:
    """Whether one instruction of a kernel, or of a function that it calls, holds every word of a claim."""
    words = claim.split()
    return any(all(word in text for word in words) for text in _instructions(ptx, entry))


def _instructions(ptx: str, entry: str) -> Iterator[str]:
    """Each instruction: its opcode, and the special registers and symbols that it names."""
    from ptxvm import Module

    for function in Module.from_ptx(ptx).reachable(entry):
        for instruction in function.instructions:
            yield " ".join([instruction.opcode, *_names(instruction.operands)])


def _names(operands: Sequence[Any]) -> Iterator[str]:
    """The names in operands, those inside of addresses and vectors too."""
    for operand in operands:
        if hasattr(operand, "items"):
            yield from _names(operand.items)
        elif hasattr(operand, "base"):
            yield from _names([operand.base])
        elif hasattr(operand, "name"):
            yield str(operand.name)


def _number(condition: str) -> int:
    """86 for "sm_86", "sm_86+"; 90 for "sm_90a"."""
    return int(re.sub(r"\D", "", condition))
