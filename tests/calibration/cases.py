"""What is launched for the readings: every rung at its first tiny shape, and the probes.

A case makes the same tensors on the card, here, and in a test later: inputs come from seeds and formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.calibration import probes
from warpbench import catalogue, check
from warpbench.contract import Operation, Rung

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Ready:
    """A case with its tensors. `judge` says what is wrong with the outputs, "" for nothing."""

    arguments: dict[str, Any]
    judge: Callable[[], str]


@dataclass(frozen=True)
class Case:
    """`function` imports the DSL; `ready` places the tensors on a device; `inputs` says how to draw them again."""

    id: str
    function: Callable[[], Callable[..., None]]
    ready: Callable[[str], Ready]
    inputs: dict[str, Any]


def cases(dsl: str, which: str = "all") -> Iterator[Case]:
    """The cases of a DSL: "rungs", "probes" or "all" of them."""
    if which != "rungs":
        for probe in probes.probes(dsl):
            yield _of_probe(probe)
    if which != "probes":
        for operation, rung in catalogue.rungs():
            if rung.dsl == dsl:
                yield _of_rung(operation, rung)


def tensors(inputs: Mapping[str, Any], dsl: str) -> dict[str, Any]:
    """A case's arguments again, on the CPU, from its `inputs`: whatever has become of the rung."""
    if "probe" in inputs:
        probe = next(p for p in probes.probes(dsl) if p.id == inputs["probe"])
        return {n: v.clone() if hasattr(v, "shape") else v for n, v in probe.arguments.items()}
    case = check.Case(tuple(inputs["shape"].items()), inputs["dtype"])
    return check.place(catalogue.operations()[inputs["operation"]], case).arguments


def _of_rung(operation: Operation, rung: Rung) -> Case:
    shape = next(s for s in operation.shapes.tiny if rung.serves(s))
    case = check.Case(tuple(shape.items()), rung.dtypes[0])

    def ready(device: str) -> Ready:
        placed = check.place(operation, case, device)

        def judge() -> str:
            return check.first_message(check.judge(operation, rung, case, placed, device))

        return Ready(placed.arguments, judge)

    inputs = {"operation": operation.name, "shape": dict(shape), "dtype": rung.dtypes[0]}
    return Case(operation.rung_path(rung), lambda: catalogue.function(operation, rung), ready, inputs)


def _of_probe(probe: probes.Probe) -> Case:
    def function() -> Callable[..., None]:
        import sys

        name = f"calibration_{probe.dsl}"
        module = sys.modules.get(name) or catalogue.load_file(HERE / f"probes_{probe.dsl}.py", name)
        return lambda *args: module.launch(probe.kernel, *args)

    def ready(device: str) -> Ready:
        # copies: one tensor may serve many probes, and a case must begin with zeros
        arguments = {n: v.clone().to(device) if hasattr(v, "shape") else v for n, v in probe.arguments.items()}

        def judge() -> str:
            for name, want in probe.wanted.items():
                wrong = (arguments[name].cpu().reshape(want.shape) != want).sum().item()
                if wrong:
                    return f"{wrong} of {want.numel()} elements of {name} are wrong"
            return ""

        return Ready(arguments, judge)

    return Case(probe.id, function, ready, {"probe": probe.id})
