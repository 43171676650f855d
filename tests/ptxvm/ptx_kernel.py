"""Builds a kernel line by line with its operands and result slots, and launches it: what the opcode tests share.

Operands lie in one buffer of 64-bit words, a word a lane, and are loaded in one of four shapes; each result has a slot
of a word a lane.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

import ptxvm
from tests.ptxvm.lane_values import register_bits

FILL = 0xEEEEEEEEEEEEEEEE  # what lanes that store nothing leave
CHECKS = ptxvm.Checks(races="off", counters=False)


class Program:
    """A kernel of `ctas` blocks of `threads` threads.

    Registers that it sets: %thread, %cta, %lane (of the launch), and addresses %at_uniform, %at_block, %at_thread,
    %at_both of the operands of a shape, %at_out of the lane's word in slot 0, %given of the whole operand buffer.
    """

    def __init__(self, ctas: int, threads: int, variables: str = "") -> None:
        self.ctas, self.threads, self.variables = ctas, threads, variables
        self.lanes = ctas * threads
        self.registers: dict[str, str] = {}
        self.lines: list[str] = []
        self.data: list[int] = []
        self.slots = 0
        every = range(self.lanes)
        self.place = {
            "uniform": [0 for _ in every],
            "block": [i // threads * threads for i in every],
            "thread": [i % threads for i in every],
            "both": list(every),
        }

    def add(self, *lines: str) -> None:
        """Append statements."""
        self.lines += lines

    def register(self, name: str, kind: str) -> str:
        """Declare a register for a class of operands (see `lane_values`); its name."""
        bits = register_bits(kind)
        self.registers[name] = "pred" if bits == 1 else f"b{bits}"
        return name

    def words(self, values: list[int]) -> int:
        """Put 64-bit words into the operand buffer; their byte offset."""
        self.data += values
        return 8 * (len(self.data) - len(values))

    def load(self, name: str, kind: str, shape: str, offset: int) -> str:
        """Load an operand that `words` placed; the register's name."""
        self.register(name, kind)
        bits = register_bits(kind)
        if bits == 1:
            self.add(f"ld.global.u8 %byte, [%at_{shape}+{offset}];", f"setp.ne.u32 {name}, %byte, 0;")
        else:
            self.add(f"ld.global.b{bits} {name}, [%at_{shape}+{offset}];")
        return name

    def store(self, name: str, bits: int) -> int:
        """Store a register (of 1 bit: a predicate) in a slot of its own; the slot's number."""
        if bits == 1:
            self.add(f"selp.u32 %word, 1, 0, {name};")
            name, bits = "%word", 32
        self.add(f"st.global.b{bits} [%at_out+{8 * self.lanes * self.slots}], {name};")
        self.slots += 1
        return self.slots - 1

    def text(self) -> str:
        declared = "".join(f"    .reg .{kind} {name};\n" for name, kind in self.registers.items())
        body = "".join(f"    {line}\n" for line in self.lines)
        return f"{_HEADER}{self.variables}{_ENTRY}{declared}{self._start()}{body}    ret;\n}}\n"

    def _start(self) -> str:
        return f"""    ld.param.u64 %given, [given];
    ld.param.u64 %at_out, [out];
    mov.u64 %at_uniform, %given;
    mov.u32 %thread, %tid.x;
    mov.u32 %cta, %ctaid.x;
    mad.wide.u32 %at_block, %cta, {8 * self.threads}, %at_uniform;
    mad.wide.u32 %at_thread, %thread, 8, %at_uniform;
    mad.wide.u32 %at_both, %thread, 8, %at_block;
    mad.lo.u32 %lane, %cta, {self.threads}, %thread;
    mad.wide.u32 %at_out, %lane, 8, %at_out;
"""

    def launch(self, memory: list[int] | None = None, **options: Any) -> list[list[int]]:
        """Run; the word of each lane in each slot. `memory`: words of a third buffer, which is updated in place."""
        kernel = ptxvm.Module.from_ptx(self.text()).kernel()
        words = len(self.data) + self.lanes * self.slots + len(memory or ())
        device = ptxvm.Device("sm_120a", memory_bytes=8 * words + (1 << 16))
        given = device.array((max(len(self.data), 1),), "uint64", name="operands")
        out = device.array((max(self.lanes * self.slots, 1),), "uint64", name="results")
        cells = device.array((max(len(memory or ()), 1),), "uint64", name="memory")
        if self.data:
            given[:] = np.frombuffer(struct.pack(f"<{len(self.data)}Q", *self.data), np.uint64)
        out[:] = FILL
        if memory:
            cells[:] = np.frombuffer(struct.pack(f"<{len(memory)}Q", *memory), np.uint64)
        options.setdefault("checks", CHECKS)
        device.launch(kernel, (self.ctas,), (self.threads,), (given, out, cells), **options)
        if memory:
            memory[:] = np.array(cells).tolist()
        rows = np.array(out).tolist()
        return [rows[i * self.lanes : (i + 1) * self.lanes] for i in range(self.slots)]


_HEADER = ".version 9.0\n.target sm_120a\n.address_size 64\n"
_ENTRY = """.visible .entry forms(.param .u64 given, .param .u64 out, .param .u64 memory)
{
    .reg .b32 %thread, %cta, %lane, %byte, %word;
    .reg .b64 %given, %at_uniform, %at_block, %at_thread, %at_both, %at_out;
"""
