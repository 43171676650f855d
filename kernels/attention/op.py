"""Attention, forward, in float32.

    s[h, i, j] = sum_e q[h, i, e] * k[h, j, e] / sqrt(d)           for all j, or for j <= i if causal
    out[h, i, e] = sum_j softmax_j(s[h, i, :])[j] * v[h, j, e]

    q, k, v, out    (heads, n, d)  contiguous, float32
    causal          0 or 1: query i sees all keys, or those up to i

Floor: read q, k, v once, write out once: 16 n d bytes a head, against 4 n n d operations (half of
it if causal): n / 4 op/B. The scores are n n numbers a head. Whoever writes them to memory moves 16
n n bytes more, which for n > d is most of the traffic; the ladder is about never writing them.
"""

from __future__ import annotations

import math

from warpbench.contract import ITEMSIZE, Operation, Output, Rung, Shapes, Tolerance

_LARGEST_SCORE = 16.0  # what the inputs below keep to, and the tolerance counts on


def _inputs(shape, dtype, seed):
    """q, k (heads, n, d) normal, so that scores are about normal; v uniform in [0.5, 1.5), so that
    relative errors mean something.
    """
    import torch

    draw = torch.Generator().manual_seed(seed)
    size = (shape["heads"], shape["n"], shape["d"])
    return {
        "q": torch.randn(size, generator=draw),
        "k": torch.randn(size, generator=draw),
        "v": torch.rand(size, generator=draw) + 0.5,
        "causal": shape["causal"],
    }


def _outputs(shape, dtype):
    return {"out": Output((shape["heads"], shape["n"], shape["d"]), dtype)}


def _reference(q, k, v, causal):
    import torch

    s = q.double() @ k.double().transpose(1, 2) / math.sqrt(q.shape[2])
    if causal:
        hidden = torch.ones(s.shape[1:], dtype=torch.bool, device=s.device).triu(1)
        s = s.masked_fill(hidden, -float("inf"))
    return {"out": torch.softmax(s, dim=2) @ v.double()}


def _rival(q, k, v, causal):
    from torch.nn.functional import scaled_dot_product_attention

    return scaled_dot_product_attention(q[None], k[None], v[None], is_causal=bool(causal))


def _pairs(shape):
    """Query-key pairs that count."""
    n = shape["n"]
    return shape["heads"] * (n * (n + 1) // 2 if shape["causal"] else n * n)


def _tolerance(shape, dtype, accumulator):
    of_score = _LARGEST_SCORE * math.sqrt(shape["d"] / 6)
    of_sum = math.sqrt(shape["n"])
    return Tolerance(
        rtol=(6 * of_score + 6 * of_sum + 32) * 2.0**-24,
        atol=2.0**-126,
        why="in units of 2^-24, six standard deviations: a score up to 16 is a serial sum of d "
        "terms (16 sqrt(d / 6)), and exp turns its absolute error into a relative one; sums "
        "of n positive terms (sqrt(n)); exp, scaling and division (32). v is positive, so "
        "nothing cancels",
    )


def _equal_keys(shape, dtype):
    """All keys are the same: every query gets the plain mean of the values that it sees."""
    inputs = _inputs(shape, dtype, seed=81)
    inputs["k"] = inputs["k"][:, :1].expand_as(inputs["k"]).contiguous()
    inputs["q"] *= 0.5
    return inputs


def _one_key_wins(shape, dtype):
    """Key i is query i turned up: the weight sits on the diagonal, and a mask that is off by one
    misses it.
    """
    import torch

    inputs = _inputs(shape, dtype, seed=82)
    inputs["q"] = torch.nn.functional.normalize(inputs["q"], dim=2) * shape["d"] ** 0.25 * 3.5
    inputs["k"] = inputs["q"].clone()  # score i, i is 12.25, all others are below
    return inputs


def _scores_grow(shape, dtype):
    """Scores grow with j from -15 to 15: a running maximum changes at every key, and without one
    exp loses its small terms.
    """
    import torch

    inputs = _inputs(shape, dtype, seed=83)
    heads, n, d = shape["heads"], shape["n"], shape["d"]
    rising = torch.linspace(-1, 1, n).reshape(1, n, 1)
    inputs["q"] = torch.ones(heads, n, d)
    inputs["k"] = (rising * 15 / math.sqrt(d)).expand(heads, n, d).contiguous()
    return inputs


OPERATION = Operation(
    name="attention",
    title="attention, forward, full or causal",
    axes=("heads", "n", "d", "causal"),
    shapes=Shapes(
        tiny=(
            {"heads": 2, "n": 128, "d": 64, "causal": 0},
            {"heads": 2, "n": 128, "d": 64, "causal": 1},
        ),
        ragged=(
            {"heads": 1, "n": 1, "d": 64, "causal": 1},
            {"heads": 3, "n": 37, "d": 64, "causal": 0},
            {"heads": 1, "n": 67, "d": 64, "causal": 1},
            {"heads": 1, "n": 33, "d": 32, "causal": 1},
        ),
        large=(
            {"heads": 32, "n": 4096, "d": 64, "causal": 0},
            {"heads": 32, "n": 4096, "d": 64, "causal": 1},
        ),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: 3 * shape["heads"] * shape["n"] * shape["d"] * ITEMSIZE[dtype],
    bytes_written=lambda shape, dtype: shape["heads"] * shape["n"] * shape["d"] * ITEMSIZE[dtype],
    flops=lambda shape, dtype: (
        _pairs(shape) * (4 * shape["d"] + 1)
    ),  # two multiply-adds an element of d, one exp a pair
    tolerance=_tolerance,
    ladder=(
        #    where                       the one idea that it adds
        Rung("in_numba:three_kernels", "start here: scores to memory, softmax of their rows, times v"),
        Rung(
            "in_numba:fused_online",
            "one kernel, a thread a query: scores stay on the chip, the maximum runs along",
            counts="sectors",
            when="d == 64",
        ),
        Rung("in_cupy:three_kernels", "start here: scores to memory, softmax of their rows, times v"),
        Rung(
            "in_cupy:fused_online",
            "one kernel, a thread a query: scores live in registers, the maximum runs along",
            counts="sectors",
            when="d == 64",
        ),
        Rung(
            "in_triton:three_kernels",
            "start here: scores to memory, softmax of their rows, times v",
        ),
        Rung(
            "in_triton:fused_online",
            "one kernel, a tile of queries a program: scores live in registers, the maximum runs along",
            counts="sectors",
            when="d in (16, 32, 64, 128)",
        ),
    ),
    adversarial={
        "equal_keys": _equal_keys,
        "one_key_wins": _one_key_wins,
        "scores_grow": _scores_grow,
    },
)
