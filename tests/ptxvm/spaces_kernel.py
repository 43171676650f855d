"""A kernel with known bytes in global, shared, local and constant memory: the ground of the memory tests."""

from __future__ import annotations

import random

from tests.ptxvm.ptx_kernel import Program

CTAS, THREADS = 3, 64
LANES = CTAS * THREADS
# Bytes that loads read: of global memory for all lanes, of shared memory for each block, of local for each thread.
WINDOW = 256
ZONE = 32  # bytes that a lane stores to
CONST = bytes((7 * i + 3) % 256 for i in range(WINDOW))
# `pad` keeps `tile` off address 0, so that a register may lie below it and an offset above.
VARIABLES = f"""
.shared .align 32 .b8 pad[{ZONE}];
.shared .align 32 .b8 tile[{ZONE * THREADS}];
.const .align 32 .b8 table[{WINDOW}] = {{{", ".join(str(b) for b in CONST)}}};
"""
GENERIC = ("global", "in_shared", "in_local")
BASES = {
    "global": "b64", "shared": "b32", "shared64": "b64", "local": "b64", "const": "b64", "in_shared": "b64",
    "in_local": "b64", "mixed": "b64",
}  # fmt: skip


class Spaces(Program):
    """%base_<space> is the address of a space in the width and kind that its instructions take: `shared64` in a 64-bit
    register, `in_shared` and `in_local` generic ones, `mixed` a generic one that points to another space in each lane.
    %p is a predicate of random lanes."""

    def __init__(self, seed: str) -> None:
        super().__init__(CTAS, THREADS, VARIABLES)
        self.rng = random.Random(seed)
        for name, kind in BASES.items():
            self.register(f"%base_{name}", kind)
        self.add(
            f".local .align 32 .b8 frame[{WINDOW}];",
            "ld.param.u64 %base_global, [memory];",
            "cvta.to.global.u64 %base_global, %base_global;",
            "mov.u32 %base_shared, pad;",
            "mov.u32 %base_shared, tile;",
            "mov.u64 %base_shared64, tile;",
            "mov.u64 %base_local, frame;",
            "mov.u64 %base_const, table;",
            "cvta.shared.u64 %base_in_shared, %base_shared64;",
            "cvta.local.u64 %base_in_local, %base_local;",
        )
        self.kinds = [self.rng.choice(GENERIC) for _ in range(LANES)]
        self.flags = [self.rng.getrandbits(1) for _ in range(LANES)]
        self.load("%p", "pred", "both", self.words(self.flags))
        self.windows: dict[str, list[bytes]] = {}

    def mix(self) -> None:
        """Set %base_mixed from the bases of the three spaces."""
        kind = self.load("%kind", "b32", "both", self.words([GENERIC.index(k) for k in self.kinds]))
        self.register("%q", "pred")
        self.add("mov.u64 %base_mixed, %base_global;")
        for number, name in ((1, "in_shared"), (2, "in_local")):
            self.add(f"setp.eq.u32 %q, {kind}, {number};", f"@%q mov.u64 %base_mixed, %base_{name};")

    def fill(self) -> None:
        """Fill the windows with bytes that differ from block to block and from lane to lane."""
        tiles = [self.rng.randbytes(WINDOW) for _ in range(CTAS)]
        self.windows = {
            "global": [self.rng.randbytes(WINDOW)] * LANES,
            "shared": [tiles[lane // THREADS] for lane in range(LANES)],
            "local": [self.rng.randbytes(WINDOW) for _ in range(LANES)],
            "const": [CONST] * LANES,
        }
        address = self.register("%fill_at", "b64")
        word = WINDOW // THREADS
        self.add(f"mad.wide.u32 {address}, %thread, {word}, %base_shared64;")
        parts = [w[lane % THREADS * word :] for lane, w in enumerate(self.windows["shared"])]
        self._fill(parts, 1, f"st.shared.b32 [{address}")
        self._fill(self.windows["local"], WINDOW // 4, "st.local.b32 [%base_local")
        self.add("bar.sync 0;")

    def _fill(self, windows: list[bytes], count: int, store: str) -> None:
        for i in range(count):
            offset = self.words([int.from_bytes(w[4 * i : 4 * i + 4], "little") for w in windows])
            name = self.load("%filler", "b32", "both", offset)
            self.add(f"{store}+{4 * i}], {name};")

    def window(self, space: str, lane: int) -> bytes:
        """The bytes that a lane reads in a space."""
        space = self.kinds[lane] if space == "mixed" else space
        return self.windows[space.removeprefix("in_").removesuffix("64")][lane]

    def global_words(self) -> list[int]:
        """The window in global memory as the words of the launch's third buffer."""
        window = self.windows["global"][0]
        return [int.from_bytes(window[i : i + 8], "little") for i in range(0, WINDOW, 8)]
