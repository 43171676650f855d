"""The one comparison of an output with its reference. It cannot be fooled:

- outputs start as poison (a NaN of our own, 0xA5 bytes for integers), so yesterday's right answer is not there to find
- guard bands lie on both sides of every tensor (on a card; on ptxvm each access is checked against the tensor itself)
- inputs are compared byte for byte with what they were
- |got - want| <= atol + rtol * |want| in float64; NaN is close to nothing, and NaN and infinities must stand where the
  reference has them

torch tensors on the CPU or on a card. torch is imported inside functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from warpbench.contract import ITEMSIZE, Output, Tolerance
from warpbench.errors import KernelWrong
from warpbench.patterns import Pattern, diagnose

Tensor = Any  # torch.Tensor: torch is not imported for its types
BAND_BYTES = 512  # of a guard band; a multiple of every alignment that a kernel may rely on
BAND = 0xFF  # every float type reads a NaN from it, every integer -1
# Bits of an unwritten element, by dtype. Signalling NaNs with a payload: arithmetic makes another NaN of one, so an
# element that was computed from unwritten memory is not taken for unwritten itself. fp8 has no such numbers.
_POISON = {
    "f64": b"\xa5\xa5\xa5\xa5\xa5\xa5\xf4\x7f",
    "f32": b"\xa5\xa5\xa5\x7f",
    "f16": b"\xa5\x7c",
    "bf16": b"\xa5\x7f",
    "e4m3": b"\x7f",
    "e5m2": b"\x7d",
}


@dataclass(frozen=True)
class Placed:
    """A tensor where a kernel will see it. `storage` (bytes,) uint8 holds it between two bands of `band` bytes."""

    tensor: Tensor
    storage: Tensor
    band: int
    before: Tensor | None = None  # of an input: a copy of the storage, to compare with


@dataclass(frozen=True)
class Difference:
    """One thing that is wrong with one tensor, in the learner's coordinates.

    code     C1 values differ, C2 no better than zeros, a copy or a lower precision, C3 an input changed, an output not
             fully written, a canary broken (findings.toml)
    first    index of the first element concerned, () for a scalar or a band
    """

    code: str
    tensor: str
    pattern: str
    evidence: str  # what was seen: "37 of 1000 wrong, first y[2, 255] = 0.0, want 0.0312"
    guess: str  # what the pattern suggests: "all in the last 3 columns: is the tail masked?"
    count: int
    total: int
    first: tuple[int, ...] = ()

    def message(self) -> str:
        """`37 of 1000 wrong, first y[2, 255] = 0, want 0.0312; only columns 255 to 256: is the tail masked?`"""
        return f"{self.evidence}; {self.guess}" if self.guess else self.evidence

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "first": list(self.first), "message": self.message()}


@dataclass(frozen=True)
class Comparison:
    """What a comparison found. Errors are the greatest over all outputs; None where nothing finite was compared."""

    differences: tuple[Difference, ...]
    max_abs_err: float | None
    max_rel_err: float | None

    @property
    def ok(self) -> bool:
        return not self.differences


# -- tensors for a kernel ------------------------------------------------------------------------------------------
@cache
def torch_dtype(dtype: str) -> Any:
    """The torch dtype of a contract name such as "f32". KeyError for another name."""
    import torch

    return {
        "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
        "e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2,
        "i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8, "u8": torch.uint8,
    }[dtype]  # fmt: skip


def place_output(output: Output, device: str = "cpu", band: int = 0) -> Placed:
    """A contiguous output full of poison, with `band` bytes of guard on both sides."""
    import torch

    size = ITEMSIZE[output.dtype]
    count = 1
    for length in output.shape:
        count *= length
    storage = torch.full((count * size + 2 * band,), BAND, dtype=torch.uint8, device=device)
    inner = storage[band : band + count * size]
    inner.view(-1, size)[:] = torch.tensor(list(poison(output.dtype)), dtype=torch.uint8, device=device)
    return Placed(inner.view(torch_dtype(output.dtype)).view(output.shape), storage, band)


def place_input(value: Tensor, device: str = "cpu", band: int = 0) -> Placed:
    """A copy of an input (same shape, strides and dtype) with `band` bytes of guard on both sides."""
    import torch

    size = value.element_size()
    reach = (1 + sum((n - 1) * s for n, s in zip(value.shape, value.stride(), strict=True))) if value.numel() else 0
    storage = torch.full((reach * size + 2 * band,), BAND, dtype=torch.uint8, device=device)
    flat = storage[band : band + reach * size].view(value.dtype)
    tensor = flat.as_strided(value.shape, value.stride())
    tensor.copy_(value)
    return Placed(tensor, storage, band, before=storage.clone())


def poison(dtype: str) -> bytes:
    """The bytes of one unwritten element."""
    return _POISON.get(dtype, b"\xa5" * ITEMSIZE[dtype])


def poison_again(placed: Placed, dtype: str) -> None:
    """Put the poison back into an output, for another run."""
    import torch

    inner = placed.storage[placed.band : placed.storage.numel() - placed.band]
    inner.view(-1, ITEMSIZE[dtype])[:] = torch.tensor(list(poison(dtype)), dtype=torch.uint8, device=inner.device)


# -- comparing -----------------------------------------------------------------------------------------------------
def compare(
    outputs: Mapping[str, Placed],
    declared: Mapping[str, Output],
    want: Mapping[str, Tensor],
    tolerance: Tolerance,
    inputs: Mapping[str, Placed] | None = None,
) -> Comparison:
    """All outputs against the reference, all bands, all inputs.

    want    name -> float64 or integer tensor of the declared shape, on the outputs' device
    Raises KernelWrong if the reference does not fit its own declaration (op.py is wrong, not the kernel).
    """
    inputs = inputs or {}
    found: list[Difference] = []
    errors: list[tuple[float | None, float | None]] = []
    for name, output in declared.items():
        if name not in want:
            raise KernelWrong(
                f"op.py: the reference returns no {name}, but outputs() declares it. Nothing was compared."
            )
        if tuple(want[name].shape) != tuple(output.shape):
            raise KernelWrong(
                f"op.py: the reference of {name} has shape {tuple(want[name].shape)}, "
                f"outputs() declares {tuple(output.shape)}. Nothing was compared."
            )
        difference, err_abs, err_rel = compare_one(
            name, outputs[name].tensor, want[name], tolerance, output.dtype, inputs
        )
        found += [difference] if difference else []
        found += _broken_bands(name, outputs[name])
        errors.append((err_abs, err_rel))
    for name, placed in inputs.items():
        found += _changed(name, placed)
    known_abs = [a for a, _ in errors if a is not None]
    known_rel = [r for _, r in errors if r is not None]
    return Comparison(tuple(found), max(known_abs, default=None), max(known_rel, default=None))


def compare_one(
    name: str,
    got: Tensor,
    want: Tensor,
    tolerance: Tolerance,
    dtype: str,
    inputs: Mapping[str, Placed] | None = None,
) -> tuple[Difference | None, float | None, float | None]:
    """One output: what is wrong (None: nothing), the greatest absolute and relative error of finite elements."""
    import torch

    if got.dtype != torch_dtype(dtype) or got.shape != want.shape:
        evidence = f"{name} is {got.dtype} {tuple(got.shape)}, want {torch_dtype(dtype)} {tuple(want.shape)}"
        return Difference("C3", name, "other", evidence, "", want.numel(), want.numel()), None, None
    want = want.to(got.device)
    exact = not got.is_floating_point() and not want.is_floating_point()
    g, w = (
        (got.long(), want.long()) if exact and tolerance.atol == tolerance.rtol == 0 else (got.double(), want.double())
    )
    finite = torch.isfinite(g) & torch.isfinite(w) if g.is_floating_point() else torch.ones_like(g, dtype=torch.bool)
    error = torch.where(finite, (g - w).abs(), torch.zeros_like(g))
    if g.is_floating_point():
        close = finite & (error <= tolerance.atol + tolerance.rtol * w.abs())
        same = (g.isnan() & w.isnan()) | (g.isinf() & (g == w))
        right = close | same
    else:
        right = g == w
    unwritten = _unwritten(got, dtype)
    if dtype in ("f64", "f32", "f16", "bf16"):
        unwritten = unwritten & (~right | w.isnan())  # our NaN is not the NaN that was wanted
    else:
        unwritten = unwritten & ~right  # one byte or an integer: the pattern may be a value
    wrong = ~right | unwritten
    err_abs = float(error.max()) if error.numel() and bool(finite.any()) else None
    base = torch.where(finite & (w != 0), w.abs(), torch.ones_like(w)).double()
    relative = torch.where(finite & (w != 0), error.double() / base, torch.zeros_like(base))
    err_rel = float(relative.max()) if error.numel() and bool(finite.any()) else None
    if not bool(wrong.any()):
        return None, err_abs, err_rel
    values = {n: p.tensor for n, p in (inputs or {}).items()}
    pattern = diagnose(g.double(), w.double(), wrong, unwritten, values)
    return _difference(name, g, w, wrong, unwritten, pattern), err_abs, err_rel


def _difference(name: str, got: Tensor, want: Tensor, wrong: Tensor, unwritten: Tensor, pattern: Pattern) -> Difference:
    total, stale = wrong.numel(), int(unwritten.sum())
    about = unwritten if stale else wrong
    count = int(about.sum())
    first = index(about, int(about.flatten().to(dtype=_uint8()).argmax()))
    place = at(name, first)
    g, w = got[first].item(), want[first].item()
    if stale:
        verb = "holds" if stale == 1 else "hold"
        evidence = (
            f"{stale:,} of {total:,} elements of {name} still {verb} the poison: "
            f"{place} was never written, want {figure(w)}"
        )
    else:
        shown, wanted = figure(g), figure(w)
        if shown == wanted:
            shown, wanted = repr(g), repr(w)
        evidence = f"{count:,} of {total:,} wrong, first {place} = {shown}, want {wanted}"
    return Difference(pattern.code, name, pattern.name, evidence, pattern.guess, count, total, first)


def _unwritten(got: Tensor, dtype: str) -> Tensor:
    """Which elements hold the poison, bit for bit."""
    import torch

    size = ITEMSIZE[dtype]
    word = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[size]
    pattern = int.from_bytes(poison(dtype), "little", signed=size > 1)
    return got.contiguous().view(word) == pattern


def _broken_bands(name: str, placed: Placed) -> list[Difference]:
    if not placed.band:
        return []
    size = placed.tensor.element_size()
    found = []
    for side, band in (("before", placed.storage[: placed.band]), ("after", placed.storage[-placed.band :])):
        bad = (band != BAND).nonzero().flatten()
        if bad.numel():
            distance = int(placed.band - 1 - bad[-1]) // size if side == "before" else int(bad[0]) // size
            where = (
                f"{distance + 1} element{'s' if distance else ''} before its start"
                if side == "before"
                else f"{distance} elements past its end"
            )
            if side == "after" and distance == 0:
                where = "the first element past its end"
            evidence = f"{name} was written outside: {bad.numel()} bytes of the guard band, nearest {where}"
            found.append(
                Difference("C3", name, "band", evidence, "which index passes the edge?", int(bad.numel()), placed.band)
            )
    return found


def _changed(name: str, placed: Placed) -> list[Difference]:
    assert placed.before is not None
    bad = (placed.storage != placed.before).nonzero().flatten()
    if not bad.numel():
        return []
    size = placed.tensor.element_size()
    offset = int(bad[0]) - placed.band
    evidence = f"the input {name} was changed: {bad.numel():,} bytes, first at byte {offset}"
    if placed.tensor.is_contiguous() and 0 <= offset < placed.tensor.numel() * size:
        evidence = (
            f"the input {name} was changed, first {at(name, _unravel(offset // size, tuple(placed.tensor.shape)))}"
        )
    return [
        Difference(
            "C3",
            name,
            "input",
            evidence,
            "are the arguments of the launch in order?",
            int(bad.numel()) // size or 1,
            placed.tensor.numel(),
        )
    ]


# -- small helpers -------------------------------------------------------------------------------------------------
def _uint8() -> Any:
    import torch

    return torch.uint8


def index(mask: Tensor, flat: int) -> tuple[int, ...]:
    """Flat index -> index in the tensor's own shape."""
    return _unravel(flat, tuple(mask.shape))


def _unravel(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    out = []
    for length in reversed(shape):
        out.append(flat % length)
        flat //= length
    return tuple(reversed(out))


def at(name: str, place: tuple[int, ...]) -> str:
    """`y[2, 255]`; a scalar is its name alone."""
    return f"{name}[{', '.join(map(str, place))}]" if place else name


def figure(value: float) -> str:
    """A value as a learner reads it: 6 significant digits, a float never looks like an integer."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:.6g}"
    return f"{text}.0" if text.lstrip("-").isdigit() else text
