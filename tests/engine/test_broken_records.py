"""Record files that are broken or of another kind are refused in one line, with the place of the damage."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.engine.commands import Checkout, one_line
from tests.engine.test_records import make_count, make_samples, reseal, write
from warpbench import cli, errors
from warpbench.measure.records import canonical

RUNG = "vector_add/numba/grid_stride"


def record(path, kind="virtual", **more):
    """A sound record file of one rung: its run, its case and its counts or samples."""
    make = make_count if kind == "virtual" else make_samples
    return write(path, lambda run: make(run, **more), kind=kind)


def changed(number, **fields):
    """What becomes of a record file when fields of a line are changed and the file is sealed anew."""

    def change(lines):
        data = {**json.loads(lines[number - 1]), **fields}
        lines[number - 1] = (canonical({k: v for k, v in data.items() if v is not ...}) + "\n").encode()
        return reseal(lines[:-1])

    return change


# kind of damage -> (what it makes of the lines of a sound file, words of the message)
DAMAGE = {
    "empty": (lambda lines: b"", "is empty. Nothing was read. A record file begins with a run line."),
    "white space": (lambda lines: b"\n\n", ":1 is broken: no JSON"),
    "not text": (lambda lines: bytes(range(256)), ":1 is broken: no JSON"),
    "not JSON": (lambda lines: b"time,kernel\n1.5,softmax\n", ":1 is broken: no JSON"),
    "JSON of something else": (
        lambda lines: b'{"rows": []}\n',
        ":1 is broken: record is None, it must be one of run, ",
    ),
    "a JSON list": (lambda lines: b"[1, 2]\n", ":1 is broken: record is [1, 2], it must be one of"),
    "cut in a line": (lambda lines: b"".join(lines)[:-40], ":4 is broken: no JSON"),
    "cut after a line": (lambda lines: b"".join(lines[:-1]), ":3 is broken: the seal is missing"),
    "a line lost": (lambda lines: b"".join([*lines[:2], *lines[3:]]), "the seal counts 3 lines, there are 2"),
    "edited after the run": (
        lambda lines: b"".join(lines).replace(b'"flops":64', b'"flops":65', 1),
        "the seal's hash does not fit: a line was changed after the run",
    ),
    "no run line": (lambda lines: reseal(lines[1:-1]), ":1 is broken: the first line is a case, it must be the run"),
    "another schema": (changed(1, schema="warpbench-result/9"), "this version reads 'warpbench-result/1'"),
    "an unknown kind": (changed(1, kind="guessed"), "run: kind: "),
    "a field too many": (changed(3, gbps=812.5), "count: gbps: "),
    "a field too few": (changed(2, flops=...), "case: flops: Field required"),
    "text for a number": (changed(3, sectors="16"), "count: sectors: "),
    "a number that is none": (
        lambda lines: reseal([lines[0], lines[1].replace(b'"flops":64', b'"flops":NaN'), lines[2]]),
        "case: flops: ",
    ),
    "two runs in one file": (changed(3, run_id="another"), "run_id differs from the first line's"),
    "a count without its case": (changed(3, case_id="other"), "a count of the unknown case other"),
    "a case twice": (lambda lines: reseal([*lines[:3], lines[1]]), "a second case"),
    "other spelling": (
        lambda lines: reseal([lines[0], lines[1], json.dumps(json.loads(lines[2])).encode() + b"\n"]),
        "not canonical JSON",
    ),
    "half an archive": (lambda lines: gzip.compress(b"".join(lines))[:-20], "cannot be read: "),
    "a damaged archive": (lambda lines: b"\x1f\x8b" + bytes(60), "cannot be read: "),
}


@pytest.fixture
def damaged(tmp_path, request):
    """A file with this kind of damage, and a sound one."""
    sound, path = record(tmp_path / "sound.jsonl"), tmp_path / "broken.jsonl"
    path.write_bytes(DAMAGE[request.param][0](sound.read_bytes().splitlines(keepends=True)))
    return path, sound, DAMAGE[request.param][1]


@pytest.mark.parametrize("damaged", DAMAGE, indirect=True)
def test_a_broken_record_is_not_compared(damaged, capsys):
    path, sound, words = damaged
    for pair in ([path, sound], [sound, path]):
        assert cli.main(["compare", *map(str, pair)]) == errors.USAGE
        said = one_line(capsys.readouterr().err)
        assert said.startswith(str(path))
        assert words in said
        assert "Nothing " in said


@pytest.mark.parametrize("damaged", DAMAGE, indirect=True)
def test_a_broken_record_is_not_continued(damaged, capsys):
    path, _, words = damaged
    assert cli.main(["profile", RUNG, "--virtual", "--rest-of", str(path)]) == errors.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""  # nothing was begun
    assert words in one_line(printed.err)


def test_sound_files_are_compared(tmp_path, capsys):
    for kind in ("virtual", "measured"):
        a, b = record(tmp_path / f"{kind}_a", kind), record(tmp_path / f"{kind}_b", kind)
        assert cli.main(["compare", str(a), str(b)]) == errors.OK
    assert capsys.readouterr().err == ""


def test_times_are_not_compared_with_counts(tmp_path, capsys):
    a, b = record(tmp_path / "a", "virtual"), record(tmp_path / "b", "measured")
    assert cli.main(["compare", str(a), str(b)]) == errors.USAGE
    said = one_line(capsys.readouterr().err)
    assert f"{a} is virtual, {b} is measured: counts and times cannot be compared. Nothing was compared." in said


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"kind": "measured"}, "that record is measured; this run is virtual for GeForce RTX 3090 (sm_86)."),
        ({"arch": "sm_89"}, "that record is virtual, counted for sm_89; this run is virtual for GeForce RTX 3090"),
    ],
)
def test_a_record_of_another_kind_or_card_is_not_continued(tmp_path, capsys, made, words):
    path = record(tmp_path / "a.jsonl", **made)
    assert cli.main(["profile", RUNG, "--virtual", "--rest-of", str(path)]) == errors.USAGE
    said = one_line(capsys.readouterr().err)
    assert words in said
    assert "Nothing was profiled. Give the options of that run again, or leave --rest-of away." in said


@pytest.mark.parametrize("name", ["nowhere.jsonl", "folder", "/dev/null", "folder/x/y"])
def test_files_that_are_no_files(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    for words in (["compare", name, name], ["profile", RUNG, "--virtual", "--rest-of", name]):
        assert cli.main(words) == errors.USAGE
        assert one_line(capsys.readouterr().err).startswith(name)


def test_without_records_there_is_nothing_to_compare(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("checkout"), "vector_add")
    done = checkout.run("compare")
    assert done.code == errors.USAGE
    assert (
        "holds 0 record files to compare; 2 are needed. Nothing was compared. Make one: warpbench profile" in done.err
    )
