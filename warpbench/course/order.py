"""C4: are the bits of a result the same in whatever order blocks and warps run?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from warpbench import check as engine
from warpbench.course.findings import Finding, finding

if TYPE_CHECKING:
    from warpbench.course.check import Trial, Variant

ORDERS = (None, 1, 2, 3)  # the usual order, and seeds of shuffled ones
# Operations like to draw numbers whose sums are exact in any order. Times this they are not, and keep sign and rank.
INEXACT = 1.2345678


def check_largest(trial: Trial) -> list[Finding]:
    """The largest ragged shape of each element type and variant, in every order: none or one finding."""
    largest: dict[str, engine.Case] = {}
    for case in engine.cases(trial.operation, trial.rung, full=False):
        known = largest.get(case.dtype)
        if known is None or math.prod(case.sizes.values()) > math.prod(known.sizes.values()):
            largest[case.dtype] = case
    for case in largest.values():
        for variant in trial.exercise.variants:
            found = check(trial, case, variant)
            if found:
                return found
    return []


def check(trial: Trial, case: engine.Case, variant: Variant) -> list[Finding]:
    """A case in every order: a finding where two orders give other bits, else none."""
    first = _outputs(trial, replace(case, schedule=ORDERS[0]), variant)
    for seed in ORDERS[1:]:
        other = _outputs(trial, replace(case, schedule=seed), variant)
        if first is None or other is None:
            continue
        for name in first:
            words = _difference(name, first[name], other[name])
            if words:
                place = f"at {replace(case, schedule=None)}, in the usual order and in a shuffled one (seed {seed})"
                return [finding("C4", trial.exercise, trial.files[0].name, [words, place])]
    return []


def _outputs(trial: Trial, case: engine.Case, variant: Variant) -> Mapping[str, Any] | None:
    """The outputs of a run; None where it was stopped by a fault, which is not a matter of order."""
    trial.begin(str(case))
    tensors = engine.place(trial.operation, case)
    for placed in tensors.inputs.values():
        if placed.tensor.is_floating_point() and placed.tensor.element_size() >= 4:
            placed.tensor.mul_(INEXACT)
    try:
        trial.backend.run(partial(trial.call(variant), *tensors.arguments.values()), tensors.by_name, case, True)
    except Exception as error:
        if trial.backend.explain(error, trial.files) is None:
            raise
        return None
    return {name: placed.tensor for name, placed in tensors.outputs.items()}


def _difference(name: str, one: Any, two: Any) -> str:
    """How the bits of two tensors differ, in words; "" where they are equal."""
    size = one.element_size()
    bits = [t.contiguous().view(-1).numpy().view(f"u{size}") for t in (one, two)]
    places = np.flatnonzero(bits[0] != bits[1])
    if not places.size:
        return ""
    index = [int(i) for i in np.unravel_index(places[0], tuple(one.shape))] if one.dim() else []
    shown = f"{name}[{', '.join(map(str, index))}]" if index else name
    values = [t.reshape(-1)[int(places[0])].item() for t in (one, two)]
    return f"{places.size:,} of {bits[0].size:,} elements of {name} differ: {shown} is {values[0]!r} and {values[1]!r}"
