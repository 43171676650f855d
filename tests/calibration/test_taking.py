"""How readings are taken, apart from the card: choosing metrics, reading pages, recording and repeating launches."""

import json
import subprocess
import sys

import pytest

from tests.calibration import readings, run_ncu, sanitize
from tests.calibration.cases import HERE, tensors
from tests.calibration.replay import replay

LISTING = """Device NVIDIA H100 80GB HBM3 (GH100)
--------------------------------------------------------------------------
Metric Name                                        Metric Type  Metric Unit  Metric Description
-------------------------------------------------- ------------ ------------ ---------------------
l1tex__t_sectors_pipe_lsu_mem_global_op_ld            Counter      sector       # of sectors requested
l1tex__t_sectors_pipe_lsu_mem_global_op_ld_lookup_hit Counter      sector       # of sectors that hit
l1tex__t_requests_pipe_lsu_mem_global_op_ldgsts       Counter      request      # of requests
l1tex__data_pipe_lsu_wavefronts_mem_shared_op_st      Counter                   # of wavefronts
smsp__inst_executed_op_shared_ld                      Counter      inst         # of warp instructions
dram__bytes                                           Counter      byte         # of bytes
"""

RAW = """==PROF== Connected to process 123
"ID","Process ID","Process Name","Host Name","Kernel Name","Context","Stream","Block Size","Grid Size","Device","CC",\
"l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum","smsp__inst_executed.sum","gpu__time.avg"
"","","","","","","","","","","","sector","inst","ns"
"0","123","python3","here","void at::fill(float)","1","7","(128, 1, 1)","(1, 1, 1)","0","9.0","4","10","1.5"
"1","123","python3","here","scale(const float *)","1","7","(64, 1, 1)","(2, 1, 1)","0","9.0","1,024","20","2.5"
"2","123","python3","here","ns::scale<(int)4>(int)","1","7","(64, 1, 1)","(2, 1, 1)","0","9.0","12","30","2.5"
"""

SOURCE = """"Kernel Name","scale(const float *)"
"Address","Source","Warp Stall Sampling (All Samples)","Instructions Executed","Thread Instructions Executed"
"0x10","      LDS.U.128 R4, [R2] ","0","1,200","38,400"
"0x20","@!P0  BAR.SYNC.DEFER_BLOCKING 0x0 ","0","7","224"
"0x30","      FFMA.FTZ R4, R2, R2, R1 ","0","3","96"
"0x40","      FFMA R4, R2, R2, R1 ","0","2","64"
"""


def test_metrics_are_chosen_whole_from_what_this_ncu_knows():
    names = run_ncu.base_names(LISTING)
    assert len(names) == 6
    assert run_ncu.chosen(names, run_ncu.MEMORY) == [
        "l1tex__t_sectors_pipe_lsu_mem_global_op_ld",
        "l1tex__t_requests_pipe_lsu_mem_global_op_ldgsts",
        "l1tex__data_pipe_lsu_wavefronts_mem_shared_op_st",
        "smsp__inst_executed_op_shared_ld",
    ]


def test_the_certain_names_match_the_patterns():
    assert set(run_ncu.chosen(run_ncu.CERTAIN, run_ncu.MEMORY)) == set(run_ncu.CERTAIN)
    assert set(run_ncu.chosen(run_ncu.PATCHED_CERTAIN, run_ncu.PATCHED)) == set(run_ncu.PATCHED_CERTAIN)


def test_a_raw_page_gives_whole_sums_in_the_order_of_launches():
    rows = readings.parse_raw(RAW)
    assert [row["ID"] for row in rows] == ["0", "1", "2"]
    assert readings.sums(rows[1]) == {"l1tex__t_sectors_pipe_lsu_mem_global_op_ld": 1024, "smsp__inst_executed": 20}


def test_kernels_are_paired_by_name_and_order():
    first, second, third = readings.paired(readings.parse_raw(RAW), ["scale", "scale", "scale"])
    assert first is not None
    assert first["smsp__inst_executed"] == 20
    assert second is not None
    assert second["smsp__inst_executed"] == 30
    assert third is None, "the page has no third one"


def test_a_page_of_instructions_gives_what_was_executed_by_opcode():
    assert readings.opcodes(SOURCE) == [("scale(const float *)", {"LDS.U.128": 1200, "BAR.SYNC": 7, "FFMA": 5})]


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("========= ERROR SUMMARY: 0 errors", 0),
        ("========= ERROR SUMMARY: 12 errors", 12),
        ("========= RACECHECK SUMMARY: 2 hazards displayed (1 error, 1 warning)", 2),
        ("Killed", None),
    ],
)
def test_the_sanitizers_summary_is_read(text, errors):
    assert sanitize.errors_of(text) == errors


def launch(tmp_path, *words):
    """The manifest of an emulated run, and its PTX by name. In a process of its own: it is for another architecture."""
    command = [sys.executable, str(HERE / "launches.py"), *words, "--out", str(tmp_path), "--emulated", "sm_90"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    return manifest["cases"], {path.name: path.read_text() for path in (tmp_path / "ptx").iterdir()}


def repeated(case, texts, dsl):
    return list(replay(case, tensors(case["inputs"], dsl), texts, "sm_90"))


@pytest.mark.parametrize(
    ("pattern", "requests", "wavefronts"),
    # 8 bytes a lane: half a warp at a time. Stride 2 puts two lanes of each half on a bank; a broadcast takes one each.
    [("stride_1", 2, 4), ("stride_2", 2, 8), ("stride_16", 2, 64), ("broadcast", 2, 4), ("even_lanes", 2, 4)],
)
def test_a_recorded_probe_repeats_with_known_counts(tmp_path, pattern, requests, wavefronts):
    cases, texts = launch(tmp_path, "cupy", "--which", "probes", "--match", f"shared_load_8[{pattern}]")
    (counts,) = repeated(cases[0], texts, "cupy")
    assert counts["shared_load_requests"] == requests
    assert counts["shared_load_wavefronts"] == wavefronts
    assert counts["shared_store_requests"] == counts["shared_store_wavefronts"] == 2 * 2112 * 2 // 64
    assert counts["global_load_requests"] == 2
    assert counts["global_load_sectors"] == 8
    assert counts["barriers"] == 2


@pytest.mark.parametrize("dsl", ["numba", "triton"])
def test_launches_of_a_case_repeat_one_after_another(tmp_path, dsl):
    cases, texts = launch(tmp_path, dsl, "--which", "rungs", "--match", "attention")
    several = next(case for case in cases if len(case["launches"]) == 3)
    counts = repeated(several, texts, dsl)
    assert len(counts) == 3
    stored = [storage["bytes"] for storage in several["storages"] if not storage["name"]]
    scores = max(stored)  # the rung's own tensor: n * n scores a head, written once by the first kernel
    assert 32 * counts[0]["global_store_sectors"] == scores
