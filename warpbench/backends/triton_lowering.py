"""What Triton makes of a few kernels on each architecture: the rows of `warpbench/hardware/triton.toml`.

    python -m warpbench.backends.triton_lowering    compile them with the Triton that is installed, write its rows anew

Rows of other versions stay. Another version: unpack its wheel into a folder and put that first on PYTHONPATH. Nothing
is executed; what is written down are the instructions of the machine code that do the work, and how many stand there.
"""

from __future__ import annotations

import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import triton
import triton.language as tl

from warpbench.backends import mix, sass, tools

TABLE = Path(__file__).resolve().parents[1] / "hardware" / "triton.toml"
CCS = ("7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "10.0", "10.3", "11.0", "12.0", "12.1")
TILE = 64  # rows, columns and depth of a product
# whole opcodes that begin with one of these are written down, matrix instructions always; FFMA and DFMA where none is
TOLD = ("LDGSTS", "UTMALDG", "UTMASTG", "REDUX", "ATOM", "ATOMG", "RED", "REDG", "F2FP", "ACQBULK", "LDL", "STL")
HEAD = """\
# What Triton makes of a few kernels, by version and compute capability. Generated, do not edit:
# python -m warpbench.backends.triton_lowering
# Instructions of the machine code and how many of each stand there, or why there are none. Products of tiles are
# 64 x 64 x 64 (f64: 32 x 32 x 32; dot_scaled: 128 x 128 x 128), by 4 warps.
"""


@triton.jit
def _sum(x, out, N: tl.constexpr):
    tl.store(out, tl.sum(tl.load(x + tl.arange(0, N)), axis=0))


@triton.jit
def _dot(a, b, c, k, T: tl.constexpr, ACC: tl.constexpr):
    i = tl.arange(0, T)
    total = tl.zeros((T, T), ACC)
    for first in range(0, k, T):
        x = tl.load(a + i[:, None] * k + first + i[None, :])  # (T, T)
        y = tl.load(b + (first + i[:, None]) * T + i[None, :])  # (T, T)
        total = tl.dot(x, y, total, out_dtype=ACC)
    tl.store(c + i[:, None] * T + i[None, :], total)


@triton.jit
def _descriptors(a, b, c, k, T: tl.constexpr):
    left = tl.make_tensor_descriptor(a, [T, k], [k, 1], [T, T])
    right = tl.make_tensor_descriptor(b, [k, T], [T, 1], [T, T])
    result = tl.make_tensor_descriptor(c, [T, T], [T, 1], [T, T])
    total = tl.zeros((T, T), tl.float32)
    for first in range(0, k, T):
        total = tl.dot(left.load([0, first]), right.load([first, 0]), total)
    result.store([0, 0], total)


@triton.jit
def _dot_scaled(a, a_scale, b, b_scale, c, T: tl.constexpr, A: tl.constexpr, PACKED: tl.constexpr, EACH: tl.constexpr):
    i = tl.arange(0, T)
    wide: tl.constexpr = 128  # depth of the product: what block-scaled instructions want
    inner = tl.arange(0, wide // PACKED)
    s = tl.arange(0, wide // EACH)
    x = tl.load(a + i[:, None] * (wide // PACKED) + inner[None, :])
    y = tl.load(b + inner[:, None] * T + i[None, :])
    xs = tl.load(a_scale + i[:, None] * (wide // EACH) + s[None, :])
    ys = tl.load(b_scale + i[:, None] * (wide // EACH) + s[None, :])
    tl.store(c + i[:, None] * T + i[None, :], tl.dot_scaled(x, xs, A, y, ys, A))


@triton.jit
def _cast(x, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, tl.load(x + i).to(out.dtype.element_ty))


@triton.jit
def _atomic_add(x, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.atomic_add(out + i, tl.load(x + i))


@dataclass(frozen=True)
class Probe:
    """A kernel with the types of its arguments and its compile-time values."""

    kernel: Any
    signature: Mapping[str, str]
    constants: Mapping[str, Any] = field(default_factory=dict)


def _product(kind: str, accumulator: Any, result: str, tile: int = TILE) -> Probe:
    signature = {"a": f"*{kind}", "b": f"*{kind}", "c": f"*{result}", "k": "i32"}
    return Probe(_dot, signature, {"T": tile, "ACC": accumulator})


def _scaled(kind: str, element: str, scale: str, packed: int, each: int) -> Probe:
    signature = {"a": f"*{element}", "a_scale": f"*{scale}", "b": f"*{element}", "b_scale": f"*{scale}", "c": "*fp32"}
    # a wide tile: Blackwell's block-scaled instructions take 128 rows
    return Probe(_dot_scaled, signature, {"T": 128, "A": kind, "PACKED": packed, "EACH": each})


def _tiles(kind: str) -> Probe:
    return Probe(_descriptors, {"a": f"*{kind}", "b": f"*{kind}", "c": "*fp32", "k": "i32"}, {"T": TILE})


PROBES: Mapping[str, Probe] = {
    "sum of int32": Probe(_sum, {"x": "*i32", "out": "*i32"}, {"N": 1024}),
    "dot f16": _product("fp16", tl.float32, "fp32"),
    "dot f16, f16 sum": _product("fp16", tl.float16, "fp16"),
    "dot bf16": _product("bf16", tl.float32, "fp32"),
    "dot f32 (tf32)": _product("fp32", tl.float32, "fp32"),
    "dot f64": _product("fp64", tl.float64, "fp64", 32),
    "dot int8": _product("i8", tl.int32, "i32"),
    "dot fp8e4nv": _product("fp8e4nv", tl.float32, "fp32"),
    "dot fp8e5": _product("fp8e5", tl.float32, "fp32"),
    "dot fp8e4b15": _product("fp8e4b15", tl.float32, "fp32"),
    "dot_scaled mxfp8": _scaled("e4m3", "fp8e4nv", "u8", 1, 32),
    "dot_scaled mxfp4": _scaled("e2m1", "u8", "u8", 2, 32),
    "dot_scaled nvfp4": _scaled("e2m1", "u8", "fp8e4nv", 2, 16),
    "descriptors, dot f16": _tiles("fp16"),
    "descriptors, dot fp8e4nv": _tiles("fp8e4nv"),
    "f32 to fp8e4nv": Probe(_cast, {"x": "*fp32", "out": "*fp8e4nv"}, {"N": 1024}),
    "f32 to fp8e5": Probe(_cast, {"x": "*fp32", "out": "*fp8e5"}, {"N": 1024}),
    "atomic_add f16": Probe(_atomic_add, {"x": "*fp16", "out": "*fp16"}, {"N": 1024}),
    "atomic_add bf16": Probe(_atomic_add, {"x": "*bf16", "out": "*bf16"}, {"N": 1024}),
}
# below 8.0 Triton has no tensor cores: these become thousands of scalar instructions that take minutes to assemble
FROM_8 = ("dot_scaled", "descriptors")


def lowered(name: str, cc: str) -> dict[str, int] | str:
    """The telling instructions of a probe for a compute capability, or why it does not compile."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    probe = PROBES[name]
    names = probe.kernel.arg_names
    signature = {one: probe.signature.get(one, "constexpr") for one in names}
    constants = {(names.index(one),): value for one, value in probe.constants.items()}
    aligned = {(names.index(one),): [["tt.divisibility", 16]] for one in probe.signature}
    source = ASTSource(probe.kernel, signature, constants, aligned)
    try:
        compiled = triton.compile(
            source, target=GPUTarget("cuda", int(cc.replace(".", "")), 32), options={"num_warps": 4}
        )
    except Exception as error:  # whatever Triton's passes raise: that is the answer
        return _reason(error)
    with tempfile.TemporaryDirectory(prefix="warpbench-") as folder:
        Path(folder, "kernel.cubin").write_bytes(compiled.asm["cubin"])
        said = tools.run(tools.nvdisasm(), ["-c", "kernel.cubin"], Path(folder))
    if said.status:
        raise RuntimeError(f"{name} for {cc}: {said.err}")
    code = [one for function in sass.disassembled(said.out).values() for one in function if one.mnemonic]
    return _telling(mix.whole_opcodes(one.text for one in code))


def _telling(opcodes: Mapping[str, int]) -> dict[str, int]:
    tensor = {one for one in opcodes if mix.family_of_mnemonic(one.partition(".")[0]) == "MMA"}
    told = TOLD if tensor else (*TOLD, "FFMA", "DFMA", "HFMA2")
    return {one: opcodes[one] for one in sorted(opcodes) if one in tensor or one.partition(".")[0] in told}


def _reason(error: Exception) -> str:
    """What the compiler says: of several lines the first that an assembler calls an error, else the last."""
    while error.__cause__ is not None:
        error = error.__cause__  # type: ignore[assignment]
    text = str(error)
    if said := re.search(r"^ptxas\S* .*?(?:error|fatal)\s*: *(\S.*)", text, re.M):
        return f"refused by ptxas: {said[1].strip()}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"refused: {lines[-1] if lines else type(error).__name__}"


def rows() -> Iterator[tuple[str, str, dict[str, int] | str]]:
    """Name, compute capability and what becomes of it, for all probes."""
    for name in PROBES:
        for cc in CCS:
            if float(cc) >= 8 or not name.startswith(FROM_8):
                yield name, cc, lowered(name, cc)


def written(versions: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """The text of the table."""
    quoted: Callable[[str], str] = lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'  # noqa: E731
    lines = [HEAD]
    for version, probes in sorted(versions.items()):
        for name, by_cc in probes.items():
            lines.append(f"[{quoted(version)}.{quoted(name)}]")
            for cc, found in by_cc.items():
                pairs = found if isinstance(found, str) else ", ".join(f"{quoted(k)} = {v}" for k, v in found.items())
                lines.append(f"{quoted(cc)} = {quoted(pairs) if isinstance(found, str) else f'{{ {pairs} }}'}")
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Write the rows of this Triton. 0 when done."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}
    mine: dict[str, dict[str, Any]] = {}
    for name, cc, found in rows():
        mine.setdefault(name, {})[cc] = found
        print(f"{triton.__version__} {name} {cc}: {found}", flush=True)
    table[triton.__version__] = mine
    TABLE.write_text(written(table), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
