"""Workers: answers, time limits, deaths, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from warpbench.pool import Pool, environment

HEADER = '''
"""Doubling."""
import os, sys, time
'''


def other(body: str) -> str:
    """A kernel file whose `plain` is right and whose `other` does `body` first."""
    return f"""{HEADER}
def plain(x, factor, out):
    out.copy_(2 * x)

def other(x, factor, out):
    {body}
    out.copy_(2 * x)
"""


ROOT = Path(__file__).resolve().parents[2]


def wait_for(condition, seconds=20):
    """Until the condition holds; fails when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def ask(root, *rungs, limit_s=60.0, processes=1, memory_bytes=6 << 30):
    tasks = [{"task": "check", "rung": f"double/numba/{rung}", "root": str(root)} for rung in rungs]
    with Pool("bare", processes, limit_s, memory_bytes) as pool:
        return {task["rung"].rpartition("/")[2]: answer for task, answer in pool.run(tasks)}


@pytest.mark.slow
def test_two_workers_answer_every_task(make_catalogue):
    answers = ask(make_catalogue(), "plain", "other", processes=2)
    assert [answers[name]["verdict"] for name in ("plain", "other")] == ["pass", "pass"]
    # two ragged and one tiny shape, one adversarial input, two more seeds at the ragged shapes
    assert len(answers["plain"]["cases"]) == 3 + 1 + 4


@pytest.mark.slow
def test_what_a_kernel_prints_is_no_answer(make_catalogue):
    body = "print('{\"event\": \"result\", \"value\": 1}'); sys.stderr.write('x'); os.write(1, b'{}\\n')"
    assert ask(make_catalogue(other(body)), "other")["other"]["verdict"] == "pass"


def test_a_kernel_that_never_ends_is_stopped_and_the_next_task_gets_a_new_worker(make_catalogue):
    root = make_catalogue(other("time.sleep(3600 if len(x) == 33 else 0)"))
    start = time.monotonic()
    answers = ask(root, "other", "plain", limit_s=2.0)
    assert time.monotonic() - start < 60
    assert answers["other"]["verdict"] == "fail"
    assert "did not end within 2 s (n=33, f32, seed 1)" in answers["other"]["reason"]
    finding = answers["other"]["cases"][0]["findings"][0]
    assert (finding["code"], finding["kind"]) == ("E3", "did not end")
    assert answers["plain"]["verdict"] == "pass"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param("os._exit(3)", "exit code 3", marks=pytest.mark.slow),
        pytest.param("os.kill(os.getpid(), 11)", "SIGSEGV", marks=pytest.mark.slow),
        ("sys.stderr.write('last words\\n'); sys.stderr.flush(); os.abort()", "last words"),
    ],
)
def test_a_worker_that_dies_is_told_and_replaced(make_catalogue, body, words):
    answers = ask(make_catalogue(other(body)), "other", "plain")
    assert answers["other"]["verdict"] == "not judged"
    assert "died at n=1, f32, seed 1" in answers["other"]["reason"]
    assert words in answers["other"]["reason"]
    assert answers["plain"]["verdict"] == "pass"


def test_too_much_memory_is_told(make_catalogue):
    root = make_catalogue(other("bytearray(5 << 30)"))
    answers = ask(root, "other", "plain", memory_bytes=3 << 30)
    assert answers["other"]["verdict"] == "not judged"
    assert "memory" in answers["other"]["reason"]
    assert answers["plain"]["verdict"] == "pass"


def test_an_exception_of_the_learners_code_names_file_and_line(make_catalogue):
    answer = ask(make_catalogue(other("x.no_such_thing")), "other")["other"]
    assert answer["verdict"] == "fail"
    finding = answer["cases"][0]["findings"][0]
    assert finding["code"] == "E2"
    assert finding["message"].startswith("in_numba.py:9 raises AttributeError")


def test_a_file_that_does_not_parse_names_file_and_line(make_catalogue):
    answer = ask(make_catalogue("def plain(:\n"), "plain")["plain"]
    assert answer["verdict"] == "fail"
    assert "in_numba.py:1 does not parse" in answer["reason"]


def test_a_package_that_is_missing_is_not_a_wrong_kernel(make_catalogue):
    answer = ask(make_catalogue("import cupy_that_is_not_there\n"), "plain")["plain"]
    assert answer["verdict"] == "not run"
    assert "cupy_that_is_not_there is not installed" in answer["reason"]


def test_leaving_early_ends_the_workers(make_catalogue, tmp_path):
    root = make_catalogue(other(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(3600)"))
    tasks = [
        {"task": "check", "rung": f"double/numba/{rung}", "root": str(root)} for rung in ("plain", "other", "other")
    ]
    with Pool("bare", 1) as pool:
        for _, answer in pool.run(tasks):
            assert answer["verdict"] == "pass"
            deadline = time.monotonic() + 30
            while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            break
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_worker_for_ptxvm_sees_no_card_and_takes_one_core(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert environment("emulated:sm_86")["CUDA_VISIBLE_DEVICES"] == ""
    assert environment("emulated:sm_86")["OMP_NUM_THREADS"] == "1"
    assert environment("card:GPU-1")["CUDA_VISIBLE_DEVICES"] == "GPU-1"


@pytest.mark.slow
def test_a_worker_does_not_outlive_whoever_started_it(make_catalogue, tmp_path):
    """The parent is killed while a kernel runs that never ends: nobody is left who could stop it."""
    pid_file = tmp_path / "pid"
    root = make_catalogue(
        other(f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\n    while True: time.sleep(0.01)")
    )
    script = (
        "from warpbench.pool import Pool\n"
        f"task = {{'task': 'check', 'rung': 'double/numba/other', 'root': {str(root)!r}}}\n"
        "list(Pool('bare', 1, 60.0).run([task]))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    wait_for(pid_file.exists)
    wait_for(pid_file.read_text)
    worker = int(pid_file.read_text())
    parent.kill()
    parent.wait()
    wait_for(lambda: not Path(f"/proc/{worker}").exists())
