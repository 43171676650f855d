"""The processes of a measured run: replicates, a worker that is of no use any more, its streams, a bare machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.engine.fake_card import InProcess, other
from warpbench import errors
from warpbench.measure import files
from warpbench.pool import Pool, environment
from warpbench.report import profiles

# Packages that a bare machine with a card may lack. Only our own imports are refused: typer may need one of them.
REFUSE = """
import builtins

real = builtins.__import__
ABSENT = {"pydantic", "watchfiles", "altair", "duckdb", "platformdirs", "polars", "pyarrow", "nvtx", "dask", "submitit"}

def limited(name, globals=None, locals=None, fromlist=(), level=0):
    ours = (globals or {}).get("__name__", "").partition(".")[0] in ("warpbench", "ptxvm", "kernels")
    if ours and level == 0 and name.partition(".")[0] in ABSENT:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = limited
"""


@pytest.mark.parametrize(
    "end",
    [
        "raise errors.EnvironmentProblem('the card fell off the bus')",  # no finding: an error of the worker
        pytest.param("raise ValueError('the kernel raises')", marks=pytest.mark.slow),  # a finding: a result
    ],
)
def test_after_an_error_that_spoils_the_process_the_next_rung_gets_a_new_one(make_catalogue, end):
    root = make_catalogue(f"""
import os
from warpbench import errors, targets

def plain(x, factor, out):
    targets.Bare.usable = lambda self: False
    {end}

def other(x, factor, out):
    assert targets.Bare().usable(), "the process of the rung before"
    out.copy_(x * factor)
""")
    tasks = [{"task": "check", "rung": f"double/numba/{name}", "root": str(root)} for name in ("plain", "other")]
    with Pool("bare", 1, 60.0) as workers:
        answers = {task["rung"]: answer for task, answer in workers.run(tasks)}
    assert answers["double/numba/plain"]["verdict"] != "pass"
    assert answers["double/numba/other"]["verdict"] == "pass", answers["double/numba/other"]["reason"]


def test_all_libraries_launch_on_the_stream_of_the_events(monkeypatch):
    monkeypatch.setenv("CUPY_CUDA_PER_THREAD_DEFAULT_STREAM", "1")
    monkeypatch.setenv("NUMBA_CUDA_PER_THREAD_DEFAULT_STREAM", "1")
    mine = environment("card:GPU-1")
    assert mine["CUPY_CUDA_PER_THREAD_DEFAULT_STREAM"] == mine["NUMBA_CUDA_PER_THREAD_DEFAULT_STREAM"] == "0"
    assert mine["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("list scale_bias", 0, "scale_bias/triton/one_element_a_thread"),
        ("check scale_bias/cupy/single_precision --quick", 0, "1 pass"),
        ("compare A B", 3, "pydantic is not installed. Nothing was run."),
    ],
)
def test_on_a_bare_machine(tmp_path, command, code, words):
    """Without what is not needed there, whatever does not need it works; the rest says what to install."""
    (tmp_path / "sitecustomize.py").write_text(REFUSE)
    (tmp_path / "A").write_text('{"record":"run","schema":"warpbench-result/1"}\n')
    (tmp_path / "B").write_text("")
    arguments = [str(tmp_path / one) if one in ("A", "B") else one for one in command.split()]
    done = subprocess.run(
        [sys.executable, "-m", "warpbench", *arguments], env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert words in done.stdout + done.stderr


# -- replicates ----------------------------------------------------------------------------------------------------
def named(outcome):
    return {row["rung"].rpartition("/")[2]: row for row in outcome.rows}


def test_replicates_are_interleaved_processes_with_an_interval_between_them(profile, h100, capsys):
    h100.drift = iter([1.00, 1.02, 1.01])
    outcome = profile(replicates=3)
    assert [task["replicate"] for task in InProcess.asked] == [0] * 4 + [1] * 3 + [2] * 3  # the roof is measured once
    record = files.read(outcome.path)
    assert record.complete
    samples = record.replicates["double/numba/other/f32/n=262144"]
    assert [(one.replicate, one.seed) for one in samples] == [(0, 1), (1, 2), (2, 3)]
    row = named(outcome)["other"]
    assert row["seconds"] == pytest.approx(202e-6, rel=0.005)  # the median of the three
    # logarithms 0, 0.0198, 0.00995: deviation 0.0099; t of two degrees of freedom 4.303; over the root of 3
    assert row["interval"] == pytest.approx(4.303 * 0.0099 / 3**0.5, rel=0.05)
    assert (row["processes"], row["samples"]) == (3, 90)
    profiles.show(outcome, None)
    assert "± 2.5 %" in capsys.readouterr().out


def test_one_process_has_no_interval(profile):
    assert named(profile())["other"]["interval"] is None


@pytest.mark.parametrize(("late", "verdict"), [("out[0] = 0.0", "fail"), ("CARD.slower = 0.1", "invalid")])
def test_a_replicate_that_goes_wrong_takes_the_time_away(profile, h100, late, verdict):
    h100.drift = iter([1.0, 1.001, 1.0])
    body = f"CARD.launch(200e-6)\nright(x, out)\nif LARGE and CARD.slower == 1.001:\n    {late}"
    outcome = profile(other(body), replicates=3)
    row = named(outcome)["other"]
    assert (row["verdict"], row["seconds"]) == (verdict, None)
    assert sum(task["rung"].endswith("other") for task in InProcess.asked) == 2  # not asked a third time
    assert named(outcome)["plain"]["processes"] == 3
    assert profiles.exit_code(outcome) == (errors.WRONG if verdict == "fail" else errors.INVALID)
    record = files.read(outcome.path)
    assert record.complete
    assert ("double/numba/other/f32/n=262144" in record.replicates) == (verdict == "invalid")


def test_ctrl_c_between_two_processes_keeps_the_first_and_says_that_it_is_not_all(profile, monkeypatch):
    answers = InProcess.run

    def interrupted(self, tasks):
        for task, answer in answers(self, tasks):
            if task["replicate"] == 1 and task["rung"].endswith("other"):
                raise KeyboardInterrupt
            yield task, answer

    monkeypatch.setattr(InProcess, "run", interrupted)
    outcome = profile(replicates=2)
    assert outcome.interrupted
    record = files.read(outcome.path)
    assert not record.complete
    assert {name.split("/")[2]: len(taken) for name, taken in record.replicates.items()} == {
        "rival": 2, "plain": 2, "other": 1,
    }  # fmt: skip
    again = profile(name="again", replicates=2, rest_of=(outcome.path,))
    assert list(named(again)) == ["other", "newer", "rival"]
