"""Tests that only a card can pass or fail. They skip where none is."""

from __future__ import annotations

from pathlib import Path

import pytest

from warpbench import hardware

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def card():
    """The plugged-in card, as its driver describes it."""
    found = hardware.detect()
    if not found.usable:
        pytest.skip(f"needs a card: {found.reason}")
    return found.usable[0]


@pytest.fixture(scope="session")
def watch(card):
    """A stopwatch that flushes this card's L2."""
    from warpbench.measure.cache import Flusher
    from warpbench.measure.timer import Stopwatch

    return Stopwatch(Flusher(card.l2_bytes or 128 << 20, card.integrated))
