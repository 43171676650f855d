"""Warp operations: shuffles, votes, matches, reductions over the lanes of a warp.

Values are (c, w, 32) tables of the group (see `Group.by_warp`). `mask` is the instruction's guard (None: all lanes of
the group), `membermask` the mask operand. A lane that is named but not here, or a read from a lane that is not here,
is a fault: on a card the first never ends or is undefined, the second gives anything.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ptxvm.errors import LaneFault
from ptxvm.group import WARP, Array, Group

LANES = np.arange(WARP)
BITS = (np.uint64(1) << np.arange(WARP, dtype=np.uint64)).astype(np.uint64)


def present(g: Group, mask: Array | None) -> Array:
    """(c, w, 32) bool: the lanes that execute the instruction."""
    lanes = g.warp_lanes(mask)
    return np.ones((1, g.warp_slots()[1], WARP), bool) if lanes is None else lanes


def members_of(g: Group, membermask: Array, mask: Array | None) -> Array:
    """(c, w, 1 or 32, 32) bool: the lanes with which each lane of a warp acts together; one row where all do with all.

    Parts of a warp may meet at one instruction, each with a member mask of its own.
    """
    here = check_members(g, membermask, mask)
    if membermask.size > 1:
        named = g.by_warp(membermask).astype(np.uint64)
        if (here & (named != _bits(here)[..., None])).any():
            return here[..., None, :] & ((named[..., None] & BITS) != 0)
    return here[..., None, :]


def check_members(g: Group, membermask: Array, mask: Array | None) -> Array:
    """The executing lanes, after the checks that PTX demands of a member mask."""
    here = present(g, mask)
    named_bits = g.by_warp(membermask).astype(np.uint64)
    if membermask.size == 1 and int(membermask.flat[0]) == 0xFFFFFFFF and here.all():
        return here
    own = (named_bits & BITS) != 0  # does a lane's own mask name it?
    if (here & ~own).any():
        raise LaneFault(
            "mask mismatch", "a lane that executes this is not in its member mask", g.from_warp(here & ~own)
        )
    executing = _bits(here)
    missing = here & ((named_bits & ~executing[..., None]) != 0)
    if missing.any():
        raise LaneFault("mask mismatch", "the member mask names lanes that are not here", g.from_warp(missing))
    return here


def _bits(lanes: Array) -> Array:
    """(c, w, 32) bool to (c, w) uint64 with bit i for lane i."""
    return np.where(lanes, BITS, np.uint64(0)).sum(axis=-1, dtype=np.uint64)


def shfl(
    g: Group, mode: str, a: Array, b: Array, c: Array, membermask: Array, mask: Array | None
) -> tuple[Array, Array]:
    """`shfl.sync`: (value, whether the source lane was in range).

    a: uint32; b: lane or delta; c: clamp and segment mask.
    """
    everybody = mask is None and membermask.size == 1 and int(membermask.flat[0]) == 0xFFFFFFFF
    if everybody and b.size == 1 and c.size == 1 and g.warp_slots()[0] is None:  # the usual case: one pattern for all
        source, inside = _pattern(mode, int(b.flat[0]), int(c.flat[0]))
        values = g.by_warp(a)
        moved = values.reshape(-1, WARP).take(source, axis=1).reshape(values.shape)
        return g.from_warp(moved), g.from_warp(np.broadcast_to(inside, (1, *values.shape[1:])))
    here = check_members(g, membermask, mask)
    values = g.by_warp(a)
    source, inside = _sources(mode, g.by_warp(b).astype(np.int64), g.by_warp(c).astype(np.int64))
    shape = np.broadcast_shapes(values.shape, source.shape, here.shape)
    if not here.all():
        reads = np.take_along_axis(np.broadcast_to(here, shape), np.broadcast_to(source, shape), axis=-1)
        wrong = here & ~reads
        if wrong.any():
            raise LaneFault("inactive lane", "a shuffle reads from a lane that is not here", g.from_warp(wrong))
    if source.shape[:2] == (1, 1):
        result = values[..., source[0, 0]]
    else:
        result = np.take_along_axis(np.broadcast_to(values, shape), np.broadcast_to(source, shape), axis=-1)
    return g.from_warp(result), g.from_warp(
        np.broadcast_to(inside, np.broadcast_shapes(inside.shape, (1, values.shape[1], WARP)))
    )


def _sources(mode: str, b: Array, c: Array) -> tuple[Array, Array]:
    """(lane that each lane reads from, whether it was in range) of a shuffle. b, c: int64, broadcast to (..., 32)."""
    lane_b = b & 31
    clamp, segment = c & 31, (c >> 8) & 31
    top = (LANES & segment) | (clamp & ~segment)
    bottom = LANES & segment
    if mode == "up":
        source = LANES - lane_b
        inside = source >= top
    elif mode == "down":
        source = LANES + lane_b
        inside = source <= top
    elif mode == "bfly":
        source = LANES ^ lane_b
        inside = source <= top
    else:
        source = bottom | (lane_b & ~segment)
        inside = source <= top
    return np.where(inside, source, LANES), inside


@lru_cache(maxsize=1024)
def _pattern(mode: str, b: int, c: int) -> tuple[Array, Array]:
    """`_sources` of a shuffle that is the same in all lanes, each (32,)."""
    return _sources(mode, np.full(WARP, b, np.int64), np.full(WARP, c, np.int64))


def vote(g: Group, mode: str, predicate: Array, membermask: Array, mask: Array | None) -> Array:
    """`vote.sync`: bool for all, any and uni, uint32 for ballot. Only the members of a lane's mask have a say."""
    members = members_of(g, membermask, mask)
    yes = members & g.by_warp(predicate)[..., None, :]
    if mode == "ballot":
        result = _bits(yes).astype(np.uint32)
    elif mode == "any":
        result = np.logical_or.reduce(yes, axis=-1)
    elif mode == "all":
        result = (yes == members).all(axis=-1)
    else:
        result = ~yes.any(axis=-1) | (yes == members).all(axis=-1)
    return _to_lanes(g, result)


def _to_lanes(g: Group, results: Array) -> Array:
    """(c, w, 1 or 32) to every lane of the group."""
    return g.from_warp(np.broadcast_to(results, (*results.shape[:-1], WARP)))


def activemask(g: Group, mask: Array | None) -> Array:
    """`activemask`: the lanes that execute it together."""
    return _to_lanes(g, _bits(present(g, mask)).astype(np.uint32)[..., None])


def match_any(g: Group, a: Array, membermask: Array, mask: Array | None) -> Array:
    """`match.any.sync`: the lanes whose value equals the lane's own, uint32."""
    members = members_of(g, membermask, mask)
    values = g.by_warp(a)
    equal = (values[..., :, None] == values[..., None, :]) & members
    bits = np.where(equal, BITS, np.uint64(0)).sum(axis=-1, dtype=np.uint64)
    return g.from_warp(bits.astype(np.uint32))


def match_all(g: Group, a: Array, membermask: Array, mask: Array | None) -> tuple[Array, Array]:
    """`match.all.sync`: (the member mask or 0, whether all values are equal)."""
    members = members_of(g, membermask, mask)
    values = g.by_warp(a)[..., None, :]
    shape = np.broadcast_shapes(values.shape, members.shape)
    leader = np.broadcast_to(members.argmax(axis=-1)[..., None], (*shape[:-1], 1))
    first = np.take_along_axis(np.broadcast_to(values, shape), leader, axis=-1)
    equal = ((values == first) | ~members).all(axis=-1)
    bits = np.where(equal, _bits(members), np.uint64(0)).astype(np.uint32)
    return _to_lanes(g, bits), _to_lanes(g, equal)


REDUCTIONS = {
    "add": (np.add, 0),
    "min": (np.minimum, None),
    "max": (np.maximum, None),
    "and": (np.bitwise_and, -1),
    "or": (np.bitwise_or, 0),
    "xor": (np.bitwise_xor, 0),
}


def redux(g: Group, operation: str, a: Array, membermask: Array, mask: Array | None) -> Array:
    """`redux.sync`: one result for the members of each mask. a: int32 or uint32."""
    members = members_of(g, membermask, mask)
    function, neutral = REDUCTIONS[operation]
    values = g.by_warp(a)[..., None, :]
    if neutral is None:
        limits = np.iinfo(values.dtype)
        neutral = limits.max if operation == "min" else limits.min
    shape = np.broadcast_shapes(values.shape, members.shape)
    filler = np.array(neutral, np.int64).astype(values.dtype)  # int64 first: -1 is all ones in uint32 too
    filled = np.where(members, np.broadcast_to(values, shape), filler)
    return _to_lanes(g, function.reduce(filled, axis=-1, dtype=values.dtype))


def elect(g: Group, membermask: Array, mask: Array | None) -> tuple[Array, Array]:
    """`elect.sync`: (the lowest member's lane, whether this lane is it)."""
    leader = members_of(g, membermask, mask).argmax(axis=-1)
    return _to_lanes(g, leader.astype(np.uint32)), g.from_warp(leader == LANES)
