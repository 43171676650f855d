"""What the three hooks share: tensors lent and given back, launches recorded, PTX as the compilers give it."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

import ptxvm
from warpbench.backends.cost import cost
from warpbench.backends.emulated import Emulator, Launch, Tensor

CUDA = r"""
extern "C" __global__ void copied(const float* x, float* out) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = x[i];
}
extern "C" __global__ void softened(const float* x, float* out) {
    __shared__ float tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    out[threadIdx.x] = expf(tile[63 - threadIdx.x]) / (sqrtf(x[0]) + 1e-30f);
}
"""


@triton.jit
def copied(x, out, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i))


@pytest.fixture
def emulator(emulated):
    emulated.emulator.execute, emulated.emulator.shuffle = True, None
    return emulated.emulator


@pytest.fixture(scope="module")
def copy(emulated):
    """copy(dsl, blocks, x, out): 32 elements a block, without a guard."""
    import cupy
    from numba import cuda

    @cuda.jit
    def in_numba(x, out):
        i = cuda.grid(1)
        out[i] = x[i]

    in_cuda = cupy.RawModule(code=CUDA).get_function("copied")
    launches = {
        "numba": lambda blocks, x, out: in_numba[blocks, 32](x, out),
        "cupy": lambda blocks, x, out: in_cuda((blocks,), (32,), (cupy.asarray(x), cupy.asarray(out))),
        "triton": lambda blocks, x, out: copied[(blocks,)](x, out, BLOCK=32, num_warps=1),
    }
    return lambda dsl, *args: launches[dsl](*args)


DSLS = ("numba", "cupy", "triton")


# -- tensors lent and given back -------------------------------------------------------------------------------------
@pytest.mark.parametrize("dsl", DSLS)
def test_faults_leave_nothing_behind(emulator, copy, dsl):
    copy(dsl, 1, torch.zeros(32), torch.zeros(32))
    before, watched = emulator.device.arena.extent, []
    for _ in range(20):
        x = torch.zeros(5000)
        watched.append(weakref.ref(x.untyped_storage()))
        with pytest.raises(ptxvm.Fault):
            copy(dsl, 5, x, torch.zeros(100))
    del x
    gc.collect()
    assert emulator.device.arena.extent == before
    assert not [one for one in watched if one() is not None]


@pytest.mark.parametrize("dsl", DSLS)
def test_refused_launches_and_empty_tensors_leave_nothing_behind(emulator, copy, dsl):
    copy(dsl, 1, torch.zeros(32), torch.zeros(32))
    before = emulator.device.arena.extent
    for _ in range(3):
        with pytest.raises(ptxvm.Fault):
            copy(dsl, 1, torch.zeros(0), torch.zeros(0))  # two storages, neither with an address
        with pytest.raises(ptxvm.LaunchError):
            copy(dsl, 1 << 31, torch.zeros(32), torch.zeros(32))
    assert emulator.device.arena.extent == before


@pytest.mark.parametrize("dsl", DSLS)
def test_the_host_sees_nothing_of_a_launch_that_stopped(emulator, copy, dsl):
    x, out = torch.rand(100), torch.full((128,), math.nan)
    with pytest.raises(ptxvm.Fault):
        copy(dsl, 4, x, out)
    assert out.isnan().all()
    copy(dsl, 3, x, out)
    assert torch.equal(out[:96], x[:96])
    assert out[96:].isnan().all()


@pytest.mark.parametrize("dsl", DSLS)
def test_overlapping_tensors_are_one_memory(emulator, copy, dsl):
    """The second block reads what the first one writes: a race."""
    storage = torch.arange(96.0)
    with emulator.record({}) as launches:
        copy(dsl, 2, storage[:64], storage[32:])
    assert torch.equal(storage[:64], torch.arange(32.0).repeat(2))
    assert [race.kind for race in launches[0].report.races] == ["race"]


@pytest.mark.parametrize("dsl", DSLS)
def test_one_tensor_twice_and_a_shuffled_order(emulator, copy, dsl):
    x = torch.rand(2048)
    kept = x.clone()
    emulator.shuffle = 7
    with emulator.record({"both": x}) as launches:
        copy(dsl, 64, x, x)
    assert torch.equal(x, kept)
    assert launches[0].report.ok


def test_what_is_lent_is_named_by_the_operation_or_else_by_the_kernel(emulator, copy):
    x = torch.rand(16)
    for tensors, name in (({"named": x}, "named"), ({"other": torch.rand(16)}, "x")):
        with emulator.record(tensors), pytest.raises(ptxvm.Fault) as caught:
            copy("triton", 1, x, torch.zeros(32))
        assert caught.value.finding.object.startswith(f"{name}[16]")
    with emulator.record({"rows": x.view(4, 4)}), pytest.raises(ptxvm.Fault) as caught:
        copy("numba", 1, x, torch.zeros(32))
    assert caught.value.finding.object.startswith("rows[")


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "complex128", "bool", "int8", "uint32"])
def test_tensors_of_every_type_are_lent(emulator, dtype):
    tensor = torch.zeros(5, dtype=getattr(torch, dtype))
    with emulator._bound([Tensor(tensor, "x"), np.int32(1), Tensor(tensor[2:], "y")]) as bound:
        start, number, inside = bound
        assert number == 1
        assert inside.address - start.address == 2 * tensor.element_size()


# -- launches recorded -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dsl", DSLS)
def test_a_launch_that_is_only_compiled(emulator, copy, dsl):
    emulator.execute = False
    out = torch.full((64,), math.nan)
    with emulator.record({}) as launches:
        copy(dsl, 2, torch.rand(64), out)
    assert out.isnan().all()
    (launch,) = launches
    assert (launch.dsl, launch.grid, launch.report, launch.not_executed) == (dsl, (2, 1, 1), None, None)
    assert f".visible .entry {launch.entry}(" in launch.ptx


def test_what_ptxvm_cannot_execute_is_said_of_the_launch(emulator):
    import cupy

    code = 'extern "C" __global__ void clustered(float* out) { asm volatile("griddepcontrol.wait;"); out[0] = 1; }'
    out = torch.zeros(1)
    with emulator.record({}) as launches:
        cupy.RawKernel(code, "clustered")((1,), (1,), (cupy.asarray(out),))
    assert out.item() == 0
    assert launches[0].report is None
    assert "griddepcontrol.wait" in launches[0].not_executed


def test_launches_belong_to_the_record_that_they_are_made_in(emulator, copy):
    x = torch.rand(32)
    with emulator.record({}) as outer:
        copy("numba", 1, x, x.clone())
        with emulator.apart() as hidden:
            copy("cupy", 1, x, x.clone())
        copy("triton", 1, x, x.clone())
    copy("numba", 1, x, x.clone())
    assert [launch.dsl for launch in outer] == ["numba", "triton"]
    assert [launch.dsl for launch in hidden] == ["cupy"]


def test_the_limits_are_the_cards():
    assert Emulator("sm_90").shared_bytes == 232_448  # 227 KiB
    assert Emulator("sm_120").capability == (12, 0)
    unknown = Emulator("sm_30")
    assert (unknown.card, unknown.shared_bytes) == (None, 49_152)


def test_a_dsl_is_hooked_when_it_is_imported_and_no_other_is_loaded():
    program = """
import sys
from warpbench.backends.emulated import Emulator
emulator = Emulator("sm_86")
emulator.install()
assert not {"triton", "numba", "cupy"} & set(sys.modules)
import torch
from numba import cuda
assert not {"triton", "cupy"} & set(sys.modules)
out = torch.zeros(2)
@cuda.jit
def ones(out):
    out[cuda.threadIdx.x] = 1
ones[1, 2](out)
print(out.tolist())
"""
    assert without_hooks(program) == "[1.0, 1.0]\n"


def test_a_part_of_a_grid_and_whoever_watches(emulator, copy):
    """What an autotuner gets: blocks spread evenly; the watcher is told of each launch, also of one that stops."""
    seen = []
    emulator.watch = lambda launch, apart: seen.append((launch.blocks, launch.report.ok, apart))
    emulator.blocks = 4
    x, out = torch.rand(320), torch.zeros(320)
    try:
        copy("numba", 10, x, out)
        emulator.blocks = None
        with emulator.apart():
            copy("numba", 10, x, out.clone())
        with pytest.raises(ptxvm.Fault):
            copy("numba", 11, x, out.clone())
    finally:
        emulator.watch = emulator.blocks = None
    assert seen == [(4, True, False), (None, True, True), (None, False, False)]
    assert out.view(10, 32).any(1).nonzero().flatten().tolist() == [0, 2, 5, 7]


def test_threads_launch_one_after_another(emulator, copy, monkeypatch):
    inside, most = [], []
    real = emulator.device.launch

    def launch(*args, **options):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.01)
        report = real(*args, **options)
        inside.pop()
        return report

    monkeypatch.setattr(emulator.device, "launch", launch)
    x, outs = torch.rand(64), [torch.zeros(64) for _ in range(3)]
    copy("numba", 2, x, outs[0])
    threads = [threading.Thread(target=copy, args=("numba", 2, x, out)) for out in outs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4
    assert all(torch.equal(out, x) for out in outs)


def test_blocks_that_wait_for_others_are_run_with_all_of_them(emulator, monkeypatch):
    """A part of the grid would wait for ever for the blocks that are left out."""
    monkeypatch.setattr(ptxvm.schedule, "IDLE_LIMIT", 500)  # found out soon
    from numba import cuda

    @cuda.jit
    def all_come(count):
        cuda.atomic.add(count, 0, 1)
        while cuda.atomic.add(count, 0, 0) < cuda.gridDim.x:
            pass

    seen, told = [], []
    emulator.watch = lambda launch, apart: seen.append((launch.blocks, launch.report.ok))
    emulator.progress = lambda launch: contextlib.nullcontext(lambda done, total: told.append((done, total)))
    emulator.blocks = 4
    count = np.zeros(1, np.int32)
    try:
        all_come[8, 1](count)
    finally:
        emulator.watch, emulator.blocks = None, None
        emulator.progress = lambda launch: contextlib.nullcontext()
    assert seen == [(None, True)]
    assert told == [(8, 8)]
    assert count[0] == 8


def test_an_address_that_is_shown_stays_good(emulator):
    """A number in place of a tensor, also of a part of one; what the kernel writes is seen on the host."""
    import cupy

    kernel = cupy.RawModule(code=CUDA).get_function("copied")
    x, out = torch.rand(96), np.zeros(64, np.float32)
    address, target = emulator.show(x[32:]), emulator.show(out)
    assert emulator.show(x) == address - 128
    for grid in (1, 2):
        kernel((grid,), (32,), (address, target))
        assert np.array_equal(out[: 32 * grid], x[32 : 32 + 32 * grid].numpy())
    x[32:] = 7
    kernel((1,), (32,), (address, target))
    assert (out[:32] == 7).all()
    with pytest.raises(ptxvm.Fault):
        kernel((3,), (32,), (address, target))
    for _, pointer in emulator._shown.values():
        emulator.device.release(pointer)
    emulator._shown.clear()


@pytest.mark.parametrize("dsl", ["numba", "cupy"])
def test_numpy_arrays_share_their_owners_memory(emulator, copy, dsl):
    """Two views of one array are one memory, as two views of a tensor are; one that is read-only is not written."""
    import cupy

    from warpbench.backends.emulated import OnCard

    whole = np.arange(96, dtype=np.float32).view(OnCard)
    x, out = whole[:32], whole[64:]
    with emulator.record({}) as launches:
        if dsl == "numba":
            copy("numba", 1, x, out)
        else:
            cupy.RawModule(code=CUDA).get_function("copied")((1,), (32,), (x, out))
    assert launches[0].report.ok
    assert whole.tolist() == [*range(64), *range(32)]
    fixed = np.zeros(32, np.float32)
    fixed.flags.writeable = False
    with emulator._bound([Tensor(fixed, "x")]) as (pointer,):
        assert pointer.allocation.storage.flags.writeable
        pointer.allocation.storage[:] = 1
    assert not fixed.any()


# -- cost ------------------------------------------------------------------------------------------------------------
def counted(grid, **counters):
    report = SimpleNamespace(counters=SimpleNamespace(
        **{"instructions": 0, "sectors": 0, "shared_wavefronts": 0, "atomics": 0, "mma": 0, **counters}
    ))  # fmt: skip
    return Launch("triton", "k", "k", "", "sm_86", grid, (32, 1, 1), 0, report=report)


def test_the_cost_is_the_work_of_the_busiest_sm():
    work = {"instructions": 100, "sectors": 10, "shared_wavefronts": 5, "atomics": 1, "mma": 2}
    total = 100 + 2 * 10 + 4 * 5 + 4 * 1 + 16 * 2
    assert cost([counted((1, 1, 1), **work)], sms=82) == total
    assert cost([counted((82, 1, 1), **work)], sms=82) == pytest.approx(total / 82)
    assert cost([counted((41, 2, 2), **work)], sms=82) == pytest.approx(2 * total / 164)
    assert cost([counted((83, 1, 1), **work)], sms=82) == pytest.approx(2 * total / 83)
    assert cost([counted((1, 1, 1), **work)] * 3, sms=1) == 3 * total
    assert cost([], sms=82) == 0
    sampled = counted((820, 1, 1), **work)
    sampled.blocks = 10  # the work is that of ten blocks; the busiest SM has ten of the 820
    assert cost([sampled], sms=82) == pytest.approx(total)
    not_run = Launch("triton", "k", "k", "", "sm_86", (1, 1, 1), (32, 1, 1), 0)
    assert cost([counted((1, 1, 1), **work), not_run], sms=82) == math.inf


# -- PTX as the compilers give it ------------------------------------------------------------------------------------
def without_hooks(program, **environment):
    """What a program prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


OF_TRITON = """
import importlib.util, sys, triton
from triton.backends.compiler import GPUTarget
spec = importlib.util.spec_from_file_location("kernels_of_the_test", {file!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
aligned = {{(i,): [["tt.divisibility", 16]] for i in range(2)}}
source = triton.compiler.ASTSource(
    module.copied, {{"x": "*fp32", "out": "*fp32", "BLOCK": "constexpr"}}, {{(2,): 256}}, aligned
)
compiled = triton.compile(source, target=GPUTarget("cuda", 86, 32), options={{"num_warps": 2}})
assert compiled.asm["cubin"][:4] == b"\\x7fELF"
sys.stdout.write(compiled.asm["ptx"])
"""


@pytest.mark.slow
def test_ptx_is_tritons_and_the_caches_do_not_meet(emulator, tmp_path, monkeypatch):
    """Both orders in one cache folder: a cubin where PTX is wanted, or PTX for a card, would stop the second."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler.compiler import make_backend

    assert make_backend(GPUTarget("cuda", 86, 32)).hash().endswith("-ptxvm")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    program = OF_TRITON.format(file=__file__)
    theirs = without_hooks(program)
    x = torch.rand(1024)
    for _ in range(2):  # compiled, then from the folder
        copied.device_caches.clear()
        with emulator.record({}) as launches:
            copied[(4,)](x, x.clone(), BLOCK=256, num_warps=2)
        assert launches[0].ptx == theirs
    assert without_hooks(program) == theirs
    assert len(list(tmp_path.rglob("*.ptx"))) == 2
    assert len(list(tmp_path.rglob("*.cubin"))) == 1


IN_NUMBA = """
import math
from numba import cuda, float32

@cuda.jit(lineinfo=True)
def plain(x, out):
    tile = cuda.shared.array(64, float32)
    tile[cuda.threadIdx.x] = x[cuda.grid(1)]
    cuda.syncthreads()
    out[cuda.grid(1)] = math.exp(tile[63 - cuda.threadIdx.x]) / x[0]

@cuda.jit(lineinfo=True, fastmath=True, launch_bounds=128, max_registers=32)
def fast(x, out):
    out[cuda.grid(1)] = math.exp(x[cuda.grid(1)]) / x[0]
"""

OF_NUMBA = """
import json, sys
from types import SimpleNamespace
from numba.cuda import api, codegen, compiler, dispatcher, types

device = SimpleNamespace(compute_capability=(8, 6))  # all that a compilation asks of a card
for module in (api, compiler, dispatcher):
    module.get_current_device = lambda: device
codegen.devices.get_context = lambda: SimpleNamespace(device=device)
sys.path.insert(0, {folder!r})
import kernels_of_the_test as kernels

vector = types.Array(types.float32, 1, "C")
out = dict()
for kernel in (kernels.plain, kernels.fast):
    compiled = dispatcher._Kernel(kernel.py_func, (vector, vector), **kernel.targetoptions)
    out[kernel.py_func.__name__] = compiled.inspect_asm((8, 6))
json.dump(out, sys.stdout)
"""


def nameless(ptx):
    """Without the name of Numba's environment, which nothing reads and which spells the options."""
    return re.sub(r"_ZN08NumbaEnv\w+", "environment", ptx)


def test_ptx_is_numbas(emulator, tmp_path, monkeypatch):
    """But for names: Numba's hold a running number, ours are settled."""
    from warpbench.backends import numba as hook

    (tmp_path / "kernels_of_the_test.py").write_text(IN_NUMBA)
    found = json.loads(without_hooks(OF_NUMBA.format(folder=str(tmp_path))))
    monkeypatch.syspath_prepend(tmp_path)
    import kernels_of_the_test as kernels

    for name, theirs in found.items():
        with emulator.record({}) as launches:
            getattr(kernels, name)[1, 64](torch.rand(64), torch.zeros(64))
        expected, _ = hook._settled(theirs, name)
        assert nameless(launches[0].ptx) == nameless(expected)
        assert (".maxntid 128" in expected) == (name == "fast")
    assert set(found) == {"plain", "fast"}


OF_CUPY = """
import sys
from cupy._core import core
from cupy.cuda import compiler

# what would ask a card, or NVRTC for machine code: see CUPY_COMPILE_WITH_PTX
compiler._get_arch_for_options_for_nvrtc = lambda arch=None: ("-arch=compute_86", "ptx")
compiler._preprocess = lambda *args: ""
compiling = compiler._NVRTCProgram.compile

def printed(program, options=(), log_stream=None):
    ptx, _ = compiling(program, options, log_stream)
    sys.stdout.write(ptx.decode() if isinstance(ptx, bytes) else ptx)
    sys.exit()

compiler._NVRTCProgram.compile = printed
core.compile_with_cache({code!r}, ("-lineinfo",), arch="86", prepend_cupy_headers=False)
"""


def test_ptx_is_cupys(emulator):
    """But for lines: here the source is part of a Python file."""
    import cupy

    theirs = without_hooks(OF_CUPY.format(code=CUDA), CUPY_CACHE_IN_MEMORY="1")
    x, out = torch.rand(64), torch.zeros(64)
    with emulator.record({}) as launches:
        cupy.RawModule(code=CUDA).get_function("softened")((1,), (64,), (cupy.asarray(x), cupy.asarray(out)))
    ours, theirs = (re.sub(r"^\s*\.(file|loc).*\n", "", ptx, flags=re.MULTILINE) for ptx in (launches[0].ptx, theirs))
    assert ours == theirs.rstrip("\0")
    assert "ex2.approx.ftz.f32" in ours


def test_compiled_sources_are_kept_by_all_that_they_depend_on(emulator, tmp_path):
    from warpbench.backends.cupy import compile_source

    code = 'extern "C" __global__ void k(float* out) { out[0] = VALUE; }'
    file = str(tmp_path / "k.cu")
    texts = [
        compile_source(code, at, arch, (f"-DVALUE={value}",))[0]
        for at, arch, value in (
            (file, "sm_86", 1), (file, "sm_86", 2), (file, "sm_90", 1), (str(tmp_path / "l.cu"), "sm_86", 1),
        )
    ]  # fmt: skip
    assert len(set(texts)) == 4
    assert compile_source(code, file, "sm_86", ("-DVALUE=1",))[0] == texts[0]
