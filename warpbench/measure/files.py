"""Writing a record file, line by line, and reading one back with every line proved.

A run that is interrupted seals what it has: the file is valid, and `Config.planned` says how much is missing.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from warpbench.errors import UsageError, missing_package
from warpbench.measure.records import CLASSES, SCHEMA, Case, Count, Record, Replicate, Roof, Run, Seal, canonical, line


class Writer:
    """A record file that is being written. As a context it seals the file at the end, whatever ends it."""

    def __init__(self, path: Path, run: Run) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._run_id = path, run.run_id
        self._file: IO[bytes] = path.open("x+b")
        self.append(run)

    def append(self, record: Record) -> None:
        """Write one record; it is in the file when this returns."""
        self._file.write((line(record) + "\n").encode())
        self._file.flush()

    def close(self) -> None:
        """Seal the file: what Ctrl-C left of a half-written line is cut off first."""
        if self._file.closed:
            return
        self._file.flush()
        self._file.seek(0)
        whole = self._file.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        self._file.seek(len(whole))
        self.append(Seal(self._run_id, whole.count(b"\n"), hashlib.sha256(whole).hexdigest()))
        self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class RecordFile:
    """A record file that was read and proved."""

    path: Path
    run: Run
    roofs: list[Roof] = field(default_factory=list)
    cases: dict[str, Case] = field(default_factory=dict)
    replicates: dict[str, list[Replicate]] = field(default_factory=dict)
    counts: dict[str, Count] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every case that was planned is here, timed by every process that was to time it."""
        timed = all(self.finished(case) for case in self.cases.values() if case.verdict_correct == "pass")
        return timed and len(self.cases) >= self.run.config.planned

    def finished(self, case: Case) -> bool:
        """Whether a case has a verdict and, if it was right on a card, the times of every process; invalid ones too."""
        times = self.replicates.get(case.case_id, ())
        short = len(times) < self.run.config.replicates and all(one.status != "invalid" for one in times)
        if case.verdict_correct == "pass" and self.run.kind == "measured":
            return not short
        return case.verdict_correct != "skipped"


def read(path: Path) -> RecordFile:
    """Read and prove a record file. Raises UsageError with file, line and what is wrong."""
    raw = _bytes(path)
    lines = raw.splitlines(keepends=True)
    if not lines:
        raise UsageError(f"{path} is empty. Nothing was read. A record file begins with a run line.")
    records = [parse(text, i, path) for i, text in enumerate(lines, start=1)]
    first, last = records[0], records[-1]
    if not isinstance(first, Run):
        raise _broken(path, 1, f"the first line is a {first.record}, it must be the run")
    if not isinstance(last, Seal):
        raise _broken(
            path, len(lines), "the seal is missing: the program that wrote it was killed, or lines were cut off"
        )
    if last.lines != len(lines) - 1:
        raise _broken(path, len(lines), f"the seal counts {last.lines} lines, there are {len(lines) - 1}")
    if last.sha256 != hashlib.sha256(b"".join(lines[:-1])).hexdigest():
        raise _broken(path, len(lines), "the seal's hash does not fit: a line was changed after the run")
    out = RecordFile(path, first)
    for i, record in enumerate(records[1:-1], start=2):
        _take(out, record, i)
    return out


def parse(text: bytes, number: int, path: Path) -> Record:
    """One line of a record file. UsageError if it is no record of the schema, or not canonical."""
    try:
        data = json.loads(text)
    except (ValueError, UnicodeDecodeError) as error:
        raise _broken(path, number, f"no JSON ({error})") from None
    if not isinstance(data, dict) or data.get("record") not in CLASSES:
        found = data.get("record") if isinstance(data, dict) else data
        raise _broken(path, number, f"record is {found!r}, it must be one of {', '.join(CLASSES)}")
    if data["record"] == "run" and data.get("schema") != SCHEMA:
        raise _broken(path, number, f"schema is {data.get('schema')!r}; this version reads {SCHEMA!r}")
    problem, record = _validate(data["record"], text)
    if problem:
        raise _broken(path, number, f"{data['record']}: {problem}")
    if canonical(data) + "\n" != text.decode():
        raise _broken(path, number, "not canonical JSON: it was edited or written by another program")
    return record


@cache
def _adapter(name: str) -> Any:
    try:
        from pydantic import TypeAdapter
    except ModuleNotFoundError as error:
        raise missing_package(error.name) from None
    return TypeAdapter(CLASSES[name])


def _validate(name: str, text: bytes) -> tuple[str, Any]:
    """What breaks the schema (empty: nothing), and the record."""
    adapter = _adapter(name)
    try:
        return "", adapter.validate_json(text)
    except ValueError as error:  # pydantic's ValidationError
        first = error.errors()[0]  # type: ignore[attr-defined]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}", None


def _take(out: RecordFile, record: Record, number: int) -> None:
    """Put a record where it belongs."""
    if isinstance(record, Run | Seal):
        raise _broken(out.path, number, f"a second {record.record} line")
    if record.run_id != out.run.run_id:
        raise _broken(out.path, number, "run_id differs from the first line's: two files were put together")
    if isinstance(record, Roof):
        out.roofs.append(record)
        return
    if isinstance(record, Case):
        if record.case_id in out.cases:
            raise _broken(out.path, number, f"a second case {record.case_id}")
        out.cases[record.case_id] = record
        return
    if record.case_id not in out.cases:
        raise _broken(out.path, number, f"a {record.record} of the unknown case {record.case_id}")
    if isinstance(record, Replicate):
        if out.run.kind == "virtual":
            raise _broken(out.path, number, "samples in a virtual run")
        out.replicates.setdefault(record.case_id, []).append(record)
    else:
        out.counts[record.case_id] = record


def _bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except FileNotFoundError:
        raise UsageError(
            f"{path} is not there. Nothing was read. Record files lie in profiling/runs and profiling/results."
        ) from None
    except (OSError, EOFError) as error:
        raise UsageError(f"{path} cannot be read: {error}. Nothing was read.") from None


def _broken(path: Path, number: int, problem: str) -> UsageError:
    return UsageError(
        f"{path}:{number} is broken: {problem}. Nothing of this file was used. Make it again: warpbench profile"
    )
