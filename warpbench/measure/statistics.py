"""Medians and their intervals. Pure functions of lists of samples; nothing is ever thrown away."""

from __future__ import annotations

import math
from collections.abc import Sequence


def median(samples: Sequence[float]) -> float:
    """The estimator of every time. ValueError for no samples."""
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("no samples")
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def quantile(samples: Sequence[float], q: float) -> float:
    """Linear interpolation between order statistics, q in [0, 1]."""
    ordered = sorted(samples)
    place = q * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Order-statistic interval of the median: ranks k and n + 1 - k, k the (1 - confidence) / 2 quantile of B(n, 1/2).

    None below 6 samples, where no pair of ranks reaches 95 %. This is the spread within one process: a stopping rule.
    An interval that is printed comes from replicates.
    """
    n = len(samples)
    rank = _binomial_quantile((1 - confidence) / 2, n)
    if rank < 1:
        return None
    ordered = sorted(samples)
    return ordered[rank - 1], ordered[n - rank]


def half_width(samples: Sequence[float]) -> float | None:
    """Half of the interval over the median: 0.005 is 0.5 %. None where there is no interval, or the median is 0."""
    interval = median_interval(samples)
    middle = median(samples)
    return None if interval is None or middle == 0 else (interval[1] - interval[0]) / 2 / middle


def spread(samples: Sequence[float]) -> float | None:
    """Interquartile range over the median; None for fewer than 4 samples or a median of 0."""
    middle = median(samples)
    return None if len(samples) < 4 or middle == 0 else (quantile(samples, 0.75) - quantile(samples, 0.25)) / middle


def log_interval(medians: Sequence[float]) -> float | None:
    """Half of the 95 % interval of the mean of the logarithms of processes' medians: 0.01 is 1 %. None for one process.

    Student's t on R - 1 degrees of freedom. What differs from process to process is in it, as nothing else is.
    """
    count = len(medians)
    if count < 2:
        return None
    logs = [math.log(median) for median in medians]
    mean = sum(logs) / count
    deviation = math.sqrt(sum((one - mean) ** 2 for one in logs) / (count - 1))
    return _t_quantile(count - 1) * deviation / math.sqrt(count)


def outlier_share(samples: Sequence[float]) -> float:
    """Share of samples beyond q3 + 1.5 interquartile ranges. They stay; above 10 % is worth a warning."""
    high = quantile(samples, 0.75)
    limit = high + 1.5 * (high - quantile(samples, 0.25))
    return sum(sample > limit for sample in samples) / len(samples)


# 97.5 % points of Student's t by degrees of freedom, from its tables; between two of them the wider one is taken.
_T = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 12: 2.179,
    15: 2.131, 20: 2.086, 30: 2.042, 60: 2.000, 120: 1.980,
}  # fmt: skip


def _t_quantile(freedom: int) -> float:
    return _T[max(known for known in _T if known <= freedom)]


def _binomial_quantile(p: float, n: int) -> int:
    """Largest rank k with P(B(n, 1/2) < k) <= p: the interval of ranks k and n + 1 - k then covers 1 - 2 p or more."""
    total, term, rank = 0.0, 0.5**n if n < 1000 else 0.0, 0
    if n >= 1000:  # normal approximation, rounded outwards
        return max(0, math.floor(n / 2 - 1.96 * math.sqrt(n) / 2))
    while total + term <= p:
        total += term
        rank += 1
        term *= (n - rank + 1) / rank
    return rank
