"""Runs forms of one lane in a real kernel, in every group shape, and compares each lane with the scalar reference.

A launch of CTAS blocks of THREADS threads runs each form once in each section. A section says from where each operand
comes: the same word for all lanes, one a block, one a thread, or one a lane; whether the instruction is guarded; and
whether it stands behind a branch that a random half of the lanes takes, where groups are flat.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.ptxvm.lane_forms import Form
from tests.ptxvm.lane_values import draw, pairs, register_bits
from tests.ptxvm.ptx_kernel import FILL, Program
from tests.ptxvm.scalar.results import Anything, Result, agrees

CTAS, THREADS = 3, 64
LANES = CTAS * THREADS
OLD = 0x5A5A5A5A5A5A5A5A  # what a result register holds before a guarded instruction


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
PLACE = Program(CTAS, THREADS).place
Wanted = list[tuple[Result, ...]]
# Form and shapes of the operands -> the results of each lane with seed 0: several tests run each form with it
EXPECTED: dict[tuple[Form, tuple[str, ...]], Wanted] = {}


def check(forms: Sequence[Form], seed: int = 0, sections: Sequence[Section] = SECTIONS, **options: Any) -> int:
    """Run the forms and compare. Returns the number of results compared; raises AssertionError with the first wrong
    lane of each form that is wrong. `options` are those of `Device.launch`."""
    run = _Run(forms, seed, sections)
    return run.compare(run.program.launch(**options))


class _Run:
    def __init__(self, forms: Sequence[Form], seed: int, sections: Sequence[Section]) -> None:
        self.sections = sections
        self.expected = EXPECTED if seed == 0 else {}
        self.groups: dict[tuple[str, ...], list[Form]] = defaultdict(list)  # forms with like operands share them
        for form in forms:
            self.groups[form.inputs].append(form)
        self.program = Program(CTAS, THREADS)
        self.operands: dict[tuple[tuple[str, ...], int], list[int]] = {}
        self.offsets: dict[tuple[tuple[str, ...], int], int] = {}
        for inputs in self.groups:
            for i, kind in enumerate(inputs):
                values = self.operands[inputs, i] = draw(kind, LANES, f"{seed} {i} {' '.join(inputs)}")
                if i < 2 and inputs[:2] == (kind, kind):
                    for lane, pair in enumerate(pairs(kind), 8):
                        values[lane] = pair[i]
                self.offsets[inputs, i] = self.program.words(values)
        self.flags = {name: draw("pred", LANES, f"{seed} {name}") for name in ("guard", "flag")}
        self._write()

    # -- the kernel ------------------------------------------------------------------------------------------------
    def _write(self) -> None:
        p = self.program
        guard = p.words(self.flags["guard"])
        p.load("%guard", "pred", "both", guard)
        p.load("%guard_thread", "pred", "thread", guard)
        p.load("%flag", "pred", "both", p.words(self.flags["flag"]))
        for section in (s for s in self.sections if not s.flat):
            for inputs, forms in self.groups.items():
                self._loads(section, inputs)
                for form in forms:
                    self._form(section, form)
        flat = [s for s in self.sections if s.flat]
        for section in flat:  # what they read is loaded before the branch: the split cuts it to size
            for inputs in self.groups:
                self._loads(section, inputs)
        if flat:
            p.add("@!%flag bra END;")
        for section in flat:
            for forms in self.groups.values():
                for form in forms:
                    self._form(section, form)
        p.add("END:")

    def _loads(self, section: Section, inputs: tuple[str, ...]) -> None:
        for i, kind in enumerate(inputs):
            self.program.load(self._operand(section, inputs, i), kind, section.shape(i), self.offsets[inputs, i])

    def _operand(self, section: Section, inputs: tuple[str, ...], i: int) -> str:
        if section.flat:  # live across the branch: one register an operand of each section
            return f"%f{self.sections.index(section)}_{list(self.groups).index(inputs)}_{i}"
        return f"%{inputs[i]}_{i}" if section.typed else f"%w{register_bits(inputs[i])}_{i}"

    def _form(self, section: Section, form: Form) -> None:
        p = self.program
        names = {f"a{i}": self._operand(section, form.inputs, i) for i in range(len(form.inputs))}
        for i, kind in enumerate(form.results):
            bits = register_bits(kind)
            name = names[f"d{i}"] = p.register(f"%{kind}_d{i}" if section.typed else f"%w{bits}_d{i}", kind)
            if section.guard and bits == 1:
                p.add(f"setp.eq.u32 {name}, 0, 0;")
            elif section.guard:
                p.add(f"mov.b{bits} {name}, {OLD & ((1 << bits) - 1):#x};")
        p.add(*(section.guard + line.format(**names) for line in form.lines))
        for i, kind in enumerate(form.results):
            p.store(names[f"d{i}"], register_bits(kind))

    # -- comparison --------------------------------------------------------------------------------------------------
    def compare(self, got: list[list[int]]) -> int:
        wrong: dict[str, str] = {}
        slot = compared = 0
        for section in sorted(self.sections, key=lambda s: s.flat):
            for inputs, forms in self.groups.items():
                shapes = tuple(section.shape(i) for i in range(len(inputs)))
                pick = [[self.operands[inputs, i][place] for place in PLACE[s]] for i, s in enumerate(shapes)]
                for form in forms:
                    expected = self._expect(form, shapes, pick)
                    for i, kind in enumerate(form.results):
                        fault = self._difference(section, form, i, kind, expected, got[slot], pick)
                        if fault:
                            wrong.setdefault(form.name, fault)
                        slot += 1
                        compared += LANES
        assert not wrong, f"{len(wrong)} forms are wrong:\n" + "\n".join(list(wrong.values())[:20])
        return compared

    def _expect(self, form: Form, shapes: tuple[str, ...], pick: list[list[int]]) -> Wanted:
        """What each lane must get. Where all operands have one shape it follows from the results a lane."""
        key = (form, shapes)
        if key not in self.expected:
            full = ("both",) * len(shapes)
            if not shapes:
                self.expected[key] = [form.expect()] * LANES
            elif shapes != full and len(set(shapes)) == 1:
                lanes = self._expect(form, full, [self.operands[form.inputs, i] for i in range(len(shapes))])
                self.expected[key] = [lanes[place] for place in PLACE[shapes[0]]]
            else:
                self.expected[key] = [form.expect(*operands) for operands in zip(*pick, strict=True)]
        return self.expected[key]

    def _difference(
        self,
        section: Section,
        form: Form,
        i: int,
        kind: str,
        expected: Wanted,
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
                where = f"{form.name}, {section.name}: result {i} of lane {lane}"
                return f"{where} is {value:#x}, not {wanted}, for {given}"
        return ""

    def _guards(self, section: Section) -> list[int]:
        guard = self.flags["guard"]
        if not section.guard:
            return [1] * LANES
        if "thread" in section.guard:
            return [guard[place] for place in PLACE["thread"]]
        return [1 - g for g in guard] if "!" in section.guard else guard
