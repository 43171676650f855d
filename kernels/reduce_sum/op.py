"""Sum of an array.

    out[0] = sum_i x[i]

    x      (n,)  contiguous, float32
    out    (1,)  float32

Floor: read x once: 4 bytes an element for one addition, 0.25 op/B; the output is nothing. Bandwidth
decides, if the threads can agree on one number without waiting for each other all the time: that is
what the ladder is about.

Inputs are multiples of 2^-12. As long as every partial sum stays below 2^12, each has at most 24
significant bits, so a float32 sum is exact in *any* order: the order is free, and yet one lost
element or one addition in a narrower type shows.
"""

from __future__ import annotations

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance

_STEP = 2.0**-12  # what every input is a multiple of
_EXACT_UP_TO = 1 << 20  # |partial sum| <= 5 sqrt(n / 3) = 2956 < 2^12 there, five standard deviations of a random walk


def _inputs(shape, dtype, seed):
    """x (n,) uniform on the multiples of 2^-12 in [-1, 1)."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return {"x": torch.randint(-4096, 4096, (shape["n"],), generator=draw).float() * _STEP}


def _outputs(shape, dtype):
    return {"out": Output((1,), dtype)}


def _reference(x):
    return {"out": x.double().sum().reshape(1)}


def _rival(x):
    import torch

    return torch.sum(x)


def _tolerance(shape, dtype, accumulator):
    n = shape["n"]
    if n <= _EXACT_UP_TO:
        return Tolerance(
            rtol=0.0,
            atol=_STEP / 2,
            why="inputs are multiples of 2^-12, so every partial sum is exact: the answer lies "
            "within half a step or is wrong",
        )
    # Partial sums of a random walk: an addition rounds by 2^-24 |S_k| at most, |S_k| is about
    # sqrt(k / 3). Summed in squares over n serial additions: 2^-24 n / sqrt(6), times six.
    return Tolerance(
        rtol=0.0,
        atol=2.45 * 2.0**-24 * n,
        why="serial float32 additions of a random walk, six standard deviations",
    )


def _only_the_last(shape, dtype):
    """All zero but the last element: whoever forgets the tail returns 0."""
    import torch

    x = torch.zeros(shape["n"])
    x[-1] = 1.0
    return {"x": x}


def _ones(shape, dtype):
    """The sum is n / 4096: one element too many or too few is one step."""
    import torch

    return {"x": torch.full((shape["n"],), _STEP)}


def _large_cancelling(shape, dtype):
    """Four pairs of +1024 and -1024 + 2^-12 among zeros: the sum is 4 * 2^-12, which a narrow
    accumulator loses.
    """
    import torch

    x = torch.zeros(shape["n"])
    pairs = min(4, x.numel() // 2)  # partial sums stay at or below 4096, so they are still exact
    x[0 : 2 * pairs : 2] = 1024.0
    x[1 : 2 * pairs : 2] = -1024.0 + _STEP
    return {"x": x}


def _one_nan(shape, dtype):
    """One NaN makes the sum NaN; min, max or a comparison in the tree would lose it."""
    inputs = _inputs(shape, dtype, seed=32)
    inputs["x"][shape["n"] // 2] = float("nan")
    return inputs


OPERATION = Operation(
    name="reduce_sum",
    title="out = sum of x",
    axes=("n",),
    shapes=Shapes(
        tiny=({"n": 16384},),
        ragged=({"n": 1}, {"n": 31}, {"n": 33}, {"n": 1000}, {"n": 4099}),
        large=({"n": 1 << 28},),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: shape["n"] * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: ITEMSIZE[dtype],
    flops=lambda shape, dtype: shape["n"],
    tolerance=_tolerance,
    ladder=(
        #    where                               the one idea that it adds
        Rung(
            "in_numba:one_atomic_an_element",
            "start here: every thread adds its element to the one result",
        ),
        Rung(
            "in_numba:shared_tree",
            "a block agrees first, in shared memory: one atomic a block",
            counts="atomics",
        ),
        Rung(
            "in_numba:warp_shuffles",
            "lanes of a warp exchange registers, no shared memory and no barrier among them",
            shows={"sm_75+": ("shfl.sync",)},
        ),
        Rung(
            "in_cupy:one_atomic_an_element",
            "start here: every thread adds its element to the one result",
        ),
        Rung(
            "in_cupy:shared_tree",
            "a block agrees first, in shared memory: one atomic a block",
            counts="atomics",
        ),
        Rung(
            "in_cupy:warp_shuffles",
            "lanes of a warp exchange registers, no shared memory and no barrier among them",
            shows={"sm_75+": ("shfl.sync",)},
        ),
        Rung("in_cupy:four_floats_a_load", "16-byte loads", shows={"sm_75+": ("ld.global .v4",)}),
        Rung("in_triton:one_program", "start here: one program walks over the whole array"),
        Rung(
            "in_triton:one_atomic_a_program",
            "one program a block of elements, joined by atomics",
            shows={"sm_75+": ("atom.global .add.f32",)},
        ),
        Rung(
            "in_triton:two_kernels",
            "partial sums in memory and a second kernel: the same bits in every run",
            counts="atomics",
        ),
    ),
    adversarial={
        "only_the_last": _only_the_last,
        "ones": _ones,
        "large_cancelling": _large_cancelling,
        "one_nan": _one_nan,
    },
)
