"""A small catalogue in a temporary folder: an operation whose "kernels" are plain torch, for tests of the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

OP = '''
"""Doubling."""
from warpbench.contract import Operation, Output, Rung, Shapes, Tolerance

def _inputs(shape, dtype, seed):
    import torch
    return {"x": torch.rand(shape["n"], generator=torch.Generator().manual_seed(seed)) + 1, "factor": 2.0}

def _hard(shape, dtype):
    import torch
    return {"x": torch.full((shape["n"],), float("inf")), "factor": 2.0}

OPERATION = Operation(
    name="double", title="out = 2 x", axes=("n",),
    shapes=Shapes(tiny=({"n": 64},), ragged=({"n": 1}, {"n": 33}), large=({"n": 1 << 20},)),
    inputs=_inputs,
    outputs=lambda shape, dtype: {"out": Output((shape["n"],), "f32")},
    reference=lambda x, factor: {"out": x.double() * factor},
    rival=lambda x, factor: x * factor,
    bytes_read=lambda shape, dtype: 4 * shape["n"], bytes_written=lambda shape, dtype: 4 * shape["n"],
    flops=lambda shape, dtype: shape["n"],
    tolerance=lambda shape, dtype, accumulator: Tolerance(1e-6, 0.0, "one rounding"),
    ladder=(
        Rung("in_numba:plain", "start here"),
        Rung("in_numba:other", "another", needs=("fp8",)),
    ),
    adversarial={"hard": _hard},
)
'''

KERNELS = '''
"""Doubling."""
import time

LIMIT = 3

def _helper(x):
    return x * 2

def plain(x, factor, out, *, BLOCK=32):
    out.copy_(_helper(x))

def other(x, factor, out):
    out.copy_(x * factor)
'''


@pytest.fixture
def make_catalogue(tmp_path):
    """make_catalogue(kernels=..., op=..., name=...): writes the operation `double`, returns the catalogue's root."""

    def make(kernels: str = KERNELS, op: str = OP, name: str = "kernels") -> Path:
        folder = tmp_path / name / "double"
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "op.py").write_text(op)
        (folder / "in_numba.py").write_text(kernels)
        return tmp_path / name

    return make


@pytest.fixture
def h100(monkeypatch, tmp_path):
    """A card that is not there (fake_card), plugged in."""
    from tests.engine import fake_card  # torch: only the tests that measure need it

    yield from fake_card.used(monkeypatch, tmp_path)


@pytest.fixture
def profile(h100, make_catalogue):
    """profile(kernels, ...): the outcome of profiling `double` on it."""
    from tests.engine import fake_card

    def run(kernels=fake_card.GOOD, name="kernels", **more):
        return fake_card.profile(make_catalogue(kernels, fake_card.OP, name), **more)

    return run
