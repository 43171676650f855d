"""Blocks, their order, and liveness."""

from __future__ import annotations

import random

import pytest

from ptxvm import ir
from ptxvm.flow import order
from ptxvm.parse import parse
from ptxvm.types import Function, Register, Symbol

HEAD = ".version 8.7\n.target sm_86\n.address_size 64\n"
REGISTERS = (
    ".reg .pred %p<4>; .reg .b16 %h<9>; .reg .b32 %r<9>; .reg .f32 %f<9>; .reg .b64 %rd<9>; .reg .f64 %d<9>;"
    ".shared .b8 s[64];"
)


def graph(body: str) -> ir.Graph:
    program = parse(f"{HEAD}.extern .func g();\n.entry k(.param .u64 x, .param .u32 n) {{ {REGISTERS}\n{body}\n}}")
    return ir.build(program.functions["k"])


def shape(g: ir.Graph) -> list[tuple[str, tuple[int, ...]]]:
    """Opcodes of each block with a space between, and its successors."""
    return [
        (" ".join(i.opcode for i in g.function.instructions[b.first : b.last_exclusive]), b.successors)
        for b in g.blocks
    ]


# -- blocks --------------------------------------------------------------------------------------------------------
def test_straight_line_code_is_one_block() -> None:
    g = graph("mov.u32 %r1, 1; add.s32 %r2, %r1, 1; ret;")
    assert shape(g) == [("mov.u32 add.s32 ret", ())]
    assert g.blocks[0].terminator is g.function.instructions[2]


def test_if_without_else() -> None:
    g = graph("setp.eq.s32 %p1, %r1, 0; @%p1 bra SKIP; mov.u32 %r2, 1; SKIP: mov.u32 %r3, 2;")
    assert shape(g) == [("setp.eq.s32 bra", (2, 1)), ("mov.u32", (2,)), ("mov.u32 ret", ())]
    assert g.blocks[0].terminator is g.function.instructions[1]
    assert g.blocks[1].terminator is None


def test_if_else_meets_after_both() -> None:
    g = graph("@%p1 bra A; mov.u32 %r1, 1; bra.uni END; A: mov.u32 %r1, 2; END: ret;")
    assert shape(g) == [("bra", (2, 1)), ("mov.u32 bra.uni", (3,)), ("mov.u32", (3,)), ("ret", ())]


def test_labels_that_nothing_jumps_to_cut_nothing() -> None:
    g = graph("$L__tmp0: mov.u32 %r1, 1; $L__tmp1: mov.u32 %r2, 1; LAST: ret;")
    assert len(g.blocks) == 1


def test_guarded_exits_fall_through() -> None:
    g = graph("@%p1 ret; @%p2 exit; @%p3 trap; ret;")
    assert shape(g) == [("ret", (1,)), ("exit", (2,)), ("trap", (3,)), ("ret", ())]


def test_a_branch_to_the_end_reaches_the_closing_return() -> None:
    g = graph("@%p1 bra END; mov.u32 %r1, 1; END:")
    assert shape(g) == [("bra", (2, 1)), ("mov.u32", (2,)), ("ret", ())]


def test_unreachable_code_is_dropped() -> None:
    g = graph("bra END; mov.u32 %r1, 1; DEAD: mov.u32 %r2, 2; bra DEAD; END: ret;")
    assert shape(g) == [("bra", (1,)), ("ret", ())]


def test_branch_tables() -> None:
    g = graph("t: .branchtargets A, B, A; brx.idx %r1, t; A: mov.u32 %r1, 1; B: ret;")
    assert shape(g) == [("brx.idx", (1, 2, 1)), ("mov.u32", (2,)), ("ret", ())]


@pytest.mark.parametrize(
    "op", ["bar.sync 0;", "barrier.sync 1, 64;", "bar.red.popc.u32 %r1, 0, %p1;", "barrier.cluster.wait;", "call g;"]
)
def test_barriers_and_calls_stand_alone(op: str) -> None:
    g = graph(f"mov.u32 %r1, 1; {op} mov.u32 %r2, 2; ret;")
    assert [b.last_exclusive - b.first for b in g.blocks] == [1, 1, 2]


MEETING = [
    "bar.warp.sync -1;", "shfl.sync.down.b32 %r1, %r2, 1, 31, -1;", "vote.sync.ballot.b32 %r1, %p1, -1;",
    "match.any.sync.b32 %r1, %r2, -1;", "redux.sync.add.s32 %r1, %r2, -1;", "elect.sync %r1|%p2, -1;",
    "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%r2];",
    "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
    " {%f1,%f2,%f3,%f4}, {%r1,%r2,%r3,%r4}, {%r5,%r6}, {%f1,%f2,%f3,%f4};",
]  # fmt: skip
THREADS_PART = "mov.u32 %r1, %tid.x; setp.lt.u32 %p1, %r1, 7; @%p1 bra SKIP; mov.u32 %r2, 1; SKIP:"


@pytest.mark.parametrize("op", MEETING)
def test_lanes_that_parted_meet_before_warp_operations(op: str) -> None:
    g = graph(f"{THREADS_PART} mov.u32 %r3, 1; {op} mov.u32 %r4, 2; {op} ret;")
    first = op.split(maxsplit=1)[0].rstrip(";")
    assert shape(g)[-2:] == [("mov.u32", (3,)), (f"{first} mov.u32 {first} ret", ())]


@pytest.mark.parametrize(
    "source",
    [
        "mov.u32 %r1, %ctaid.x;",
        "ld.param.u32 %r1, [n];",
        "mov.u32 %r1, %warpid;",
        "mov.u32 %r8, %tid.x; setp.eq.u32 %p2, %r8, 3; vote.sync.any.pred %p3, %p2, -1; selp.u32 %r1, 1, 0, %p3;",
        "ld.param.u64 %rd1, [x]; ld.global.u32 %r1, [%rd1];",
    ],
)
def test_branches_that_a_warp_takes_as_one_need_no_meeting(source: str) -> None:
    op = "shfl.sync.down.b32 %r3, %r4, 1, 31, -1;"
    g = graph(f"{source} setp.lt.u32 %p1, %r1, 7; LOOP: mov.u32 %r4, 1; {op} @%p1 bra LOOP; ret;")
    assert shape(g)[1] == ("mov.u32 shfl.sync.down.b32 bra", (1, 2))


@pytest.mark.parametrize(
    "source",
    [
        "mov.u32 %r1, %tid.x;",
        "mov.u32 %r1, %laneid;",
        "mov.u32 %r1, %lanemask_lt;",
        "mov.u32 %r8, %tid.y; add.s32 %r7, %r8, 1; mov.u32 %r1, %r7;",
        "mov.u32 %r8, %tid.x; setp.eq.u32 %p2, %r8, 3; mov.u32 %r1, 0; @%p2 mov.u32 %r1, 9;",
        "ld.param.u64 %rd1, [x]; atom.global.add.u32 %r1, [%rd1], 1;",
        "mov.u32 %r8, %tid.x; mul.wide.u32 %rd1, %r8, 4; ld.global.u32 %r1, [%rd1];",
        "ld.local.u32 %r1, [%rd2];",
        "mov.u32 %r8, %laneid; shfl.sync.up.b32 %r1, %r8, 1, 0, -1;",
    ],
)
def test_branches_on_what_differs_between_lanes_need_one(source: str) -> None:
    op = "shfl.sync.down.b32 %r3, %r4, 1, 31, -1;"
    g = graph(f"{source} setp.lt.u32 %p1, %r1, 7; LOOP: mov.u32 %r4, 1; {op} @%p1 bra LOOP; ret;")
    assert "shfl.sync.down.b32 bra" in [text for text, _ in shape(g)]


# -- order ---------------------------------------------------------------------------------------------------------
def test_what_follows_a_loop_comes_after_its_body() -> None:
    """The header leaves the loop by its branch, so a plain reverse post-order could put the exit first."""
    g = graph("""
        HEADER: setp.ge.s32 %p1, %r1, %r2; @%p1 bra DONE;
        add.s32 %r1, %r1, 1; @%p2 bra HEADER;
        sub.s32 %r1, %r1, 1; bra HEADER;
        DONE: mov.u32 %r3, 1; ret;""")
    assert shape(g) == [
        ("setp.ge.s32 bra", (3, 1)),
        ("add.s32 bra", (0, 2)),
        ("sub.s32 bra", (0,)),
        ("mov.u32 ret", ()),
    ]


def test_a_loop_whose_exit_stands_above_it_in_the_text() -> None:
    g = graph("bra LOOP; OUT: mov.u32 %r3, 1; ret; LOOP: add.s32 %r1, %r1, 1; @%p1 bra OUT; bra LOOP;")
    assert [b.first for b in g.blocks] == [0, 3, 5, 1]


def test_nested_loops_stay_together() -> None:
    g = graph("""
        OUTER: mov.u32 %r1, 0;
        INNER: add.s32 %r1, %r1, 1; @%p1 bra INNER;
        add.s32 %r2, %r2, 1; @%p2 bra OUTER;
        ret;""")
    assert [b.first for b in g.blocks] == [0, 1, 3, 5]


def random_graph(rng: random.Random, size: int) -> list[list[int]]:
    return [[rng.randrange(size) for _ in range(rng.choice((0, 1, 1, 2, 2, 3)))] for _ in range(size)]


def reaches(successors: list[list[int]], start: int, inside: set[int]) -> set[int]:
    """Nodes that a path of at least one edge leads to, without leaving `inside`."""
    found: set[int] = set()
    todo = [start]
    while todo:
        for s in successors[todo.pop()]:
            if s in inside and s not in found:
                found.add(s)
                todo.append(s)
    return found


@pytest.mark.parametrize("seed", range(60))
def test_order_of_random_graphs(seed: int) -> None:
    """Every node once; an edge that lies on no cycle points forward; the nodes of a cycle stand side by side."""
    rng = random.Random(seed)
    successors = random_graph(rng, rng.randrange(1, 24))
    result = order(successors)
    everything = set(range(len(successors)))
    reachable = reaches(successors, 0, everything) | {0}
    assert set(result) == reachable
    assert len(result) == len(reachable)
    assert result[0] == 0
    place = {node: i for i, node in enumerate(result)}
    beyond = {node: reaches(successors, node, everything) for node in reachable}
    for node in reachable:
        for s in successors[node]:
            if node not in beyond[s]:
                assert place[node] < place[s]
        cycle = sorted(place[other] for other in beyond[node] if node in beyond[other])
        assert cycle == list(range(cycle[0], cycle[0] + len(cycle))) if cycle else True


def test_order_of_a_deep_nest_does_not_recurse() -> None:
    """Loop i runs from node i to node 2n-1-i: nests of any depth are ordered without Python's stack."""
    n = 1100
    successors = [[i + 1] for i in range(2 * n - 1)] + [[]]
    for i in range(n - 1050, n):
        successors[2 * n - 1 - i].append(i)
    assert order(successors) == list(range(2 * n))


# -- liveness ------------------------------------------------------------------------------------------------------
def test_liveness_of_a_loop() -> None:
    g = graph("""
        mov.u32 %r1, 0; mov.u32 %r2, 10; mov.u32 %r5, 1;
        LOOP: add.s32 %r1, %r1, 1; add.s32 %r3, %r1, %r1; setp.lt.s32 %p1, %r1, %r2; @%p1 bra LOOP;
        st.shared.u32 [s], %r3; ret;""")
    assert g.live_in == [frozenset(), {"%r1", "%r2"}, {"%r3"}]
    assert g.live_out == [{"%r1", "%r2"}, {"%r1", "%r2", "%r3"}, frozenset()]


def test_a_guarded_definition_keeps_the_old_value() -> None:
    g = graph("mov.u32 %r1, 0; bra NEXT; NEXT: @%p1 mov.u32 %r1, 1; bra LAST; LAST: st.shared.u32 [s], %r1; ret;")
    assert "%r1" in g.live_in[1]
    h = graph("mov.u32 %r1, 0; bra NEXT; NEXT: mov.u32 %r1, 1; bra LAST; LAST: st.shared.u32 [s], %r1; ret;")
    assert "%r1" not in h.live_in[1]


@pytest.mark.parametrize(
    ("op", "wanted"),
    [
        ("st.shared.u32 [%r1+4], %r2;", {"%r1", "%r2"}),
        ("st.shared.v2.u32 [%r1], {%r2, %r3};", {"%r1", "%r2", "%r3"}),
        ("mov.b64 {%r1, %r2}, %rd1;", {"%rd1"}),
        ("mov.b64 %rd1, {%r1, %r2};", {"%r1", "%r2"}),
        ("setp.lt.and.s32 %p1|%p2, %r1, %r2, !%p3;", {"%r1", "%r2", "%p3"}),
        ("shfl.sync.idx.b32 %r1|%p1, %r2, %r3, 31, %r4;", {"%r2", "%r3", "%r4"}),
        ("red.global.add.u32 [%rd1], %r1;", {"%rd1", "%r1"}),
        ("atom.global.cas.b32 %r1, [%rd1], %r2, %r3;", {"%rd1", "%r2", "%r3"}),
        ("cp.async.ca.shared.global [%r1], [%rd1], 4, %r2;", {"%r1", "%rd1", "%r2"}),
        ("bar.red.popc.u32 %r1, %r2, %p1;", {"%r2", "%p1"}),
        ("bar.sync %r1, %r2;", {"%r1", "%r2"}),
        ("nanosleep.u32 %r1;", {"%r1"}),
        ("@!%p1 st.shared.u32 [s], 1;", {"%p1"}),
        ("mbarrier.arrive.shared.b64 %rd1, [%r1];", {"%r1"}),
        ("mbarrier.arrive.shared.b64 _, [%r1];", {"%r1"}),
        ("mbarrier.try_wait.parity.shared.b64 %p1, [%r1], %r2;", {"%r1", "%r2"}),
        ("mbarrier.init.shared.b64 [%r1], 1;", {"%r1"}),
        ("tensormap.replace.tile.global_address.shared.b1024.b64 [%rd1], %rd2;", {"%rd1", "%rd2"}),
        ("cp.async.bulk.tensor.2d.shared::cta.global.mbarrier::complete_tx::bytes [%r1], [%rd1, {%r2, %r3}], [%r4];",
         {"%r1", "%rd1", "%r2", "%r3", "%r4"}),
        ("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%r1], {%r2, %r3};", {"%r1", "%r2", "%r3"}),
        ("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r1, %r2}, [%r3];", {"%r3"}),
        ("wmma.store.d.sync.aligned.row.m16n16k16.global.f32 [%rd1], {%f1, %f2}, %r1;", {"%rd1", "%f1", "%f2", "%r1"}),
        ("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%f1, %f2, %f3, %f4}, %rd1, %rd2, %p1, 1, 1, 0, 0;",
         {"%f1", "%f2", "%f3", "%f4", "%rd1", "%rd2", "%p1"}),
        ("addc.u32 %r1, %r2, %r3;", {"%r2", "%r3", "%cc"}),
        ("add.cc.u32 %r1, %r2, %r3;", {"%r2", "%r3"}),
        ("madc.hi.cc.u32 %r1, %r2, %r3, %r4;", {"%r2", "%r3", "%r4", "%cc"}),
        ("sub.cc.u32 %r1, %r2, %r3; subc.u32 %r4, %r5, %r6;", {"%r2", "%r3", "%r5", "%r6"}),
    ],
)  # fmt: skip
def test_what_an_instruction_reads(op: str, wanted: set[str]) -> None:
    g = graph(f"{op} exit;")
    assert g.live_in[0] == wanted


def naive_live_in(function: Function) -> list[set[str]]:
    """Registers wanted before each instruction, by iterating one instruction at a time. Knows mov, setp, bra, ret."""
    instructions = function.instructions
    live: list[set[str]] = [set() for _ in range(len(instructions) + 1)]
    for _ in range(len(instructions) + 2):
        for i in reversed(range(len(instructions))):
            ins = instructions[i]
            after: set[str] = set()
            if ins.parts[0] == "bra":
                target = ins.operands[0]
                assert isinstance(target, Symbol)
                after |= live[function.labels[target.name]]
            if ins.parts[0] not in ("bra", "ret") or ins.guard is not None:
                after |= live[i + 1]
            registers = [o.name for o in ins.operands if isinstance(o, Register)]
            if ins.parts[0] != "bra" and registers and ins.guard is None:
                after -= {registers[0]}
            after |= set(registers[1:])
            if isinstance(ins.guard, Register):
                after |= {ins.guard.name, *registers}
            live[i] = after
    return live


@pytest.mark.parametrize("seed", range(40))
def test_liveness_of_random_programs(seed: int) -> None:
    rng = random.Random(seed)
    size = rng.randrange(3, 40)
    lines = []
    for i in range(size):
        r = [f"%r{rng.randrange(5)}" for _ in range(3)]
        p = f"%p{rng.randrange(3)}"
        guard = rng.choice(("", "", f"@{p} "))
        kind = rng.random()
        if kind < 0.3:
            text = f"bra L{rng.randrange(size)};"
            guard = f"@{p} "
        elif kind < 0.4:
            text = f"setp.eq.s32 {p}, {r[0]}, {r[1]};"
            guard = ""
        elif kind < 0.45:
            text, guard = "ret;", f"@{p} "
        else:
            text = f"add.s32 {r[0]}, {r[1]}, {r[2]};"
        lines.append(f"L{i}: {guard}{text}")
    g = graph("\n".join(lines))
    naive = naive_live_in(g.function)
    for block, live in zip(g.blocks, g.live_in, strict=True):
        assert live == naive[block.first], block
    for block, live in zip(g.blocks, g.live_out, strict=True):
        assert live == set().union(*(g.live_in[s] for s in block.successors))
