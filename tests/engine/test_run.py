"""`warpbench run`: anybody's script, as Python runs it, with a card pretended; then a report of what it launched."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

from tests.engine.commands import Checkout
from warpbench import errors
from warpbench.backends.cupy import names_of
from warpbench.backends.pretend_cupy_kernels import Parameter, parameters


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return Checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def script(tmp_path):
    """script(text, name): a file that holds it."""

    def write(text, name="script.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return str(path)

    return write


def report_of(done):
    """What stands on stderr from the report on."""
    assert "warpbench: " in done.err
    return done.err[done.err.rindex("warpbench: ") :]


def row_of(report, kernel):
    """The cells of a kernel's row: kernel, dsl, grid, block, launches, findings."""
    line = next(line for line in report.splitlines() if line.startswith(f"{kernel} ") and "  " in line)
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


# -- the three DSLs, each as its users write it --------------------------------------------------------------------
IN_TRITON = """
import math
import torch, triton, triton.language as tl
import triton.testing

DEVICE = triton.runtime.driver.active.get_active_torch_device()
device = torch.device("cuda")

@triton.autotune([triton.Config({"BLOCK": 64}), triton.Config({"BLOCK": 1024})], key=["n"])
@triton.jit
def scaled(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, 2 * tl.load(x + i, mask=i < n), mask=i < n)

@triton.jit
def through_a_table(table, out, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    x = tl.load(table + tl.program_id(0)).to(tl.pointer_type(tl.float32))
    tl.store(out + tl.program_id(0) * BLOCK + i, tl.load(x + i))

torch.manual_seed(0)
x = torch.rand(40000, device=DEVICE)
assert x.is_cuda and x.device == DEVICE and x.to("cuda:0").cuda().get_device() == 0 and not x.is_cpu
out = torch.empty_like(x)
grid = lambda meta: (triton.cdiv(x.numel(), meta["BLOCK"]),)
begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
begin.record(); scaled[grid](x, out, x.numel()); end.record()
torch.cuda.synchronize()
assert torch.equal(out, 2 * x)
assert math.isnan(begin.elapsed_time(end)) and math.isnan(triton.testing.do_bench(lambda: scaled[grid](x, out, 40000)))

parts = [torch.rand(32, device=device) for _ in range(3)]
joined = torch.empty(96, device=device)
through_a_table[(3,)](torch.tensor([one.data_ptr() for one in parts], device="cuda"), joined, BLOCK=32)
assert torch.equal(joined, torch.cat(parts))

@triton.testing.perf_report(triton.testing.Benchmark(["n"], [2**30], "how", ["mine"], ["mine"], "the sweep", {}))
def sweep(n, how):
    raise SystemExit("a sweep of times was run")
sweep.run(print_data=True)

compiled = scaled.fn.warmup(x, out, 40000, BLOCK=64, grid=(1,))
compiled._init_handles()
assert 0 < compiled.n_regs < 256 and compiled.n_spills == 0
model = torch.nn.Linear(4, 2).to("cuda")
assert model(torch.ones(3, 4, device="cuda")).shape == (3, 2) and next(model.parameters()).is_cuda
generator = torch.Generator(device="cuda").manual_seed(1)
assert torch.equal(torch.rand(5, device="cuda", generator=generator), torch.rand(5, generator=generator.manual_seed(1)))
properties = torch.cuda.get_device_properties(0)
print(torch.cuda.get_device_name(), properties.multi_processor_count, torch.cuda.get_device_capability())
"""


def test_triton(checkout, script):
    done = checkout.run("run", "--gpu", "rtx4090", script(IN_TRITON))
    assert done.code == errors.OK, done.err
    assert done.out == "GeForce RTX 4090 128 (8, 9)\n"
    assert done.err.count("nothing is timed without a card") == 2  # a time, and the sweep
    report = report_of(done)
    assert report.startswith(
        "warpbench: 5 launches on ptxvm, counted for GeForce RTX 4090 (sm_89); nothing was timed\n"
    )
    assert row_of(report, "through_a_table")[-1] == "none"
    benchmarks = [line for line in report.splitlines() if "by a benchmark or autotuner" in line]
    assert len(benchmarks) == 3  # two configurations, and do_bench
    assert sum(line.endswith("4 blocks of the grid") for line in benchmarks) == 2


IN_NUMBA = """
import math
import numpy as np
from numba import cuda

table = cuda.to_device(np.arange(8, dtype=np.float32))

@cuda.jit
def axpy(a, x, y):
    i = cuda.grid(1)
    if i < y.size:
        y[i] += a * x[i] + table[i % 8]

assert cuda.is_available() and cuda.get_current_device().compute_capability == (8, 6)
x = np.linspace(0, 1, 1000).astype(np.float32)
stream = cuda.stream()
begin, end = cuda.event(), cuda.event()
d_x, d_y = cuda.to_device(x, stream=stream), cuda.device_array(1000, dtype=np.float32)
d_y[:] = 1
begin.record(stream)
for _ in range(3):
    axpy[4, 256, stream](np.float32(2), d_x, d_y)
end.record(stream)
stream.synchronize()
host = d_y.copy_to_host()
np.testing.assert_allclose(host, 1 + 3 * (2 * x + np.arange(1000) % 8), rtol=1e-6)
host[:] = 0
assert d_y[1] > 0, "a copy on the host is a copy"
into = cuda.pinned_array(1000, dtype=np.float32)
assert d_y.copy_to_host(into) is into and into[1] == d_y[1]
assert math.isnan(cuda.event_elapsed_time(begin, end))
try:
    d_x + 1
except TypeError:
    pass
else:
    raise SystemExit("a device array has no arithmetic")
y = np.ones(1000, dtype=np.float32)
axpy[4, 256](np.float32(0), x, y)  # a host array goes there and back
assert y[3] == 4
assert axpy.get_regs_per_thread().popitem()[1] > 0

@cuda.jit("void(int32[::1])")
def together(x):
    cuda.cg.this_grid().sync()

assert together.get_regs_per_thread() > 0, "nothing is left to link"

@cuda.jit
def named(record):
    record.b = record.a + 1

records = np.zeros(3, np.dtype([("a", np.float64), ("b", np.float64)]))
named[1, 1](records[1])
assert records["b"].tolist() == [0, 1, 0]
assert cuda.to_device(np.arange(6.0).reshape(2, 3)).T.shape == (3, 2)
assert int(cuda.external_stream(7)) == 7 and int(cuda.stream()) == 0 and cuda.detect()
assert isinstance(np.add(d_y, 1), np.ndarray) and type(np.sqrt(d_y)) is np.ndarray, "NumPy gives arrays of the host"
assert type(np.concatenate([d_y, d_y])) is np.ndarray and d_y.__cuda_array_interface__["data"][0] == d_y.device_pointer
try:
    cuda.to_device(np.zeros((4, 4))[:, ::2])
except ValueError as error:
    assert "not contiguous" in str(error)
else:
    raise SystemExit("Numba copies whole pieces of memory only")
states = cuda.device_array((2, 3), order="F")
assert states.is_f_contiguous() and states.copy_to_host().flags.f_contiguous
"""


def test_numba(checkout, script):
    done = checkout.run("run", "--report", script(IN_NUMBA))
    assert done.code == errors.OK, done.err
    report = report_of(done)
    assert " 5 launches on ptxvm, counted for GeForce RTX 3090 (sm_86)" in report
    assert row_of(report, "axpy") == ["axpy", "numba", "4", "256", "4", "none"]
    (line,) = [line for line in report.splitlines() if line.startswith("script.py:12 ")]
    assert "y[i] += a * x[i] + table[i % 8]" in line
    assert "bank conflicts add" in report


IN_CUPY = r'''
import math
import cupy as cp
import numpy as np
from cupyx.profiler import benchmark

source = r"""
__constant__ float factor[2];
extern "C" __global__ void scaled(const float* x, float* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = factor[i % 2] * x[i];
}
template <typename T> __global__ void filled(T* out) { out[threadIdx.x] = T(threadIdx.x); }
"""
module = cp.RawModule(code=source, name_expressions=("filled<int>",))
factor = cp.ndarray((2,), cp.float32, module.get_global("factor"))
factor[...] = cp.array([2, 3], cp.float32)
x = cp.arange(100, dtype=cp.float32)
out = cp.empty_like(x)
begin, end = cp.cuda.Event(), cp.cuda.Event()
with cp.cuda.Stream() as stream:
    begin.record(stream)
    scaled = module.get_function("scaled")
    scaled((1,), (128,), (x, out, np.int32(100)))
    end.record(stream)
    stream.synchronize()
want = np.where(np.arange(100) % 2, 3, 2) * np.arange(100)
cp.testing.assert_array_equal(out, want)
out.fill(0)
scaled((1,), (128,), (x.data.ptr, out.data.ptr, np.int32(100)))
assert (cp.asnumpy(out) == want).all() and isinstance(out.get(), np.ndarray) and not isinstance(out.get(), cp.ndarray)
whole = cp.zeros(32, dtype=cp.int32)
module.get_function("filled<int>")((1,), (32,), (whole,))
assert int(whole.sum()) == 496 and isinstance(whole.sum(), cp.ndarray) and isinstance(whole[3], cp.ndarray)

difference = cp.ElementwiseKernel("T x, T y", "T z", "z = (x - y) * (x - y)", "squared_difference")
a, b = cp.arange(6.0).reshape(2, 3), cp.arange(3.0)
assert cp.array_equal(difference(a, b), (a - b) ** 2) and cp.array_equal(difference(a.T, 1.0), (a.T - 1) ** 2)
reverse = cp.ElementwiseKernel("T x, raw T y", "T z", "z = x + y[_ind.size() - 1 - i]", "add_reverse")
assert reverse(b, b).tolist() == [2, 2, 2]
turn = cp.ElementwiseKernel("raw T x", "T z", "int at[] = {(int)i % 3, (int)i / 3}; z = x[at]", "turned")
assert turn(cp.arange(6.0).reshape(3, 2), size=6).tolist() == [0, 2, 4, 1, 3, 5]
norm = cp.ReductionKernel("T x", "T y", "x * x", "a + b", "y = sqrt(a)", "0", "l2norm")
assert cp.allclose(norm(a, axis=1), cp.linalg.norm(a, axis=1)) and cp.allclose(norm(a), cp.linalg.norm(a))
assert norm(a.T, axis=0, keepdims=True).shape == (1, 2)

try:
    x + np.ones(100)
except TypeError as error:
    assert "numpy.ndarray" in str(error)
else:
    raise SystemExit("CuPy's arrays do not mix with NumPy's")
assert cp.random.rand(3, dtype=cp.float32).dtype == cp.float32 and cp.get_array_module(x) is cp
assert math.isnan(cp.cuda.get_elapsed_time(begin, end)) and np.isnan(benchmark(norm, (a,)).gpu_times).all()
assert scaled.num_regs > 0 and cp.cuda.Device().compute_capability == "75"
print(cp.cuda.runtime.getDeviceProperties(0)["name"].decode())
'''


def test_cupy(checkout, script):
    done = checkout.run("run", "--gpu", "t4", script(IN_CUPY))
    assert done.code == errors.OK, done.err
    assert done.out == "Tesla T4\n"
    report = report_of(done)
    assert row_of(report, "scaled") == ["scaled", "cupy", "1", "128", "2", "none"]
    assert "filled<int> " in report


# -- what is wrong -------------------------------------------------------------------------------------------------
BROKEN = """
import numpy as np
from numba import cuda

@cuda.jit
def shifted(x, out):
    i = cuda.grid(1)
    out[i] = x[i + 1]

@cuda.jit
def summed(x, out):
    tile = cuda.shared.array(64, np.float32)
    i = cuda.threadIdx.x
    tile[i] = x[i]
    out[i] = tile[63 - i]

def main():
    x, out = np.ones(64, np.float32), np.zeros(64, np.float32)
    for _ in range(2):
        summed[1, 64](x, out)
    print("first", flush=True)
    shifted[2, 32](x, out)
    print("never")

main()
"""


def test_a_fault_ends_the_script_with_its_own_lines_only(checkout, script):
    path = script(BROKEN)
    done = checkout.run("run", path)
    assert (done.code, done.out) == (errors.WRONG, "first\n")
    trace, _, report = done.err.partition("warpbench: ")
    assert trace.splitlines()[0] == "Traceback (most recent call last):"
    assert {line.split('"')[1] for line in trace.splitlines() if line.startswith("  File ")} == {path}
    assert "out of bounds: load of 4 bytes\n  script.py:8   out[i] = x[i + 1]\n  block 1, thread 31\n  x[64]" in trace
    assert [row_of(report, name)[4] for name in ("summed", "shifted")] == ["2", "1"]
    assert "\nsummed (grid 1, block 64, 2 of 2 launches)\nrace: " in report
    assert "script.py:14   tile[i] = x[i]" in report
    assert "script.py:15   out[i] = tile[63 - i]" in report


@pytest.mark.slow
def test_json_stands_alone_on_stdout(checkout, script):
    path = script(BROKEN.replace("shifted[", "summed["))
    done = checkout.run("run", "--json", path, "--gpu", "3")
    assert done.code == errors.WRONG  # the race; the script itself ends well
    assert done.err == "first\nnever\n"
    assert (done.data["script"], done.data["arguments"], done.data["script_code"]) == (path, ["--gpu", "3"], 0)
    both = {tuple(row["grid"]): row for row in done.data["launches"]}
    assert {grid: row["launches"] for grid, row in both.items()} == {(1, 1, 1): 2, (2, 1, 1): 1}
    row = both[1, 1, 1]
    (finding,) = row["findings"]
    assert (finding["kind"], finding["line"], finding["other"]["line"], finding["launches"]) == ("race", 14, 15, 2)
    # 2 launches of 2 warps that load and store 4 bytes a lane
    assert (row["counters"]["requests"], row["counters"]["sectors"]) == (8, 32)
    assert sum(line["sectors"] for line in row["lines"]) == 32


def test_an_argument_that_is_refused_is_in_the_report(checkout, script):
    path = script("""
        import cupy
        code = 'extern "C" __global__ void filled(float* out, float value) { out[threadIdx.x] = value; }'
        filled = cupy.RawKernel(code, "filled")
        try:
            filled((1,), (8,), (cupy.zeros(8, cupy.float32), 0.5))
        except Exception as error:
            print(type(error).__name__)
    """)
    done = checkout.run("run", path)
    assert (done.code, done.out) == (errors.WRONG, "Fault\n")
    assert row_of(report_of(done), "filled") == ["filled", "cupy", "1", "8", "1", "1 finding"]
    assert "wrong argument type: a Python float is passed as 8 bytes" in done.err
    assert "\n  argument value\n" in done.err


def test_what_cannot_be_executed_is_said_and_is_no_success(checkout, script):
    path = script("""
        import cupy
        out = cupy.zeros(1)
        code = 'extern "C" __global__ void waits(float* out) { asm volatile("griddepcontrol.wait;"); out[0] = 1; }'
        cupy.RawKernel(code, "waits")((1,), (1,), (out,))
    """)
    done = checkout.run("run", path)
    assert done.code == errors.NOT_RUN
    assert "not executed, so its results are missing: waits: " in report_of(done)


# -- as plain Python -----------------------------------------------------------------------------------------------
PLAIN = {
    "arguments": "import sys; print(sys.argv, sys.path[0], __name__, __file__, __spec__, globals().get('path'))",
    "a code": "import sys; print('out'); sys.exit(3)",
    "a text": "import sys; sys.exit('no such thing')",
    "no code": "import sys; sys.exit()",
    "an error": "def f():\n    raise ValueError\ntry:\n    f()\nexcept ValueError as e:\n    raise KeyError from e",
    "a hook": "import sys\nsys.excepthook = lambda *error: print('mine', error[0].__name__)\n1 / 0",
    "encoding": "# -*- coding: latin-1 -*-\nprint('é')",
    "a neighbour": "import neighbour, pickle\nclass C: pass\nprint(neighbour.x, type(pickle.loads(pickle.dumps(C()))))",
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_script_runs_as_in_plain_python(checkout, script, name):
    path = script(PLAIN[name])
    script("x = 1", "neighbour.py")
    words = [path, "--debug", "--report", "a b", "--", "-x"]
    plain = subprocess.run(
        [sys.executable, *words], env=checkout.environment({}), capture_output=True, text=True, check=False
    )
    done = checkout.run("run", *words)
    said, _, report = done.err.partition("warpbench: ")
    assert (done.code, done.out, said) == (plain.returncode, plain.stdout, plain.stderr)
    assert report == "the script launched no kernel of Triton, Numba or CuPy; nothing was counted.\n"


def test_ctrl_c_gives_the_report_of_what_was_done(checkout, script):
    path = script("""
        import numpy as np
        from numba import cuda
        @cuda.jit
        def ones(x):
            x[cuda.grid(1)] = 1
        while True:
            ones[1, 32](np.zeros(32))
            print("launched", flush=True)
    """)
    with checkout.started("run", path) as process:
        assert process.stdout.readline() == "launched\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == errors.INTERRUPTED
    assert "KeyboardInterrupt" in said
    assert f"{checkout.root}" not in said
    assert "ones    numba  1     32" in said


# -- small parts ---------------------------------------------------------------------------------------------------
def test_names_of_parameters_are_read_from_plain_sources():
    code = """
    // void k(int no) {
    template <typename T> __global__ void k(const T* __restrict__ x, /* the result */ T *out, int n[4]) { }
    __global__ void odd(void (*f)(int), float x) { }
    """
    assert names_of(code, "k<float>") == ["x", "out", "n"]
    assert names_of(code, "odd") == []
    assert names_of(code, "absent") == []


def test_parameters_of_an_elementwise_kernel():
    assert parameters("T x, raw const float32 y, ") == [Parameter("T", "x", False), Parameter("float32", "y", True)]
    with pytest.raises(ValueError, match='"x" is no parameter of a kernel'):
        parameters("T y, x")
