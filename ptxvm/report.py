"""What a launch found and counted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ptxvm.group import WARP

# kind of finding -> (level, the one line that says where to look). "fault" stops the launch, "fail" lets it run on but
# makes the report not ok, "lint" is told and fails nothing.
KINDS: dict[str, tuple[str, str]] = {
    "out of bounds": ("fault", "the guard of this line, and the grid size"),
    "misaligned": ("fault", "the offset of the first element, and whether the tail needs narrower accesses"),
    "null pointer": ("fault", "which argument of the launch is empty"),
    "trap": ("fault", "the condition that stands before this line"),
    "assertion": ("fault", "the condition of the assertion"),
    "stack overflow": ("fault", "what ends the recursion, and how large the local arrays of these functions are"),
    "wrong target": ("fault", "where the function pointer, or the index of the jump, was set"),
    "deadlock": ("fault", "which threads never reach the place where the others wait"),
    "endless loop": ("fault", "what the loop waits for, and who could change it"),
    "inactive lane": ("fault", "the mask, and which lanes take this branch"),
    "mask mismatch": ("fault", "the mask, and which lanes take this branch"),
    "two barriers": ("fault", "the branches that hold the two barriers"),
    "broken mbarrier": ("fault", "mbarrier.init, its count, and who arrives"),
    "foreign tensor map": ("fault", "how the tensor map was made"),
    "wrong argument type": ("fault", "the scalar arguments of the launch: np.float32(x) for a float parameter"),
    "race": (
        "fail",
        "which barrier stands between these two lines; between two blocks none does, only an atomic or a second launch",
    ),
    "uninitialised read": ("fail", "who writes this word, and what must be complete before it is read"),
    "missing wait": ("fail", "the wait that must come before this line"),
    "barrier after early return": (
        "fail",
        "the return above the barrier: CUDA wants every thread of the block there, cards since Volta who is left",
    ),
    "missing proxy fence": ("lint", "fence.proxy.async between the writes and the asynchronous read"),
    "division by zero": ("lint", "the divisor on this line"),
    "ordered by atomics": ("lint", "whether the atomic really orders these two accesses"),
    "computes in double": ("lint", "a Python float argument is float64: pass np.float32(x)"),
    "wide argument": ("lint", "a Python int is passed as 8 bytes: np.int32(n)"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, in the learner's coordinates.

    `block` and `thread` are launch coordinates (x, y, z); `count` is how many threads (or words) it concerns in the
    launch; `object` is the tensor or variable with its index, such as "o[1024]".
    """

    kind: str
    detail: str  # "store of 4 bytes"
    file: str | None = None
    line: int | None = None
    text: str = ""  # source text of the line, stripped
    block: tuple[int, int, int] | None = None
    thread: tuple[int, int, int] | None = None
    object: str = ""
    count: int = 1
    other: Finding | None = None  # a race has two sides

    @property
    def level(self) -> str:
        return KINDS[self.kind][0]

    @property
    def look_at(self) -> str:
        return KINDS[self.kind][1]

    def message(self) -> str:
        """The finding as text: what, where, who, object, and one line that names a place to look."""
        lines = [f"{self.kind}: {self.detail}"]
        for side in (self, self.other):
            if side is not None:
                lines += [f"  {text}" for text in side._place()]
        lines.append(f"  look at: {self.look_at}")
        return "\n".join(lines)

    def _place(self) -> list[str]:
        out = []
        if self.file or self.block is not None:  # an argument of a launch has neither
            place = f"{os.path.basename(self.file)}:{self.line}" if self.file else "(no line information)"
            out.append(f"{place}   {self.text}".rstrip())
        if self.block is not None and self.thread is not None:
            more = f" ({self.count:,} in the launch)" if self.count > 1 else ""
            out.append(f"block {coordinates(self.block)}, thread {coordinates(self.thread)}{more}")
        if self.object:
            out.append(self.object)
        return out

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "level": self.level, "look_at": self.look_at}


def coordinates(position: tuple[int, int, int]) -> str:
    """`(31, 0, 0)` as `31`, others as they are."""
    return str(position[0]) if position[1:] == (0, 0) else str(position)


@dataclass
class Counters:
    """Counts of one line or of a launch. All are of executed PTX; none is a time. Definitions: `counters.py`."""

    instructions: int = 0  # warp instructions
    thread_instructions: int = 0
    global_load_requests: int = 0
    global_load_sectors: int = 0
    global_load_bytes: int = 0
    global_store_requests: int = 0
    global_store_sectors: int = 0
    global_store_bytes: int = 0
    global_lanes: int = 0  # that took part in accesses of global memory
    shared_requests: int = 0
    shared_wavefronts: int = 0
    shared_wavefronts_ideal: int = 0
    local_requests: int = 0
    atomics: int = 0
    shared_atomics: int = 0  # those of them on shared memory
    atomic_contention: int = 0  # greatest multiplicity of one address within a warp
    barriers: int = 0  # warps that executed one
    divergent_branches: int = 0
    flops: int = 0
    mma: int = 0  # warp-level matrix instructions
    unique_load_sectors: int = 0  # of a launch only: compulsory traffic
    unique_store_sectors: int = 0
    units: dict[str, int] = field(default_factory=dict)  # "f32", "tensor f16", .. -> operations (`units.py`)
    mix: dict[str, int] = field(default_factory=dict)  # "global", "float", "control", ... -> warp instructions

    def add(self, other: Counters) -> None:
        """Add another's counts to this one (contention takes the greater)."""
        most = max(self.atomic_contention, other.atomic_contention)
        mine = self.__dict__
        for name, count in other.__dict__.items():
            if isinstance(count, dict):
                table = mine[name]
                for key, times in count.items():
                    table[key] = table.get(key, 0) + times
            elif count:
                mine[name] += count
        self.atomic_contention = most

    @property
    def requests(self) -> int:
        return self.global_load_requests + self.global_store_requests

    @property
    def sectors(self) -> int:
        return self.global_load_sectors + self.global_store_sectors

    @property
    def global_lanes_off(self) -> int:
        """Lanes that were switched off while others of their warp accessed global memory."""
        return WARP * (self.global_load_requests + self.global_store_requests) - self.global_lanes

    @property
    def sectors_per_request(self) -> float | None:
        """Global sectors a warp's request touches; 4 is ideal for 4-byte elements. None without requests."""
        return self.sectors / self.requests if self.requests else None

    @property
    def efficiency(self) -> float | None:
        """Bytes that lanes ask for over the bytes of the sectors that they touch; above 1 where lanes share bytes."""
        return (self.global_load_bytes + self.global_store_bytes) / self.bytes_asked if self.sectors else None

    @property
    def shared_excess(self) -> int:
        """Wavefronts that bank conflicts add to the ideal ones."""
        return self.shared_wavefronts - self.shared_wavefronts_ideal

    @property
    def unique_load_bytes(self) -> int:
        """Bytes of the sectors that the launch loads, each counted once: the compulsory traffic of loads."""
        return 32 * self.unique_load_sectors

    @property
    def unique_store_bytes(self) -> int:
        """The same of stores."""
        return 32 * self.unique_store_sectors

    @property
    def bytes_asked(self) -> int:
        """32 bytes a sector: what the requests move between L1 and the SM."""
        return 32 * self.sectors


@dataclass
class Report:
    """Result of one launch."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    counters: Counters = field(default_factory=Counters)
    lines: dict[tuple[str, int], Counters] = field(default_factory=dict)
    opcodes: dict[str, int] = field(default_factory=dict)  # opcode -> warp instructions
    faults: list[Finding] = field(default_factory=list)
    races: list[Finding] = field(default_factory=list)
    lints: list[Finding] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    sampled: bool = False

    @property
    def ok(self) -> bool:
        """Nothing of the levels "fault" and "fail"."""
        return not self.faults and not self.races

    @property
    def findings(self) -> list[Finding]:
        return [*self.faults, *self.races, *self.lints]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON. No time in it: ptxvm holds no clock."""
        return {
            "kernel": self.kernel,
            "grid": list(self.grid),
            "block": list(self.block),
            "counters": asdict(self.counters),
            "lines": [{"file": f, "line": n, **asdict(c)} for (f, n), c in sorted(self.lines.items())],
            "opcodes": dict(sorted(self.opcodes.items())),
            "findings": [f.to_dict() for f in self.findings],
            "printed": list(self.printed),
            "sampled": self.sampled,
        }


def total(lines: Mapping[tuple[str, int], Counters]) -> Counters:
    """Sum of the counters of several lines."""
    result = Counters()
    for counters in lines.values():
        result.add(counters)
    return result
