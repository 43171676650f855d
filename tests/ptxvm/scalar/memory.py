"""`ld`, `st`, `cp.async` and atomics on bytes, from "Data Movement" and "Parallel Synchronization" of the PTX ISA."""

from __future__ import annotations

from collections.abc import Sequence

from tests.ptxvm.scalar.formats import FORMATS, decode, rounded, total
from tests.ptxvm.scalar.integer import pattern, value
from tests.ptxvm.scalar.results import PACKED

Words = tuple[str, ...]
VECTOR = {"v2": 2, "v4": 4, "v8": 8}


def shape(words: Words) -> tuple[int, int, bool]:
    """(number of elements, bytes of one, whether it is signed) of an access."""
    kind = words[-1]
    count = next((VECTOR[w] for w in words if w in VECTOR), 1)
    return count, int(kind[1:]) // 8, kind[0] == "s"


def load(words: Words, window: bytes, place: int, register_bits: int) -> tuple[int, ...]:
    """What each register gets: little-endian, extended by its sign or by zeros to the register's width."""
    count, size, signed = shape(words)
    mask = (1 << register_bits) - 1
    parts = (window[place + i * size : place + (i + 1) * size] for i in range(count))
    return tuple(int.from_bytes(part, "little", signed=signed) & mask for part in parts)


def stored(words: Words, values: Sequence[int]) -> bytes:
    """The bytes that a store writes: the low part of each register."""
    _, size, _ = shape(words)
    return b"".join((v & ((1 << 8 * size) - 1)).to_bytes(size, "little") for v in values)


def async_copy(source: bytes, size: int, source_size: int | None = None) -> bytes:
    """The bytes that `cp.async` brings: those beyond the source size are zero."""
    read = size if source_size is None else min(source_size, size)
    return source[:read] + bytes(size - read)


# -- atomics -------------------------------------------------------------------------------------------------------
def combine(words: Words, old: int, b: int, c: int = 0, space: str = "global") -> int:
    """The new value of a cell. Additions of f32 in global memory flush subnormal numbers, those in shared do not."""
    operation = next(w for w in words if w in OPERATIONS)
    kind = words[-1]
    if kind in PACKED:
        element, bits = PACKED[kind]
        mask = (1 << bits) - 1
        scalar = (*words[:-1], element)
        parts = (combine(scalar, (old >> s) & mask, (b >> s) & mask, space=space) << s for s in (0, bits))
        return sum(parts)
    if operation == "add" and kind in FORMATS:
        flush = kind == "f32" and space == "global"
        format_ = FORMATS[kind]
        return rounded(total(decode(old, format_, flush), decode(b, format_, flush)), format_, flush=flush)
    if operation == "cas":
        return c if old == b else old
    x, y = value(old, kind), value(b, kind)
    return pattern(OPERATIONS[operation](x, y), kind)


OPERATIONS = {
    "add": lambda r, s: r + s,
    "min": min,
    "max": max,
    "and": lambda r, s: r & s,
    "or": lambda r, s: r | s,
    "xor": lambda r, s: r ^ s,
    "exch": lambda r, s: s,
    "cas": lambda r, s: s,
    "inc": lambda r, s: 0 if r >= s else r + 1,
    "dec": lambda r, s: s if r == 0 or r > s else r - 1,
}
Request = tuple[int, int, int | None]  # b, c, the value that the lane got back (None: nobody looked)


def same_bits(kind: str, a: int, b: int) -> bool:
    """Equality of two cells in which all NaN count as one."""
    if kind in PACKED:
        element, bits = PACKED[kind]
        return all(same_bits(element, (a >> s) & ((1 << bits) - 1), (b >> s) & ((1 << bits) - 1)) for s in (0, bits))
    if kind in FORMATS and decode(a, FORMATS[kind]).kind == "nan":
        return decode(b, FORMATS[kind]).kind == "nan"
    return a == b


def explains(words: Words, cell: int, requests: list[Request], final: int, space: str) -> bool:
    """Whether some order of the requests gives what the lanes got back and the final value. Any order is allowed."""
    kind = words[-1]
    seen: set[tuple[int, frozenset[int]]] = set()

    def follow(state: int, left: frozenset[int]) -> bool:
        if not left:
            return same_bits(kind, state, final)
        if (state, left) in seen:
            return False
        seen.add((state, left))
        tried: set[tuple[int, int, int | None]] = set()
        for i in left:
            b, c, old = requests[i]
            if requests[i] in tried or (old is not None and not same_bits(kind, state, old)):
                continue
            tried.add(requests[i])
            if follow(combine(words, state, b, c, space), left - {i}):
                return True
        return False

    return follow(cell, frozenset(range(len(requests))))
