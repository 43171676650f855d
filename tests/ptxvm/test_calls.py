"""Do calls of device functions pass what PTX says, keep what the caller holds, and end in a clear fault if they cannot?

Wanted values are computed here, in Python integers.
"""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

import ptxvm
from tests.ptxvm.ptx_kernel import Program

CTAS, THREADS = 3, 64
LANES = CTAS * THREADS
SCHEDULES = (ptxvm.Schedule.normal(), ptxvm.Schedule.fuzz(3), ptxvm.Schedule.normal(batch_threads=1))
FULL = (1 << 64) - 1
# Every type of a piece of a parameter -> class of the register that it moves through (see `lane_values`), its bits.
PIECES = {
    "b8": ("b16", 8), "u8": ("b16", 8), "s8": ("b32", 8), "b16": ("b16", 16), "u16": ("b16", 16), "s16": ("b32", 16),
    "b32": ("b32", 32), "u32": ("b64", 32), "s32": ("b64", 32), "f32": ("b32", 32),
    "b64": ("b64", 64), "u64": ("b64", 64), "s64": ("b64", 64), "f64": ("b64", 64),
}  # fmt: skip
MOVES = {
    f"{v}{kind}": (kind, n)
    for kind in PIECES
    for v, n in (("", 1), ("v2.", 2), ("v4.", 4))
    if kind[1:] != "64" or n < 4
}


def program(functions: str, ctas: int = CTAS, threads: int = THREADS) -> Program:
    return Program(ctas, threads, functions)


def results(p: Program, slot: int, **options: object) -> list[int]:
    return [row & 0xFFFFFFFF for row in p.launch(**options)[slot]]


def call(function: str, target: str, *arguments: str, guard: str = "") -> str:
    """A call sequence of 32-bit values, as compilers write it."""
    passed = "".join(f".param .b32 param{i}; st.param.b32 [param{i}+0], {name};\n" for i, name in enumerate(arguments))
    names = ", ".join(f"param{i}" for i in range(len(arguments)))
    return (
        f"{{\n{passed}.param .b32 retval0;\n{guard} call (retval0), {function}, ({names});\n"
        f"{guard} ld.param.b32 {target}, [retval0+0];\n}}"
    )


# -- parameters ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("guarded", [False, True])
def test_parameters_of_every_type(move: str, guarded: bool) -> None:
    """A byte array of 48 bytes is passed to a function that gives it back; pieces lie in it at two places."""
    kind, count = MOVES[move]
    register, bits = PIECES[kind]
    width = 64 if register == "b64" else int(register[1:])
    vector = "{%s}" if count > 1 else "%s"
    size = bits // 8 * count
    first, second = (vector % ", ".join(f"%v{i + place * count}" for i in range(count)) for place in (0, 1))
    echo = f""".func (.param .align 16 .b8 out[48]) echo(.param .align 16 .b8 in[48])
{{ .reg .{register} %v<{2 * count}>; .reg .b64 %w;
ld.param.{move} {first}, [in]; ld.param.{move} {second}, [in+32];
st.param.{move} [out+32], {first}; st.param.{move} [out], {second};
ret; }}
"""
    p, rng = program(echo), random.Random(move)
    shapes = ("uniform", "block", "thread", "both")
    given, names = [], []
    for i in range(2 * count):
        words = [rng.getrandbits(64) for _ in range(LANES)]
        given.append([words[p.place[shapes[i % 4]][lane]] for lane in range(LANES)])
        names.append(p.load(f"%given{i}", register, shapes[i % 4], p.words(words)))
    flags = [rng.getrandbits(1) if guarded else 1 for _ in range(LANES)]
    p.load("%p", "pred", "both", p.words(flags))
    got = [p.register(f"%got{i}", register) for i in range(2 * count)]
    p.add(*(f"mov.b{width} {name}, 0;" for name in got))
    guard = "@%p " if guarded else ""
    p.add("{", ".param .align 16 .b8 param0[48];")
    for place, offset in enumerate((0, 32)):
        p.add(f"st.param.{move} [param0+{offset}], {vector % ', '.join(names[place * count : (place + 1) * count])};")
    p.add(".param .align 16 .b8 retval0[48];", f"{guard}call.uni (retval0), echo, (param0);")
    for place, offset in enumerate((0, 32)):
        targets = vector % ", ".join(got[place * count : (place + 1) * count])
        p.add(f"{guard}ld.param.{move} {targets}, [retval0+{offset}];")
    p.add("}")
    slots = [p.store(name, width) for name in got]
    rows = p.launch()
    mask = (1 << width) - 1
    for i in range(2 * count):
        source = given[(i + count) % (2 * count)]
        for lane in range(LANES):
            piece = source[lane] & ((1 << bits) - 1)
            if kind[0] == "s" and piece >> (bits - 1):
                piece -= 1 << bits
            assert rows[slots[i]][lane] & mask == (piece & mask if flags[lane] else 0), (i, lane, size)


def test_a_structure_is_passed_in_one_way_and_read_in_another() -> None:
    """Bytes are bytes: stored as halves, read as a double word; what lies beside a piece is kept."""
    functions = """.func (.param .b64 out) mix(.param .align 8 .b8 in[16])
{ .reg .b64 %d<3>; .reg .b16 %h; ld.param.b64 %d0, [in]; ld.param.u8 %h, [in+11]; cvt.u64.u16 %d1, %h;
  xor.b64 %d2, %d0, %d1; st.param.b64 [out], %d2; ret; }
"""
    p = program(functions)
    p.register("%result", "b64")
    p.register("%half", "b16")
    p.add("cvt.u16.u32 %half, %lane;", "{ .param .align 8 .b8 a[16]; .param .b64 r;")
    p.add("st.param.b64 [a+8], 0x1122334455667788;", "st.param.b32 [a], %lane; st.param.b16 [a+6], %half;")
    p.add("st.param.b16 [a+4], 0x1234;", "call (r), mix, (a);", "ld.param.b64 %result, [r]; }")
    slot = p.store("%result", 64)
    want = [(lane << 48 | 0x1234 << 32 | lane) ^ 0x55 for lane in range(LANES)]
    assert p.launch()[slot] == want


def test_parameters_in_registers() -> None:
    """The older way: `.reg` parameters, literals among the arguments, two results."""
    functions = """.func (.reg .b32 %s, .reg .b32 %d) both(.reg .b32 %a, .reg .b32 %b)
{ add.u32 %s, %a, %b; sub.u32 %d, %a, %b; ret; }
"""
    p = program(functions)
    for name in ("%sum", "%difference"):
        p.register(name, "b32")
    p.add("call (%sum, %difference), both, (%lane, 5);")
    slots = [p.store(name, 32) for name in ("%sum", "%difference")]
    rows = p.launch()
    for lane in range(LANES):
        assert [rows[s][lane] & 0xFFFFFFFF for s in slots] == [lane + 5, (lane - 5) & 0xFFFFFFFF]


# -- control ---------------------------------------------------------------------------------------------------------
COLLATZ = """.func (.param .b32 out) step(.param .b32 in)
{ .reg .b32 %r<3>; .reg .pred %p;
  ld.param.b32 %r0, [in];
  and.b32 %r1, %r0, 1;
  setp.ne.u32 %p, %r1, 0;
  @%p bra ODD;
  shr.u32 %r0, %r0, 1;
  st.param.b32 [out], %r0;
  ret;
ODD: mad.lo.u32 %r0, %r0, 3, 1;
  st.param.b32 [out], %r0;
  ret; }
.func (.param .b32 out) collatz(.param .b32 in)
{ .reg .b32 %n, %steps; .reg .pred %p;
  ld.param.b32 %n, [in];
  mov.u32 %steps, 0;
LOOP: setp.eq.u32 %p, %n, 1;
  st.param.b32 [out], %steps;
  @%p ret;
  { .param .b32 a; .param .b32 r; st.param.b32 [a], %n; call (r), step, (a); ld.param.b32 %n, [r]; }
  add.u32 %steps, %steps, 1;
  bra LOOP; }
"""


def steps(n: int) -> int:
    count = 0
    while n != 1:
        n, count = (n * 3 + 1 if n & 1 else n >> 1), count + 1
    return count


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_diverged_and_nested_calls(schedule: ptxvm.Schedule) -> None:
    """Half of the lanes call, in a loop that ends for each at its own time; a caller's registers stay its own."""
    p, rng = program(COLLATZ), random.Random("nested")
    starts = [rng.randrange(1, 60) for _ in range(LANES)]
    p.load("%n", "b32", "both", p.words(starts))
    for name, kind in (("%got", "b32"), ("%p", "pred"), ("%kept", "b32")):
        p.register(name, kind)
    p.add("mul.lo.u32 %kept, %lane, 7;", "mov.u32 %got, 0;", "setp.lt.u32 %p, %n, 30;", "@!%p bra OVER;")
    p.add(call("collatz", "%got", "%n"), "OVER: add.u32 %got, %got, %kept;")
    slot = p.store("%got", 32)
    assert results(p, slot, schedule=schedule) == [
        (steps(n) if n < 30 else 0) + 7 * lane for lane, n in enumerate(starts)
    ]


FIB = """.func (.param .b32 out) fib(.param .b32 in)
{ .reg .b32 %n, %a, %b; .reg .pred %p;
  ld.param.b32 %n, [in];
  setp.lt.u32 %p, %n, 2;
  @%p bra END;
  add.u32 %a, %n, -1;
  { .param .b32 x; .param .b32 r; st.param.b32 [x], %a; call (r), fib, (x); ld.param.b32 %b, [r]; }
  add.u32 %a, %n, -2;
  { .param .b32 x; .param .b32 r; st.param.b32 [x], %a; call (r), fib, (x); ld.param.b32 %a, [r]; }
  add.u32 %n, %a, %b;
END: st.param.b32 [out], %n;
  ret; }
"""
EVEN = """.func (.param .b32 out) odd(.param .b32 in);
.func (.param .b32 out) even(.param .b32 in)
{ .reg .b32 %n; .reg .pred %p; ld.param.b32 %n, [in]; setp.eq.u32 %p, %n, 0; st.param.b32 [out], 1; @%p ret;
  add.u32 %n, %n, -1;
  { .param .b32 x; .param .b32 r; st.param.b32 [x], %n; call (r), odd, (x); ld.param.b32 %n, [r]; }
  st.param.b32 [out], %n; ret; }
.func (.param .b32 out) odd(.param .b32 in)
{ .reg .b32 %n; .reg .pred %p; ld.param.b32 %n, [in]; setp.eq.u32 %p, %n, 0; st.param.b32 [out], 0; @%p ret;
  add.u32 %n, %n, -1;
  { .param .b32 x; .param .b32 r; st.param.b32 [x], %n; call (r), even, (x); ld.param.b32 %n, [r]; }
  st.param.b32 [out], %n; ret; }
"""


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_recursion(schedule: ptxvm.Schedule) -> None:
    p = program(FIB + EVEN)
    for name in ("%few", "%fib", "%even"):
        p.register(name, "b32")
    p.add("and.b32 %few, %thread, 7;", call("fib", "%fib", "%few"), call("even", "%even", "%thread"))
    slots = [p.store("%fib", 32), p.store("%even", 32)]
    rows = p.launch(schedule=schedule)
    numbers = [0, 1, 1, 2, 3, 5, 8, 13]
    for lane in range(LANES):
        thread = lane % THREADS
        assert [rows[s][lane] & 0xFFFFFFFF for s in slots] == [numbers[thread & 7], int(thread % 2 == 0)]


TABLE = """.func (.param .b32 out) one(.param .b32 in)
{ .reg .b32 %r; ld.param.b32 %r, [in]; add.u32 %r, %r, 1000; st.param.b32 [out], %r; ret; }
.func (.param .b32 out) two(.param .b32 in)
{ .reg .b32 %r; ld.param.b32 %r, [in]; mul.lo.u32 %r, %r, 3; st.param.b32 [out], %r; ret; }
.func (.param .b32 out) three(.param .b32 in)
{ .reg .b32 %r; ld.param.b32 %r, [in]; not.b32 %r, %r; st.param.b32 [out], %r; ret; }
.global .align 8 .u64 table[3] = {one, two, three};
"""


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    "list_", ["p: .callprototype (.param .b32 _) _ (.param .b32 _);", "p: .calltargets one, two, three;"]
)
def test_each_lane_calls_its_own_function(schedule: ptxvm.Schedule, list_: str) -> None:
    p, rng = program(TABLE), random.Random("table")
    chosen = [rng.randrange(3) for _ in range(LANES)]
    p.load("%which", "b32", "both", p.words(chosen))
    for name, kind in (("%at", "b64"), ("%f", "b64"), ("%got", "b32"), ("%p", "pred")):
        p.register(name, kind)
    p.add("mov.u64 %at, table;", "mad.wide.u32 %at, %which, 8, %at;", "ld.global.u64 %f, [%at];")
    p.add("setp.ne.u32 %p, %thread, 5;", "mov.u32 %got, 77;")
    text = call("%f", "%got", "%lane", guard="@%p").replace("(param0);", "(param0), p;")
    p.add(text.replace("{\n", "{\n" + list_ + "\n", 1))
    slot = p.store("%got", 32)
    functions = (lambda x: x + 1000, lambda x: 3 * x, lambda x: ~x & 0xFFFFFFFF)
    want = [77 if lane % THREADS == 5 else functions[chosen[lane]](lane) for lane in range(LANES)]
    assert results(p, slot, schedule=schedule) == want


@pytest.mark.parametrize("uni", ["", ".uni"])
@pytest.mark.parametrize("guard", ["", "@%p "])
def test_jumps_through_a_table(uni: str, guard: str) -> None:
    p, rng = program(""), random.Random("brx")
    chosen = [rng.randrange(3) for _ in range(LANES)]
    if uni:
        chosen = [chosen[lane // THREADS] for lane in range(LANES)]
    p.load("%which", "b32", "both", p.words(chosen))
    p.register("%got", "b32")
    p.register("%p", "pred")
    p.add("mov.u32 %got, 9;", "setp.ne.u32 %p, %thread, 3;", "T: .branchtargets A, B, C;")
    p.add(f"{guard}brx.idx{uni} %which, T;", "bra END;")
    p.add("A: mov.u32 %got, 100;", "bra END;", "B: add.u32 %got, %got, 1;", "C: mul.lo.u32 %got, %got, 2;", "END:")
    slot = p.store("%got", 32)
    want = [9 if guard and lane % THREADS == 3 else (100, 20, 18)[c] for lane, c in enumerate(chosen)]
    assert results(p, slot) == want


# -- the stack -------------------------------------------------------------------------------------------------------
def test_each_call_has_local_variables_of_its_own() -> None:
    """A recursion that fills its array, goes on, and sums the array; the caller passes it a pointer to its own."""
    functions = """.func (.param .b32 out) down(.param .b32 depth, .param .b64 above)
{ .local .align 8 .b8 __local_depot0[12]; .reg .b64 %SP, %SPL, %above; .reg .b32 %n, %a, %b; .reg .pred %p;
  mov.u64 %SPL, __local_depot0; cvta.local.u64 %SP, %SPL;
  ld.param.b32 %n, [depth]; ld.param.b64 %above, [above];
  ld.u32 %a, [%above+4];
  add.u32 %a, %a, %n;
  st.local.u32 [%SPL+4], %a;
  setp.eq.u32 %p, %n, 0;
  mov.u32 %b, 0;
  @%p bra END;
  add.u32 %n, %n, -1;
  { .param .b32 x; .param .b64 y; .param .b32 r; st.param.b32 [x], %n; st.param.b64 [y], %SP;
    call (r), down, (x, y); ld.param.b32 %b, [r]; }
END: ld.u32 %a, [%SP+4];
  add.u32 %a, %a, %b;
  st.param.b32 [out], %a;
  ret; }
"""
    p = program(functions)
    for name, kind in (("%n", "b32"), ("%at", "b64"), ("%sum", "b32"), ("%own", "b32")):
        p.register(name, kind)
    p.add(".local .align 8 .b8 __local_depot0[8];", "and.b32 %n, %lane, 15;", "mov.u64 %at, __local_depot0;")
    p.add("st.local.u32 [%at+4], %lane;", "cvta.local.u64 %at, %at;")
    p.add("{ .param .b32 x; .param .b64 y; .param .b32 r; st.param.b32 [x], %n; st.param.b64 [y], %at;")
    p.add("call (r), down, (x, y); ld.param.b32 %sum, [r]; }", "ld.u32 %own, [%at+4];")
    slots = [p.store("%sum", 32), p.store("%own", 32)]
    rows = p.launch()
    for lane in range(LANES):
        value, total = lane, 0
        for n in range(lane & 15, -1, -1):
            value += n
            total += value
        assert [rows[s][lane] & 0xFFFFFFFF for s in slots] == [total, lane]


@pytest.mark.parametrize("kind", ["u32", "u64"])
def test_alloca(kind: str) -> None:
    """Each lane takes room of its own size, a function takes more, and a restored stack is used again."""
    functions = f""".func (.param .b32 out) deeper(.param .b32 in)
{{ .reg .b{kind[1:]} %at; .reg .b32 %r; ld.param.b32 %r, [in]; alloca.{kind} %at, 16;
  st.local.u32 [%at+4], %r; ld.local.u32 %r, [%at+4]; add.u32 %r, %r, 1; st.param.b32 [out], %r; ret; }}
"""
    p = program(functions)
    bits = f"b{kind[1:]}"
    for name in ("%first", "%second", "%third", "%save", "%size"):
        p.register(name, bits)
    for name in ("%got", "%back"):
        p.register(name, "b32")
    p.add("and.b32 %got, %thread, 3;", "mad.lo.u32 %got, %got, 4, 4;", f"cvt.{kind}.u32 %size, %got;")
    p.add(f"alloca.{kind} %first, %size, 4;", f"stacksave.{kind} %save;", "st.local.u32 [%first], %lane;")
    p.add(f"alloca.{kind} %second, 8, 16;", "st.local.u32 [%second], 99;", call("deeper", "%got", "%lane"))
    p.add(f"stackrestore.{kind} %save;", f"alloca.{kind} %third, 8, 16;", "ld.local.u32 %back, [%first];")
    slots = [p.store(n, 32) for n in ("%got", "%back")] + [p.store(n, int(kind[1:])) for n in ("%second", "%third")]
    rows = p.launch()
    for lane in range(LANES):
        values = [rows[s][lane] & 0xFFFFFFFF for s in slots]
        assert values[:2] == [lane + 1, lane]
        assert values[2] == values[3] == -(-(4 * (lane & 3) + 4) // 16) * 16


# -- what goes wrong -------------------------------------------------------------------------------------------------
LINES = '.file 1 "kernel.cu"\n'


def fault(functions: str, body: str, registers: str = "") -> ptxvm.Fault:
    """The fault of a kernel of two blocks of 64 threads whose line 30 is `body`."""
    text = f""".version 9.0
.target sm_86
.address_size 64
{LINES}{functions}
.visible .entry k(.param .u64 x) {{ .reg .b32 %t; .reg .b64 %d; .reg .pred %p; {registers}
mov.u32 %t, %tid.x; setp.eq.u32 %p, %t, 40;
.loc 1 30 0
{body}
ret; }}
"""
    device = ptxvm.Device("sm_86", memory_bytes=1 << 20)
    x = device.array((8,), "float32", name="x")
    with pytest.raises(ptxvm.Fault) as caught:
        device.launch(ptxvm.Module.from_ptx(text).kernel("k"), (2,), (64,), (x,))
    return caught.value


def place(caught: ptxvm.Fault) -> tuple[object, ...]:
    f = caught.finding
    return f.kind, f.file, f.line, f.block, f.thread


ENDLESS = """.func again(.param .b32 in) { .reg .b32 %r; LOCAL ld.param.b32 %r, [in]; add.u32 %r, %r, 1; USE
.loc 1 7 0
{ .param .b32 x; st.param.b32 [x], %r; call again, (x); } ret; }
"""


@pytest.mark.parametrize("array", [0, 4096])
def test_a_recursion_without_end(array: int) -> None:
    """It is the number of calls that ends it, or the size of their local arrays."""
    functions = ENDLESS.replace("LOCAL", f".local .b8 big[{array}]; .reg .b64 %at;" if array else "")
    functions = functions.replace("USE", "mov.u64 %at, big; st.local.u8 [%at], 0;" if array else "")
    caught = fault(functions, "@!%p bra OVER; { .param .b32 x; st.param.b32 [x], %t; call again, (x); } OVER:")
    assert place(caught) == ("stack overflow", "kernel.cu", 7, (0, 0, 0), (40, 0, 0))
    assert ("65,536" if array else "512 calls") in str(caught).replace("69,632", "65,536")


def test_a_pointer_to_no_function() -> None:
    body = "mov.u64 %d, 640; @%p call %d, (), proto; proto: .callprototype _ ();"
    caught = fault("", body)
    assert place(caught) == ("wrong target", "kernel.cu", 30, (0, 0, 0), (40, 0, 0))
    assert "0x280" in str(caught)


def test_a_pointer_to_a_function_of_another_type() -> None:
    functions = ".func f(.param .b32 in) { ret; }\n"
    caught = fault(functions, "mov.u64 %d, f; @%p call %d, (), proto; proto: .callprototype _ ();")
    assert place(caught) == ("wrong target", "kernel.cu", 30, (0, 0, 0), (40, 0, 0))


def test_a_jump_past_its_table() -> None:
    caught = fault("", "shr.u32 %t, %t, 5; add.u32 %t, %t, 1; TT: .branchtargets A, B; brx.idx %t, TT; A: B:")
    assert place(caught) == ("wrong target", "kernel.cu", 30, (0, 0, 0), (32, 0, 0))


def test_an_access_out_of_bounds_in_a_function_names_its_line() -> None:
    functions = """.func store(.param .b64 in) { .reg .b64 %d; ld.param.b64 %d, [in];
.loc 1 12 0
st.global.f32 [%d], 0f3F800000; ret; }
"""
    body = "ld.param.u64 %d, [x]; mad.wide.u32 %d, %t, 4, %d; { .param .b64 p; st.param.b64 [p], %d; call store, (p); }"
    caught = fault(functions, body)
    assert place(caught) == ("out of bounds", "kernel.cu", 12, (0, 0, 0), (8, 0, 0))
    assert caught.finding.object == "x[8]: first element past the end, x is (8,)"


def test_a_new_frame_is_not_written() -> None:
    """The second call finds its array unwritten although the first one filled the same bytes."""
    functions = """.func touch(.param .b32 in) { .local .b32 v[2]; .reg .b64 %d; .reg .b32 %r; .reg .pred %q;
mov.u64 %d, v; ld.param.b32 %r, [in]; setp.eq.u32 %q, %r, 0;
@%q st.local.b32 [%d], 1;
.loc 1 9 0
ld.local.b32 %r, [%d];
ret; }
"""
    text = (
        functions
        + """.visible .entry k() {
{ .param .b32 x; st.param.b32 [x], 0; call touch, (x); }
{ .param .b32 x; st.param.b32 [x], 1; call touch, (x); } ret; }
"""
    )
    device = ptxvm.Device("sm_86", memory_bytes=1 << 20)
    kernel = ptxvm.Module.from_ptx(f".version 9.0\n.target sm_86\n.address_size 64\n{LINES}{text}").kernel("k")
    report = device.launch(kernel, (1,), (32,))
    assert [(f.kind, f.line, f.count) for f in report.findings] == [("uninitialised read", 9, 32)]


REFUSED = [
    (".extern .func helper(.param .b32 x);", "{ .param .b32 x; st.param.b32 [x], %t; call helper, (x); }", "helper"),
    (".func f(.param .b32 x) { ret; }", "call f, ();", "other parameters"),
    (".func f(.param .b32 x) { ret; }", "{ .param .b32 x; mov.u64 %d, x; }", "address of parameter x"),
    (".func f(.param .b8 x[8000]) { ret; }", "{ .param .b8 x[8000]; call f, (x); }", "8,000 bytes"),
    (".func f(.param .b32 x) { ret; }", "{ .param .b32 x; st.param.b32 [x+4], %t; call f, (x); }", "byte 4"),
    ("", "call vprintf, ();", "vprintf"),
]


@pytest.mark.parametrize(("functions", "body", "reason"), REFUSED, ids=[r[2] for r in REFUSED])
def test_what_cannot_be_called_is_refused_before_anything_runs(functions: str, body: str, reason: str) -> None:
    declared = ".extern .func (.param .b32 r) vprintf(.param .b64 a, .param .b64 b);\n"
    text = f".version 9.0\n.target sm_86\n.address_size 64\n{declared}{functions}\n"
    text += f".visible .entry k() {{ .reg .b32 %t; .reg .b64 %d; mov.u32 %t, 0;\n{body}\nret; }}\n"
    module = ptxvm.Module.from_ptx(text)
    assert any(reason in str(error) for error in module.unsupported("k"))
    with pytest.raises(ptxvm.Unsupported):
        ptxvm.Device("sm_86", memory_bytes=1 << 16).launch(module.kernel("k"), (1,), (32,))


# -- groups, races, counters -----------------------------------------------------------------------------------------
EXCHANGE = """.shared .align 4 .b32 tile[64];
.func (.param .b32 out) exchange(.param .b32 in)
{ .reg .b32 %r, %t, %at; ld.param.b32 %r, [in]; mov.u32 %t, %tid.x; mov.u32 %at, tile; mad.lo.u32 %at, %t, 4, %at;
.loc 1 20 0
st.shared.b32 [%at], %r;
BARRIER
xor.b32 %t, %t, 63; mov.u32 %at, tile; mad.lo.u32 %at, %t, 4, %at;
.loc 1 22 0
ld.shared.b32 %r, [%at];
shfl.sync.idx.b32 %r, %r, 3, 31, -1;
st.param.b32 [out], %r; ret; }
"""


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_barriers_and_shuffles_in_a_function(schedule: ptxvm.Schedule) -> None:
    p = program(LINES + EXCHANGE.replace("BARRIER", "bar.sync 0;"))
    p.register("%got", "b32")
    p.add(call("exchange", "%got", "%lane"))
    slot = p.store("%got", 32)
    want = [lane // THREADS * THREADS + (63 - (lane % THREADS & 32) - 3) for lane in range(LANES)]
    assert results(p, slot, schedule=schedule) == want


def test_a_race_in_a_function_names_its_lines() -> None:
    entry = """.visible .entry k() { .reg .b32 %r;
{ .param .b32 x; .param .b32 r; st.param.b32 [x], 1; call (r), exchange, (x); } ret; }
"""
    device = ptxvm.Device("sm_86", memory_bytes=1 << 16)
    reports = []
    for barrier in ("bar.sync 0;", ""):
        text = f".version 9.0\n.target sm_86\n.address_size 64\n{LINES}{EXCHANGE.replace('BARRIER', barrier)}{entry}"
        reports.append(device.launch(ptxvm.Module.from_ptx(text).kernel("k"), (2,), (64,)))
    assert reports[0].ok
    report = reports[1]
    (race,) = report.races
    assert (race.line, race.other.line) == (20, 22)
    assert report.lines[("kernel.cu", 20)].shared_requests == report.lines[("kernel.cu", 22)].shared_requests == 4


def test_counts_do_not_depend_on_how_threads_are_grouped() -> None:
    p = program(COLLATZ)
    p.register("%got", "b32")
    p.add("add.u32 %got, %lane, 1;", call("collatz", "%got", "%got"))
    p.store("%got", 32)
    kernel = ptxvm.Module.from_ptx(p.text()).kernel()
    counts = []
    for schedule in SCHEDULES:
        device = ptxvm.Device("sm_86", memory_bytes=1 << 18)
        arrays = [device.array((p.lanes,), "uint64") for _ in range(3)]
        report = device.launch(kernel, (CTAS,), (THREADS,), arrays, schedule=schedule)
        counts.append(report.counters.thread_instructions)
    assert all(a == b for a, b in pairwise(counts))
    assert counts[0] > sum(steps(n + 1) for n in range(LANES)) * 10


def test_a_thread_may_exit_in_a_function() -> None:
    functions = """.func leave(.param .b32 in) { .reg .b32 %r; .reg .pred %p; ld.param.b32 %r, [in];
setp.lt.u32 %p, %r, 20; @%p exit; ret; }
"""
    p = program(functions)
    first = p.store("%lane", 32)
    p.add("{ .param .b32 x; st.param.b32 [x], %thread; call leave, (x); }")
    second = p.store("%lane", 32)
    rows = p.launch()
    for lane in range(LANES):
        gone = lane % THREADS < 20
        assert rows[first][lane] & 0xFFFFFFFF == lane
        assert (rows[second][lane] & 0xFFFFFFFF == lane) != gone


def test_an_array_of_addresses_holds_addresses() -> None:
    """Initialisers name variables too, with an offset."""
    p = program(
        ".global .align 4 .b32 cells[2] = {11, 22};\n.global .align 8 .u64 list[2] = {cells+4, generic(cells)};\n"
    )
    for name, kind in (("%at", "b64"), ("%to", "b64"), ("%got", "b32")):
        p.register(name, kind)
    p.add("mov.u64 %at, list;", "ld.global.u64 %to, [%at];", "ld.global.u32 %got, [%to];")
    slot = p.store("%got", 32)
    p.add("ld.global.u64 %to, [%at+8];", "ld.global.u32 %got, [%to];")
    other = p.store("%got", 32)
    rows = p.launch()
    assert np.unique([row & 0xFFFFFFFF for row in rows[slot]]).tolist() == [22]
    assert np.unique([row & 0xFFFFFFFF for row in rows[other]]).tolist() == [11]
