"""Groups keep every thread and every register value through splits, merges and changes of representation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptxvm.group import Group, merge, restore

CTAS, THREADS = 3, 70  # the third warp is incomplete


def whole(ctas: int = CTAS, threads: int = THREADS) -> Group:
    """A product group whose registers depend on nothing, on the CTA, on the thread, and on both."""
    c = np.arange(ctas, dtype=np.int64)[:, None]
    t = np.arange(threads, dtype=np.int64)[None, :]
    registers = {"u": np.array([[7]]), "c": c * 10, "t": t * 3, "b": c * 1000 + t}
    return Group(0, c, t, registers)


def contents(group: Group) -> dict[tuple[int, int], tuple[int, ...]]:
    """(cta, thread) -> its values of all registers."""
    ctas = np.broadcast_to(group.ctas, group.shape).ravel()
    tids = np.broadcast_to(group.tids, group.shape).ravel()
    values = [group.full(group.regs[name]).ravel() for name in sorted(group.regs)]
    return {(int(c), int(t)): tuple(int(v[i]) for v in values) for i, (c, t) in enumerate(zip(ctas, tids, strict=True))}


MASKS = {
    "threads": lambda c, t: (t % 3 == 0) & (c >= 0),
    "threads only": lambda c, t: t % 3 == 0,
    "ctas only": lambda c, t: c == 1,
    "separable": lambda c, t: (c != 1) & (t < 40),
    "scattered": lambda c, t: (c * 7 + t) % 5 < 2,
}


@pytest.mark.parametrize("name", MASKS)
def test_a_split_and_its_merge_keep_every_thread(name):
    group = whole()
    mask = MASKS[name](group.ctas, group.tids)
    live = list(group.regs)
    yes, no = group.take(mask, live), group.take(~mask, live)
    before = contents(group)
    wide = np.broadcast_to(mask, group.shape)
    chosen = {(c, t) for c in range(CTAS) for t in range(THREADS) if wide[c, t]}
    assert contents(yes) == {k: v for k, v in before.items() if k in chosen}
    assert contents(no) == {k: v for k, v in before.items() if k not in chosen}
    together = merge([no, yes], live)
    assert contents(together) == before
    assert together.product, "every pair of CTA and thread is there again"


def test_uniform_registers_stay_uniform_through_split_and_merge():
    group = whole()
    mask = group.tids % 2 == 0
    live = list(group.regs)
    together = merge([group.take(mask, live), group.take(~mask, live)], live)
    assert together.regs["u"].shape == (1, 1)
    assert together.regs["c"].shape == (CTAS, 1)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_splits_merge_back(data):
    group = whole()
    live = list(group.regs)
    bits = data.draw(st.lists(st.integers(0, 3), min_size=CTAS * THREADS, max_size=CTAS * THREADS))
    colour = np.array(bits).reshape(CTAS, THREADS)
    parts = [p for k in range(4) if (p := group.take(colour == k, live)) is not None]
    assert contents(merge(parts, live)) == contents(group)


@pytest.mark.parametrize("name", ["threads only", "scattered"])
def test_warp_tables_round_trip(name):
    group = whole()
    part = group.take(np.broadcast_to(MASKS[name](group.ctas, group.tids), group.shape), list(group.regs))
    for register in part.regs.values():
        table = part.by_warp(register)
        assert table.shape[-1] == 32
        back = part.full(part.from_warp(table))
        assert (back == part.full(register)).all()
    lanes = part.warp_lanes()
    assert lanes is not None
    assert int(lanes.sum()) * part.warp_weight(lanes) == part.size


def test_lane_of_a_warp_table_is_the_threads_lane():
    group = whole()
    table = group.by_warp(group.regs["t"])  # t * 3
    assert table.shape == (1, 3, 32)
    assert table[0, 1, 5] == (32 + 5) * 3
    assert table[0, 2, 6] == 0, "thread 70 does not exist"


def test_flat_groups_count_their_warps_by_cta():
    group = whole()
    scattered = group.take(np.broadcast_to((group.ctas * 7 + group.tids) % 64 == 0, group.shape), list(group.regs))
    assert not scattered.product
    pairs = {(c, t // 32) for c, t in contents(scattered)}
    assert scattered.warp_count() == len(pairs)


def test_restore_leaves_an_incomplete_flat_group_alone():
    group = whole().flatten(["b"])
    part = group.take(np.arange(group.shape[0])[:, None] != 5, ["b"])
    assert not restore(part, ["b"]).product
    assert restore(group, ["b"]).product
