"""A picture of a launch (`picture.perform`) as text for a terminal, 60 columns or more, with colour or without.

Each of the 32 lanes of a warp is a letter: that of the sector which it touches in global memory, or of the wavefront in
which it is served in shared memory. A dot is a lane that is switched off.
"""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LETTERS = string.ascii_letters
COLOURS = (44, 42, 45, 46, 41, 43, 104, 102)  # backgrounds of ANSI terminals, for one letter after the other
STEPS = 2  # of a warp at one access that are drawn
NAMED = 4  # sectors that are named beneath the lanes
BANKS = "0123456789abcdefghijklmnopqrstuv"
Access = Mapping[str, Any]


def text(picture: Mapping[str, Any], colour: bool, block: int = 0, warp: int = 0) -> list[str]:
    """The lines of a picture: one warp at every access of every launch."""
    out = [f"{picture['exercise']}: what its threads touch, at {picture['case']}, on ptxvm ({picture['arch']})"]
    for launch in picture["launches"]:
        grid, threads = size(launch["grid"]), size(launch["block"])
        out += ["", f"{launch['kernel']}: grid {grid}, block {threads}. Drawn: warp {warp} of block {block}"]
        for access in launch["accesses"]:
            steps = [step for step in access["steps"] if (step["block"], step["warp"]) == (block, warp)]
            if steps:
                out += ["", *_access(access, steps, colour)]
    return out


def _access(access: Access, steps: Sequence[Mapping[str, Any]], colour: bool) -> Iterator[str]:
    yield f"  {head(access)}"
    if access["text"]:
        yield f"    {access['text']}"
    yield f"    {cost(access)}"
    for step in steps[:STEPS]:
        if access["times"] > 1:
            yield f"    time {step['number']} of {access['times']}"
        yield from _lanes(access, step, colour)
    if len(steps) > STEPS:
        yield f"    ... and on: {access['times']} times in all"


def _lanes(access: Access, step: Mapping[str, Any], colour: bool) -> Iterator[str]:
    shared = access["space"] == "shared"
    ruler = " ".join(f"{lane:<8}" for lane in range(0, 32, 8)).rstrip()
    yield f"      lane   {ruler}"
    groups = step["passes"] if shared else step["unit"]
    order = {unit: n for n, unit in enumerate(sorted(set(groups)))}
    marks = dict(zip(step["lanes"], [order[unit] for unit in groups], strict=True))
    yield f"      {'pass  ' if shared else 'sector'} {_row(marks, colour)}"
    if shared:
        banks = dict(zip(step["lanes"], step["unit"], strict=True))
        row = "".join(BANKS[banks[lane]] if lane in banks else "." for lane in range(32))
        yield f"      bank   {' '.join(row[i : i + 8] for i in range(0, 32, 8))}"
    yield f"      {touched(access, step)}"


def _row(marks: Mapping[int, int], colour: bool) -> str:
    """32 letters in groups of eight, each with its colour."""
    cells = []
    for lane in range(32):
        if lane not in marks:
            cells.append(".")
            continue
        letter = LETTERS[marks[lane] % len(LETTERS)]
        cells.append(f"\x1b[30;{COLOURS[marks[lane] % len(COLOURS)]}m{letter}\x1b[0m" if colour else letter)
    return " ".join("".join(cells[i : i + 8]) for i in range(0, 32, 8))


# -- words, for the page too ---------------------------------------------------------------------------------------
def head(access: Access) -> str:
    """`line 31: load of x, 4 bytes a lane`"""
    what = {"load": "load of", "store": "store to", "atomic": "atomic on", "async": "asynchronous copy to"}[
        access["kind"]
    ]
    where = access["tensor"] or {"shared": "shared memory", "local": "local memory"}.get(access["space"], "a tensor")
    line = f"line {access['line']}: " if access["line"] else ""
    return f"{line}{what} {where}, {access['width']} bytes a lane"


def cost(access: Access) -> str:
    """What the line's requests cost, and what would do."""
    each, ideal = access["per_request"], access["ideal"]
    if each is None:
        return "memory of the thread itself" if access["space"] == "local" else "not counted"
    unit = "wavefronts" if access["space"] == "shared" else "sectors"
    enough = f", where {ideal:.3g} would do" if each > ideal * 1.01 else ""
    return f"{each:.3g} {unit} a request{enough}"


def touched(access: Access, step: Mapping[str, Any]) -> str:
    """How the lanes lie in memory: which elements, how far apart, and how much of the sectors is used."""
    offsets = step["offsets"]
    first, last = element(access, offsets[0]), element(access, offsets[-1])
    many = f"{first} .. {last}" if len(offsets) > 1 else first
    gaps = {b - a for a, b in itertools.pairwise(offsets)}
    apart = ""
    if len(gaps) == 1:
        gap = abs(gaps.pop())
        apart = "all the same" if gap == 0 else "side by side" if gap == access["width"] else f"{gap:,} bytes apart"
    elif gaps:
        apart = "not evenly spaced"
    used = ""
    if access["space"] == "global":
        sectors = sorted(set(step["unit"]))
        share = len({o + i for o in offsets for i in range(access["width"])}) / (32 * len(sectors))
        used = f"{len(sectors)} sector{'s' * (len(sectors) > 1)}, {share:.0%} of their bytes used"
    return "; ".join(filter(None, [many, apart, used]))


def neighbours(access: Access, step: Mapping[str, Any]) -> str:
    """What the first four lanes of a warp touch: `lanes 0, 1, 2, 3 read x[0], x[32], x[64], x[96]: 128 bytes apart`."""
    lanes, offsets = step["lanes"][:4], step["offsets"][:4]
    verb = {"load": "read", "store": "write", "atomic": "change", "async": "fill"}[access["kind"]]
    if access["space"] == "shared":
        what = f"shared memory in bank{'s' * (len(lanes) > 1)} {', '.join(str(bank) for bank in step['unit'][:4])}"
    else:
        what = ", ".join(element(access, offset) for offset in offsets)
    gaps = {b - a for a, b in itertools.pairwise(offsets)}
    apart = f": {abs(gaps.pop()):,} bytes apart" if len(gaps) == 1 else ""
    return f"lanes {', '.join(map(str, lanes))} of a warp {verb} {what}{apart}"


def element(access: Access, offset: int) -> str:
    """`x[3, 7]`; `+128` for a byte of shared memory."""
    if access["space"] != "global":
        return f"byte {offset:,}"
    index, rest = divmod(offset, access["itemsize"])
    name, shape = access["tensor"] or "tensor", access["shape"]
    if rest or len(shape) < 2 or not 0 <= index < math.prod(shape):
        return f"{name}[{index:,}]".replace(",", "")
    places = []
    for length in reversed(shape):
        index, place = divmod(index, length)
        places.append(place)
    return f"{name}[{', '.join(map(str, reversed(places)))}]"


def size(sizes: Sequence[int]) -> str:
    """`32`, `4 x 4`: a grid or a block."""
    x, y, z = sizes
    return str(x) if (y, z) == (1, 1) else f"{x} x {y}" if z == 1 else f"{x} x {y} x {z}"
