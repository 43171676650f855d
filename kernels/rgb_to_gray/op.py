"""Grey values of an RGB picture.

    out[i] = (77 rgb[i, 0] + 150 rgb[i, 1] + 29 rgb[i, 2] + 128) // 256

    rgb    (n, 3)  contiguous, uint8: red, green and blue of a pixel side by side ("interleaved")
    out    (n,)    contiguous, uint8

The weights are those of ITU-R BT.601, 0.299, 0.587 and 0.114, in 256ths; they add up to 256, and 128 rounds.

Floor: read three bytes, write one: 4 bytes a pixel for a handful of integer operations. Bandwidth decides, and the
layout stands in its way: lanes that each take a pixel read bytes that are three apart.
"""

from __future__ import annotations

from warpbench.contract import Operation, Output, Rung, Shapes, Tolerance


def _inputs(shape, dtype, seed):
    """rgb (n, 3) uniform in 0..255."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    return {"rgb": torch.randint(0, 256, (shape["n"], 3), generator=draw, dtype=torch.uint8)}


def _outputs(shape, dtype):
    return {"out": Output((shape["n"],), "u8")}


def _reference(rgb):
    import torch

    weights = torch.tensor([77, 150, 29], dtype=torch.int64)
    return {"out": (rgb.long() @ weights + 128) // 256}


def _rival(rgb):
    import torch

    weights = torch.tensor([77.0, 150.0, 29.0], device=rgb.device)
    return ((rgb.float() @ weights + 128) / 256).to(torch.uint8)


def _white(shape, dtype):
    """The largest sum there is: 65,408 needs 16 bits before it is divided, and 255 comes out."""
    import torch

    return {"rgb": torch.full((shape["n"], 3), 255, dtype=torch.uint8)}


def _one_channel(shape, dtype):
    """Red, green, blue, red ...: pure colours, so a wrong channel or a wrong pixel shows."""
    import torch

    return {"rgb": torch.eye(3, dtype=torch.uint8).repeat(shape["n"] // 3 + 1, 1)[: shape["n"]] * 255}


OPERATION = Operation(
    name="rgb_to_gray",
    title="grey values of RGB pixels",
    axes=("n",),
    shapes=Shapes(
        tiny=({"n": 8192},),
        ragged=({"n": 1}, {"n": 31}, {"n": 33}, {"n": 1000}),
        large=({"n": 1 << 26},),
    ),
    inputs=_inputs,
    outputs=_outputs,
    reference=_reference,
    rival=_rival,
    bytes_read=lambda shape, dtype: 3 * shape["n"],
    bytes_written=lambda shape, dtype: shape["n"],
    flops=lambda shape, dtype: 0,
    tolerance=lambda shape, dtype, accumulator: Tolerance(
        rtol=0.0, atol=0.0, why="integers: the sum and its rounding are exact"
    ),
    ladder=(
        #    where                          the one idea that it adds
        Rung(
            "in_numba:three_bytes_a_thread", "start here: a thread loads the three bytes of its pixel", dtypes=("u8",)
        ),
        Rung(
            "in_numba:staged",
            "the block loads its bytes side by side into shared memory, pixels are taken from there",
            dtypes=("u8",),
            counts="sectors",
        ),
        Rung("in_cupy:three_bytes_a_thread", "start here: a thread loads the three bytes of its pixel", dtypes=("u8",)),
        Rung(
            "in_cupy:staged_words",
            "the block loads its bytes as 4-byte words, side by side, into shared memory",
            dtypes=("u8",),
            counts="sectors",
        ),
        Rung("in_triton:three_loads", "start here: three blocks of addresses, three bytes apart", dtypes=("u8",)),
        Rung(
            "in_triton:gathered",
            "one load of neighbouring bytes; tl.gather takes the pixels from it",
            dtypes=("u8",),
            counts="sectors",
        ),
    ),
    adversarial={"white": _white, "one_channel": _one_channel},
)
