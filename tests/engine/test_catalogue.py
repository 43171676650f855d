"""Finding operations, choosing rungs, and proving that rows and files agree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from warpbench import catalogue
from warpbench.errors import EnvironmentProblem, KernelWrong, UsageError, missing_package, unknown

GOOD = "def plain(x, factor, out, *, BLOCK=32):\n    pass\n\ndef other(x, factor, out):\n    pass\n"


# -- this repository -----------------------------------------------------------------------------------------------
def test_the_repository_has_operations_and_they_agree_with_their_files():
    assert len(catalogue.rungs()) >= 20
    assert {rung.dsl for _, rung in catalogue.rungs()} == {"numba", "cupy", "triton"}
    assert catalogue.check() == []


def test_listing_imports_no_library():
    code = (
        "import sys; from warpbench import catalogue; catalogue.rungs(); catalogue.check();"
        "print([m for m in ('torch', 'triton', 'numba', 'cupy', 'numpy', 'rich', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=catalogue.ROOT)
    assert done.stdout.strip() == "[]"


# -- choosing ------------------------------------------------------------------------------------------------------
def paths(pattern, root):
    return [operation.rung_path(rung) for operation, rung in catalogue.select(pattern, root)]


def test_select_takes_operations_dsls_and_rungs(make_catalogue):
    root = make_catalogue()
    both = ["double/numba/plain", "double/numba/other"]
    assert paths(None, root) == paths("", root) == paths("double", root) == paths("double/numba", root) == both
    assert paths("double/numba/other", root) == paths("double/other", root) == ["double/numba/other"]
    assert paths("double/", root) == both
    assert paths("*/numba", root) == paths("do*", root) == paths("*/numba/*", root) == both
    assert paths("*/o?her", root) == paths("*/numba/other", root) == ["double/numba/other"]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("*/triton", 'no rung matches "*/triton"'),
        ("dubble", 'no operation "dubble". Nearest: double.'),
        ("zzz", "Known: double"),
        ("double/nunba", 'no DSL or rung "nunba". Nearest: numba'),
        ("double/nunba/plain", 'no DSL "nunba". Nearest: numba'),
        ("double/numba/plani", "Nearest: double/numba/plain"),
        ("double/triton", "double has no triton rung. Nothing was run. It has: numba."),
        ("double/numba/plain/x", "too many parts"),
    ],
)
def test_a_name_that_is_not_there_names_the_nearest(make_catalogue, pattern, words):
    with pytest.raises(UsageError) as error:
        catalogue.select(pattern, make_catalogue())
    assert words in str(error.value)
    assert "Nothing was run." in str(error.value)


def test_unknown_names_with_nothing_to_choose_from():
    assert "none at all" in str(unknown("card", "x", []))


# -- loading -------------------------------------------------------------------------------------------------------
def first(root):
    return catalogue.select("double/numba/plain", root)[0]


def test_function_loads_the_rung(make_catalogue):
    root = make_catalogue()
    assert catalogue.function(*first(root), root).__name__ == "plain"


@pytest.mark.parametrize(
    ("kernels", "error", "words"),
    [
        ("def plain(:\n", KernelWrong, "in_numba.py:1 does not parse"),
        ("x = 1\ny = x / 0\n", KernelWrong, "in_numba.py:2 raises ZeroDivisionError when it is loaded"),
        ("def other(): pass\n", KernelWrong, "defines no `plain`, but op.py has a row for it"),
        ("import nowhere_to_be_found\n", EnvironmentProblem, "nowhere_to_be_found is not installed"),
    ],
)
def test_a_kernel_file_that_does_not_load_is_named_with_its_line(make_catalogue, kernels, error, words):
    root = make_catalogue(kernels)
    with pytest.raises(error) as found:
        catalogue.function(*first(root), root)
    assert words in str(found.value)


def test_an_op_file_that_does_not_load_is_named(make_catalogue):
    with pytest.raises(KernelWrong, match=r"op.py:2 raises NameError"):
        catalogue.operations(make_catalogue(op="x = 1\nundefined\n"))
    with pytest.raises(KernelWrong, match="has no OPERATION"):
        catalogue.operations(make_catalogue(op="x = 1\n", name="another"))


def test_missing_packages_name_the_line_that_installs_them():
    assert "pip install cupy-cuda13x" in str(missing_package("cupy"))
    assert "pip install 'numba-cuda[cu13]'" in str(missing_package("numba.cuda"))


def test_another_package_called_kernels_is_told(tmp_path):
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").touch()
    code = """
from warpbench import catalogue, errors
try: catalogue.operations()
except errors.EnvironmentProblem as e: print(e)
"""
    environment = {"PYTHONPATH": f"{tmp_path}:{catalogue.ROOT}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path
    )
    assert "another package called `kernels` is imported first" in done.stdout
    assert str(tmp_path) in done.stdout


# -- identity ------------------------------------------------------------------------------------------------------
BASE = '''
"""Text."""
SIZE = 32
UNUSED = 1

def _helper(x):
    return x + SIZE

def plain(x, factor, out):
    out.copy_(_helper(x))

def other(x, factor, out):
    out.copy_(UNUSED * x)
'''


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("SIZE = 32", "SIZE = 64", True),
        ("x + SIZE", "x - SIZE", True),
        ("out.copy_(_helper(x))", "out.copy_(_helper(2 * x))", True),
        ("UNUSED = 1", "UNUSED = 2", False),
        ("UNUSED * x", "x", False),
        ('"""Text."""', '"""Other text."""  # and a comment', False),
        ("SIZE = 32", "SIZE = 32  # a comment\nANOTHER = 3", False),
        ("SIZE = 32", "SIZE = 32\nprint('done when the file is loaded')", True),
    ],
)
def test_a_rungs_hash_covers_what_it_reaches_and_nothing_else(make_catalogue, old, new, changes):
    root = make_catalogue(BASE)
    before = catalogue.rung_sha256(*first(root), root)
    assert old in BASE
    (root / "double" / "in_numba.py").write_text(BASE.replace(old, new, 1))
    assert (catalogue.rung_sha256(*first(root), root) != before) == changes


def test_a_rungs_hash_covers_the_whole_cuda_file(make_catalogue):
    root = make_catalogue(BASE)
    file = root / "double" / "in_numba.cu"
    file.write_text("// a\n")
    before = catalogue.rung_sha256(*first(root), root)
    file.write_text("// b\n")
    assert catalogue.rung_sha256(*first(root), root) != before


def test_a_file_that_does_not_parse_still_has_a_hash(make_catalogue):
    root = make_catalogue("def plain(:\n")
    assert len(catalogue.rung_sha256(*first(root), root)) == 64


# -- proof ---------------------------------------------------------------------------------------------------------
def test_a_sound_catalogue_has_no_problem(make_catalogue):
    assert catalogue.check(make_catalogue(GOOD)) == []


@pytest.mark.parametrize(
    ("kernels", "words"),
    [
        (
            GOOD + "def third(x): pass\n",
            "defines `third`, but op.py has no row for it. Add a Rung, or start its name with an underscore.",
        ),
        ("def plain(x, factor, out): pass\n", "defines no `other`, but op.py has a row for it."),
        ("def plain(:\n", "in_numba.py:1 does not parse"),
        (GOOD.replace("*, BLOCK", "BLOCK"), "`plain` has optional positional arguments"),
        (GOOD.replace("BLOCK=32", "BLOCK"), "`plain` has a keyword argument without a default"),
    ],
)
def test_files_that_disagree_with_rows(make_catalogue, kernels, words):
    problems = catalogue.check(make_catalogue(kernels))
    assert len(problems) == 1
    assert words in problems[0]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name="double"', 'name="triple"', 'op.py says name="triple", but the folder is double'),
        ('needs=("fp8",)', 'needs=("fp9",)', "unknown feature 'fp9'. Nearest:"),
        ('needs=("fp8",)', 'when="m > 3"', "cannot be evaluated: name 'm' is not defined"),
        ('needs=("fp8",)', 'when="n > 100"', "leaves it no tiny shape"),
        ('needs=("fp8",)', 'when="n < 100"', "leaves it no large shape"),
        ('needs=("fp8",)', 'dtypes=("f31",)', "dtype f31 is unknown"),
        ('needs=("fp8",)', 'shows={"sm90": ("x",)}', 'shows has the condition "sm90"'),
        ("in_numba:other", "in_numba:plain", "stands twice in the ladder"),
        ("in_numba:other", "in_metal:other", "there is no DSL metal"),
        ("in_numba:other", "numba.other", 'it must be "in_<dsl>:<function>"'),
        ('"another"', '" "', "the idea is empty"),
        ('ragged=({"n": 1}, {"n": 33})', "ragged=()", "there are no ragged shapes"),
        ('({"n": 64},)', '({"m": 64},)', "tiny shape {'m': 64} does not have the axes n"),
    ],
)
def test_rows_that_are_wrong(make_catalogue, old, new, words):
    text = (Path(__file__).parent / "conftest.py").read_text().split("'''")[1]
    assert old in text
    problems = catalogue.check(make_catalogue(GOOD, op=text.replace(old, new)))
    assert any(words in problem for problem in problems), problems


def test_strays_and_empty_folders(make_catalogue, tmp_path):
    root = make_catalogue(GOOD)
    (root / "double" / "__init__.py").unlink()
    stray = root / "half"
    stray.mkdir()
    (stray / "in_triton.py").touch()
    problems = catalogue.check(root)
    assert any("__init__.py is missing" in problem for problem in problems)
    assert any("half holds kernels, but no op.py" in problem for problem in problems)
    (tmp_path / "empty").mkdir()
    assert "holds no operation" in catalogue.check(tmp_path / "empty")[0]
