"""C4, and what else only a whole check of an answer shows: an exercise of its own, on the copy of the course."""

from __future__ import annotations

import pytest

ROW = """
[[exercise]]
id = "sum_up"
part = "01_threads"
title = "Sum up"
objective = "A sum."
dsl = "numba"
operation = "reduce_sum"
files = ["sum_up.py"]
checks = ["C4", "R4 atomics<=0", "P3==2"]
fails_with = "C4"
proved = "."
hints = ["1", "2", "3"]
"""
ATOMICS = """
from numba import cuda

@cuda.jit
def _add(x, out):
    i = cuda.grid(1)
    if i < x.size:
        cuda.atomic.add(out, 0, x[i])

def sum_up(x, out):
    out.zero_()
    _add[(x.numel() + 31) // 32, 32](x, out)
"""
IN_ORDER = """
import torch
from numba import cuda

@cuda.jit
def _part(x, part):
    if cuda.threadIdx.x == 0:
        block = cuda.blockIdx.x
        part[block] = 0
        for i in range(32 * block, min(32 * block + 32, x.size)):
            part[block] += x[i]

@cuda.jit
def _whole(part, out):
    if cuda.threadIdx.x == 0:
        out[0] = part[0]
        for block in range(1, part.size):
            out[0] += part[block]

def sum_up(x, out):
    part = torch.empty((x.numel() + 31) // 32)
    _part[part.numel(), 32](x, part)
    _whole[1, 32](part, out)
"""
FIRST_COMES = """
import torch
from numba import cuda

@cuda.jit
def _first(x, taken, out):
    if cuda.threadIdx.x == 0 and cuda.atomic.add(taken, 0, 1) == 0:
        out[0] = 0
        for i in range(32 * cuda.blockIdx.x, x.size):  # all of them only where block 0 comes first
            out[0] += x[i]

def sum_up(x, out):
    _first[(x.numel() + 31) // 32, 32](x, torch.zeros(1, dtype=torch.int32), out)
"""
ON_THE_HOST = "import torch\ndef sum_up(x, out):\n    out[0] = x.double().sum()\n"


@pytest.fixture
def judged(course):
    """judged(text): the verdict for an answer to an exercise that is added to the catalogue."""
    path = course.root / "catalog.toml"
    path.write_text(path.read_text(encoding="utf-8") + ROW, encoding="utf-8")
    from warpbench.course.catalogue import load

    exercise = load(course.root)[-1]

    def judge(text):
        exercise.path().write_text(text, encoding="utf-8")
        return course.check(exercise, marks=False)

    return judge


def test_a_sum_whose_bits_depend_on_the_order_is_found_though_its_values_are_right(judged):
    found = judged(ATOMICS)
    assert found["level"] is None
    [one] = found["findings"]
    assert (one["code"], one["level"]) == ("C4", "bronze")
    assert "out[0] is" in one["evidence"][0]
    assert "in the usual order and in a shuffled one" in one["evidence"][1]


@pytest.mark.slow
def test_values_that_are_wrong_in_one_order_and_others_in_another_are_c4_not_c1(judged):
    assert judged(FIRST_COMES)["findings"][0]["code"] == "C4"


def test_a_sum_in_a_fixed_order_passes(judged):
    found = judged(IN_ORDER)
    assert found["level"] == "silver", found["findings"]
    assert [one["check"] for one in found["figures"]] == ["R4 atomics<=0", "P3==2"]


def test_values_that_nobody_computed_on_the_device_are_no_answer(judged):
    found = judged(ON_THE_HOST)
    assert (found["level"], found["findings"][0]["code"]) == (None, "E2")
    assert "no kernel was launched" in found["findings"][0]["evidence"][0]
