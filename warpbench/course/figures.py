"""The figures that an exercise asks for beside being right, as its row writes them in `checks`.

    QUANTITY<=N  QUANTITY>=N  QUANTITY==N     a count; N is the author's limit, see `targets`
    X3 WORDS     X4 WORDS                     some instruction of the compiled kernels holds all words; none does
    X3 sass WORDS     X4 sass WORDS           the same of the machine code
    C4                                        the bits of the result do not depend on the order of blocks and warps

What is counted by ptxvm, on the tiny shapes:

    M1, M1 loads, M1 stores    global sectors a request, on the worst line, loads and stores apart
    M2                         bytes moved (32 a sector) over the operation's compulsory bytes
    M2 loads, M2 stores        bytes loaded over those that must be read, stored over those that must be written
    M3                         shared wavefronts a request, on the worst line
    M6                         share of the lanes switched off at loads and stores of global memory, 0 to 1
    R4                         barriers that a warp executes in a launch
    R4 atomics                 atomics on global memory a block, in a launch
    W1 adds                    floating-point operations for each element of the largest tensor (a multiply-add is 2)
    W1 warps                   warps that touch shared memory (requests), a block
    W1 fma/shared              multiply-adds that a warp executes over its loads from shared memory
    P3                         launches

M2, M6 and W1 adds are taken at the largest tiny shape, the others at the worst of all launches; a rate for which there
is nothing to count is met. What is read from the compiled kernels stands in `compiled`: X1 (bytes of stack and spills),
X2 registers, X2 shared (bytes a block), X2 occupancy (percent), X3 and X4. These may end in ` on sm_86,sm_120`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ON = r"(?: on (?P<archs>sm_\w+(?:,sm_\w+)*))?"
COUNT = re.compile(rf"(?P<quantity>[A-Z]\d(?: [a-z/]+)?)(?P<sign><=|>=|==)(?P<limit>\d+(?:\.\d+)?){ON}")
WORDS = re.compile(rf"(?P<code>X3|X4)(?P<sass> sass)? (?P<words>\S.*?){ON}")
Goal = Sequence[float]  # [what the solution reaches, what is allowed]: see `targets`
STATIC = ("X1", "X2 registers", "X2 shared", "X2 occupancy")


@dataclass(frozen=True)
class Figure:
    """One entry of `checks`: a limit of a quantity, words of an instruction, or C4.

    archs   the architectures that it holds for; none: all of the exercise's
    """

    text: str
    quantity: str
    sign: str = ""
    limit: float = 0.0
    words: tuple[str, ...] = ()
    sass: bool = False
    archs: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        return self.quantity.partition(" ")[0]

    @property
    def static(self) -> bool:
        """Whether it is read from the compiled kernels, so that nothing need be executed."""
        return bool(self.words) or self.quantity in STATIC

    def on(self, arch: str) -> bool:
        """Whether it holds for an architecture."""
        return not self.archs or arch in self.archs

    def keeps(self, value: float, goal: Goal | None = None) -> bool:
        """Whether a value is within a goal (None: the author's limit)."""
        limit = self.limit if goal is None else goal[1]
        return value <= limit if self.sign == "<=" else value >= limit if self.sign == ">=" else value == limit

    def wanted(self, goal: Goal | None) -> str:
        """What would do, in words."""
        if goal is None:
            return f"wanted: {self.sign.replace('==', 'exactly')} {self.limit:g}"
        room = "exactly that is wanted" if self.sign == "==" else f"{self.sign} {goal[1]:g} will do"
        return f"the solution has {goal[0]:.4g}, {room}"

    def worst(self, values: Sequence[tuple[float, Any]]) -> tuple[float, Any]:
        """Of (value, anything), the one that is furthest on the wrong side."""
        if self.sign == "==":
            return max(values, key=lambda one: abs(one[0] - self.limit))
        return (min if self.sign == ">=" else max)(values, key=lambda one: one[0])


@dataclass(frozen=True)
class Run:
    """One executed case: its launches, the bytes that the operation must move at least, and its largest tensor."""

    case: str
    read_bytes: int
    written_bytes: int
    elements: int
    launches: Sequence[Any]

    @property
    def compulsory_bytes(self) -> int:
        return self.read_bytes + self.written_bytes


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
    if text == "C4":
        return Figure(text, "C4")
    if count := COUNT.fullmatch(text):
        quantity, archs = count["quantity"], _archs(count)
        if quantity in STATIC or (quantity in COUNTED and not archs):
            return Figure(text, quantity, count["sign"], float(count["limit"]), archs=archs)
    elif words := WORDS.fullmatch(text):
        return Figure(text, words["code"], "", 0.0, tuple(words["words"].split()), bool(words["sass"]), _archs(words))
    raise ValueError(f'checks holds "{text}", which is not understood: see warpbench/course/figures.py')


def _archs(found: re.Match[str]) -> tuple[str, ...]:
    return tuple(found["archs"].split(",")) if found["archs"] else ()


def measure(figure: Figure, runs: Sequence[Run], goal: Goal | None = None) -> Measured:
    """Hold a figure against counted runs. `goal` None: the author's limit."""
    found = list(COUNTED[figure.quantity](runs))
    if not found:
        return Measured(True, None, ("nothing to measure",))
    value, place = figure.worst(found)
    file, line = place.line or (None, None)
    return Measured(figure.keeps(value, goal), value, (f"{place.words}; {figure.wanted(goal)}",), file, line)


# -- counters ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Place:
    """Where a value was found: in words, the value included, and on which line."""

    words: str
    line: tuple[str, int] | None = None


Values = Iterator[tuple[float, _Place]]
Rates = Mapping[str, Callable[[Any], tuple[int, int]]]
LOADS: Rates = {"loads": lambda c: (c.global_load_sectors, c.global_load_requests)}
STORES: Rates = {"stores": lambda c: (c.global_store_sectors, c.global_store_requests)}


def _sectors(rates: Rates) -> Callable[[Sequence[Run]], Values]:
    return lambda runs: _by_line(runs, {f"sectors a request of the {name}": rate for name, rate in rates.items()})


def _wavefronts(runs: Sequence[Run]) -> Values:
    name = "wavefronts a request to shared memory"
    return _by_line(runs, {name: lambda c: (c.shared_wavefronts, c.shared_requests)})


def _by_line(runs: Sequence[Run], rates: Rates) -> Values:
    """Every rate (a count over a count) of every line of every run."""
    for run in runs:
        for launch in run.launches:
            for place, counters in launch.report.lines.items():
                for name, rate in rates.items():
                    above, below = rate(counters)
                    if below:
                        yield above / below, _Place(f"{above / below:.1f} {name} at {run.case}", place)


def _bytes(moved: Callable[[Any], int], least: Callable[[Run], int], what: str) -> Callable[[Sequence[Run]], Values]:
    def values(runs: Sequence[Run]) -> Values:
        for run in _largest(runs):
            total, compulsory = sum(moved(launch.report.counters) for launch in run.launches), least(run)
            ratio = total / compulsory if compulsory else 0.0
            words = f"{total:,} bytes {what} for {compulsory:,} that must be: {ratio:.2f} times, at {run.case}"
            yield ratio, _Place(words)

    return values


def _lanes_off(runs: Sequence[Run]) -> Values:
    for run in _largest(runs):
        off = sum(launch.report.counters.global_lanes_off for launch in run.launches)
        lanes = off + sum(launch.report.counters.global_lanes for launch in run.launches)
        if lanes:
            words = f"{off:,} of {lanes:,} lanes are off when their warp loads or stores, at {run.case}"
            yield off / lanes, _Place(words)


def _adds(runs: Sequence[Run]) -> Values:
    for run in _largest(runs):
        done = sum(launch.report.counters.flops for launch in run.launches)
        each = done / run.elements
        yield each, _Place(f"{done:,} operations for {run.elements:,} elements: {each:.2f} each, at {run.case}")


def _largest(runs: Sequence[Run]) -> list[Run]:
    """The runs (one a variant) of the shape that moves most."""
    most = max((run.compulsory_bytes for run in runs), default=0)
    return [run for run in runs if run.compulsory_bytes == most]


def _per_launch(count: Callable[[Any], tuple[float, str]]) -> Callable[[Sequence[Run]], Values]:
    def values(runs: Sequence[Run]) -> Values:
        for run in runs:
            for launch in run.launches:
                value, unit = count(launch)
                yield value, _Place(f"{value:.4g} {unit} at {run.case}")

    return values


def _barriers(launch: Any) -> tuple[float, str]:
    warps = _product(launch.grid) * -(-_product(launch.block) // 32)
    return launch.report.counters.barriers / warps, "barriers a warp"


def _atomics(launch: Any) -> tuple[float, str]:
    counters = launch.report.counters
    each = (counters.atomics - counters.shared_atomics) / _product(launch.grid)
    return each, "atomics on global memory a block"


def _warps(launch: Any) -> tuple[float, str]:
    return launch.report.counters.shared_requests / _product(launch.grid), "warps a block touch shared memory"


def _reuse(runs: Sequence[Run]) -> Values:
    for run in runs:
        for launch in run.launches:
            loads = _executed(launch, ("ld", "ldmatrix"), "shared")
            if loads:
                each = _executed(launch, ("fma", "mad")) / loads
                yield each, _Place(f"{each:.2f} multiply-adds for each load from shared memory, at {run.case}")


def _executed(launch: Any, bases: Sequence[str], space: str = "") -> int:
    """Warp instructions of these opcodes; a multiply-add of integers is no arithmetic of the operation."""
    table = {opcode: opcode.split(".") for opcode in launch.report.opcodes}
    return sum(
        launch.report.opcodes[opcode]
        for opcode, parts in table.items()
        if parts[0] in bases and (any(p.partition("::")[0] == space for p in parts) if space else parts[-1][0] in "fb")
    )


def _launches(runs: Sequence[Run]) -> Values:
    for run in runs:
        count = len(run.launches)
        yield count, _Place(f"{count} launches at {run.case}")


def _product(size: Sequence[int]) -> int:
    x, y, z = size
    return x * y * z


COUNTED: dict[str, Callable[[Sequence[Run]], Values]] = {
    "M1": _sectors({**LOADS, **STORES}),
    "M1 loads": _sectors(LOADS),
    "M1 stores": _sectors(STORES),
    "M2": _bytes(lambda c: c.bytes_asked, lambda run: run.compulsory_bytes, "moved"),
    "M2 loads": _bytes(lambda c: 32 * c.global_load_sectors, lambda run: run.read_bytes, "loaded"),
    "M2 stores": _bytes(lambda c: 32 * c.global_store_sectors, lambda run: run.written_bytes, "stored"),
    "M3": _wavefronts,
    "M6": _lanes_off,
    "R4": _per_launch(_barriers),
    "R4 atomics": _per_launch(_atomics),
    "W1 adds": _adds,
    "W1 warps": _per_launch(_warps),
    "W1 fma/shared": _reuse,
    "P3": _launches,
}
