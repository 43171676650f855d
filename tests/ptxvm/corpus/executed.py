"""`python -m tests.ptxvm.corpus.executed sm_75 FILE|FILE:CASE ...`: run cases for an architecture.

Prints JSON: {name of a case: what is wrong with its results and counters, and its findings; "" for nothing}. A case
that the architecture cannot run is left out. It is a process of its own, because the hooks serve one architecture.
Counters are looked at where a name is given in full: elsewhere they may be those of another architecture.
"""

from __future__ import annotations

import json
import sys

from tests.ptxvm.corpus import case as corpus
from warpbench.targets import Emulated


def main(arch: str, *given: str) -> None:
    """Run the cases of kernel files, and single ones."""
    emulator = Emulated(arch).emulator
    named = [name for name in given if ":" in name]
    said: dict[str, str] = {}
    for name in [*(n for n in corpus.names() if n.partition(":")[0] in given), *named]:
        case = corpus.load(name)
        if case.since > int(arch.removeprefix("sm_")):
            continue
        run = corpus.run(case, emulator)
        wrong = [finding.message() for finding in run.findings]
        wrong.append(corpus.wrong(case, run))
        if name in named:
            counted = {counter: getattr(run.counters, counter) for counter in case.counters}
            wrong.append("" if counted == dict(case.counters) else f"counted {counted}")
        said[name] = "\n".join(wrong).strip()
    print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
