"""`python -m tests.ptxvm.corpus.compiled sm_75`: compile every case and rung for an architecture and assemble it.

Prints JSON: {name: [what is wrong, a line each]}; a case or rung that the architecture cannot run is left out. It is a
process of its own, because the hooks serve one architecture.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ptxvm
from tests.kernels import claims
from tests.ptxvm.corpus import case as corpus
from warpbench import catalogue, hardware
from warpbench.backends import tools
from warpbench.targets import Emulated


def refusals(launches: Iterable[Any], folder: Path) -> Iterator[str]:
    """What ptxvm and the DSL's own ptxas say against these launches' PTX."""
    for launch in launches:
        for form in ptxvm.Module.from_ptx(launch.ptx).unsupported(launch.entry):
            yield f"{launch.kernel}: {form}"
        (folder / "kernel.ptx").write_text(launch.ptx, encoding="utf-8")
        tool = tools.assembler(launch.dsl, launch.arch)
        target = ptxvm.Module.from_ptx(launch.ptx).target
        # neither linked, which needs the device runtime, nor optimised: neither decides whether the text is accepted
        said = tools.run(tool, ["-c", "-O0", f"-arch={target}", "-o", "kernel.o", "kernel.ptx"], folder)
        if said.status:
            yield f"{launch.kernel}: {tool} says {said.err.strip() or said.out.strip()}"


def main(arch: str) -> None:
    backend = Emulated(arch)
    backend.emulator.execute = False
    number = int(arch.removeprefix("sm_"))
    card = SimpleNamespace(cc=f"{number // 10}.{number % 10}", name=arch)
    out: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in corpus.names():
            one = corpus.load(case)
            if one.since > number:
                continue
            with backend.emulator.record({}) as launches:
                one.launch(*one.tensors.values())
            out[case] = list(refusals(launches, folder))
        for operation, rung in catalogue.rungs():
            if not hardware.missing(card, rung.needs):
                made = claims.launches_of(operation, rung, backend)
                out[operation.rung_path(rung)] = list(refusals(made, folder))
    print(json.dumps(out))


if __name__ == "__main__":
    main(sys.argv[1])
