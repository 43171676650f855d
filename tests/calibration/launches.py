"""Launch every rung and probe of one DSL, once, at a small fixed shape; say what was launched and whether it is right.

    python3 tests/calibration/launches.py cupy --out FOLDER                    on the card
    python3 tests/calibration/launches.py cupy --out FOLDER --emulated sm_90   on ptxvm, without one

On the card the counted launch of a case comes after one that compiles and is checked, alone between the profiler's
start and stop. FOLDER gets manifest.json, and in ptx/ and cubin/ what was compiled. On ptxvm the manifest holds the
packed arguments of each launch as well, from which `replay.py` repeats it without any DSL.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import types
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """0: everything was launched and is right; 1: something was not."""
    parser = argparse.ArgumentParser(description="launch rungs and probes once each, for readings")
    parser.add_argument("dsl", choices=("cupy", "numba", "triton"))
    parser.add_argument("--which", choices=("all", "rungs", "probes"), default="all")
    parser.add_argument("--match", default="", help="only cases whose id contains this")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--emulated", metavar="ARCH", default="")
    parser.add_argument("--once", action="store_true", help="one launch a case, for the sanitizer")
    asked = parser.parse_args(argv)
    asked.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    manifest: dict[str, Any] = {"dsl": asked.dsl, "which": asked.which, "cases": []}
    try:
        run = _emulated(asked.emulated, asked.out) if asked.emulated else _native(asked.dsl, asked.out, asked.once)
        manifest.update(_versions(asked.dsl, asked.emulated))
        _all(run, asked, manifest)
    finally:
        manifest["seconds"] = round(time.monotonic() - started, 1)
        (asked.out / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    bad = [row for row in manifest["cases"] if row["wrong"]]
    launches = sum(len(row["launches"]) for row in manifest["cases"])
    print(
        f"{asked.dsl} {asked.which}: {len(manifest['cases'])} cases, {launches} launches, {len(bad)} wrong", flush=True
    )
    return 1 if bad or not manifest["cases"] else 0


def _all(run: Any, asked: argparse.Namespace, manifest: dict[str, Any]) -> None:
    """Every case; one that fails is noted and the next one goes on."""
    from tests.calibration.cases import cases

    for case in cases(asked.dsl, asked.which):
        if asked.match not in case.id:
            continue
        row: dict[str, Any] = {"case": case.id, "inputs": case.inputs, "wrong": "", "launches": []}
        manifest["cases"].append(row)
        try:
            run(case, row)
        except Exception as error:  # whatever a DSL raises: its case is reported, the others still count
            row["wrong"] = f"{type(error).__name__}: {str(error).strip()[:400]}"
        if row["wrong"]:
            print(f"{case.id}: {row['wrong']}", flush=True)


def _native(dsl: str, out: Path, once: bool) -> Any:
    """How a case runs on the card."""
    import torch

    from tests.calibration.native import Native

    native = Native(out)
    native.install(dsl)

    def run(case: Any, row: dict[str, Any]) -> None:
        function, ready = case.function(), case.ready("cuda")
        native.launches, native.noting = row["launches"], once
        function(*ready.arguments.values())
        torch.cuda.synchronize()
        row["wrong"] = ready.judge()
        if not once and not row["wrong"]:
            again = case.ready("cuda")
            torch.cuda.synchronize()
            native.noting = True
            try:
                function(*again.arguments.values())
                torch.cuda.synchronize()
            finally:
                native.noting = False
            row["wrong"] = again.judge()

    return run


def _emulated(arch: str, out: Path) -> Any:
    """How a case runs on ptxvm."""
    from tests.calibration.recording import Recorder

    recorder = Recorder(arch, out)
    recorder.install()

    def run(case: Any, row: dict[str, Any]) -> None:
        function, ready = case.function(), case.ready("cpu")
        recorder.begin(row, ready.arguments)
        function(*ready.arguments.values())
        refused = [launch["not_executed"] for launch in row["launches"] if launch["not_executed"]]
        row["wrong"] = refused[0] if refused else ready.judge()

    return run


def _versions(dsl: str, arch: str) -> dict[str, str]:
    import torch

    from warpbench.hardware.detect import detect

    found = {"arch": arch, "card": "ptxvm"}
    if not arch:
        found = {"arch": "sm_{}{}".format(*torch.cuda.get_device_capability()), "card": torch.cuda.get_device_name()}
        found["driver"] = detect().driver
    package = {"numba": "numba-cuda", "cupy": "cupy-cuda13x", "triton": "triton"}[dsl]
    found |= {"torch": torch.__version__, package: metadata.version(package), "python": sys.version.split()[0]}
    return found


def _find_our_tests() -> None:
    """Make `tests` this repository's folder, whatever package of that name is installed here."""
    sys.path.insert(0, str(ROOT))
    package = types.ModuleType("tests")
    package.__path__ = [str(ROOT / "tests")]
    sys.modules["tests"] = package


if __name__ == "__main__":
    os.environ.setdefault("NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS", "0")
    _find_our_tests()
    sys.exit(main())
