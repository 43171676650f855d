"""`warpbench inspect`: what it says of rungs whose figures are known, and of those refused, wrong or broken."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest

from ptxvm.report import Counters, Report
from warpbench import cache, catalogue, check, cli, counts, errors, inspection
from warpbench.errors import UsageError
from warpbench.report import inspected

PLAIN = "vector_add/numba/one_thread_an_element"
TILE = "gemm_f32/cupy/shared_tile"
FP8 = "gemm_fp8/triton/fp8_dot"

BEYOND = '''
"""Doubling, one block too many and no guard."""
from numba import cuda

@cuda.jit
def _double(x, out):
    i = cuda.grid(1)
    out[i] = 2 * x[i]

def plain(x, factor, out):
    _double[x.numel() // 32 + 1, 32](x, out)

def other(x, factor, out):
    out.copy_(2 * x)
'''


def gather(path, gpu=None, root=None, **wants):
    return inspection.gather(catalogue.select(path, root)[0], gpu, root=root, **wants)


def shown(found, capsys):
    inspected.show(found)
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def summary():
    return gather(PLAIN)


@pytest.fixture(scope="module")
def tile():
    """Machine code and counters of a kernel with shared memory, of a file that holds other kernels too."""
    return gather(TILE, sass=True, counters=True)


@pytest.fixture(scope="module")
def fp8():
    return gather(FP8, "rtx4090", ptx=True)


# -- summary -------------------------------------------------------------------------------------------------------
def test_vector_add_moves_what_it_must_and_fills_the_card(summary):
    """8,192 elements in blocks of 256: each of 3 arrays is 256 requests of 4 sectors."""
    assert summary["verdict"] == "pass"
    assert (summary["gpu"], summary["arch"], summary["shape"]) == ("rtx_3090", "sm_86", {"n": 8192})
    (launch,) = summary["launches"]
    assert (launch["grid"], launch["block"], launch["threads"]) == ([32, 1, 1], [256, 1, 1], 256)
    assert launch["registers"] > 0
    assert (launch["spill_bytes"], launch["shared_bytes"]) == (0, 0)
    # 1,536 threads of an RTX 3090's SM are 6 blocks of 256; up to 42 registers a thread leave them all in
    assert (launch["occupancy"], launch["blocks_per_sm"], launch["limiters"]) == (1.0, 6, ["threads"])
    counted = summary["counts"]
    assert (counted["requests"], counted["sectors"], counted["sectors_per_request"]) == (768, 3072, 4.0)
    assert counted["bytes_asked"] == summary["compulsory_bytes"] == 3 * 4 * 8192
    assert (counted["efficiency"], counted["flops"], counted["shared_requests"]) == (1.0, 8192, 0)


def test_the_lines_add_up_to_the_launch(summary):
    (store,) = [one for one in summary["lines"] if one["requests"]]
    assert store["text"] == "out[i] = x[i] + y[i]"
    for name in ("requests", "instructions", "flops", "barriers"):
        assert sum(one[name] for one in summary["lines"]) == summary["counts"][name]
    assert [one["line"] for one in summary["lines"]] == sorted(one["line"] for one in summary["lines"])


def test_the_summary_shows_the_instruction_mix_of_both(summary, capsys):
    """Two loads, one store and one addition: what a counter speaks of, in PTX and machine code, and the rest."""
    lines = shown(summary, capsys).splitlines()
    begin = next(i for i, line in enumerate(lines) if line.endswith("instructions in its code:"))
    rows = {line.split()[0]: line.split()[1:3] for line in lines[begin + 3 : lines.index("", begin)]}
    assert rows["LDG"] == ["2", "2"]
    assert rows["STG"] == ["1", "1"]
    rest = lines[lines.index("", begin) + 1]
    assert rest.startswith("else in the machine code: ")
    assert "1 FADD" in rest.removeprefix("else in the machine code: ").rstrip(".").split(", ")


def test_the_summary_names_card_shape_and_tools(summary, capsys):
    text = shown(summary, capsys)
    assert text.startswith(f"{PLAIN}: start here: thread i adds element i\n")
    assert "for GeForce RTX 3090 (8.6, sm_86) at n=8192, f32. Executed on ptxvm: the answer is right." in text
    assert "are those of ptxas 13.0." in text
    assert "asked/compulsory bytes 1.00" in " ".join(text.split())
    assert inspected.exit_code(summary) == errors.OK


# -- machine code and counters -------------------------------------------------------------------------------------
def test_the_listing_stands_under_its_source_lines(tile, capsys):
    assert tile["kernels"][0]["entry"] == "shared_tile"
    assert tile["kernels"][0]["shared_bytes"] == 2 * 16 * 16 * 4
    text = shown(tile, capsys)
    heading = text.index("for (int p = 0; p < TILE; ++p) acc += tile_a[ty][p] * tile_b[p][tx];")
    assert "FFMA" in text[heading : heading + 2000]
    assert "listed by nvdisasm " in text
    assert inspected.exit_code(tile) == errors.OK


def test_merged_loads_are_warned_of_beside_the_ptx_counts(tile, capsys):
    """32 loads from shared memory in the PTX; ptxas merges those that lie side by side."""
    (shared,) = [row for row in tile["kernels"][0]["sass"]["mix"] if row["family"] == "LDS"]
    assert shared["ptx"] == 32
    assert 0 < shared["sass"] < 32
    text = shown(tile, capsys)
    said = " ".join(text.split())
    assert re.search(
        rf"ptxas [\d.]+ changed it: 32 LDS in the PTX, {shared['sass']} in the machine code \(merged", said
    )
    assert "changed it: 2 STS" not in said


def test_the_tiled_product_asks_as_often_as_the_formula_says(tile):
    """Each tile row of A and of B is fetched once a block: (m n k / 16) elements each, 32 a request."""
    m, n, k = (tile["shape"][axis] for axis in "mnk")
    fetches = [one for one in tile["lines"] if one["text"].startswith(("tile_a[ty][tx] =", "tile_b[ty][tx] ="))]
    assert [one["requests"] for one in fetches] == [m * n * k // 16 // 32] * 2
    (product,) = [one for one in tile["lines"] if "acc +=" in one["text"]]
    assert product["flops"] == 2 * m * n * k
    assert product["excess"] == 0
    barriers = [one["barriers"] for one in tile["lines"] if one["text"].startswith("__syncthreads")]
    assert barriers == [m * n // 32 * (k // 16)] * 2


def test_the_table_by_line_has_every_column(tile, capsys):
    text = shown(tile, capsys)
    header = next(row for row in text.splitlines() if row.startswith("line "))
    assert header.split() == [column.title for column in inspected.LINES]
    row = next(row for row in text.splitlines() if "acc += tile_a" in row and "1,048,576" in row)
    assert row.startswith("in_cupy.cu:")
    assert "none is a time" in text


# -- refusals ------------------------------------------------------------------------------------------------------
def test_a_rung_that_the_card_cannot_run_is_refused_without_a_worker(monkeypatch, capsys):
    monkeypatch.setattr(inspection, "Pool", None)
    assert cli.main(["inspect", FP8, "--counters"]) == errors.NOT_RUN
    text = capsys.readouterr().out
    assert "was not run. It needs FP8 tensor cores" in text
    assert "this is a GeForce RTX 3090 (8.6). Nearest rung that runs here: gemm_fp8/triton/decoded_to_f16." in text
    assert cli.main(["inspect", FP8, "--counters", "--json"]) == errors.NOT_RUN
    assert "was not run" in json.loads(capsys.readouterr().out)["refused"]


@pytest.mark.slow
def test_what_can_be_said_without_running_it_is_said(capsys):
    """It is refused, and then compiled as far as that goes: Triton says why it does not."""
    found = gather(FP8)
    assert found["refused"]
    text = shown(found, capsys)
    assert "was not run. It needs FP8 tensor cores" in text
    assert "type fp8e4nv not supported in this architecture" in text
    assert inspected.exit_code(found) == errors.NOT_RUN


@pytest.mark.slow
def test_where_it_is_native_it_compiles_and_shows_its_claim(fp8, capsys):
    assert fp8["verdict"] == "compiled"
    assert fp8["claims"] == [{"claim": "mma e4m3", "found": True}]
    assert fp8["counts"] is None
    text = shown(fp8, capsys)
    assert ".target sm_89" in text
    assert inspected.exit_code(fp8) == errors.OK


@pytest.mark.slow
def test_printed_ptx_can_be_assembled_again(fp8, capsys, tmp_path, monkeypatch):
    from warpbench.backends import sass

    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    panel = sass.static_panel(shown(fp8, capsys), "sm_89", "triton")
    assert panel.registers == fp8["kernels"][0]["registers"]


@pytest.mark.slow
def test_a_refused_rung_that_does_not_even_compile_says_both(capsys):
    found = gather(FP8, "rtx3090", ptx=True)
    text = shown(found, capsys)
    assert "was not run. It needs FP8 tensor cores" in text
    assert "fp8e4nv not supported in this architecture" in text
    assert inspected.exit_code(found) == errors.NOT_RUN


def test_a_refused_rung_that_compiles_is_shown_and_still_not_run(capsys):
    found = gather("copy_2d/triton/tensor_descriptors", "rtx3090", sass=True)
    text = shown(found, capsys)
    assert "It needs TMA" in text
    assert "Compiled for it all the same, not executed." in text
    assert found["kernels"][0]["sass"]["code"]
    assert found["lines"] is None
    assert inspected.exit_code(found) == errors.NOT_RUN


# -- wrong and broken rungs ----------------------------------------------------------------------------------------
@pytest.mark.slow
def test_a_kernel_that_ptxvm_stops_is_wrong_and_its_code_is_there_all_the_same(make_catalogue, capsys):
    found = gather("double/numba/plain", root=make_catalogue(BEYOND))
    assert found["verdict"] == "fail"
    assert found["findings"][0]["kind"] == "out of bounds"
    assert found["counts"] is None
    (launch,) = found["launches"]
    assert launch["grid"] == [3, 1, 1]
    assert launch["registers"] > 0
    assert "out of bounds" in shown(found, capsys)
    assert inspected.exit_code(found) == errors.WRONG


@pytest.mark.slow
def test_a_file_that_does_not_parse_is_told_in_one_line(make_catalogue, capsys):
    found = gather("double/numba/plain", root=make_catalogue("def plain(:\n"))
    assert "in_numba.py:1 does not parse" in shown(found, capsys)
    assert inspected.exit_code(found) == errors.WRONG


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vector_add"], "is 8 rungs; one is needed"),
        (["vector_add/numba/one_thread"], "Nearest: "),
        ([PLAIN, "--gpu", "rtx3091"], "Nearest: "),
    ],
)
def test_bad_arguments_name_the_nearest(arguments, words, capsys):
    assert cli.main(["inspect", *arguments]) == errors.USAGE
    assert words in capsys.readouterr().err


# -- one process ---------------------------------------------------------------------------------------------------
def launch(**fields):
    plain = {
        "dsl": "cupy", "kernel": "k", "entry": "k", "ptx": "// none", "arch": "sm_86", "grid": (4, 2, 1),
        "block": (64, 1, 1), "dynamic_shared_bytes": 16, "report": None, "not_executed": None,
    }  # fmt: skip
    return SimpleNamespace(**{**plain, **fields})


def inspect_launches(make_catalogue, launches, execute=True, judged=None):
    """`inspect_rung` with a backend that claims these launches."""
    backend = SimpleNamespace(device="cpu", band=0, arch="sm_86", run=lambda call, tensors, case, execute: launches)
    root = make_catalogue()
    task = {"execute": execute, "ptx": False, "sass": False, "cc": "8.6"}
    operation, rung = catalogue.select("double/numba/plain", root)[0]
    return inspection.inspect_rung(operation, rung, backend, task, root=root)


def test_ptxas_that_refuses_leaves_the_figures_unknown_and_says_why(make_catalogue, capsys):
    found = inspect_launches(make_catalogue, [launch(report=None)], execute=False)
    (row,) = found["launches"]
    assert (row["registers"], row["shared_bytes"], row["occupancy"]) == (None, None, None)
    assert "refuses this PTX" in found["kernels"][0]["problem"]
    head = {"rung": "r", "idea": "i", "name": "n", "cc": "8.6", "arch": "sm_86", "refused": None}
    wants = {"summary": True, "ptx": False, "sass": False, "counters": False, "all_cards": False}
    text = shown({**found, **head, "wants": wants}, capsys)
    assert "Missing .version directive" in text
    assert "unknown" in text
    assert inspected.exit_code({**found, **head, "wants": wants}) == errors.OK
    assert inspected.exit_code({**found, **head, "wants": {**wants, "sass": True}}) == errors.WRONG


def test_a_kernel_that_is_launched_twice_is_assembled_once_and_counted_twice(make_catalogue, monkeypatch):
    place = ("kernel.cu", 3)

    def report():
        counters = Counters(global_load_requests=2, global_load_sectors=16, global_load_bytes=256, instructions=5)
        return Report("k", (4, 2, 1), (64, 1, 1), counters, lines={place: counters})

    monkeypatch.setattr(check, "run_case", lambda *_: (
        {"verdict": "pass", "reason": "", "findings": []}, [launch(report=report()), launch(report=report())]
    ))  # fmt: skip
    found = inspect_launches(make_catalogue, [])
    assert len(found["kernels"]) == 1
    assert len(found["launches"]) == 2
    (line,) = found["lines"]
    assert (line["requests"], line["sectors_per_request"], line["efficiency"]) == (4, 8.0, 0.5)
    assert found["counts"]["instructions"] == 10
    assert found["counts"]["bytes_asked"] == 32 * 32


def test_what_ptxvm_cannot_execute_is_said_to_be_compiled(make_catalogue, monkeypatch, capsys):
    reason = "ptxvm does not execute `wgmma.fence` (PTX line 9)"
    monkeypatch.setattr(check, "run_case", lambda *_: (
        {"verdict": "not executed", "reason": reason, "findings": []}, [launch(not_executed=reason)]
    ))  # fmt: skip
    found = inspect_launches(make_catalogue, [])
    assert found["counts"] is None
    head = {"rung": "r", "idea": "i", "name": "n", "cc": "9.0", "arch": "sm_90", "refused": None}
    found |= {**head, "wants": {"summary": True, "ptx": False, "sass": False, "counters": False, "all_cards": False}}
    assert f"Compiled, not executed: {reason}." in shown(found, capsys)
    assert inspected.exit_code(found) == errors.NOT_RUN


def test_a_worker_that_died_is_the_environments_fault(capsys):
    wants = {"summary": True, "ptx": False, "sass": False, "counters": False, "all_cards": False}
    found = {"verdict": "not judged", "reason": "the worker process died", "rung": "r", "idea": "i", "refused": None}
    assert "the worker process died" in shown({**found, "wants": wants}, capsys)
    assert inspected.exit_code({**found, "wants": wants}) == errors.ENVIRONMENT


def test_profile_asks_again_where_the_assembler_was_missing(make_catalogue, tmp_path, monkeypatch):
    """The verdict may come from the cache; registers that were unknown for want of ptxas may not."""
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "cache")
    problem = "ptxas is not installed"
    asked = []

    def static(launch, arch):
        asked.append(launch.kernel)
        return {"kernel": "k", "regs": None, "spill_bytes": None, "smem_bytes": None, "problem": problem}

    monkeypatch.setattr(counts, "static", static)
    root = make_catalogue()
    operation, rung = catalogue.select("double/numba/plain", root)[0]

    def run(call, tensors, case, execute):
        if execute:
            call()
        return [launch(report=Report("k", (1, 1, 1), (32, 1, 1), Counters()) if execute else None)]

    backend = SimpleNamespace(device="cpu", band=0, arch="sm_86", run=run)
    for times in (1, 2):
        counts.profile_rung(operation, rung, backend, root=root)
        assert len(asked) == times
    problem = ""
    counts.profile_rung(operation, rung, backend, root=root)
    counts.profile_rung(operation, rung, backend, root=root)
    assert len(asked) == 3  # now it is known, and kept


@pytest.mark.parametrize(("sizes", "text"), [((32, 1, 1), "32"), ((4, 2, 1), "4 x 2"), ((1, 1, 3), "1 x 1 x 3")])
def test_extents(sizes, text):
    assert inspected.extent(sizes) == text


def test_a_lookup_of_a_rung_that_is_not_there_names_the_exit_code():
    with pytest.raises(UsageError):
        catalogue.select("vector_add/numba/none")
