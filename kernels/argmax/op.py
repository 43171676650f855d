"""Where the largest element stands.

    out[0] = the smallest i with x[i] = max_j x[j];     if any x[j] is NaN: the smallest i with x[i] NaN

    x      (n,)  contiguous, float32, n < 2^31
    out    (1,)  int64

A NaN counts as the largest value, as in NumPy and torch: whoever looks for the best of many must
hear that one of them is broken. -0.0 and 0.0 are equal.

Floor: read x once: 4 bytes an element for one comparison, 0.25 op/B; the output is nothing.
Bandwidth decides. What is new beside a sum: two things travel together, a value and where it stands,
and of equal values the first must win in whatever order threads meet.
"""

from __future__ import annotations

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance

_STEP = 2.0**-23  # what neighbouring float32 numbers between 1 and 2 differ by


def _inputs(shape, dtype, seed):
    """x (n,): 1 + k 2^-23 with k in 0..7, of either sign. Sixteen values that take all 24 bits to tell
    apart: many are equal, and in a narrower type all of one sign are.
    """
    import torch

    draw = torch.Generator().manual_seed(seed)
    steps = torch.randint(0, 16, (shape["n"],), generator=draw)
    size = 1.0 + (steps % 8).float() * _STEP
    return {"x": torch.where(steps < 8, size, -size)}


def _outputs(shape, dtype):
    return {"out": Output((1,), "i64")}


def _reference(x):
    nan = x.isnan()
    best = nan if bool(nan.any()) else x == x.max()
    return {"out": best.nonzero()[0]}


def _rival(x):
    import torch

    return torch.argmax(x)


def _tolerance(shape, dtype, accumulator):
    return Tolerance(rtol=0.0, atol=0.0, why="an index is a whole number: the right one or a wrong one")


def _one_nan(shape, dtype):
    """A NaN among infinities: every comparison with it is false, so `a > b` never takes it."""
    import torch

    x = torch.full((shape["n"],), float("inf"))
    x[shape["n"] // 2] = float("nan")
    return {"x": x}


def _nans_of_both_signs(shape, dtype):
    """NaNs from the second element on, of both signs: the first wins, whatever their bits are."""

    x = _inputs(shape, dtype, seed=32)["x"]
    x[1:] = float("nan")
    x[1::2] = -x[1::2]  # flips the sign bit
    return {"x": x.contiguous()}


def _all_equal(shape, dtype):
    """The first of n equal elements: whoever lets the later one win gives the last, or any."""
    import torch

    return {"x": torch.full((shape["n"],), -1.0)}


def _all_least(shape, dtype):
    """Nothing but -infinity: no element is larger than the value that a search begins with."""
    import torch

    return {"x": torch.full((shape["n"],), -float("inf"))}


def _signed_zeros(shape, dtype):
    """-0.0 first, then zeros of both signs: they are equal, and only their bits are ordered."""
    import torch

    x = torch.zeros(shape["n"])
    x[::2] = -0.0
    return {"x": x}


def _only_the_last(shape, dtype):
    """The largest value in the last place: whoever forgets the tail misses it."""
    import torch

    x = torch.full((shape["n"],), -2.0)
    x[-1] = -1.0
    return {"x": x}


OPERATION = Operation(
    name="argmax",
    title="out = index of the largest x",
    axes=("n",),
    shapes=Shapes(
        tiny=({"n": 4096},),
        ragged=({"n": 1}, {"n": 31}, {"n": 33}, {"n": 1000}, {"n": 4099}),
        large=({"n": 1 << 28},),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: shape["n"] * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: ITEMSIZE["i64"],
    flops=lambda shape, dtype: shape["n"],
    tolerance=_tolerance,
    ladder=(
        #    where                               the one idea that it adds
        Rung(
            "in_numba:one_atomic_an_element",
            "start here: value and index in one whole number, of which atomics keep the largest",
        ),
        Rung(
            "in_numba:pairs_in_a_tree",
            "a block agrees first, on pairs in shared memory, and a second launch on the blocks' pairs",
            counts="atomics",
        ),
        Rung(
            "in_numba:keys_by_shuffle",
            "lanes of a warp exchange the whole number, one atomic a block",
            shows={"sm_75+": ("shfl.sync",)},
        ),
        Rung(
            "in_cupy:one_atomic_an_element",
            "start here: value and index in one whole number, of which atomics keep the largest",
        ),
        Rung(
            "in_cupy:keys_by_shuffle",
            "lanes of a warp exchange the whole number, one atomic a block",
            shows={"sm_75+": ("shfl.sync",)},
        ),
        Rung(
            "in_triton:one_program",
            "start here: one program walks over the whole array with a pair a lane",
        ),
        Rung(
            "in_triton:one_atomic_a_program",
            "one program a block of elements, joined by an atomic on a whole number",
            shows={"sm_75+": ("atom.global .max.s64",)},
        ),
    ),
    adversarial={
        "one_nan": _one_nan,
        "nans_of_both_signs": _nans_of_both_signs,
        "all_equal": _all_equal,
        "all_least": _all_least,
        "signed_zeros": _signed_zeros,
        "only_the_last": _only_the_last,
    },
)
