"""Readings of Nsight Compute: reading its CSV, joining it with what was launched, and the files that keep them.

readings/<card>.json         generated: a line a case with its inputs, storages and launches (`recording.py`), and for
                             each launch what the card counted, by the names of `compare.METRICS`: those that are not
                             zero, of the names that "metrics" lists for the run ("cupy-probes")
readings/<card>.ptx.tar.xz   generated: the PTX that the card's machine compiled, without its debug information
readings/<card>.known.toml   by hand: why the two sides differ where they do
"""

from __future__ import annotations

import csv
import io
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("readings")
VERSIONS = ("cupy-cuda13x", "numba-cuda", "python", "torch", "triton")
# what of a launch and of a case is needed to repeat it and to compare
OF_A_LAUNCH = (
    "kernel", "entry", "ptx", "grid", "block", "dynamic_shared_bytes", "cooperative", "args", "readings",
)  # fmt: skip
OF_A_CASE = ("case", "dsl", "which", "inputs", "storages", "launches")
EXECUTED = ("Instructions Executed", "inst_executed")  # one column by the names of two ways to ask ncu for it


def parse_raw(text: str) -> list[dict[str, str]]:
    """The kernels of a raw page as CSV, in the order of their launches: column -> text.

    Lines before the header (==PROF== and the like) are left out, and so is the row of units below it.
    """
    lines = [line for line in text.splitlines() if line.startswith('"')]
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    return [row for row in rows if row.get("ID")]


def sums(row: Mapping[str, str]) -> dict[str, int]:
    """The counters of a kernel that are whole numbers: base name -> sum. Thousands may be set apart by commas."""
    found = {}
    for name, text in row.items():
        value = (text or "").replace(",", "")
        if ("__" in name or name in ("inst_executed", "thread_inst_executed")) or name.startswith("memory_"):
            number = _number(value)
            if number is not None and number == int(number):
                found[name.removesuffix(".sum")] = int(number)
    return found


def opcodes(text: str) -> list[tuple[str, dict[str, int]]]:
    """(kernel, executed warp instructions by opcode) of each kernel of a page of instructions as CSV.

    Memory accesses keep their whole opcode (LDS.U.128), barriers two parts (BAR.SYNC), others one.
    """
    found: list[tuple[str, dict[str, int]]] = []
    columns: list[str] = []
    for row in csv.reader(line for line in text.splitlines() if line.startswith('"')):
        if row[0] == "Kernel Name":
            found.append((row[1], {}))
            columns = []
        elif "Source" in row:
            columns = row
        elif found and (column := next((name for name in EXECUTED if name in columns), None)):
            words = row[columns.index("Source")].split()
            if words:
                name = _opcode(words[words[0].startswith("@")].rstrip(";"))
                executed = _number(row[columns.index(column)].replace(",", "")) or 0
                counts = found[-1][1]
                counts[name] = counts.get(name, 0) + int(executed)
    return found


def add_opcodes(rows: list[dict[str, str]], ran: list[tuple[str, dict[str, int]]]) -> None:
    """Put what a page of instructions says into the rows of its raw page, as sass__<opcode>.

    ncu may write every kernel of the page twice, one after the other. Nothing is put where the two pages do not fit.
    """
    times = len(ran) // len(rows) if rows else 0
    if times not in (1, 2) or len(ran) != times * len(rows) or ran[::times] != ran[times - 1 :: times]:
        return
    for row, (_, counts) in zip(rows, ran[::times], strict=True):
        row |= {f"sass__{opcode}": str(n) for opcode, n in counts.items()}


def _opcode(text: str) -> str:
    parts = text.split(".")
    if parts[0] == "BAR":
        return ".".join(parts[:2])
    return text if parts[0].startswith(("LD", "ST", "ATOM", "RED")) else parts[0]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def paired(rows: Iterable[Mapping[str, str]], kernels: Iterable[str]) -> list[dict[str, int] | None]:
    """The counters of each launched kernel, None for one that the page lacks.

    Both are in the order of launching; a kernel's name stands in the profiler's, which adds types and namespaces.
    """
    left = list(rows)
    found: list[dict[str, int] | None] = []
    for kernel in kernels:
        at = next((i for i, row in enumerate(left) if kernel in row["Kernel Name"]), None)
        if at is None:
            found.append(None)
        else:
            found.append(sums(left[at]))
            del left[: at + 1]
    return found


def joined(
    card: Mapping[str, Any], rows: Iterable[Mapping[str, str]], recorded: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Cases with readings, and a line for each that cannot be used.

    card       manifest of `launches.py` on the card        rows    its raw page
    recorded   manifest of the same launches on ptxvm, with their packed arguments
    """
    known = {case["case"]: case for case in recorded["cases"]}
    launched = [launch for case in card["cases"] for launch in case["launches"]]
    counters = iter(paired(rows, [launch["kernel"] for launch in launched]))
    cases, dropped = [], []
    for case in card["cases"]:
        here = known.get(case["case"])
        counted = [next(counters) for _ in case["launches"]]
        why = case["wrong"] or _differs(case, here, counted)
        if why or here is None:
            dropped.append(f"{case['case']}: {why}")
            continue
        launches = []
        for seen, mine, count in zip(case["launches"], here["launches"], counted, strict=True):
            geometry = {
                "dynamic_shared_bytes": seen["dynamic_shared_bytes"],
                "block": seen["block"],
                "ptx": seen["ptx"] or mine["ptx"],
            }
            nonzero = {name: n for name, n in (count or {}).items() if n}
            launches.append({**mine, **geometry, "compiled": "card" if seen["ptx"] else "here", "readings": nonzero})
        cases.append({**here, "launches": launches, "dsl": card["dsl"], "which": card["which"]})
    return cases, dropped


def _differs(case: Mapping[str, Any], here: Mapping[str, Any] | None, counted: Iterable[Any]) -> str:
    """Why readings and recording of a case do not belong together; "" if they do."""
    if here is None:
        return "not recorded on ptxvm"
    if [one["kernel"] for one in case["launches"]] != [one["kernel"] for one in here["launches"]]:
        return "other kernels were launched on ptxvm"
    for seen, mine in zip(case["launches"], here["launches"], strict=True):
        if seen["grid"] is not None and list(seen["grid"]) != list(mine["grid"]):
            return f"{seen['kernel']} had the grid {seen['grid']} on the card, {mine['grid']} on ptxvm"
    if any(count is None for count in counted):
        return "the profiler's page lacks a launch"
    return ""


def save(name: str, about: Mapping[str, Any], cases: list[dict[str, Any]], texts: Mapping[str, str]) -> None:
    """Write the two generated files of a card."""
    FOLDER.mkdir(exist_ok=True)
    lines = []
    for case in cases:
        launches = [{key: launch[key] for key in OF_A_LAUNCH} for launch in case["launches"]]
        kept = {key: {**case, "launches": launches}[key] for key in OF_A_CASE}
        lines.append(json.dumps(kept, separators=(",", ":")))
    note = "Generated by `python -m tests.calibration.compare take`. Do not edit."
    head = json.dumps({"note": note, **about, "cases": []}, indent=1)
    text = head.replace('"cases": []', '"cases": [\n' + ",\n".join(lines) + "\n]")
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    with tarfile.open(FOLDER / f"{name}.ptx.tar.xz", "w:xz", preset=9) as archive:
        for ptx in sorted({launch["ptx"] for case in cases for launch in case["launches"]}):
            content = without_debug(texts[ptx]).encode()
            entry = tarfile.TarInfo(ptx)  # without a date: the same bytes whenever it is written
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def without_debug(ptx: str) -> str:
    """PTX without line information, debug sections and comments, which name files of the machine that compiled it."""
    ptx = re.sub(r"\.section\s+\.debug\w*\s*\{[^{}]*\}", "", ptx)
    dropped = re.compile(r"\s*(\.(file|loc)\b|//|$)")
    return "".join(f"{line.rstrip()}\n" for line in ptx.splitlines() if not dropped.match(line))


def load(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The readings of a card, and the PTX by name."""
    texts = {}
    with tarfile.open(FOLDER / f"{name}.ptx.tar.xz") as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            if content is not None:
                texts[entry.name] = content.read().decode()
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")), texts


def cards() -> list[str]:
    """Names of the cards that there are readings of."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))
