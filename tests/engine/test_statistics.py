"""Medians, intervals, cache sizes: formulas with known answers."""

from __future__ import annotations

import math
import random

import pytest

from warpbench.measure import cache, statistics

MIB = 1 << 20


def test_median_and_quantiles():
    assert statistics.median([3, 1, 2]) == 2
    assert statistics.median([4, 1, 3, 2]) == 2.5
    assert statistics.quantile([1, 2, 3, 4, 5], 0.25) == 2
    assert statistics.quantile([10.0], 0.9) == 10
    with pytest.raises(ValueError, match="no samples"):
        statistics.median([])


# ranks of the 95 % interval of the median, from tables of the sign test
@pytest.mark.parametrize(
    ("n", "rank"), [(5, 0), (6, 1), (8, 1), (9, 2), (11, 2), (12, 3), (20, 6), (30, 10), (100, 40)]
)
def test_interval_of_the_median_by_order_statistics(n, rank):
    samples = list(range(1, n + 1))
    assert statistics.median_interval(samples) == ((rank, n + 1 - rank) if rank else None)


def test_the_interval_covers_the_median_as_often_as_it_says():
    draw = random.Random(4)
    hits = 0
    for _ in range(2000):
        low, high = statistics.median_interval([draw.gauss(0, 1) for _ in range(30)])
        hits += low <= 0 <= high
    assert 0.945 <= hits / 2000 <= 0.98


def test_half_width_spread_and_outliers():
    assert statistics.half_width([10.0] * 30) == 0.0
    assert statistics.half_width([1.0, 2.0]) is None
    assert statistics.spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 3)
    assert statistics.spread([1.0]) is None
    assert statistics.outlier_share([1.0] * 19 + [50.0]) == pytest.approx(0.05)


def test_large_samples_use_the_normal_approximation():
    low, high = statistics.median_interval(list(range(1, 10001)))
    assert low == math.floor(5000 - 0.98 * 100)
    assert high == 10001 - low


def test_flush_is_twice_the_l2_and_no_less_than_32_mib():
    assert cache.flush_bytes(6 * MIB) == 32 * MIB
    assert cache.flush_bytes(72 * MIB) == 144 * MIB
    assert cache.flush_bytes(24 * MIB, integrated=True) == 64 * MIB


def test_rotation_takes_enough_copies_or_says_that_it_cannot():
    assert cache.copies(6 * MIB, 1 * MIB, 1 << 34) == 31
    assert cache.copies(6 * MIB, 1 << 30, 1 << 34) == 2
    assert cache.copies(6 * MIB, 1 << 33, 1 << 34) is None


def test_a_share_of_dram_needs_more_than_the_cache_holds():
    assert cache.dram_share_allowed("cold", 24 * MIB, 6 * MIB)
    assert not cache.dram_share_allowed("cold", 23 * MIB, 6 * MIB)
    assert cache.dram_share_allowed("rotate", MIB, 6 * MIB)
    assert not cache.dram_share_allowed("hot", 1 << 30, 6 * MIB)
