"""Wrong answers that every exercise must reject, made from its solution: what comes back is put in place of the result.

zeros              nothing but zeros
copy of an input   the first tensor that came in, as often as it fits
lower precision    the right result, rounded to about half of its bits
previous output    what the call before gave for this shape: a result that was kept and not computed
"""

from __future__ import annotations

from typing import Any

from warpbench import catalogue
from warpbench.contract import Operation
from warpbench.course.catalogue import Exercise

NAMES = {
    "zeros": "out.zero_()",
    "copy of an input": "out.copy_(_filled(arguments, out))",
    "lower precision": "out.copy_(out.to(_LOWER[out.dtype])) if out.dtype in _LOWER else None",
    "previous output": "_previous(out)",
}
WRAPPER = """

import torch as _torch

_answer = {id}
_LOWER = {{_torch.float32: _torch.bfloat16, _torch.float64: _torch.bfloat16,
          _torch.float16: _torch.float8_e4m3fn, _torch.bfloat16: _torch.float8_e4m3fn}}
_kept = {{}}


def _filled(arguments, out):
    source = next(a for a in arguments[:-{outputs}] if hasattr(a, "element_size")).reshape(-1)
    times = -(-out.numel() // max(source.numel(), 1))
    return source.repeat(times)[: out.numel()].reshape(out.shape)


def _previous(out):
    key = tuple(out.shape), out.dtype
    before = _kept.get(key)
    _kept[key] = out.clone()
    if before is not None:
        out.copy_(before)


def {id}(*arguments, **options):
    _answer(*arguments, **options)
    for out in arguments[-{outputs}:]:
        {change}
"""


def text(exercise: Exercise, solution: str, name: str) -> str | None:
    """The solution's module as a mutant; None where it is none: of integers in lower precision, of a right copy."""
    operation = catalogue.operations()[exercise.operation]
    shape = operation.shapes.ragged[0] if operation.shapes.ragged else operation.shapes.tiny[0]
    outputs = operation.outputs(shape, "f32").values()
    if name == "lower precision" and not any(one.dtype in ("f64", "f32", "f16", "bf16") for one in outputs):
        return None
    if name == "copy of an input" and _copies(operation, shape):
        return None
    return solution + WRAPPER.format(id=exercise.id, outputs=len(outputs), change=NAMES[name])


def _copies(operation: Operation, shape: Any) -> bool:
    """Whether the right answer is the first input as it is."""
    inputs = operation.inputs(shape, operation.ladder[0].dtypes[0], 1)
    first = next(one for one in inputs.values() if hasattr(one, "element_size"))
    return all(bool((one.reshape(-1) == first.reshape(-1)[: one.numel()]).all()) and one.numel() == first.numel()
               for one in operation.reference(**inputs).values())  # fmt: skip
