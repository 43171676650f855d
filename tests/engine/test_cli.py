"""Every command answers --help at once and with an example; its JSON keeps its fields; pipes get no colour."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from functools import cache

import pytest
from typer.main import get_command

from tests.engine.commands import ESCAPE, Checkout
from warpbench import catalogue, cli, errors
from warpbench.course.cli import app as course_app
from warpbench.hardware import gpus

RUNG = "vector_add/numba/grid_stride"
# A process that prints to stderr which of these were imported by a command
PROBE = """
import sys
from warpbench.cli import main
code = main(sys.argv[1:])
print(*{one.partition(".")[0] for one in sys.modules} & set(HEAVY), file=sys.stderr)
sys.exit(code)
"""
SCRIPT = """
import numpy
from numba import cuda
@cuda.jit
def ones(x):
    x[cuda.grid(1)] = 1
ones[2, 32](numpy.zeros(64))
"""
HEAVY = ("torch", "triton", "numba", "cupy", "cuda", "pynvml", "numpy", "ptxvm")


def walk(command, *words):
    """The words of every command below a group."""
    for name, below in command.commands.items():
        if hasattr(below, "commands"):
            yield from walk(below, *words, name)
        if getattr(below, "invoke_without_command", True):  # a plain command, or a group that answers by itself
            yield (*words, name)


PATHS = [operation.rung_path(rung) for operation, rung in catalogue.rungs()]
COMMANDS = [*walk(get_command(cli.app)), *walk(get_command(course_app), "learn")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("checkout"), "vector_add", "axpy", "gemm_fp8")
    (checkout.root / "script.py").write_text(SCRIPT)
    assert checkout.run("profile", RUNG, "--quick").code == 0
    (record,) = checkout.records  # and a second one, to compare the two
    shutil.copyfile(record, record.with_name(f"99990101T000000Z-{record.name.partition('-')[2]}"))
    return checkout


@cache
def answer(checkout, line):
    """What a command printed with --json; each is asked once."""
    return checkout.run(*line.split(), "--json")


def probe(checkout, *words):
    """A command's answer; `err` lists the heavy modules that it imported."""
    return checkout.run(*words, program=("-c", PROBE.replace("HEAVY", repr(HEAVY))))


# -- help ----------------------------------------------------------------------------------------------------------
# the help of the others is timed in make test-all: a process each
TIMED = {(), ("list",), ("profile",), ("run",), ("learn", "watch")}


def test_every_command_of_the_readme_is_there():
    words = {" ".join(command) for command in COMMANDS}
    assert words >= {
        "list", "check", "profile", "compare", "gpus", "gpus show", "gpus compare", "features", "inspect", "doctor",
        "catalogue check", "learn",
        "learn list", "learn run", "learn watch", "learn hint", "learn reset", "learn solution",
    }  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [pytest.param(one, id=" ".join(one), marks=() if one in TIMED else pytest.mark.slow) for one in [(), *COMMANDS]],
)
def test_help_is_quick(checkout, command):
    done = probe(checkout, *command, "--help")
    assert done.code == 0
    assert done.err.split() == []
    assert done.cpu_s < 0.5
    assert done.out.startswith("Usage: ")


@pytest.mark.parametrize("command", [(), *COMMANDS], ids=" ".join)
def test_help_has_an_example(capsys, command):
    assert cli.main([*command, "--help"]) == errors.OK
    out, err = capsys.readouterr()
    assert not err
    usage, _, shown = out.partition("Examples:\n")
    assert usage.startswith(f"Usage: warpbench {' '.join(command)}".rstrip())
    lines = [line for line in shown.splitlines() if line.startswith("    warpbench ")]
    assert lines, "there is no example"
    assert command == () or any(line.split()[1 : len(command) + 1] == list(command) for line in lines)
    assert ("--json" in usage) == (command not in [(), ("learn",)])


def test_examples_can_be_typed_as_they_are(checkout, capsys):
    """Their options exist, and so do the rungs, cards and exercises that they name."""
    seen = 0
    for command in COMMANDS:
        cli.main([*command, "--help"])
        for line in re.findall(r"^ {4}warpbench (.*?)(?: {2,}.*)?$", capsys.readouterr().out, re.M):
            words = shlex.split(line)
            assert cli.main([*command, "--help", *words[len(command) :]]) == errors.OK, line
            for word in words:
                if "/" in word and "." not in word:
                    assert catalogue.select(word), line
            if "--gpu" in words:
                assert cli.main(["features", "--gpu", words[words.index("--gpu") + 1]]) == errors.OK, line
            capsys.readouterr()
            seen += 1
    assert seen >= 20


def test_no_argument_at_all_is_answered_with_the_help(checkout):
    done = checkout.run()
    assert done.code == errors.USAGE
    assert done.err.splitlines()[0] == "Usage: warpbench [OPTIONS] COMMAND [ARGS]..."
    assert "\n  warpbench list softmax  " in done.err.replace("    warpbench", "  warpbench")


# -- quick answers -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "line", ["list", "list --json", "list */cupy", "gpus", "catalogue check", "learn list", "check nothing"]
)
def test_what_needs_no_library_imports_none(checkout, line):
    done = probe(checkout, *line.split())
    assert done.code == (errors.USAGE if "nothing" in line else errors.OK)
    assert done.err.splitlines()[-1] == ""
    assert done.cpu_s < 0.5


def test_what_asks_for_the_card_imports_the_drivers_packages_only(checkout):
    assert set(probe(checkout, "features").err.split()) <= {"pynvml", "cuda", "numpy"}


def test_list_names_every_rung_once(checkout):
    done = checkout.run("list")
    here = [path for path in PATHS if path.startswith(("axpy/", "gemm_fp8/", "vector_add/"))]
    assert [line.split()[0] for line in done.out.splitlines() if line.startswith("  ")] == here
    assert done.out.splitlines()[-1] == f"{len(here)} rungs of 3 operations"
    assert checkout.run("list", RUNG).out.splitlines()[-1] == "1 rung of 1 operation"


# -- JSON ----------------------------------------------------------------------------------------------------------
FINDING = {"code", "kind", "level", "message"}
PROFILED = {
    "rung", "shape", "dtype", "verdict", "reason", "arch", "requests", "sectors", "sectors_per_request",
    "excess_wavefronts", "bytes_asked", "compulsory_bytes", "asked_over_compulsory", "barriers", "mma", "regs",
    "spill_bytes", "smem_bytes", "occupancy", "occupancy_limiters", "findings",
}  # fmt: skip
# command -> the fields that readers of its JSON rely on: {"": of the whole, "rows": of each of its rows}
FIELDS = {
    "list": {
        "": {"rung", "operation", "dsl", "name", "idea", "needs", "dtypes", "accumulator", "when", "shows", "counts"},
    },
    "gpus": {"": {"slug", "name", "cc", "sm_count", "memory_gb", "bandwidth_gbps", "l2_bytes", "fp32_tflops",
                  "tensor_tflops", "unverified", "source"}},
    "gpus show rtx3090": {
        "": {"slug", "name", "cc", "arch", "sm_count", "fp32_cores", "device_names", "aliases", "chip",
             "fp32_cores_per_sm", "base_clock_mhz", "boost_clock_mhz", "tensor_clock_mhz", "memory_type", "integrated",
             "memory_bus_bits", "memory_data_rate_gbit", "bandwidth_gbps", "memory_gb", "l2_bytes", "fp32_tflops",
             "tensor_class", "tensor_tflops", "tensor_rates", "tensor_derived", "power_watts", "pcie", "nvlink_gbps",
             "price", "source", "tensor_source", "nvlink_source", "unverified", "note", "limits", "decode",
             "published"},
    },
    "gpus compare rtx3090 rtx5090": {
        "": {"a", "b", "roofs", "tensor", "gained", "lost", "floors", "decode", "prices", "memory", "published",
             "model"},
        "roofs": {"what", "unit", "a", "b", "ratio"},
        "tensor": {"key", "what", "unit", "a", "b", "ratio", "a_has", "b_has"},
        "gained": {"name", "title", "where", "otherwise"},
        "floors": {"operation", "shape", "dtype", "a", "b", "ratio", "a_bound", "b_bound"},
        "decode": {"format", "context", "a", "b", "ratio"},
        "memory": {"use", "needed_gb", "a_fits", "b_fits", "source"},
        "published": {"gpu", "model", "format", "tokens_per_s", "about", "source", "verdict"},
    },
    "features --gpu h100": {
        "": {"slug", "gpu", "cc", "features", "older"},
        "features": {"name", "group", "kind", "has", "title", "where", "since", "emulated", "instead"},
    },
    "catalogue check": {"": {"problems", "rungs"}},
    f"check {RUNG} --quick": {
        "": {"gpu", "refused", "rungs"},
        "rungs": {"rung", "verdict", "reason", "cases"},
    },
    f"profile {RUNG} --quick": {
        "": {"kind", "headline", "gpu", "record", "planned", "interrupted", "from_cache", "rows", "problems"},
        "rows": PROFILED,
    },
    "compare": {
        "": {"kind", "a", "b", "notes", "rows", "only_a", "only_b", "worse"},
        "rows": {"case", "rung", "shape", "same_source", "verdict_a", "verdict_b", "change", "a", "b"},
    },
    f"inspect {RUNG}": {
        "": {"rung", "idea", "gpu", "name", "cc", "arch", "wants", "refused", "verdict", "reason", "case", "shape",
             "dtype", "findings", "compulsory_bytes", "kernels", "launches", "claims", "counts", "lines"},
    },
    "run --json script.py": {
        "": {"script", "arguments", "gpu", "name", "arch", "script_code", "exit_code", "launches"},
        "launches": {"dsl", "kernel", "grid", "block", "benchmark", "blocks", "launches", "not_executed", "findings",
                     "counters", "lines"},
    },
    "doctor": {"": {"name", "ok", "text", "fix", "optional"}},
    "learn list": {
        "": {"exercises", "notice"},
        "exercises": {"id", "part", "title", "objective", "dsl", "operation", "file", "level", "attempts", "hints",
                      "current"},
    },
    "learn run guard_the_tail": {
        "": {"exercise", "level", "verdict", "reason", "cases", "findings", "told", "figures", "counts", "printed",
             "arch", "new", "next", "notice", "prediction"},
        "findings": {"code", "title", "level", "file", "lines", "evidence", "next", "pattern", "exercise",
                     "block", "thread"},
    },
    "learn hint guard_the_tail": {"": {"exercise", "level", "of", "more", "text"}},
    "learn solution guard_the_tail --i-give-up": {"": {"exercise", "files"}, "files": {"name", "text"}},
    "learn reset guard_the_tail": {"": {"exercise", "kept", "written"}},
    "learn show guard_the_tail": {
        "": {"exercise", "arch", "case", "reason", "printed", "findings", "launches"},
        "launches": {"kernel", "grid", "block", "lost", "accesses"},
    },
    "learn check-all": {"": {"exercises"}},
    "learn board": {"": {"cards", "rows"}},
    "learn explain M4": {"": {"code", "title", "level", "meaning", "pattern", "next", "listed"}},
    "learn dev cut": {"": {"changed"}},
    "learn dev trace grid_stride": {"": {"targets", "problems"}},
    "learn dev check guard_the_tail": {
        "": {"static", "exercises"},
        "exercises": {"exercise", "mutants", "seconds", "budget_s", "problems"},
    },
}  # fmt: skip
WRONG = ("learn run guard_the_tail",)  # as it is shipped
SLOW = (
    "doctor",
    f"check {RUNG} --quick",
    "inspect vector_add/numba/grid_stride",
    "learn run guard_the_tail",
    "learn show guard_the_tail",
    "learn dev check guard_the_tail",
    "learn dev trace grid_stride",
)
# by tests/course: what never ends, wants a pass or a card, or writes an exercise
ELSEWHERE = {("learn", "watch"), ("learn", "compare"), ("learn", "bench"), ("learn", "dev", "new")}


def test_no_command_is_forgotten():
    known = {words for words in COMMANDS for line in FIELDS if line.split()[: len(words)] == list(words)}
    assert set(COMMANDS) - known == ELSEWHERE


@pytest.mark.parametrize("line", [pytest.param(one, marks=pytest.mark.slow) if one in SLOW else one for one in FIELDS])
def test_json_parses_and_keeps_its_fields(checkout, line):
    done = answer(checkout, line)
    assert done.code == (errors.WRONG if line in WRONG else errors.OK)
    assert done.err == ""
    for name, fields in FIELDS[line].items():
        found = done.data if name == "" else done.data[name]
        rows = found if isinstance(found, list) else [found]
        assert rows
        for row in rows:
            assert set(row) == fields, name


def test_json_says_what_is_there(checkout):
    assert [row["slug"] for row in answer(checkout, "gpus").data] == list(gpus())
    listed = checkout.run("list", "vector_add", "--json").data
    assert [row["rung"] for row in listed] == [path for path in PATHS if path.startswith("vector_add/")]
    (rung,) = answer(checkout, f"check {RUNG} --quick").data["rungs"]
    assert (rung["rung"], rung["verdict"]) == (RUNG, "pass")
    assert rung["cases"]


def test_a_refusal_is_in_the_json_too(checkout):
    done = answer(checkout, "check gemm_fp8/triton/fp8_dot --gpu rtx3090")
    assert done.code == errors.NOT_RUN
    (sentence,) = done.data["refused"]
    assert "was not run. It needs FP8 tensor cores" in sentence
    assert "Nearest rung that runs here: gemm_fp8/triton/decoded_to_f16." in sentence


# -- plain output --------------------------------------------------------------------------------------------------
PLAIN = (
    "list", "gpus", "features --gpu h100", "compare", "learn list",
    *(pytest.param(line, marks=pytest.mark.slow) for line in ("learn run", f"profile {RUNG} --quick", "doctor")),
)  # fmt: skip


@pytest.mark.parametrize("line", PLAIN)
def test_a_pipe_gets_no_colour_whatever_the_shell_wants(checkout, line):
    done = checkout.run(*line.split(), FORCE_COLOR="1", TERM="xterm-256color", COLORTERM="truecolor")
    assert done.out
    for text in (done.out, done.err):
        assert not ESCAPE.search(text)
        assert "\x1b" not in text
        assert not re.search("[─━│┃╸╺]", text)


@pytest.mark.parametrize(
    "line", ["list", "gpus", "learn list", pytest.param(f"profile {RUNG} --quick", marks=pytest.mark.slow)]
)
def test_no_color_is_obeyed_on_a_terminal(checkout, line):
    coloured = r"\x1b\[[0-9;]*\b(?:3[0-8]|4[0-8]|9[0-7])[0-9;]*m"
    plain = checkout.screen(100, *line.split(), NO_COLOR="1")
    assert not re.search(coloured, plain.raw)
    assert "\x1b[?25" not in plain.raw  # nor a cursor that is hidden for a bar
    if line.startswith("profile"):
        assert f"[1/1] {RUNG} pass" in plain.lines


def test_a_reader_that_stops_reading_is_no_error(checkout):
    command = f"{shlex.quote(sys.executable)} -m warpbench list; echo code $? >&2"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; ({command}) | head -1"],
        cwd=checkout.root, env=checkout.environment({}), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("axpy  ")
    assert done.stderr == "code 0\n"


# -- bugs of ours --------------------------------------------------------------------------------------------------
def test_a_bug_of_ours_is_one_line_and_a_traceback_only_with_debug(monkeypatch, capsys):
    def broken(pattern):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(catalogue, "select", broken)
    assert cli.main(["list"]) == errors.INTERNAL
    said = capsys.readouterr().err
    assert said.startswith("internal error: ZeroDivisionError: by nothing. This is a bug of Warpbench")
    assert said.count("\n") == 1
    assert cli.main(["list", "--debug"]) == errors.INTERNAL
    assert "Traceback" in capsys.readouterr().err
