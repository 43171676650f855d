"""The time of one launch on the card: CUDA events around it, held back so that the host's work is not in the sample.

Order on one stream:   flush the L2 · wait · event · KERNEL · event
The wait lets the host queue kernel and events before the card reaches them. It is torch's own spin kernel, a private
API; it grows until the host is fast enough. Where that fails (the API is gone, or the rung waits for the card itself),
the timer is "event": host time may be in the samples, and a warning says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from warpbench.measure import statistics
from warpbench.measure.cache import Flusher

N_MIN, N_MAX = 30, 200
QUICK = (10, 10)  # least and most samples of a quick run
WARM_S, WARM_MAX_S = 0.3, 3.0  # device time and wall time of the warm-up
BUDGET_S = 2.0  # device time of the samples of one replicate
SLOW_S, SLOW_MIN = 0.4, 5  # kernels above 400 ms: at least 5 samples
TOL = 0.005  # stop when the median is known to half a percent
SPIN_S, SPIN_MAX_S = 50e-6, 2e-3
SHARE = 0.1  # of late samples or outliers: above it, a warning


@dataclass(frozen=True)
class Lap:
    """One timed launch, seconds. `late`: the card may have waited for the host inside the sample, for a share of it
    that counts.
    """

    device: float
    host: float  # what the host took to launch
    busy: float  # on the device, flush and wait included
    late: bool


@dataclass(frozen=True)
class Samples:
    """Raw samples of one replicate, seconds, and how they were taken."""

    seconds: tuple[float, ...]
    timer: str
    stop: str
    host_seconds_median: float
    warm_up_runs: int
    flush_bytes: int
    warnings: tuple[str, ...] = ()


class Stopwatch:
    """Times launches on the current stream of this process's card, each with a cold L2."""

    def __init__(self, flusher: Flusher) -> None:
        import torch

        self.flusher = flusher
        self.spin_s = SPIN_S
        self._spin: Callable[[int], None] | None = getattr(torch.cuda, "_sleep", None)
        self._begun, self._begin, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(3))

    @property
    def holds(self) -> bool:
        """Whether the card can be made to wait for the host."""
        return self._spin is not None

    def lap(self, call: Callable[[], Any]) -> Lap:
        """Time one `call`, which queues the launches of one rung."""
        self._begun.record()
        self.flusher.flush()
        if self._spin is not None:
            self._spin(int(self.spin_s * 1.5e9))  # cycles of the SM clock; 1.5 GHz is near enough for a wait
        self._begin.record()
        started = time.perf_counter()
        call()
        host = time.perf_counter() - started
        self._end.record()
        waited = bool(self._begin.query())  # the card was there before everything was queued, the end too
        self._end.synchronize()
        device, busy = (float(event.elapsed_time(self._end)) / 1e3 for event in (self._begin, self._begun))
        return Lap(device, host, busy, waited and host > TOL * device)

    def whole(self, call: Callable[[], Any]) -> float:
        """Seconds of one `call` until the whole card is idle, whatever stream it used; the L2 as it is."""
        import torch

        torch.cuda.synchronize()
        started = time.perf_counter()
        call()
        torch.cuda.synchronize()
        return time.perf_counter() - started

    def longer(self) -> None:
        """Make the card wait longer from now on."""
        self.spin_s = min(2 * self.spin_s, SPIN_MAX_S)


def sample(
    call: Callable[[], Any],
    watch: Stopwatch,
    n_min: int = N_MIN,
    n_max: int = N_MAX,
    after: Callable[[], None] = lambda: None,
) -> Samples:
    """Time `call`, which queues one launch (or the launches of one rung) on the current stream.

    `after` is called after each sample, while the card is still at its clock.

    Warm-up: three runs, then until 0.3 s of device time have passed, flushed like the samples. Samples: `n_min` to
    `n_max`, until the interval of the median is half a percent or 2 s of device time have passed.
    """
    watch.spin_s = SPIN_S
    runs, busy = 0, 0.0
    limit = time.perf_counter() + WARM_MAX_S
    while runs < 3 or (busy < WARM_S and time.perf_counter() < limit):
        lap = watch.lap(call)
        runs += 1
        if lap.late:  # the device time of such a run is partly the host's: it warms nothing
            watch.longer()
        else:
            busy += lap.busy
    least = SLOW_MIN if lap.device > SLOW_S else n_min
    laps: list[Lap] = []
    stop = "max_samples"
    while len(laps) < n_max:
        laps.append(watch.lap(call))
        if laps[-1].late:  # behind `after` the host is slower than in the warm-up
            watch.longer()
        after()
        if len(laps) < least:
            continue
        width = statistics.half_width([one.device for one in laps]) if len(laps) % 10 == 0 else None
        if width is not None and width <= TOL:
            stop = "converged"
            break
        if sum(one.device for one in laps) >= BUDGET_S:
            stop = "max_time"
            break
    seconds = tuple(one.device for one in laps)
    late = sum(one.late for one in laps) / len(laps)
    held = watch.holds and late <= SHARE
    return Samples(
        seconds, "event_sleep" if held else "event", stop, statistics.median([one.host for one in laps]), runs,
        watch.flusher.bytes, tuple(_warnings(seconds, held, late)),
    )  # fmt: skip


def _warnings(seconds: tuple[float, ...], held: bool, late: float) -> list[str]:
    found = []
    if not held:
        found.append(f"in {100 * late:.0f} % of the samples the card waited for the host: host time is in them")
    outliers = statistics.outlier_share(seconds)
    if outliers > SHARE:
        found.append(f"{100 * outliers:.0f} % of the samples are outliers: something else ran, or the clock moved")
    return found
