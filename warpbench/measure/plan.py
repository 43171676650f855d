"""Which rungs a run is about, which of them the card can run, and in which order they are worked through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpbench import catalogue, hardware
from warpbench.contract import Operation, Rung
from warpbench.hardware.features import Card

Pick = tuple[Operation, Rung]


@dataclass(frozen=True)
class Refused:
    """A rung that the card cannot run, and the sentence that says so."""

    operation: Operation
    rung: Rung
    sentence: str


@dataclass(frozen=True)
class Plan:
    """Rungs to run, in catalogue order, and rungs that are refused."""

    runs: tuple[Pick, ...]
    refused: tuple[Refused, ...]

    @property
    def count(self) -> int:
        return len(self.runs) + len(self.refused)


def make(picks: Sequence[Pick], gpu: Card, pretend: str | None = None) -> Plan:
    """Gate every rung by what the card has, and `pretend`, the name of another one, too.

    Raises LookupError for an unknown name.
    """
    if pretend is not None:
        whole = make(picks, gpu)
        allowed = make(whole.runs, hardware.pretend(gpu, hardware.gpu(pretend)))
        return Plan(allowed.runs, (*whole.refused, *allowed.refused))
    runs, refused = [], []
    for operation, rung in picks:
        lacking = hardware.missing(gpu, needs(rung))
        if lacking:
            path = operation.rung_path(rung)
            nearest = nearest_rung(operation, rung, gpu)
            refused.append(Refused(operation, rung, hardware.refusal(path, gpu, lacking, nearest)))
        else:
            runs.append((operation, rung))
    return Plan(tuple(runs), tuple(refused))


def needs(rung: Rung) -> tuple[str, ...]:
    """What a rung needs of a card: what its row says, and the toolkit that every DSL here compiles with."""
    return ("cuda13", *rung.needs)


def nearest_rung(operation: Operation, rung: Rung, gpu: Card) -> str | None:
    """The rung that a refused one is replaced by: the highest below it of its own DSL, else the highest of another."""
    ladder = list(operation.ladder)
    able = [one for one in ladder if not hardware.missing(gpu, needs(one))]
    own = [one for one in able if one.dsl == rung.dsl]
    below = [one for one in own if ladder.index(one) < ladder.index(rung)]
    chosen = (below or own or able)[-1:]
    return operation.rung_path(chosen[0]) if chosen else None


def without(picks: Sequence[Pick], done: set[str]) -> list[Pick]:
    """The rungs whose path is not among `done`."""
    return [(operation, rung) for operation, rung in picks if operation.rung_path(rung) not in done]


def tasks(plan: Plan, kind: str, root: Path | None = None, **more: Any) -> list[dict[str, Any]]:
    """One task a rung for the workers. The rungs of one DSL stay together, so that a worker imports few of them."""
    order = sorted(plan.runs, key=lambda pick: pick[1].dsl)
    return [
        {"task": kind, "rung": operation.rung_path(rung), "root": None if root is None else str(root), **more}
        for operation, rung in order
    ]


def order_key(root: Path | None = None) -> dict[str, int]:
    """Position of every rung path in the catalogue, for tables."""
    return {operation.rung_path(rung): i for i, (operation, rung) in enumerate(catalogue.rungs(root))}
