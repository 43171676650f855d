"""`warpbench check`: which rungs are right, on ptxvm for one card of the catalogue, or on the plugged-in card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warpbench import hardware
from warpbench.errors import EnvironmentProblem
from warpbench.measure import plan
from warpbench.pool import Pool
from warpbench.profiling_run import DEFAULT_GPU, processes


@dataclass
class Outcome:
    """Answers of the workers (`check.check_rung`), in catalogue order, and the sentences of refused rungs."""

    gpu: str
    where: str
    answers: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    interrupted: bool = False


def check(
    picks: Sequence[plan.Pick],
    gpu: str | None,
    on_card: bool,
    full: bool,
    limit_s: float,
    done: Callable[[str, str], None],
    root: Path | None = None,
    pretend: str | None = None,
) -> Outcome:
    """Check rungs. `done` is told each rung and its verdict. `pretend`: only what this card would be allowed too.

    Raises EnvironmentProblem for `on_card` without a usable card, LookupError for an unknown card.
    """
    card, target, where = target_of(gpu, on_card)
    todo = plan.make(picks, card, pretend)
    outcome = Outcome(card.slug, where, refused=[refused.sentence for refused in todo.refused])
    for refused in todo.refused:
        done(refused.operation.rung_path(refused.rung), "not run")
    tasks = plan.tasks(todo, "check", root, full=full)
    with Pool(target, 1 if on_card else processes(), limit_s) as pool:
        try:
            for task, answer in pool.run(tasks):
                outcome.answers.append(answer)
                done(task["rung"], answer["verdict"])
        except KeyboardInterrupt:
            outcome.interrupted = True
    order = plan.order_key(root)
    outcome.answers.sort(key=lambda answer: order.get(answer["rung"], len(order)))
    return outcome


def target_of(gpu: str | None, on_card: bool) -> tuple[Any, str, str]:
    """The card whose features count, the workers' target, and where the rungs ran, in words."""
    if on_card:
        found = hardware.detect()
        if not found.usable:
            raise EnvironmentProblem(
                f"--card: {found.reason} Nothing was checked. Leave --card away to check on ptxvm."
            )
        chosen = found.usable[0]
        return chosen, f"card:{chosen.uuid}", f"on the card: {chosen.name} ({chosen.cc})"
    card = hardware.gpu(gpu or DEFAULT_GPU)
    return card, f"emulated:{card.arch}", f"on ptxvm, compiled for {card.name} ({card.arch})"
