"""The parent's side of the workers: start them, hand out tasks, watch the time, replace those that die.

A task is a dict, its answer a dict; both travel as JSON lines. A worker may tell the name of the case that it begins:
the time limit holds for each case, not for the whole task. A worker that passes it is killed, and the answer says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import IO, Any

from warpbench.catalogue import ROOT

Task = Mapping[str, Any]
Answer = dict[str, Any]
START_LIMIT_S = 180.0  # importing torch and a DSL from a cold disk


class Pool:
    """`processes` workers for one target: "emulated:sm_86", "card:<uuid>" or "bare" (`warpbench.targets`).

    with Pool("emulated:sm_86") as pool:
        for task, answer in pool.run(tasks): ...

    An answer is what the task's function returned, or {"rung", "verdict", "reason", "cases"} for a worker that did not
    end ("fail", a finding of kind "did not end") or died ("not judged", with `died_at`, the case that it was at, and
    `how`).
    """

    def __init__(self, target: str, processes: int = 2, limit_s: float = 120.0, memory_bytes: int = 6 << 30) -> None:
        self.target, self.limit_s, self.memory_bytes = target, limit_s, memory_bytes
        self._workers: list[_Worker | None] = [None] * max(1, processes)
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Answer]]:
        """Answers as they come. Leaving the loop early, or Ctrl-C, ends the workers."""
        todo: queue.SimpleQueue[Task] = queue.SimpleQueue()
        done: queue.SimpleQueue[tuple[Task, Answer]] = queue.SimpleQueue()
        count = 0
        for task in tasks:
            todo.put(task)
            count += 1
        slots = range(min(len(self._workers), count))
        self._threads = [threading.Thread(target=self._serve, args=(slot, todo, done), daemon=True) for slot in slots]
        for thread in self._threads:
            thread.start()
        finished = False
        try:
            for _ in range(count):
                yield done.get()
            finished = True
        finally:
            if not finished:
                self.close()

    def running(self) -> list[str]:
        """The cases that are being worked on, for a progress display."""
        return [worker.current for worker in self._workers if worker is not None and worker.current]

    def close(self) -> None:
        """End all workers. The pool cannot be used again."""
        self._closed.set()
        for worker in self._workers:
            if worker is not None:
                worker.kill()
        for thread in self._threads:  # each sees its worker's pipe end
            thread.join(timeout=10)
        for slot, worker in enumerate(self._workers):
            if worker is not None:
                worker.release()
                self._workers[slot] = None

    def _serve(self, slot: int, todo: queue.SimpleQueue[Task], done: queue.SimpleQueue[tuple[Task, Answer]]) -> None:
        """One thread a worker: a task after the other until none is left."""
        while not self._closed.is_set():
            try:
                task = todo.get_nowait()
            except queue.Empty:
                return
            try:
                answer = self._ask(slot, task)
            except Exception as error:  # a bug here must not leave `run` waiting
                answer = _verdict(task, "not judged", f"internal error: {type(error).__name__}: {error}")
            done.put((task, answer))

    def _ask(self, slot: int, task: Task) -> Answer:
        worker = self._workers[slot]
        if worker is None or not worker.alive():
            worker = _Worker(self.target, self.memory_bytes)
            self._workers[slot] = worker
            if self._closed.is_set():
                worker.kill()
        answer = worker.ask(task, float(task.get("limit_s") or self.limit_s))
        if not worker.alive():
            self._workers[slot] = None
            worker.release()
        return answer


class _Worker:
    """One process and the private pipe on which it answers."""

    def __init__(self, target: str, memory_bytes: int) -> None:
        self.current = ""
        self._log: IO[bytes] = tempfile.TemporaryFile(prefix="warpbench-worker-")  # noqa: SIM115 - lives as long as the worker
        self._answers, theirs = os.pipe()
        self._buffer = b""
        self._ready = False
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "warpbench.worker", target, str(theirs), str(memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(theirs,),
                env=environment(target),
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )
        finally:
            os.close(theirs)

    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process and all that it started. Any thread may call this."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def release(self) -> None:
        """Close what belongs to a dead process. Only when no thread reads from it any more."""
        self.kill()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        os.close(self._answers)
        self._log.close()

    def ask(self, task: Task, limit_s: float) -> Answer:
        """Send a task, wait for its answer. Kills the process when a case passes the limit."""
        assert self._process.stdin is not None
        self.current = str(task.get("rung", ""))
        try:
            self._process.stdin.write(json.dumps(dict(task)).encode() + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return self._died(task)
        case = ""
        while True:
            message = self._read(limit_s if self._ready else START_LIMIT_S + limit_s)
            if message is None:
                self.kill()
                return _did_not_end(task, case, limit_s)
            if not message:
                return self._died(task, case)
            match message["event"]:
                case "ready":
                    self._ready = True
                case "case":
                    case = message["name"]
                    self.current = f"{task.get('rung', '')} ({case})"
                case answered:
                    self.current = ""
                    if message.get("last"):  # the process is of no use any more
                        self.kill()
                    if answered == "result":
                        value: Answer = message["value"]
                        return value
                    return _verdict(task, message["verdict"], message["message"], trace=message.get("trace", ""))

    def _read(self, limit_s: float) -> dict[str, Any] | None:
        """The next message; {} at the end of the stream, None when the limit has passed."""
        end = time.monotonic() + limit_s
        while b"\n" not in self._buffer:
            left = end - time.monotonic()
            if left <= 0:
                return None
            ready, _, _ = select.select([self._answers], [], [], left)
            if not ready:
                return None
            chunk = os.read(self._answers, 1 << 16)
            if not chunk:
                return {}
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _died(self, task: Task, case: str = "") -> Answer:
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._log.seek(0)
        lines = self._log.read()[-4000:].decode(errors="replace").strip().splitlines()
        said = f" Its last words: {lines[-1]}" if lines else ""
        memory = " It may have run out of memory." if code == -signal.SIGKILL else ""
        place = f" at {case}" if case else ""
        answer = _verdict(
            task, "not judged", f"the worker process died{place} ({how}).{memory}{said}", trace="\n".join(lines)
        )
        return {**answer, "died_at": case, "how": how}


def environment(target: str) -> dict[str, str]:
    """The environment of a worker: one thread each, and a worker for ptxvm sees no card."""
    mine = dict(os.environ)
    mine["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [mine.get("PYTHONPATH", "")])])
    mine["PYTHONUNBUFFERED"] = "1"
    kind, _, which = target.partition(":")
    if kind != "card":
        mine.update(CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
        mine["NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS"] = "0"
    else:
        mine.update(CUDA_DEVICE_ORDER="PCI_BUS_ID", CUDA_VISIBLE_DEVICES=which, CUDA_MODULE_LOADING="EAGER")
        # all three DSLs and torch on one stream, the one that the events are on
        mine.update(CUPY_CUDA_PER_THREAD_DEFAULT_STREAM="0", NUMBA_CUDA_PER_THREAD_DEFAULT_STREAM="0")
    return mine


def _verdict(task: Task, verdict: str, reason: str, cases: list[Answer] | None = None, trace: str = "") -> Answer:
    answer: Answer = {"rung": task.get("rung", ""), "verdict": verdict, "reason": reason, "cases": cases or []}
    return {**answer, "trace": trace} if trace else answer


def _did_not_end(task: Task, case: str, limit_s: float) -> Answer:
    """The finding for a kernel that never ends."""
    reason = f"did not end within {limit_s:g} s" + (f" ({case})" if case else "") + " and was stopped"
    finding = {
        "code": "E3", "kind": "did not end", "level": "fault", "file": None, "line": None, "count": 1,
        "message": f"{reason}; look at: what its loops wait for, and the size of the grid",
    }  # fmt: skip
    case_result = {"case": case, "shape": {}, "dtype": "", "verdict": "fail", "reason": reason, "findings": [finding]}
    return _verdict(task, "fail", reason, [case_result])
