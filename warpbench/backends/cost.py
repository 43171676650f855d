"""What stands in for a time where Triton's autotuner wants one: which of several configurations has less to do?

A unitless number, made of counts of executed PTX, good for ranking configurations of one kernel and for nothing else.
The launch's work is a weighted sum of warp instructions (1 each), global sectors (2), wavefronts of shared memory (4),
atomics (4) and matrix instructions (16): roughly the issue slots that the unit concerned is busy for on Ampere, where
an SM issues 4 warp instructions a cycle, takes one wavefront of shared memory, about two sectors from L2, and a quarter
of an `mma.m16n8k16`. The blocks are dealt evenly to the SMs, and the cost is the work of the SM that has most:

    cost = work * ceil(blocks / SMs) / blocks

Where only some of the blocks were run, `work` is theirs and their number divides it.

Not in it: caches, latencies, occupancy, registers. A card may rank otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from warpbench.backends.emulated import Launch

WEIGHTS: Mapping[str, int] = {
    "instructions": 1, "sectors": 2, "shared_wavefronts": 4, "atomics": 4, "mma": 16,
}  # fmt: skip


def cost(launches: Sequence[Launch], sms: int) -> float:
    """The cost of some launches on a card of `sms` SMs; infinite if one of them was not executed."""
    return sum((_one(launch, sms) for launch in launches), 0.0)


def _one(launch: Launch, sms: int) -> float:
    if launch.report is None:
        return math.inf
    work = sum(weight * getattr(launch.report.counters, name) for name, weight in WEIGHTS.items())
    blocks = math.prod(launch.grid)
    return work * math.ceil(blocks / sms) / (launch.blocks or blocks)
