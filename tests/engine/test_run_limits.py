"""`warpbench run` at its limits: what is not emulated is said in a line, and everything else is as in plain Python."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.engine.commands import Checkout, one_line
from warpbench import cli, errors


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return Checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def script(checkout):
    """script(text): the name of a file that holds it, in the working directory of the commands."""

    def write(text):
        (checkout.root / "script.py").write_text(textwrap.dedent(text))
        return "script.py"

    return write


NOT_EMULATED = {
    "CUDA graphs are not emulated": "import torch\ntorch.cuda.CUDAGraph()",
    "cupyx.jit.rawkernel is not emulated": (
        "import warnings; warnings.simplefilter('ignore')\nfrom cupyx import jit\nimport cupy\n"
        "@jit.rawkernel()\ndef one(x):\n    x[0] = 1\none[1, 1](cupy.zeros(1))"
    ),
    "needs NVIDIA's driver or compiler itself": "import cupyx.scipy.special as f, cupy\nf.gamma(cupy.ones(3))",
}


@pytest.mark.parametrize("said", NOT_EMULATED)
def test_what_is_not_emulated_is_said(checkout, script, said):
    path = script(NOT_EMULATED[said])
    done = checkout.run("run", path)
    assert done.code == errors.NOT_RUN
    assert sum(said in line for line in done.err.splitlines()) == 1
    assert "not run" in done.err or "Nothing was launched" in done.err
    assert f"{checkout.root}/warpbench" not in done.err, "a line of ours"


def test_a_path_is_told_as_python_tells_it(checkout, script):
    path = script("import sys\nprint(__file__, sys.argv)\n1 / 0")
    plain = subprocess.run(
        [sys.executable, path],
        cwd=checkout.root,
        env=checkout.environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    done = checkout.run("run", path)
    assert (done.code, done.out) == (plain.returncode, plain.stdout)
    assert done.err.startswith(plain.stderr)


def test_cupyx_may_come_before_cupy(checkout, script):
    path = script("""
        from cupyx.profiler import benchmark
        import cupyx
        import cupy
        print(cupyx.rsqrt(cupy.full(1, 4.0)), benchmark(cupy.sum, (cupy.ones(3),)).gpu_times)
    """)
    done = checkout.run("run", path)
    assert (done.code, done.out) == (errors.OK, "[0.5] [[nan]]\n"), done.err


FORKS = """
import multiprocessing
import numpy as np
from numba import cuda

@cuda.jit
def ones(x):
    x[cuda.grid(1)] += 1

def work(n):
    x = np.zeros(n)
    ones[1, n](x)
    return int(x.sum())

if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.map(work, [4, 8]))
"""


def test_forked_processes_have_the_card_too(checkout, script):
    done = checkout.run("run", script(FORKS))
    assert (done.code, done.out) == (errors.OK, "[4, 8]\n"), done.err
    assert done.err.count("warpbench: the script forks: ") == 1


def test_a_new_python_has_no_card_and_that_is_said(checkout, script):
    done = checkout.run("run", script(FORKS.replace('"fork"', '"spawn"')))
    assert done.code == errors.NOT_RUN
    assert done.err.count("warpbench: the script starts processes that are a new Python each: ") == 1


def test_a_reader_that_has_seen_enough(checkout, script):
    path = script("for i in range(100_000):\n    print(i)")
    with checkout.started("run", path) as process:
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        said = process.stderr.read()
        process.wait(timeout=30)
    assert process.returncode == 1
    assert "BrokenPipeError" in said
    assert "Exception ignored" not in said


# -- bad input -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["{here}/nothing.py"], errors.USAGE, "nothing.py cannot be read: No such file or directory."),
        (["{here}"], errors.USAGE, "cannot be read: Is a directory."),
        (["{here}/book.ipynb"], errors.USAGE, "book.ipynb is a notebook; a Python script is needed."),
        (["{here}/broken.py"], errors.WRONG, "broken.py:2 does not parse: '(' was never closed: print(."),
        (["{here}/binary.py"], errors.WRONG, "source code"),
        (["--gpu", "rtx3091", "{here}/good.py"], errors.USAGE, "Nearest: rtx_3090"),
        (["--gup", "rtx3090", "{here}/good.py"], errors.USAGE, "--gup"),
        ([], errors.USAGE, "Missing argument"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, words, code, said):
    (tmp_path / "good.py").write_text("raise SystemExit('it was run')")
    (tmp_path / "book.ipynb").write_text("{}")
    (tmp_path / "broken.py").write_text("x = 1\nprint(\n")
    (tmp_path / "binary.py").write_bytes(b"x = 1\0")
    assert cli.main(["run", *(word.format(here=tmp_path) for word in words)]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in one_line(printed.err)
    assert "Nothing was run." in printed.err
