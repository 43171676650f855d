"""Do loads and stores bring the right bytes, in every space, width, vector and group shape?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

import ptxvm
from tests.ptxvm.lane_forms import each
from tests.ptxvm.ptx_kernel import FILL, Program
from tests.ptxvm.scalar import memory
from tests.ptxvm.spaces_kernel import LANES, WINDOW, ZONE, Spaces

OLD = 0x5A5A
SHAPES = ("uniform", "block", "thread", "both")
TYPES = ("b8", "u8", "s8", "b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64")
VECTORS = (
    "v2.b8",
    "v4.u8",
    "v2.u16",
    "v4.b16",
    "v2.b32",
    "v2.f32",
    "v2.u32",
    "v4.b32",
    "v4.u32",
    "v4.f32",
    "v2.b64",
    "v2.f64",
)
ALL = " ".join((*TYPES, *VECTORS))
SPACES = ("shared", "local", "global", "const")
POINTS = ("global", "in_shared", "in_local")

# Opcode, and where the address points.
LOADS = [
    *((o, "global") for o in each(f"ld.global.{{{ALL} v8.b32 v4.b64}}")),
    *((o, "shared") for o in each(f"ld.shared.{{{ALL}}}")),
    *((o, "shared64") for o in each("ld.shared::cta.{b16 u32 v4.f32}")),
    *((o, "local") for o in each(f"ld.local.{{{ALL}}}")),
    *((o, "const") for o in each("ld.const.{u8 s16 b32 f32 f64 v2.f32 v4.u32}")),
    *((o, space) for o in each("ld.{u8 s16 u32 f32 u64 v2.b32 v4.f32}") for space in POINTS),
    *((o, "mixed") for o in each("ld.{s8 u32 f64 v2.f32}")),
    *((o, "global") for o in each("ld.global{.ca .cg .cs .lu .cv}.{f32 v4.f32}")),
    *((o, "global") for o in each("ld.global.nc.{u8 b32 u32 f32 u64 v2.f64 v4.f32 v4.u32}")),
    *((o, "global") for o in each("ld.global.nc{.L1::evict_last .L1::no_allocate}{- .L2::128B}.{b32 v4.f32}")),
    *((o, "global") for o in each("ld.{volatile weak relaxed.gpu relaxed.sys}.global.{u32 u64}")),
    *((o, "global") for o in each("ld.acquire.{cta gpu}.global.{u32 u64}")),
    *((o, "global") for o in each("ld.{acquire.gpu volatile}.u32")),
    *((o, "shared") for o in each("ld.{volatile relaxed.cta acquire.cta}.shared.u32")),
    *((o, "mixed") for o in each("ld.{relaxed acquire}.cta.{b32 b64}")),
    *((o, "global") for o in each("ldu.global.{u32 v4.f32}")),
]
STORES = [
    *((o, "global") for o in each(f"st.global.{{{ALL} v8.b32 v4.b64}}")),
    *((o, "shared") for o in each(f"st.shared.{{{ALL}}}")),
    *((o, "shared64") for o in each("st.shared::cta.{b16 b32 u32 v4.f32}")),
    *((o, "local") for o in each(f"st.local.{{{ALL}}}")),
    *((o, space) for o in each("st.{u8 b16 u32 f32 u64 v2.b32 v4.f32}") for space in POINTS),
    *((o, "mixed") for o in each("st.{b8 u32 f64 v2.f32}")),
    *((o, "global") for o in each("st.global{.wb .cg .cs .wt}.{f32 v4.f32}")),
    *((o, "global") for o in each("st.{volatile weak relaxed.gpu release.gpu release.sys}.global.{u32 u64}")),
    *((o, "mixed") for o in each("st.{relaxed release}.cta.{b32 b64}")),
    *((o, "shared") for o in each("st.{volatile relaxed.cta release.cta}.shared.u32")),
]
CASES = [*((shape, "") for shape in SHAPES), ("both", "@%p "), ("thread", "@!%p ")]
FLAT_CASES = [("both", ""), ("block", ""), ("both", "@%p ")]  # behind a branch that the lanes of %p take


@dataclass(frozen=True)
class Access:
    """One access of the kernel, as its results are compared. `picks`: the index of what each lane reads or stores."""

    text: str
    words: tuple[str, ...]
    space: str
    shape: str
    guard: str
    flat: bool
    width: int
    values: list[list[int]]  # offsets of a load; values of a store, one list an element
    slots: list[int]

    def active(self, flag: int) -> bool:
        """Whether a lane executes it, by its %p."""
        wanted = {"": None, "@%p ": 1, "@!%p ": 0}[self.guard]
        return wanted is None or flag == wanted


def elements(opcode: str) -> tuple[tuple[str, ...], int, int]:
    """(words, elements, bytes of one)."""
    words = tuple(opcode.split(".")[1:])
    count, size, _ = memory.shape(words)
    return words, count, size


def braces(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{{{', '.join(names)}}}"


def cases() -> Iterator[tuple[str, str, bool]]:
    yield from ((shape, guard, False) for shape, guard in CASES)
    yield from ((shape, guard, True) for shape, guard in FLAT_CASES)


def check_loads(forms: Sequence[tuple[str, str]], seed: str) -> int:
    """Run loads and compare; the number of accesses. Raises AssertionError for the first wrong lane."""
    program = Spaces(seed)
    program.fill()
    program.mix()
    accesses = []
    for shape, guard, flat in cases():
        if flat and not any(a.flat for a in accesses):
            program.add("@!%p bra END;")
        for opcode, space in forms:
            accesses.append(_load(program, opcode, space, shape, guard, flat, len(accesses)))
    program.add("END:")
    results = program.launch(program.global_words())
    for a in accesses:
        for lane in range(LANES):
            place = a.values[0][program.place[a.shape][lane]]
            want = memory.load(a.words, program.window(a.space, lane), place, a.width)
            compare(program, a, results, lane, want)
    return len(accesses)


def _load(program: Spaces, opcode: str, space: str, shape: str, guard: str, flat: bool, number: int) -> Access:
    """`[register+16]`, into registers of the element's width or, a single one, wider."""
    words, count, size = elements(opcode)
    widths = [b for b in (16, 32, 64) if b >= 8 * size] if count == 1 else [max(8 * size, 16)]
    width = widths[number % len(widths)]
    offsets = [program.rng.randrange(WINDOW // (size * count)) * size * count for _ in range(LANES)]
    kind = "b32" if space == "shared" else "b64"
    offset = program.load(f"%off_{kind}", kind, shape, program.words(offsets))
    address = program.register(f"%addr_{kind}", kind)
    unit = f"u{kind[1:]}"
    program.add(f"add.{unit} {address}, {offset}, %base_{space};", f"sub.{unit} {address}, {address}, 16;")
    names = [program.register(f"%w{width}_{i}", f"b{width}") for i in range(count)]
    if guard:
        program.add(*(f"mov.b{width} {name}, {OLD};" for name in names))
    program.add(f"{guard}{opcode} {braces(names)}, [{address}+16];")
    slots = [program.store(name, width) for name in names]
    return Access(opcode, words, space, shape, guard, flat, width, [offsets], slots)


def compare(program: Spaces, a: Access, results: list[list[int]], lane: int, want: tuple[int, ...]) -> None:
    """One lane of a load, or the words that a lane read back behind a store."""
    flag = program.flags[lane]
    if a.flat and not flag:
        want = (FILL & ((1 << a.width) - 1),) * len(a.slots)
    elif not a.active(flag):
        want = (OLD,) * len(a.slots)
    got = tuple(results[slot][lane] & ((1 << a.width) - 1) for slot in a.slots)
    where = f"{a.guard}{a.text}, {a.space}, {a.shape}{' flat' * a.flat}, {a.width} bits, lane {lane}"
    assert got == want, f"{where}: {[hex(x) for x in got]}, not {[hex(x) for x in want]}"


def check_stores(forms: Sequence[tuple[str, str]], seed: str) -> int:
    """Each lane stores to a zone of its own and reads all of it back: what it stored, and that it touched no more."""
    program = Spaces(seed)
    for base, space in (("global", "lane"), ("shared64", "thread"), ("in_shared", "thread")):
        program.add(f"mad.wide.u32 %base_{base}, %{space}, {ZONE}, %base_{base};")
    program.add(f"mad.lo.u32 %base_shared, %thread, {ZONE}, %base_shared;")
    program.mix()
    for i in range(4):
        program.register(f"%back{i}", "b64")
    accesses = []
    for shape, guard, flat in cases():
        if flat and not any(a.flat for a in accesses):
            program.add("@!%p bra END;")
        for opcode, space in forms:
            accesses.append(_store(program, opcode, space, shape, guard, flat, len(accesses)))
    program.add("END:")
    results = program.launch([0] * (LANES * ZONE // 8))
    for a in accesses:
        _, _, size = elements(a.text)
        start = 8 if size * len(a.values) <= 8 else 0
        for lane in range(LANES):
            zone = bytearray(OLD.to_bytes(8, "little") * (ZONE // 8))
            if a.active(program.flags[lane]):
                data = memory.stored(a.words, [v[program.place[a.shape][lane]] for v in a.values])
                zone[start : start + len(data)] = data
            want = tuple(int.from_bytes(zone[8 * i : 8 * i + 8], "little") for i in range(4))
            compare(program, replace(a, guard=""), results, lane, want)
    return len(accesses)


def _store(program: Spaces, opcode: str, space: str, shape: str, guard: str, flat: bool, number: int) -> Access:
    """To byte 8 of the zone, or 0 if wider, from registers of the element's width or, a single one, wider."""
    words, count, size = elements(opcode)
    widths = [b for b in (16, 32, 64) if b >= 8 * size] if count == 1 else [max(8 * size, 16)]
    width = widths[number % len(widths)]
    values = [[program.rng.getrandbits(width) for _ in range(LANES)] for _ in range(count)]
    names = [program.load(f"%w{width}_{i}", f"b{width}", shape, program.words(v)) for i, v in enumerate(values)]
    named = "" if space in ("mixed", *POINTS[1:]) else f".{space.removesuffix('64')}"
    old = program.register("%old", "b64")
    program.add(f"mov.b64 {old}, {OLD};")
    program.add(*(f"st{named}.b64 [%base_{space}+{8 * i}], {old};" for i in range(4)))
    start = 8 if size * count <= 8 else 0
    program.add(f"{guard}{opcode} [%base_{space}+{start}], {braces(names)};")
    program.add(*(f"ld{named}.b64 %back{i}, [%base_{space}+{8 * i}];" for i in range(4)))
    slots = [program.store(f"%back{i}", 64) for i in range(4)]
    return Access(opcode, words, space, shape, guard, flat, 64, values, slots)


@pytest.mark.parametrize("part", range(2))
def test_loads(part: int) -> None:
    assert check_loads(LOADS[part::2], f"loads {part}") == 9 * len(LOADS[part::2])


@pytest.mark.parametrize("part", range(2))
def test_stores(part: int) -> None:
    assert check_stores(STORES[part::2], f"stores {part}") == 9 * len(STORES[part::2])


# -- parameters ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", TYPES)
def test_parameters(kind: str) -> None:
    """`ld.param` extends as `ld` does."""
    size = int(kind[1:]) // 8
    bits = 0x8142_A3C4_E5F6_9788 >> (64 - 8 * size)
    text = f""".version 9.0
.target sm_90
.address_size 64
.visible .entry k(.param .u64 out, .param .{kind} value)
{{
    .reg .b64 %out, %wide;
    .reg .b{max(8 * size, 16)} %narrow;
    ld.param.u64 %out, [out];
    ld.param.{kind} %wide, [value];
    st.global.u64 [%out], %wide;
    ld.param.{kind} %narrow, [value+0];
    st.global.b{max(8 * size, 16)} [%out+8], %narrow;
    ret;
}}
"""
    device = ptxvm.Device("sm_90", memory_bytes=1 << 16)
    out = device.array((2,), "uint64")
    device.launch(ptxvm.Module.from_ptx(text).kernel(), (1,), (1,), (out, bits.to_bytes(size, "little")))
    window = bits.to_bytes(size, "little")
    assert np.array(out).tolist() == [
        memory.load((kind,), window, 0, 64)[0],
        memory.load((kind,), window, 0, max(8 * size, 16))[0],
    ]


def test_vector_parameters_and_the_address_of_one() -> None:
    """`ld.param.v4`, and reading a parameter through its generic address."""
    program = Program(1, 32)
    for i in range(4):
        program.register(f"%r{i}", "b32")
    program.register("%at", "b64")
    program.register("%whole", "b64")
    program.add("ld.param.v2.u32 {%r0, %r1}, [memory];", "ld.param.v2.f32 {%r2, %r3}, [memory];")
    program.add("mov.b64 %at, memory;", "cvta.param.u64 %at, %at;", "ld.u64 %whole, [%at];")
    program.add("ld.param.u64 %given, [memory];")
    slots = [program.store(f"%r{i}", 32) for i in range(4)]
    slots += [program.store("%whole", 64), program.store("%given", 64)]
    results = [results[5] for results in program.launch([0])]
    pointer = results[5]
    assert results[4] == pointer != 0
    assert [r & 0xFFFFFFFF for r in results[:4]] == [pointer & 0xFFFFFFFF, pointer >> 32] * 2


def test_addresses_of_spaces_and_back() -> None:
    """`cvta.to` undoes `cvta`; generic addresses of the spaces differ."""
    program = Spaces("cvta")
    slots = {}
    for space in SPACES:
        base = "shared64" if space == "shared" else space
        there, back = (program.register(f"%{name}", "b64") for name in (f"to_{space}", f"back_{space}"))
        program.add(f"cvta.{space}.u64 {there}, %base_{base};", f"cvta.to.{space}.u64 {back}, {there};")
        slots[space] = [program.store(name, 64) for name in (f"%base_{base}", there, back)]
    results = program.launch([0])
    generic = set()
    for base, there, back in slots.values():
        assert results[base] == results[back]
        generic.add(results[there][0])
    assert len(generic) == len(slots)
    assert results[slots["global"][0]] == results[slots["global"][1]]  # the generic space is the global one


WINDOWS = ("const", "global", "local", "shared", "shared::cta", "param", "param::entry")


@pytest.mark.parametrize("guard", ["", "@%p "])
def test_which_space_a_generic_address_lies_in(guard: str) -> None:
    """A parameter lies in the global space too, as the PTX ISA has it."""
    program = Spaces("isspacep")
    program.mix()
    program.register("%at", "b64")
    program.register("%inside", "pred")
    places = {"const": "cvta.const.u64 %at, %base_const;", "param": "mov.b64 %at, given;\ncvta.param.u64 %at, %at;"}
    places |= {"mixed": "mov.b64 %at, %base_mixed;"}
    slots = {}
    for place, lines in places.items():
        program.add(*lines.splitlines())
        for window in WINDOWS:
            program.add("setp.ne.u32 %inside, 0, 0;", f"{guard}isspacep.{window} %inside, %at;")
            slots[place, window] = program.store("%inside", 1)
    results = program.launch([0])
    for (place, window), slot in slots.items():
        for lane, word in enumerate(results[slot]):
            here = {program.kinds[lane].removeprefix("in_")} if place == "mixed" else {place}
            here |= {"global"} if place == "param" else set()
            want = window.partition("::")[0] in here and not (guard and not program.flags[lane])
            assert word & 0xFFFFFFFF == want, (place, window, lane)


@pytest.mark.parametrize("way", ["ld.param", "ld.param::entry"])
def test_a_parameter_by_an_address_in_a_register(way: str) -> None:
    program = Program(2, 32)
    for name in ("%at", "%whole", "%same"):
        program.register(name, "b64")
    program.add("ld.param.b64 %same, [out];", "mov.b64 %at, out;", f"{way}.b64 %whole, [%at];")
    slots = [program.store(name, 64) for name in ("%whole", "%same")]
    results = program.launch()
    assert results[slots[0]] == results[slots[1]] != [0] * 64
