"""The static panel: what ptxas and nvdisasm say of kernels whose answer is known."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from warpbench import cache
from warpbench.backends import mix, sass, tools
from warpbench.contract import Rung
from warpbench.errors import EnvironmentProblem, KernelWrong, UsageError

SOURCE = r"""
__device__ __forceinline__ float squared(float v) {
  return v * v;
}
__device__ __noinline__ float crowded(const float* x, int n) {
  float r[64];
  for (int i = 0; i < 64; i++) r[i] = x[i * n];
  for (int k = 0; k < n; k++)
    for (int i = 0; i < 64; i++) r[i] = r[i] * r[(i + 7) % 64] + r[(i + 31) % 64];
  float s = 0;
  for (int i = 0; i < 64; i++) s += r[i] * i;
  return s;
}
extern "C" __global__ void add(const float* x, const float* y, float* o, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) o[i] = squared(x[i]) + y[i];
}
extern "C" __global__ void turned(const float* x, float* o) {
  __shared__ float s[256];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  o[threadIdx.x] = s[255 - threadIdx.x];
}
extern "C" __global__ void __launch_bounds__(1024) spills(const float* x, float* o) {
  float r[96];
  for (int i = 0; i < 96; i++) r[i] = x[i * 1024 + threadIdx.x];
  for (int k = 0; k < 4; k++)
    for (int i = 0; i < 96; i++) r[i] = r[i] * r[(i + 7) % 96] + r[(i + 31) % 96];
  for (int i = 0; i < 96; i++) o[i * 1024 + threadIdx.x] = r[i];
}
extern "C" __global__ void __maxnreg__(24) callee_spills(const float* x, float* o, int n) {
  o[threadIdx.x] = crowded(x + threadIdx.x, n);
}
extern "C" __global__ void merged(const float* x, float* o) {
  __shared__ float s[32][8];
  for (int i = 0; i < 8; i++) s[threadIdx.x][i] = x[threadIdx.x * 8 + i];
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < 8; i++) sum += s[31 - threadIdx.x][i];
  o[threadIdx.x] = sum;
}
"""


def compiled(source: str, name: str = "kernel.cu", arch: str = "86") -> str:
    """PTX of CUDA C++, with line information."""
    from cuda.bindings import nvrtc

    def call(result):
        assert int(result[0]) == 0, result[0]
        return result[1:]

    (program,) = call(nvrtc.nvrtcCreateProgram(source.encode(), name.encode(), 0, [], []))
    options = [f"--gpu-architecture=compute_{arch}".encode(), b"-lineinfo"]
    call(nvrtc.nvrtcCompileProgram(program, len(options), options))
    (size,) = call(nvrtc.nvrtcGetPTXSize(program))
    text = b" " * size
    call(nvrtc.nvrtcGetPTX(program, text))
    return text.rstrip(b"\0").decode()


@pytest.fixture(scope="module")
def ptx() -> str:
    return compiled(SOURCE)


@pytest.fixture(scope="module")
def triton_ptx(tmp_path_factory):
    """triton_ptx(arch): PTX of `tl.dot` of two float16 tiles of 64 x 64."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from warpbench.catalogue import load_file

    file = tmp_path_factory.mktemp("triton") / "dot_of_tiles.py"
    file.write_text(
        "import triton\nimport triton.language as tl\n\n@triton.jit\ndef dot(a, b, c, N: tl.constexpr):\n"
        "    i = tl.arange(0, N)\n    p = i[:, None] * N + i[None, :]\n"
        "    tl.store(c + p, tl.dot(tl.load(a + p), tl.load(b + p)))\n"
    )
    kernel = load_file(file, "dot_of_tiles").dot

    def make(arch: int) -> str:
        signature = {"a": "*fp16", "b": "*fp16", "c": "*fp32", "N": "constexpr"}
        aligned = {(i,): [["tt.divisibility", 16]] for i in range(3)}
        source = ASTSource(kernel, signature=signature, constexprs={(3,): 64}, attrs=aligned)
        text = triton.compile(source, target=GPUTarget("cuda", arch, 32)).asm["ptx"]
        return text if isinstance(text, str) else text.decode()  # bytes where ptxvm's hooks end the pipeline at PTX

    return make


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "cache")


# -- the panel -----------------------------------------------------------------------------------------------------
def test_a_plain_kernel_takes_registers_and_nothing_else(ptx):
    panel = sass.static_panel(ptx, "sm_86", "cupy", "add")
    assert 4 <= panel.registers <= 40
    assert (panel.spill_bytes, panel.stack_bytes, panel.shared_bytes, panel.barriers) == (0, 0, 0, 0)
    assert (panel.entry, panel.target) == ("add", "sm_86")
    assert re.fullmatch(r"ptxas 13\.0\.\d+", panel.tool)


def test_static_shared_memory_and_the_barrier_are_reported(ptx):
    panel = sass.static_panel(ptx, "sm_86", "cupy", "turned")
    assert (panel.shared_bytes, panel.barriers) == (256 * 4, 1)


def test_too_few_registers_are_spilled_and_the_machine_code_shows_it(ptx):
    panel = sass.static_panel(ptx, "sm_86", "cupy", "spills")
    assert panel.registers <= 65536 // 1024  # what __launch_bounds__(1024) leaves a thread
    code = [one for one in sass.sass(ptx, "sm_86", "cupy", "spills").code if one.mnemonic in ("LDL", "STL")]
    width = {"64": 8, "128": 16}
    moved = sum(width.get(one.text.split()[0 if one.text[0] != "@" else 1].rpartition(".")[2], 4) for one in code)
    assert panel.spill_bytes == moved > 0
    assert panel.stack_bytes > 0


def test_what_a_called_function_spills_counts_for_the_kernel_that_calls_it(ptx):
    assert sass.static_panel(ptx, "sm_86", "cupy", "callee_spills").spill_bytes > 0
    assert sass.static_panel(ptx, "sm_86", "cupy", "turned").spill_bytes == 0


def test_an_entry_must_be_named_where_there_are_several(ptx):
    with pytest.raises(UsageError, match="one of its kernels must be named; it holds: add, callee_spills, merged"):
        sass.static_panel(ptx, "sm_86", "cupy")
    with pytest.raises(UsageError, match="there is no kernel gone in it"):
        sass.static_panel(ptx, "sm_86", "cupy", "gone")


def test_numbas_ptx_is_assembled_by_cudas_ptxas():
    from numba import cuda, types

    def doubled(x, out):
        i = cuda.grid(1)
        if i < out.size:
            out[i] = 2 * x[i]

    vector = types.Array(types.float32, 1, "C")
    text, _ = cuda.compile_ptx(doubled, (vector, vector), cc=(8, 9), lineinfo=True)
    panel = sass.static_panel(text, "sm_89", "numba")
    assert panel.registers > 0
    assert panel.target == "sm_89"
    found = sass.sass(text, "sm_89", "numba")
    assert (found.histogram["LDG"], found.histogram["STG"]) == (1, 1)
    assert Path(__file__).name in {Path(file).name for file, _ in found.by_line()}


@pytest.mark.parametrize(
    ("arch", "target", "tool", "instruction"),
    [
        (86, "sm_86", "ptxas", "HMMA"),
        (90, "sm_90a", "ptxas(-blackwell)?", "HGMMA"),
        (120, "sm_120a", "ptxas-blackwell", "HMMA"),
    ],
)
def test_tritons_ptx_is_assembled_by_tritons_own_ptxas_for_the_target_it_declares(
    triton_ptx, arch, target, tool, instruction
):
    text = triton_ptx(arch)
    panel = sass.static_panel(text, f"sm_{arch}", "triton")
    assert panel.target == target
    assert re.fullmatch(rf"{tool} 1[23]\.\d+\.\d+", panel.tool)
    found = sass.sass(text, f"sm_{arch}", "triton")
    assert found.histogram[instruction] > 0
    assert found.target == target
    assert found.disassembler.startswith("nvdisasm ")
    assert {file for file, _ in found.by_line()} >= {
        line.split('"')[1] for line in text.splitlines() if ".file" in line and "dot_of_tiles" in line
    }


# -- refusals ------------------------------------------------------------------------------------------------------
def test_the_first_line_of_a_refusal_is_ptxas_reason_with_its_line(ptx):
    wrong = ptx.replace("add.f32", "plus.f32", 1)
    line = next(i for i, row in enumerate(wrong.splitlines(), 1) if "plus.f32" in row)
    with pytest.raises(KernelWrong) as caught:
        sass.static_panel(wrong, "sm_86", "cupy", "add")
    first = str(caught.value).splitlines()[0]
    assert re.match(r"ptxas 13\.0\.\d+ refuses this PTX: Not a name of any known instruction: 'plus'", first)
    assert f"(line {line} of the PTX). Nothing was assembled for sm_86." in first


@pytest.mark.parametrize("text", ["", "hello"])
def test_what_is_no_ptx_is_refused(text):
    with pytest.raises(KernelWrong, match=r"Missing \.version directive at start of file 'kernel\.ptx' \(line 1"):
        sass.static_panel(text, "sm_86", "cupy")


def test_a_newer_ptx_than_the_assembler_knows_is_refused_by_name(ptx):
    with pytest.raises(KernelWrong, match=r"Unsupported \.version 99\.0"):
        sass.static_panel(re.sub(r"\.version \d+\.\d+", ".version 99.0", ptx), "sm_86", "cupy", "add")


def test_an_assembler_that_is_missing_is_the_environments_fault(ptx, monkeypatch):
    monkeypatch.setattr(tools, "_pathfinder", lambda name: None)
    monkeypatch.setattr(tools, "_of_wheel", lambda distribution, name: None)
    monkeypatch.setattr(tools.shutil, "which", lambda name: None)
    with pytest.raises(EnvironmentProblem) as caught:
        sass.static_panel(ptx, "sm_86", "cupy", "add")
    assert "ptxas is not installed. Nothing was assembled." in str(caught.value)
    assert "pip install 'nvidia-cuda-nvcc>=13.0,<13.1'" in str(caught.value)
    with pytest.raises(EnvironmentProblem, match=r"nvdisasm is not installed.*pip install triton"):
        tools.nvdisasm()


def test_triton_without_its_assembler_says_so(monkeypatch, tmp_path):
    import triton.backends.nvidia.compiler as theirs

    def gone(arch):
        raise RuntimeError("Cannot find ptxas")

    monkeypatch.setattr(theirs, "get_ptxas", gone)
    with pytest.raises(EnvironmentProblem, match=r"ptxas of Triton is not installed.*pip install"):
        tools.assembler("triton", "sm_86")


def test_ptxas_is_found_among_the_files_of_its_wheel_without_pathfinder(monkeypatch):
    found = tools.ptxas()
    monkeypatch.setattr(tools, "_pathfinder", lambda name: None)
    assert tools.ptxas().version == found.version


def test_a_program_that_does_not_run_is_told(tmp_path):
    with pytest.raises(EnvironmentProblem, match="cannot be run: No such file"):
        tools._version(str(tmp_path / "ptxas"))
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexit 0\n")
    silent.chmod(0o755)
    with pytest.raises(EnvironmentProblem, match="does not say its version"):
        tools._version(str(silent))


# -- the cache -----------------------------------------------------------------------------------------------------
def test_the_assembler_runs_once_for_the_same_ptx_and_target(ptx, monkeypatch):
    first = sass.static_panel(ptx, "sm_86", "cupy", "add")
    listing = sass.sass(ptx, "sm_86", "cupy", "turned")

    def never(*arguments, **options):
        raise AssertionError("a tool was started")

    monkeypatch.setattr(subprocess, "run", never)
    assert sass.static_panel(ptx, "sm_86", "cupy", "add") == first
    assert sass.static_panel(ptx, "sm_86", "cupy", "turned").shared_bytes == 1024
    assert sass.sass(ptx, "sm_86", "cupy", "turned") == listing
    with pytest.raises(AssertionError, match="a tool was started"):
        sass.static_panel(ptx + "\n", "sm_86", "cupy", "add")


# -- the listing ---------------------------------------------------------------------------------------------------
def test_inlined_code_is_of_the_line_that_calls_it(ptx):
    """`squared` is inlined at the line of the store, which is where the counters of ptxvm stand too."""
    lines = SOURCE.splitlines()
    store = next(i for i, row in enumerate(lines, 1) if "squared(x[i])" in row)
    table = sass.sass(ptx, "sm_86", "cupy", "add").by_line()
    mnemonics = [one.mnemonic for (file, line), code in table.items() if line == store for one in code]
    assert {Path(file).name for file, _ in table} == {"kernel.cu"}
    assert mnemonics.count("LDG") == 2
    assert mnemonics.count("STG") == 1
    assert any(name in ("FMUL", "FFMA") for name in mnemonics)


def test_a_listing_is_one_kernels_and_ends_with_its_code(ptx):
    code = sass.sass(ptx, "sm_86", "cupy", "turned").code
    addresses = [one.address for one in code if one.address is not None]
    assert addresses == sorted(addresses)
    assert addresses[0] == 0
    assert code[-1].mnemonic not in ("", "NOP")
    histogram = sass.sass(ptx, "sm_86", "cupy", "turned").histogram
    assert (histogram["LDS"], histogram["STS"], histogram["BAR"], histogram["LDG"], histogram["STG"]) == (1, 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("text", "mnemonic"),
    [
        ("LDG.E.128 R4, [R2.64]", "LDG"),
        ("@!P0 EXIT", "EXIT"),
        ("@!UPT UIADD3 URZ, URZ, URZ, URZ", "UIADD3"),
        ("BRA `(.L_x_0)", "BRA"),
        ("HGMMA.64x64x16.F32 R24, gdesc[UR4], R24", "HGMMA"),
    ],
)
def test_mnemonics(text, mnemonic):
    assert sass.Machine(0, text, None, None).mnemonic == mnemonic


def test_the_ptx_decides_between_targets_of_one_capability():
    assert sass.target_of(".version 8.7\n.target sm_90a\n", "sm_90") == "sm_90a"
    assert sass.target_of(".version 9.0\n.target sm_86, debug\n", "sm_86") == "sm_86"
    assert sass.target_of(".version 9.0\n.target sm_80\n", "sm_86") == "sm_86"
    assert sass.target_of("", "sm_86") == "sm_86"


# -- side by side --------------------------------------------------------------------------------------------------
def test_loads_that_ptxas_merges_are_told(ptx):
    from ptxvm import Module

    found = sass.sass(ptx, "sm_86", "cupy", "merged")
    rows = mix.side_by_side(Module.from_ptx(ptx).opcodes("merged"), found.histogram)
    shared = next(row for row in rows if row.family == "LDS")
    assert shared.ptx == 8
    assert shared.sass < 8
    assert shared.differs
    assert any(text.startswith(f"ptxas changed it: 8 LDS in the PTX, {shared.sass} in") for text in mix.warnings(rows))


def test_spilled_registers_are_told(ptx):
    """As loads and stores of local memory that the PTX does not have, and ptxvm cannot count."""
    from ptxvm import Module

    found = sass.sass(ptx, "sm_86", "cupy", "spills")
    loads, stores = (found.histogram[name] for name in ("LDL", "STL"))
    assert min(loads, stores) > 0
    said = mix.warnings(mix.side_by_side(Module.from_ptx(ptx).opcodes("spills"), found.histogram), found.assembler)
    told = f"{found.assembler} added {loads} LDL and {stores} STL that the PTX lacks (registers spilled)"
    assert f"{told}: ptxvm does not count them." in said
    plain = mix.side_by_side(Module.from_ptx(ptx).opcodes("add"), sass.sass(ptx, "sm_86", "cupy", "add").histogram)
    assert not any("spilled" in text for text in mix.warnings(plain))


def test_where_the_two_agree_there_is_no_warning(triton_ptx):
    from ptxvm import Module

    text = triton_ptx(86)
    rows = mix.side_by_side(Module.from_ptx(text).opcodes("dot"), sass.sass(text, "sm_86", "triton").histogram)
    tensor = next(row for row in rows if row.family == "MMA")
    assert tensor.ptx == tensor.sass == 64 * 64 * 64 // (16 * 8 * 16) // 4  # a quarter of the tile's each of 4 warps
    assert tensor.names == f"{tensor.sass} HMMA"
    assert mix.warnings(rows) == []


@pytest.mark.parametrize(
    ("opcode", "family"),
    [
        ("ld.global.nc.v4.f32", "LDG"),
        ("st.global.cs.b32", "STG"),
        ("ld.volatile.shared.u32", "LDS"),
        ("st.shared::cta.b32", "STS"),
        ("ld.local.f32", "LDL"),
        ("ld.param.u64", None),
        ("ldmatrix.sync.aligned.m8n8.x4.shared.b16", "LDSM"),
        ("cp.async.cg.shared.global", "LDGSTS"),
        ("cp.async.commit_group", None),
        ("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes", "UTMALDG"),
        ("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group", "UTMASTG"),
        ("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "MMA"),
        ("wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16", "MMA"),
        ("wgmma.fence.sync.aligned", None),
        ("shfl.sync.bfly.b32", "SHFL"),
        ("bar.sync", "BAR"),
        ("barrier.sync.aligned", "BAR"),
        ("bar.warp.sync", None),
        ("fma.rn.f32", "FFMA"),
        ("fma.rn.f64", None),
    ],
)
def test_families(opcode, family):
    assert mix.family_of_opcode(opcode) == family


# -- claims --------------------------------------------------------------------------------------------------------
def test_claims_hold_for_the_architectures_that_they_name():
    rung = Rung("in_cupy:a", "idea", shows={"sm_80+": ("cp.async",), "sm_86": ("mma f16",), "sm_90": ("wgmma",)})
    assert mix.claims(rung, "sm_75") == ()
    assert mix.claims(rung, "sm_86") == ("cp.async", "mma f16")
    assert mix.claims(rung, "sm_90") == ("cp.async", "wgmma")


def test_a_claim_needs_all_its_words_in_one_instruction_of_that_kernel(ptx):
    assert mix.shown("ld.global .f32", ptx, "add")
    assert mix.shown("mov %ctaid.x", ptx, "add")
    assert not mix.shown("mov %ctaid.x", ptx, "turned")  # another kernel of the module has it
    assert not mix.shown("ld.global %ctaid.x", ptx, "add")  # the words stand in two instructions
    assert mix.shown("fma.rn", ptx, "callee_spills")  # in a function that it calls
