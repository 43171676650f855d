"""Triton: small wrong kernels. What must be said of each stands in `bugs_triton.txt`."""

import torch
import triton
import triton.language as tl

from tests.ptxvm.corpus.bug import Bug
from tests.ptxvm.corpus.case import empty


@triton.jit
def _double(x_ptr, out_ptr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + i)
    tl.store(out_ptr + i, 2 * x)


def bug_out_of_bounds():
    def launch(x, out):
        _double[(4,)](x, out, BLOCK=256)

    return Bug(launch, {"x": torch.ones(1000), "out": empty(1000, torch.float32)})


@triton.jit
def _shifted(x_ptr, out_ptr, by, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out_ptr + i, tl.load(x_ptr + i + by))


def bug_out_of_bounds_in_a_neighbour():
    def launch(x, out):
        _shifted[(1,)](x, out, 1280, BLOCK=32, num_warps=1)

    return Bug(launch, {"x": torch.ones(1024), "out": torch.zeros(1024)})


@triton.jit
def _vectors(x_ptr, out_ptr, first, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    x = tl.load(tl.multiple_of(x_ptr + first + i, [16]))  # not a multiple
    tl.store(out_ptr + i, x)


def bug_misaligned():
    def launch(x, out):
        _vectors[(1,)](x, out, 2, BLOCK=128, num_warps=1)

    return Bug(launch, {"x": torch.ones(256), "out": torch.zeros(128)})


@triton.jit
def _from_null(out_ptr, address, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    x_ptr = address.to(tl.int64).to(tl.pointer_type(tl.float32))
    tl.store(out_ptr + i, tl.load(x_ptr + i))


def bug_null_pointer():
    def launch(out):
        _from_null[(1,)](out, 0, BLOCK=32, num_warps=1)

    return Bug(launch, {"out": torch.zeros(32)})


def bug_out_of_bounds_of_an_empty_tensor():
    def launch(x, out):
        _double[(1,)](x, out, BLOCK=32, num_warps=1)

    return Bug(launch, {"x": torch.ones(0), "out": torch.zeros(32)})


@triton.jit
def _stops(x_ptr, out_ptr):
    x = tl.load(x_ptr + tl.program_id(0))
    y = tl.inline_asm_elementwise(
        "{.reg .pred p; setp.lt.f32 p, $1, 0f00000000; @p trap; mov.b32 $0, $1;}", "=f,f", [x], tl.float32, False, 1
    )
    tl.store(out_ptr + tl.program_id(0), y)


def bug_trap():
    def launch(x, out):
        _stops[(32,)](x, out, num_warps=1)

    return Bug(launch, {"x": torch.arange(32.0).roll(2).sub(1), "out": torch.zeros(32)})


@triton.jit
def _asserts(x_ptr, BLOCK: tl.constexpr):
    x = tl.load(x_ptr + tl.arange(0, BLOCK))
    tl.device_assert(x >= 0, "no element below zero")


def bug_assertion():
    def launch(x):
        _asserts[(1,)](x, BLOCK=32, num_warps=1, debug=True)

    where = 'tl.device_assert(x >= 0, "no element below zero")'
    return Bug(launch, {"x": torch.arange(32.0).roll(2).sub(1)}, (where,))


WAIT = tl.constexpr("bar.sync 1, 256; mov.b32 $0, 1;")


@triton.jit
def _waits(out_ptr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    one = tl.inline_asm_elementwise(WAIT, "=r,r", [i], tl.int32, is_pure=False, pack=1)
    tl.store(out_ptr + i, one)


def bug_deadlock():
    def launch(out):
        _waits[(2,)](out, BLOCK=128, num_warps=4)

    where = 'one = tl.inline_asm_elementwise(WAIT, "=r,r", [i], tl.int32, is_pure=False, pack=1)'
    return Bug(launch, {"out": empty(128, torch.int32)}, (where,))


@triton.jit
def _spin(flag_ptr, out_ptr):
    while tl.atomic_add(flag_ptr, 0) == 0:
        pass
    tl.store(out_ptr, 1)


def bug_endless_loop():
    def launch(flag, out):
        _spin[(1,)](flag, out, num_warps=1)

    return Bug(launch, {"flag": torch.zeros(1, dtype=torch.int32), "out": empty(1, torch.int32)})


@triton.jit
def _sum(x_ptr, out_ptr):
    tl.store(out_ptr, tl.load(out_ptr) + tl.load(x_ptr + tl.program_id(0)))


def bug_race_between_blocks():
    def launch(x, out):
        _sum[(4,)](x, out, num_warps=1)

    return Bug(launch, {"x": torch.ones(4), "out": torch.zeros(1)})


@triton.jit
def _last_block(x_ptr, out_ptr, count_ptr, BLOCKS: tl.constexpr):
    b = tl.program_id(0)
    tl.store(out_ptr + 1 + b, 2 * tl.load(x_ptr + b))
    if tl.atomic_add(count_ptr, 1) == BLOCKS - 1:
        total = tl.sum(tl.load(out_ptr + 1 + tl.arange(0, BLOCKS), volatile=True))
        tl.store(out_ptr, total)


def bug_ordered_by_atomics():
    def launch(x, out, count):
        _last_block[(4,)](x, out, count, BLOCKS=4, num_warps=1)

    tensors = {"x": torch.ones(4), "out": torch.zeros(5), "count": torch.zeros(1, dtype=torch.int32)}
    return Bug(launch, tensors)


def bug_uninitialised_global():
    def launch(x, out):
        _double[(1,)](x, out, BLOCK=64, num_warps=1)

    return Bug(launch, {"x": torch.ones(64), "out": empty(64, torch.float32)}, unwritten="x")


@triton.jit
def _divide(x_ptr, d_ptr, out_ptr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x, d = tl.load(x_ptr + i), tl.load(d_ptr + i)
    tl.store(out_ptr + i, x // d)


def bug_division_by_zero():
    def launch(x, d, out):
        _divide[(2,)](x, d, out, BLOCK=32, num_warps=1)

    d = torch.arange(64, dtype=torch.int32) - 40
    return Bug(launch, {"x": torch.ones(64, dtype=torch.int32), "d": d, "out": empty(64, torch.int32)})
