"""CuPy's launches on CPU tensors: its own syntax, scalars as it packs them, its own refusals."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import ptxvm
from warpbench.errors import KernelWrong

HERE = Path(__file__)
SOURCE = r"""
struct Triple { int a; float b; double c; };
__constant__ float table[2] = {3, 4};

extern "C" __global__ void doubled(const float* x, float* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = 2 * x[i];
}
extern "C" __global__ void unguarded(const float* x, float* out) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = x[i];  // the faulty line
}
extern "C" __global__ void numbers(float f, int i, double d, bool b, unsigned char c, short s, long long q,
                                   double* out) {
    double all[] = {f, (double)i, d, (double)b, (double)c, (double)s, (double)q};
    for (int k = 0; k < 7; k++) out[k] = all[k];
}
extern "C" __global__ void of_a_struct(Triple t, double* out) { out[0] = t.a; out[1] = t.b; out[2] = t.c; }
extern "C" __global__ void turned(float* out) {
    extern __shared__ float tile[];
    tile[threadIdx.x] = threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}
extern "C" __global__ void in_order(int* out) {
    out[(blockIdx.z * gridDim.y + blockIdx.y) * blockDim.y + threadIdx.y] = gridDim.y * 10 + blockDim.y;
}
extern "C" __global__ void from_the_table(float* out) { out[threadIdx.x] = table[threadIdx.x]; }
extern "C" __global__ void tiny_numbers(float* out) { out[0] *= 0.5f; }
float not_marked(float v) { return v + 1; }
extern "C" __global__ void calls_it(float* out) { out[0] = not_marked(out[0]); }
template <typename T> __global__ void size_of(float* out) { out[0] = sizeof(T); }
__global__ void mangled(float* out) { out[0] = 1; }
"""


@pytest.fixture(scope="module")
def module(emulated):
    import cupy

    return cupy.RawModule(code=SOURCE, name_expressions=["size_of<double>", "mangled"])


@pytest.fixture
def emulator(emulated):
    emulated.emulator.execute, emulated.emulator.shuffle = True, None
    return emulated.emulator


def asarray(tensor):
    import cupy

    return cupy.asarray(tensor)


# -- its own syntax --------------------------------------------------------------------------------------------------
def test_a_launch_over_cpu_tensors(emulator, module):
    x, out = torch.rand(50), torch.full((50,), math.nan)
    with emulator.record({"x": x, "out": out}) as launches:
        module.get_function("doubled")((2,), (32,), (asarray(x), asarray(out), np.int32(50)))
    assert torch.equal(out, x * 2)
    (launch,) = launches
    assert (launch.dsl, launch.kernel, launch.arch) == ("cupy", "doubled", "sm_86")
    assert (launch.grid, launch.block, launch.dynamic_shared_bytes) == ((2, 1, 1), (32, 1, 1), 0)
    assert launch.report.ok


def test_a_raw_kernel(emulator):
    import cupy

    kernel = cupy.RawKernel('extern "C" __global__ void one(float* out) { out[threadIdx.x] = 1; }', "one", ("-DX",))
    out = torch.zeros(4)
    kernel((1,), (4,), [cupy.from_dlpack(out)], stream=None)
    assert out.tolist() == [1, 1, 1, 1]


def test_three_axes_of_grid_and_block(emulator, module):
    out = torch.zeros(4, 3, 2, dtype=torch.int32)
    module.get_function("in_order")((1, 3, 4), (1, 2), (asarray(out),))
    assert (out == 32).all()


@pytest.mark.parametrize(("grid", "block"), [((0,), (1,)), ((1,), (0,)), ((-1, 0), (1, 1)), ((1, 1, 1, 9), (1,))])
def test_empty_axes_count_as_one_and_a_fourth_is_not_looked_at(emulator, module, grid, block):
    out = torch.zeros(1)
    with emulator.record({}) as launches:
        module.get_function("mangled")(grid, block, (asarray(out),))
    assert out.item() == 1
    assert (launches[0].grid, launches[0].block) == ((1, 1, 1), (1, 1, 1))


def test_dynamic_shared_memory(emulator, module):
    turned, out = module.get_function("turned"), torch.zeros(32)
    turned((1,), (32,), (asarray(out),), shared_mem=128)
    assert torch.equal(out, torch.arange(32.0).flip(0))
    with pytest.raises(ptxvm.LaunchError, match="asks for 50,000 bytes of dynamic shared memory; without asking"):
        turned((1,), (32,), (asarray(out),), shared_mem=50_000)
    turned.max_dynamic_shared_size_bytes = 50_000
    turned((1,), (32,), (asarray(out),), shared_mem=50_000)
    turned.max_dynamic_shared_size_bytes = 200_000
    with pytest.raises(ptxvm.LaunchError, match="turned asks for 200,000 bytes of shared memory a block; the card has"):
        turned((1,), (32,), (asarray(out),), shared_mem=200_000)
    with pytest.raises(ptxvm.Fault, match="was dynamic shared memory passed at the launch"):
        turned((1,), (32,), (asarray(out),))


def test_constants_templates_and_mangled_names(emulator, module):
    out = torch.zeros(2)
    module.get_function("from_the_table")((1,), (2,), (asarray(out),))
    assert out.tolist() == [3, 4]
    module.get_function("size_of<double>")((1,), (1,), (asarray(out),))
    assert out[0] == 8


def test_the_options_that_cupy_adds(emulator, module):
    """-ftz=true: denormal numbers are 0. And a function without a mark is one of the device."""
    out = torch.tensor([1.5e-38])
    module.get_function("tiny_numbers")((1,), (1,), (asarray(out),))
    assert out.item() == 0
    module.get_function("calls_it")((1,), (1,), (asarray(out),))
    assert out.item() == 1


def test_headers_of_the_toolkit_and_of_cupy(emulator):
    import cupy

    code = """
    #include <cuda_fp16.h>
    #include <cooperative_groups.h>
    #include <cuda/std/limits>
    #include <cupy/complex.cuh>
    extern "C" __global__ void squared(complex<float>* x) { x[0] = x[0] * x[0]; }
    """
    x = torch.tensor([1 + 2j], dtype=torch.complex64)
    cupy.RawKernel(code, "squared")((1,), (1,), (asarray(x),))
    assert x.item() == (1 + 2j) ** 2


@pytest.mark.parametrize("shuffle", [None, 1])
def test_a_grid_that_waits_for_itself(emulator, shuffle):
    import cupy

    code = """
    #include <cooperative_groups.h>
    extern "C" __global__ void turned(int* x) {
        auto grid = cooperative_groups::this_grid();
        int i = grid.thread_rank();
        x[i] = i;
        grid.sync();
        int other = x[grid.size() - 1 - i];
        grid.sync();
        x[i] = other;
    }
    """
    emulator.shuffle = shuffle
    kernel, x = cupy.RawKernel(code, "turned", enable_cooperative_groups=True), torch.zeros(256, dtype=torch.int32)
    kernel((4,), (64,), (asarray(x),))
    assert torch.equal(x, torch.arange(255, -1, -1, dtype=torch.int32))
    extent = emulator.device.arena.extent  # with the module's variables, which stay
    kernel((4,), (64,), (asarray(x),))
    assert emulator.device.arena.extent == extent
    with pytest.raises(ptxvm.Fault, match="trap: the kernel stopped itself"):  # as on a card
        cupy.RawKernel(code, "turned")((4,), (64,), (asarray(x),))


# -- scalars as CuPy packs them --------------------------------------------------------------------------------------
RIGHT = (np.float32(0.5), np.int32(-2), np.float64(3), np.bool_(True), np.uint8(200), np.int16(-5), np.int64(-6))


def with_one(position, value):
    return [value if i == position else one for i, one in enumerate(RIGHT)]


@pytest.mark.parametrize(
    ("position", "value"),
    [(1, -7), (1, np.int64(7)), (1, np.uint32(7)), (2, 2.5), (3, True), (4, 9), (5, -9), (6, -(1 << 40)), (6, 1 << 62)],
    ids=str,
)
def test_numbers_that_arrive(emulator, module, position, value):
    out = torch.zeros(7, dtype=torch.float64)
    given = with_one(position, value)
    with emulator.record({}) as launches:
        module.get_function("numbers")((1,), (1,), (*given, asarray(out)))
    assert out.tolist() == [float(one) for one in given]
    wide = type(value) is int and position < 6  # 8 bytes are passed, fewer are read
    assert [lint.kind for lint in launches[0].report.lints] == ["wide argument"] * wide


@pytest.mark.parametrize(
    ("position", "value", "passed"),
    [
        (0, 0.5, "a Python float is passed as 8 bytes; the parameter is a float of 4, and would read their lower half"),
        (0, np.float64(0.5), "np.float64 is passed as 8 bytes; the parameter is a float of 4"),
        (0, 3, "a Python int is passed as 8 bytes; the parameter is a float of 4, and would read another number"),
        (0, np.int32(3), "np.int32 is passed as 4 bytes; the parameter is a float of 4, and would read another number"),
        (1, 3.0, "a Python float is passed as 8 bytes; the parameter is an integer of 4, and would read another"),
        (1, np.float32(3), "np.float32 is passed as 4 bytes; the parameter is an integer of 4, and would read another"),
        (1, 1 << 32, "a Python int is passed as 8 bytes; the parameter is an integer of 4, and would read another"),
        (1, True, "a Python bool is passed as 1 byte; the parameter is an integer of 4, and would read past them"),
        (2, np.float32(3), "np.float32 is passed as 4 bytes; the parameter is a float of 8, and would read past them"),
        (2, 3, "a Python int is passed as 8 bytes; the parameter is a float of 8, and would read another number"),
        (6, np.int32(-6), "np.int32 is passed as 4 bytes; the parameter is an integer of 8, and would read past them"),
    ],
    ids=str,
)
def test_numbers_that_do_not(emulator, module, position, value, passed):
    out = torch.zeros(7, dtype=torch.float64)
    with pytest.raises(ptxvm.Fault, match=re.escape(passed)) as caught:
        module.get_function("numbers")((1,), (1,), (*with_one(position, value), asarray(out)))
    assert (caught.value.finding.kind, caught.value.finding.object) == (
        "wrong argument type",
        f"argument {'fidbcsq'[position]}",
    )
    assert (out == 0).all()


def test_structs_by_value(emulator, module):
    layout = np.dtype([("a", "i4"), ("b", "f4"), ("c", "f8")], align=True)
    for value in (np.array((3, 1.5, 2.5), layout), np.array([(3, 1.5, 2.5)], layout)[0]):
        out = torch.zeros(3, dtype=torch.float64)
        module.get_function("of_a_struct")((1,), (1,), (value, asarray(out)))
        assert out.tolist() == [3, 1.5, 2.5]


def test_the_address_of_a_known_tensor(emulator, module):
    x, out = torch.rand(32), torch.zeros(32)
    with emulator.record({"x": x, "out": out}):
        module.get_function("unguarded")((1,), (32,), (x.data_ptr(), out.data_ptr()))
    assert torch.equal(out, x)


# -- its own refusals ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("wrong", ["tensor", "numpy", "text", "list"])
def test_what_is_no_argument(emulator, module, wrong):
    out = torch.zeros(32)
    given, message = {
        "tensor": (out, "Unsupported type <class 'torch.Tensor'>: argument 0 .* cupy.asarray"),
        "numpy": (out.numpy(), r"argument 0 is a numpy.ndarray of shape \(32,\): only one of a single element"),
        "text": ("x", "Unsupported type <class 'str'>"),
        "list": ([1.0], "Unsupported type <class 'list'>"),
    }[wrong]
    with pytest.raises(TypeError, match=message):
        module.get_function("unguarded")((1,), (32,), (given, asarray(out)))


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_number_of_arguments(emulator, module, count):
    with pytest.raises(ptxvm.LaunchError, match=f"takes 2 arguments, {count} were given. Nothing was launched"):
        module.get_function("unguarded")((1,), (32,), (asarray(torch.zeros(32)),) * count)


def test_a_configuration_that_is_no_tuple_of_integers(emulator, module):
    kernel, args = module.get_function("unguarded"), (asarray(torch.zeros(32)),) * 2
    with pytest.raises(TypeError, match=r"grid must be a tuple, not int: write \(1,\)"):
        kernel(1, (32,), args)
    with pytest.raises(TypeError, match=r"block must be a tuple, not list: write \(32,\)"):
        kernel((1,), [32], args)
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        kernel((48 / 32,), (32,), args)
    with pytest.raises(TypeError, match="missing 2 required positional arguments"):
        kernel(args)


@pytest.mark.parametrize(
    ("grid", "block", "message"),
    [
        ((1,), (1025,), "unguarded runs at most 1024 threads a block, not 1025"),
        ((1,), (64, 1, 17), "unguarded runs at most 1024 threads a block, not 1088"),
        ((1,), (1, 1, 65), r"block of unguarded is \(1, 1, 65\): its z may be 64 at most"),
        ((1, 1, 65536), (1,), r"grid of unguarded is \(1, 1, 65536\): its z may be 65,535 at most"),
    ],
)
def test_what_the_driver_refuses(emulator, module, grid, block, message):
    out = torch.full((32,), math.nan)
    with pytest.raises(ptxvm.LaunchError, match=f"{message}.*Nothing was launched"):
        module.get_function("unguarded")(grid, block, (asarray(torch.zeros(32)), asarray(out)))
    assert out.isnan().all()


@pytest.mark.parametrize("name", ["not_there", "size_of<float>", "mangled<int>"])
def test_a_kernel_that_is_not_there(emulator, module, name):
    with pytest.raises(ptxvm.LaunchError, match=f"there is no kernel {name} in this source; it has doubled, unguarded"):
        module.get_function(name)


def test_a_raw_kernel_knows_no_templates(emulator):
    import cupy

    kernel = cupy.RawKernel("template <typename T> __global__ void f(T* out) { out[0] = 1; }", "f<float>")
    with pytest.raises(ptxvm.LaunchError, match=r"RawModule\(code=..., name_expressions="):
        kernel((1,), (1,), (asarray(torch.zeros(1)),))


def test_sources_and_options_as_cupy_takes_them(emulator, tmp_path):
    import cupy

    with pytest.raises(TypeError, match="Exactly one of `code` and `path`"):
        cupy.RawModule()
    with pytest.raises(TypeError, match="positional"):
        cupy.RawModule(SOURCE)
    with pytest.raises(TypeError, match=r"options must be a tuple, not list: write \('-O3',\)"):
        cupy.RawModule(code=SOURCE, options=["-O3"])
    with pytest.raises(TypeError, match="a cubin cannot be executed"):
        cupy.RawModule(path=str(tmp_path / "kernel.cubin"))


def test_arrays_that_cupy_cannot_make(emulator):
    x = torch.zeros(4)
    with pytest.raises(TypeError, match=r"CuPy has no type for a torch.bfloat16 tensor.*view\(torch.uint16\)"):
        asarray(x.bfloat16())
    with pytest.raises(RuntimeError, match="requires grad"):
        asarray(x.clone().requires_grad_())
    with pytest.raises(TypeError, match="a tensor on meta"):
        asarray(x.to("meta"))


def test_compile_errors_have_the_line_of_the_file(emulator):
    import cupy

    code = 'extern "C" __global__ void wrong() {\n    int i = "no number";\n}\n'
    with pytest.raises(KernelWrong, match=r"^test_hooks_cupy.py\(2\): error: a value of type .* cannot be used"):
        cupy.RawKernel(code, "wrong")((1,), (1,), ())


# -- views and findings ----------------------------------------------------------------------------------------------
def test_views_share_their_storage_and_have_its_bounds(emulator, module):
    storage, kernel = torch.arange(64.0), module.get_function("unguarded")
    kernel((1,), (32,), (asarray(storage[16:24]), asarray(storage[:8])))
    assert torch.equal(storage[:32], torch.arange(16.0, 48.0))
    with pytest.raises(ptxvm.Fault):
        kernel((1,), (33,), (asarray(storage[32:]), asarray(storage[:8])))
    assert torch.equal(storage[:32], torch.arange(16.0, 48.0)), "nothing is copied back after a fault"


def test_a_fault_names_the_line_of_a_source_in_a_python_file(emulator, module):
    x, out = torch.rand(100), torch.rand(100)
    line = next(i for i, text in enumerate(HERE.read_text(encoding="utf-8").splitlines(), 1) if "// the faulty" in text)
    with emulator.record({"first": x, "second": out}) as launches, pytest.raises(ptxvm.Fault) as caught:
        module.get_function("unguarded")((4,), (32,), (asarray(x), asarray(out)))
    finding = caught.value.finding
    assert (finding.kind, Path(finding.file).name, finding.line) == ("out of bounds", HERE.name, line)
    assert finding.text == "out[i] = x[i];  // the faulty line"
    assert (finding.block, finding.thread) == ((3, 0, 0), (4, 0, 0))
    assert finding.object.startswith("first[100]")
    assert launches[0].report.faults == [finding]


def test_a_fault_names_the_line_of_a_cu_file(emulator, tmp_path):
    (tmp_path / "some.cu").write_text(SOURCE)
    (tmp_path / "some.py").write_text(
        "import cupy\nfrom pathlib import Path\n"
        'module = cupy.RawModule(code=Path(__file__).with_suffix(".cu").read_text())\n'
    )
    names = {"__file__": str(tmp_path / "some.py")}
    exec(compile((tmp_path / "some.py").read_text(), names["__file__"], "exec"), names)
    x = torch.rand(100)
    with pytest.raises(ptxvm.Fault) as caught:
        names["module"].get_function("unguarded")((4,), (32,), (asarray(x), asarray(x.clone())))
    line = SOURCE[: SOURCE.index("// the faulty line")].count("\n") + 1
    assert (caught.value.finding.file, caught.value.finding.line) == (str(tmp_path / "some.cu"), line)
