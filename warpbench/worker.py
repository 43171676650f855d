"""A worker process: `python -m warpbench.worker TARGET ANSWERS MEMORY`, started by `warpbench.pool`.

TARGET is "emulated:sm_86", "card:<uuid>" or "bare" (see `warpbench.targets`). Tasks come as JSON lines on stdin,
answers go as JSON lines to the file descriptor ANSWERS; whatever a kernel prints lands elsewhere and cannot be taken
for an answer. The hooks of ptxvm are installed before any kernel file is imported, and a process serves one target
only. MEMORY limits the heap, in bytes.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from warpbench.pool import Pool

__all__ = ["Pool", "main"]
Emit = Callable[[dict[str, Any]], None]


def main(arguments: list[str]) -> int:
    """Serve tasks until stdin ends."""
    target, descriptor, memory = arguments[0], int(arguments[1]), int(arguments[2])
    # the pipe is ours alone: a process that a task starts (a compiler) must not hold it open
    os.set_inheritable(descriptor, False)
    answers = os.fdopen(descriptor, "w", encoding="utf-8")
    if not target.startswith("card:"):
        # a card's driver reserves far more address space than it uses: no limit there
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))

    mine = os.getpid()

    def emit(message: dict[str, Any]) -> None:
        if os.getpid() != mine:
            os._exit(0)  # a kernel file forked: only the worker itself answers
        answers.write(json.dumps(message, allow_nan=False) + "\n")
        answers.flush()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    serve(_stdin(), target, emit, memory)
    return 0


def _end_with(parent: int) -> None:
    """End this process once its parent is gone: killed, it could not stop a kernel that never ends."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def serve(tasks: Iterable[str], target: str, emit: Emit, memory: int) -> None:
    """Answer tasks, a JSON line each, until there are no more. The target is opened for the first one."""
    backend = None
    for line in tasks:
        task = json.loads(line)
        try:
            if backend is None:
                from warpbench.targets import open_target

                backend = open_target(target)
                emit({"event": "ready"})
            value = perform(task, backend, emit)
            emit({"event": "result", "value": value, "last": not backend.usable()})
        except Exception as error:
            if type(error) is MemoryError and not target.startswith("card:"):
                most = f"{memory / 1e9:.0f} GB of memory that a worker may take"
                emit(_failure("not judged", f"it needs more than the {most}"))
                continue
            # after some errors of CUDA a process is of no use
            emit({**_of(error), "last": backend is not None and not backend.usable()})


def _stdin() -> IO[str]:
    """Tasks, on a descriptor of their own; kernels find an empty stdin."""
    mine = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return os.fdopen(mine, encoding="utf-8")


def perform(task: dict[str, Any], backend: Any, emit: Emit) -> dict[str, Any]:
    """Do one task: "check", "profile", "measure" or "inspect" a rung; "learn": check, "picture", "dissect" an answer.

    See `check.check_rung`, `counts.profile_rung`, `measure.worker`, `inspection.inspect_rung`, `course.check`,
    `course.picture`, `course.rivals`.
    """
    from warpbench import catalogue

    begin = lambda case: emit({"event": "case", "name": case})  # noqa: E731
    if task["task"] == "learn":
        from warpbench.course.check import perform as check_answer

        return check_answer(task, backend, begin)
    if task["task"] == "picture":
        from warpbench.course.picture import perform as draw

        return draw(task, backend, begin)
    if task["task"] == "dissect":
        from warpbench.course.rivals import perform as dissect

        return dissect(task, backend, begin)
    root = Path(task["root"]) if task.get("root") else None
    if "/torch/" in task["rung"]:
        from warpbench.measure.answers import RIVAL

        operation, rung = catalogue.operations(root)[task["rung"].partition("/")[0]], RIVAL
    elif task.get("roof"):
        operation, rung = catalogue.rungs(root)[0]  # a roof is the card's: whichever rung
    else:
        operation, rung = catalogue.select(task["rung"], root)[0]
    if task["task"] == "check":
        from warpbench.check import check_rung

        return check_rung(operation, rung, backend, full=task.get("full", True), root=root, begin=begin)
    if task["task"] == "profile":
        from warpbench.counts import profile_rung

        return profile_rung(operation, rung, backend, root=root, begin=begin, quick=task.get("quick", False))
    if task["task"] == "measure":
        from warpbench.measure.worker import measure_case

        return measure_case(operation, rung, backend, task, root=root, begin=begin)
    if task["task"] == "inspect":
        from warpbench.inspection import inspect_rung

        return inspect_rung(operation, rung, backend, task, root=root, begin=begin)
    raise ValueError(f"unknown task {task['task']}")


def _of(error: BaseException) -> dict[str, Any]:
    """An exception that is no kernel's fault, as an answer."""
    from warpbench.errors import EnvironmentProblem, WarpbenchError, missing_package

    if isinstance(error, ModuleNotFoundError):
        return _failure("not run", str(missing_package(error.name)))
    if isinstance(error, EnvironmentProblem):
        return _failure("not run", str(error))
    if isinstance(error, WarpbenchError):
        return _failure("fail", str(error))
    if type(error).__name__ == "OutOfMemoryError":  # torch's and CuPy's
        what = str(error).partition(" If ")[0]
        return _failure("not run", f"the card has too little free memory for this case: {what}")
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    trace = "".join(traceback.format_exception(error))
    return _failure("not judged", f"internal error at {place}: {type(error).__name__}: {error}", trace)


def _failure(verdict: str, message: str, trace: str = "") -> dict[str, Any]:
    return {"event": "error", "verdict": verdict, "message": message, "trace": trace}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
