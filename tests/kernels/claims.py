"""`python -m tests.kernels.claims sm_90 [operation ...]`: compile every rung; which claims of the ladders hold?

Prints JSON: {rung: {"compiled": [kernel names] or an error, "claims": {claim: [here, in the rung below]}}}. A process
of its own, because the hooks serve one architecture.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

from warpbench import catalogue, check, counts, hardware
from warpbench.backends import mix
from warpbench.contract import Operation, Rung
from warpbench.targets import Emulated


def launches_of(operation: Operation, rung: Rung, backend: Emulated) -> list[Any]:
    """The launches of a rung at the shape at which claims are proved, compiled and not run."""
    case = counts.counted_case(operation, rung)
    tensors = check.place(operation, case)
    function = catalogue.function(operation, rung)
    return list(backend.run(lambda: function(*tensors.arguments.values()), tensors.by_name, case, False))


def shown(claim: str, launches: list[Any]) -> bool:
    return any(mix.shown(claim, launch.ptx, launch.entry) for launch in launches)


def main(arch: str, *names: str) -> None:
    backend = Emulated(arch)
    digits = arch.removeprefix("sm_")
    card = SimpleNamespace(cc=f"{digits[:-1]}.{digits[-1]}", name=arch)
    out: dict[str, Any] = {}
    for name in names or catalogue.operations():
        operation = catalogue.operations()[name]
        below: dict[str, list[Any]] = {}  # DSL -> launches of its last rung that compiled
        for rung in operation.ladder:
            if hardware.missing(card, rung.needs):
                continue
            row = out[operation.rung_path(rung)] = {"compiled": [], "claims": {}}
            try:
                launches = launches_of(operation, rung, backend)
            except Exception as error:  # the test shows it
                row["compiled"] = f"{type(error).__name__}: {error}"
                continue
            row["compiled"] = [launch.kernel for launch in launches]
            row["unsupported"] = sorted({str(u) for launch in launches for u in _unsupported(launch)})
            for claim in mix.claims(rung, arch):
                row["claims"][claim] = [shown(claim, launches), shown(claim, below.get(rung.dsl, []))]
            below[rung.dsl] = launches
    print(json.dumps(out))


def _unsupported(launch: Any) -> list[Any]:
    import ptxvm

    return ptxvm.Module.from_ptx(launch.ptx).unsupported(launch.entry)


if __name__ == "__main__":
    main(*sys.argv[1:])
