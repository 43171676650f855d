"""Runs forms of one lane in a real kernel, in every group shape, and compares each lane with the scalar reference.

A launch of CTAS blocks of THREADS threads runs each form once in each section. A section says from where each operand
comes: the same word for all lanes, one a block, one a thread, or one a lane; whether the instruction is guarded; and
whether it stands behind a branch that a random half of the lanes takes, where groups are flat.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import ptxvm
from tests.ptxvm.lane_forms import Form
from tests.ptxvm.lane_values import draw, register_bits
from tests.ptxvm.scalar.results import Anything, Result, agrees

CTAS, THREADS = 3, 64
LANES = CTAS * THREADS
OLD = 0x5A5A5A5A5A5A5A5A  # what a result register holds before a guarded instruction
FILL = 0xEEEEEEEEEEEEEEEE  # what lanes that store nothing leave
CHECKS = ptxvm.Checks(races="off", counters=False)


@dataclass(frozen=True)
class Section:
    """shapes: of operands 0, 1, ..., again from the start. typed: registers of the operand's own type, otherwise all
    operands of a width share registers, so that most are not of the type that the instruction wants."""

    name: str
    shapes: tuple[str, ...]
    typed: bool
    guard: str = ""
    flat: bool = False

    def shape(self, operand: int) -> str:
        return self.shapes[operand % len(self.shapes)]


MIXED = ("both", "block", "thread", "uniform")
SECTIONS = (
    Section("uniform (1,1)", ("uniform",), True),
    Section("per block (nc,1)", ("block",), False),
    Section("per thread (1,nt)", ("thread",), True),
    Section("per lane (nc,nt)", ("both",), False),
    Section("mixed", MIXED, True),
    Section("guarded @p", ("both",), True, "@%guard "),
    Section("guarded @!p", MIXED, False, "@!%guard "),
    Section("guarded by thread", ("thread",), False, "@%guard_thread "),
    Section("flat", MIXED, False, flat=True),
    Section("flat, guarded", ("both",), True, "@%guard ", flat=True),
)
PLACE = {
    "uniform": [0] * LANES,
    "block": [i // THREADS * THREADS for i in range(LANES)],
    "thread": [i % THREADS for i in range(LANES)],
    "both": list(range(LANES)),
}


def check(forms: Sequence[Form], seed: int = 0, sections: Sequence[Section] = SECTIONS) -> int:
    """Run the forms and compare. Returns the number of results compared; raises AssertionError with the first wrong
    lane of each form that is wrong."""
    run = _Run(forms, seed, sections)
    return run.compare(run.launch())


class _Run:
    def __init__(self, forms: Sequence[Form], seed: int, sections: Sequence[Section]) -> None:
        self.sections, self.seed = sections, seed
        self.groups: dict[tuple[str, ...], list[Form]] = defaultdict(list)  # forms with like operands share them
        for form in forms:
            self.groups[form.inputs].append(form)
        self.operands = {
            (inputs, i): draw(kind, LANES, f"{seed} {i} {' '.join(inputs)}")
            for inputs in self.groups
            for i, kind in enumerate(inputs)
        }
        self.flags = {name: draw("pred", LANES, f"{seed} {name}") for name in ("guard", "flag")}
        self.data: list[int] = []
        self.results = 0  # result slots, in the order of `_stores`
        self.registers: dict[str, str] = {}

    # -- the kernel ------------------------------------------------------------------------------------------------
    def text(self) -> str:
        body: list[str] = []
        for name in ("guard", "flag"):
            body += self._load(f"%{name}", "pred", "both", self._place(self.flags[name]))
        body += self._load("%guard_thread", "pred", "thread", self._place(self.flags["guard"]))
        for flat in (False, True):
            sections = [s for s in self.sections if s.flat == flat]
            if flat and sections:  # what flat sections read is loaded before the branch: the split cuts it to size
                body += [line for section in sections for line in self._loads(section, "f")]
                body.append("@!%flag bra END;")
            for section in sections:
                for inputs, forms in self.groups.items():
                    if not flat:
                        body += self._loads(section, "", inputs)
                    for form in forms:
                        body += self._form(section, form, "f" if flat else "")
        body.append("END: ret;")
        declared = "".join(f"    .reg .{kind} {name};\n" for name, kind in self.registers.items())
        return _HEADER + declared + _START + "\n".join(f"    {line}" for line in body) + "\n}\n"

    def _register(self, name: str, kind: str) -> str:
        bits = register_bits(kind)
        self.registers[name] = "pred" if bits == 1 else f"b{bits}"
        return name

    def _place(self, values: list[int]) -> int:
        """Byte offset of the values of an operand in the input buffer."""
        self.data += values
        return 8 * (len(self.data) - len(values))

    def _load(self, name: str, kind: str, shape: str, offset: int) -> list[str]:
        self._register(name, kind)
        bits = register_bits(kind)
        if bits == 1:
            return [f"ld.global.u8 %byte, [%at_{shape}+{offset}];", f"setp.ne.u32 {name}, %byte, 0;"]
        return [f"ld.global.b{bits} {name}, [%at_{shape}+{offset}];"]

    def _operand(self, section: Section, inputs: tuple[str, ...], i: int, prefix: str) -> str:
        kind = inputs[i]
        if prefix:  # live across the branch: one register an operand of each section
            number = list(self.groups).index(inputs)
            return f"%{prefix}{self.sections.index(section)}_{number}_{i}"
        return f"%{kind}_{i}" if section.typed else f"%w{register_bits(kind)}_{i}"

    def _loads(self, section: Section, prefix: str, only: tuple[str, ...] | None = None) -> list[str]:
        lines = []
        for inputs in self.groups if only is None else (only,):
            for i, kind in enumerate(inputs):
                key = (inputs, i)
                offset = self._offsets.setdefault(key, -1)
                if offset < 0:
                    offset = self._offsets[key] = self._place(self.operands[key])
                lines += self._load(self._operand(section, inputs, i, prefix), kind, section.shape(i), offset)
        return lines

    @property
    def _offsets(self) -> dict[tuple[tuple[str, ...], int], int]:
        return self.__dict__.setdefault("_offset_table", {})

    def _form(self, section: Section, form: Form, prefix: str) -> list[str]:
        names = {f"a{i}": self._operand(section, form.inputs, i, prefix) for i in range(len(form.inputs))}
        lines: list[str] = []
        stores: list[str] = []
        for i, kind in enumerate(form.results):
            bits = register_bits(kind)
            name = self._register(f"%{kind}_d{i}" if section.typed else f"%w{bits}_d{i}", kind)
            names[f"d{i}"] = name
            if section.guard:
                old = "setp.eq.u32 {}, 0, 0;" if bits == 1 else f"mov.b{bits} {{}}, {OLD & ((1 << bits) - 1):#x};"
                lines.append(old.format(name))
            if bits == 1:
                stores.append(f"selp.u32 %word, 1, 0, {name};")
                name, bits = "%word", 32
            stores.append(f"st.global.b{bits} [%at_out+{8 * LANES * self.results}], {name};")
            self.results += 1
        lines += [section.guard + line.format(**names) for line in form.lines]
        return lines + stores

    def launch(self) -> list[int]:
        kernel = ptxvm.Module.from_ptx(self.text()).kernel()
        device = ptxvm.Device("sm_120a", memory_bytes=(len(self.data) + LANES * self.results + 4096) * 8)
        given = device.array((max(len(self.data), 1),), "uint64", name="operands")
        out = device.array((LANES * self.results,), "uint64", name="results")
        given[:] = np.frombuffer(struct.pack(f"<{len(self.data)}Q", *self.data), np.uint64)
        out[:] = FILL
        device.launch(kernel, (CTAS,), (THREADS,), (given, out), checks=CHECKS)
        return np.array(out).tolist()

    # -- comparison --------------------------------------------------------------------------------------------------
    def compare(self, got: list[int]) -> int:
        wrong: dict[str, str] = {}
        slot = compared = 0
        expected: dict[tuple[int, tuple[str, ...]], list[tuple[Result, ...]]] = {}
        for section in sorted(self.sections, key=lambda s: s.flat):
            for inputs, forms in self.groups.items():
                shapes = tuple(section.shape(i) for i in range(len(inputs)))
                pick = [[self.operands[inputs, i][place] for place in PLACE[s]] for i, s in enumerate(shapes)]
                for form in forms:
                    key = (id(form), shapes)
                    if key not in expected:
                        expected[key] = self._expect(form, shapes, pick, expected)
                    for i, kind in enumerate(form.results):
                        first = slot * LANES
                        fault = self._difference(
                            section, form, i, kind, expected[key], got[first : first + LANES], pick
                        )
                        if fault:
                            wrong.setdefault(form.name, fault)
                        slot += 1
                        compared += LANES
        assert not wrong, f"{len(wrong)} forms are wrong:\n" + "\n".join(list(wrong.values())[:20])
        return compared

    def _expect(
        self,
        form: Form,
        shapes: tuple[str, ...],
        pick: list[list[int]],
        known: dict[tuple[int, tuple[str, ...]], list[tuple[Result, ...]]],
    ) -> list[tuple[Result, ...]]:
        """What each lane must get. Where all operands have one shape it follows from the results a lane."""
        if not shapes:
            return [form.expect()] * LANES
        if len(set(shapes)) == 1:
            full = known.get((id(form), ("both",) * len(shapes)))
            if full is None:
                lanes = zip(*(self.operands[form.inputs, i] for i in range(len(shapes))), strict=True)
                full = known[id(form), ("both",) * len(shapes)] = [form.expect(*o) for o in lanes]
            return [full[place] for place in PLACE[shapes[0]]]
        return [form.expect(*operands) for operands in zip(*pick, strict=True)]

    def _difference(
        self,
        section: Section,
        form: Form,
        i: int,
        kind: str,
        expected: list[tuple[Result, ...]],
        got: list[int],
        pick: list[list[int]],
    ) -> str:
        """The first lane whose result is wrong, in words; empty if none is."""
        bits = register_bits(kind)
        bits = 32 if bits == 1 else bits
        mask = (1 << bits) - 1
        flags, guards = self.flags["flag"], self._guards(section)
        for lane in range(LANES):
            if section.flat and not flags[lane]:
                want: Result = FILL & mask
                plain = True
            elif not guards[lane]:
                want = 1 if kind == "pred" else OLD & mask
                plain = True
            else:
                want, plain = expected[lane][i], False
            value = got[lane] & mask
            same = value == want if plain else isinstance(want, Anything) or agrees(kind, value, want)
            if not same or got[lane] >> bits != FILL >> bits:
                given = ", ".join(f"{operand[lane]:#x}" for operand in pick)
                wanted = f"{want:#x}" if isinstance(want, int) else str(want)
                return (
                    f"{form.name}, {section.name}: result {i} of lane {lane} is {value:#x}, not {wanted}, for {given}"
                )
        return ""

    def _guards(self, section: Section) -> list[int]:
        guard = self.flags["guard"]
        if not section.guard:
            return [1] * LANES
        if "thread" in section.guard:
            return [guard[place] for place in PLACE["thread"]]
        return [1 - g for g in guard] if "!" in section.guard else guard


_HEADER = """.version 9.0
.target sm_120a
.address_size 64
.visible .entry forms(.param .u64 given, .param .u64 out)
{
    .reg .b32 %thread, %cta, %lane, %byte, %word;
    .reg .b64 %at_uniform, %at_block, %at_thread, %at_both, %at_out;
"""
_START = f"""    ld.param.u64 %at_uniform, [given];
    ld.param.u64 %at_out, [out];
    mov.u32 %thread, %tid.x;
    mov.u32 %cta, %ctaid.x;
    mad.wide.u32 %at_block, %cta, {8 * THREADS}, %at_uniform;
    mad.wide.u32 %at_thread, %thread, 8, %at_uniform;
    mad.wide.u32 %at_both, %thread, 8, %at_block;
    mad.lo.u32 %lane, %cta, {THREADS}, %thread;
    mad.wide.u32 %at_out, %lane, 8, %at_out;
"""
