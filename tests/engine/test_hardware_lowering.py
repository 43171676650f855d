"""What the table says of Triton is what the installed Triton makes; `features --triton` shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from warpbench import cli, errors, hardware
from warpbench.hardware.lowering import main_instructions, triton

ROOT = Path(__file__).resolve().parents[2]
PINNED = next(line.partition("==")[2] for line in (ROOT / "constraints.txt").read_text().splitlines()
              if line.startswith("triton=="))  # fmt: skip
OURS = triton()[PINNED]
COMPILE = """
import json, sys
from warpbench.backends import triton_lowering
print(json.dumps([[name, cc, triton_lowering.lowered(name, cc)] for name, cc in json.loads(sys.argv[1])]))
"""


def compiled(pairs):
    """In a process of its own: the hooks of ptxvm must not be there, nor Triton's cache of somebody else."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, json.dumps(pairs)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=900, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_tested_triton_and_the_oldest_that_is_allowed_are_there():
    assert set(triton()) == {"3.6.0", PINNED}
    assert all(set(rows) == set(OURS) for rows in triton().values())
    for name, by_cc in OURS.items():
        assert {"8.6", "8.9", "9.0", "10.0", "12.0"} <= set(by_cc), name


@pytest.mark.slow
@pytest.mark.skipif(version("triton") != PINNED, reason=f"the rows are those of Triton {PINNED}")
def test_it_is_what_triton_makes():
    pairs = [("dot f16", "8.6"), ("dot fp8e4nv", "8.6"), ("dot fp8e4nv", "8.9"), ("descriptors, dot f16", "12.0")]
    for name, cc, found in compiled(pairs):
        assert found == OURS[name][cc], (name, cc)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(version("triton") != PINNED, reason=f"the rows are those of Triton {PINNED}")
def test_all_of_it_is_what_triton_makes():
    pairs = [(name, cc) for name, by_cc in OURS.items() for cc in by_cc if float(cc) >= 8]
    assert [pair for pair in compiled(pairs) if pair[2] != OURS[pair[0]][pair[1]]] == []


@pytest.mark.parametrize("rows", triton().values(), ids=triton())
def test_it_agrees_with_the_features_of_the_toolchain(rows):
    """Which types Triton accepts, and from where it reaches tensor cores."""
    known = hardware.features()
    unknown = {cc for cc in rows["dot f16"] if all(isinstance(by_cc.get(cc, ""), str) for by_cc in rows.values())}
    assert unknown <= {"11.0"}  # Triton 3.6 asks its assembler for sm_110a, which that does not know
    rows = {name: {cc: found for cc, found in by_cc.items() if cc not in unknown} for name, by_cc in rows.items()}
    for cc, found in rows["dot fp8e4nv"].items():
        assert isinstance(found, str) == (cc not in known["triton_fp8e4nv"].native_cc), cc
    for cc, found in rows["dot f16"].items():
        assert ("MMA" in main_instructions(found)) == (cc in known["triton"].native_cc), cc
    for cc, found in rows["descriptors, dot f16"].items():
        assert any(one.startswith("UTMALDG") for one in found) == hardware.has(cc, "tma"), cc


def test_side_by_side_and_by_card(capsys):
    assert cli.main(["features", "--triton"]) == errors.OK
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if line.startswith("dot fp8e4nv"))
    assert row.split()[2:4] == ["refused", "16"]
    assert "QMMA.16832.F32.E4M3.E4M3" in row
    assert "UTCQMMA" in row
    assert "type fp8e4nv not supported in this architecture" in text
    assert cli.main(["features", "--triton", "--gpu", "rtx4090"]) == errors.OK
    text = capsys.readouterr().out
    assert text.startswith("GeForce RTX 4090 (8.9)")
    assert "Triton 3.6.0" in text
    assert cli.main(["features", "--triton", "--gpu", "rtx3090", "--json"]) == errors.OK
    found = json.loads(capsys.readouterr().out)
    assert found["kernels"]["dot f16"][PINNED]["HMMA.16816.F32"] == 32
    assert cli.main(["features", "--triton", "--claims"]) == errors.USAGE


def test_the_table_is_written_as_it_is_read():
    from_disk = (ROOT / "warpbench" / "hardware" / "triton.toml").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "import sys, tomllib; from warpbench.backends import triton_lowering as t; "
         "sys.stdout.write(t.written(tomllib.loads(t.TABLE.read_text())))"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == from_disk
    assert tomllib.loads(from_disk)
