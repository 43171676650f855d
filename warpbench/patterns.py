"""From which elements are wrong, and how: the guess at the cause that is told beside the first wrong element.

Decided from the whole tensor before any number is printed. A guess is worded as a question; `other` says nothing. The
pattern decides the finding's code too: C1 wrong values, C2 no better than zeros, a copy or a lower precision, C3 not
written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Tensor = Any  # torch.Tensor

NAMES = (
    "stale", "zeros", "copy_of_input", "nan_origin", "transposed", "scaled", "shifted", "tail", "one_column",
    "alternate_lanes", "lower_precision", "other",
)  # fmt: skip


@dataclass(frozen=True)
class Pattern:
    """A name out of NAMES, a guess for the learner ("" for other) and the code of the finding."""

    name: str
    guess: str
    code: str = "C1"


def diagnose(got: Tensor, want: Tensor, wrong: Tensor, unwritten: Tensor, inputs: Mapping[str, Tensor]) -> Pattern:
    """The pattern of an output's errors.

    got, want   float64, same shape; wrong, unwritten: bool, same shape, `wrong` not empty
    inputs      name -> input tensor of any shape and dtype
    """
    share = float(wrong.double().mean())
    if bool(unwritten.any()):
        where = _where(unwritten)
        phrase = where.guess if where else "who should write these elements?"
        return Pattern("stale", phrase, "C3")
    for pattern in (_zeros(got, want), _copy(got, inputs) if share > 0.25 else None, _not_a_number(got, want, wrong)):
        if pattern:
            return pattern
    if share > 0.25 and wrong.numel() >= 4:
        for pattern in (_transposed(got, want, wrong), _scaled(got, want, wrong), _shifted(got, want, wrong)):
            if pattern:
                return pattern
    return _where(wrong) or _scaled_rows(got, want, wrong) or _lower_precision(got, want, wrong) or Pattern("other", "")


# -- by value ------------------------------------------------------------------------------------------------------
def _zeros(got: Tensor, want: Tensor) -> Pattern | None:
    if want.numel() > 1 and not bool((got != 0).any()):
        return Pattern("zeros", "everything is 0: is the result ever stored?", "C2")
    return None


def _copy(got: Tensor, inputs: Mapping[str, Tensor]) -> Pattern | None:
    for name, tensor in inputs.items():
        if tensor.numel() == got.numel() > 1 and bool((tensor.double().flatten() == got.flatten()).all()):
            return Pattern("copy_of_input", f"it is a copy of {name}: is anything computed?", "C2")
    return None


def _not_a_number(got: Tensor, want: Tensor, wrong: Tensor) -> Pattern | None:
    """NaN or infinity where the reference has a number, or the reverse, in at least half of the wrong elements."""
    nan = wrong & got.isnan() & ~want.isnan()
    overflow = wrong & got.isinf() & want.isfinite()
    lost = wrong & got.isfinite() & ~want.isfinite()
    half = int(wrong.sum()) / 2
    if int(nan.sum()) >= half:
        return Pattern(
            "nan_origin", _origin(want, "NaN where a number is wanted: which 0/0, inf - inf or unwritten value enters?")
        )
    if int(overflow.sum()) >= half:
        return Pattern("nan_origin", "infinite where a number is wanted: which intermediate value overflows?")
    if int(lost.sum()) >= half:
        return Pattern("nan_origin", "a number where NaN or infinity is wanted: does a comparison swallow it?")
    return None


def _origin(want: Tensor, text: str) -> str:
    if want.isfinite().all():
        return text
    return "NaN spreads beyond the elements that should have it: what do they share with their neighbours?"


def _transposed(got: Tensor, want: Tensor, wrong: Tensor) -> Pattern | None:
    """The last two axes swapped: as a matrix, or as memory read the other way round."""
    if want.dim() < 2 or min(want.shape[-2:]) < 2:
        return None
    rows, cols = want.shape[-2:]
    turned = want.transpose(-1, -2).reshape(*want.shape[:-2], rows, cols)  # memory of the turned matrix, cut into rows
    unturned = want.reshape(*want.shape[:-2], cols, rows).transpose(-1, -2)
    for other in (turned, unturned):
        if _same(got, other, wrong) and not _same(want, other, wrong):
            return Pattern("transposed", "it is the transposed result: are row and column swapped?")
    return None


def _scaled(got: Tensor, want: Tensor, wrong: Tensor) -> Pattern | None:
    usable = wrong & want.isfinite() & got.isfinite() & (want != 0)
    if int(usable.sum()) < 4 or int((wrong & (want == 0) & (got != 0)).sum()):
        return None
    factor = _constant(got[usable] / want[usable])
    if factor is None or float((want[usable].max() - want[usable].min()).abs()) <= 1e-6 * float(
        want[usable].abs().max()
    ):
        return None
    return Pattern(
        "scaled",
        f"every wrong element is {factor:.4g} times the reference: which constant factor is missing or twice there?",
    )


def _scaled_rows(got: Tensor, want: Tensor, wrong: Tensor) -> Pattern | None:
    """One factor a row of the last axis, and not the same for all."""
    if want.dim() < 2 or want.shape[-1] < 4:
        return None
    g, w = got.reshape(-1, want.shape[-1]), want.reshape(-1, want.shape[-1])
    rows = wrong.reshape(g.shape).any(dim=1).nonzero().flatten()[:64].tolist()
    for row in rows:
        usable = w[row].isfinite() & g[row].isfinite() & (w[row] != 0)
        if int(usable.sum()) < 4 or _constant(g[row][usable] / w[row][usable]) is None:
            return None
    return Pattern(
        "scaled", "each wrong row is the reference times one constant: is the row's sum or maximum complete?"
    )


def _constant(ratio: Tensor) -> float | None:
    """The value that all ratios share within 0.1 %, unless it is 0 or 1."""
    middle = float(ratio.median())
    if not math.isfinite(middle) or abs(middle) < 1e-6 or abs(middle - 1) < 2e-3:
        return None
    return middle if bool(((ratio - middle).abs() <= 1e-3 * abs(middle)).all()) else None


def _shifted(got: Tensor, want: Tensor, wrong: Tensor) -> Pattern | None:
    flat_got, flat_want = got.flatten(), want.flatten()
    for step in (1, -1):
        n = flat_got.numel() - 1
        here, there = (flat_got[:n], flat_want[1:]) if step == 1 else (flat_got[1:], flat_want[:n])
        if _mostly(here, there) and not _mostly(flat_want[:n], flat_want[1:]):
            side = "next" if step == 1 else "previous"
            return Pattern("shifted", f"each element is the reference of the {side} one: is an index off by one?")
    return None


def _lower_precision(got: Tensor, want: Tensor, wrong: Tensor) -> Pattern | None:
    """Many elements are off by a little: fewer bits than the tolerance asks for."""
    usable = want.isfinite() & got.isfinite()
    largest = float(want[usable].abs().max()) if bool(usable.any()) else 0.0
    if not largest or float(wrong.double().mean()) < 0.02 or bool((wrong & ~usable).any()):
        return None
    worst = float((got - want)[usable].abs().max()) / largest
    if not 0 < worst <= 2.0**-6:
        return None
    return Pattern(
        "lower_precision",
        f"it agrees to about {int(-math.log2(worst))} bits: is something computed or stored in a smaller type?",
        "C2",
    )


def _same(got: Tensor, other: Tensor, wrong: Tensor) -> bool:
    """Equal within 0.1 % in all but a few elements."""
    return _mostly(got.flatten(), other.flatten(), 0.99)


def _mostly(a: Tensor, b: Tensor, share: float = 0.95) -> bool:
    close = ((a - b).abs() <= 1e-3 * b.abs() + 1e-30) | (a.isnan() & b.isnan()) | (a == b)
    return bool(close.numel()) and float(close.double().mean()) >= share


# -- by place ------------------------------------------------------------------------------------------------------
def _where(wrong: Tensor) -> Pattern | None:
    """Whether the wrong elements have a place of their own."""
    flat = wrong.flatten()
    places = flat.nonzero().flatten()
    total, count = flat.numel(), places.numel()
    if count == total:
        return None
    first = int(places[0])
    left = total - first
    dense = 20 * count >= 19 * left and 20 * left < 19 * total
    if dense or (2 * count >= left and 4 * left <= total):
        last = f"last {left:,} elements" if left > 1 else "last element"
        return Pattern("tail", f"only the {last}: who computes what lies beyond the last full block?")
    if wrong.dim() >= 2:
        columns = wrong.reshape(-1, wrong.shape[-1])
        width, rows = columns.shape[1], columns.shape[0]
        used = columns.any(dim=0).nonzero().flatten()
        if used.numel() == 1 and width > 1 and count > 1:
            return Pattern("one_column", f"only column {int(used[0])}: what is special about it?")
        start = int(used[0])
        bad_rows = int(columns.any(dim=1).sum())
        if 4 * start >= width and 2 * count >= (width - start) * bad_rows and bad_rows > min(1, rows - 1):
            return Pattern("tail", f"only columns {start} to {width - 1}: is the tail of a row masked?")
        if bad_rows == 1 and rows > 1 and count > 1:
            row = int(columns.any(dim=1).nonzero()[0])
            return Pattern("one_column", f"only row {row}: what is special about it?")
    for period in (32, 16, 8, 4, 2):  # the longest that fits
        rest = places % period
        if count > 2 and bool((rest == rest[0]).all()) and 2 * count * period >= total:
            return Pattern("alternate_lanes", f"only every {_ordinal(period)} element: do all lanes take part?")
    return None


def _ordinal(n: int) -> str:
    return {2: "second", 4: "fourth", 8: "eighth", 16: "16th", 32: "32nd"}[n]
