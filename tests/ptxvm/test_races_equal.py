"""Two threads that store to one word: a race, unless it is one instruction and they store the same."""

from __future__ import annotations

import pytest

import ptxvm
from tests.ptxvm.kernels import kernel, run


def store_kernel(value: str, second: str = "") -> ptxvm.Kernel:
    """Every thread of a block stores to word 0 of shared memory, then reads it behind a barrier."""
    return kernel(
        f"mov.u32 %r1, s; {value} st.shared.u32 [%r1], %r0; {second} bar.sync 0; ld.shared.u32 %r2, [%r1];",
        shared=".shared .align 4 .b8 s[64];",
    )


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize(
    ("value", "found"), [("mov.u32 %r0, 7;", False), ("mov.u32 %r0, %b;", False), ("mov.u32 %r0, %t;", True)]
)
def test_equal_values_of_one_instruction_do_not_race(value, found, seed):
    schedule = None if seed is None else ptxvm.Schedule.fuzz(seed)
    report, _, _ = run(store_kernel(value), schedule=schedule)
    assert bool(report.races) == found


@pytest.mark.parametrize("seed", [None, 1])
def test_equal_values_of_two_instructions_do(seed):
    second = "setp.eq.u32 %p0, %t, 40; @%p0 st.shared.u32 [%r1], %r0;"
    schedule = None if seed is None else ptxvm.Schedule.fuzz(seed)
    report, _, _ = run(store_kernel("mov.u32 %r0, 7;", second), schedule=schedule)
    assert report.races


def test_equal_wide_values_do_not_race_and_different_halves_do():
    body = "mov.u32 %r1, s; st.shared.v2.u32 [%r1], {{%r3, {other}}}; bar.sync 0;"
    shared = ".shared .align 8 .b8 s[64];"
    same, _, _ = run(kernel("mov.u32 %r3, 5; " + body.format(other="%r3"), shared=shared))
    differ, _, _ = run(kernel("mov.u32 %r3, 5; " + body.format(other="%t"), shared=shared))
    assert not same.races
    assert differ.races


def test_equal_values_to_one_global_word_from_many_blocks():
    same, _, _ = run(kernel("mov.u32 %r0, 3; st.global.u32 [%y], %r0;"))
    differ, _, _ = run(kernel("st.global.u32 [%y], %b;"))
    assert not same.races
    assert differ.races
