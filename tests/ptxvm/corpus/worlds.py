"""What several kernel files of the corpus compute, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np


def life(cells: Any, steps: int) -> Any:
    """Conway's game of life on a torus, so many steps later."""
    for _ in range(steps):
        around = sum(np.roll(cells, (r, c), (0, 1)) for r in (-1, 0, 1) for c in (-1, 0, 1))
        cells = ((around == 3) | ((around == 4) & (cells == 1))).astype(np.uint8)
    return cells


def mandelbrot(n: int, low: int, step: int, most: int) -> Any:
    """Steps until |z| reaches 2, in fixed point of 12 bits, so that every machine counts alike."""
    counts = np.zeros((n, n), np.int32)
    for row in range(n):
        for col in range(n):
            a, b, x, y = low + col * step, low + row * step, 0, 0
            while counts[row, col] < most and x * x + y * y < 4 << 24:
                x, y = ((x * x - y * y) >> 12) + a, ((2 * x * y) >> 12) + b
                counts[row, col] += 1
    return counts


def packed_weights(rng: np.random.Generator, rows: int, cols: int) -> tuple[Any, Any, Any]:
    """(words with eight 4-bit weights each, a scale for 32 of them, what they stand for)."""
    q = rng.integers(0, 16, (rows, cols))
    words = (q.reshape(rows, cols // 8, 8) << (4 * np.arange(8))).sum(axis=2).astype(np.uint32)
    scale = (2.0 ** rng.integers(-3, 3, (rows, cols // 32))).astype(np.float16)
    return words, scale, (q - 8) * np.repeat(scale.astype(np.float64), 32, axis=1)
