"""Which element each thread of a probe touches: tables of 64 indices, two warps of one block.

The tables are read from memory by the probes, so no compiler can know them and change the accesses. -1 means that the
thread is not active at the access.
"""

from __future__ import annotations

import random
from collections.abc import Callable

THREADS = 64
ELEMENTS = 2112  # more than 63 * 33, the farthest that a table reaches


def _shuffled(seed: int, below: int, distinct: bool) -> list[int]:
    draw = random.Random(seed)
    return draw.sample(range(below), THREADS) if distinct else [draw.randrange(below) for _ in range(THREADS)]


def _table(index: Callable[[int, int], int]) -> list[int]:
    """Of a function of (thread, lane)."""
    return [index(t, t % 32) for t in range(THREADS)]


PATTERNS: dict[str, list[int]] = {
    **{f"stride_{s}": [t * s for t in range(THREADS)] for s in (1, 2, 3, 4, 8, 16, 32, 33)},
    "shift_1": _table(lambda t, lane: t + 1),
    "reverse": _table(lambda t, lane: t ^ 31),
    "broadcast": _table(lambda t, lane: 5),
    "pairs": _table(lambda t, lane: t // 2),
    "quads": _table(lambda t, lane: t // 4),
    "eights": _table(lambda t, lane: t // 8),
    "halves": _table(lambda t, lane: t // 16),
    "same_halves": _table(lambda t, lane: t % 16),  # the second half of a warp repeats the first
    "same_quarters": _table(lambda t, lane: t % 8),
    "interleaved": _table(lambda t, lane: t - lane + (lane % 2) * 16 + lane // 2),
    "two_rows": _table(lambda t, lane: lane % 2 * 64 + lane // 2),  # as a register tile reads its operand
    "row_of_four": _table(lambda t, lane: lane // 8 * 33),
    "swizzled": _table(lambda t, lane: t // 8 * 8 + (t % 8 ^ t // 8 % 8)),
    "scattered": _shuffled(1, ELEMENTS, distinct=True),
    "repeating": _shuffled(2, 48, distinct=False),
    "even_lanes": _table(lambda t, lane: t if lane % 2 == 0 else -1),
    "first_nine": _table(lambda t, lane: t if lane < 9 else -1),
    # which lanes have to agree before two parts of a warp share a wavefront?
    "two_apart": _table(lambda t, lane: t & ~2),
    "four_apart": _table(lambda t, lane: t & ~4),
    "pairs_some_off": _table(lambda t, lane: -1 if lane in (3, 8, 21) else t // 2),
    "pairs_but_one": _table(lambda t, lane: 40 if lane == 5 else t // 2),
    "pairs_in_first_half": _table(lambda t, lane: t // 2 if lane < 16 else t),
    "pairs_and_two_apart": _table(lambda t, lane: t // 2 if lane < 16 else t & ~2),
    "pairs_apart": _table(lambda t, lane: t // 2 * 16),
    "pairs_in_two_rows": _table(lambda t, lane: t % 32 // 2 % 8 + t // 16 * 33),
    "odd_quarter": _table(lambda t, lane: t if lane // 8 == 2 and lane % 2 == 0 else t // 2),
    "one_lane": _table(lambda t, lane: 7 if lane == 3 else -1),
}
