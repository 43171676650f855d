"""The figures that an exercise asks for beside being right, as its row writes them in `checks`.

    M1<=N           global sectors a request, on the worst line, loads and stores apart
    M2<=N           bytes moved (32 a sector) over the operation's compulsory bytes, at the largest case
    M3<=N           shared wavefronts a request, on the worst line
    R4<=N           barriers that a warp executes
    R4 atomics<=N   atomics a block executes
    X3 WORDS        one PTX instruction holds all of these words
    X4 WORDS        no PTX instruction holds all of these words

A measurement is taken over all counted runs, and the worst decides. Words are matched in the text of an instruction, so
`.f64` stands for any operation in double.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CEILING = re.compile(r"(?P<code>M1|M2|M3|R4)(?: (?P<what>atomics))?<=(?P<limit>\d+(?:\.\d+)?)")
WORDS = re.compile(r"(?P<code>X3|X4) (?P<words>\S.*)")


@dataclass(frozen=True)
class Figure:
    """One entry of `checks`: a ceiling (`limit`) or words of an instruction."""

    text: str
    code: str
    what: str = ""
    limit: float = 0.0
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One executed case: its launches, and the bytes that the operation must move at least."""

    case: str
    compulsory_bytes: int
    launches: Sequence[Any]


@dataclass(frozen=True)
class Measured:
    """What was found: the worst value (None: nothing to measure), where, and in words."""

    ok: bool
    value: float | None
    evidence: tuple[str, ...]
    file: str | None = None
    line: int | None = None


def parse(text: str) -> Figure:
    """Read an entry of `checks`. Raises ValueError for one that is not understood."""
    ceiling, words = CEILING.fullmatch(text), WORDS.fullmatch(text)
    if ceiling and not (ceiling["what"] and ceiling["code"] != "R4"):
        return Figure(text, ceiling["code"], ceiling["what"] or "", float(ceiling["limit"]))
    if words:
        return Figure(text, words["code"], words=tuple(words["words"].split()))
    raise ValueError(f'checks holds "{text}", which is not understood: see warpbench/course/figures.py')


def measure(figure: Figure, runs: Sequence[Run], files: Sequence[str]) -> Measured:
    """Hold a figure against the counted runs. `files` are the paths of the learner's files: lines are named in them."""
    if figure.words:
        return _words(figure, runs, files)
    return _CEILINGS[figure.code](figure, runs)


# -- counters ------------------------------------------------------------------------------------------------------
def _worst_line(figure: Figure, runs: Sequence[Run], rates: Mapping[str, Callable[[Any], tuple[int, int]]]) -> Measured:
    """The greatest rate (a count over a count) on any line of any run. `rates`: name -> counters -> both counts."""
    worst: tuple[float, str, tuple[str, int]] | None = None
    for run in runs:
        for launch in run.launches:
            for place, counters in launch.report.lines.items():
                for name, rate in rates.items():
                    above, below = rate(counters)
                    if below and (worst is None or above / below > worst[0]):
                        worst = (above / below, f"{name} at {run.case}", place)
    if worst is None:
        return Measured(True, None, ("nothing to measure",))
    value, where, (file, line) = worst
    return Measured(value <= figure.limit, value, (f"{value:.1f} {where}; the target is {figure.limit:g}",), file, line)


def _sectors(figure: Figure, runs: Sequence[Run]) -> Measured:
    return _worst_line(figure, runs, {
        "sectors a request of the loads": lambda c: (c.global_load_sectors, c.global_load_requests),
        "sectors a request of the stores": lambda c: (c.global_store_sectors, c.global_store_requests),
    })  # fmt: skip


def _wavefronts(figure: Figure, runs: Sequence[Run]) -> Measured:
    return _worst_line(
        figure,
        runs,
        {"wavefronts a request to shared memory": lambda c: (c.shared_wavefronts, c.shared_requests)},
    )


def _bytes(figure: Figure, runs: Sequence[Run]) -> Measured:
    run = max(runs, key=lambda one: one.compulsory_bytes)
    moved = sum(launch.report.counters.bytes_asked for launch in run.launches)
    value = moved / run.compulsory_bytes
    evidence = f"{moved:,} bytes moved for {run.compulsory_bytes:,} that must be: {value:.2f} times, at {run.case}"
    return Measured(value <= figure.limit, value, (f"{evidence}; the target is {figure.limit:g}",))


def _order(figure: Figure, runs: Sequence[Run]) -> Measured:
    """Barriers a warp, or atomics a block: the greatest of all launches."""
    worst, case = 0.0, ""
    for run in runs:
        for launch in run.launches:
            blocks, threads = _product(launch.grid), _product(launch.block)
            counters = launch.report.counters
            each = counters.atomics / blocks if figure.what else counters.barriers / (blocks * -(-threads // 32))
            if each > worst:
                worst, case = each, run.case
    unit = "atomics a block" if figure.what else "barriers a warp"
    where = f" at {case}" if case else ""
    return Measured(worst <= figure.limit, worst, (f"{worst:g} {unit}{where}; the target is {figure.limit:g}",))


_CEILINGS: dict[str, Callable[[Figure, Sequence[Run]], Measured]] = {
    "M1": _sectors, "M2": _bytes, "M3": _wavefronts, "R4": _order,
}  # fmt: skip


def _product(size: Sequence[int]) -> int:
    x, y, z = size
    return x * y * z


# -- instructions --------------------------------------------------------------------------------------------------
def _words(figure: Figure, runs: Sequence[Run], files: Sequence[str]) -> Measured:
    """X3: some instruction of the kernels holds all words; X4: none does."""
    texts = {launch.ptx: launch.kernel for run in runs for launch in run.launches}
    hits = [
        (kernel, text, places)
        for ptx, kernel in texts.items()
        for text, places in instructions(ptx)
        if all(word in text for word in figure.words)
    ]
    shown = " ".join(figure.words)
    if figure.code == "X3":
        kernels = ", ".join(sorted(set(texts.values())))
        evidence = () if hits else (f"no PTX instruction of {kernels} holds {shown}",)
        return Measured(bool(hits), float(len(hits)), evidence)
    if not hits:
        return Measured(True, 0.0, ())
    by_line: dict[tuple[str, int] | None, list[str]] = {}
    for _, text, places in hits:
        mine = next((place for place in places if place[0] in files), places[0] if places else None)
        by_line.setdefault(mine, []).append(text)
    place, on_line = max(by_line.items(), key=lambda item: len(item[1]))
    file, line = place or (None, None)
    count = f"the compiled {hits[0][0]} holds {len(hits)} instructions with {shown}, {len(on_line)} on this line:"
    return Measured(False, float(len(hits)), (count, *on_line[:3]), file, line)


def instructions(ptx: str) -> Iterator[tuple[str, tuple[tuple[str, int], ...]]]:
    """The instructions of a PTX text, white space normalised, each with its source line and where that was inlined."""
    table: dict[str, str] = dict(re.findall(r'^\s*\.file\s+(\d+)\s+"([^"]*)"', ptx, re.MULTILINE))
    places: tuple[tuple[str, int], ...] = ()
    for raw in ptx.splitlines():
        line = raw.partition("//")[0].strip()
        loc = re.match(r"\.loc\s+(\d+)\s+(\d+)(?:.*inlined_at\s+(\d+)\s+(\d+))?", line)
        if loc:
            pairs = [(loc[1], loc[2])] + ([(loc[3], loc[4])] if loc[3] else [])
            places = tuple((table.get(file, ""), int(number)) for file, number in pairs)
        elif line.endswith(";") and not line.startswith("."):
            yield " ".join(line.rstrip(";").split()), places
