"""Kernels that load, multiply and store matrices with `wmma`, each warp its own, compared with plain products."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from tests.ptxvm.ptx_kernel import Program
from tests.ptxvm.scalar import matrix
from tests.ptxvm.scalar.convert import TF32
from tests.ptxvm.scalar.formats import FORMATS, as_float, decode, of_float, rounded
from tests.ptxvm.scalar.fragments import WIDTH
from tests.ptxvm.scalar.integer import value
from tests.ptxvm.scalar.results import OneOf, Result, agrees

CTAS, THREADS, WARP = 2, 64, 32
WARPS = CTAS * THREADS // WARP
BITS = {**WIDTH, "f32": 32, "s32": 32}
Matrix = list[list[int]]  # bits


@dataclass
class Run:
    """A product D = A B + C of every warp.

    opcode   of the `wmma.mma`; "": D is C, and A and B are not loaded
    kinds    of D, A, B, C; layouts likewise; spaces "", "global", "shared" or "shared::cta" likewise
    padded   lines lie further apart than they are long
    twice    every register of A is added to itself before the product
    """

    opcode: str
    shape: tuple[int, int, int]
    kinds: tuple[str, str, str, str]
    layouts: tuple[str, str, str, str]
    spaces: tuple[str, str, str, str]
    padded: bool
    twice: bool = False
    data: list[dict[str, Matrix]] = field(default_factory=list, repr=False)  # of each warp
    slot: int = 0

    def size(self, which: int) -> tuple[int, int]:
        m, n, k = self.shape
        return ((m, n), (m, k), (k, n), (m, n))[which]

    def stride(self, which: int) -> int:
        """Elements from one line to the next: a multiple of the 16 bytes that a line begins at."""
        rows, columns = self.size(which)
        line = columns if self.layouts[which] == "row" else rows
        return line + (128 // BITS[self.kinds[which]] if self.padded else 0)

    def bytes(self, which: int) -> int:
        rows, columns = self.size(which)
        lines = rows if self.layouts[which] == "row" else columns
        return -(-lines * self.stride(which) * BITS[self.kinds[which]] // 256) * 32

    @property
    def executed(self) -> list[str]:
        """The opcodes."""
        return [self.opcode, *self.fragments] if self.opcode else self.fragments[2:]

    @property
    def fragments(self) -> list[str]:
        """The opcodes of the loads and of the store."""
        m, n, k = self.shape
        return [
            f"wmma.{'load' if o != 'd' else 'store'}.{o}.sync.aligned.{self.layouts[i]}.m{m}n{n}k{k}"
            f"{'.' if self.spaces[i] else ''}{self.spaces[i]}.{self.kinds[i]}"
            for o, i in (("a", 1), ("b", 2), ("c", 3), ("d", 0))
        ]

    def registers(self, which: int) -> int:
        rows, columns = self.size(which)
        if which in (1, 2) and self.kinds[which] == "f16":
            return 8
        return rows * columns * BITS[self.kinds[which]] // 32 // max(BITS[self.kinds[which]], 32)


@cache
def encode(kind: str, number: int) -> int:
    """The bits of a small integer."""
    if kind in FORMATS or kind == "tf32":
        format_ = FORMATS["f32" if kind == "tf32" else kind]
        return rounded(of_float(float(number)), format_)
    return number & ((1 << BITS[kind]) - 1)


@cache
def meaning(kind: str, bits: int) -> int:
    """The inverse of `encode`."""
    if kind == "tf32":
        return int(as_float(decode(bits >> 13, TF32)))
    if kind in FORMATS:
        return int(as_float(decode(bits, FORMATS[kind])))
    return bits if kind == "b1" else value(bits, kind)


def small(kind: str, rng: random.Random) -> int:
    """An integer of which sums of products are exact in every type."""
    if kind == "s32":
        return rng.choice((rng.randrange(-500, 500), 0x7FFFFF00, -0x7FFFFF00))
    return rng.getrandbits(BITS[kind]) if kind in ("s8", "u8", "s4", "u4", "b1") else rng.randrange(-4, 5)


def fill(run: Run, rng: random.Random, any_number: bool) -> None:
    """Draw the matrices of every warp."""
    for _ in range(WARPS):
        drawn: dict[str, Matrix] = {}
        for which, name in ((1, "a"), (2, "b"), (3, "c")):
            rows, columns = run.size(which)
            kind = run.kinds[which]
            drawn[name] = [
                [_any(kind, rng) if any_number else encode(kind, small(kind, rng)) for _ in range(columns)]
                for _ in range(rows)
            ]
        run.data.append(drawn)


def _any(kind: str, rng: random.Random) -> int:
    if kind not in FORMATS and kind != "tf32":
        return encode(kind, small(kind, rng))
    f = FORMATS["f32" if kind == "tf32" else kind]
    exponent = (f.bias + rng.randint(-9, 3)) << f.fraction
    return rng.getrandbits(1) << (f.bits - 1) | exponent | rng.getrandbits(f.fraction)


def packed(run: Run, which: int, content: Matrix) -> bytes:
    """The bytes of a matrix in memory."""
    rows, columns = run.size(which)
    width, stride = BITS[run.kinds[which]], run.stride(which)
    whole = 0
    for row in range(rows):
        for column in range(columns):
            place = row * stride + column if run.layouts[which] == "row" else column * stride + row
            whole |= content[row][column] << (place * width)
    return whole.to_bytes(run.bytes(which), "little")


def unpacked(run: Run, stored: bytes) -> Matrix:
    """D from memory."""
    (rows, columns), width, stride = run.size(0), BITS[run.kinds[0]], run.stride(0)
    whole = int.from_bytes(stored, "little")
    places = [
        [row * stride + column if run.layouts[0] == "row" else column * stride + row for column in range(columns)]
        for row in range(rows)
    ]
    return [[whole >> (place * width) & ((1 << width) - 1) for place in line] for line in places]


class Kernel:
    """A program whose warps have a region of global memory for the operands and results of each run."""

    def __init__(self, shared_bytes: int = 1 << 13) -> None:
        tile = f".shared .align 32 .b8 tile[{shared_bytes * THREADS // WARP}];\n"
        self.program = Program(CTAS, THREADS, tile)
        self.content = bytearray()
        for name, bits in (
            ("%warp", 32),
            ("%byte_of_lane", 32),
            ("%tile", 64),
            ("%mine", 64),
            ("%at", 64),
            ("%to", 64),
        ):
            self.program.register(name, f"b{bits}")
        self.program.add(
            "ld.param.u64 %mine, [memory];", "shr.u32 %warp, %thread, 5;", "mov.u64 %tile, tile;",
            f"mad.wide.u32 %tile, %warp, {shared_bytes}, %tile;", "shr.u32 %warp, %lane, 5;",
            "and.b32 %byte_of_lane, %thread, 31;", "mul.lo.u32 %byte_of_lane, %byte_of_lane, 4;",
        )  # fmt: skip

    def region(self, parts: Sequence[bytes]) -> int:
        """Memory of each warp, as many bytes for each; where the first begins."""
        start = len(self.content)
        for part in parts:
            self.content += part
        return start

    def copy(self, into: str, source: str, size: int) -> None:
        """Between shared and global memory, a word a lane and instruction; `into`, `source`: space and address."""
        add = self.program.add
        (to_space, to), (from_space, at) = into.split(), source.split()
        add("cvt.u64.u32 %to, %byte_of_lane;", f"add.u64 %at, {at}, %to;", f"add.u64 %to, {to}, %to;")
        register = self.program.register("%copied", "b32")
        for offset in range(0, size, 128):
            guard = ""
            if size - offset < 128:
                self.program.register("%few", "pred")
                add(f"setp.lt.u32 %few, %byte_of_lane, {size - offset};")
                guard = "@%few "
            add(f"{guard}ld.{from_space}.b32 {register}, [%at+{offset}];")
            add(f"{guard}st.{to_space}.b32 [%to+{offset}], {register};")
        add("bar.warp.sync 0xffffffff;")

    def add(self, run: Run) -> None:
        """Load, multiply, store."""
        sizes = [run.bytes(which) for which in (1, 2, 3, 0)]
        parts = []
        for drawn in run.data:
            operands = b"".join(packed(run, i, drawn[name]) for i, name in ((1, "a"), (2, "b"), (3, "c")))
            parts.append(operands + bytes(sizes[3]))
        run.slot = self.region(parts)
        offsets = [sum(sizes[:i]) for i in range(4)]
        program, add = self.program, self.program.add
        mine = program.register("%region", "b64")
        add(f"mad.wide.u32 {mine}, %warp, {sum(sizes)}, %mine;", f"add.u64 {mine}, {mine}, {run.slot};")
        if any(s.startswith("shared") for s in run.spaces):
            self.copy("shared %tile", f"global {mine}", sum(sizes))
        names = {}
        for which, offset, opcode in zip((1, 2, 3, 0), offsets, run.fragments, strict=True):
            if opcode not in run.executed:
                continue
            kind = "b64" if run.kinds[0] == "f64" else "b32"
            own = [program.register(f"%{kind}{which}x{i}", kind) for i in range(run.registers(which))]
            names[which] = own
            base = "%tile" if run.spaces[which].startswith("shared") else mine
            stride = f", {program.register('%stride', 'b32')}" if run.padded else ""
            if run.padded:
                add(f"mov.u32 %stride, {run.stride(which)};")
            if which == 0 and run.opcode:
                self._multiply(run, names)
            vector = f"{{{', '.join(own if which or run.opcode else names[3])}}}"
            place = f"[{base}+{offset}]"
            add(f"{opcode} {f'{place}, {vector}' if which == 0 else f'{vector}, {place}'}{stride};")
        if run.spaces[0].startswith("shared"):
            add(
                "bar.warp.sync 0xffffffff;",
                f"add.u64 %tile, %tile, {offsets[3]};",
                f"add.u64 {mine}, {mine}, {offsets[3]};",
            )
            self.copy(f"global {mine}", "shared %tile", sizes[3])
            add(f"sub.u64 %tile, %tile, {offsets[3]};")
        add("bar.warp.sync 0xffffffff;")

    def _multiply(self, run: Run, names: dict[int, list[str]]) -> None:
        if run.twice:
            adding = {"f16": "add.rn.f16x2", "bf16": "fma.rn.bf16x2", "tf32": "add.f32", "f64": "add.f64"}[run.kinds[1]]
            for name in names[1]:
                factor = f"{name}, 0x3f803f80, " if run.kinds[1] == "bf16" else f"{name}, "
                self.program.add(f"{adding} {name}, {factor}{name};")
        operands = ", ".join(f"{{{', '.join(names[which])}}}" for which in (0, 1, 2, 3))
        self.program.add(f"{run.opcode} {operands};")

    def launch(self) -> list[int]:
        """Run; the words of the memory afterwards."""
        words = [w for (w,) in struct.iter_unpack("<Q", bytes(self.content))]
        self.program.launch(words)
        self.content = bytearray(b"".join(w.to_bytes(8, "little") for w in words))
        return words


def check(runs: Sequence[Run], seed: str, any_number: bool = False) -> set[str]:
    """Run and compare: small integers all, other numbers in one row of each warp. The opcodes that were executed."""
    rng, kernel = random.Random(seed), Kernel()
    for run in runs:
        fill(run, rng, any_number)
        kernel.add(run)
    kernel.launch()
    done: set[str] = set()
    for run in runs:
        sizes = [run.bytes(which) for which in (1, 2, 3, 0)]
        words = run.opcode.split(".")
        for warp, drawn in enumerate(run.data):
            end = run.slot + (warp + 1) * sum(sizes)
            got = unpacked(run, bytes(kernel.content[end - sizes[3] : end]))
            if any_number:
                row = rng.randrange(run.shape[0])
                wanted = {row: matrix.wmma(words, drawn["a"], drawn["b"], drawn["c"], row)}
            else:
                wanted = dict(enumerate(product(run, drawn)))
            for row, line in wanted.items():
                for column, (x, y) in enumerate(zip(got[row], line, strict=True)):
                    if not agrees(run.kinds[0], x, y):
                        raise AssertionError(f"{x:#x}, not {y}: {run}, warp {warp}, row {row}, column {column}")
        done |= set(run.executed)
    return done


def product(run: Run, drawn: dict[str, Matrix]) -> list[list[Result]]:
    """D of integers; a zero of f64 has a sign that depends on the rounding mode."""
    a, b, c = (
        [[meaning(run.kinds[which], x) for x in line] for line in drawn[name]]
        for which, name in ((1, "a"), (2, "b"), (3, "c"))
    )
    factor = 2 if run.twice else 1
    columns = list(zip(*b, strict=True))
    out: list[list[Result]] = []
    for row, line in enumerate(a):
        out.append([])
        for column, other in enumerate(columns):
            pairs = zip(line, other, strict=True)
            total = sum(x ^ y if "xor" in run.opcode else factor * x * y for x, y in pairs if run.opcode)
            total += c[row][column]
            if "satfinite" in run.opcode:
                total = min(max(total, -(2**31)), 2**31 - 1)
            zero = run.kinds[0] == "f64" and total == 0
            out[-1].append(OneOf((0, 1 << 63)) if zero else encode(run.kinds[0], total))
    return out
