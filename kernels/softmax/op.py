"""Row softmax.

    y[i, j] = exp(x[i, j] - m[i]) / sum_k exp(x[i, k] - m[i]),     m[i] = max_k x[i, k]

    x, y    (rows, cols)  contiguous, float32

Floor: read x once, write y once. Five operations an element (max, subtract, exp, add, divide)
against 8 bytes: 0.6 op/B, far left of every card's ridge, so bandwidth decides. The formula reads x
three times; the ladder is about reading it once.

Subtracting the maximum changes nothing in exact arithmetic and everything in float32: exp(89) is
already infinite.
"""

from __future__ import annotations

import math

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance


def _inputs(shape, dtype, seed):
    """x (rows, cols) normal, standard deviation 2, with one spike of 8 a row so that no row is
    nearly constant.
    """
    import torch

    draw = torch.Generator().manual_seed(seed)
    rows, cols = shape["rows"], shape["cols"]
    x = 2 * torch.randn(rows, cols, generator=draw)
    x[torch.arange(rows), torch.randint(0, cols, (rows,), generator=draw)] = 8.0
    return {"x": x}


def _outputs(shape, dtype):
    return {"y": Output((shape["rows"], shape["cols"]), dtype)}


def _reference(x):
    import torch

    return {"y": torch.softmax(x.double(), dim=1)}


def _rival(x):
    import torch

    return torch.softmax(x, dim=1)


def _tolerance(shape, dtype, accumulator):
    cols = shape["cols"]
    sum_error = min(cols, 6 * math.sqrt(cols))
    return Tolerance(
        rtol=(sum_error + 64) * 2.0**-24,
        atol=2.0**-48,
        why="in units of 2^-24: the sum of cols positive terms (cols at worst, 6 sqrt(cols) at "
        "six standard deviations); exp of x - m doubles the rounding of an argument up to 24 "
        "in size (48), its own error and the division (16); beyond 24 the result is below "
        "4e-11, and 2^-48 covers it",
    )


def _offset(shape, dtype):
    """Rows around +1000 and -1000: exp overflows or vanishes unless the maximum is taken away
    first.
    """
    inputs = _inputs(shape, dtype, seed=61)
    inputs["x"][::2] += 1000.0
    inputs["x"][1::2] -= 1000.0
    return inputs


def _begins_with_minus_infinity(shape, dtype):
    """All of a row but its last element is -inf, as a causal mask makes it: a running maximum meets
    -inf - -inf.
    """
    inputs = _inputs(shape, dtype, seed=62)
    inputs["x"][:, :-1] = -float("inf")
    return inputs


def _half_minus_infinity(shape, dtype):
    """The first half of every row is -inf."""
    inputs = _inputs(shape, dtype, seed=63)
    inputs["x"][:, : shape["cols"] // 2] = -float("inf")
    return inputs


def _row_of_minus_infinity(shape, dtype):
    """The first row is all -inf, so 0 / 0: NaN, and only there."""
    inputs = _inputs(shape, dtype, seed=64)
    inputs["x"][0] = -float("inf")
    return inputs


def _huge(shape, dtype):
    """Values up to 1e30: a row is 1 at its maximum and 0 elsewhere."""
    inputs = _inputs(shape, dtype, seed=65)
    inputs["x"] *= 1e29
    return inputs


def _one_nan(shape, dtype):
    """One NaN in the last column makes its whole row NaN, and no other."""
    inputs = _inputs(shape, dtype, seed=66)
    inputs["x"][0, -1] = float("nan")
    return inputs


OPERATION = Operation(
    name="softmax",
    title="softmax of each row",
    axes=("rows", "cols"),
    shapes=Shapes(
        tiny=({"rows": 64, "cols": 256},),
        ragged=(
            {"rows": 1, "cols": 1},
            {"rows": 3, "cols": 257},
            {"rows": 33, "cols": 31},
            {"rows": 5, "cols": 516},
        ),
        large=({"rows": 4096, "cols": 4096},),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: shape["rows"] * shape["cols"] * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: shape["rows"] * shape["cols"] * ITEMSIZE[dtype],
    flops=lambda shape, dtype: 5 * shape["rows"] * shape["cols"],
    tolerance=_tolerance,
    ladder=(
        #    where                               the one idea that it adds
        Rung("in_numba:one_thread_a_row", "start here: three passes over a row, strided loads"),
        Rung(
            "in_numba:one_block_a_row",
            "a block shares a row: neighbouring lanes read neighbours",
            counts="sectors",
        ),
        Rung(
            "in_numba:one_warp_a_row",
            "maximum and sum cross lanes by shuffles: no barrier",
            shows={"sm_75+": ("shfl.sync",)},
        ),
        Rung("in_cupy:one_thread_a_row", "start here: three passes over a row, strided loads"),
        Rung(
            "in_cupy:one_warp_a_row",
            "a warp shares a row, maximum and sum cross lanes by shuffles",
            shows={"sm_75+": ("shfl.sync",)},
        ),
        Rung(
            "in_cupy:row_in_registers",
            "a block holds the row in registers: one read, one write",
            counts="global_load_sectors",
            when="cols <= 4096",
        ),
        Rung(
            "in_cupy:four_floats_a_load",
            "16-byte loads and stores",
            shows={"sm_75+": ("ld.global .v4", "st.global .v4")},
            when="cols % 4 == 0 and cols <= 4096",
        ),
        Rung(
            "in_triton:three_passes",
            "start here: a program a row, which reads the row three times in blocks",
        ),
        Rung(
            "in_triton:online_max_and_sum",
            "maximum and sum in one pass: two reads, and any number of columns",
            counts="global_load_sectors",
        ),
        Rung(
            "in_triton:one_program_a_row",
            "the row stays in registers: one read, one write",
            counts="global_load_sectors",
            when="cols <= 16384",
        ),
    ),
    adversarial={
        "offset": _offset,
        "begins_with_minus_infinity": _begins_with_minus_infinity,
        "half_minus_infinity": _half_minus_infinity,
        "row_of_minus_infinity": _row_of_minus_infinity,
        "huge": _huge,
        "one_nan": _one_nan,
    },
)
