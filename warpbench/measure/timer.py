"""The time of one launch on the card: CUDA events around it, held back so that the host's work is not in the sample.

Order on one stream:   flush the L2 · wait about 50 us · event · KERNEL · event
The wait lets the host queue kernel and events before the card reaches them. It is torch's own spin kernel, a private
API; where it is gone, the timer is "event" and host time may show in short samples.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from warpbench.measure import statistics
from warpbench.measure.cache import Flusher

N_MIN, N_MAX = 30, 200
WARM_S, WARM_MAX_S = 0.3, 3.0  # device time of the warm-up
BUDGET_S = 2.0  # device time of the samples of one replicate
SLOW_S, SLOW_MIN = 0.4, 5  # kernels above 400 ms: at least 5 samples
TOL = 0.005  # stop when the median is known to half a percent
SPIN_S = 50e-6


@dataclass(frozen=True)
class Samples:
    """Raw samples of one replicate, seconds, and how they were taken."""

    seconds: tuple[float, ...]
    timer: str
    stop: str
    host_seconds_median: float | None
    warm_up_runs: int
    flush_bytes: int


def sample(call: Callable[[], None], flusher: Flusher, n_min: int = N_MIN, n_max: int = N_MAX) -> Samples:
    """Time `call`, which queues one launch (or the launches of one rung) on the current stream.

    Warm-up: three runs, then until 0.3 s of device time have passed, flushed like the samples. Samples: `n_min` to
    `n_max`, until the interval of the median is half a percent or 2 s of device time have passed.
    """
    import torch

    spin = _spinner(torch)
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def once() -> tuple[float, float]:
        """Seconds on the device, seconds that the host took to launch."""
        flusher.flush()
        spin()
        begin.record()
        started = time.perf_counter()
        call()
        host = time.perf_counter() - started
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3, host

    runs, warm = 0, 0.0
    limit = time.perf_counter() + WARM_MAX_S
    while runs < 3 or (warm < WARM_S and time.perf_counter() < limit):
        warm += once()[0]
        runs += 1
    seconds: list[float] = []
    hosts: list[float] = []
    stop = "max_samples"
    least = SLOW_MIN if warm / runs > SLOW_S else n_min
    while len(seconds) < n_max:
        device, host = once()
        seconds.append(device)
        hosts.append(host)
        if len(seconds) < least:
            continue
        if len(seconds) % 10 == 0 and (statistics.half_width(seconds) or 1.0) <= TOL:
            stop = "converged"
            break
        if sum(seconds) >= BUDGET_S:
            stop = "max_time"
            break
    timer = "event_sleep" if hasattr(torch.cuda, "_sleep") else "event"
    return Samples(tuple(seconds), timer, stop, statistics.median(hosts), runs, flusher.bytes)


def _spinner(torch: Any) -> Callable[[], None]:
    """A function that keeps the card busy for about 50 us."""
    if not hasattr(torch.cuda, "_sleep"):
        return lambda: None
    # torch.cuda._sleep counts cycles of the SM clock; 1.5 GHz is near enough for a wait
    cycles = int(SPIN_S * 1.5e9)
    return lambda: torch.cuda._sleep(cycles)
