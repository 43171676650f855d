"""Triton's launches on CPU tensors: its own syntax, its own refusals, its autotuner without a clock."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import triton
import triton.language as tl

import ptxvm
from warpbench import catalogue
from warpbench.backends import triton as hook

HERE = Path(__file__)


@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, i < n) + tl.load(y + i, i < n), i < n)


@triton.jit
def unguarded(x, out, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i))  # the faulty line


@triton.jit
def scaled(x, out, factor, shift, flag, pair, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    value = tl.load(x + i) * factor + shift + pair[0] - pair[1]
    if flag:
        value = -value
    tl.store(out + i, value)


@triton.jit
def where(out, WIDE: tl.constexpr):
    tl.store(out + tl.program_id(2) * WIDE + tl.program_id(1), tl.num_programs(1) * 10 + tl.program_id(0))


@triton.jit
def product(a, b, c, N: tl.constexpr):
    i = tl.arange(0, N)
    at = i[:, None] * N + i[None, :]
    tl.store(c + at, tl.dot(tl.load(a + at), tl.load(b + at)))


@triton.autotune([triton.Config({"BLOCK": block}) for block in (32, 512, 128)], key=["n"])
@triton.jit
def tuned(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, i < n) * 2, i < n)


@pytest.fixture
def emulator(emulated):
    emulated.emulator.execute, emulated.emulator.shuffle = True, None
    return emulated.emulator


def grid_of(n):
    return lambda meta: (triton.cdiv(n, meta["BLOCK"]),)


# -- its own syntax --------------------------------------------------------------------------------------------------
GRIDS = {"1-d": (4,), "2-d": (4, 1), "3-d": (4, 1, 1), "list": [4], "call": grid_of(1000)}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_a_launch_over_cpu_tensors(emulator, grid):
    x, y, out = torch.rand(1000), torch.rand(1000), torch.full((1000,), math.nan)
    with emulator.record({"x": x, "y": y, "out": out}) as launches:
        compiled = add[grid](x, y, out, 1000, BLOCK=256, num_warps=2)
    assert torch.equal(out, x + y)
    (launch,) = launches
    assert (launch.dsl, launch.kernel, launch.arch) == ("triton", "add", "sm_86")
    assert (launch.grid, launch.block) == ((4, 1, 1), (64, 1, 1))
    assert launch.report.ok
    assert compiled.asm["ptx"] in (launch.ptx, launch.ptx.encode())
    assert "cubin" not in compiled.asm


def test_every_kind_of_argument(emulator):
    x, out = torch.rand(32), torch.zeros(32)
    scaled[(1,)](x, out, 2.0, 3, True, (5, 0.5), BLOCK=32)
    torch.testing.assert_close(out, -(x * 2 + 3 + 5 - 0.5))
    scaled[(1,)](x, out, 2, -(1 << 40), False, (1 << 31, (1 << 63)), BLOCK=32)
    torch.testing.assert_close(out, x * 2 - float((1 << 40) - (1 << 31)) - float(1 << 63))
    scaled[(1,)](x, out, 1e39, 0, False, (0, 0), BLOCK=32)  # a Python float is a float32 to Triton
    assert out.isinf().all()


def test_the_three_axes_of_a_grid(emulator):
    out = torch.zeros(4, 3, dtype=torch.int32)
    where[(1, 3, 4)](out, WIDE=3)
    assert (out == 30).all()


@pytest.mark.parametrize("grid", [(0,), (4, 0), (-1,)])
def test_an_empty_grid_launches_nothing(emulator, grid):
    out = torch.zeros(4)
    with emulator.record({}) as launches:
        unguarded[grid](out, out, BLOCK=32)
    assert launches == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int64])
def test_element_types(emulator, dtype):
    x = torch.arange(64).to(dtype)
    out = torch.empty_like(x)
    add[(1,)](x, x, out, 64, BLOCK=64)
    assert torch.equal(out, x + x)


def test_a_copy_of_a_file_is_told_from_it(emulator, tmp_path):
    """Triton's cache outlives the process and knows a kernel's text and first line only."""
    text = (
        "import triton\nimport triton.language as tl\n\n@triton.jit\ndef past_the_end(x):\n    tl.store(x + 9, 1.0)\n"
    )
    for name in ("one_file.py", "same_text.py"):
        (tmp_path / name).write_text(text)
        module = catalogue.load_file(tmp_path / name, name.removesuffix(".py"))
        with pytest.raises(ptxvm.Fault) as told:
            module.past_the_end[(1,)](torch.zeros(8))
        assert told.value.finding.file == str(tmp_path / name)


# -- its own refusals ------------------------------------------------------------------------------------------------
def test_a_missing_compile_time_size(emulator):
    x = torch.zeros(32)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'BLOCK'"):
        unguarded[(1,)](x, x)


def test_a_missing_grid(emulator):
    with pytest.raises(RuntimeError, match=r"Cannot call @triton\.jit'd outside of the scope of a kernel"):
        unguarded(torch.zeros(32), torch.zeros(32), BLOCK=32)


def test_too_many_arguments_and_unknown_ones(emulator):
    x = torch.zeros(32)
    with pytest.raises(TypeError, match="takes 3 positional arguments but 4 were given"):
        unguarded[(1,)](x, x, 32, x)
    with pytest.raises(KeyError, match="BLOCKS was specified but unrecognised"):
        unguarded[(1,)](x, x, BLOCK=32, BLOCKS=32)


@pytest.mark.parametrize("kind", ["numpy", "list", "text"])
def test_what_is_no_tensor(emulator, kind):
    x = torch.zeros(32)
    given = {"numpy": x.numpy(), "list": [1.0, 2.0], "text": "x"}[kind]
    with pytest.raises(TypeError, match="failed to specialize argument of type"):
        unguarded[(1,)](given, x, BLOCK=32)


def test_a_number_for_a_pointer_does_not_compile(emulator):
    with pytest.raises(triton.CompilationError, match="Unsupported ptr type"):
        unguarded[(1,)](torch.zeros(32), 3.0, BLOCK=32)


def test_a_fraction_of_a_block(emulator):
    x = torch.zeros(32)
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        unguarded[(1.5,)](x, x, BLOCK=32)


def test_a_grid_beyond_the_limits_of_an_axis(emulator):
    x = torch.zeros(32)
    with pytest.raises(ptxvm.LaunchError, match=r"grid of unguarded is \(1, 65536, 1\): its y may be 65,535 at most"):
        unguarded[(1, 65536)](x, x, BLOCK=32)


def test_more_shared_memory_than_the_card_has(emulator):
    """Both operands of a 256 x 256 product in float32 lie in shared memory: 512 KiB."""
    a = torch.zeros(256, 256)
    with pytest.raises(triton.OutOfResources, match=f"shared memory, .*Hardware limit: {emulator.shared_bytes}"):
        product[(1,)](a, a, a.clone(), N=256, num_warps=8)


def test_more_threads_than_a_block_has(emulator):
    x = torch.zeros(32)
    with pytest.raises(triton.OutOfResources, match="threads, Required: 2048, Hardware limit: 1024"):
        unguarded[(1,)](x, x, BLOCK=32, num_warps=64)


def test_a_type_that_the_architecture_lacks(emulator):
    a = torch.zeros(32, 32, dtype=torch.uint8).view(torch.float8_e4m3fn)
    with pytest.raises(triton.CompilationError, match="fp8e4nv not supported"):
        product[(1,)](a, a, torch.zeros(32, 32), N=32)


# -- views -----------------------------------------------------------------------------------------------------------
def test_a_view_begins_where_it_begins_and_shares_its_storage(emulator):
    storage = torch.arange(128.0)
    x, out = storage[:32], storage[64:96]
    unguarded[(1,)](x, out, BLOCK=32)
    assert torch.equal(storage[64:96], torch.arange(32.0))
    assert torch.equal(storage[96:], torch.arange(96.0, 128.0))


def test_the_bounds_of_a_view_are_those_of_its_storage(emulator):
    storage = torch.arange(128.0)
    unguarded[(1,)](storage[96:], storage[:32], BLOCK=32)
    assert torch.equal(storage[:32], torch.arange(96.0, 128.0))
    with pytest.raises(ptxvm.Fault) as caught:
        unguarded[(1,)](storage[97:], storage[:32], BLOCK=32)
    assert caught.value.finding.kind == "out of bounds"
    assert storage[0] == 96.0  # nothing was copied back


# -- findings --------------------------------------------------------------------------------------------------------
def line_of(text):
    return next(i for i, line in enumerate(HERE.read_text(encoding="utf-8").splitlines(), 1) if text in line)


def test_a_fault_names_the_line_and_the_tensor(emulator):
    x, out = torch.rand(100), torch.rand(100)
    with emulator.record({"first": x, "second": out}) as launches, pytest.raises(ptxvm.Fault) as caught:
        unguarded[(1,)](x, out, BLOCK=128)
    finding = caught.value.finding
    assert Path(finding.file).name == HERE.name
    assert finding.line == line_of("# the faulty line")
    assert "# the faulty line" in finding.text
    assert finding.object.startswith("first[100]")
    assert launches[0].report.faults == [finding]


def test_counters_lie_on_the_lines_of_the_kernel(emulator):
    x, out = torch.rand(1024), torch.rand(1024)
    with emulator.record({}) as launches:
        unguarded[(4,)](x, out, BLOCK=256)
    lines = launches[0].report.lines
    assert {line for (file, line), counters in lines.items() if counters.requests} == {line_of("# the faulty line")}


# -- no clock --------------------------------------------------------------------------------------------------------
def test_the_autotuner_ranks_by_work(emulator, capsys):
    x, out = torch.rand(4096), torch.empty(4096)
    tuned.cache.clear()
    with emulator.record({}) as launches:
        tuned[grid_of(4096)](x, out, 4096)
    assert torch.equal(out, x * 2)
    costs = {config.kwargs["BLOCK"]: cost[0] for config, cost in tuned.configs_timings.items()}
    assert set(costs) == {32, 128, 512}
    assert all(math.isfinite(cost) for cost in costs.values())
    assert tuned.best_config.kwargs["BLOCK"] == min(costs, key=costs.get)
    assert costs[32] > costs[128]  # 4 warps, of which 3 do what the first does
    assert len(launches) == 1, "launches of the search are none of the rung's"
    assert capsys.readouterr().err == ""


def test_the_autotuner_by_the_old_way_of_asking(emulator):
    with pytest.warns(DeprecationWarning, match="warmup"):
        old = triton.autotune(tuned.configs, key=["n"], warmup=1, rep=1)(tuned.fn)
    x, out = torch.rand(4096), torch.empty(4096)
    old[grid_of(4096)](x, out, 4096)
    assert old.best_config.kwargs == tuned.best_config.kwargs
    assert torch.equal(out, x * 2)


def test_the_autotuner_where_launches_are_compiled_only(emulator):
    emulator.execute = False
    tuned.cache.clear()
    tuned[grid_of(64)](torch.rand(64), torch.empty(64), 64)
    assert tuned.best_config.kwargs["BLOCK"] == 32  # the first


def test_a_benchmark_has_no_number_and_says_why_once(emulator, capsys):
    x, calls = torch.zeros(32), []

    def call():
        calls.append(unguarded[(1,)](x, x, BLOCK=32))

    benchmark = hook.benchmarks(emulator)  # as new: a process says it once
    with emulator.record({}) as launches:
        assert math.isnan(benchmark(call))
        for quantiles, count in (((0.5, 0.2, 0.8), 3), ((0.5,), 1)):
            found = benchmark(call, quantiles=quantiles)
            assert [math.isnan(one) for one in (found if count > 1 else [found])] == [True] * count
        assert [math.isnan(one) for one in benchmark(call, return_mode="all")] == [True]
    assert (len(calls), launches) == (4, [])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "on ptxvm nothing is timed. The call was run once and the answer is NaN" in said


def test_every_way_to_a_benchmark_is_taken(emulator):
    x = torch.zeros(32)
    for benchmark in (
        triton.testing.do_bench, triton.testing.do_bench_cudagraph, triton.runtime.driver.active.get_benchmarker(),
    ):  # fmt: skip
        assert math.isnan(benchmark(lambda: unguarded[(1,)](x, x, BLOCK=32)))
