"""Bad input gets one clear line and the exit code of its kind, and never a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.engine.commands import Checkout, one_line
from warpbench import cli, errors

RUNG = "vector_add/numba/grid_stride"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("checkout"), "vector_add")
    write_broken(checkout.root / "kernels" / "broken")
    return checkout


# -- names that are not there --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("profil", "No such command 'profil'. Did you mean 'profile'? Nothing was run. See: warpbench --help"),
        ("zzz", "No such command 'zzz'. Known: list, check, profile, compare, "),
        ("learn rum", "Did you mean 'run'? Nothing was run. See: warpbench learn --help"),
        ("catalogue checks", "Did you mean 'check'? Nothing was run. See: warpbench catalogue --help"),
        ("list sofmax", 'there is no operation "sofmax". Nearest: softmax, argmax. Nothing was run.'),
        ("check zzz", 'there is no operation "zzz". Known: argmax, attention, axpy, '),
        ("check softmax/trition", 'there is no DSL or rung "trition". Nearest: triton. Nothing was run.'),
        ("check softmax/nunba/x", 'there is no DSL "nunba". Nearest: numba. Nothing was run.'),
        ("inspect vector_add/numba/grid_strid", f"Nearest: {RUNG}"),
        ("inspect vector_add", '"vector_add" is 8 rungs; one is needed, such as: vector_add/numba/'),
        ("profile gemm_fp8/triton/fp8_dto", "Nearest: gemm_fp8/triton/fp8_dot"),
        ("profile --op vectoradd", "Nearest: vector_add, outer_add. Nothing was run."),
        ("profile --op vector_add --rung numba/grid", f"Nearest: {RUNG}"),
        ("check vector_add --gpu rtx3091", "unknown card 'rtx3091'. Nearest: rtx_3090, "),
        ("profile vector_add --gpu h10", "Nearest: h100_sxm5"),
        ("features --gpu rtx3091", "All of them: warpbench gpus. Nothing was run."),
        ("learn run guard_the_tale", "Nearest: guard_the_tail"),
        ("learn explain M99", 'there is no code "M99". Known: C1, '),
        ("learn run --level gold", 'there is no level "gold". Known: bronze, silver. Nothing was checked.'),
    ],
)
def test_an_unknown_name_gets_the_nearest(line, words, capsys):
    assert cli.main(line.split()) == errors.USAGE
    assert words in one_line(capsys.readouterr().err)


# -- arguments that make no sense ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "*/zzz"], 'no rung matches "*/zzz". Nothing was run. See all of them: warpbench list'),
        (["list", "softmax/triton/one/two"], "has too many parts: write OP, OP/DSL or OP/DSL/RUNG. Nothing was run."),
        (["list", "///"], 'there is no operation ""'),
        (["list", "["], 'there is no operation "["'),
        (["list", "softmax", "axpy"], "Got unexpected extra argument(s) (axpy). Nothing was run."),
        (["check", "--gppu", "x"], "No such option: --gppu"),
        (["check", "--limit", "soon"], "Invalid value for '--limit'"),
        (["check", "--limit", "0"], "greater than or equal to 0.1"),
        (["check", "--limit", "nan"], "Invalid value for '--limit'"),
        (["check", "--limit", "inf"], "less than or equal to 86400"),
        (["check", "--gpu"], "requires an argument"),
        (["inspect"], "Missing argument 'OP/DSL/RUNG'. Nothing was run. See: warpbench inspect --help"),
        (["compare", "one"], "two record files are needed, or none for the two newest. Nothing was compared."),
        (["profile", "--rung", "grid_stride"], "--rung needs --op. Nothing was profiled."),
        (["profile", "axpy", "--op", "axpy"], '"axpy" and --op name rungs twice. Nothing was profiled.'),
        (["learn", "--root", "/nowhere", "list"], "/nowhere/catalog.toml is missing. The course cannot start"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments(words, said, capsys):
    assert cli.main(words) == errors.USAGE
    assert said in one_line(capsys.readouterr().err)


def test_from_a_shell_it_is_the_same_line(checkout):
    done = checkout.run("list", "vectoradd")
    assert (done.code, done.out) == (errors.USAGE, "")
    assert one_line(done.err) == 'there is no operation "vectoradd". Nearest: vector_add. Nothing was run.'


# -- places that cannot be written ---------------------------------------------------------------------------------
def test_records_that_cannot_be_written(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("checkout"), "vector_add")
    (checkout.root / "profiling").mkdir()
    runs = checkout.root / "profiling" / "runs"
    runs.write_text("a file is in the way\n")
    done = checkout.run("profile", RUNG, "--quick")
    assert done.code == errors.ENVIRONMENT
    said = one_line(done.err)
    assert said.startswith(f"the record {runs}/virtual/")
    assert "cannot be written: Not a directory. Nothing was profiled. Make its folder writable." in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("checkout"), "vector_add")
    runs = checkout.root / "profiling" / "runs"
    runs.mkdir(parents=True)
    runs.chmod(0o555)
    done = checkout.run("profile", RUNG, "--quick")
    assert done.code == errors.ENVIRONMENT
    assert "Permission denied. Nothing was profiled." in one_line(done.err)


@pytest.mark.slow
def test_results_that_cannot_be_kept(checkout):
    (checkout.root / "profiling").mkdir(exist_ok=True)
    (checkout.root / "profiling" / "results").write_text("a file is in the way\n")
    done = checkout.run("profile", RUNG, "--quick", "--keep")
    assert done.code == errors.ENVIRONMENT
    said = one_line(done.err)
    assert "cannot be written: Not a directory. The record was not copied; it lies in " in said
    assert Path(said.rpartition(" ")[2].rstrip(".")).exists()


# -- what the machine lacks ----------------------------------------------------------------------------------------
HIDE = """
import importlib.machinery
find = importlib.machinery.PathFinder.find_spec
def hidden(name, path=None, target=None):
    return None if name.partition(".")[0] == {module!r} else find(name, path, target)
importlib.machinery.PathFinder.find_spec = staticmethod(hidden)
"""


def without(tmp_path, module):
    """A folder for PYTHONPATH that makes a package one that is not installed, in every process."""
    (tmp_path / "sitecustomize.py").write_text(HIDE.format(module=module))
    return str(tmp_path)


@pytest.mark.parametrize(
    ("module", "line", "install"),
    [
        ("typer", "list", "pip install typer"),
        ("pydantic", "profile --rest-of x vector_add", "pip install pydantic"),
        ("torch", f"check {RUNG} --quick", "pip install torch"),
        ("numba", "learn run guard_the_tail", "pip install 'numba-cuda[cu13]'"),
        ("cupy", "profile vector_add/cupy/four_floats_a_load --quick", "pip install cupy-cuda13x"),
        pytest.param("numba", f"check {RUNG} --quick", "pip install 'numba-cuda[cu13]'", marks=pytest.mark.slow),
        pytest.param(
            "cupy", "check vector_add/cupy/streaming_hints", "pip install cupy-cuda13x", marks=pytest.mark.slow
        ),
        pytest.param(
            "triton", "profile vector_add/triton/one_element_a_thread", "pip install triton", marks=pytest.mark.slow
        ),
        pytest.param(
            "triton", "inspect vector_add/triton/one_element_a_thread", "pip install triton", marks=pytest.mark.slow
        ),
        pytest.param("numpy", f"inspect {RUNG}", "pip install numpy", marks=pytest.mark.slow),
    ],
)
def test_a_missing_package_gets_the_line_that_installs_it(checkout, tmp_path, module, line, install):
    done = checkout.run(*line.split(), PYTHONPATH=without(tmp_path, module))
    said = done.out + done.err
    assert done.code == errors.ENVIRONMENT
    told = [one for one in said.splitlines() if "is not installed" in one]
    assert len(told) == 1
    assert f"{module} is not installed. Nothing was run. Install it: {install} (or everything: make setup)" in told[0]
    assert "Traceback" not in said


@pytest.mark.slow
def test_one_dsl_that_is_missing_does_not_stop_the_others(checkout, tmp_path):
    done = checkout.run("check", "vector_add/*/one_thread_an_element", "--quick", PYTHONPATH=without(tmp_path, "cupy"))
    assert done.code == errors.ENVIRONMENT
    assert "pass  vector_add/numba/one_thread_an_element" in done.out
    assert "not run  vector_add/cupy/one_thread_an_element: cupy is not installed." in done.out


@pytest.mark.slow
def test_doctor_names_what_is_missing(checkout, tmp_path):
    done = checkout.run("doctor", PYTHONPATH=without(tmp_path, "triton"))
    assert done.code == errors.ENVIRONMENT
    lines = done.out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("fail     triton on ptxvm"))
    assert lines[at + 1].strip() == "to do: pip install triton (or everything: make setup)"


NVML = '''
"""As much of nvidia-ml-py as is asked on a machine whose driver is old."""
NVMLError = type("NVMLError", (Exception,), {})
nvmlInit = lambda: None
nvmlSystemGetDriverVersion = lambda: "550.54.15"
nvmlDeviceGetCount = lambda: 1
nvmlDeviceGetHandleByIndex = lambda index: index
nvmlDeviceGetName = lambda handle: "NVIDIA GeForce RTX 3090"
'''
OLD = "NVIDIA GeForce RTX 3090 is here with driver 550.54.15; CUDA 13 needs 580 or newer."


@pytest.fixture
def old_driver(tmp_path):
    """A folder for PYTHONPATH with which a card is seen whose driver is too old."""
    (tmp_path / "pynvml.py").write_text(NVML)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("line", "way_out"),
    [
        ("profile vector_add", "Nothing was profiled. Go on without the card: --virtual"),
        ("check vector_add --card", "Nothing was checked. Leave --card away to check on ptxvm."),
    ],
)
def test_a_driver_that_is_too_old(checkout, old_driver, line, way_out):
    done = checkout.run(*line.split(), PYTHONPATH=old_driver)
    assert done.code == errors.ENVIRONMENT
    assert done.out == ""
    said = one_line(done.err)
    assert OLD in said
    assert said.endswith(way_out)


@pytest.mark.slow
def test_without_the_card_it_goes_on(checkout, old_driver):
    done = checkout.run("profile", RUNG, "--quick", "--virtual", PYTHONPATH=old_driver)
    assert done.code == errors.OK
    assert done.out.startswith("--virtual: nothing was timed. Counted for GeForce RTX 3090 (sm_86)\n")


# -- what learners write -------------------------------------------------------------------------------------------
OP = '''
"""Doubling."""
from warpbench.contract import Operation, Output, Rung, Shapes, Tolerance

def _inputs(shape, dtype, seed):
    import torch
    return {"x": torch.rand(shape["n"], generator=torch.Generator().manual_seed(seed)) + 1}

OPERATION = Operation(
    name="broken", title="out = 2 x", axes=("n",),
    shapes=Shapes(tiny=({"n": 64},), ragged=({"n": 33},), large=({"n": 1 << 20},)),
    inputs=_inputs,
    outputs=lambda shape, dtype: {"out": Output((shape["n"],), "f32")},
    reference=lambda x: {"out": x.double() * 2},
    rival=lambda x: x * 2,
    bytes_read=lambda shape, dtype: 4 * shape["n"], bytes_written=lambda shape, dtype: 4 * shape["n"],
    flops=lambda shape, dtype: shape["n"],
    tolerance=lambda shape, dtype, accumulator: Tolerance(1e-6, 0.0, "one rounding"),
    ladder=(LADDER),
)
'''
# rung -> (its file, the words that tell what is wrong with it)
BROKEN = {
    "torn": ("def torn(x, out:\n", "E1  kernels/broken/in_numba_torn.py:1 does not parse: "),
    "loads": ("ONE = 1\nTWO = 1 / 0\n", "in_numba_loads.py:2 raises ZeroDivisionError when it is loaded"),
    "lacks": ("def other(x, out): pass\n", "in_numba_lacks.py defines no `lacks`, but op.py has a row for it."),
    "raises": ("def raises(x, out):\n    x.nothing\n", "E2  in_numba_raises.py:2 raises AttributeError: "),
    "endless": (
        "from numba import cuda\n\n@cuda.jit\ndef _kernel(x, out):\n    while x[0] > 0:\n        out[0] = x[0]\n\n"
        "def endless(x, out):\n    _kernel[1, 32](x, out)\n",
        "E3  did not end within 2 s (n=33, f32, seed 1) and was stopped; look at: what its loops wait for",
    ),
    "waits": ("def waits(x, out):\n    while True: pass\n", "E3  did not end within 2 s (n=33, f32, seed 1)"),
}


def write_broken(folder):
    """An operation each of whose rungs is broken in its own way."""
    folder.mkdir()
    (folder / "__init__.py").touch()
    rows = "".join(f'Rung("in_numba_{name}:{name}", "broken"),' for name in BROKEN)
    (folder / "op.py").write_text(OP.replace("LADDER", rows))
    for name, (text, _) in BROKEN.items():
        (folder / f"in_numba_{name}.py").write_text(text)


@pytest.mark.slow
def test_broken_kernel_files_are_told_in_the_learners_coordinates(checkout):
    done = checkout.run("check", "broken", "--quick", "--limit", "2")
    assert done.code == errors.WRONG
    assert "Traceback" not in done.out + done.err
    lines = done.out.splitlines()
    for name, (_, words) in BROKEN.items():
        at = next(i for i, line in enumerate(lines) if line.startswith(f"fail  broken/numba/{name}"))
        assert words in lines[at + 1]
    assert lines[-1].endswith(f": {len(BROKEN)} fail")


@pytest.mark.slow
def test_a_rung_that_never_ends_is_no_reason_to_wait(checkout):
    done = checkout.run("profile", "broken/waits", "--quick", "--limit", "1")
    assert done.code == errors.WRONG
    assert "did not end within 1 s (n=64, f32, seed 1) and was stopped" in done.out
    assert "1 rung: 1 fail" in done.out


def test_a_file_that_does_not_parse_is_found_without_running_it(checkout):
    done = checkout.run("catalogue", "check")
    assert done.code == errors.WRONG
    assert "kernels/broken/in_numba_torn.py:1 does not parse: " in done.out
    assert "kernels/broken/in_numba_lacks.py defines no `lacks`, but op.py has a row for it." in done.out
    done = checkout.run("inspect", "broken/numba/torn", "--ptx")
    assert done.code == errors.WRONG
    assert "// kernels/broken/in_numba_torn.py:1 does not parse: " in done.out


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("from nowhere import it\n", errors.ENVIRONMENT, "nowhere is not installed."),
        ("OPERATION = 3\n", errors.WRONG, "op.py has no OPERATION = Operation(...). Nothing was listed."),
        ("x = (\n", errors.WRONG, "op.py:1 does not parse: '(' was never closed. Nothing was run."),
        (
            OP.replace("LADDER", 'Rung("in_numba:a", "b", needs=("fp9",)),'),
            errors.WRONG,
            "a rung needs an unknown feature 'fp9'. Nearest: ",
        ),
    ],
)
def test_an_op_file_that_is_wrong(tmp_path_factory, text, code, words):
    checkout = Checkout(tmp_path_factory.mktemp("checkout"), "vector_add")
    folder = checkout.root / "kernels" / "broken"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "in_numba.py").write_text("def a(x, out): pass\n")
    (folder / "op.py").write_text(text)
    done = checkout.run("check", "broken")
    assert (done.code, done.out) == (code, "")
    assert words in one_line(done.err)
