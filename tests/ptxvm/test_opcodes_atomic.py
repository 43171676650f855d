"""Do atomics change their cells, and give back what they found, as some order of the lanes would have it?

PTX leaves the order of lanes that meet at one cell open. So the check looks for an order that explains every value that
came back and what the cell holds at the end.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.ptxvm.lane_forms import each
from tests.ptxvm.lane_values import draw, register_bits
from tests.ptxvm.ptx_kernel import FILL, Program
from tests.ptxvm.scalar import memory

CTAS, THREADS, CELLS = 2, 64, 64
LANES = CTAS * THREADS
OLD = 0x5A5A
HALVES = "{f16 f16x2 bf16 bf16x2}"

ATOMICS = [
    *each("atom{- .global .shared}.add.{u32 s32 u64 f32 f64}"),
    *each("atom{- .global .shared}.add.noftz." + HALVES),
    *each("atom{- .global .shared}.{min max}.{u32 s32 u64 s64}"),
    *each("atom{- .global .shared}.{and or xor exch cas}.{b32 b64}"),
    *each("atom{- .global .shared}.cas.b16"),
    *each("atom{- .global .shared}.{inc dec}.u32"),
    *each("atom.shared::cta.{add.u32 exch.b32 add.f32}"),
    *each("atom.{relaxed acquire release acq_rel}.{cta gpu sys}.global.add.u32"),
    *each("atom.{relaxed acq_rel}.gpu.shared.cas.b32"),
    *each("atom.global.{cta gpu sys}.{add.u32 max.s32}"),
    *each("atom.global.gpu.acq_rel.{add.f32 add.u32 exch.b32}"),
    *each("atom{.global.acq_rel.gpu.cas .relaxed.cas .relaxed.global.cas}.b32"),
    *each("atom.{add max min}.{acquire acq_rel}.cta.u32"),
    *each("atom.add.{acquire acq_rel}.cta.{u64 f64}"),
    *each("atom.{or xor exch cas}.{acquire acq_rel}.cta.b32"),
    *each("atom.add.{relaxed.cta.u32 relaxed.cta.u64 release.cta.u64 acquire.gpu.u64}"),
    *each("atom{.add.release.gpu .relaxed.sys.shared.add}.u32"),
]
REDUCTIONS = [
    *each("red{- .global .shared}.add.{u32 s32 u64 f32 f64}"),
    *each("red{- .global .shared}.add.noftz." + HALVES),
    *each("red{- .global .shared}.{min max}.{u32 s32 u64 s64}"),
    *each("red{- .global .shared}.{and or xor}.{b32 b64}"),
    *each("red{- .global .shared}.{inc dec}.u32"),
    *each("red.{relaxed release}.{cta gpu sys}.global.add.{u32 f32}"),
    *each("red.relaxed.gpu.global.add.noftz.f16x2"),
]


@dataclass(frozen=True)
class Case:
    """cells: which lanes meet. `lane`: none; `some`: a few lanes at each; `thread`: the threads of all blocks that have
    the same number; `hot`: all lanes at one. shape: of the operands."""

    cells: str
    shape: str
    guard: str = ""
    flat: bool = False


CASES = [
    Case("lane", "both"),
    Case("some", "both"),
    Case("thread", "thread"),
    Case("some", "uniform"),
    Case("hot", "both"),
    Case("some", "both", "@%p "),
    Case("thread", "block", "@!%p "),
    Case("some", "both", flat=True),
]


@dataclass
class Run:
    """One atomic in one case: what it was given and where its results are."""

    opcode: str
    case: Case
    space: str
    start: int  # first cell in the buffer of global memory
    cells: list[int]  # of each lane, its own block's in shared memory
    operands: list[list[int]]  # of each lane
    slot: int | None
    last: int = -1  # slot of the cells of shared memory at the end


def check(opcodes: Sequence[str], seed: str, cases: Sequence[Case] = CASES, used: bool = True) -> int:
    """Run atomics and look for an order that explains them; how many runs there were.

    used  whether what comes back has a register
    """
    program, rng = Program(CTAS, THREADS, f".shared .align 16 .b8 tile[{8 * CELLS}];\n"), random.Random(seed)
    flags = draw("pred", LANES, seed)
    program.load("%p", "pred", "both", program.words(flags))
    for name, kind in (("%cells", "b64"), ("%tile", "b64"), ("%at", "b64"), ("%mine", "b64"), ("%zero", "b64")):
        program.register(name, kind)
    program.add("ld.param.u64 %cells, [memory];", "mov.u64 %tile, tile;")
    program.add("mad.wide.u32 %mine, %thread, 8, %tile;")
    cells: list[int] = []
    runs: list[Run] = []
    for case in sorted(cases, key=lambda c: c.flat):
        if case.flat:
            program.add(f"@!%p bra END{len(runs)};")
        runs += [_run(program, rng, opcode, case, cells, used) for opcode in opcodes]
        if case.flat:
            program.add(f"END{len(runs) - len(opcodes)}:")
    before = list(cells)
    results = program.launch(cells)
    for run in runs:
        _explain(run, before, cells, results, flags)
    return len(runs)


def _run(program: Program, rng: random.Random, opcode: str, case: Case, buffer: list[int], used: bool) -> Run:
    words = tuple(opcode.split(".")[1:])
    kind, operation = words[-1], next(w for w in words if w in memory.OPERATIONS)
    shared = any(w.startswith("shared") for w in words)
    generic = not shared and "global" not in words
    space = "shared" if shared or (generic and rng.random() < 0.5) else "global"
    bits = register_bits(kind)
    count = LANES if case.cells == "lane" and space == "global" else CELLS
    start = len(buffer)
    initial = _values(rng, operation, kind, CTAS * count if space == "shared" else count)
    if space == "shared":  # every thread sets one cell of its block
        assert count == THREADS
        name = program.load(f"%w{bits}_0", f"b{bits}", "both", program.words(initial))
        program.add("bar.sync 0;" if not case.flat else "", "mov.b64 %zero, 0;", "st.shared.b64 [%mine], %zero;")
        program.add(f"st.shared.b{bits} [%mine], {name};", "bar.sync 0;" if not case.flat else "")
    buffer += initial
    cells = _cells(rng, case, space, count)
    shape = "thread" if case.cells == "thread" else "both"
    offset = program.load("%off", "b64", shape, program.words([8 * c for c in cells]))
    base = "%tile" if space == "shared" else "%cells"
    program.add(f"add.u64 %at, {offset}, {base};")
    if space == "global":
        program.add(f"add.u64 %at, %at, {8 * start};")
    elif generic:
        program.add("cvta.shared.u64 %at, %at;")
    operands = [_values(rng, operation, kind, LANES) for _ in range(2 if operation == "cas" else 1)]
    names = [f"%w{bits}_{i + 1}" for i in range(len(operands))]
    for name, values in zip(names, operands, strict=True):
        program.load(name, f"b{bits}", case.shape, program.words(values))
    given = [[values[place] for values in operands] for place in program.place[case.shape]]
    run = Run(opcode, case, space, start, cells, given, None)
    target = ""
    if opcode.startswith("atom"):
        target = "_, "
        if used:
            result = program.register(f"%w{bits}_d", f"b{bits}")
            program.add(f"mov.b{bits} {result}, {OLD};" if case.guard else "")
            target = f"{result}, "
    program.add(f"{case.guard}{opcode} {target}[%at], {', '.join(names)};")
    if target not in ("", "_, "):
        run.slot = program.store(f"%w{bits}_d", bits)
    if space == "shared":
        program.register("%back", "b64")
        program.add("bar.sync 0;" if not case.flat else "", "ld.shared.b64 %back, [%mine];")
        run.last = program.store("%back", 64)
    return run


def _cells(rng: random.Random, case: Case, space: str, count: int) -> list[int]:
    if case.cells == "hot":
        return [5] * LANES
    if case.cells == "lane":
        order = rng.sample(range(count), count)
        return [order[lane % count] for lane in range(LANES)]
    cells = [rng.randrange(count) for _ in range(LANES)]
    return [cells[lane % THREADS] for lane in range(LANES)] if case.cells == "thread" else cells


def _values(rng: random.Random, operation: str, kind: str, count: int) -> list[int]:
    """Small numbers where equality and bounds matter, else the class of the type."""
    if operation in ("cas", "inc", "dec"):
        return [rng.randrange(4) for _ in range(count)]
    return draw(kind, count, str(rng.random()))


def _explain(run: Run, before: list[int], after: list[int], results: list[list[int]], flags: list[int]) -> None:
    words = tuple(run.opcode.split(".")[1:])
    mask = (1 << register_bits(words[-1])) - 1
    wanted = {"": None, "@%p ": 1, "@!%p ": 0}[run.case.guard]
    requests: dict[tuple[int, int], list[memory.Request]] = defaultdict(list)
    for lane in range(LANES):
        block = lane // THREADS if run.space == "shared" else 0
        where = f"{run.opcode}, {run.case}, lane {lane}"
        got = None if run.slot is None else results[run.slot][lane] & mask
        if run.case.flat and not flags[lane]:
            assert got in (None, FILL & mask), where
            continue
        if wanted is not None and flags[lane] != wanted:
            assert got in (None, OLD & mask), where
            continue
        b, *c = run.operands[lane]
        requests[block, run.cells[lane]].append((b, c[0] if c else 0, got))
    blocks, count = (CTAS, CELLS) if run.space == "shared" else (1, LANES if run.case.cells == "lane" else CELLS)
    for block in range(blocks):
        for cell in range(count):
            if run.space == "shared" and run.case.flat and not flags[block * THREADS + cell]:
                continue  # its thread did not set it
            initial = before[run.start + block * count + cell]
            final = results[run.last][block * THREADS + cell] if run.space == "shared" else after[run.start + cell]
            here = requests[block, cell]
            text = f"{run.opcode}, {run.case}, {run.space} cell {cell} of block {block}"
            assert memory.explains(words, initial, here, final & mask, run.space), (
                f"{text}: from {initial:#x} to {final & mask:#x} by {here[:6]}"
            )
            assert final >> register_bits(words[-1]) == initial >> register_bits(words[-1]), f"{text}: beyond the cell"


@pytest.mark.parametrize("part", range(2))
def test_what_atomics_give_back(part: int) -> None:
    assert check(ATOMICS[part::2], f"atomics {part}") == len(CASES) * len(ATOMICS[part::2])


def test_atomics_whose_result_nobody_wants() -> None:
    check(ATOMICS, "unused", CASES[1:5], used=False)


@pytest.mark.parametrize("part", range(2))
def test_reductions(part: int) -> None:
    assert check(REDUCTIONS[part::2], f"reductions {part}") == len(CASES) * len(REDUCTIONS[part::2])
