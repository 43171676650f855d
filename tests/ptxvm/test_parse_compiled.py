"""The front end on what the compilers of the three DSLs really emit, compiled here: NVRTC, Numba and Triton."""

from __future__ import annotations

import os
import random
import re
from functools import cache
from pathlib import Path

import pytest

from ptxvm import ir
from ptxvm.module import Module
from ptxvm.parse import parse
from ptxvm.types import (
    Address,
    Function,
    Immediate,
    Instruction,
    Not,
    Operand,
    Pair,
    Program,
    Register,
    Sink,
    Special,
    Symbol,
    Vector,
    bits_of,
)
from tests.ptxvm import compiled

CUDA = r"""
#include <cuda_fp16.h>
__constant__ float coef[4] = {1.f, -2.f, 0.5f, 3.f};
__device__ int counter = 7;
__device__ __noinline__ float once(float x) { return x + 1; }
__device__ __noinline__ float twice(float x) { return x * 2; }
struct Pack { float a; char b; double c; int d[3]; };
extern "C" __global__ void __launch_bounds__(256, 2) everything(const float4 *x, __half2 *h, float *o, Pack p, int n) {
  __shared__ float tile[32][33];
  extern __shared__ float dynamic[];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float4 v = x[i];
  tile[threadIdx.x & 31][threadIdx.x >> 5] = v.x; dynamic[threadIdx.x] = v.y;
  __syncthreads();
  h[i] = __hfma2(h[i], __float2half2_rn(p.a), h[i]);
  float s = tile[i & 31][3] * coef[i & 3] + dynamic[n & 7] + p.d[i % 3];
  for (int k = 16; k; k >>= 1) s += __shfl_down_sync(~0u, s, k);
  float (*f)(float) = i & 1 ? once : twice;
  asm volatile("{ .reg .pred q; .reg .b32 t<3>; setp.ne.b32 q, %1, 0; @q mov.b32 t1, %1; @!q bra SKIP; SKIP: }"
               "{ .reg .b32 t; mov.b32 t, %1; bra SKIP; SKIP: mov.b32 t, 0; }" : "+f"(s) : "r"(i));
  switch (n) { case 0: s += 1; break; case 1: s -= 9; break; case 2: s = sinf(s); break; default: s = f(s); }
  printf("%d %f\n", atomicAdd(&counter, 1), s);
  o[i] = s;
}
"""


@cache
def nvrtc(arch: str) -> str:
    """PTX that NVRTC makes of CUDA."""
    from cuda.pathfinder import find_nvidia_header_directory

    include = find_nvidia_header_directory("cudart") or ""
    return compiled.nvrtc(CUDA, "/here/everything.cu", arch, "-lineinfo", f"-I{include}", f"-I{include}/cccl")


@cache
def numba(arch: str) -> str:
    """PTX that Numba makes of a tiled product with a printed remark."""
    os.environ["NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS"] = "0"
    from numba import cuda, float32

    def product(a, b, c):  # type: ignore[no-untyped-def]
        tile = cuda.shared.array((16, 16), float32)
        i, j = cuda.grid(2)
        total = float32(0)
        for k in range(a.shape[1] // 16):
            tile[cuda.threadIdx.y, cuda.threadIdx.x] = a[i, k * 16 + cuda.threadIdx.x]
            cuda.syncthreads()
            for q in range(16):
                total += tile[cuda.threadIdx.y, q] * b[k * 16 + q, j]
            cuda.syncthreads()
        if i < c.shape[0] and j < c.shape[1]:
            c[i, j] = total
        if i == 0:
            print("row", j)

    matrix = float32[:, :]
    text, _ = cuda.compile_ptx(product, (matrix, matrix, matrix), cc=(int(arch[:-1]), int(arch[-1])), lineinfo=True)
    return str(text)


TRITON_KERNEL = """
import triton
import triton.language as tl


@triton.jit
def attend(q, k, o, n, M: tl.constexpr, N: tl.constexpr, D: tl.constexpr):
    rows = tl.program_id(0) * M + tl.arange(0, M)
    d = tl.arange(0, D)
    left = tl.load(q + rows[:, None] * D + d[None, :], mask=rows[:, None] < n, other=0.0)
    total = tl.zeros((M,), tl.float32)
    for s in range(0, n, N):
        cols = s + tl.arange(0, N)
        right = tl.load(k + cols[None, :] * D + d[:, None], mask=cols[None, :] < n, other=0.0)
        total += tl.max(tl.dot(left, right), 1)
    tl.store(o + rows, tl.exp(total), mask=rows < n)
"""


@cache
def triton(arch: str, folder: Path) -> str:
    """PTX that Triton makes of a loop over a product and a row maximum."""
    import importlib.util

    import triton as package
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    path = folder / "attend_kernel.py"
    path.write_text(TRITON_KERNEL)
    spec = importlib.util.spec_from_file_location("attend_kernel", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    half, sizes = "*fp16", {"M": 32, "N": 32, "D": 32}
    signature = {"q": half, "k": half, "o": "*fp32", "n": "i32"} | dict.fromkeys(sizes, "constexpr")
    source = ASTSource(
        fn=module.attend,
        signature=signature,
        constexprs={(list(signature).index(name),): size for name, size in sizes.items()},
        attrs={(i,): [["tt.divisibility", 16]] for i in range(4)},
    )
    ptx = package.compile(source, target=GPUTarget("cuda", int(arch), 32)).asm["ptx"]
    return ptx if isinstance(ptx, str) else ptx.decode()  # bytes where tests of the hooks ran before, in this process


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("triton")


CASES = [
    ("nvrtc", "75"),
    ("nvrtc", "90"),
    ("nvrtc", "120"),
    ("numba", "86"),
    ("numba", "120"),
    ("triton", "86"),
    ("triton", "90"),
]


@pytest.fixture(params=CASES, ids=lambda case: "-sm_".join(case))
def text(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A PTX text, compiled once a session."""
    dsl, arch = request.param
    if dsl == "triton":
        monkeypatch.setenv("TRITON_CACHE_DIR", str(folder / "cache"))
        return triton(arch, folder)
    return nvrtc(arch) if dsl == "nvrtc" else numba(arch)


# -- the same program again ----------------------------------------------------------------------------------------
def written(operand: Operand) -> str:
    """PTX text of an operand."""
    match operand:
        case Register(name) | Special(name):
            return name.replace(".", "__") if isinstance(operand, Register) else name
        case Immediate(value, kind):
            return (
                str(value)
                if kind == "int"
                else f"0{'f' if kind == 'f32' else 'd'}{value:0{8 if kind == 'f32' else 16}X}"
            )
        case Symbol(name, offset):
            return name.replace(".", "__") + (f"+{offset}" if offset else "")
        case Address(base, offset):
            return f"[{written(base)}+{offset}]"
        case Sink():
            return "_"
        case Not(register):
            return f"!{written(register)}"
        case Pair(first, second):
            return f"{written(first)}|{written(second)}"
        case Vector(items):
            inner = ", ".join(written(i) for i in items)
            return f"[{inner[1:].replace('+0]', '', 1)}]" if isinstance(items[0], Address) else f"{{{inner}}}"


def statement(ins: Instruction) -> str:
    guard = f"@{written(ins.guard)} " if ins.guard else ""
    if ins.parts[0] == "call":
        results, callee, arguments, *rest = (written(o) for o in ins.operands)
        pieces = [f"({results[1:-1]})"] * (results != "{}") + [callee, f"({arguments[1:-1]})", *rest]
        return f"{guard}{ins.opcode} {', '.join(pieces)};"
    return f"{guard}{ins.opcode} {', '.join(written(o) for o in ins.operands)};"


def body(f: Function) -> str:
    """A function's registers, variables, labels and instructions as text, all in one scope."""
    lines = [f".reg .{kind} {name.replace('.', '__')};" for name, kind in f.registers.items()]
    lines += [f".{v.space} .align {v.align} .b8 {v.name.replace('.', '__')}[{v.bytes}];" for v in f.variables]
    names = {o.name for i in f.instructions if i.parts[0] == "call" for o in i.operands[3:] if isinstance(o, Symbol)}
    lines += [f"{name.replace('.', '__')}: .callprototype _ ();" for name in names]
    at: dict[int, list[str]] = {}
    for label, index in f.labels.items():
        at.setdefault(index, []).append(label.replace(".", "__"))
    for ins in f.instructions:
        lines += [f"{label}:" for label in at.get(ins.index, ())]
        lines.append(statement(ins))
    return "\n".join(lines)


def module_text(program: Program, original: str) -> str:
    """`original` with the bodies of its functions written anew from the parsed program."""
    text = re.sub(r"//[^\n]*", "", original)
    for f in program.functions.values():
        start = re.search(rf"\.(entry|func)\b[^;{{]*?\b{re.escape(f.name)}\b[^;{{]*{{", text)
        assert start is not None, f.name
        depth, end = 1, start.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        text = text[: start.end()] + "\n" + body(f) + "\n" + text[end - 1 :]
    return text


def plain(program: Program) -> dict[str, list[str]]:
    return {name: [statement(i) for i in f.instructions] for name, f in program.functions.items()}


def test_round_trip(text: str) -> None:
    """The instructions, written out again in one scope and parsed again, are the same."""
    program = parse(text)
    again = parse(module_text(program, text))
    assert plain(again) == plain(program)
    assert sum(map(len, plain(program).values())) > 50
    for name, f in program.functions.items():
        other = again.functions[name]
        assert other.params == f.params
        assert list(other.registers.values()) == list(f.registers.values())
        assert other.labels == {k.replace(".", "__"): v for k, v in f.labels.items()}


def test_white_space_and_comments_change_nothing(text: str) -> None:
    """Space, line ends and comments put behind every comma, bracket and semicolon."""
    rng = random.Random(5)
    fillers = ["", " ", "\n", "\t", " /* x; { */ ", " // y }\n", "\r\n"]
    expected = plain(parse(text))
    stripped = re.sub(r"//[^\n]*", "", text)
    pieces = re.split(r'("[^"\n]*"|[,;{}\[\]()])', stripped)
    shaken = "".join(p + rng.choice(fillers) if len(p) == 1 and p in ",;{}[]()" else p for p in pieces)
    assert shaken != stripped
    assert plain(parse(shaken)) == expected


# -- what the graph says of it -------------------------------------------------------------------------------------
def test_graph_of_compiled_code(text: str) -> None:
    """Each reachable instruction in one block, types of the declared width, all memory traced to a parameter."""
    module = Module.from_ptx(text)
    for name in module.entries:
        kernel = module.kernel(name)
        g, whole = kernel.graph, kernel.linked.function
        inside = [i for b in g.blocks for i in range(b.first, b.last_exclusive)]
        assert len(inside) == len(set(inside))
        assert set(inside) <= set(range(len(whole.instructions)))
        for block in g.blocks:
            last = whole.instructions[block.last_exclusive - 1]
            assert block.terminator in (None, last)
            assert all(0 <= s < len(g.blocks) for s in block.successors)
        for register, declared in whole.registers.items():
            assert bits_of(g.dtypes[register]) == bits_of(declared)
        known = {p.name for p in kernel.params}
        assert all(origin <= known for origin in g.provenance.values())
        assert sum(len(origin) == 1 for origin in g.provenance.values()) >= 3


def test_lines_are_lines_of_the_kernel_file(text: str) -> None:
    module = Module.from_ptx(text)
    kernel = module.kernel(module.entries[0])
    files = {i.source.file for i in kernel.function.instructions if i.source}
    assert len(files) == 1
    (file,) = files
    assert file.endswith(("everything.cu", "test_parse_compiled.py", "attend_kernel.py"))
    assert sum(i.source is not None for i in kernel.function.instructions) > 0.9 * len(kernel.function.instructions)


def test_lines_of_inlined_library_code_are_those_of_the_call(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's `tl.max` stands in its standard library; its shuffles belong to the line that calls it."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(folder / "cache"))
    f = Module.from_ptx(triton("86", folder)).kernel().function
    wanted = next(i for i, line in enumerate(TRITON_KERNEL.split("\n"), 1) if "tl.max" in line)
    lines = {i.source.line for i in f.instructions if i.source and i.parts[0] == "shfl"}
    assert lines == {wanted}


def test_lines_of_headers_are_those_of_the_call() -> None:
    """`__hfma2` is defined in cuda_fp16.hpp."""
    f = Module.from_ptx(nvrtc("90")).kernel("everything").function
    wanted = next(i for i, line in enumerate(CUDA.split("\n"), 1) if "__hfma2" in line)
    assert {
        i.source.line for i in f.instructions if i.source and i.parts[:2] == ("fma", "rn") and "f16x2" in i.parts
    } == {wanted}


def test_types_of_a_triton_kernel_are_floats_where_it_computes_floats(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton declares `.b32` only: without the vote every accumulator would be viewed at each use."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(folder / "cache"))
    g = ir.build(Module.from_ptx(triton("86", folder)).kernel().function)
    for ins in g.function.instructions:
        if ins.parts[0] == "max" and "f32" in ins.parts and isinstance(ins.operands[0], Register):
            assert g.dtypes[ins.operands[0].name] == "f32"
    assert "f32" not in g.function.registers.values()
