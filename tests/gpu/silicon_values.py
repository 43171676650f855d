"""What a card computes where the PTX ISA leaves room: approximate functions and matrix instructions, bit by bit.

    python -m tests.gpu.silicon_values FILE.npz

Each array of inputs and outputs is stored under the instruction's name. ptxvm is held to them by tests.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

UNARY = (
    "ex2.approx.f32", "ex2.approx.ftz.f32", "lg2.approx.f32", "lg2.approx.ftz.f32", "rcp.approx.f32",
    "rcp.approx.ftz.f32", "rsqrt.approx.f32", "rsqrt.approx.ftz.f32", "sqrt.approx.f32", "sqrt.approx.ftz.f32",
    "sin.approx.f32", "sin.approx.ftz.f32", "cos.approx.f32", "cos.approx.ftz.f32", "tanh.approx.f32",
)  # fmt: skip
BINARY = ("div.approx.f32", "div.approx.ftz.f32", "div.full.f32", "div.full.ftz.f32")
# instruction: (type of a and b, of c and d; registers of a, b, c)
MATRIX = {
    "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32": ("f16", "f32", 4, 2, 4),
    "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16": ("f16", "f16", 4, 2, 2),
    "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32": ("f16", "f32", 2, 1, 4),
    "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32": ("bf16", "f32", 4, 2, 4),
    "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32": ("tf32", "f32", 4, 2, 4),
    "mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32": ("tf32", "f32", 2, 1, 4),
    "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32": ("e4m3", "f32", 4, 2, 4),
    "mma.sync.aligned.m16n8k32.row.col.f32.e5m2.e5m2.f32": ("e5m2", "f32", 4, 2, 4),
    "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32": ("s8", "s32", 4, 2, 4),
}
LANES, WARPS = 32, 96


def floats() -> np.ndarray:
    """8192 float32: a third anywhere in the format, a third of everyday size, a third near 1; specials first."""
    rng = np.random.default_rng(1)
    special = np.array([0, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 1, 0x80000001, 0x007FFFFF, 0x00800000,
                        0x3F800000, 0xBF800000, 0x7F7FFFFF], np.uint32)  # fmt: skip
    anywhere = rng.integers(0, 1 << 32, 2730 - special.size, dtype=np.uint32)
    everyday = rng.uniform(-10, 10, 2731).astype(np.float32).view(np.uint32)
    near_one = rng.uniform(0.5, 2, 2731).astype(np.float32).view(np.uint32)
    return np.concatenate([special, anywhere, everyday, near_one])


def words(kind: str, registers: int, seed: int, spread: int) -> np.ndarray:
    """(WARPS, LANES, registers) 32-bit registers that hold numbers of `kind`: m * 2^e, |e| <= spread."""
    rng = np.random.default_rng(seed)
    shape = (WARPS, LANES, registers)
    if kind == "s8":
        return rng.integers(0, 1 << 32, shape, dtype=np.uint32)
    if kind == "s32":
        return rng.integers(0, 1 << 20, shape, dtype=np.uint32)
    each = {"f16": 2, "bf16": 2, "e4m3": 4, "e5m2": 4}.get(kind, 1)
    values = rng.standard_normal((*shape, each)) * 2.0 ** rng.integers(-spread, spread + 1, (*shape, each))
    if kind == "f32":
        return values.astype(np.float32).view(np.uint32)[..., 0]
    if kind == "tf32":
        return values.astype(np.float32).view(np.uint32)[..., 0] & np.uint32(0xFFFFE000)
    if kind == "f16":
        return values.astype(np.float16).view(np.uint32)[..., 0]
    if kind == "bf16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint32)[..., 0]
    raw = rng.integers(0, 256, (*shape, each), dtype=np.uint8)
    exponent_all_ones = (raw & 0x7F) == 0x7F if kind == "e4m3" else (raw & 0x7C) == 0x7C
    return np.where(exponent_all_ones, np.uint8(0x38), raw).view(np.uint32)[..., 0]


def source() -> str:
    """One kernel an instruction, named k0, k1, ... in the order UNARY, BINARY, MATRIX."""
    text = []
    for i, name in enumerate((*UNARY, *BINARY)):
        two = name in BINARY
        operands = '"=f"(r) : "f"(x[i])' + (', "f"(y[i])' if two else "")
        form = f"{name} %0, %1{', %2' if two else ''};"
        text.append(
            f'extern "C" __global__ void k{i}(const float* x, const float* y, float* out, int n) {{\n'
            f"    int i = blockIdx.x * blockDim.x + threadIdx.x;\n    if (i >= n) return;\n    float r;\n"
            f'    asm("{form}" : {operands});\n    out[i] = r;\n}}\n'
        )
    for i, (name, (_, _, a, b, c)) in enumerate(MATRIX.items(), len(text)):
        places = iter(range(100))

        def group(count: int, places: Any = places) -> str:
            return "{" + ", ".join(f"%{next(places)}" for _ in range(count)) + "}"

        form = f"{name} {group(c)}, {group(a)}, {group(b)}, {group(c)};"
        outs = ", ".join(f'"=r"(d[{j}])' for j in range(c))
        ins = ", ".join(f'"r"({v}[t * {n} + {j}])' for v, n in (("a", a), ("b", b), ("c", c)) for j in range(n))
        text.append(
            f'extern "C" __global__ void k{i}(const unsigned* a, const unsigned* b, const unsigned* c, unsigned* out)'
            f" {{\n    int t = blockIdx.x * 32 + threadIdx.x;\n    unsigned d[{c}];\n"
            f'    asm("{form}" : {outs} : {ins});\n'
            f"    for (int j = 0; j < {c}; ++j) out[t * {c} + j] = d[j];\n}}\n"
        )
    return "\n".join(text)


def inputs(name: str) -> tuple[np.ndarray, ...]:
    """The inputs of an instruction."""
    if name in UNARY:
        return (floats(),)
    if name in BINARY:
        return floats(), np.random.default_rng(2).permutation(floats())
    kind, wide, a, b, c = MATRIX[name]
    parts = [
        (words(kind, a, 3 + s, s), words(kind, b, 13 + s, s), words(wide, c, 23 + s, 3 * s)) for s in (0, 2, 5)
    ]  # products of like size, of unlike size, of very unlike size
    return tuple(np.concatenate(one) for one in zip(*parts, strict=True))


def launch(kernel: Any, name: str, xp: Any) -> Any:
    """Run the kernel of an instruction with CuPy (or what stands for it); returns its output, uint32."""
    given = [xp.asarray(one) for one in inputs(name)]
    if name in MATRIX:
        warps = given[0].shape[0]
        out = xp.zeros((warps, LANES, MATRIX[name][4]), dtype=np.uint32)
        kernel((warps,), (LANES,), (*given, out))
        return out
    n = given[0].size
    out = xp.zeros(n, dtype=np.uint32)
    kernel(((n + 255) // 256,), (256,), (given[0], given[-1], out, np.int32(n)))
    return out


def main() -> int:
    import cupy

    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    module = cupy.RawModule(code=source(), options=("--std=c++17",))
    stored = {}
    for i, name in enumerate((*UNARY, *BINARY, *MATRIX)):
        stored[name] = launch(module.get_function(f"k{i}"), name, cupy).get()
    np.savez_compressed(Path(sys.argv[1]), **stored)
    print(f"{len(stored)} instructions, {Path(sys.argv[1]).stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
