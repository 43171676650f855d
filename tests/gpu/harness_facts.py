"""What the timer rests on, measured on the card that is here: `python -m tests.gpu.harness_facts [--json FILE]`.

    events       time between two events with nothing between them, and the steps in which it grows
    globaltimer  the step of the card's nanosecond clock
    clock        SM clock from clock64 over globaltimer, beside what NVML says
    empty        an empty kernel in each DSL: device time, and what its launch costs the host
    flush        cost of the flush; what the write-back of a flush that only writes adds to the kernel behind it
    patterns     bandwidth of read, write, copy and triad, 1 GiB a tensor
    sizes        bandwidth of a copy from 1 MiB to 4 GiB: where the L2 ends
    warm_up      a dense GEMM's time from the first call on
    spread       medians of fresh processes (`--processes`): how far they lie apart, and A against A

Figures are facts of one card on one day; profiling/README.md quotes them with their card.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from warpbench import catalogue, hardware
from warpbench.check import Case, place
from warpbench.measure import timer
from warpbench.measure.cache import Flusher
from warpbench.measure.timer import Stopwatch

CLOCKS = r"""
extern "C" __global__ void nothing() {}
extern "C" __global__ void nothing_of_four(const float*, const float*, float*, int) {}

__device__ unsigned long long globaltimer() {
    unsigned long long t;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t));
    return t;
}

// steps[i]: the i-th new value that globaltimer took
extern "C" __global__ void globaltimer_steps(unsigned long long* steps, int n) {
    unsigned long long last = globaltimer();
    for (int i = 0; i < n; ++i) {
        unsigned long long now = last;
        while (now == last) now = globaltimer();
        steps[i] = last = now;
    }
}

// both clocks at the start and `cycles` later: out = clock64 begin, end, globaltimer begin, end
extern "C" __global__ void spin(long long* out, long long cycles) {
    long long begin = clock64();
    unsigned long long timer = globaltimer();
    long long now = begin;
    while (now - begin < cycles) now = clock64();
    out[0] = begin, out[1] = now, out[2] = (long long)timer, out[3] = (long long)globaltimer();
}
"""
SPREAD = (
    "vector_add/triton/eight_elements_a_thread",
    "vector_add/numba/one_thread_an_element",
    "softmax/cupy/row_in_registers",
    "transpose/cupy/padded_tile",
    "gemm_f32/cupy/register_tile",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--processes", type=int, default=5, help="fresh processes of `spread`")
    parser.add_argument("--one", action="store_true", help="one process of `spread`: print its medians as JSON")
    chosen = parser.parse_args()
    found = hardware.detect()
    if not found.usable:
        print(found.reason, "Nothing was measured.", file=sys.stderr)
        return 3
    card = found.usable[0]
    watch = Stopwatch(Flusher(card.l2_bytes or 128 << 20, card.integrated))
    if chosen.one:
        print(json.dumps(medians(watch)))
        return 0
    facts: dict[str, Any] = {"card": card.name, "cc": card.cc, "driver": found.driver, "l2_bytes": card.l2_bytes}
    parts: list[tuple[str, Callable[[], Any]]] = [
        ("events", lambda: events(watch)),
        ("globaltimer", globaltimer),
        ("clock", lambda: clock(watch)),
        ("empty", lambda: empty(watch)),
        ("flush", lambda: flush(watch)),
        ("patterns", lambda: patterns(watch)),
        ("sizes", lambda: sizes(watch)),
        ("warm_up", lambda: warm_up(watch)),
        ("spread", lambda: spread(chosen.processes)),
    ]
    for name, measure in parts:
        started = time.perf_counter()
        facts[name] = measure()
        print(f"{name} ({time.perf_counter() - started:.1f} s)\n  {json.dumps(facts[name])}", flush=True)
        if chosen.json:
            chosen.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 0


def summary(seconds: list[float]) -> dict[str, float]:
    """Median and quartiles, in microseconds."""
    low, middle, high = statistics.quantiles([s * 1e6 for s in seconds], n=4)
    return {"median_us": round(middle, 3), "q1_us": round(low, 3), "q3_us": round(high, 3)}


def kernels() -> Any:
    import cupy

    return cupy.RawModule(code=CLOCKS, options=("--std=c++17",))


def events(watch: Stopwatch) -> dict[str, Any]:
    """Two events, nothing between: what an event costs, and its steps."""
    laps = [watch.lap(lambda: None).device for _ in range(300)]
    values = sorted({round(lap * 1e9) for lap in laps})
    steps = [b - a for a, b in itertools.pairwise(values)]
    return {**summary(laps), "distinct_ns": values[:12], "least_step_ns": min(steps, default=None)}


def globaltimer() -> dict[str, Any]:
    import cupy

    steps = cupy.zeros(2000, dtype=cupy.uint64)
    kernels().get_function("globaltimer_steps")((1,), (1,), (steps, cupy.int32(2000)))
    taken = [int(v) for v in steps.get()]
    gaps = [b - a for a, b in itertools.pairwise(taken)]
    return {"least_ns": min(gaps), "median_ns": statistics.median(gaps), "most_ns": max(gaps)}


def clock(watch: Stopwatch) -> dict[str, Any]:
    """Ten spins of 20 ms; torch's own spin beside them."""
    import cupy
    import torch

    spin, out = kernels().get_function("spin"), cupy.zeros(4, dtype=cupy.int64)
    cycles = 40_000_000
    mhz, event_ratio = [], []
    for _ in range(10):
        lap = watch.lap(lambda: spin((1,), (1,), (out, cupy.int64(cycles))))
        c0, c1, t0, t1 = (int(v) for v in out.get())
        mhz.append((c1 - c0) / (t1 - t0) * 1e3)
        event_ratio.append(lap.device * 1e9 / (t1 - t0))
    slept = watch.lap(lambda: torch.cuda._sleep(cycles)).device
    return {
        "stamped_mhz": [round(v, 2) for v in mhz], "event_over_globaltimer": [round(v, 5) for v in event_ratio],
        "torch_sleep_cycles_per_us": round(cycles / slept / 1e6, 1), "nvml_mhz": _nvml_clock(),
    }  # fmt: skip


def _nvml_clock() -> int | None:
    import pynvml

    try:
        pynvml.nvmlInit()
        value: int = pynvml.nvmlDeviceGetClockInfo(pynvml.nvmlDeviceGetHandleByIndex(0), pynvml.NVML_CLOCK_SM)
    except pynvml.NVMLError:
        return None
    return value


def empty(watch: Stopwatch) -> dict[str, Any]:
    """An empty kernel, and one of three tensors and an int in each DSL: cold, then without a flush."""
    import cupy
    import numpy as np
    import torch
    import triton
    from numba import cuda

    @cuda.jit
    def numba_nothing(x, y, out, n):
        pass

    @triton.jit
    def triton_nothing(x, y, out, n):
        pass

    module = kernels()
    nothing, of_four = module.get_function("nothing"), module.get_function("nothing_of_four")
    x, y, out = (torch.zeros(1024, device="cuda") for _ in range(3))
    calls: dict[str, Callable[[], Any]] = {
        "cupy, no argument": lambda: nothing((1,), (32,), ()),
        "cupy": lambda: of_four((1,), (32,), (cupy.asarray(x), cupy.asarray(y), cupy.asarray(out), np.int32(1024))),
        "numba": lambda: numba_nothing[1, 32](x, y, out, 1024),
        "triton": lambda: triton_nothing[(1,)](x, y, out, 1024),
        "torch.add": lambda: torch.add(x, y, out=out),
    }
    found = {}
    for name, call in calls.items():
        cold = timer.sample(call, watch)
        hot = _hot(call)
        found[name] = {
            "cold": summary(list(cold.seconds)), "timer": cold.timer, "warnings": cold.warnings, "hot": summary(hot),
            "host_us": round(cold.host_seconds_median * 1e6, 2),
        }  # fmt: skip
    return found


def _hot(call: Callable[[], Any]) -> list[float]:
    """Seconds of one launch, no flush, behind a spin."""
    import torch

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    seconds = []
    for _ in range(100):
        torch.cuda._sleep(300_000)
        begin.record()
        call()
        end.record()
        end.synchronize()
        seconds.append(begin.elapsed_time(end) / 1e3)
    return seconds


def flush(watch: Stopwatch) -> dict[str, Any]:
    """The flush itself, and a kernel behind each kind of flush: none, write only, write and read."""
    import torch

    flusher = watch.flusher
    buffer = torch.empty(flusher.bytes // 4, device="cuda")
    total = torch.empty((), device="cuda")
    kinds: dict[str, Callable[[], Any]] = {
        "none": lambda: None,
        "write": lambda: buffer.zero_(),
        "write and read": flusher.flush,
        "read": lambda: torch.sum(buffer, dim=0, out=total),
    }
    found: dict[str, Any] = {"bytes": flusher.bytes}
    for mib in (4, 16, 64, 256):
        source = torch.ones((mib << 20) // 4, device="cuda")
        target = torch.empty_like(source)
        for name, kind in kinds.items():
            cost, copied = _behind(kind, partial(target.copy_, source))
            found[f"copy of {mib} MiB behind {name}"] = summary(copied)
            found[f"flush: {name}"] = summary(cost)
    return found


def _behind(first: Callable[[], Any], call: Callable[[], Any]) -> tuple[list[float], list[float]]:
    """Seconds of `first` and of `call` behind it."""
    import torch

    a, b, c = (torch.cuda.Event(enable_timing=True) for _ in range(3))
    one, two = [], []
    for _ in range(60):
        torch.cuda._sleep(300_000)
        a.record()
        first()
        b.record()
        call()
        c.record()
        c.synchronize()
        one.append(a.elapsed_time(b) / 1e3)
        two.append(b.elapsed_time(c) / 1e3)
    return one[10:], two[10:]


def patterns(watch: Stopwatch) -> dict[str, Any]:
    """GB/s over 1 GiB a tensor."""
    import torch

    n = (1 << 30) // 4
    x, y, out = (torch.ones(n, device="cuda") for _ in range(3))
    total = torch.empty((), device="cuda")
    gib = 1 << 30
    calls: dict[str, tuple[int, Callable[[], Any]]] = {
        "read (torch.sum)": (gib, lambda: torch.sum(x, dim=0, out=total)),
        "write (fill_)": (gib, lambda: out.fill_(2.0)),
        "memset (zero_)": (gib, lambda: out.zero_()),
        "copy (copy_)": (2 * gib, lambda: out.copy_(x)),
        "triad (add)": (3 * gib, lambda: torch.add(x, y, alpha=2.0, out=out)),
    }
    found = {}
    for name, (moved, call) in calls.items():
        samples = timer.sample(call, watch)
        found[name] = round(moved / statistics.median(samples.seconds) / 1e9, 1)
    return found


def sizes(watch: Stopwatch) -> dict[str, Any]:
    """GB/s of a copy by the size of its source in MiB, L2 flushed before each."""
    import torch

    found = {}
    for mib in (1, 4, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096):
        source = torch.ones((mib << 20) // 4, device="cuda")
        target = torch.empty_like(source)
        samples = timer.sample(partial(target.copy_, source), watch)
        found[str(mib)] = round(2 * (mib << 20) / statistics.median(samples.seconds) / 1e9, 1)
    return found


def warm_up(watch: Stopwatch) -> dict[str, Any]:
    """A bf16 GEMM of 8192, from the first call on, four seconds: microseconds by the tenth of a second."""
    import torch

    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    time.sleep(2.0)  # the card cools down to its idle clock
    series: dict[int, list[float]] = {}
    started = time.perf_counter()
    while (now := time.perf_counter() - started) < 4.0:
        series.setdefault(int(now * 10), []).append(watch.lap(lambda: torch.mm(a, b)).device)
    return {"by_tenth_of_a_second_us": [round(statistics.median(s) * 1e6, 1) for s in series.values()]}


def medians(watch: Stopwatch) -> dict[str, list[float]]:
    """Median seconds of some rungs at their large shapes, each taken twice: A and A again."""
    import torch

    found: dict[str, list[float]] = {}
    for path in SPREAD:
        operation, rung = catalogue.select(path)[0]
        case = Case(tuple(operation.shapes.large[0].items()), rung.dtypes[0])
        tensors = place(operation, case, "cuda")
        function = catalogue.function(operation, rung)

        def call(function: Any = function, tensors: Any = tensors) -> None:
            function(*tensors.arguments.values())

        found[path] = [statistics.median(timer.sample(call, watch).seconds) for _ in range(2)]
        del tensors
        torch.cuda.empty_cache()
    return found


def spread(processes: int) -> dict[str, Any]:
    """The log's standard deviation between fresh processes, and A against A within them, in percent."""
    import math

    runs = [
        json.loads(subprocess.run(
            [sys.executable, "-m", "tests.gpu.harness_facts", "--one"], check=True, capture_output=True, text=True
        ).stdout.splitlines()[-1])
        for _ in range(processes)
    ]  # fmt: skip
    found = {}
    for path in SPREAD:
        first = [math.log(run[path][0]) for run in runs]
        again = [math.log(run[path][1]) for run in runs]
        differences = [b - a for a, b in zip(first, again, strict=True)]
        found[path] = {
            "median_us": round(math.exp(statistics.median(first)) * 1e6, 2),
            "between_processes_pct": round(100 * statistics.stdev(first), 3) if processes > 1 else None,
            "a_against_a_pct": [round(100 * d, 3) for d in differences],
        }
    return found


if __name__ == "__main__":
    sys.exit(main())
