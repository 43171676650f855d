"""The record file: what is written is read back, and what was tampered with is refused with its place."""

from __future__ import annotations

import gzip
import json

import pytest

from warpbench.errors import UsageError
from warpbench.measure import header, records
from warpbench.measure.files import Writer, read
from warpbench.measure.records import Case, Config, Count, Replicate, Roof, canonical

ID = "double/numba/plain/f32/n=64"


def make_run(kind="virtual", planned=1):
    return header.make_run(kind, ("warpbench", "profile"), Config(replicates=1, seed=1, planned=planned))


def make_case(run, **more):
    fields = {
        "run_id": run.run_id, "case_id": ID, "operation": "double", "dsl": "numba", "rung": "plain", "rung_sha256": "0",
        "shape": {"n": 64}, "dtype": "f32", "bytes_read": 256, "bytes_written": 256, "flops": 64,
        "working_set_bytes": 512, "verdict_correct": "pass", "tol_rule": "exact",
    }  # fmt: skip
    return Case(**{**fields, **more})


def make_count(run, **more):
    fields = {
        "run_id": run.run_id, "case_id": ID, "arch": "sm_86", "ptx_sha256": "1", "requests": 4, "sectors": 16,
        "bytes_asked": 512, "unique_sectors": 16, "wavefronts": 0, "wavefronts_ideal": 0, "barriers": 0, "divergent": 0,
        "mma": 0, "flops": 64,
    }  # fmt: skip
    return Count(**{**fields, **more})


def make_samples(run, **more):
    fields = {
        "run_id": run.run_id, "case_id": ID, "replicate": 0, "order": 1, "seed": 1,
        "pid_start_utc": "2026-01-05T12:00:00Z",
        "mode": "cold", "timer": "event_sleep", "launches_per_sample": 1, "flush_bytes": 64 << 20, "buffer_copies": 1,
        "t_us": (10.0, 11.5, 10.25), "stop": "converged", "status": "ok", "checked_after": True,
    }  # fmt: skip
    return Replicate(**{**fields, **more})


def write(path, *more, kind="virtual"):
    run = make_run(kind)
    with Writer(path, run) as file:
        file.append(make_case(run))
        for record in more:
            file.append(record(run))
    return path


def test_what_is_written_is_read_back(tmp_path):
    path = write(tmp_path / "runs" / "a.jsonl", make_count)
    found = read(path)
    assert found.run.kind == "virtual"
    assert found.cases[ID].shape == {"n": 64}
    assert found.counts[ID].sectors == 16
    assert found.complete


def test_measured_lines_are_read_back(tmp_path):
    path = write(
        tmp_path / "a.jsonl",
        make_samples,
        lambda run: Roof(run.run_id, "bw_copy", 812.5, "GB/s", "measured", bytes=1 << 30),
        kind="measured",
    )
    found = read(path)
    assert found.replicates[ID][0].t_us == (10.0, 11.5, 10.25)
    assert found.roofs[0].value == 812.5


def test_every_record_survives_its_own_schema(tmp_path):
    run = make_run()
    for record in (run, make_case(run), make_count(run), make_samples(run), records.Seal(run.run_id, 1, "0")):
        name = json.loads(records.line(record))["record"]
        assert records.CLASSES[name] is type(record)


def test_a_zipped_file_is_read(tmp_path):
    path = write(tmp_path / "a.jsonl", make_count)
    zipped = tmp_path / "a.jsonl.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    assert read(zipped).counts[ID].requests == 4


def test_an_interrupted_run_is_sealed_and_says_what_is_missing(tmp_path):
    run = make_run(planned=7)

    def interrupted():
        with Writer(tmp_path / "a.jsonl", run) as file:
            file.append(make_case(run))
            file._file.write(b'{"half a li')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    found = read(tmp_path / "a.jsonl")
    assert len(found.cases) == 1
    assert not found.complete


def test_a_file_is_never_written_over(tmp_path):
    write(tmp_path / "a.jsonl")
    with pytest.raises(FileExistsError):
        write(tmp_path / "a.jsonl")


def test_nan_is_no_json():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"value": float("nan")})


def reseal(lines):
    """Lines with a seal that fits them: what a forger would write."""
    import hashlib

    body = b"".join(lines)
    run_id = json.loads(lines[0])["run_id"]
    seal = records.Seal(run_id, len(lines), hashlib.sha256(body).hexdigest())
    return body + (records.line(seal) + "\n").encode()


def broken(path):
    with pytest.raises(UsageError) as error:
        read(path)
    return str(error.value)


def test_an_edited_line_is_found_by_the_seal(tmp_path):
    path = write(tmp_path / "a.jsonl", make_count)
    path.write_bytes(path.read_bytes().replace(b'"sectors":16', b'"sectors":15'))
    assert "a.jsonl:4 is broken: the seal's hash does not fit" in broken(path)


def test_a_cut_file_is_found(tmp_path):
    path = write(tmp_path / "a.jsonl", make_count)
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:-1]))
    assert "a.jsonl:3 is broken: the seal is missing" in broken(path)
    path.write_bytes(b"".join([whole[0], *whole[2:]]))
    assert "the seal counts 3 lines, there are 2" in broken(path)
    path.write_bytes(b"")
    assert "is empty" in broken(path)
    path.write_bytes(whole[0][:50])
    assert "a.jsonl:1 is broken: no JSON" in broken(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sectors": None}, "count: sectors: Input should be a valid integer"),
        ({"sectors": "16"}, "count: sectors: Input should be a valid integer"),
        ({"surprise": 1}, "count: surprise: "),
        ({"run_id": "another"}, "run_id differs"),
        ({"case_id": "unknown"}, "a count of the unknown case unknown"),
        ({"record": "counts"}, "record is 'counts', it must be one of run, roof"),
    ],
)
def test_what_breaks_the_schema_is_named(tmp_path, change, words):
    path = write(tmp_path / "a.jsonl", make_count)
    lines = path.read_bytes().splitlines(keepends=True)[:-1]
    data = {**json.loads(lines[2]), **change}
    path.write_bytes(reseal([lines[0], lines[1], (canonical(data) + "\n").encode()]))
    assert "a.jsonl:3 is broken" in broken(path)
    assert words in broken(path)


def test_a_missing_field_is_named(tmp_path):
    path = write(tmp_path / "a.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)[:-1]
    data = json.loads(lines[1])
    del data["flops"]
    path.write_bytes(reseal([lines[0], (canonical(data) + "\n").encode()]))
    assert "case: flops: Field required" in broken(path)


def test_other_spellings_and_other_schemas_are_refused(tmp_path):
    path = write(tmp_path / "a.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)[:-1]
    path.write_bytes(reseal([lines[0], json.dumps(json.loads(lines[1])).encode() + b"\n"]))
    assert "not canonical JSON" in broken(path)
    other = {**json.loads(lines[0]), "schema": "warpbench-result/2"}
    path.write_bytes(reseal([(canonical(other) + "\n").encode()]))
    assert "schema is 'warpbench-result/2'; this version reads" in broken(path)


def test_double_cases_and_samples_in_a_virtual_run_are_refused(tmp_path):
    path = write(tmp_path / "a.jsonl", lambda run: make_case(run))
    assert "a second case" in broken(path)
    path = write(tmp_path / "b.jsonl", make_samples)
    assert "samples in a virtual run" in broken(path)


def test_files_that_are_not_there_or_not_text(tmp_path):
    assert "is not there" in broken(tmp_path / "none.jsonl")
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe\x00")
    assert "x.jsonl:1 is broken: no JSON" in broken(tmp_path / "x.jsonl")
    assert "cannot be read" in broken(tmp_path)


def test_a_virtual_run_says_nothing_of_a_card():
    run = make_run()
    assert all(value is None for value in run.gpu.__dict__.values())
    assert run.driver_version is None


def test_paths_are_by_card_time_and_id():
    run = make_run()
    path = header.run_path(run, "virtual")
    assert path.parent.name == "virtual"
    assert path.name.endswith(f"Z-{run.run_id[:8]}.jsonl")
    assert ":" not in path.name
