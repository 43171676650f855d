"""Which thread touches which element: a launch of the learner's kernel, taken warp by warp, as plain data.

Runs inside a worker; `draw` and `page` turn it into text and HTML. The case is the one that is counted: the first tiny
shape, the first variant.

    exercise, arch, case    what was run
    findings                of the course; where one stopped the kernel the picture ends there
    launches                [{kernel, grid, block, lost, accesses: [access]}]

An access is one of a line to a tensor: line, text, opcode, kind ("load", "store", "atomic", "async"), space, width
(bytes a lane), tensor, shape, itemsize, per_request and ideal (sectors or wavefronts a request of the line in the whole
launch, and what would do), and steps, one for each time that a warp came there: [{number, block, warp, lanes, offsets,
unit, passes, start}]. `unit` is each lane's sector of 32 bytes, counted from the tensor's first, or its bank; `passes`
each lane's wavefront; `start` the bytes of the tensor's first sector that lie before it.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from warpbench.counts import counted_case
from warpbench.course.catalogue import find, load
from warpbench.course.check import Trial, name_of, opened, tried
from warpbench.course.contain import contained
from warpbench.course.findings import Finding, name_print_storm

WARPS = 2  # of the first and of the last block that are taken
STEPS = 8  # of one warp at one access that are kept
Picture = dict[str, Any]


def perform(task: Mapping[str, Any], backend: Any, begin: Callable[[str], None]) -> Picture:
    """The worker's task "picture": run an exercise's file once, with some of its warps traced."""
    exercise = find(load(Path(task["root"])), task["rung"])
    picture: Picture = {"exercise": exercise.id, "arch": backend.arch, "case": "", "reason": "", "launches": []}
    picture["printed"] = []
    findings: list[Finding]
    with contained(picture["printed"]):
        trial, findings = opened(exercise, task, backend, begin)
        if trial is not None:
            taken, findings = take(trial)
            picture.update(taken)
    name_print_storm(findings)
    return {**picture, "findings": findings}


def take(trial: Trial) -> tuple[Picture, list[Finding]]:
    """case, reason and launches of a picture, and what was found on the way."""
    case, variant = counted_case(trial.operation, trial.rung), trial.exercise.variants[0]
    launches: list[Any] = []
    emulator = trial.backend.emulator
    emulator.traced = partial(_chosen, launches)
    try:
        judged, _, findings, _ = tried(trial, case, variant)
    finally:
        emulator.traced = None
    files = [str(path) for path in trial.files]
    shown = [_launch(launch, files) for launch in launches]
    return {"case": name_of(case, variant), "reason": judged.get("reason", ""), "launches": shown}, findings


def _chosen(launches: list[Any], launch: Any) -> list[tuple[int, int]]:
    """Note a launch. (block, warp) of its warps that are taken: the first ones of the first and of the last block."""
    launches.append(launch)
    (x, y, z), (a, b, c) = launch.grid, launch.block
    warps = min(WARPS, -(-a * b * c // 32))
    return [(block, warp) for block in sorted({0, x * y * z - 1}) for warp in range(warps)]


def _launch(launch: Any, files: Sequence[str]) -> dict[str, Any]:
    touches = launch.trace.touches if launch.trace is not None else []
    lines = launch.report.lines if launch.report is not None else {}
    alike: dict[Any, list[Any]] = {}  # a compiler that unrolls a loop makes several instructions of one access
    for touch in touches:
        key = (touch.source, touch.space, touch.kind, touch.tensor, touch.width)
        alike.setdefault(key, []).append(touch)
    accesses = [_access(group, lines, files) for group in alike.values()]
    row = {"kernel": launch.kernel, "grid": list(launch.grid), "block": list(launch.block)}
    return {**row, "lost": launch.trace.lost if launch.trace is not None else 0, "accesses": accesses}


def _access(touches: Sequence[Any], lines: Mapping[Any, Any], files: Sequence[str]) -> dict[str, Any]:
    """One access of a line and the steps of the warps that came to it."""
    one = touches[0]
    source = (one.source.file, one.source.line) if one.source else ("", 0)
    steps: list[dict[str, Any]] = []
    seen: dict[tuple[int, int], int] = {}
    for touch in touches:
        number = seen[touch.block, touch.warp] = seen.get((touch.block, touch.warp), 0) + 1
        if number <= STEPS:
            steps.append({"number": number, **_step(touch)})
    itemsize = np.dtype(one.dtype).itemsize if one.dtype else min(one.width, 4)
    return {
        "line": source[1] if source[0] in files else 0, "text": linecache.getline(*source).strip(),
        "opcode": one.opcode, "kind": one.kind, "space": one.space, "width": one.width, "tensor": one.tensor,
        "shape": list(one.shape), "itemsize": itemsize, "steps": steps, "times": max(seen.values()),
        **_rate(one, lines.get(source)),
    }  # fmt: skip


def _step(touch: Any) -> dict[str, Any]:
    """One warp at one instruction. `unit` is a sector (global memory) or a bank (shared)."""
    shared = touch.space == "shared"
    start = 0 if shared else touch.alignment
    unit = [offset // 4 % 32 if shared else (offset + start) // 32 for offset in touch.offsets]
    passes = _passes(touch) if shared else []
    return {
        "block": touch.block, "warp": touch.warp, "lanes": list(touch.lanes), "offsets": list(touch.offsets),
        "unit": unit, "passes": passes, "start": start,
    }  # fmt: skip


def _passes(touch: Any) -> list[int]:
    """The wavefront in which each lane is served. Wide accesses go half a warp (8 bytes) or a quarter (16) at a time.

    Lanes that want one word share a pass, but not for atomics. Where two halves can go together, which ptxvm counts,
    they are shown apart here.
    """
    lanes_at_once = 32 if touch.width <= 4 else 128 // touch.width
    out, base = [], 0
    for first in range(0, 32, lanes_at_once):
        words: dict[int, list[int]] = {}  # bank -> words in the order in which they are served
        mine = [
            (lane, o)
            for lane, o in zip(touch.lanes, touch.offsets, strict=True)
            if first <= lane < first + lanes_at_once
        ]
        most = 0
        for _, offset in mine:
            served = 0
            for word in range(offset // 4, (offset + max(touch.width, 4)) // 4):
                queue = words.setdefault(word % 32, [])
                if word not in queue or touch.kind == "atomic":
                    queue.append(word)
                served = max(served, len(queue) - 1 if touch.kind == "atomic" else queue.index(word))
            out.append(base + served)
            most = max(most, served + 1)
        base += most
    return out


def _rate(one: Any, counters: Any) -> dict[str, Any]:
    """Sectors or wavefronts a request, on this line in the whole launch, and what would do; None where not counted."""
    if counters is None or one.space == "local":
        return {"per_request": None, "ideal": None}
    if one.space == "shared":
        asked, done, ideal = counters.shared_requests, counters.shared_wavefronts, counters.shared_wavefronts_ideal
        return {"per_request": done / asked if asked else None, "ideal": ideal / asked if asked else None}
    load = one.kind == "load"
    asked = counters.global_load_requests if load else counters.global_store_requests
    done = counters.global_load_sectors if load else counters.global_store_sectors
    return {"per_request": done / asked if asked else None, "ideal": float(one.width)}
