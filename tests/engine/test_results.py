"""The page of results is made from the records, and the texts quote what stands there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from warpbench import results
from warpbench.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
RECORDS = results.records()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_kept_record_is_whole_and_of_a_card(path):
    record = results.read(path)
    assert record.run.kind == "measured"
    assert record.complete
    assert record.run.git_commit


def test_the_page_agrees_with_the_records():
    assert results.stale() == []


def test_a_record_that_was_edited_gives_no_page(tmp_path):
    folder = tmp_path / RECORDS[0].parent.name
    folder.mkdir()
    copy = shutil.copy(RECORDS[0], folder)
    text = Path(copy).read_text(encoding="utf-8")
    Path(copy).write_text(text.replace('"t_us":[', '"t_us":[1.0,', 1), encoding="utf-8")
    with pytest.raises(UsageError, match="hash does not fit"):
        results.page(tmp_path)


def test_the_medians_are_those_of_the_samples():
    """By another way: straight from the JSON of the first record."""
    lines = [json.loads(line) for line in RECORDS[0].read_text(encoding="utf-8").splitlines()]
    samples = {line["case_id"]: sorted(line["t_us"]) for line in lines if line["record"] == "replicate"}
    shown = {row["rung"]: row["seconds"] for row in results.rows(results.read(RECORDS[0]))}
    for case, taken in samples.items():
        middle = (taken[(len(taken) - 1) // 2] + taken[len(taken) // 2]) / 2
        assert shown["/".join(case.split("/")[:3])] == pytest.approx(middle / 1e6)


def test_the_readme_quotes_the_page():
    """The table of the README: rung, median, rate, of measured, of theory, torch/this."""
    page = {}
    for block in results.page().split("\n### ")[1:]:
        operation = block.partition(",")[0]
        for line in block.splitlines():
            if line.startswith("| ") and "/" in line.split("|")[1]:
                rung, median, _, rate, measured, theory, torch, *_ = cells(line)
                page[f"{operation}/{rung}"] = [median, rate, measured, theory, torch]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    quoted = [cells(line) for line in readme.splitlines() if re.match(r"\| \w+/\w+/\w+ \|", line)]
    assert len(quoted) >= 4
    for rung, *figures in quoted:
        assert page[rung] == figures


def test_the_facts_of_the_timer_are_those_of_the_file():
    facts = json.loads((results.FOLDER / "h200_sxm" / "harness_facts.json").read_text(encoding="utf-8"))
    text = (ROOT / "profiling" / "README.md").read_text(encoding="utf-8")
    section = text.partition("## What the timer rests on")[2].partition("\n## ")[0]
    empty, flush = facts["empty"], facts["flush"]
    quoted = [
        f"{facts['events']['median_us']:.2f} us, in steps of {facts['events']['least_step_ns']} ns",
        f"{empty['triton']['cold']['median_us']:.2f} us behind a flush, {empty['triton']['hot']['median_us']:.2f} us",
        f"CuPy {empty['cupy']['host_us']:.0f} us, Triton {empty['triton']['host_us']:.0f} us, "
        f"Numba {empty['numba']['host_us']:.0f} us; `torch.add` {empty['torch.add']['host_us']:.0f} us",
        f"{flush['flush: write and read']['median_us']:.0f} us for {flush['bytes'] >> 20} MiB",
        *(f"{facts['patterns'][name]:,.0f}" for name in ("write (fill_)", "triad (add)", "read (torch.sum)")),
        *(f"{facts['sizes'][mib]:,.0f}" for mib in ("4", "16", "64", "128")),
        *(f"{flush[f'copy of {mib} MiB behind write']['median_us']:.1f}" for mib in (4, 16, 256)),
    ]
    assert [one for one in quoted if one not in section] == []
