"""Do the opcode tests see a mistake? An error is planted in each family of emitters, and the same check must fail.

A planted emitter is the right one on a changed instruction, or a few lines of its own. Whatever was compiled before is
forgotten, so that the check runs what is planted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

import ptxvm
from ptxvm.codegen import control
from ptxvm.codegen.emitter import EMITTERS, BlockWriter, EmitterFunction
from ptxvm.types import DTYPES, Immediate, Instruction, Register, Sink, Vector
from tests.ptxvm import (
    test_opcodes_async,
    test_opcodes_atomic,
    test_opcodes_control,
    test_opcodes_mbarrier,
    test_opcodes_memory,
    test_opcodes_warp,
)
from tests.ptxvm.lane_forms import Form
from tests.ptxvm.lane_forms_float import LANE_FORMS
from tests.ptxvm.lane_kernel import check as check_lanes

Check = Callable[[], Any]
BY_NAME: dict[str, Form] = {form.name: form for form in LANE_FORMS}


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache of modules, and with it of compiled kernels, until the test ends."""
    monkeypatch.setattr("ptxvm.module._cache", OrderedDict())


# -- ways to get an emitter wrong ----------------------------------------------------------------------------------
def words(**changes: str) -> Callable[[Instruction], Instruction]:
    """Other words in the opcode: `lt="le"`; "" takes the word away."""

    def change(ins: Instruction) -> Instruction:
        parts = tuple(changes.get(p, p) for p in ins.parts)
        return replace(ins, parts=tuple(p for p in parts if p))

    return change


def operands(*order: int) -> Callable[[Instruction], Instruction]:
    """The operands in another order."""
    return lambda ins: replace(ins, operands=tuple(ins.operands[i] for i in order))


def literal(place: int, value: int) -> Callable[[Instruction], Instruction]:
    """A literal in the place of an operand."""
    return lambda ins: replace(ins, operands=(*ins.operands[:place], Immediate(value), *ins.operands[place + 1 :]))


def turned(place: int) -> Callable[[Instruction], Instruction]:
    """The elements of a vector operand in reverse."""

    def change(ins: Instruction) -> Instruction:
        vector = ins.operands[place]
        if not isinstance(vector, Vector):
            return ins
        return replace(ins, operands=(*ins.operands[:place], Vector(vector.items[::-1]), *ins.operands[place + 1 :]))

    return change


def unguarded(ins: Instruction) -> Instruction:
    return replace(ins, guard=None)


def where(word: str, change: Callable[[Instruction], Instruction]) -> Callable[[Instruction], Instruction]:
    """Only in opcodes with a word: the kernel around the form needs the others right."""
    return lambda ins: change(ins) if word in ins.parts else ins


def with_word(word: str) -> Callable[[Instruction], Instruction]:
    return lambda ins: replace(ins, parts=(ins.parts[0], word, *ins.parts[1:]))


def through(change: Callable[[Instruction], Instruction]) -> Callable[[EmitterFunction], EmitterFunction]:
    """The right emitter of the changed instruction (of its new first word)."""

    def wrap(right: EmitterFunction) -> EmitterFunction:
        def wrong(w: BlockWriter, ins: Instruction) -> None:
            other = change(ins)
            kept, w.instruction = w.instruction, other
            (right if other.parts[0] == ins.parts[0] else EMITTERS[other.parts[0]])(w, other)
            w.instruction = kept

        return wrong

    return wrap


def own(write: Callable[[BlockWriter, Instruction], None]) -> Callable[[EmitterFunction], EmitterFunction]:
    """An emitter of its own."""
    return lambda right: write


def edited(old: str, new: str) -> Callable[[EmitterFunction], EmitterFunction]:
    """The right lines with a piece of text replaced."""

    def wrap(right: EmitterFunction) -> EmitterFunction:
        def wrong(w: BlockWriter, ins: Instruction) -> None:
            first = len(w.lines)
            right(w, ins)
            w.lines[first:] = [line.replace(old, new) for line in w.lines[first:]]

        return wrong

    return wrap


def shl_without_clamp(w: BlockWriter, ins: Instruction) -> None:
    d, a, b = ins.operands
    w.define(d, f"{w.use(a, 'u32')} << ({w.use(b, 'u32')} & np.uint32(31))", "u32")


def fma_in_two_steps(w: BlockWriter, ins: Instruction) -> None:
    a, b, c = (w.use(o, "f32") for o in ins.operands[1:])
    w.define(ins.operands[0], f"{a} * {b} + {c}", "f32")


def cvt_half_up(w: BlockWriter, ins: Instruction) -> None:
    d, a = ins.operands
    w.define(d, f"nm.float_to_int(np.floor({w.use(a, 'f32')} + np.float32(0.5)), np.int32, 0)", "s32")


def new_value_back(right: EmitterFunction) -> EmitterFunction:
    """The atomic's result is what the cell holds afterwards."""

    def wrong(w: BlockWriter, ins: Instruction) -> None:
        right(w, ins)
        load = replace(ins, parts=("ld", "global", "u32"), operands=(ins.operands[0], ins.operands[1]))
        EMITTERS["ld"](w, load)

    return wrong


# -- the errors ----------------------------------------------------------------------------------------------------
Error = tuple[str, str, Callable[[EmitterFunction], EmitterFunction], Check]


def lanes(*names: str) -> Check:
    return lambda: check_lanes([BY_NAME[name] for name in names])


def error(base: str, plant: Callable[[EmitterFunction], EmitterFunction], check: Check, what: str) -> Error:
    return base, what, plant, check


def atomics(*opcodes: str) -> Check:
    return lambda: test_opcodes_atomic.check(opcodes, "planted")


def warps(*opcodes: str) -> Check:
    """Of whole warps: elsewhere a wrong shuffle reads lanes that are not there, which is a fault of its own."""
    return lambda: test_opcodes_warp.check(opcodes, "planted", cases=test_opcodes_warp.CASES[:4])


def loads(opcode: str, space: str = "global") -> Check:
    return lambda: test_opcodes_memory.check_loads([(opcode, space)], "planted")


def stores(opcode: str, space: str = "global") -> Check:
    return lambda: test_opcodes_memory.check_stores([(opcode, space)], "planted")


def guarded_activemask() -> None:
    test_opcodes_warp.check(["activemask.b32"], "planted")


addresses = test_opcodes_memory.test_addresses_of_spaces_and_back


def copies() -> None:
    test_opcodes_async.check(test_opcodes_async.COPIES[:3], "planted")


def drops() -> None:
    test_opcodes_mbarrier.check(test_opcodes_mbarrier.DROP, test_opcodes_mbarrier.WAIT, "planted")


def arrivals() -> None:
    test_opcodes_mbarrier.check(test_opcodes_mbarrier.ARRIVE[:3], test_opcodes_mbarrier.WAIT, "planted")


spaces = partial(test_opcodes_memory.test_which_space_a_generic_address_lies_in, "")


def landed() -> None:
    """With a barrier that expects these arrivals alone; a further one leaves it waiting."""
    try:
        assert all(test_opcodes_mbarrier.copied("cp.async.mbarrier.arrive.noinc.shared.b64", False, True))
    except ptxvm.Fault as fault:
        raise AssertionError(str(fault)) from None


ERRORS: dict[str, list[Error]] = {
    "integer": [
        error("add", through(words(add="sub")), lanes("add.s32"), "add subtracts"),
        error("add", through(words(sat="")), lanes("add.sat.s32"), "add.sat wraps"),
        error("addc", through(words(addc="add")), lanes("addc.u32"), "addc forgets the carry"),
        error("subc", edited("sub_borrow", "add_carry"), lanes("subc.u64"), "subc adds"),
        error("mul", through(words(hi="lo")), lanes("mul.hi.u64"), "mul.hi gives the low half"),
        error("mul", through(words(s32="u32")), lanes("mul.wide.s32"), "mul.wide without a sign"),
        error("mad", through(where("hi", literal(3, 0))), lanes("mad.hi.s32"), "mad does not add"),
        error("div", through(operands(0, 2, 1)), lanes("div.u16"), "div divides b by a"),
        error("rem", edited("nm.rem", "np.mod"), lanes("rem.s32"), "rem with the sign of the divisor"),
        error("max", through(words(s64="u64")), lanes("max.s64"), "max compares as unsigned"),
        error("vabsdiff4", edited("uint8", "int8"), lanes("vabsdiff4.u32.u32.u32.add"), "bytes with a sign"),
        error("dp4a", edited("'s32', 'u32'", "'u32', 'u32'"), lanes("dp4a.s32.u32"), "dp4a forgets a sign"),
    ],
    "bits": [
        error("shl", own(shl_without_clamp), lanes("shl.b32"), "shl does not clamp"),
        error("shr", through(words(s32="u32")), lanes("shr.s32"), "shr does not keep the sign"),
        error("shf", through(words(wrap="clamp")), lanes("shf.l.wrap.b32"), "shf clamps instead of wrapping"),
        error("lop3", through(operands(0, 1, 3, 2, 4)), lanes("lop3.b32 (table 0xca)"), "lop3 swaps b and c"),
        error("prmt", through(operands(0, 2, 1, 3)), lanes("prmt.b32"), "prmt swaps its words"),
        error("bfe", through(words(s32="u32")), lanes("bfe.s32"), "bfe without a sign"),
        error("bfi", through(operands(0, 1, 2, 4, 3)), lanes("bfi.b64"), "bfi swaps place and length"),
        error("fns", through(operands(0, 1, 3, 2)), lanes("fns.b32"), "fns swaps base and offset"),
        error("bfind", through(words(shiftamt="")), lanes("bfind.shiftamt.u32"), "bfind gives the position"),
    ],
    "compare": [
        error("setp", through(words(lt="le")), lanes("setp.lt.s32"), "lt is le"),
        error("setp", through(words(ltu="lt")), lanes("setp.ltu.f32"), "ltu is false for NaN"),
        error("setp", through(words(hi="gt", u32="s32")), lanes("setp.hi.u32"), "hi compares as signed"),
        error("setp", edited("~", ""), lanes("setp.eq.s32 (two results)"), "q is p"),
        error("set", through(words(f32="u32")), lanes("set.lt.f32.s32"), "1.0 is all ones"),
        error("selp", through(operands(0, 2, 1, 3)), lanes("selp.b64"), "selp the wrong way round"),
        error("slct", edited(">= 0", "> 0"), lanes("slct.b32.f32"), "slct wants more than 0"),
        error("testp", through(words(normal="finite")), lanes("testp.normal.f32"), "subnormal is normal"),
    ],
    "floating": [
        error("min", through(with_word("NaN")), lanes("min.f32"), "min propagates NaN"),
        error("max", edited("nm.maximum", "np.fmax"), lanes("max.f64"), "max does not tell zeros apart"),
        error("add", through(words(rz="rn")), lanes("add.rz.f32"), "rz rounds to nearest"),
        error("sub", through(words(ftz="")), lanes("sub.ftz.f32"), "ftz keeps subnormals"),
        error("mul", through(words(sat="")), lanes("mul.sat.f32"), "sat does not clamp"),
        error("fma", own(fma_in_two_steps), lanes("fma.rn.f32"), "fma rounds twice"),
        error("div", through(words(rm="rp")), lanes("div.rm.f64"), "rm rounds up"),
        error("sqrt", edited("np.sqrt(", "np.float32(1.00001)*np.sqrt("), lanes("sqrt.approx.f32"), "sqrt is off"),
        error("ex2", edited("nm.ex2_approx(", "np.exp("), lanes("ex2.approx.ftz.f32"), "ex2 is exp"),
        error("neg", through(words(neg="abs")), lanes("neg.f16x2"), "neg is abs"),
    ],
    "convert": [
        error("cvt", own(cvt_half_up), lanes("cvt.rni.s32.f32"), "ties go up instead of to even"),
        error("cvt", through(words(rn="rz")), lanes("cvt.rn.f16.f32"), "cvt truncates"),
        error("cvt", through(operands(0, 2, 1)), lanes("cvt.rn.bf16x2.f32"), "halves swapped"),
        error("cvt", through(words(s8="u8")), lanes("cvt.s32.s8"), "cvt forgets a sign"),
        error("cvt", through(words(sat="")), lanes("cvt.sat.u8.s32"), "cvt.sat wraps"),
        error("cvt", edited("'e4m3'", "'e5m2'"), lanes("cvt.rn.f16x2.e4m3x2"), "e4m3 read as e5m2"),
        error("mov", through(turned(1)), lanes("mov.b64 (pack)"), "mov packs the first element on top"),
        error("cvt", edited("np.uint32(8)", "np.uint32(16)"), lanes("cvt.pack.sat.u4.s32.b32"), "c moves too far"),
        error("isspacep", edited("'global'", "'const'"), spaces, "global is const"),
        error("cvta", through(words(to="")), addresses, "cvta.to does not go back"),
    ],
    "memory": [
        error("ld", through(words(s8="u8")), loads("ld.global.s8"), "ld.s8 does not extend the sign"),
        error("ld", through(turned(0)), loads("ld.shared.v4.f32", "shared"), "a vector in reverse"),
        error("ld", through(unguarded), loads("ld.local.u32", "local"), "a guarded load loads everywhere"),
        error("ld", edited(" + 16", " + 16 & -8"), loads("ld.global.b32"), "a word beside"),
        error("st", through(turned(1)), stores("st.global.v2.b32"), "a vector in reverse"),
        error("st", through(unguarded), stores("st.shared.b16", "shared"), "a guarded store stores everywhere"),
        error("st", through(words(u8="u16")), stores("st.global.u8"), "a byte stored as two"),
    ],
    "atomic": [
        error("atom", new_value_back, atomics("atom.global.add.u32"), "atom gives back the new value"),
        error("atom", through(words(min="max")), atomics("atom.global.min.s32"), "min is max"),
        error("atom", through(words(s32="u32")), atomics("atom.shared.max.s32"), "max compares as unsigned"),
        error("atom", through(words(inc="add")), atomics("atom.global.inc.u32"), "inc does not wrap"),
        error("atom", through(operands(0, 1, 3, 2)), atomics("atom.global.cas.b32"), "cas swaps its operands"),
        error("red", through(words(xor="or")), atomics("red.global.xor.b64"), "xor is or"),
        error("red", through(unguarded), atomics("red.shared.add.u32"), "a guarded red adds everywhere"),
        error("red", edited("'f32'", "'s32'"), atomics("red.shared.add.f32"), "f32 added as integers"),
    ],
    "warp": [
        error("shfl", edited("wp.shfl(g, 'down'", "wp.shfl(g, 'up'"), warps("shfl.sync.down.b32"), "down is up"),
        error("shfl", through(literal(3, 0x1F)), warps("shfl.sync.bfly.b32"), "segments are not looked at"),
        error("shfl", edited("[1]", "[1] | True"), warps("shfl.sync.idx.b32"), "always in range"),
        error("vote", through(words(any="all")), warps("vote.sync.any.pred"), "any is all"),
        error("vote", edited("'uni'", "'all'"), warps("vote.sync.uni.pred"), "uni is all"),
        error("match", through(words(b64="b32")), warps("match.any.sync.b64"), "match looks at half"),
        error("redux", through(words(s32="u32")), warps("redux.sync.min.s32"), "min compares as unsigned"),
        error("activemask", through(unguarded), guarded_activemask, "activemask names lanes that do nothing"),
    ],
    "asynchronous": [
        error("cp", edited("rt.copies.wait", "(lambda *a: None)"), copies, "the wait does not wait"),
        error("cp", edited("True)", "False)"), landed, "noinc asks for one more arrival"),
        error("mbarrier", through(words(arrive_drop="arrive")), drops, "arrive_drop expects no less"),
        error("mbarrier", edited("rt.mbarriers.test", "~rt.mbarriers.test"), arrivals, "over is not over"),
        error("mbarrier", edited("0xFFFFF)", "0xFFFF0)"), arrivals, "a part of the pending count"),
        error("cp", edited(", 16, ", ", 8, "), copies, "half of the bytes"),
        error("cp", edited("np.uint32(0)", "np.uint32(1)"), copies, "a byte of an ignored source"),
    ],
}  # fmt: skip


def every_error() -> Iterator[Any]:
    for family, errors in ERRORS.items():
        for base, what, plant, check in errors:
            yield pytest.param(base, plant, check, id=f"{family}: {what}")


@pytest.mark.parametrize(("base", "plant", "check"), list(every_error()))
def test_a_planted_error_is_seen(
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    plant: Callable[[EmitterFunction], EmitterFunction],
    check: Check,
) -> None:
    see(monkeypatch, base, plant, check)


def see(
    monkeypatch: pytest.MonkeyPatch, base: str, plant: Callable[[EmitterFunction], EmitterFunction], check: Check
) -> None:
    """A check that passes must fail with the error planted."""
    check()
    forget(monkeypatch)
    monkeypatch.setitem(EMITTERS, base, plant(EMITTERS[base]))
    with pytest.raises(AssertionError):
        check()


# -- control flow: what ends a block is written by `control.write_end` -----------------------------------------------
Ending = Callable[[BlockWriter, Instruction | None], tuple[str, str]]


def always(guarded: Ending) -> Ending:
    return lambda w, ins: guarded(w, replace(ins, guard=None) if ins is not None and ins.parts[0] != "bra" else ins)


def inverted(right: Ending) -> Ending:
    def wrong(w: BlockWriter, ins: Instruction | None) -> tuple[str, str]:
        kind, text = right(w, ins)
        return kind, f"~{text}" if kind == "branch" else text

    return wrong


def nobody_waits(right: Ending) -> Ending:
    def wrong(w: BlockWriter, ins: Instruction | None) -> tuple[str, str]:
        kind, text = right(w, ins)
        return kind, text.replace("False, None", "True, None") if kind == "barrier" else text

    return wrong


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (inverted, test_opcodes_control.test_branches),
        (always, lambda: test_opcodes_control.test_leaving("exit")),
        (nobody_waits, lambda: test_opcodes_control.mirror("bar.sync 0;")),
    ],
    ids=["a branch the wrong way", "a guarded exit of all", "a barrier that nobody waits at"],
)
def test_a_planted_error_in_control_flow_is_seen(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[Ending], Ending], check: Check
) -> None:
    check()
    forget(monkeypatch)
    monkeypatch.setattr(control, "write_end", plant(control.write_end))
    with pytest.raises(AssertionError):
        check()


# -- every emitter of one lane ---------------------------------------------------------------------------------------
def flipped(right: EmitterFunction) -> EmitterFunction:
    """The first result with its lowest bit flipped; negated if it is a floating-point number or a predicate."""

    def wrong(w: BlockWriter, ins: Instruction) -> None:
        define, first = w.define, True

        def broken(operand: Any, expression: str, type_name: str) -> None:
            nonlocal first
            if first and isinstance(operand, Register) and not isinstance(operand, Sink):
                first = False
                dtype = DTYPES[type_name]
                change = {"b": "~({})", "f": "-({})"}.get(dtype.kind, f"({{}}) ^ np.{dtype.name}(1)")
                expression = change.format(expression)
            define(operand, expression, type_name)

        w.define = broken  # type: ignore[method-assign]
        right(w, ins)
        w.define = define  # type: ignore[method-assign]

    return wrong


NEEDED = {"mov", "setp", "mad", "cvta", "selp"}  # the kernel around the forms stands on these; each is tested above


@pytest.mark.parametrize(
    "base",
    [  # the forms of cvt take seconds
        pytest.param(base, marks=pytest.mark.slow if base == "cvt" else ())
        for base in sorted({form.opcode.split(".")[0] for form in LANE_FORMS} - NEEDED)
    ],
)
def test_a_flipped_bit_is_seen_in_every_form(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    """Each form by itself: none is compared in name only."""
    forms = [form for form in LANE_FORMS if form.opcode.split(".")[0] == base]
    forget(monkeypatch)
    monkeypatch.setitem(EMITTERS, base, flipped(EMITTERS[base]))
    with pytest.raises(AssertionError) as caught:
        check_lanes(forms)
    assert str(caught.value).startswith(f"{len(forms)} forms are wrong")
