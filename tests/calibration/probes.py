"""The probes: small kernels whose counts have one cause each, and what they must give.

    probe/cupy/shared_load_8[stride_2]    32 lanes load 8 bytes each, two elements apart

Torch tensors on the CPU; results are exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.calibration.patterns import ELEMENTS, PATTERNS, THREADS

EVERY = tuple(PATTERNS)
STRIDES = ("stride_1", "stride_2", "stride_4", "stride_8", "stride_16", "stride_32", "stride_33")
DISTINCT = (*STRIDES, "swizzled", "scattered", "even_lanes", "first_nine")  # no two threads store to one element
FEW = ("stride_1", "stride_2", "broadcast", "scattered", "even_lanes")
CONTENDED = ("stride_1", "broadcast", "quads", "repeating", "scattered", "even_lanes")


@dataclass(frozen=True)
class Probe:
    """One launch. `arguments` in the kernel's order, outputs zero; `wanted` by name."""

    dsl: str
    kernel: str
    variant: str
    arguments: dict[str, Any]
    wanted: dict[str, Any]

    @property
    def id(self) -> str:
        return f"probe/{self.dsl}/{self.kernel}[{self.variant}]"


def probes(dsl: str) -> Iterator[Probe]:
    """All probes of a DSL."""
    yield from {"cupy": _cupy, "numba": _numba, "triton": _triton}[dsl]()


def _index(pattern: str) -> Any:
    import torch

    return torch.tensor(PATTERNS[pattern], dtype=torch.int32)


def _counting(n: int, dtype: str = "float32") -> Any:
    """0, 1, .. 976, 0, 1, ..: exact in every type and in sums of four."""
    import torch

    return (torch.arange(n) % 977).to(getattr(torch, dtype))


def _load(dsl: str, space: str, width: int, patterns: Sequence[str], dtype: str = "float32") -> Iterator[Probe]:
    """out[t] = sum of the components of element index[t], 0 for threads that leave it out."""
    import torch

    size = torch.zeros(0, dtype=getattr(torch, dtype)).element_size()
    x = _counting(ELEMENTS * width // size, dtype)
    sums = x.reshape(ELEMENTS, -1).sum(1)
    for pattern in patterns:
        index = _index(pattern)
        out = torch.zeros(THREADS, dtype=torch.int32 if size == 1 else x.dtype)
        want = torch.where(index >= 0, sums[index.clamp(min=0).long()], 0).to(out.dtype)
        arguments = {"index": index, **({"x": x} if space == "global" else {}), "out": out}
        yield Probe(dsl, f"{space}_load_{width}", pattern, arguments, {"out": want})


def _store(
    dsl: str, space: str, width: int, patterns: Sequence[str], first: int, dtype: str = "float32"
) -> Iterator[Probe]:
    """Element index[t] = (v, v + 0.25, ..), v = t + first; all others stay 0."""
    import torch

    out = torch.zeros(ELEMENTS * width // torch.zeros(0, dtype=getattr(torch, dtype)).element_size())
    out = out.to(getattr(torch, dtype))
    for pattern in patterns:
        index, want = _index(pattern), out.clone().reshape(ELEMENTS, -1)
        stored = index >= 0
        value = (torch.arange(THREADS) + first)[:, None] + 0.25 * torch.arange(want.shape[1])
        want[index[stored].long()] = value[stored].to(want.dtype)
        arguments = {"index": index, "out": out.clone()}
        yield Probe(dsl, f"{space}_store_{width}", pattern, arguments, {"out": want.flatten()})


def _atomic(dsl: str, kernel: str, dtype: str, returns: bool = False) -> Iterator[Probe]:
    """out[index[t]] += 1."""
    import torch

    for pattern in CONTENDED:
        index, out = _index(pattern), torch.zeros(ELEMENTS, dtype=getattr(torch, dtype))
        active = index >= 0
        want = torch.bincount(index[active].long(), minlength=ELEMENTS).to(out.dtype)
        seen = {"seen": torch.zeros(THREADS, dtype=torch.int32)} if returns else {}
        wanted = {"out": want, **({"seen": active.to(torch.int32)} if returns else {})}
        yield Probe(dsl, kernel, pattern, {"index": index, "out": out, **seen}, wanted)


def _ring(dsl: str) -> Iterator[Probe]:
    import torch

    for rounds in (1, 10):
        want = (torch.arange(THREADS) + rounds).remainder(THREADS).float()
        yield Probe(dsl, "barriers", f"rounds_{rounds}", {"out": torch.zeros(64), "rounds": rounds}, {"out": want})


def _cupy() -> Iterator[Probe]:
    import torch

    for width in (4, 8, 16):
        yield from _load("cupy", "shared", width, EVERY)
        yield from _store("cupy", "shared", width, DISTINCT, 0)
        yield from _load("cupy", "global", width, EVERY if width == 4 else (*FEW, "stride_8", "repeating"))
        yield from _store(
            "cupy", "global", width, DISTINCT if width == 4 else ("stride_1", "stride_2", "even_lanes"), 1
        )
    yield from _atomic("cupy", "global_red_int", "int32")
    yield from _atomic("cupy", "global_red_float", "float32")
    yield from _atomic("cupy", "global_atom_int", "int32", returns=True)
    yield from _atomic("cupy", "shared_red_int", "int32")
    yield from _atomic("cupy", "shared_atom_int", "int32", returns=True)
    one = {"out": torch.zeros(1, dtype=torch.int32)}
    yield Probe("cupy", "global_red_uniform", "one_word", one, {"out": torch.full((1,), 64, dtype=torch.int32)})
    yield from _ring("cupy")
    x = _counting(THREADS)
    sums = x.reshape(2, 32).sum(1).repeat_interleave(32)
    yield Probe("cupy", "warp_sums", "two_warps", {"x": x, "out": torch.zeros(THREADS)}, {"out": sums})
    index = _index("stride_1")
    place = index % 32
    read = place * 7 % 32
    want = read + 0.5 * torch.arange(THREADS) + 100.0 * (read == place)
    arguments = {"index": index, "out": torch.zeros(THREADS)}
    yield Probe("cupy", "local_array", "stride_1", arguments, {"out": want.float()})
    want = torch.full((THREADS,), 2.0) + (x - 2.0) * 0.5**4
    arguments = {"x": x, "out": torch.zeros(THREADS), "rounds": 4}
    yield Probe("cupy", "fused_multiply_adds", "rounds_4", arguments, {"out": want})


def _numba() -> Iterator[Probe]:
    yield from _load("numba", "shared", 4, FEW)
    yield from _load("numba", "shared", 8, (*FEW, "pairs", "same_halves"), "float64")
    yield from _store("numba", "shared", 8, ("stride_1", "stride_2", "stride_16", "swizzled"), 0, "float64")
    yield from _bytes()
    yield from _load("numba", "global", 4, (*FEW, "shift_1"))
    yield from _load("numba", "global", 8, FEW, "float64")
    yield from _store("numba", "global", 8, ("stride_1", "stride_2", "even_lanes"), 1, "float64")
    yield from _atomic("numba", "atomic_add_float", "float32")
    yield from _ring("numba")


def _bytes() -> Iterator[Probe]:
    """Loads of single bytes."""
    import torch

    x = (torch.arange(ELEMENTS) % 100).to(torch.int8)
    for pattern in ("stride_1", "stride_4", "stride_33", "broadcast"):
        index = _index(pattern)
        arguments = {"index": index, "x": x, "out": torch.zeros(THREADS, dtype=torch.int32)}
        yield Probe("numba", "global_load_1", pattern, arguments, {"out": x[index.long()].to(torch.int32)})


def _triton() -> Iterator[Probe]:
    import torch

    x = _counting(ELEMENTS)
    for pattern in (*FEW, "stride_8", "shift_1", "reverse"):
        index = _index(pattern)
        want = torch.where(index >= 0, x[index.clamp(min=0).long()], 0.0)
        yield Probe("triton", "gather", pattern, {"index": index, "x": x, "out": torch.zeros(THREADS)}, {"out": want})
    yield from _atomic("triton", "scatter_add", "float32")
    for n in (4096, 1008, 1003):
        yield Probe("triton", "copy", f"n_{n}", {"x": _counting(n), "out": torch.zeros(n)}, {"out": _counting(n)})
    for pitch in (32, 33, 40, 64):
        rows = _counting(32 * pitch).reshape(32, pitch)
        arguments = {"x": rows, "out": torch.zeros(32, 32), "pitch": pitch}
        yield Probe("triton", "copy_rows", f"pitch_{pitch}", arguments, {"out": rows[:, :32].contiguous()})
    for name in ("float32", "float16"):
        tile = _counting(4096, name).reshape(64, 64)
        zeros = torch.zeros_like(tile)
        yield Probe("triton", "transpose", name, {"x": tile, "out": zeros}, {"out": tile.T.contiguous()})
    tile = _counting(4096).reshape(64, 64)
    yield Probe("triton", "column_sums", "float32", {"x": tile, "out": torch.zeros(64)}, {"out": tile.sum(0)})
    line = _counting(1024)
    yield Probe("triton", "running_sums", "float32", {"x": line, "out": torch.zeros(1024)}, {"out": line.cumsum(0)})
    a = ((torch.arange(1024) % 7) - 3).half().reshape(32, 32)
    b = ((torch.arange(1024) % 5) - 2).half().reshape(32, 32)
    arguments = {"a": a, "b": b, "c": torch.zeros(32, 32)}
    yield Probe("triton", "small_product", "float16", arguments, {"c": a.float() @ b.float()})
