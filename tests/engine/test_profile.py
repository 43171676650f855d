"""`warpbench profile` without a card: a sealed record in which nothing is timed, a cache, Ctrl-C and going on."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from pathlib import Path

import pytest

from tests.engine.commands import ESCAPE, Checkout
from warpbench import errors
from warpbench.measure.files import read

PATTERN = "double"
OP = '''
"""Doubling."""
from warpbench.contract import Operation, Output, Rung, Shapes, Tolerance

def _inputs(shape, dtype, seed):
    import torch
    return {"x": torch.rand(shape["n"], generator=torch.Generator().manual_seed(seed)) + 1}

OPERATION = Operation(
    name="double", title="out = 2 x", axes=("n",),
    shapes=Shapes(tiny=({"n": 1024},), ragged=({"n": 33},), large=({"n": 1 << 20},)),
    inputs=_inputs,
    outputs=lambda shape, dtype: {"out": Output((shape["n"],), "f32")},
    reference=lambda x: {"out": x.double() * 2},
    rival=lambda x: x * 2,
    bytes_read=lambda shape, dtype: 4 * shape["n"], bytes_written=lambda shape, dtype: 4 * shape["n"],
    flops=lambda shape, dtype: shape["n"],
    tolerance=lambda shape, dtype, accumulator: Tolerance(1e-6, 0.0, "one rounding"),
    ladder=(
        Rung("in_numba:plain", "start here"),
        Rung("in_numba:strided", "lanes lie apart"),
        Rung("in_numba_waits:waits", "waits for a file called go"),
        Rung("in_triton:fp8", "cannot run on an RTX 3090", needs=("fp8",)),
    ),
)
'''
KERNELS = '''
"""Doubling."""
from numba import cuda

@cuda.jit
def _double(x, out, stride):
    i = cuda.grid(1)
    j = i * stride % x.size + i * stride // x.size  # every element once; lanes are `stride` apart
    if i < x.size:
        out[j] = 2 * x[j]

def plain(x, out):
    _double[(x.numel() + 127) // 128, 128](x, out, 1)

def strided(x, out):
    _double[(x.numel() + 127) // 128, 128](x, out, 8 if x.numel() % 8 == 0 else 1)
'''
WAITS = f"""{KERNELS.partition("def plain")[0]}
import time
from pathlib import Path

def waits(x, out):
    while not (Path(__file__).parent / "go").exists():
        time.sleep(0.05)
    _double[(x.numel() + 127) // 128, 128](x, out, 1)
"""
# fields that would hold a time, a clock or a rate, by the units that end their names
TIMED = re.compile(r"_(?:us|ms|s|mhz|w|mj|c|gbps|gbs|tflops)$|seconds|median|rate$|spread|share")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("checkout"))
    folder = checkout.root / "kernels" / "double"
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name, text in {
        "op": OP,
        "in_numba": KERNELS,
        "in_numba_waits": WAITS,
        "in_triton": "def fp8(): pass\n",
    }.items():
        (folder / f"{name}.py").write_text(text)
    return checkout


@pytest.fixture(scope="module")
def go(checkout):
    return checkout.root / "kernels" / "double" / "go"


@pytest.fixture(scope="module")
def interrupted(checkout, go):
    """The run that Ctrl-C ended while one rung was waiting: its exit code, what it printed, and its record.

    The first of the module: nothing is in the cache yet.
    """
    go.unlink(missing_ok=True)
    seen = []
    with checkout.started("profile", PATTERN, "--quick") as process:
        for line in process.stderr:
            seen.append(line)
            if len(seen) == 3:  # the refused rung and the two that end
                break
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    (path,) = checkout.records
    return process.returncode, out, "".join(seen) + err, path


@pytest.fixture(scope="module")
def rest(checkout, go, interrupted):
    """The run that goes on, by the line that the interrupted one printed."""
    go.touch()
    (line,) = [line for line in interrupted[2].splitlines() if "--rest-of" in line]
    words = shlex.split(line.removeprefix("go on with: ").partition(" (")[0])
    assert words[0] == "warpbench"
    return checkout.run(*words[1:])


@pytest.fixture(scope="module")
def first(checkout, rest):
    """A whole run, most of it from the cache."""
    return checkout.run("profile", PATTERN, "--json")


def verdicts(record):
    return {case.rung: case.verdict_correct for case in record.cases.values()}


# -- Ctrl-C --------------------------------------------------------------------------------------------------------
def test_ctrl_c_ends_it_in_one_breath(interrupted):
    code, out, err, _ = interrupted
    assert code == errors.INTERRUPTED
    assert "Traceback" not in out + err
    assert "stopped after 3 of 4 rungs. 3 rungs: " in out


def test_ctrl_c_seals_what_there_is(interrupted):
    *_, path = interrupted
    record = read(path)  # proves the seal
    assert verdicts(record) == {"plain": "pass", "strided": "pass", "fp8": "skipped"}
    assert not record.complete


def test_ctrl_c_leaves_no_worker_behind(checkout, interrupted):
    """Workers are in sessions of their own, where Ctrl-C does not reach them."""
    for process in filter(str.isdecimal, os.listdir("/proc")):
        try:
            where = os.readlink(f"/proc/{process}/cwd")
        except OSError:
            continue
        assert where != str(checkout.root), f"process {process} is still there"


def test_the_line_that_it_prints_does_the_rest(checkout, interrupted, rest):
    assert rest.code == errors.OK
    assert rest.err == "[1/2] double/triton/fp8 not run\n[2/2] double/numba/waits pass\n"
    assert "2 rungs: 1 pass, 1 not run\n" in rest.out
    record = read(checkout.records[1])
    assert verdicts(record) == {"waits": "pass", "fp8": "skipped"}
    assert record.complete


def test_when_nothing_is_left_to_do(checkout, rest):
    both = [word for path in checkout.records[:2] for word in ("--rest-of", str(path))]
    done = checkout.run("profile", "double/numba", *both)
    assert done.code == errors.OK
    assert done.err == ""
    assert "0 rungs: none" in done.out


# -- the record ----------------------------------------------------------------------------------------------------
def fields(data, name=""):
    """(name, value) of every field of plain data, at any depth."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from fields(value, key)
    elif isinstance(data, list):
        for value in data:
            yield from fields(value, name)
    else:
        yield name, data


def test_the_record_is_virtual_sealed_and_whole(first):
    record = read(Path(first.data["record"]))
    assert record.run.kind == "virtual"
    assert record.run.command[:3] == ("warpbench", "profile", PATTERN)
    assert record.complete
    assert verdicts(record) == {"plain": "pass", "strided": "pass", "waits": "pass", "fp8": "skipped"}
    assert all(value is None for value in vars(record.run.gpu).values())
    assert (record.roofs, record.replicates) == ([], {})


def test_no_line_of_it_holds_a_time_or_a_rate(first):
    lines = [json.loads(line) for line in Path(first.data["record"]).read_text().splitlines()]
    assert {line["record"] for line in lines} == {"run", "case", "count", "seal"}
    filled = {name for line in lines for name, value in fields(line) if value is not None}
    assert {"sectors", "regs", "flops"} <= filled  # what is counted is there
    assert [name for name in filled if TIMED.search(name)] == []


def test_its_json_holds_none_either(first):
    names = {name for name, _ in fields(first.data)}
    assert "sectors_per_request" in names
    assert [name for name in names if TIMED.search(name)] == []


def test_the_counts_are_those_of_the_kernels(first):
    rows = {row["rung"]: row for row in first.data["rows"]}
    plain, strided = rows["double/numba/plain"], rows["double/numba/strided"]
    assert plain["requests"] == strided["requests"] == 2 * 1024 // 32
    assert (plain["sectors_per_request"], strided["sectors_per_request"]) == (4.0, 32.0)
    assert (plain["asked_over_compulsory"], strided["asked_over_compulsory"]) == (1.0, 8.0)
    assert plain["compulsory_bytes"] == 2 * 4 * 1024
    assert rows["double/triton/fp8"]["sectors"] is None
    assert "It needs FP8 tensor cores" in rows["double/triton/fp8"]["reason"]


@pytest.mark.slow
def test_keep_copies_the_record(checkout, first):
    done = checkout.run("profile", "double/numba/plain", "--keep")
    (kept,) = (checkout.root / "profiling" / "results" / "virtual").iterdir()
    assert f"record: {kept.relative_to(checkout.root)}\n" in done.out
    assert kept.read_bytes() == checkout.records[-1].read_bytes()


# -- what it says --------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def second(checkout, first):
    """The same run again, as text."""
    return checkout.run("profile", PATTERN)


def test_the_second_run_comes_from_the_cache(first, second):
    assert first.data["from_cache"] < 3  # the interrupted run checked fewer cases
    assert second.out.splitlines()[-2] == "4 rungs: 3 pass, 1 not run; 3 from the cache"
    assert second.out.splitlines()[-1].startswith("record: profiling/runs/virtual/")


@pytest.mark.slow
def test_an_edited_kernel_is_counted_anew(checkout, second):
    file = checkout.root / "kernels" / "double" / "in_numba.py"
    text = file.read_text()
    file.write_text(text.replace("8 if x", "4 if x"))
    done = checkout.run("profile", "double/numba", "--json")
    file.write_text(text)
    assert done.data["from_cache"] == 2
    rows = {row["rung"]: row for row in done.data["rows"]}
    assert rows["double/numba/strided"]["sectors_per_request"] == 16.0


def test_the_headline_says_that_nothing_was_timed(second, first):
    headline = second.out.splitlines()[0]
    assert headline == first.data["headline"]
    assert re.fullmatch(r".*; nothing was timed\. Counted for GeForce RTX 3090 \(sm_86\)", headline)


def test_the_text_holds_no_time_but_the_floor(second):
    for line in second.out.splitlines():
        line = re.sub(r"Floor on .*", "", line)
        assert not re.search(r"\d ?(?:s|ms|us|ns|GB/s|TFLOP/s|GFLOP/s|MHz)\b", line), line
        assert not re.search(r"\b(?:median|speedup|faster than)\b", line), line
    assert "No kernel can be faster; nobody measured it." in second.out


@pytest.mark.slow
def test_another_card_is_named_and_runs_what_it_can(checkout, second):
    done = checkout.run("profile", "double/numba/plain", "--gpu", "h100")
    assert done.code == errors.OK
    assert done.out.splitlines()[0].endswith("nothing was timed. Counted for H100 SXM5 80GB (sm_90)")


# -- progress ------------------------------------------------------------------------------------------------------
def test_a_pipe_gets_a_line_a_rung(second):
    lines = second.err.splitlines()
    assert lines[0] == "[1/4] double/triton/fp8 not run"
    assert {line.split()[0] for line in lines} == {f"[{i}/4]" for i in range(1, 5)}
    assert {line.split(maxsplit=1)[1] for line in lines[1:]} == {
        f"double/numba/{name} pass" for name in ("plain", "strided", "waits")
    }


@pytest.mark.slow
def test_a_terminal_gets_a_bar_that_goes_away(checkout, second):
    screen = checkout.screen(100, "profile", PATTERN)
    drawn = ESCAPE.sub("", screen.raw)
    assert "counting ━" in drawn
    assert "4/4" in drawn
    assert "[1/4]" not in drawn
    assert re.search(r"\x1b\[38;5;\d+m", screen.raw)  # in colour
    assert "\x1b[2K" in screen.raw.rpartition("━")[2]  # it is wiped
    assert screen.raw.count("\x1b[?25l") == screen.raw.count("\x1b[?25h") == 1  # the cursor is back
    assert "4 rungs: 3 pass, 1 not run; 3 from the cache" in screen.lines


@pytest.mark.slow
def test_a_ci_job_gets_lines_even_on_a_terminal(checkout, second):
    screen = checkout.screen(100, "profile", "double/numba/plain", CI="true")
    assert "[1/1] double/numba/plain pass" in screen.lines
    assert "━" not in screen.raw
