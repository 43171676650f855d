"""Warp operations, from the PTX ISA: one function of the 32 lanes of a warp.

`active` says which lanes execute the instruction and are named in its member mask. What an inactive lane gets, or gives
to a shuffle, is None.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.ptxvm.scalar.integer import pattern, value

Words = tuple[str, ...]
Lanes = Sequence[int]
Results = list[int | None]
WARP = 32


def shfl(words: Words, a: Lanes, b: Lanes, c: Lanes, active: Lanes) -> tuple[Results, Results]:
    """(d, p): p says whether the source lane is in range; a lane whose source is not keeps its own value."""
    values: Results = []
    flags: Results = []
    for lane in range(WARP):
        if not active[lane]:
            values.append(None)
            flags.append(None)
            continue
        step, clamp, segment = b[lane] & 31, c[lane] & 31, (c[lane] >> 8) & 31
        most = (lane & segment) | (clamp & ~segment & 31)
        least = lane & segment
        if words[1] == "up":
            source, inside = lane - step, lane - step >= most
        elif words[1] == "down":
            source, inside = lane + step, lane + step <= most
        elif words[1] == "bfly":
            source, inside = lane ^ step, lane ^ step <= most
        else:
            source = least | (step & ~segment & 31)
            inside = source <= most
        source = source if inside else lane
        values.append(a[source] if active[source] else None)
        flags.append(int(inside))
    return values, flags


def _everywhere(result: int, active: Lanes) -> Results:
    return [result if here else None for here in active]


def vote(words: Words, a: Lanes, active: Lanes) -> Results:
    said = [a[i] for i in range(WARP) if active[i]]
    result = {
        "all": int(all(said)),
        "any": int(any(said)),
        "uni": int(all(said) or not any(said)),
        "ballot": sum(1 << i for i in range(WARP) if active[i] and a[i]),
    }[words[1]]
    return _everywhere(result, active)


def match_any(a: Lanes, active: Lanes) -> Results:
    return [sum(1 << j for j in range(WARP) if active[j] and a[j] == a[i]) if active[i] else None for i in range(WARP)]


def match_all(a: Lanes, active: Lanes) -> tuple[Results, Results]:
    """(the members or 0, whether all are equal)."""
    equal = len({a[i] for i in range(WARP) if active[i]}) == 1
    members = sum(1 << i for i in range(WARP) if active[i])
    return _everywhere(members if equal else 0, active), _everywhere(int(equal), active)


def redux(words: Words, a: Lanes, active: Lanes) -> Results:
    operation, kind = words[-2:]
    numbers = [value(a[i], kind) for i in range(WARP) if active[i]]
    result = numbers[0]
    for number in numbers[1:]:
        result = {
            "add": result + number, "min": min(result, number), "max": max(result, number), "and": result & number,
            "or": result | number, "xor": result ^ number,
        }[operation]  # fmt: skip
    return _everywhere(pattern(result, kind), active)


def activemask(active: Lanes) -> Results:
    return _everywhere(sum(1 << i for i in range(WARP) if active[i]), active)
