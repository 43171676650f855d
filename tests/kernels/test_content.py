"""What can be said of every kernel file without compiling it: it is explained, stands alone, and fits its ladder."""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from pathlib import Path

import pytest

from warpbench import catalogue
from warpbench.contract import DSLS

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "kernels"
OPERATIONS = catalogue.operations()
RUNGS = [(operation, rung) for operation in OPERATIONS.values() for rung in operation.ladder]
PYTHON_FILES = sorted(KERNELS.glob("*/in_*.py"))
SOURCES = sorted([*PYTHON_FILES, *KERNELS.glob("*/in_*.cu")])

# what a kernel file may import beside the standard library: torch, numpy for scalars, and its DSL
ALLOWED = {"numba": {"numba", "numpy"}, "cupy": {"cupy", "numpy"}, "triton": {"triton"}}


def name_of(path: Path) -> str:
    return str(path.relative_to(KERNELS))


def rung_id(pair) -> str:
    return pair[0].rung_path(pair[1])


def comment_lines(path: Path) -> set[int]:
    """Numbers of the lines that hold a comment, alone or behind code; a ruled line is none."""
    if path.suffix == ".cu":
        lines = path.read_text(encoding="utf-8").splitlines()
        return {number for number, line in enumerate(lines, 1) if "//" in line and "-----" not in line}
    with path.open("rb") as file:
        return {
            t.start[0]
            for t in tokenize.tokenize(file.readline)
            if t.type == tokenize.COMMENT and "-----" not in t.string
        }


def blocks_of(path: Path) -> list[str]:
    """The parts of a kernel file that begin with an idea, each up to the next."""
    text = path.read_text(encoding="utf-8")
    starts = [match.start() for match in re.finditer(r"^(#|//) Idea:", text, re.M)]
    return [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


def test_there_is_content():
    assert len(OPERATIONS) >= 9
    assert len(RUNGS) >= 50
    assert len(SOURCES) >= 36


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_ladder_has_a_naive_and_a_better_rung_in_each_dsl(operation):
    for dsl in DSLS:
        rungs = [rung for rung in operation.ladder if rung.dsl == dsl]
        assert len(rungs) >= 2, f"{operation.name} has {len(rungs)} rungs in {dsl}"
        first, *better = rungs
        assert not first.shows, f"{operation.rung_path(first)}: the first rung has nothing to prove"
        assert first.counts is None
        assert not first.needs, f"{operation.rung_path(first)}: the first rung must run everywhere"
        for rung in better:
            assert rung.shows or rung.counts, f"{operation.rung_path(rung)} does not say what proves its idea"


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_operation_is_told_in_full(operation):
    folder = KERNELS / operation.name
    assert (folder / "__init__.py").read_text(encoding="utf-8") == ""
    assert len((folder / "notes.md").read_text(encoding="utf-8").split()) > 60
    story = ast.get_docstring(ast.parse((folder / "op.py").read_text(encoding="utf-8")))
    assert story is not None
    assert "Floor:" in story
    for make in operation.adversarial.values():
        assert make.__doc__, f"{operation.name}: {make.__name__} does not say what it is for"


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_shapes_name_the_axes_and_serve_every_rung(operation):
    shapes = operation.shapes
    for shape in (*shapes.tiny, *shapes.ragged, *shapes.large):
        assert tuple(shape) == operation.axes
    for rung in operation.ladder:
        path = operation.rung_path(rung)
        assert rung.serves(shapes.tiny[0]), f"{path} does not serve the first tiny shape, at which claims are proved"
        assert any(rung.serves(shape) for shape in shapes.ragged), f"{path} is never checked on a ragged shape"
        assert any(rung.serves(shape) for shape in shapes.large), f"{path} is never timed"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=name_of)
def test_imports_torch_and_one_dsl_only(path):
    dsl = path.stem.removeprefix("in_").partition("_")[0]
    allowed = {"torch", *ALLOWED[dsl], *sys.stdlib_module_names}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert imports
    for node in imports:
        assert getattr(node, "level", 0) == 0, f"{name_of(path)}:{node.lineno} imports from its own folder"
        names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        for name in names:
            assert name.partition(".")[0] in allowed, f"{name_of(path)}:{node.lineno} imports {name}"


@pytest.mark.parametrize("pair", RUNGS, ids=rung_id)
def test_rung_takes_inputs_then_outputs_then_keywords(pair):
    operation, rung = pair
    shape = operation.shapes.ragged[0]
    names = [*operation.inputs(shape, rung.dtypes[0], 0), *operation.outputs(shape, rung.dtypes[0])]
    tree = ast.parse((KERNELS / operation.name / f"{rung.module}.py").read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    arguments = functions[rung.name].args
    assert [argument.arg for argument in arguments.args] == names
    assert arguments.vararg is None
    assert arguments.kwarg is None
    assert all(default is not None for default in arguments.kw_defaults), "a tile size without a default"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_source_is_explained(path):
    """Ideas with what should help and what it costs; between 15 % and 50 % of the lines carry a comment."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert len(lines) <= 400
    assert all(len(line) <= 120 for line in lines)
    if path.stem.startswith("in_cupy") and path.suffix == ".py":
        return  # launch geometry only: the ideas stand in the .cu beside it
    share = len(comment_lines(path)) / sum(1 for line in lines if line.strip())
    assert 0.15 <= share <= 0.5, f"{name_of(path)}: {share:.0%} of the lines carry a comment"
    blocks = blocks_of(path)
    for block in blocks:
        idea = block.partition("\n")[0]
        assert re.search(r"^(#|//) Should help:", block, re.M), f"{name_of(path)}: {idea}: what should it help?"
        assert re.search(r"^(#|//) Costs:", block, re.M), f"{name_of(path)}: {idea}: what does it cost?"
        assert len(block.splitlines()) <= 90, f"{name_of(path)}: {idea}: longer than a rung may be"
    folder, module = path.parent.name, path.stem
    rungs = [rung for rung in OPERATIONS[folder].ladder if rung.module == module]
    assert len(blocks) == len(rungs), f"{name_of(path)}: {len(rungs)} rungs, {len(blocks)} ideas"


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_cuda_entry_points_and_rungs_agree(operation):
    """A rung of in_cupy.py launches only entries that in_cupy.cu has, and every entry is launched."""
    for path in (KERNELS / operation.name).glob("in_cupy*.cu"):
        text = path.read_text(encoding="utf-8")
        entries = set(re.findall(r'extern "C" __global__ void (?:__launch_bounds__\(\w+\)\s+)?(\w+)\(', text))
        launched = set(re.findall(r'(?:get_function|_launch)\(\s*"(\w+)"', path.with_suffix(".py").read_text("utf-8")))
        assert entries
        assert launched == entries


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_inputs_come_from_the_seed(operation):
    import torch

    for rung in operation.ladder:
        shape, dtype = operation.shapes.ragged[-1], rung.dtypes[0]
        first, again, other = (operation.inputs(shape, dtype, seed) for seed in (3, 3, 4))
        tensors = {name for name, value in first.items() if isinstance(value, torch.Tensor)}
        assert tensors
        for name in tensors:
            a, b, c = (
                bytes(inputs[name].contiguous().view(torch.uint8).flatten().tolist())
                for inputs in (first, again, other)
            )
            assert a == b, f"{operation.name}: {name} differs between two draws from one seed"
            assert a != c, f"{operation.name}: {name} does not depend on the seed"
            assert first[name].device.type == "cpu"
            assert first[name].is_contiguous()


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_reference_is_wide_and_fits_the_outputs(operation):
    import torch

    for rung in {rung.dtypes: rung for rung in operation.ladder}.values():
        for shape in (*operation.shapes.tiny, *operation.shapes.ragged):
            cases = {"seed": operation.inputs(shape, rung.dtypes[0], 0)}
            cases |= {name: make(shape, rung.dtypes[0]) for name, make in operation.adversarial.items()}
            for name, inputs in cases.items():
                want = operation.reference(**inputs)
                outputs = operation.outputs(shape, rung.dtypes[0])
                assert want.keys() == outputs.keys()
                for output, tensor in want.items():
                    assert tensor.dtype in (torch.float64, torch.int64), f"{name}: {tensor.dtype}"
                    assert tuple(tensor.shape) == outputs[output].shape


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_figures_are_whole_and_positive(operation):
    for rung in operation.ladder:
        for shape in (*operation.shapes.tiny, *operation.shapes.ragged, *operation.shapes.large):
            assert isinstance(operation.bytes_read(shape, rung.dtypes[0]), int)
            assert operation.bytes_read(shape, rung.dtypes[0]) > 0
            assert operation.bytes_written(shape, rung.dtypes[0]) > 0
            assert operation.flops(shape, rung.dtypes[0]) >= 0
            tolerance = operation.tolerance(shape, rung.dtypes[0], rung.accumulator)
            assert 0 <= tolerance.rtol < 0.01
            assert len(tolerance.why.split()) >= 5
