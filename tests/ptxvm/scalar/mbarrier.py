"""`mbarrier`, from "Parallel Synchronization and Communication Instructions: mbarrier" of the PTX ISA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class State(NamedTuple):
    """What an arrival gives back: the phase and the pending count before it."""

    phase: int
    pending: int


@dataclass
class Barrier:
    """An mbarrier object. Phases are numbered from 0; `pending` is what the present one still waits for."""

    expected: int
    pending: int = 0
    phase: int = 0

    def __post_init__(self) -> None:
        self.pending = self.expected

    def arrive(self, count: int = 1, drop: bool = False, complete: bool = True) -> State:
        """ValueError where the ISA leaves the behaviour open."""
        before = State(self.phase, self.pending)
        if count > self.pending or (not complete and count == self.pending):
            raise ValueError("undefined")
        self.expected -= count if drop else 0
        self.pending -= count
        if self.pending == 0:
            self.phase += 1
            self.pending = self.expected
        return before

    def test_wait(self, state: State) -> bool | None:
        """Whether the phase of a state is complete; None where it is neither the present one nor the one before."""
        return None if self.phase > state.phase + 1 else self.phase != state.phase

    def test_wait_parity(self, parity: int) -> bool:
        """The same of the phase of a parity, the present or the one before."""
        return self.phase % 2 != parity
