"""Histogram with 256 bins.

    out[v] = number of i with x[i] = v

    x      (n,)    contiguous, int32, values in 0..255
    out    (256,)  int32

Floor: read x once: 4 bytes an element; the bins are nothing beside it. Bandwidth decides, unless the
additions do: elements of one value all go to one bin, and additions to one address stand in a queue.
How many do is the *contention*, which the input decides: see the inputs of 0, 90 and 100 percent.
"""

from __future__ import annotations

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance

_BINS = 256


def _inputs(shape, dtype, seed):
    """x (n,) uniform in 0..255."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return {"x": torch.randint(0, _BINS, (shape["n"],), generator=draw, dtype=torch.int32)}


def _outputs(shape, dtype):
    return {"out": Output((_BINS,), "i32")}


def _reference(x):
    import torch

    return {"out": torch.bincount(x.long(), minlength=_BINS)}


def _rival(x):
    import torch

    return torch.bincount(x, minlength=_BINS)


def _no_contention(shape, dtype):
    """0, 1, 2 ... 255, 0, 1 ...: no two lanes of a warp have the same bin."""
    import torch

    return {"x": torch.arange(shape["n"], dtype=torch.int32) % _BINS}


def _nearly_all_in_one(shape, dtype):
    """Nine of ten elements are 7."""
    import torch

    inputs = _inputs(shape, dtype, seed=64)
    inputs["x"][torch.arange(shape["n"]) % 10 != 0] = 7
    return inputs


def _all_in_the_last(shape, dtype):
    """Every element is 255: one bin takes all, and the others must say 0."""
    import torch

    return {"x": torch.full((shape["n"],), _BINS - 1, dtype=torch.int32)}


OPERATION = Operation(
    name="histogram",
    title="counts of 256 values",
    axes=("n",),
    shapes=Shapes(
        tiny=({"n": 4096},),
        ragged=({"n": 1}, {"n": 31}, {"n": 257}, {"n": 1000}),
        large=({"n": 1 << 26},),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: shape["n"] * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: _BINS * ITEMSIZE["i32"],
    flops=lambda shape, dtype: 0,
    tolerance=lambda shape, dtype, accumulator: Tolerance(
        rtol=0.0, atol=0.0, why="counts are integers: the right one or a wrong one"
    ),
    ladder=(
        #    where                               the one idea that it adds
        Rung(
            "in_numba:one_atomic_an_element",
            "start here: every thread adds one to a bin in global memory",
            dtypes=("i32",),
        ),
        Rung(
            "in_numba:bins_of_the_block",
            "a block counts in shared memory first, and adds its 256 bins once",
            dtypes=("i32",),
            counts="sectors",
        ),
        Rung(
            "in_cupy:one_atomic_an_element",
            "start here: every thread adds one to a bin in global memory",
            dtypes=("i32",),
        ),
        Rung(
            "in_cupy:bins_of_the_block",
            "a block counts in shared memory first, and adds its 256 bins once",
            dtypes=("i32",),
            counts="sectors",
        ),
        Rung(
            "in_triton:one_atomic_an_element",
            "start here: a block of atomic additions",
            dtypes=("i32",),
        ),
        Rung(
            "in_triton:bins_of_the_program",
            "tl.histogram counts within the program, which adds its 256 bins once",
            dtypes=("i32",),
            counts="sectors",
        ),
    ),
    adversarial={
        "no_contention": _no_contention,
        "nearly_all_in_one": _nearly_all_in_one,
        "all_in_the_last": _all_in_the_last,
    },
)
