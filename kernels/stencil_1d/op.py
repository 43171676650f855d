"""Smoothing with seven neighbours.

    out[i] = (x[i-3] + 6 x[i-2] + 15 x[i-1] + 20 x[i] + 15 x[i+1] + 6 x[i+2] + x[i+3]) / 64

    x, out    (n,)  contiguous, float32; x is taken as 0 outside of [0, n)

The weights are those of (1, 2, 1) / 4 applied three times in a row.

Floor: read x once, write out once: 8 bytes an element for 13 operations, 1.6 op/B. Bandwidth decides, if
each element is fetched once and not by each of the seven that need it: that is what the ladder is about.

Inputs are multiples of 2^-12 in [-1, 1). The sum of seven of them, weighted by integers that add up to 64,
is a multiple of 2^-12 below 64, which float32 holds exactly, and dividing by 64 moves the exponent only: any
order of the additions gives the same bits, and one neighbour too many or too few shows.
"""

from __future__ import annotations

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance

_STEP = 2.0**-12  # what every input is a multiple of
_WEIGHTS = (1, 6, 15, 20, 15, 6, 1)


def _inputs(shape, dtype, seed):
    """x (n,) uniform on the multiples of 2^-12 in [-1, 1)."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return {"x": torch.randint(-4096, 4096, (shape["n"],), generator=draw).float() * _STEP}


def _outputs(shape, dtype):
    return {"out": Output((shape["n"],), dtype)}


def _reference(x):
    import torch

    n = x.numel()
    padded = torch.nn.functional.pad(x.double(), (3, 3))
    return {"out": sum(w * padded[k : k + n] for k, w in enumerate(_WEIGHTS)) / 64}


def _rival(x):
    import torch

    weights = torch.tensor(_WEIGHTS, dtype=x.dtype, device=x.device).reshape(1, 1, 7) / 64
    return torch.nn.functional.conv1d(x.reshape(1, 1, -1), weights, padding=3).reshape(-1)


def _only_the_ends(shape, dtype):
    """All zero but the first and the last element: what lies outside of x, or wraps round, shows."""
    import torch

    x = torch.zeros(shape["n"])
    x[0], x[-1] = 0.5, -1.0
    return {"x": x}


def _position(shape, dtype):
    """x[i] = i * 2^-12: inside, out is x, so a shift by one is one step."""
    import torch

    return {"x": torch.arange(shape["n"]).float() * _STEP}


def _one_nan(shape, dtype):
    """One NaN makes seven results NaN, and no other one."""
    inputs = _inputs(shape, dtype, seed=61)
    inputs["x"][shape["n"] // 2] = float("nan")
    return inputs


OPERATION = Operation(
    name="stencil_1d",
    title="out = x smoothed, 7 points",
    axes=("n",),
    shapes=Shapes(
        tiny=({"n": 4096},),
        ragged=({"n": 1}, {"n": 5}, {"n": 33}, {"n": 257}, {"n": 1000}),
        large=({"n": 1 << 26},),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: shape["n"] * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: shape["n"] * ITEMSIZE[dtype],
    flops=lambda shape, dtype: 13 * shape["n"],
    tolerance=lambda shape, dtype, accumulator: Tolerance(
        rtol=0.0,
        atol=_STEP / 128,
        why="inputs are multiples of 2^-12, so every sum is exact: the answer lies within half a step of "
        "2^-18 or is wrong",
    ),
    ladder=(
        #    where                          the one idea that it adds
        Rung("in_numba:seven_loads", "start here: each thread loads the seven elements that it needs"),
        Rung(
            "in_numba:shared_tile",
            "a block stages its elements and three more on both sides in shared memory",
            counts="sectors",
        ),
        Rung("in_cupy:seven_loads", "start here: each thread loads the seven elements that it needs"),
        Rung(
            "in_cupy:shared_tile",
            "a block stages its elements and three more on both sides in shared memory",
            counts="sectors",
        ),
        Rung("in_triton:seven_loads", "start here: seven blocks of addresses, shifted by one each"),
        Rung(
            "in_triton:gathered",
            "one load; a lane takes its neighbours from the block with tl.gather",
            counts="sectors",
        ),
    ),
    adversarial={"only_the_ends": _only_the_ends, "position": _position, "one_nan": _one_nan},
)
