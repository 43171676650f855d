"""Locks, flags and counters of a block: what they order is no race, and what they do not is one."""

from __future__ import annotations

import pytest

import ptxvm

# Warp 0 stores 32 words and sets a flag; warp 1 waits for the flag and reads them.
TEXT = """.version 8.0
.target sm_86
.address_size 64
.shared .align 4 .b32 tile[32];
.shared .align 4 .b32 flag;
.visible .entry k(.param .u64 out)
{{
    .reg .pred %late, %first, %wait;
    .reg .b32 %t, %lane, %at, %v, %f;
    .reg .b64 %out;
    mov.u32 %t, %tid.x;
    and.b32 %lane, %t, 31;
    setp.ge.u32 %late, %t, 32;
    setp.eq.u32 %first, %t, 0;
    mov.u32 %at, tile;
    mad.lo.u32 %at, %lane, 4, %at;
    ld.param.u64 %out, [out];
    mad.wide.u32 %out, %lane, 4, %out;
    @%first st.shared.u32 [flag], 0;
    bar.sync 0;
    @%late bra READ;
    st.shared.u32 [%at], %t;
    {together}
    {set}
    bra END;
READ:
    {get}
    setp.ne.u32 %wait, %f, {count};
    @%wait bra READ;
    {then}
    xor.b32 %at, %at, 4;
    ld.shared.u32 %v, [%at];
    st.global.u32 [%out], %v;
END:
    ret;
}}
"""
TOGETHER = "bar.warp.sync -1;"
ONE = "@%first st.release.cta.shared.u32 [flag], 1;"
EVERY = "red.release.cta.shared.add.u32 [flag], 1;"
ACQUIRE, RELAXED = "ld.acquire.cta.shared.u32 %f, [flag];", "ld.relaxed.cta.shared.u32 %f, [flag];"
FENCE = "fence.acq_rel.cta;"
GOOD = {
    "release by one": (TOGETHER, ONE, ACQUIRE, 1, ""),
    "release by each": ("", EVERY, ACQUIRE, 32, ""),
    "fences": (TOGETHER + FENCE, ONE.replace("release", "relaxed"), RELAXED, 1, FENCE),
    "membar": (TOGETHER + "membar.cta;", ONE.replace("release", "relaxed"), RELAXED, 1, "membar.cta;"),
    "an atomic that waits": (TOGETHER, ONE, "atom.acquire.cta.shared.or.b32 %f, [flag], 0;", 1, ""),
    "exchange": (TOGETHER, "@%first atom.acq_rel.cta.shared.exch.b32 %f, [flag], 1;", ACQUIRE, 1, ""),
}
BAD = {
    "relaxed": (TOGETHER, ONE.replace("release", "relaxed"), RELAXED, 1, ""),
    "nobody acquires": (TOGETHER, ONE, RELAXED, 1, ""),
    "nobody releases": (TOGETHER, ONE.replace("release", "relaxed"), ACQUIRE, 1, ""),
    "a fence before the stores alone": ("", ONE.replace("release", "relaxed"), RELAXED, 1, FENCE),
    "one speaks for lanes that it has not met": ("", ONE, ACQUIRE, 1, ""),
    "a plain flag": (TOGETHER, "@%first st.shared.u32 [flag], 1;", "ld.volatile.shared.u32 %f, [flag];", 1, ""),
}


def races(case: tuple[str, str, str, int, str], seed: int | None) -> list[str]:
    together, set_, get, count, then = case
    text = TEXT.format(together=together, set=set_, get=get, count=count, then=then)
    device = ptxvm.Device("sm_86", memory_bytes=1 << 16)
    out = device.array((32,), "uint32", name="out")
    schedule = ptxvm.Schedule.normal() if seed is None else ptxvm.Schedule.fuzz(seed)
    kernel = ptxvm.Module.from_ptx(text).kernel()
    checks = ptxvm.Checks(races="all")
    report = device.launch(kernel, (3,), (64,), (out,), checks=checks, schedule=schedule)
    assert out.tolist() == [i ^ 1 for i in range(32)]
    return [f.detail for f in report.races if "shared" in f.detail]


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize("name", GOOD)
def test_what_a_flag_orders_is_no_race(name: str, seed: int | None) -> None:
    assert races(GOOD[name], seed) == []


@pytest.mark.parametrize("name", BAD)
def test_what_it_does_not_order_is_one(name: str) -> None:
    assert races(BAD[name], None) != []
