"""What an answer's compiled kernels hold: registers, spills, shared memory, and instructions that must be there or not.

Nothing is executed: the PTX is the DSL's, the rest is what the DSL's own assembler makes of it (`backends.sass`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from warpbench import hardware
from warpbench.backends import sass
from warpbench.course.figures import Figure, Goal, Measured

Line = tuple[str, int]
Instruction = tuple[str, tuple[Line, ...]]  # its text, and its source line with those where that was inlined


def measure(
    figure: Figure, launches: Sequence[Any], files: Sequence[str], arch: str, goal: Goal | None = None
) -> Measured:
    """Hold a figure against the kernels of some launches, the worst decides.

    files    paths of the learner's files: lines are named in them
    goal     None: the author's limit

    Raises EnvironmentProblem where the assembler is missing, KernelWrong for PTX that it refuses.
    """
    kernels = list({(launch.ptx, launch.entry, launch.dynamic_shared_bytes): launch for launch in launches}.values())
    if figure.words:
        return _words(figure, kernels, files, arch)
    if not kernels:
        return Measured(True, None, ("nothing to measure",))
    value, (kernel, words) = figure.worst([_value(figure, kernel, arch) for kernel in kernels])
    return Measured(figure.keeps(value, goal), value, (f"{kernel} on {arch}: {words}; {figure.wanted(goal)}",))


def _value(figure: Figure, launch: Any, arch: str) -> tuple[float, tuple[str, str]]:
    """The value, and (kernel, what it is in words)."""
    panel = sass.static_panel(launch.ptx, arch, launch.dsl, launch.entry)
    shared = panel.shared_bytes + launch.dynamic_shared_bytes
    if figure.quantity == "X1":
        value = float(max(panel.stack_bytes, panel.spill_bytes))
        return value, (launch.kernel, f"{panel.stack_bytes} bytes of stack, {panel.spill_bytes} bytes of spills")
    if figure.quantity == "X2 registers":
        return panel.registers, (launch.kernel, f"{panel.registers} registers a thread")
    if figure.quantity == "X2 shared":
        return shared, (launch.kernel, f"{shared:,} bytes of shared memory a block")
    return _occupancy(launch, panel.registers, shared, arch)


def exceeds(launches: Sequence[Any], arch: str) -> str:
    """Why an architecture cannot launch one of these; "" where it can. KernelWrong as `measure`."""
    most = hardware.limits().get(_capability(arch))
    for launch in launches:
        panel = sass.static_panel(launch.ptx, arch, launch.dsl, launch.entry)
        shared = panel.shared_bytes + launch.dynamic_shared_bytes
        if most and shared > most.shared_per_block_optin_bytes:
            return (
                f"{launch.kernel} takes {shared:,} bytes of shared memory a block; {arch} has "
                f"{most.shared_per_block_optin_bytes:,}"
            )
    return ""


def _capability(arch: str) -> str:
    """ "8.6" for sm_86."""
    digits = arch.removeprefix("sm_").rstrip("af")
    return f"{digits[:-1]}.{digits[-1]}"


def _occupancy(launch: Any, registers: int, shared: int, arch: str) -> tuple[float, tuple[str, str]]:
    x, y, z = launch.block
    found = hardware.occupancy(_capability(arch), x * y * z, registers, shared)
    if found is None:
        raise ValueError(f"the limits of {arch} are not known, so its occupancy is not")
    warps = f"{found.warps_per_sm} of {found.most_warps_per_sm}"
    words = f"{100 * found.share:.0f}% of an SM's warps ({warps}), limited by {' and '.join(found.limiters)}"
    return 100 * found.share, (launch.kernel, words)


# -- instructions --------------------------------------------------------------------------------------------------
def _words(figure: Figure, kernels: Sequence[Any], files: Sequence[str], arch: str) -> Measured:
    """X3: some instruction holds all words; X4: none does."""
    listing = _machine_code(arch) if figure.sass else lambda launch: instructions(launch.ptx)
    hits = [
        (launch.kernel, text, places)
        for launch in kernels
        for text, places in listing(launch)
        if all(word in text for word in figure.words)
    ]
    shown, kind = " ".join(figure.words), "SASS" if figure.sass else "PTX"
    if figure.code == "X3":
        names = ", ".join(sorted({launch.kernel for launch in kernels})) or "no kernel"
        evidence = () if hits else (f"no {kind} instruction of {names} holds {shown} on {arch}",)
        return Measured(bool(hits), float(len(hits)), evidence)
    if not hits:
        return Measured(True, 0.0, ())
    by_line: dict[Line | None, list[str]] = {}
    for _, text, places in hits:
        mine = next((place for place in places if place[0] in files), places[0] if places else None)
        by_line.setdefault(mine, []).append(text)
    place, on_line = max(by_line.items(), key=lambda item: len(item[1]))
    file, line = place or (None, None)
    held = "1 instruction" if len(hits) == 1 else f"{len(hits)} instructions"
    count = f"the {kind} of {hits[0][0]} holds {held} with {shown}, {len(on_line)} on this line:"
    return Measured(False, float(len(hits)), (count, *on_line[:3]), file, line)


def _machine_code(arch: str) -> Callable[[Any], Iterator[Instruction]]:
    def listing(launch: Any) -> Iterator[Instruction]:
        for one in sass.sass(launch.ptx, arch, launch.dsl, launch.entry).code:
            if one.address is not None:
                place = ((one.file, one.line),) if one.file is not None and one.line is not None else ()
                yield one.text, place

    return listing


def instructions(ptx: str) -> Iterator[Instruction]:
    """The instructions of a PTX text, white space normalised, each with its source line and where that was inlined."""
    table: dict[str, str] = dict(re.findall(r'^\s*\.file\s+(\d+)\s+"([^"]*)"', ptx, re.MULTILINE))
    places: tuple[Line, ...] = ()
    for raw in ptx.splitlines():
        line = raw.partition("//")[0].strip()
        loc = re.match(r"\.loc\s+(\d+)\s+(\d+)(?:.*inlined_at\s+(\d+)\s+(\d+))?", line)
        if loc:
            pairs = [(loc[1], loc[2])] + ([(loc[3], loc[4])] if loc[3] else [])
            places = tuple((table.get(file, ""), int(number)) for file, number in pairs)
        elif line.endswith(";") and not line.startswith("."):
            yield " ".join(line.rstrip(";").split()), places
