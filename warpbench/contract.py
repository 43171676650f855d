"""What an operation and a rung are: the data that `kernels/*/op.py` fills in and everything else reads.

Standard library only. A *shape* is a mapping from axis name to length, such as `{"rows": 64, "cols": 257}`. Tensors are
torch tensors, made on the CPU; this module never imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Shape = Mapping[str, int]
Inputs = Mapping[str, Any]  # name -> tensor or Python scalar, in the order in which a rung takes them
DSLS = ("numba", "cupy", "triton")


@dataclass(frozen=True)
class Tolerance:
    """|got - want| <= atol + rtol * |want| for every element, with the reason for these figures."""

    rtol: float
    atol: float
    why: str


@dataclass(frozen=True)
class Output:
    """Shape and dtype (`f32`, `f16`, ...) of one output tensor."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Rung:
    """One kernel of a ladder.

    where   "in_<dsl>:<function>": the module beside op.py and the function in it, inputs first, outputs last
    idea    the one idea that it adds, as a phrase
    needs   features or groups of features.toml that the card must have
    shows   architecture condition ("sm_86" or "sm_80+") -> claims; every word of a claim stands in one PTX instruction
            of this rung and of none of the rung below
    counts  a counter of ptxvm that is lower than in the rung below: "sectors", "wavefronts", "bytes_asked", ...
    when    a Python expression over the axes: the shapes that it serves ("cols % 4 == 0"); empty = all
    """

    where: str
    idea: str
    needs: tuple[str, ...] = ()
    shows: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    counts: str | None = None
    dtypes: tuple[str, ...] = ("f32",)
    accumulator: str = "f32"
    when: str = ""

    @property
    def module(self) -> str:
        return self.where.partition(":")[0]

    @property
    def name(self) -> str:
        return self.where.partition(":")[2]

    @property
    def dsl(self) -> str:
        return self.module.removeprefix("in_").partition("_")[0]

    def serves(self, shape: Shape) -> bool:
        """Whether `when` holds for a shape."""
        return not self.when or bool(eval(self.when, {"__builtins__": {}}, dict(shape)))


@dataclass(frozen=True)
class Shapes:
    """tiny: for ptxvm, seconds in all; ragged: for checking, no multiples of anything; large: for timing."""

    tiny: Sequence[Shape]
    ragged: Sequence[Shape]
    large: Sequence[Shape]


@dataclass(frozen=True)
class Operation:
    """One operation: what it computes, on what, how well it must do, and the ladder of kernels for it.

    inputs(shape, dtype, seed)           -> ordered mapping name -> CPU tensor or scalar, drawn from the seed
    outputs(shape, dtype)                -> ordered mapping name -> Output
    reference(**inputs)                  -> mapping output name -> float64 (or exact integer) tensor
    rival(**inputs)                      -> what torch offers, raced against on a card: the output, a tuple for several
    bytes_read, bytes_written, flops     of a shape and dtype: compulsory traffic in bytes; multiply-add counts 2
    tolerance(shape, dtype, accumulator) -> Tolerance
    adversarial                          name -> function (shape, dtype) -> inputs, for values that break naive code
    """

    name: str
    title: str
    axes: tuple[str, ...]
    shapes: Shapes
    inputs: Callable[[Shape, str, int], Inputs]
    outputs: Callable[[Shape, str], Mapping[str, Output]]
    reference: Callable[..., Mapping[str, Any]]
    rival: Callable[..., Any]
    bytes_read: Callable[[Shape, str], int]
    bytes_written: Callable[[Shape, str], int]
    flops: Callable[[Shape, str], int]
    tolerance: Callable[[Shape, str, str], Tolerance]
    ladder: Sequence[Rung]
    adversarial: Mapping[str, Callable[[Shape, str], Inputs]] = field(default_factory=lambda: MappingProxyType({}))

    def rung_path(self, rung: Rung) -> str:
        """`softmax/triton/one_program_a_row`."""
        return f"{self.name}/{rung.dsl}/{rung.name}"


ITEMSIZE = MappingProxyType(
    {"f64": 8, "f32": 4, "f16": 2, "bf16": 2, "e4m3": 1, "e5m2": 1, "i64": 8, "i32": 4, "i16": 2, "i8": 1, "u8": 1}
)
