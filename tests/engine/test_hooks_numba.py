"""Numba's launches on CPU tensors: its own syntax, its own refusals, and the types that it sees on a card."""

from __future__ import annotations

import math
import re
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import ptxvm

HERE = Path(__file__)
Pair = namedtuple("Pair", "index value")


@pytest.fixture(scope="module")
def kernels(emulated):
    """Decorated when the hooks are in place, as a kernel file is."""
    from numba import cuda, float32, void

    @cuda.jit
    def doubled(x, out):
        i = cuda.grid(1)
        if i < x.size:
            out[i] = x[i] * 2

    @cuda.jit
    def unguarded(x, out):
        i = cuda.grid(1)
        out[i] = x[i]  # the faulty line

    @cuda.jit
    def transposed(x, out):
        i, j = cuda.grid(2)
        if i < out.shape[0] and j < out.shape[1]:
            out[i, j] = x[j, i]

    @cuda.jit
    def two_numbers(out, a, b):
        out[0] = a
        out[1] = b

    @cuda.jit
    def at_a_pair(out, pair):
        out[pair[0]] = pair[1]

    @cuda.jit
    def weighed(records):
        i = cuda.grid(1)
        records[i]["weight"] *= records[i]["count"]

    @cuda.jit(device=True)
    def squared(value):
        return value * value

    @cuda.jit
    def through_a_device_function(x, out):
        out[cuda.grid(1)] = squared(x[cuda.grid(1)])

    @cuda.jit
    def turned(x, out):
        tile = cuda.shared.array(0, float32)
        t = cuda.threadIdx.x
        tile[t] = x[t]
        cuda.syncthreads()
        out[t] = tile[cuda.blockDim.x - 1 - t]

    @cuda.jit
    def in_order(out):
        out[cuda.blockIdx.z, cuda.blockIdx.y, cuda.threadIdx.y] = cuda.gridDim.y * 10 + cuda.blockDim.y

    @cuda.jit("void(float32[:], float32[:], int32)")
    def eager(x, out, n):
        i = cuda.grid(1)
        if i < n:
            out[i] = x[i]

    @cuda.jit("void(float32[::1], float32[::1])")
    def eager_dense(x, out):
        out[cuda.grid(1)] = x[cuda.grid(1)]

    @cuda.jit([void(float32[:], float32), "void(float64[:], float64)"])
    def of_two_types(out, value):
        out[0] = value

    return SimpleNamespace(**locals())


@pytest.fixture
def emulator(emulated):
    emulated.emulator.execute, emulated.emulator.shuffle = True, None
    return emulated.emulator


# -- its own syntax --------------------------------------------------------------------------------------------------
CONFIGURATIONS = [
    (2, 32),
    ((2,), (32,)),
    ((2, 1), (32, 1, 1)),
    (2, 32, 0),
    (2, 32, 0, 128),
    (np.int64(2), np.int32(32)),
]


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=str)
def test_a_launch_over_cpu_tensors(emulator, kernels, configuration):
    x, out = torch.rand(50), torch.full((50,), math.nan)
    with emulator.record({"x": x, "out": out}) as launches:
        kernels.doubled[configuration](x, out)
    assert torch.equal(out, x * 2)
    (launch,) = launches
    assert (launch.dsl, launch.kernel, launch.arch) == ("numba", "doubled", "sm_86")
    assert (launch.grid, launch.block) == ((2, 1, 1), (32, 1, 1))
    assert launch.dynamic_shared_bytes == (128 if len(configuration) == 4 else 0)
    assert launch.report.ok


def test_three_axes_of_grid_and_block(emulator, kernels):
    out = torch.zeros(4, 3, 2, dtype=torch.int32)
    kernels.in_order[(1, 3, 4), (1, 2)](out)
    assert (out == 32).all()


def test_forall_takes_the_block_that_fills_an_sm(emulator, kernels):
    x, out = torch.rand(1000), torch.zeros(1000)
    with emulator.record({}) as launches:
        kernels.doubled.forall(1000)(x, out)
        kernels.doubled.forall(1000, tpb=64)(x, out)
    assert torch.equal(out, x * 2)
    assert [(launch.grid[0], launch.block[0]) for launch in launches] == [(2, 768), (16, 64)]


def test_waiting_for_the_device_is_no_error(emulator, kernels):
    from numba import cuda

    cuda.synchronize()


PAIRS = [
    (1, 2.5),
    (np.int32(7), np.float32(0.1)),
    (True, np.float16(2)),
    (1 << 40, -1),
    (np.uint64(1 << 63), np.int8(-3)),
]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_numbers_as_numba_types_them(emulator, kernels, pair):
    out = torch.zeros(2, dtype=torch.float64)
    kernels.two_numbers[1, 1](out, *pair)
    assert out.tolist() == [float(one) for one in pair]


def test_complex_numbers_tuples_and_device_functions(emulator, kernels):
    out = torch.zeros(2, dtype=torch.complex128)
    kernels.two_numbers[1, 1](out, 1 - 2j, np.complex64(3j))
    assert out.tolist() == [1 - 2j, 3j]
    out = torch.zeros(4)
    kernels.at_a_pair[1, 1](out, (1, 5.0))
    kernels.at_a_pair[1, 1](out, Pair(index=2, value=6.0))
    assert out.tolist() == [0, 5, 6, 0]
    kernels.through_a_device_function[1, 4](out, out)
    assert out.tolist() == [0, 25, 36, 0]


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint16", "int64", "bool", "complex64"])
def test_element_types(emulator, kernels, dtype):
    x = torch.arange(32).to(getattr(torch, dtype))
    out = torch.zeros_like(x)
    kernels.unguarded[1, 32](x, out)
    assert torch.equal(out, x)


def test_host_arrays_are_copied_there_and_back(emulator, kernels):
    x, out = np.arange(32, dtype=np.float32), np.zeros(32, np.float32)
    x.flags.writeable = False
    kernels.doubled[1, 32](x, out)
    assert np.array_equal(out, x * 2)
    records = np.array([(1, 2.5), (2, 3.5)], np.dtype([("count", "i4"), ("weight", "f8")], align=True))
    kernels.weighed[1, 2](records)
    assert records["weight"].tolist() == [2.5, 7]


def test_a_python_float_that_makes_a_kernel_compute_in_double_is_told(emulator, kernels):
    with emulator.record({}) as launches:
        kernels.two_numbers[1, 1](torch.zeros(2), 1, 2.0)
        kernels.two_numbers[1, 1](torch.zeros(2), 1, np.float32(2))
    told = [[(lint.kind, lint.object) for lint in launch.report.lints] for launch in launches]
    assert told == [[("computes in double", "argument b")], []]


# -- eager signatures ------------------------------------------------------------------------------------------------
def test_a_declared_signature_is_kept(emulator, kernels):
    x, out = torch.rand(64), torch.zeros(64)
    with emulator.record({}) as launches:
        kernels.eager[2, 32](x, out, 64)  # a Python int for an int32
        kernels.eager[1, 32](x[::2], out, np.int64(8))
    assert torch.equal(out[8:], x[8:])
    assert torch.equal(out[:8], x[:16:2])
    assert launches[0].ptx == launches[1].ptx
    assert re.search(r"\.param \.u32 eager_param_14", launches[0].ptx), "n is declared as 4 bytes"


def test_what_no_declared_signature_fits(emulator, kernels):
    x, out = torch.rand(64), torch.zeros(64)
    for arguments in ((x.double(), out, 64), (x.view(8, 8), out, 64), (x.int(), out, 64), (x, 3.0, 64), (x, out, x)):
        with pytest.raises(TypeError, match="No matching definition for argument type"):
            kernels.eager[2, 32](*arguments)
    assert (out == 0).all()


def test_a_declared_layout_is_asked_for(emulator, kernels):
    x, out = torch.rand(64), torch.zeros(64)
    kernels.eager_dense[1, 32](x, out)
    with pytest.raises(TypeError, match=r"No matching definition for argument type.*array\(float32, 1d, A\)"):
        kernels.eager_dense[1, 32](x[::2], out)


def test_one_of_several_signatures(emulator, kernels):
    for dtype in (torch.float32, torch.float64):
        out = torch.zeros(1, dtype=dtype)
        kernels.of_two_types[1, 1](out, 7)
        assert out.item() == 7
    with pytest.raises(TypeError, match="No matching definition"):
        kernels.of_two_types[1, 1](torch.zeros(1, dtype=torch.int32), 7)
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        kernels.eager[1, 1](torch.zeros(1), torch.zeros(1), 1.0)


# -- its own refusals ------------------------------------------------------------------------------------------------
def test_a_missing_configuration(emulator, kernels):
    x = torch.zeros(32)
    with pytest.raises(ValueError, match="Kernel launch configuration was not specified"):
        kernels.doubled(x, x)
    with pytest.raises(ValueError, match="must specify at least the griddim and blockdim"):
        kernels.doubled[(2,)](x, x)


@pytest.mark.parametrize("configuration", [((1, 1, 1, 1), 32), (1, (1, 1, 1, 32))])
def test_too_many_axes(emulator, kernels, configuration):
    with pytest.raises(ValueError, match="must be a sequence of 1, 2 or 3 integers"):
        kernels.doubled[configuration](torch.zeros(32), torch.zeros(32))


def test_a_fraction_of_a_block(emulator, kernels):
    with pytest.raises(TypeError, match="griddim must be a sequence of integers"):
        kernels.doubled[50 / 32, 32](torch.zeros(32), torch.zeros(32))


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_number_of_arguments(emulator, kernels, count):
    with pytest.raises(TypeError, match=f"doubled takes 2 arguments, {count} were given"):
        kernels.doubled[1, 32](*[torch.zeros(32)] * count)


REFUSED = {
    "empty grid": ((0, 32), r"a grid of \(0, 1, 1\) is empty"),
    "empty block": ((1, 0), r"a block of \(0, 1, 1\) is empty"),
    "threads": ((1, 1025), "doubled runs at most 1024 threads a block, not 1025"),
    "threads of all axes": ((1, (32, 33)), "doubled runs at most 1024 threads a block, not 1056"),
    "z of a block": ((1, (1, 1, 65)), r"the block of doubled is \(1, 1, 65\): its z may be 64 at most"),
    "y of a grid": (((1, 65536), 1), r"the grid of doubled is \(1, 65536, 1\): its y may be 65,535 at most"),
    "shared memory": ((1, 32, 0, 49153), "asks for 49,153 bytes of dynamic shared memory beside 0 static ones"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_the_driver_refuses(emulator, kernels, case):
    configuration, message = case
    out = torch.full((32,), math.nan)
    with pytest.raises(ptxvm.LaunchError, match=f"{message}.*Nothing was launched"):
        kernels.doubled[configuration](torch.zeros(32), out)
    assert out.isnan().all()


def test_a_tensor_that_numba_has_no_type_for(emulator, kernels):
    x, out = torch.rand(32), torch.zeros(32)
    for dtype, bits in ((torch.bfloat16, "uint16"), (torch.float8_e5m2, "uint8")):
        with pytest.raises(TypeError, match=f"no type for a {dtype} tensor.*view.torch.{bits}"):
            kernels.doubled[1, 32](x.to(dtype), out)
    with pytest.raises(RuntimeError, match="requires grad"):
        kernels.doubled[1, 32](x.clone().requires_grad_(), out)
    with pytest.raises(TypeError, match="a tensor on meta"):
        kernels.doubled[1, 32](x.to("meta"), out)


def test_compile_errors_are_numbas(emulator, kernels):
    from numba import cuda
    from numba.cuda.core.errors import TypingError

    @cuda.jit
    def unknown_name(x):
        x[0] = not_there(x)  # noqa: F821

    @cuda.jit
    def returns(x):
        return x[0]

    with pytest.raises(TypingError, match="name 'not_there' is not defined"):
        unknown_name[1, 1](torch.zeros(1))
    with pytest.raises(TypingError, match="No conversion from float32 to none"):
        returns[1, 1](torch.zeros(1))


# -- views -----------------------------------------------------------------------------------------------------------
B = torch.zeros(4, 6, 8)
VIEWS = [
    B, B[0].T, B[:, 0], B[::2], B.permute(2, 1, 0), B.permute(1, 0, 2), B[0, :, :1], B[:1, 0], B[0, 0, ::2],
    torch.zeros(5, 1).T, torch.zeros(0, 3), torch.zeros(3, 0).T, torch.zeros(()), torch.zeros(1).expand(4),
]  # fmt: skip


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{tuple(view.shape)}-{view.stride()}")
def test_the_layout_is_the_one_that_numba_reads(emulator, view):
    from numba.cuda.typing.typeof import typeof

    from warpbench.backends import numba as hook

    assert hook._typeof(view) == typeof(view)


def test_strided_and_overlapping_views(emulator, kernels):
    x = torch.arange(12.0).view(3, 4)
    out = torch.zeros(4, 3)
    kernels.transposed[(1, 1), (4, 4)](x, out)
    assert torch.equal(out, x.T)
    square = torch.arange(16.0).view(4, 4)
    kernels.transposed[(1, 1), (4, 4)](square.T[:, 1:], target := torch.zeros(3, 4))
    assert torch.equal(target, square[1:])
    storage = torch.arange(64.0)
    kernels.unguarded[1, 16](storage[:16], storage[32::2])
    assert torch.equal(storage[32::2], torch.arange(16.0))


def test_the_bounds_of_a_view_are_those_of_its_storage(emulator, kernels):
    storage = torch.arange(64.0)
    kernels.unguarded[1, 32](storage[16:24], storage[:8])
    assert torch.equal(storage[:32], torch.arange(16.0, 48.0))
    with pytest.raises(ptxvm.Fault):
        kernels.unguarded[1, 33](storage[32:], storage[:8])


# -- findings --------------------------------------------------------------------------------------------------------
def test_a_fault_names_the_line_and_the_tensor(emulator, kernels):
    x, out = torch.rand(100), torch.rand(100)
    line = next(i for i, text in enumerate(HERE.read_text(encoding="utf-8").splitlines(), 1) if "# the faulty" in text)
    with emulator.record({"first": x, "second": out}) as launches, pytest.raises(ptxvm.Fault) as caught:
        kernels.unguarded[4, 32](x, out)
    finding = caught.value.finding
    assert (finding.kind, Path(finding.file).name, finding.line) == ("out of bounds", HERE.name, line)
    assert (finding.block, finding.thread) == ((3, 0, 0), (4, 0, 0))
    assert finding.object.startswith("first[100]")
    assert launches[0].report.faults == [finding]


def test_a_forgotten_size_of_shared_memory_is_a_fault(emulator, kernels):
    x, out = torch.rand(32), torch.zeros(32)
    kernels.turned[1, 32, 0, 128](x, out)
    assert torch.equal(out, x.flip(0))
    with pytest.raises(ptxvm.Fault) as caught:
        kernels.turned[1, 32](x, out)
    assert caught.value.finding.kind == "out of bounds"
