"""What each PTX instruction must give, for one lane, in plain Python: the other side of the opcode tests.

Written from the text of the PTX ISA with Python integers only. Nothing here imports NumPy or ptxvm, so a mistake of
the emulator cannot hide in its own reference; a test reads the imports of every module to keep it so.

    evaluate("add", ("sat", "s32"), 0x7fffffff, 1)      ->      (0x7fffffff,)

Operands and results are bit patterns (non-negative integers), predicates 0 or 1. A result that the ISA leaves open is
one of the classes of `results`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.ptxvm.scalar import bits, compare, convert, floating, integer
from tests.ptxvm.scalar.results import Result

LANE: dict[str, Callable[..., Any]] = {
    **integer.TABLE,
    **bits.TABLE,
    **compare.TABLE,
    **convert.TABLE,
}


def evaluate(base: str, words: tuple[str, ...], *operands: int) -> tuple[Result, ...]:
    """The results of `base.words` for one lane."""
    function = LANE.get(base)
    if base in floating.TABLE and (function is None or floating.is_float(words)):
        function = floating.TABLE[base]
    if function is None:
        raise KeyError(base)
    result = function(words, *operands)
    return result if isinstance(result, tuple) else (result,)
