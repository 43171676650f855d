"""Numba's kernels that a card's linker completes, and what Numba asks and says of a compiled kernel."""

from __future__ import annotations

import datetime
import enum

import numpy as np
import pytest
import torch

import ptxvm
from warpbench.backends.numba_link import linked


@pytest.fixture
def emulator(emulated):
    return emulated.emulator


def test_a_function_in_cuda_c(emulator, tmp_path):
    """From a file beside the script and from text; both have a static function of one name."""
    from numba import cuda

    source = tmp_path / "scale.cu"
    source.write_text(
        "static __device__ __noinline__ int by(int x) { return 3 * x; }\n"
        'extern "C" __device__ int scale(int* result, int x) { *result = by(x); return 0; }\n'
    )
    more = cuda.CUSource('extern "C" __device__ int shift(int* result, int x) { *result = x + 100; return 0; }')
    scale = cuda.declare_device("scale", "int32(int32)", link=str(source))
    shift = cuda.declare_device("shift", "int32(int32)", link=more)

    @cuda.jit
    def both(x):
        i = cuda.grid(1)
        if i < x.size:
            x[i] = shift(scale(x[i]))

    x = np.arange(40, dtype=np.int32)
    with emulator.record({}) as launches:
        both[2, 32](x)
    assert x.tolist() == [3 * i + 100 for i in range(40)]
    assert launches[0].report.ok
    assert both.get_regs_per_thread().popitem()[1] > 0, "ptxas takes the text as it is linked"


def test_half_precision(emulator):
    """Its operators are CUDA C++ that Numba brings with it."""
    from numba import cuda

    @cuda.jit
    def polynomial(x, out):
        i = cuda.grid(1)
        if i < x.size and x[i] > x.dtype.type(-2):
            out[i] = x[i] * x[i] + x[i]

    x = np.linspace(-1, 1, 33).astype(np.float16)
    out = np.zeros(33, np.float16)
    with emulator.record({}) as launches:
        polynomial[2, 32](x, out)
    assert launches[0].not_executed is None
    np.testing.assert_allclose(out, x.astype(np.float64) ** 2 + x, atol=2e-3)


def test_what_is_not_linked_is_named(emulator):
    from numba import cuda

    absent = cuda.declare_device("absent", "int32(int32)")

    @cuda.jit
    def calls(x):
        x[0] = absent(x[0])

    with emulator.record({}) as launches:
        calls[1, 1](np.zeros(1, np.int32))
    assert "the function absent, which has no body here" in launches[0].not_executed


ONE = """.version 8.1
.target sm_75
.address_size 64

.extern .func (.param .b32 r) one(.param .b32 x);
.visible .func (.param .b32 r) helper(.param .b32 x)
{ { ret; } }
"""
TWO = """.version 9.0
.target sm_75
.address_size 64
.visible .func (.param .b32 r) one(.param .b32 x)
{
  ret;
}
.visible .func (.param .b32 r) helper(.param .b32 x)
{ { mov.b32 %r1, 0; } ret; }
"""


def test_texts_are_one_text():
    text = linked(ONE, [TWO])
    assert text.startswith(".version 9.0\n.target sm_75\n.address_size 64\n")
    assert (text.count(".version"), text.count(".extern"), text.count(" one("), text.count("helper(")) == (1, 0, 1, 1)
    assert "mov.b32 %r1, 0;" in text, "of two definitions the first is kept, and what is linked comes first"
    assert linked(ONE) == ONE


def test_an_exception_in_a_kernel_is_raised(emulator):
    """Of the first thread that raised one, with debug=True only."""
    from numba import cuda

    def refused(x):
        i = cuda.grid(1)
        if x[i] < 0:
            raise ValueError("no element below zero")
        x[i] = 1

    x = np.zeros(64, np.float32)
    x[40] = -1
    with pytest.raises(ValueError, match=r"tid=\[8, 0, 0\] ctaid=\[1, 0, 0\]: no element below zero"):
        cuda.jit(debug=True, opt=False)(refused)[2, 32](x)
    assert (x[:40] == 1).all()
    assert x[40] == -1
    debugged = cuda.jit(debug=True, opt=False)(refused)
    debugged[2, 16](x[:32])  # a launch that raises nothing after one that did
    cuda.jit(refused)[2, 32](x)


def test_a_kernel_and_its_device_functions_with_debug(emulator):
    """Each is a text of its own then."""
    from numba import cuda

    @cuda.jit(device=True, debug=True, opt=False)
    def one_more(x):
        return x + 1

    @cuda.jit(device=True, debug=True, opt=False)
    def two_more(x):
        return one_more(one_more(x))

    @cuda.jit(debug=True, opt=False)
    def counted(x):
        i = cuda.grid(1)
        x[i] = two_more(x[i])

    x = np.arange(32)
    with emulator.record({}) as launches:
        counted[1, 32](x)
    assert x.tolist() == list(range(2, 34))
    assert launches[0].report.ok
    assert counted.get_regs_per_thread().popitem()[1] > 0, "ptxas takes the text as it is linked"


def test_arguments_of_other_kinds(emulator):
    from numba import cuda

    class Colour(enum.IntEnum):
        RED = 3

    @cuda.jit
    def kept(x, colour, day, next_day):
        x[0] = colour
        x[1] = 1 if day < next_day else 0

    x = np.zeros(2, np.int64)
    kept[1, 1](x, Colour.RED, *(np.datetime64(datetime.date(2026, 1, day)) for day in (2, 3)))
    assert x.tolist() == [3, 1]


def test_what_is_sent_in_only_is_not_brought_back(emulator):
    from numba import cuda

    @cuda.jit
    def ones(x):
        x[cuda.threadIdx.x] = 1

    x, y = np.zeros(4), np.zeros(4)
    ones[1, 4](cuda.In(x))
    ones[1, 4](cuda.Out(y))
    assert (x.any(), y.all()) == (False, True)


def test_a_host_array_in_pieces_is_refused(emulator):
    from numba import cuda

    @cuda.jit
    def ones(x):
        x[cuda.threadIdx.x] = 1

    x = np.zeros((4, 4))
    with pytest.raises(ValueError, match="is not contiguous"):
        ones[1, 4](x[0, ::2])
    ones[1, 4](x[2])
    ones[1, 1](x.T[0:1, 0])
    assert x.sum() == 5


def test_the_nearest_of_several_signatures(emulator):
    from numba import cuda

    @cuda.jit(["(float64[::1], float32)", "(float64[::1], float64)"])
    def kept(out, x):
        out[0] = x

    @cuda.jit(["(float64[::1], int64, float64)", "(float64[::1], float64, int64)"])
    def torn(out, x, y):
        out[0] = x + y

    @cuda.jit("(uint32[::1],)")
    def unsigned(out):
        out[0] = 0xFFFFFFFF

    out = torch.zeros(1, dtype=torch.float64)
    kept[1, 1](out, 1 / 3)
    assert out.item() == 1 / 3
    kept[1, 1](out, np.float32(1 / 3))
    assert out.item() == np.float32(1 / 3)
    with pytest.raises(TypeError, match="Ambiguous overloading"):
        torn[1, 1](out, np.float32(1), np.float32(1))
    signed = torch.zeros(1, dtype=torch.int32)
    unsigned[1, 1](signed)
    assert signed.item() == -1


def test_what_a_kernel_tells_of_itself(emulator):
    from numba import cuda

    table = np.arange(16.0)

    @cuda.jit
    def looked_up(x):
        i = cuda.grid(1)
        x[i] = cuda.const.array_like(table)[i % 16]

    x = torch.zeros(32, dtype=torch.float64)
    looked_up[1, 32](x)
    (kernel,) = looked_up.overloads.values()
    assert looked_up.get_const_mem_size().popitem()[1] == table.nbytes
    assert not kernel.cooperative
    assert "define void" in looked_up.inspect_llvm().popitem()[1]
    assert ".visible .entry looked_up(" in looked_up.inspect_asm().popitem()[1]
    assert isinstance(ptxvm.Module.from_ptx(kernel.ptx).kernel(kernel.entry), ptxvm.Kernel)
