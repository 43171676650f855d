"""`mma`, `wmma`, `ldmatrix`, `stmatrix` and `movmatrix`."""

from __future__ import annotations

from ptxvm.codegen.emitter import BlockWriter, emits, refuse
from ptxvm.codegen.memory import address
from ptxvm.matrix_forms import FragmentForm, MmaForm, form_of, lack, nearest
from ptxvm.types import Immediate, Instruction, Operand, Register, Sink, Vector, bits_of


def _form(w: BlockWriter, ins: Instruction) -> MmaForm | FragmentForm:
    """The form of an instruction. Raises Unsupported for one that there is not, or not for the target."""
    form = form_of(ins.parts)
    if form is None:
        raise refuse(ins, nearest(ins.parts, w.target))
    reason = lack(w.target, form.least, isinstance(form, MmaForm) and form.own)
    if reason:
        raise refuse(ins, reason)
    return form


def _registers(w: BlockWriter, ins: Instruction, operand: Operand, count: int, type_name: str) -> tuple[Operand, ...]:
    """The elements of a fragment. Raises Unsupported for another number of them or registers of another width."""
    items = operand.items if isinstance(operand, Vector) else ()
    widths = {bits_of(w.dtypes.get(i.name, type_name)) for i in items if isinstance(i, Register)}
    known = all(isinstance(i, Register | Immediate | Sink) for i in items)
    if len(items) != count or not known or widths - {bits_of(type_name)}:
        raise refuse(ins, f"a vector of {count} registers of {bits_of(type_name)} bits is expected")
    return items


def _used(w: BlockWriter, ins: Instruction, operand: Operand, count: int, type_name: str) -> str:
    items = _registers(w, ins, operand, count, type_name)
    return f"[{', '.join(w.use(o, type_name) for o in items)}]"


def _multiply(w: BlockWriter, ins: Instruction) -> None:
    form = _form(w, ins)
    if not isinstance(form, MmaForm) or len(ins.operands) != (6 if form.selectors else 4):
        raise refuse(ins)
    results = _registers(w, ins, ins.operands[0], *form.registers[0])
    a, b, c = (_used(w, ins, o, *r) for o, r in zip(ins.operands[1:4], form.registers[1:], strict=True))
    name = w.constant(form)
    # The same rows are multiplied with several columns, and the other way round: each is decoded once.
    left, right = (w.once(f"mm.factor(g, {name}, {i}, {one})") for i, one in ((1, a), (2, b)))
    if form.selectors:
        metadata, selector = ins.operands[4:]
        if not isinstance(selector, Immediate) or not 0 <= selector.value < form.selectors:
            raise refuse(ins, f"the sparsity selector is a number from 0 to {form.selectors - 1}")
        more = f"{w.use(metadata, 'u32')}, {selector.value}, {w.guard()}"
        values = w.let(f"sp.mma(g, {name}, {left}, {right}, {c}, {more})")
    else:
        values = w.let(f"mm.mma(g, {name}, {left}, {right}, {c}, {w.guard()})")
    for i, target in enumerate(results):
        w.define(target, f"{values}[{i}]", form.registers[0][1])


@emits("mma")
def mma(w: BlockWriter, ins: Instruction) -> None:
    _multiply(w, ins)


@emits("wmma")
def wmma(w: BlockWriter, ins: Instruction) -> None:
    form = _form(w, ins)
    if isinstance(form, MmaForm):
        _multiply(w, ins)
        return
    if len(ins.operands) not in (2, 3):
        raise refuse(ins)
    count, type_name = form.registers
    unsigned = f"u{bits_of(type_name)}"
    storing = form.operand == "d"
    place, fragment = ins.operands[:2] if storing else ins.operands[1::-1]
    stride = _stride(w, ins, form)
    start = f"rt, g, {w.site()}, {w.constant(form)}, {address(w, place)}, {stride}"
    if storing:
        w.line(f"wm.store({start}, {_used(w, ins, fragment, count, unsigned)}, {w.guard()})")
        return
    targets = _registers(w, ins, fragment, count, unsigned)
    values = w.let(f"wm.load({start}, {w.guard()})")
    for i, target in enumerate(targets):
        w.define(target, f"{values}[{i}]", unsigned)


def _stride(w: BlockWriter, ins: Instruction, form: FragmentForm) -> str:
    """Elements from one row or column to the next, int64; without an operand the matrix has no gaps."""
    if len(ins.operands) == 3:
        return f"{w.use(ins.operands[2], 's32')}.astype(np.int64)"
    m, n, k = form.shape
    rows, columns = {"a": (m, k), "b": (k, n), "c": (m, n), "d": (m, n)}[form.operand]
    return w.use(Immediate(columns if form.layout == "row" else rows), "s64")


# -- 8 x 8 matrices of 16-bit elements -----------------------------------------------------------------------------
@emits("movmatrix")
def movmatrix(w: BlockWriter, ins: Instruction) -> None:
    if sorted(ins.parts[1:]) != sorted(("sync", "aligned", "m8n8", "trans", "b16")) or len(ins.operands) != 2:
        raise refuse(ins)
    w.define(ins.operands[0], f"mm.movmatrix(g, {w.use(ins.operands[1], 'u32')}, {w.guard()})", "u32")


@emits("ldmatrix")
def ldmatrix(w: BlockWriter, ins: Instruction) -> None:
    target, place = ins.operands
    targets, space = _matrices(w, ins, target)
    how = f"{len(targets)}, {'trans' in ins.parts}, {w.guard()}"
    result = w.let(f"rt.ldmatrix(g, {w.site()}, {space!r}, {address(w, place)}, {how})")
    for i, register in enumerate(targets):
        w.define(register, f"{result}[{i}]", "u32")


@emits("stmatrix")
def stmatrix(w: BlockWriter, ins: Instruction) -> None:
    place, source = ins.operands
    items, space = _matrices(w, ins, source)
    reason = lack(w.target, (9, 0))
    if reason:
        raise refuse(ins, reason)
    registers = ", ".join(w.use(o, "u32") for o in items)
    how = f"{'trans' in ins.parts}, {w.guard()}"
    w.line(f"rt.stmatrix(g, {w.site()}, {space!r}, {address(w, place)}, [{registers}], {how})")


def _matrices(w: BlockWriter, ins: Instruction, operand: Operand) -> tuple[tuple[Operand, ...], str]:
    """The register of each 8x8 matrix of 16-bit elements, and the space of the address.

    Raises Unsupported for other shapes and element types.
    """
    words = ins.parts[1:]
    counts = [int(p[1]) for p in words if p in ("x1", "x2", "x4")]
    spaces = [p for p in words if p in ("shared", "shared::cta")]
    left = [p for p in words if p not in ("x1", "x2", "x4", "trans", *spaces)]
    if len(counts) != 1 or len(spaces) > 1 or sorted(left) != sorted(("sync", "aligned", "m8n8", "b16")):
        raise refuse(ins)
    return _registers(w, ins, operand, counts[0], "u32"), "shared" if spaces else "generic"
