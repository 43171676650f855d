"""The race detector against a slow one that keeps everything, and on patterns whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptxvm.access import Access, Site
from ptxvm.arena import Allocation
from ptxvm.group import Group
from ptxvm.quiet import read_only_sites
from ptxvm.races import RaceDetector
from ptxvm.types import Instruction

STRIDE = 64  # bytes of shared memory a CTA
WORDS = STRIDE // 4
OPCODES = {
    "load": "ld.{}.u32",
    "store": "st.{}.u32",
    "atomic": "atom.{}.add.u32",
    "volatile": "ld.volatile.{}.u32",
    "release": "st.release.gpu.{}.u32",
    "acquire": "ld.acquire.gpu.{}.u32",
}


class Watch:
    """A detector with one batch running, and sites made as they are needed."""

    def __init__(self, threads=64, ctas=2, mode="shared", batches=1, **more):
        self.sites = []
        self.ctas, self.threads = ctas, threads
        self.detector = RaceDetector(mode, threads, self._all_sites(), extent=1 << 12, **more)
        self.batch = -1
        self.next_batch()

    def _all_sites(self):
        for index in range(200):  # several of each kind: a pair of places is reported once
            kind = list(OPCODES)[index % len(OPCODES)]
            space = "shared" if index // len(OPCODES) % 2 else "global"
            parts = tuple(OPCODES[kind].format(space).split("."))
            self.sites.append(Site(index, Instruction(index, parts, (), None, 1, None), None, frozenset({"p"})))
        self.free = list(self.sites)
        return self.sites

    def next_batch(self):
        self.batch += 1
        ids = np.arange(self.ctas) + 100 + self.batch * self.ctas
        self.detector.begin_batch(ids, STRIDE)

    def group(self, ctas=None, tids=None, flat=False):
        c = np.arange(self.ctas) if ctas is None else np.asarray(ctas)
        t = np.arange(self.threads) if tids is None else np.asarray(tids)
        if flat:
            return Group(0, np.repeat(c, t.size)[:, None], np.tile(t, c.size)[:, None], {}, product=False)
        return Group(0, c[:, None].astype(np.int64), t[None, :].astype(np.int64), {})

    def site(self, kind, space):
        wanted = tuple(OPCODES[kind].format(space).split("."))
        found = next(s for s in self.free if s.ins.parts == wanted)
        self.free.remove(found)
        return found

    def touch(self, kind, address, group=None, mask=None, space="shared", width=4, site=None):
        """`address` is a function of (ctas, tids), or an array."""
        g = group or self.group()
        a = address(g.ctas, g.tids) if callable(address) else address
        site = site or self.site(kind, space)
        kind = {"volatile": "load", "acquire": "load", "release": "store"}.get(kind, kind)
        a = np.atleast_2d(np.asarray(a, np.int64))
        m = mask(g.ctas, g.tids) if callable(mask) else mask
        self.detector.access(Access(site, g, space, kind, width, a, m))
        return site

    def sync(self, group=None, members=0xFFFFFFFF):
        g = group or self.group()
        m = members(g.ctas, g.tids) if callable(members) else np.array([[members]])
        self.detector.warp_sync(g, m.astype(np.uint32))

    def barrier(self, ctas=None):
        self.detector.barrier(np.arange(self.ctas) if ctas is None else np.asarray(ctas))

    def facts(self):
        return self.detector.findings()


def own(c, t):
    return 4 * (t % WORDS)


def mirror(c, t):
    return 4 * (31 - t % 32) % STRIDE


# -- known answers ---------------------------------------------------------------------------------------------------
SMALL = {"threads": 16, "ctas": 3}  # every thread has a word of its own


def test_own_words_do_not_race():
    w = Watch(**SMALL)
    for _ in range(3):
        w.touch("store", own)
        w.touch("load", own)
    assert not w.facts()


def test_a_neighbours_word_races_without_a_barrier_and_not_with_one():
    for fixed in (False, True):
        w = Watch(threads=64, ctas=2)
        w.touch("store", lambda c, t: 4 * (t // 32), mask=lambda c, t: t % 32 == 0)
        if fixed:
            w.barrier()
        w.touch("load", lambda c, t: 4 * (1 - t // 32))
        facts = w.facts()
        if fixed:
            assert not facts
        else:
            (fact,) = facts
            assert fact.count == 2 * 64
            assert fact.detail == "write and read of one word of shared memory, no barrier between"
            assert fact.address == 4
            (first, kind, block, thread), (second, later, other_block, reader) = fact.sides
            assert (kind, block, thread) == ("write", 100, 32)
            assert (later, other_block, reader) == ("read", 100, 0)
            assert (first.index, second.index) == (7, 6)


def test_lanes_of_one_warp_need_a_warp_operation_between():
    for fixed in (False, True):
        w = Watch(threads=16, ctas=2)
        w.touch("store", own)
        if fixed:
            w.sync(members=0xFFFF)
        w.touch("load", lambda c, t: 4 * (15 - t))
        facts = w.facts()
        assert bool(facts) != fixed
        assert all("two lanes of a warp, no __syncwarp between" in f.detail for f in facts)


def test_a_warp_operation_does_not_order_two_warps():
    w = Watch(threads=64)
    w.touch("store", lambda c, t: 4 * (t // 32), mask=lambda c, t: t % 32 == 0)
    w.sync()
    w.touch("load", lambda c, t: 4 * (1 - t // 32))
    assert len(w.facts()) == 1


def test_a_write_after_a_read_races_too():
    for fixed in (False, True):
        w = Watch(threads=64)
        w.touch("load", lambda c, t: 0 * t)
        if fixed:
            w.barrier()
        w.touch("store", lambda c, t: 0 * t, mask=lambda c, t: t == 63)
        facts = w.facts()
        assert bool(facts) != fixed
        if facts:
            assert facts[0].detail.startswith("read and write")


@pytest.mark.parametrize("writer", [0, 31, 32, 63])
def test_a_writer_who_is_among_the_readers_still_conflicts_with_the_others(writer):
    w = Watch(threads=64)
    w.touch("load", lambda c, t: 0 * t)
    w.sync()
    w.touch("store", lambda c, t: 0 * t, mask=lambda c, t: t == writer)
    (fact,) = w.facts()
    assert fact.sides[0][3] // 32 != writer // 32, "its own warp is ordered by the warp operation"


def test_a_reader_of_the_same_warp_is_ordered_by_a_warp_operation():
    """The tail of a warp's reduction: v = s[t] + s[t + 16]; __syncwarp(); s[t] = v."""
    w = Watch(threads=16)
    w.touch("store", own)
    w.sync(members=0xFFFF)
    for distance in (8, 4, 2, 1):
        w.touch("load", lambda c, t, d=distance: 4 * np.minimum(t + d, 15))
        w.touch("load", own)
        w.sync(members=0xFFFF)
        w.touch("store", own)
        w.sync(members=0xFFFF)
    assert not w.facts()


def test_two_lanes_that_store_to_one_word_race_even_with_one_value():
    w = Watch(threads=32)
    w.touch("store", lambda c, t: 4 * (t // 4))
    (fact,) = w.facts()
    assert fact.detail == "two threads write different values to one word of shared memory in one instruction"
    assert fact.count == 2 * 24, "of four lanes one is left"


def test_atomics_race_with_plain_accesses_only():
    w = Watch()
    w.touch("atomic", lambda c, t: 0 * t)
    w.touch("atomic", lambda c, t: 0 * t)
    assert not w.detector.facts
    w.touch("load", lambda c, t: 0 * t)
    (fact,) = w.facts()
    assert fact.detail.startswith("atomic and read")


@pytest.mark.parametrize("later", ["load", "store"])
@pytest.mark.parametrize("reader", [0, 1, 2])
def test_an_atomic_of_another_warp_is_not_hidden_by_one_of_the_own_warp(reader, later):
    """A warp operation orders a warp's own atomics, whichever warp's was the last at the word."""
    w = Watch(threads=96)
    w.touch("atomic", lambda c, t: 0 * t)
    w.sync()
    w.touch(later, lambda c, t: 0 * t, mask=lambda c, t: t == 32 * reader)
    (fact,) = w.facts()
    assert fact.detail.startswith("atomic and ")
    assert fact.sides[0][3] // 32 != reader
    w = Watch(threads=96)
    w.touch("atomic", lambda c, t: 4 * (t // 32))
    w.sync()
    w.touch(later, lambda c, t: 4 * (t // 32), mask=lambda c, t: t % 32 == 7)
    assert not w.facts()


def test_a_read_before_an_atomic_races():
    w = Watch()
    w.touch("load", lambda c, t: 0 * t)
    w.touch("atomic", lambda c, t: 0 * t)
    assert [f.detail.split(" of")[0] for f in w.facts()] == ["read and atomic"]


def test_bytes_of_one_word_do_not_race_when_records_are_kept_by_byte():
    for byte_wide in (True, False):
        w = Watch(threads=16, byte_wide=byte_wide)
        w.touch("store", lambda c, t: t, width=1)
        assert bool(w.facts()) != byte_wide
    w = Watch(threads=16, byte_wide=True)
    w.touch("store", lambda c, t: 4 * (t // 8), width=4, mask=lambda c, t: t % 8 == 0)
    w.touch("load", lambda c, t: 0 * t + 3, width=1, mask=lambda c, t: t == 1)
    assert [f.address for f in w.facts()] == [3]


def test_a_vector_access_touches_all_its_words():
    w = Watch(threads=16)
    w.touch("store", lambda c, t: 16 * t, width=16, mask=lambda c, t: t < 4)
    w.touch("load", lambda c, t: 0 * t + 12, mask=lambda c, t: t == 5)
    (fact,) = w.facts()
    assert fact.address == 12
    assert fact.sides[0][3] == 0


def test_shared_memory_of_two_blocks_is_not_the_same():
    w = Watch(threads=1, ctas=4)
    w.touch("store", lambda c, t: 0 * t)
    w.touch("load", lambda c, t: 0 * t, group=w.group(ctas=[1]))
    w.touch("store", lambda c, t: 0 * t, group=w.group(ctas=[2, 3]))
    assert not w.facts()


def test_a_barrier_of_some_blocks_orders_only_those():
    w = Watch(threads=2, ctas=3)
    w.touch("store", lambda c, t: 4 * t)
    w.barrier([0, 2])
    w.touch("load", lambda c, t: 4 * (1 - t))
    (fact,) = w.facts()
    assert fact.count == 2
    assert fact.sides[0][2] == fact.sides[1][2] == 101


def test_a_named_barrier_orders_its_warps_and_whom_they_knew():
    w = Watch(threads=96, ctas=2)
    half = (np.arange(2)[:, None], np.arange(64)[None, :])
    w.touch("store", lambda c, t: 4 * (t // 32), mask=lambda c, t: t % 32 == 0)
    w.detector.named_barrier([half])
    warp1 = w.group(tids=np.arange(32, 64))
    w.touch("load", lambda c, t: 0 * t, group=warp1)
    assert not w.detector.facts
    w.touch("load", lambda c, t: 0 * t, group=w.group(tids=np.arange(64, 96)))
    assert len(w.detector.facts) == 1, "the third warp was not there"
    w = Watch(threads=96, ctas=2)
    w.touch("store", lambda c, t: 0 * t, mask=lambda c, t: t == 0)
    w.detector.named_barrier([half])
    w.detector.named_barrier([(np.arange(2)[:, None], np.arange(32, 96)[None, :])])
    w.touch("load", lambda c, t: 0 * t, group=w.group(tids=np.arange(64, 96)))
    assert not w.facts(), "the second warp brought the news"


def test_groups_that_wait_in_two_places_of_one_named_barrier_meet():
    w = Watch(threads=96, ctas=1)
    w.touch("store", lambda c, t: 4 * (t // 32), mask=lambda c, t: t % 32 == 0)
    zero = np.zeros((1, 1), np.int64)
    w.detector.named_barrier([(zero, np.arange(32)[None, :]), (zero, np.arange(32, 64)[None, :])])
    w.touch("load", lambda c, t: 4 * (1 - t // 32), group=w.group(tids=np.arange(64)))
    assert not w.facts()


# -- global memory ---------------------------------------------------------------------------------------------------
def test_two_blocks_that_write_one_global_word():
    w = Watch(mode="all", threads=32, ctas=2)
    w.touch("store", lambda c, t: 4 * t, group=w.group(ctas=[0]), space="global")
    w.barrier()
    w.touch("store", lambda c, t: 4 * t, group=w.group(ctas=[1]), space="global")
    (fact,) = w.facts()
    assert fact.detail == "write and write of one word of global memory by two blocks, which nothing orders"
    assert (fact.sides[0][2], fact.sides[1][2]) == (100, 101)
    assert fact.count == 32


def test_two_blocks_that_write_one_global_word_in_one_instruction():
    w = Watch(mode="all", threads=32, ctas=3)
    w.touch("store", lambda c, t: 4 * t + 0 * c, space="global")
    (fact,) = w.facts()
    assert fact.count == 64


def test_blocks_of_two_batches_race_in_global_memory_and_are_named_by_the_launch():
    w = Watch(mode="all", threads=32, ctas=2)
    w.touch("load", lambda c, t: 4 * t, space="global")
    w.next_batch()
    w.touch("store", lambda c, t: 4 * (t + 32 * c), space="global")
    (fact,) = w.facts()
    assert {fact.sides[0][2], fact.sides[1][2]} <= {100, 101, 102, 103}
    assert fact.sides[0][2] in (100, 101)
    assert fact.sides[1][2] == 102
    assert fact.count == 32


def test_disjoint_tiles_of_global_memory_do_not_race():
    w = Watch(mode="all", threads=32, ctas=2)
    for _ in range(2):
        w.touch("store", lambda c, t: 128 * (2 * w.batch + c) + 4 * t, space="global")
        w.touch("load", lambda c, t: 128 * (2 * w.batch + c) + 4 * t, space="global")
        w.touch("store", lambda c, t: 128 * (2 * w.batch + c) + 4 * t, space="global")
        w.next_batch()
    assert not w.facts()


def test_a_coalesced_store_over_words_that_were_touched_before_is_looked_at():
    """The fast way for coalesced stores must not skip words with a record."""
    for first in ("load", "store"):
        w = Watch(mode="all", threads=32, ctas=2)
        w.touch(first, lambda c, t: 0 * t + 132, space="global", mask=lambda c, t: (t == 5) & (c == 0))
        w.touch("store", lambda c, t: 128 * c + 4 * t, space="global")
        (fact,) = w.facts()
        assert fact.address == 132
        assert fact.sides[0][3] == 5
        assert fact.sides[1][3] == 1


def test_mode_shared_does_not_look_at_global_memory():
    w = Watch(mode="shared", threads=32, ctas=2)
    w.touch("store", lambda c, t: 0 * t + 0 * c, space="global")
    assert not w.facts()


def test_within_a_block_a_barrier_orders_global_accesses():
    for fixed in (False, True):
        w = Watch(mode="all", threads=64, ctas=2)
        w.touch("store", lambda c, t: 256 * c + 4 * t, space="global")
        if fixed:
            w.barrier()
        w.touch("load", lambda c, t: 256 * c + 4 * (63 - t), space="global")
        assert bool(w.facts()) != fixed


def test_a_barrier_does_not_make_room_for_another_block():
    """Readers of two blocks, then a barrier of one of them and a write there: the other block is still reading."""
    w = Watch(mode="all", threads=64, ctas=2)
    w.touch("load", lambda c, t: 0 * t + 0 * c, space="global", group=w.group(ctas=[0]))
    w.touch("load", lambda c, t: 0 * t + 0 * c, space="global", group=w.group(ctas=[1], tids=np.arange(32)))
    w.touch("load", lambda c, t: 0 * t + 0 * c, space="global", group=w.group(ctas=[1], tids=np.arange(32, 64)))
    w.barrier([1])
    w.touch("store", lambda c, t: 0 * t + 0 * c, space="global", group=w.group(ctas=[1], tids=[40]))
    (fact,) = w.facts()
    assert fact.sides[0][2] == 100


def test_strong_accesses_to_a_flag_do_not_race():
    w = Watch(mode="all", threads=1, ctas=2)
    w.touch("release", lambda c, t: 0 * t, space="global", group=w.group(ctas=[0]))
    w.touch("acquire", lambda c, t: 0 * t, space="global", group=w.group(ctas=[1]))
    w.touch("volatile", lambda c, t: 0 * t, space="global", group=w.group(ctas=[1]))
    assert not w.detector.facts
    w.touch("load", lambda c, t: 0 * t, space="global", group=w.group(ctas=[1]))
    assert len(w.facts()) == 1


def test_what_a_block_releases_is_ordered_by_atomics_as_far_as_one_can_see():
    """The last block of a reduction: partial sums, fence, counter; then one block reads all partial sums."""
    for released in ("thread", "block", "nobody"):
        w = Watch(mode="all", threads=64, ctas=4)
        w.touch("store", lambda c, t: 256 * c + 4 * t, space="global")
        if released != "nobody":
            w.barrier()
            group = w.group() if released == "thread" else w.group(tids=[0])
            w.detector.fence(group)
        last = w.group(ctas=[3])
        w.touch("load", lambda c, t: 4 * t, space="global", group=last)
        (fact,) = w.facts()
        assert fact.kind == ("race" if released == "nobody" else "ordered by atomics")
        order = "which nothing orders" if released == "nobody" else "which an atomic or a fence may order"
        assert fact.detail == f"write and read of one word of global memory by two blocks, {order}"


def test_an_atomic_without_a_fence_releases_nothing():
    w = Watch(mode="all", threads=1, ctas=2)
    w.touch("store", lambda c, t: 0 * t, space="global", group=w.group(ctas=[0]))
    w.touch("atomic", lambda c, t: 0 * t + 64, space="global", group=w.group(ctas=[0]))
    w.touch("load", lambda c, t: 0 * t, space="global", group=w.group(ctas=[1]))
    assert [f.kind for f in w.facts()] == ["race"]


def test_a_release_before_the_write_orders_nothing():
    w = Watch(mode="all", threads=32, ctas=2)
    w.detector.fence(w.group(ctas=[0]))
    w.touch("store", lambda c, t: 4 * t, space="global", group=w.group(ctas=[0]))
    w.touch("load", lambda c, t: 4 * t, space="global", group=w.group(ctas=[1]))
    assert [f.kind for f in w.facts()] == ["race"]


def test_a_reader_that_has_acquired_after_the_write():
    w = Watch(mode="all", threads=32, ctas=2)
    w.touch("store", lambda c, t: 4 * t + 64, space="global", group=w.group(ctas=[0]))
    w.touch("acquire", lambda c, t: 0 * t, space="global", group=w.group(ctas=[1], tids=[0]))
    w.barrier()
    w.touch("load", lambda c, t: 4 * t + 64, space="global", group=w.group(ctas=[1]))
    assert [f.kind for f in w.facts()] == ["ordered by atomics"]


def test_a_barrier_of_the_grid_orders_everything():
    w = Watch(mode="all", threads=32, ctas=2)
    w.touch("store", lambda c, t: 128 * c + 4 * t, space="global")
    w.detector.grid_barrier()
    w.touch("load", lambda c, t: 128 * (1 - c) + 4 * t, space="global")
    assert not w.facts()


def test_a_detector_is_not_disturbed_by_the_one_before():
    """Tables are used again: what an earlier launch did must not show."""
    for _ in range(3):
        w = Watch(mode="all", threads=64, ctas=2)
        w.touch("store", lambda c, t: 256 * c + 4 * t, space="global")
        w.touch("store", lambda c, t: 4 * (t % WORDS), mask=lambda c, t: t < WORDS)
        w.touch("load", lambda c, t: 4 * (t % WORDS), mask=lambda c, t: t < WORDS)
        assert not w.facts()


def test_addresses_beyond_the_extent_do_not_break_it():
    w = Watch(mode="all", threads=32, ctas=2)
    w.touch("store", lambda c, t: 4 * t + (1 << 16), space="global", group=w.group(ctas=[0]))
    w.touch("store", lambda c, t: 4 * t + (1 << 17), space="global", group=w.group(ctas=[0]))
    w.touch("load", lambda c, t: 4 * t + (1 << 16), space="global", group=w.group(ctas=[1]))
    assert len(w.facts()) == 1


# -- against a detector that keeps everything --------------------------------------------------------------------------
class Slow:
    """Every access of every word, and for each thread what it knows of every other one."""

    def __init__(self, threads, ctas):
        self.threads, self.ctas = threads, ctas
        self.now = 0
        self.knows = np.zeros((ctas, threads, threads), np.int64)  # [cta, mine, theirs]
        self.past = {}  # (cta, word) -> [(time, thread, kind)]

    def access(self, kind, lanes):
        """lanes: (cta, thread, word). Whether there is a race."""
        self.now += 1
        found = False
        new = {}
        for cta, thread, word in lanes:
            for when, other, earlier in self.past.get((cta, word), []):
                if other == thread or (kind == "load" and earlier == "load") or kind == earlier == "atomic":
                    continue
                found |= when > self.knows[cta, thread, other]
            before = new.setdefault((cta, word), [])
            found |= kind == "store" and bool(before)
            before.append((self.now, thread, kind))
        for place, items in new.items():
            self.past.setdefault(place, []).extend(items)
        return found

    def meet(self, cta, threads):
        """Some threads of a CTA meet: each knows what any of them knew, and all that they did."""
        threads = list(threads)
        joint = self.knows[cta, threads].max(axis=0)
        joint[threads] = self.now
        self.knows[cta, threads] = joint


THREADS, CTAS = 80, 3  # the last warp is half empty
WARPS = [range(32), range(32, 64), range(64, 80)]

subsets = st.lists(st.booleans(), min_size=3, max_size=3)
steps = st.one_of(
    st.tuples(
        st.sampled_from(["load", "load", "store", "atomic"]),
        st.integers(0, 2**16),  # how addresses depend on (cta, thread)
        subsets,  # CTAs
        subsets,  # warps
        st.sampled_from(["all", "one", "few", "flat"]),
    ),
    st.tuples(st.just("barrier"), subsets),
    st.tuples(st.just("named"), subsets, subsets),
    st.tuples(st.just("warps"), subsets, subsets, st.sampled_from([0xFFFFFFFF, "halves", "evens"])),
)


def members(choice, t):
    """The member mask of each lane."""
    lane = t % 32
    if choice == "halves":
        return np.where(lane < 16, 0xFFFF, 0xFFFF0000)
    if choice == "evens":
        return np.where(lane % 2 == 0, 0x55555555, 0xAAAAAAAA)
    return np.full(t.shape, choice)


def chosen(flags, n):
    picked = [i for i in range(n) if flags[i]]
    return picked or list(range(n))


def apply(step, w, slow):
    """One step in both detectors. (a race by the slow one, a race by ours), None for a step that is no access."""
    if step[0] == "barrier":
        ctas = chosen(step[1], CTAS)
        w.barrier(ctas)
        for cta in ctas:
            slow.meet(cta, range(THREADS))
        return None
    ctas = chosen(step[2 if step[0] not in ("named", "warps") else 1], CTAS)
    warps = chosen(step[3 if step[0] not in ("named", "warps") else 2], 3)
    tids = np.concatenate([np.asarray(WARPS[i]) for i in warps])
    if step[0] == "named":
        w.detector.named_barrier([(np.asarray(ctas)[:, None], tids[None, :])])
        for cta in ctas:
            slow.meet(cta, tids)
        return None
    if step[0] == "warps":
        g = w.group(ctas, tids)
        w.sync(g, lambda c, t: members(step[3], t))
        for cta in ctas:
            for i in warps:
                masks = members(step[3], np.asarray(WARPS[i]))
                for mask in set(masks.tolist()):
                    slow.meet(cta, [t for t in WARPS[i] if mask >> (t % 32) & 1])
        return None
    kind, pattern, _, _, form = step
    rng = np.random.default_rng(pattern)
    g = w.group(ctas, tids, flat=form == "flat")
    if pattern % 3 == 0:  # alike in all CTAs; a word a thread, or one for many
        table = np.tile(rng.permutation(WORDS * 8) % (WORDS if pattern % 2 else 4), (CTAS, 1))
    else:
        table = rng.integers(0, WORDS, (CTAS, WORDS * 8))
    word = table[g.ctas, g.tids] if pattern % 3 else table[0][g.tids]
    mask = None
    if form == "one":
        mask = g.tids == rng.integers(THREADS)
    elif form == "few":
        mask = rng.random(g.shape) < 0.1
    w.touch(
        kind,
        4 * word,
        group=g,
        mask=mask,
        site=next(s for s in w.sites if s.ins.parts[0] == OPCODES[kind].split(".")[0]),
    )
    active = np.broadcast_to(True if mask is None else mask, g.shape)
    c, t, x = (np.broadcast_to(v, g.shape)[active].tolist() for v in (g.ctas, g.tids, word))
    return slow.access(kind, zip(c, t, x, strict=True))


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, min_size=2, max_size=12))
def test_the_first_race_is_found_where_it_is_and_not_before(program):
    """Both must see the first race at the same access. What follows a race is not compared."""
    w, slow = Watch(THREADS, CTAS), Slow(THREADS, CTAS)
    for step in program:
        expected = apply(step, w, slow)
        if expected is None:
            continue
        assert bool(w.detector.facts) == expected
        if expected:
            return


# -- sites that need no look -------------------------------------------------------------------------------------------
def sites(*forms):
    return [
        Site(i, Instruction(i, tuple(op.split(".")), (), None, 1, None), None, frozenset(p.split()))
        for i, (op, p) in enumerate(forms)
    ]


A, B, C = Allocation(4096, 64), Allocation(8192, 64), Allocation(16384, 64)
PLACES = {"a": A, "b": B, "c": C, "alias": C}


@pytest.mark.parametrize(
    ("forms", "quiet"),
    [
        ([("ld.global.f32", "a"), ("ld.global.f32", "b"), ("st.global.f32", "c")], {0, 1}),
        ([("ld.global.f32", "a b"), ("st.global.f32", "b")], set()),
        ([("ld.global.f32", "c"), ("st.global.f32", "alias")], set()),
        ([("ld.global.f32", "a"), ("st.global.f32", "")], set()),
        ([("ld.global.f32", "a"), ("st.shared.f32", "")], {0}),
        ([("ld.global.f32", "a"), ("st.f32", "")], set()),
        ([("ld.global.f32", ""), ("st.global.f32", "c")], set()),
        ([("ld.global.f32", "a"), ("red.global.add.f32", "a"), ("ld.global.f32", "b")], {2}),
        ([("cp.async.cg.shared.global", "a"), ("cp.async.commit_group", ""), ("st.global.f32", "c")], {0}),
        ([("ld.global.f32", "a"), ("cp.async.bulk.global.shared::cta.bulk_group", "")], set()),
        ([("ld.global.f32", "a"), ("call.uni", "")], set()),
        ([("ld.global.f32", "a"), ("st.global.f32", "unknown")], set()),
    ],
)
def test_only_loads_from_tensors_that_nobody_writes_are_quiet(forms, quiet):
    assert read_only_sites(sites(*forms), PLACES) == quiet


@pytest.mark.parametrize(
    ("address", "space", "who", "how"),
    [
        (lambda c, t: 4 * (t // 4), "shared", "two threads", " in one instruction"),
        (lambda c, t: 4 * (t % 32), "shared", "two threads", ", no barrier between"),
        (lambda c, t: 4 * t, "global", "two blocks", ", which nothing orders"),
    ],
    ids=["a warp", "two warps", "two blocks"],
)
def test_who_stores_to_one_word_is_told(address, space, who, how):
    w = Watch(threads=64, mode="all")
    w.touch("store", address, space=space)
    told = [fact.detail for fact in w.facts()]
    assert told == [f"{who} write different values to one word of {space} memory{how}"]
