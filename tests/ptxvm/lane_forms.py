"""The opcode forms that act on one lane, with their operands: integers and bits here, the rest in `lane_forms_float`.

A form is what `test_opcodes.py` runs and compares with `tests.ptxvm.scalar`. Classes of operands (`u32`, `count`,
`angle`, ...) say which values are drawn; see `lane_values`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.ptxvm.scalar import evaluate, integer
from tests.ptxvm.scalar.results import Result

Reference = Callable[..., tuple[Result, ...]]
INTEGERS = ("u16", "s16", "u32", "s32", "u64", "s64")


@dataclass(frozen=True)
class Form:
    """One opcode form (or a short sequence that cannot be split, such as a carry chain).

    results    type of each result, by which bits are compared
    inputs     class of each operand
    template   lines with {d0}, {d1}, .. for results and {a0}, {a1}, .. for operands; opcodes other than the form's own
               may stand there too
    reference  results from operand patterns; the scalar reference of the opcode if None
    """

    opcode: str
    results: tuple[str, ...]
    inputs: tuple[str, ...]
    template: tuple[str, ...] = ()
    reference: Reference | None = None
    note: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        if self.template:
            return self.template
        names = [f"{{d{i}}}" for i in range(len(self.results))] + [f"{{a{i}}}" for i in range(len(self.inputs))]
        return (f"{self.opcode} {', '.join(names)};",)

    @property
    def name(self) -> str:
        return f"{self.opcode} ({self.note})" if self.note else self.opcode

    def expect(self, *operands: int) -> tuple[Result, ...]:
        """What the results must be."""
        if self.reference is not None:
            return self.reference(*operands)
        base, *words = self.opcode.split(".")
        return evaluate(base, tuple(words), *operands)


def each(pattern: str) -> Iterable[str]:
    """`add.{u16 s16}{ .x}`: every choice of each brace; a choice of `-` is nothing."""
    parts = re.split(r"\{([^}]*)\}", pattern)
    choices = [[text] if i % 2 == 0 else text.split() for i, text in enumerate(parts)]
    for combination in itertools.product(*choices):
        yield "".join("" if c == "-" else c for c in combination)


def plain(pattern: str, operands: int, result: str = "", inputs: tuple[str, ...] = ()) -> list[Form]:
    """Forms whose operands and result have the opcode's last type."""
    forms = []
    for opcode in each(pattern):
        kind = opcode.split(".")[-1]
        forms.append(Form(opcode, (result or kind,), inputs or (kind,) * operands))
    return forms


def literal(opcode: str, result: str, inputs: tuple[str, ...], text: str, *values: int) -> Form:
    """A form whose last operands are literals, written as in `text`."""
    base, *words = opcode.split(".")
    names = ", ".join(f"{{a{i}}}" for i in range(len(inputs)))

    def reference(*operands: int) -> tuple[Result, ...]:
        return evaluate(base, tuple(words), *operands, *values)

    return Form(opcode, (result,), inputs, (f"{opcode} {{d0}}, {names}, {text};",), reference, f"with {text}")


# -- integers ------------------------------------------------------------------------------------------------------
def wide(pattern: str, adds: bool) -> list[Form]:
    forms = []
    for opcode in each(pattern):
        kind = opcode.split(".")[-1]
        double = f"{kind[0]}{2 * int(kind[1:])}"
        forms.append(Form(opcode, (double,), (kind, kind, double) if adds else (kind, kind)))
    return forms


def carries() -> list[Form]:
    """Carry chains: the flag shows in a following `addc` or `subc` of zeros (0 - 0 - borrow is all ones)."""
    forms = []
    for kind in ("u32", "s32", "u64", "s64"):
        for name, function in (("add", integer.add_with_carry), ("sub", integer.subtract_with_borrow)):
            forms += _chain(name, kind, function)
        for half in ("lo", "hi"):
            forms += _product_chain(half, kind)
    return forms


def _chain(name: str, kind: str, function: Callable[[str, int, int, int], tuple[int, int]]) -> list[Form]:
    two, four = (kind,) * 2, (kind,) * 4

    def first(a: int, b: int) -> tuple[Result, ...]:
        d, flag = function(kind, a, b, 0)
        return d, function(kind, 0, 0, flag)[0]

    def both(a: int, b: int, c: int, e: int) -> tuple[Result, ...]:
        low, flag = function(kind, a, b, 0)
        high, flag = function(kind, c, e, flag)
        return low, high, function(kind, 0, 0, flag)[0]

    start = f"{name}.cc.{kind} {{d0}}, {{a0}}, {{a1}};"
    return [
        Form(f"{name}.cc.{kind}", two, two, (start, f"{name}c.{kind} {{d1}}, 0, 0;"), first),
        Form(
            f"{name}c.cc.{kind}",
            (kind,) * 3,
            four,
            (start, f"{name}c.cc.{kind} {{d1}}, {{a2}}, {{a3}};", f"{name}c.{kind} {{d2}}, 0, 0;"),
            both,
        ),
        Form(f"{name}c.{kind}", two, four, (start, f"{name}c.{kind} {{d1}}, {{a2}}, {{a3}};"), lambda *o: both(*o)[:2]),
    ]


def _product_chain(half: str, kind: str) -> list[Form]:
    words, three = (half, kind), (kind,) * 3

    def first(a: int, b: int, c: int) -> tuple[Result, ...]:
        d, flag = integer.multiply_add_with_carry(words, a, b, c, 0)
        return d, flag

    def both(a: int, b: int, c: int) -> tuple[Result, ...]:
        flag = integer.add_with_carry(kind, a, b, 0)[1]
        d, flag = integer.multiply_add_with_carry(words, a, b, c, flag)
        return d, flag

    show, start = f"addc.{kind} {{d1}}, 0, 0;", f"add.cc.{kind} {{d1}}, {{a0}}, {{a1}};"
    product = f"{half}.cc.{kind} {{d0}}, {{a0}}, {{a1}}, {{a2}};"
    last = f"madc.{half}.{kind} {{d0}}, {{a0}}, {{a1}}, {{a2}};"
    return [
        Form(f"mad.{half}.cc.{kind}", (kind,) * 2, three, (f"mad.{product}", show), first),
        Form(f"madc.{half}.cc.{kind}", (kind,) * 2, three, (start, f"madc.{product}", show), both),
        Form(
            f"madc.{half}.{kind}",
            (kind,) * 2,
            three,
            (start, last, f"mov.b{kind[1:]} {{d1}}, 0;"),
            lambda *o: (both(*o)[0], 0),
        ),
    ]


INTEGER = [
    *plain("{add sub}.{u16 s16 u32 s32 u64 s64}", 2),
    *plain("add.{u16x2 s16x2}", 2),
    *plain("{add sub}.sat.s32", 2),
    *plain("mul.{lo hi}.{u16 s16 u32 s32 u64 s64}", 2),
    *plain("mad.{lo hi}.{u16 s16 u32 s32 u64 s64}", 3),
    *plain("mad.hi.sat.s32", 3),
    *wide("mul.wide.{u16 s16 u32 s32}", False),
    *wide("mad.wide.{u16 s16 u32 s32}", True),
    *carries(),
    *plain("mul24.{lo hi}.{u32 s32}", 2),
    *plain("mad24.{lo hi}.{u32 s32}", 3),
    *plain("mad24.hi.sat.s32", 3),
    *(Form(o, ("b32",), ("b32",) * 3) for o in each("dp4a.{u32 s32}.{u32 s32}")),
    *(Form(o, ("b32",), ("b32",) * 3) for o in each("dp2a.{lo hi}.{u32 s32}.{u32 s32}")),
    *plain("{div rem}.{u16 s16 u32 s32 u64 s64}", 2),
    *plain("{abs neg}.{s16 s32 s64}", 1),
    *plain("{min max}.{u16 s16 u32 s32 u64 s64 u16x2 s16x2}", 2),
    *plain("{min max}.relu.{s32 s16x2}", 2),
    *plain("sad.{u16 s16 u32 s32 u64 s64}", 3),
    *(Form(o, ("b32",), ("b32",) * 3) for o in each("vabsdiff{2 4}.u32.{u32.u32 s32.s32}{- .add .sat}")),
    literal("add.s32", "s32", ("s32",), "-1", 0xFFFFFFFF),
    literal("sub.u64", "u64", ("u64",), "1", 1),
    literal("mul.lo.s32", "s32", ("s32",), "-7", -7 & 0xFFFFFFFF),
    literal("mul.wide.s32", "s64", ("s32",), "-4", -4 & 0xFFFFFFFF),
    literal("mul.wide.u32", "u64", ("u32",), "0xfffffffc", 0xFFFFFFFC),
    literal("min.u16", "u16", ("u16",), "0x8000", 0x8000),
    literal("div.s32", "s32", ("s32",), "-3", -3 & 0xFFFFFFFF),
    literal("rem.u32", "u32", ("u32",), "10", 10),
]

# -- bits ----------------------------------------------------------------------------------------------------------
LOOKUPS = (0x00, 0x01, 0x3C, 0x55, 0x6A, 0x80, 0x96, 0xB8, 0xC0, 0xE8, 0xF8, 0xFE, 0xFF, 0x0F, 0x33, 0xCA)


def lop3(table: int) -> list[Form]:
    def reference(words: tuple[str, ...]) -> Reference:
        return lambda a, b, c, q=0: evaluate("lop3", words, a, b, c, table, q)

    inputs, note = ("b32",) * 3, f"table {table:#x}"
    line = f"lop3.b32 {{d0}}, {{a0}}, {{a1}}, {{a2}}, {table};"
    forms = [Form("lop3.b32", ("b32",), inputs, (line,), reference(("b32",)), note)]
    if table % 3 == 0:
        for word in ("and", "or"):
            line = f"lop3.{word}.b32 {{d0}}|{{d1}}, {{a0}}, {{a1}}, {{a2}}, {table}, {{a3}};"
            forms.append(
                Form(f"lop3.{word}.b32", ("b32", "pred"), (*inputs, "pred"), (line,), reference((word, "b32")), note)
            )
    return forms


SELECTORS = (0x5410, 0x3210, 0x0123, 0x7777, 0xFB73, 0x4321)


def prmt() -> list[Form]:
    modes = ("f4e", "b4e", "rc8", "ecl", "ecr", "rc16")
    forms = [Form("prmt.b32", ("b32",), ("b32",) * 3)]
    forms += [Form(f"prmt.b32.{mode}", ("b32",), ("b32",) * 3) for mode in modes]
    forms += [literal("prmt.b32", "b32", ("b32", "b32"), f"{c:#x}", c) for c in SELECTORS]
    forms += [literal(f"prmt.b32.{mode}", "b32", ("b32", "b32"), "2", 2) for mode in modes]
    return forms


BITS = [
    *plain("{and or xor}.{b16 b32 b64 pred}", 2),
    *plain("not.{b16 b32 b64 pred}", 1),
    *plain("cnot.{b16 b32 b64}", 1),
    *(Form(o, (k := o.split(".")[1],), (k, "count")) for o in each("shl.{b16 b32 b64}")),
    *(Form(o, (k := o.split(".")[1],), (k, "count")) for o in each("shr.{b16 b32 b64 u16 u32 u64 s16 s32 s64}")),
    literal("shl.b32", "b32", ("b32",), "7", 7),
    literal("shl.b64", "b64", ("b64",), "64", 64),
    literal("shr.s32", "s32", ("s32",), "33", 33),
    literal("shr.u16", "u16", ("u16",), "3", 3),
    literal("and.b32", "b32", ("b32",), "-8", -8 & 0xFFFFFFFF),
    *(Form(o, ("b32",), ("b32", "b32", "count")) for o in each("shf.{l r}.{wrap clamp}.b32")),
    literal("shf.l.wrap.b32", "b32", ("b32", "b32"), "39", 39),
    literal("shf.r.clamp.b32", "b32", ("b32", "b32"), "40", 40),
    literal("shf.l.clamp.b32", "b32", ("b32", "b32"), "5", 5),
    *(form for table in LOOKUPS for form in lop3(table)),
    *prmt(),
    *(Form(o, (k := o.split(".")[1],), (k, "count", "count")) for o in each("bfe.{u32 s32 u64 s64}")),
    *(Form(o, (k := o.split(".")[1],), (k, k, "count", "count")) for o in each("bfi.{b32 b64}")),
    literal("bfe.u32", "u32", ("u32", "count"), "8", 8),
    *(Form(o, ("b32",), ("count", "count")) for o in each("bmsk.{clamp wrap}.b32")),
    *(Form(o, ("b32",), ("b32", "count")) for o in each("szext.{clamp wrap}.{u32 s32}")),
    *plain("{popc clz}.{b32 b64}", 1, "u32"),
    Form("fns.b32", ("b32",), ("b32", "count", "b32")),
    *plain("brev.{b32 b64}", 1),
    *plain("bfind{- .shiftamt}.{u32 s32 u64 s64}", 1, "u32"),
]  # fmt: skip
