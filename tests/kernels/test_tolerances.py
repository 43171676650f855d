"""The tolerances let an honest float32 kernel pass, and nothing that computes in a narrower type."""

from __future__ import annotations

import math

import pytest
import torch

from warpbench import catalogue

OPERATIONS = catalogue.operations()


def as_tf32(x):
    """x rounded to 11 significant bits, as tensor cores read float32 unless told not to (ties away from zero)."""
    return ((x.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def as_bf16(x):
    return x.bfloat16().float()


def as_f16(x):
    return x.half().float()


def as_it_is(x):
    return x


# operation -> what a kernel computes that rounds to a type what it reads and what it keeps
COMPUTE = {
    "vector_add": lambda r, x, y: r(x) + r(y),
    "axpy": lambda r, a, x, y: a * r(x) + r(y),
    "scale_bias": lambda r, x: r(0.5 * r(x) + 1),
    "argmax": lambda r, x: r(x).argmax().reshape(1),
    "reduce_sum": lambda r, x: r(r(x).reshape(-1, 64).sum(1)).sum().reshape(1),
    "stencil_1d": lambda r, x: r(
        torch.nn.functional.conv1d(r(x).reshape(1, 1, -1), torch.tensor([[[1.0, 6, 15, 20, 15, 6, 1]]]) / 64, padding=3)
    ).reshape(-1),
    "scan": lambda r, x: r(r(x).cumsum(0) - r(x)),
    "outer_add": lambda r, a, b: r(a)[:, None] + r(b),
    "softmax": lambda r, x: torch.softmax(r(x), 1),
    "gemm_f32": lambda r, a, b: r(a) @ r(b),
    "gemm_fp8": lambda r, a, b: (
        r(r(a.float()[:, ::2]) @ r(b.float()[:, ::2]).t()) + r(a.float()[:, 1::2]) @ r(b.float()[:, 1::2]).t()
    ),
    "attention": lambda r, q, k, v, causal: r(torch.softmax(scores(r(q), r(k), causal), 2)) @ r(v),
}
# the widest type that must not pass. The sums of gemm_fp8 hold more bits than float16 keeps; its inputs hold fewer
NARROW = dict.fromkeys(COMPUTE, (as_tf32, as_bf16)) | {"gemm_fp8": (as_f16, as_bf16)}


def scores(q, k, causal):
    s = q @ k.transpose(1, 2) / math.sqrt(q.shape[2])
    return s.masked_fill(torch.ones(s.shape[1:], dtype=torch.bool).triu(1), -float("inf")) if causal else s


def worst(operation, rounding, shape, seed) -> float:
    """Largest error of an output in units of the tolerance."""
    dtype = operation.ladder[0].dtypes[0]
    inputs = operation.inputs(shape, dtype, seed)
    got = COMPUTE[operation.name](rounding, *inputs.values())
    (want,) = operation.reference(**inputs).values()
    tolerance = operation.tolerance(shape, dtype, "f32")
    error = (got.double() - want).abs()
    return torch.where(error == 0, error, error / (tolerance.atol + tolerance.rtol * want.abs())).max().item()


def test_every_operation_that_computes_is_here():
    moves = {name for name, operation in OPERATIONS.items() if operation.flops(operation.shapes.tiny[0], "f32") == 0}
    assert moves >= {"transpose", "copy_2d"}
    for name in moves:
        tolerance = OPERATIONS[name].tolerance(OPERATIONS[name].shapes.tiny[0], "f32", "f32")
        assert (tolerance.rtol, tolerance.atol) == (0.0, 0.0)
    assert COMPUTE.keys() == OPERATIONS.keys() - moves


@pytest.mark.parametrize("name", COMPUTE)
@pytest.mark.parametrize("seed", range(3))
def test_float32_passes_with_room(name, seed):
    operation = OPERATIONS[name]
    for shape in operation.shapes.tiny:
        assert worst(operation, as_it_is, shape, seed) < 0.5


@pytest.mark.parametrize("name", COMPUTE)
@pytest.mark.parametrize("seed", range(3))
def test_narrower_types_do_not(name, seed):
    operation = OPERATIONS[name]
    for rounding in NARROW[name]:
        for shape in operation.shapes.tiny:
            assert worst(operation, rounding, shape, seed) > 4, rounding.__name__
