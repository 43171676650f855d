"""`ld`, `st`, `ldu`, `prefetch`, `cvta` of parameters: reading and writing memory through the runtime."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.types import DTYPES, Address, Immediate, Instruction, Operand, Register, Symbol, Vector, bits_of

SPACES = {
    "global": "global", "shared": "shared", "shared::cta": "shared", "local": "local", "const": "const",
    "param": "param", "param::entry": "param",
}  # fmt: skip
# Words that change caching, ordering or scope. Caches are not modelled, and ptxvm runs memory operations in order, so
# they change nothing here; but PTX does not allow them everywhere.
CACHES = {"ld": {"ca", "cg", "cs", "lu", "cv"}, "ldu": set(), "st": {"wb", "cg", "cs", "wt"}}
EVICTIONS = {"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate"}
L2_EVICTIONS = {"L2::evict_normal", "L2::evict_first", "L2::evict_last"}
SECTORS = {"L2::64B", "L2::128B", "L2::256B"}
SCOPES = {"cta", "cluster", "gpu", "sys"}
ORDERS = {
    "ld": {"weak", "volatile", "relaxed", "acquire"},
    "ldu": set(),
    "st": {"weak", "volatile", "relaxed", "release"},
}
VECTORS = {"v2": 2, "v4": 4, "v8": 8}
NO_MEMORY_TYPES = {
    "pred",
    "f16",
    "f16x2",
    "bf16",
    "bf16x2",
    "f32x2",
    "u16x2",
    "s16x2",
    "tf32",
    "e4m3",
    "e5m2",
    "e4m3x2",
    "e5m2x2",
}
ORDERED = {"volatile", "relaxed", "acquire"}  # loads that may wait for another thread


def access_form(ins: Instruction) -> tuple[str, int, str]:
    """(space, number of elements, element type) of an `ld` or `st`. Raises Unsupported for what PTX does not allow."""
    space, count, type_name = "generic", 1, ""
    hints = set()
    for word in ins.parts[1:]:
        if word in SPACES:
            space = SPACES[word]
        elif word in VECTORS:
            count = VECTORS[word]
        elif word in DTYPES and word not in NO_MEMORY_TYPES:
            type_name = word
        else:
            hints.add(word)
    if not type_name or not _is_allowed(ins.parts[0], hints, space, count, type_name):
        raise refuse(ins)
    return space, count, type_name


def _is_allowed(base: str, hints: set[str], space: str, count: int, type_name: str) -> bool:
    """Whether an access may have these words on caches and order, and this width."""
    orders, scopes, caches = hints & ORDERS[base], hints & SCOPES, hints & CACHES[base]
    evictions, sectors = hints & (EVICTIONS | L2_EVICTIONS), hints & SECTORS
    order = orders.pop() if orders else ""
    other = hints - ORDERS[base] - SCOPES - CACHES[base] - EVICTIONS - L2_EVICTIONS - SECTORS
    anywhere = space in ("generic", "global")
    scoped = order in ("relaxed", "acquire", "release")
    bits = bits_of(type_name)
    plainly = count == 1 and not (caches or evictions or sectors)
    if "mmio" in other and not (order == "relaxed" and scopes == {"sys"} and anywhere and plainly):
        return False
    if "nc" in other and (base != "ld" or space != "global" or order or caches - {"ca", "cg", "cs"}):
        return False
    if base == "ldu" and not anywhere:
        return False
    return (
        not orders
        and other <= {"mmio", "nc", "L2::cache_hint"}
        and len(scopes) == int(scoped)
        and len(caches) <= 1
        and not (caches and (order not in ("", "weak") or evictions))
        and len(evictions & EVICTIONS) <= 1
        and (not evictions & L2_EVICTIONS or bits * count == 256)
        and len(sectors) <= 1
        and not (sectors and base != "ld")
        and not (evictions and order == "volatile")
        and not ("L2::cache_hint" in other and order == "volatile")
        and (anywhere or not (evictions or sectors or "L2::cache_hint" in other))
        and (space in ("generic", "global", "shared") or order in ("", "weak"))
        and (bits * count <= 128 or (bits * count == 256 and bits >= 32 and anywhere and base != "ldu"))
    )


def address(w: BlockWriter, operand: Operand, apart: bool = False) -> str:
    """An int64 array expression for `[base+offset]`; with `apart` it may be a `Sum`."""
    if not isinstance(operand, Address):
        if w.instruction is None:
            raise TypeError(f"not an address: {operand}")
        raise refuse(w.instruction, "an address in brackets is missing")
    base = operand.base
    if isinstance(base, Symbol):
        return f"rt.address_of({base.name!r}, {base.offset + operand.offset}).view(np.int64)"
    if isinstance(base, Immediate):
        return f"np.array([[{base.value + operand.offset}]])"
    assert isinstance(base, Register)
    wide = bits_of(w.dtypes.get(base.name, "u64")) == 64
    text = w.use(base, "s64", apart) if wide else f"{w.use(base, 'u32', apart)}.astype(np.int64)"
    return f"{text} + {operand.offset}" if operand.offset else text


@emits("ld", "ldu")
def load(w: BlockWriter, ins: Instruction) -> None:
    space, count, type_name = access_form(ins)
    target, place = ins.operands[0], ins.operands[1]
    targets = target.items if isinstance(target, Vector) else (target,)
    if len(targets) != count:
        raise refuse(ins)
    size = DTYPES[type_name].itemsize
    if space == "param" and isinstance(place, Vector):
        receive(w, ins, targets, type_name)
        return
    if space == "param" and isinstance(place, Address) and isinstance(place.base, Register):
        space = "global"  # a parameter whose address is taken lies there, see `Device`
    if space == "param":
        if not isinstance(place, Address) or not isinstance(place.base, Symbol):
            raise refuse(ins)
        base = place.base
        values = w.let(f"rt.param({base.name!r}, {base.offset + place.offset}, {size}, {count})")
    else:
        values = w.let(f"rt.load(g, {w.site()}, {space!r}, {address(w, place, True)}, {w.guard()}, {size}, {count})")
    for i, register in enumerate(targets):
        kind = DTYPES[type_name]
        text = f"{values}[{i}]" if kind.kind == "u" else f"{values}[{i}].view('{kind.str[1:]}')"
        define_extended(w, register, text, type_name)


def define_extended(w: BlockWriter, register: Operand, text: str, type_name: str) -> None:
    """Define a register that may be wider than the loaded type: signed types extend their sign, others zeros."""
    if isinstance(register, Register) and register.name in w.dtypes:
        have = bits_of(w.dtypes[register.name])
        bits = bits_of(type_name)
        if have > bits:
            kind = "s" if type_name[0] == "s" else "u"
            if DTYPES[type_name].kind == "f":
                text = f"{text}.view('u{bits // 8}')"
            w.define(register, f"{text}.astype(np.{DTYPES[f'{kind}{have}'].name})", f"{kind}{have}")
            return
    w.define(register, text, type_name)


@emits("st")
def store(w: BlockWriter, ins: Instruction) -> None:
    space, count, type_name = access_form(ins)
    if space == "const" or (space != "param" and len(ins.operands) > 3):
        raise refuse(ins)
    place, value = ins.operands[0], ins.operands[1]
    values = value.items if isinstance(value, Vector) else (value,)
    if len(values) != count:
        raise refuse(ins)
    size = DTYPES[type_name].itemsize
    if space == "param":
        pass_on(w, ins, values, type_name)
        return
    parts = ", ".join(stored(w, v, type_name, size) for v in values)
    w.line(f"rt.store(g, {w.site()}, {space!r}, {address(w, place, True)}, {w.guard()}, [{parts}])")


def _pieces(
    w: BlockWriter, ins: Instruction, place: int, size: int, count: int
) -> tuple[int, list[tuple[Operand, int]]]:
    """What `ld.param` or `st.param` of a call moves (see `link.py`).

    (bits of the registers, (the register and the bit in it) of each element)
    """
    words, offset = (ins.operands[place], ins.operands[2]) if len(ins.operands) > 2 else (None, None)
    if not isinstance(words, Vector) or not isinstance(offset, Immediate):
        raise refuse(ins, "it names no parameter of a call")
    first = words.items[0]
    word = bits_of(w.dtypes.get(first.name, "b64")) // 8 if isinstance(first, Register) else 8
    starts = range(offset.value, offset.value + size * count, size)
    return 8 * word, [(words.items[at // word], 8 * (at % word)) for at in starts]


def receive(w: BlockWriter, ins: Instruction, targets: Sequence[Operand], type_name: str) -> None:
    """`ld.param` of what a caller passed or a function returned."""
    kind = DTYPES[type_name]
    bits, pieces = _pieces(w, ins, 1, kind.itemsize, len(targets))
    words = [(w.let(w.use(word, f"u{bits}")), bit) for word, bit in pieces]  # read before any target is written
    for target, (word, bit) in zip(targets, words, strict=True):
        text = f"({word} >> np.uint{bits}({bit}))" if bit else word
        if 8 * kind.itemsize < bits:
            text = f"{text}.astype(np.{DTYPES[f'u{8 * kind.itemsize}'].name})"
        define_extended(w, target, text if kind.kind == "u" else f"{text}.view('{kind.str[1:]}')", type_name)


def pass_on(w: BlockWriter, ins: Instruction, values: Sequence[Operand], type_name: str) -> None:
    """`st.param`: a piece of what a call passes, or a function returns."""
    size = DTYPES[type_name].itemsize
    fresh = len(ins.operands) == 4
    bits, pieces = _pieces(w, ins, 0, size, len(values))
    for value, (word, bit) in zip(values, pieces, strict=True):
        text = stored(w, value, type_name, size)
        if 8 * size < bits:
            text = f"({text}).astype(np.uint{bits})"
        text = f"({text} << np.uint{bits}({bit}))" if bit else text
        if bit or not (fresh or 8 * size == bits):
            kept = ~(((1 << 8 * size) - 1) << bit) & ((1 << bits) - 1)
            text = f"({w.use(word, f'u{bits}')} & np.uint{bits}({kept})) | {text}"
        w.define(word, text, f"u{bits}")


def stored(w: BlockWriter, operand: Operand, type_name: str, size: int) -> str:
    """A value as an unsigned array of `size` bytes; wider registers give their low bits."""
    unsigned = f"u{8 * size}"
    if isinstance(operand, Register) and bits_of(w.dtypes.get(operand.name, unsigned)) > 8 * size:
        return f"{w.use(operand, 'u' + str(bits_of(w.dtypes[operand.name])))}.astype(np.{DTYPES[unsigned].name})"
    if isinstance(operand, Immediate) and DTYPES[type_name].kind == "f":
        return f"{w.use(operand, type_name)}.view('u{size}')"
    return w.use(operand, unsigned)


_HINTS = re.compile(
    r"prefetch(\.global|\.local)?\.L[12]|prefetch(\.global)?\.L2::evict_(last|normal)|prefetchu\.L1"
    r"|prefetch(\.const|\.param)?\.tensormap|discard(\.global)?\.L2|applypriority(\.global)?\.L2::evict_normal"
    r"|createpolicy\.(fractional|range(\.global)?)\.L2::evict_(last|normal|first|unchanged)(\.L2::evict_(first|unchanged))?"
    r"\.b64|createpolicy\.cvt\.L2\.b64"
)


@emits("prefetch", "prefetchu", "discard", "applypriority", "createpolicy")
def cache_hint(w: BlockWriter, ins: Instruction) -> None:
    """Hints to caches, which are not modelled. A policy register gets 0."""
    if not _HINTS.fullmatch(ins.opcode):
        raise refuse(ins)
    if ins.parts[0] in ("discard", "applypriority") and ins.operands[1:] != (Immediate(128),):
        raise refuse(ins, "it works on 128 bytes")
    if ins.parts[0] == "createpolicy":
        w.define(ins.operands[0], w.use(Immediate(0), "u64"), "u64")
