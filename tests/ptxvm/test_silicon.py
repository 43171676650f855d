"""Does ptxvm give what a card gave? Readings of an NVIDIA H200, compute capability 9.0: see silicon/README.md.

Matrix instructions are equal to the last bit. Approximate functions are equal where they are special, and elsewhere
within the greatest difference that there is on the readings, so that any growth shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gpu.silicon_values import BINARY, LANES, MATRIX, UNARY, WARPS, floats, inputs
from tests.ptxvm.silicon.emulated import distance, emulated
from tests.ptxvm.silicon.thin import WARP_STEP

CARD = np.load(Path(__file__).parent / "silicon" / "readings" / "h200.npz")
HALF_MORE = 1.5 * 2.0**-23

# function: (greatest difference in ulp, or None, greatest absolute one, or None, least share of equal results)
BOUNDS: dict[str, tuple[int | None, float | None, float]] = {
    "ex2": (2, None, 0.70),
    "lg2": (None, None, 0.61),  # `test_logarithm` has its bounds
    "rcp": (1, None, 0.86),
    "rsqrt": (1, None, 0.85),
    "sqrt": (1, None, 0.88),
    "sin": (None, HALF_MORE, 0.50),
    "cos": (None, HALF_MORE, 0.44),
    "tanh": (126, None, 0.39),
    "div": (2, None, 0.88),
}


def both(name: str) -> tuple[Any, Any]:
    """Bit patterns of the card and of ptxvm, for the operands kept."""
    return CARD[name], emulated(name)[CARD["places"]]


def test_readings_are_complete() -> None:
    assert set(CARD) == {"places", *UNARY, *BINARY, *MATRIX}
    assert CARD["places"].size > 2000
    assert set(range(12)) <= set(CARD["places"].tolist())
    for name, (_, _, _, _, registers) in MATRIX.items():
        assert CARD[name].shape == (3 * WARPS // WARP_STEP, LANES, registers)


@pytest.mark.parametrize("name", MATRIX)
def test_matrix_instructions_are_equal(name: str) -> None:
    ours = emulated(name)[::WARP_STEP]
    wrong = np.argwhere(ours != CARD[name])
    assert not wrong.size, f"{len(wrong)} of {ours.size} registers differ, first warp, lane, register {wrong[0]}"


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_special_results_are_equal(name: str) -> None:
    """Zeros with their sign, infinities, the pattern of NaN; and that the other gives none of them either."""
    card, ours = both(name)
    special = np.zeros(card.shape, bool)
    for values in (card.view(np.float32), ours.view(np.float32)):
        special |= ~np.isfinite(values) | (values == 0)
    assert special.sum() >= 5
    wrong = np.flatnonzero(special & (card != ours))
    given = [x[CARD["places"][wrong[:5]]] for x in inputs(name)]
    assert not wrong.size, f"{wrong.size} differ: {given} gave {card[wrong[:5]]}, here {ours[wrong[:5]]}"


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_differences_are_bounded(name: str) -> None:
    card, ours = both(name)
    ulp, absolute, equal = BOUNDS[name.partition(".")[0]]
    assert (card == ours).mean() >= equal
    if ulp is not None:
        assert distance(card, ours).max() == ulp
    if absolute is not None:
        wide, near = card.view(np.float32).astype(np.float64), ours.view(np.float32)
        assert np.nanmax(np.abs(wide - near)) == absolute


@pytest.mark.parametrize("name", ["lg2.approx.f32", "lg2.approx.ftz.f32"])
def test_logarithm(name: str) -> None:
    """Near 1 the result is near 0 and its last place small: there the absolute difference counts."""
    card, ours = both(name)
    x = floats()[CARD["places"]].view(np.float32)
    near = (x >= 0.5) & (x <= 2)
    assert near.sum() > 500
    assert distance(card, ours)[~near].max() == 2
    assert np.abs(card[near].view(np.float32).astype(np.float64) - ours[near].view(np.float32)).max() == HALF_MORE


def test_small_tanh_is_its_operand() -> None:
    card, _ = both("tanh.approx.f32")
    x = floats()[CARD["places"]]
    small = np.abs(x.view(np.float32)) < np.float32(2.0**-8)
    assert small.sum() > 100
    assert (card[small] == x[small]).all()
