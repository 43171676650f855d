"""Do loads, stores and copies bring the right bytes, in every space, width, vector and group shape?"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tests.ptxvm.lane_forms import each
from tests.ptxvm.ptx_kernel import FILL, Program
from tests.ptxvm.scalar import memory

CTAS, THREADS = 3, 64
LANES = CTAS * THREADS
WINDOW = 256  # bytes of each space: global for all lanes, shared for each block, local for each thread
SHAPES = ("uniform", "block", "thread", "both")
GUARDS = {"": None, "@%p ": 1, "@!%p ": 0}
VARIABLES = f"""
.shared .align 32 .b8 tile[{WINDOW}];
.const .align 32 .b8 table[{WINDOW}] = {{{", ".join(str((7 * i + 3) % 256) for i in range(WINDOW))}}};
"""
CONST = bytes((7 * i + 3) % 256 for i in range(WINDOW))
TYPES = ("b8", "u8", "s8", "b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64")
VECTORS = ("v2.b8", "v4.u8", "v2.u16", "v4.b16", "v2.b32", "v2.f32", "v4.b32", "v4.u32", "v4.f32", "v2.b64", "v2.f64")
ALL = " ".join((*TYPES, *VECTORS))

# -- loads: opcode, and where the address points -------------------------------------------------------------------
LOADS = [
    *((o, "global") for o in each(f"ld.global.{{{ALL} v8.b32 v4.b64}}")),
    *((o, "shared") for o in each(f"ld.shared.{{{ALL}}}")),
    *((o, "shared64") for o in each("ld.shared::cta.{b16 u32 v4.f32}")),
    *((o, "local") for o in each(f"ld.local.{{{ALL}}}")),
    *((o, "const") for o in each("ld.const.{u8 s16 b32 f32 f64 v2.f32 v4.u32}")),
    *((o, space) for o in each("ld.{u8 s16 u32 f32 u64 v2.b32 v4.f32}") for space in ("global", "in_shared", "in_local")),
    *((o, "mixed") for o in each("ld.{s8 u32 f64 v2.f32}")),
    *((o, "global") for o in each("ld.global{.ca .cg .cs .lu .cv}.{f32 v4.f32}")),
    *((o, "global") for o in each("ld.global.nc.{u8 b32 u32 f32 u64 v2.f64 v4.f32 v4.u32}")),
    *((o, "global") for o in each("ld.global.nc{.L1::evict_last .L1::no_allocate}{- .L2::128B}.{b32 v4.f32}")),
    *((o, "global") for o in each("ld{.volatile .relaxed.gpu .acquire.gpu .acquire.cta .relaxed.sys .weak}.global.{u32 u64}")),
    *((o, "global") for o in each("ld{.acquire.gpu .volatile}.u32")),
    *((o, "shared") for o in each("ld{.volatile .relaxed.cta .acquire.cta}.shared.u32")),
    ("ldu.global.u32", "global"),
    ("ldu.global.v4.f32", "global"),
]  # fmt: skip
STORES = [
    *((o, "global") for o in each(f"st.global.{{{ALL} v8.b32 v4.b64}}")),
    *((o, "shared") for o in each(f"st.shared.{{{ALL}}}")),
    *((o, "shared64") for o in each("st.shared::cta.{b16 u32 v4.f32}")),
    *((o, "local") for o in each(f"st.local.{{{ALL}}}")),
    *((o, space) for o in each("st.{u8 b16 u32 f32 u64 v2.b32 v4.f32}") for space in ("global", "in_shared", "in_local")),
    *((o, "mixed") for o in each("st.{b8 u32 f64 v2.f32}")),
    *((o, "global") for o in each("st.global{.wb .cg .cs .wt}.{f32 v4.f32}")),
    *((o, "global") for o in each("st{.volatile .relaxed.gpu .release.gpu .release.sys .weak}.global.{u32 u64}")),
    *((o, "shared") for o in each("st{.volatile .relaxed.cta .release.cta}.shared.u32")),
]  # fmt: skip
EXECUTED = {opcode for opcode, _ in (*LOADS, *STORES)} | {f"ld.param.{kind}" for kind in TYPES} | {
    "bar.sync", "cvta.shared.u64", "cvta.local.u64", "cvta.to.global.u64", "cvta.to.shared.u64", "cvta.to.local.u64",
    "cvta.global.u64", "cvta.to.const.u64", "cvta.const.u64", "cp.async.ca.shared.global", "cp.async.cg.shared.global",
    "cp.async.commit_group", "cp.async.wait_group", "cp.async.wait_all", "ld.param.v2.f32", "ld.param.v4.u32",
    "cvta.param.u64",
}  # fmt: skip


def access(opcode: str) -> tuple[tuple[str, ...], int, int]:
    """(words, elements, bytes of one)."""
    words = tuple(opcode.split(".")[1:])
    count, size, _ = memory.shape(words)
    return words, count, size


def braces(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{{{', '.join(names)}}}"


class Spaces(Program):
    """A kernel whose windows of each space are filled with bytes that differ from block to block, lane to lane.

    %base_<space> holds the address of the window, in the width and kind that the space's instructions take. A "mixed"
    address is a generic one that points into another space in each lane.
    """

    def __init__(self, seed: str, fill: bool = True) -> None:
        super().__init__(CTAS, THREADS, VARIABLES)
        self.rng = random.Random(seed)
        self.windows = {
            "global": [self.rng.randbytes(WINDOW)] * LANES,
            "shared": [w for w in (self.rng.randbytes(WINDOW) for _ in range(CTAS)) for _ in range(THREADS)],
            "local": [self.rng.randbytes(WINDOW) for _ in range(LANES)],
            "const": [CONST] * LANES,
        }
        for name in ("global", "shared64", "local", "const", "in_shared", "in_local", "mixed"):
            self.register(f"%base_{name}", "b64")
        for name in ("%base_shared", "%shift"):
            self.register(name, "b32")
        for name in ("%from", "%to"):
            self.register(name, "b64")
        self.add(
            f".local .align 32 .b8 frame[{WINDOW}];",
            "ld.param.u64 %base_global, [memory];",
            "cvta.to.global.u64 %base_global, %base_global;",
            "mov.u32 %base_shared, tile;",
            "mov.u64 %base_shared64, tile;",
            "mov.u64 %base_local, frame;",
            "mov.u64 %base_const, table;",
            "cvta.shared.u64 %base_in_shared, %base_shared64;",
            "cvta.local.u64 %base_in_local, %base_local;",
        )
        if fill:
            self._fill("shared", 64 // THREADS or 1, f"mad.lo.u32 %byte, %thread, {WINDOW // THREADS}, %base_shared;", "%byte")
            self._fill("local", WINDOW // 4, "mov.u64 %to, %base_local;", "%to")
        self.kinds = [self.rng.choice(("global", "in_shared", "in_local")) for _ in range(LANES)]
        numbers = [("global", "in_shared", "in_local").index(kind) for kind in self.kinds]
        kind = self.load("%kind", "b32", "both", self.words(numbers))
        self.register("%q", "pred")
        self.add("mov.u64 %base_mixed, %base_global;")
        for number, name in ((1, "in_shared"), (2, "in_local")):
            self.add(f"setp.eq.u32 %q, {kind}, {number};", f"@%q mov.u64 %base_mixed, %base_{name};")
        self.flags = [self.rng.getrandbits(1) for _ in range(LANES)]
        self.load("%p", "pred", "both", self.words(self.flags))
        self.add("bar.sync 0;")

    def _fill(self, space: str, count: int, start: str, target: str) -> None:
        """Each thread copies `count` words of its part of the window."""
        self.add(start)
        for i in range(count):
            part = 4 * count if space == "local" else WINDOW // THREADS
            first = [lane % THREADS * part if space == "shared" else 0 for lane in range(LANES)]
            words = [int.from_bytes(w[f + 4 * i : f + 4 * i + 4], "little") for w, f in zip(self.windows[space], first, strict=True)]
            self.load("%filler", "b32", "both", self.words(words))
            self.add(f"st.{space}.b32 [{target}+{4 * i}], %filler;")

    def window(self, space: str, lane: int) -> bytes:
        """The bytes that a lane's window holds."""
        space = self.kinds[lane] if space == "mixed" else space
        return self.windows[space.removeprefix("in_").removesuffix("64")][lane]

    def address(self, space: str, shape: str, offset: int) -> str:
        """An address register of base + offset of the lane - 16 (the access adds 16)."""
        kind = "b32" if space == "shared" else "b64"
        place = self.load(f"%off_{kind}", kind, shape, offset)
        name = self.register(f"%addr_{kind}", kind)
        self.add(f"add.u{kind[1:]} {name}, {place}, %base_{space};", f"sub.u{kind[1:]} {name}, {name}, 16;")
        return name


@pytest.mark.parametrize("part", range(3))
def test_loads(part: int) -> None:
    program = Spaces(f"loads {part}")
    checks = []
    for opcode, space in LOADS[part::3]:
        words, count, size = access(opcode)
        widths = [b for b in (16, 32, 64) if b >= 8 * size] if count == 1 else [max(8 * size, 16)]
        for shape, guard in [*((s, "") for s in SHAPES), ("both", "@%p "), ("thread", "@!%p ")]:
            offsets = [program.rng.randrange(0, WINDOW // (size * count)) * size * count for _ in range(LANES)]
            address = program.address(space, shape, program.words(offsets))
            width = widths[len(checks) % len(widths)]
            names = [program.register(f"%w{width}_{i}", f"b{width}") for i in range(count)]
            if guard:
                program.add(*(f"mov.b{width} {name}, 0x5A5A;" for name in names))
            program.add(f"{guard}{opcode} {braces(names)}, [{address}+16];")
            slots = [program.store(name, width) for name in names]
            checks.append((opcode, space, shape, guard, width, words, offsets, slots))
    results = program.launch(_as_words(program.windows["global"][0]))
    assert len(checks) > 300
    for opcode, space, shape, guard, width, words, offsets, slots in checks:
        for lane in range(LANES):
            place = offsets[program.place[shape][lane]]
            want = memory.load(words, program.window(space, lane), place, width)
            if GUARDS[guard] is not None and program.flags[lane] != GUARDS[guard]:
                want = (0x5A5A,) * len(slots)
            got = tuple(results[slot][lane] & ((1 << width) - 1) for slot in slots)
            assert got == want, f"{guard}{opcode} into {width} bits, {space} {shape}, lane {lane}: {got} not {want}"


def _as_words(window: bytes) -> list[int]:
    return [int.from_bytes(window[i : i + 8], "little") for i in range(0, len(window), 8)]


@pytest.mark.parametrize("part", range(3))
def test_stores(part: int) -> None:
    """Each lane stores to 32 bytes of its own (in global memory) or to its thread's (shared, local), and reads all back."""
    program = Spaces(f"stores {part}", fill=False)
    program.register("%back", "b64")
    checks = []
    zone = 0
    for opcode, space in STORES[part::3]:
        words, count, size = access(opcode)
        for shape, guard in [*((s, "") for s in SHAPES), ("both", "@%p "), ("both", "@!%p ")]:
            width = max(8 * size, 16) if count > 1 or len(checks) % 2 else max(8 * size, 32)
            start, zone = zone, zone + 32 * LANES
            if space in ("global", "mixed"):
                program.add(f"mad.wide.u32 %from, %lane, 32, %base_global;", f"add.u64 %from, %from, {start};")
            elif "local" not in space:
                program.add(f"mov.u32 %shift, {WINDOW - 32};")
"""E"""
