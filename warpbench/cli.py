"""`warpbench ...`: arguments in, one call, text or JSON out.

Nothing heavy is imported at module level: `--help` and `list` answer in well under half a second. Errors are one line
on stderr with the exit code of `warpbench.errors`; a traceback is shown only with --debug.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from warpbench import cli_hardware, errors
from warpbench.cli_common import Json, Slug, emit, examples

EPILOG = """\b
Examples:
  warpbench list softmax                              the ladder of one operation
  warpbench check softmax/triton --gpu rtx4090        are its Triton rungs right?
  warpbench profile                                   everything; without a card it counts and times nothing
  warpbench inspect softmax/numba/one_warp_a_row --counters
  warpbench learn                                     the course
\b
Exit codes: 0 yes, 1 a kernel is wrong, 2 bad arguments, 3 environment, 4 measurement invalid, 5 a capability missing.
--debug, anywhere, shows the traceback of an error."""

app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, epilog=EPILOG
)
catalogue_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Prove that rows and kernel files agree.")
app.add_typer(catalogue_app, name="catalogue")
app.add_typer(cli_hardware.gpus_app, name="gpus")

Pattern = Annotated[str | None, typer.Argument(metavar="[OP[/DSL[/RUNG]]]", help="which rungs; none: all of them")]
Pretend = Annotated[
    str | None, typer.Option("--pretend", metavar="SLUG", help="refuse what this smaller card would not be allowed")
]
Limit = Annotated[
    float, typer.Option("--limit", min=0.1, max=86_400, help="seconds that one case may take before it is stopped")
]


@app.callback()
def root() -> None:
    """Learn to write fast GPU kernels in Python, with or without a GPU."""


@app.command("list", epilog=examples("list", "list softmax", "list '*/triton' --json"))
def list_(pattern: Pattern = None, as_json: Json = False) -> int:
    """Every rung of every operation, with the one idea that it adds."""
    from warpbench import catalogue

    picks = catalogue.select(pattern)
    if as_json:
        return emit([catalogue.plain(operation, rung) for operation, rung in picks])
    from warpbench.report.catalogue import listing

    print(listing(picks))
    return errors.OK


@app.command(epilog=examples("check softmax/triton", "check gemm_f32 --gpu rtx4090", "check transpose --quick --json"))
def check(
    pattern: Pattern = None,
    gpu: Slug = None,
    card: Annotated[bool, typer.Option("--card", help="run on the plugged-in card instead of ptxvm")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="one seed, no adversarial inputs")] = False,
    pretend: Pretend = None,
    limit: Limit = 120.0,
    as_json: Json = False,
) -> int:
    """Is it right? Runs rungs on ptxvm at small and ragged shapes, watches each access, compares with the reference."""
    from warpbench import catalogue, checking_run
    from warpbench.report import checks
    from warpbench.report.progress import Progress

    picks = catalogue.select(pattern)
    with Progress("checking", len(picks), quiet=as_json) as progress:
        outcome = checking_run.check(picks, gpu, card, not quick, limit, progress.done, pretend=pretend)
    code = checks.exit_code([answer["verdict"] for answer in outcome.answers], len(outcome.refused))
    if as_json:
        emit({"gpu": outcome.gpu, "refused": outcome.refused, "rungs": outcome.answers})
    else:
        for line in checks.report(outcome.answers, outcome.refused, outcome.where):
            print(line)
    if outcome.interrupted:
        print(f"stopped: {len(outcome.answers)} of {len(picks)} rungs were checked.", file=sys.stderr)
        return errors.INTERRUPTED
    return code


@app.command(
    epilog=examples(
        "profile",
        "profile transpose/cupy",
        "profile --gpu h100 --pretend rtx3090",
        "profile --virtual --gpu rtx4090 --keep",
    )
)
def profile(
    pattern: Pattern = None,
    op: Annotated[str | None, typer.Option("--op", metavar="OP", help="one operation")] = None,
    rung: Annotated[str | None, typer.Option("--rung", metavar="[DSL/]RUNG", help="of it, one DSL or rung")] = None,
    gpu: Slug = None,
    force_virtual: Annotated[bool, typer.Option("--virtual", help="count on ptxvm even if a card is here")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="fewer checks, fewer samples")] = False,
    pretend: Pretend = None,
    replicates: Annotated[
        int, typer.Option("--replicates", min=1, max=50, help="fresh processes that time each rung; 5 give an interval")
    ] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="copy the record to profiling/results")] = False,
    rest_of: Annotated[
        list[Path] | None,
        typer.Option("--rest-of", metavar="FILE", help="only the rungs that this record lacks; may be given again"),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option("--limit", min=0.1, max=86_400, help="seconds that one case may take [counting 120, timing 300]"),
    ] = None,
    as_json: Json = False,
) -> int:
    """Compile, check and profile rungs: timed on a card; counted, with nothing timed, where there is none."""
    from warpbench import profiling_run
    from warpbench.report import profiles

    if (rung and not op) or (op and pattern):
        wanted = "--rung needs --op" if rung and not op else f'"{pattern}" and --op name rungs twice'
        raise errors.UsageError(f"{wanted}. Nothing was profiled. Write: warpbench profile OP/DSL/RUNG")
    if op:
        pattern = f"{op}/{rung}" if rung else op
    options = profiling_run.Options(
        pattern=pattern,
        gpu=gpu,
        virtual=force_virtual,
        quick=quick,
        pretend=pretend,
        rest_of=tuple(rest_of or ()),
        replicates=replicates,
        command=("warpbench", *sys.argv[1:]),
        processes=profiling_run.processes(),
        limit_s=limit,
    )
    outcome = profiles.run(options, as_json)
    kept = profiling_run.keep(outcome) if keep and not outcome.interrupted else None
    if as_json:
        emit(profiles.plain(outcome, kept))
    else:
        profiles.show(outcome, kept)
    return profiles.exit_code(outcome)


@app.command(epilog=examples("compare", "compare profiling/runs/virtual/A.jsonl profiling/runs/virtual/B.jsonl"))
def compare(
    a: Annotated[Path | None, typer.Argument(metavar="[A]", help="a record file; none: the newest but one")] = None,
    b: Annotated[Path | None, typer.Argument(metavar="[B]", help="a record file; none: the newest")] = None,
    as_json: Json = False,
) -> int:
    """Two record files side by side."""
    from warpbench.catalogue import ROOT
    from warpbench.measure import compare as side_by_side
    from warpbench.measure.files import read
    from warpbench.report import compared

    if (a is None) != (b is None):
        raise errors.UsageError("two record files are needed, or none for the two newest. Nothing was compared.")
    if a is None or b is None:
        a, b = side_by_side.newest(ROOT / "profiling" / "runs")
    found = side_by_side.compare(read(a), read(b))
    if as_json:
        emit(found)
    else:
        compared.show(found)
    return errors.WRONG if found["worse"] else errors.OK


app.command("features", epilog=cli_hardware.FEATURES_EPILOG)(cli_hardware.features)


@app.command(
    epilog=examples(
        "inspect softmax/numba/one_warp_a_row --counters",
        "inspect axpy/cupy/four_floats_a_load --ptx",
        "inspect gemm_fp8/triton/fp8_dot --all-cards",
    )
)
def inspect(
    pattern: Annotated[str, typer.Argument(metavar="OP/DSL/RUNG")],
    gpu: Slug = None,
    ptx: Annotated[bool, typer.Option("--ptx", help="the PTX that the DSL compiled")] = False,
    sass: Annotated[bool, typer.Option("--sass", help="the machine code, registers and spills")] = False,
    counters: Annotated[bool, typer.Option("--counters", help="what ptxvm counted, line by line")] = False,
    all_cards: Annotated[
        bool, typer.Option("--all-cards", help="registers, occupancy and instructions on every card of the catalogue")
    ] = False,
    as_json: Json = False,
) -> int:
    """One rung in detail: its PTX, its machine code, its counters by source line."""
    from warpbench import catalogue, inspection
    from warpbench.report import inspected

    picks = catalogue.select(pattern)
    if len(picks) != 1:
        paths = ", ".join(operation.rung_path(rung) for operation, rung in picks[:6])
        raise errors.UsageError(f'"{pattern}" is {len(picks)} rungs; one is needed, such as: {paths}.')
    found = inspection.gather(picks[0], gpu, ptx, sass, counters, all_cards)
    if as_json:
        emit(found)
    else:
        inspected.show(found)
    return inspected.exit_code(found)


@app.command(
    epilog=examples("run script.py", "run --gpu rtx4090 --report script.py --size 512"),
    context_settings={"allow_interspersed_args": False},  # what follows the script is the script's
)
def run(
    script: Annotated[Path, typer.Argument(help="a Python script that launches kernels")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[ARGS]", help="the script's own")] = None,
    gpu: Slug = None,
    report: Annotated[bool, typer.Option("--report", help="show what was counted, by kernel and by line")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print JSON, and nothing else, on stdout; the script's output goes to stderr")
    ] = False,
) -> int:
    """Run anybody's script without a card: its Triton, Numba and CuPy kernels go to ptxvm, "cuda" is the CPU's memory.

    The report follows on stderr when the script has ended; stdout is the script's alone. Times are NaN.
    Exit code: 1 if a kernel was wrong, else the script's own.
    """
    import contextlib

    from warpbench.report import launches
    from warpbench.running import session

    with session.output_to_stderr() if as_json else contextlib.nullcontext():
        outcome = session.run(script, arguments or [], gpu)
    if as_json:
        emit(outcome.plain())
    else:
        launches.show(outcome, report)
    return outcome.exit_code


@app.command(epilog=examples("doctor", "doctor --json"))
def doctor(as_json: Json = False) -> int:
    """Run one known kernel through every backend: what works, what does not, what to install."""
    from warpbench import doctor as examination
    from warpbench.report import inspected

    found = examination.examine()
    if as_json:
        emit(found)
    else:
        inspected.show_doctor(found)
    return errors.OK if all(one["ok"] or one.get("optional") for one in found) else errors.ENVIRONMENT


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def learn(context: typer.Context) -> int:
    """The course: list, run, watch, hint, reset, solution. `warpbench learn --help` says more."""
    from warpbench.course.cli import app as course

    found = course(args=context.args, prog_name="warpbench learn", standalone_mode=False)
    return found if isinstance(found, int) else errors.OK


@catalogue_app.command("check", epilog=examples("catalogue check"))
def catalogue_check(as_json: Json = False) -> int:
    """Rows without a function, functions without a row, shapes without their axes, unknown features."""
    from warpbench import catalogue
    from warpbench.report.terminal import quantity

    problems = catalogue.check()
    if as_json:
        emit({"problems": problems, "rungs": 0 if problems else len(catalogue.rungs())})
    else:
        for problem in problems:
            print(problem)
        if not problems:
            counted = quantity(len(catalogue.rungs()), "rung"), quantity(len(catalogue.operations()), "operation")
            print(f"{' of '.join(counted)}: rows and files agree")
    return errors.WRONG if problems else errors.OK


@catalogue_app.callback()
def catalogue_root() -> None:
    """Keeps `check` a command of its own."""


# -- the edge ------------------------------------------------------------------------------------------------------
def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns its exit code; whatever goes wrong is one line on stderr."""
    given = sys.argv[1:] if arguments is None else arguments
    ours = given[: _ours(given)]
    debug = "--debug" in ours
    words = [*(one for one in ours if one != "--debug"), *given[len(ours) :]]
    try:
        code = app(args=words, prog_name="warpbench", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else errors.OK
    except BrokenPipeError:  # the reader (head, less) has seen enough
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115 - what is still buffered goes nowhere
        return errors.OK
    except BaseException as error:
        if isinstance(error, SystemExit):
            if isinstance(error.__context__, BrokenPipeError):  # typer has seen it first, in the middle of a command
                return errors.OK
            raise
        message, code = explain(error)
        if debug:
            import traceback

            traceback.print_exception(error)
        print(message, file=sys.stderr)
        return code


def _ours(given: list[str]) -> int:
    """How many of the words are ours: those behind the script of `run` are the script's."""
    if "run" not in given or any(not one.startswith("-") for one in given[: given.index("run")]):
        return len(given)
    i = given.index("run") + 1
    while i < len(given) and given[i].startswith("-") and given[i] != "--":
        i += 2 if given[i] == "--gpu" else 1
    return i


def explain(error: BaseException) -> tuple[str, int]:
    """The line that is printed for an exception, and the exit code."""
    if isinstance(error, errors.WarpbenchError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "stopped.", errors.INTERRUPTED
    if hasattr(error, "format_message"):  # bad arguments, as typer words them
        return misused(error), errors.USAGE
    if isinstance(error, ModuleNotFoundError):
        missing = errors.missing_package(error.name)
        return str(missing), missing.exit_code
    from warpbench.hardware import CatalogueError, UnknownName

    if isinstance(error, UnknownName):
        text = f"{str(error).rstrip('.')}. Nothing was run."
        if error.kind == "feature":  # no argument names one: an op.py does
            return f"a rung needs an {text} Which rung: warpbench catalogue check", errors.WRONG
        return text, errors.USAGE
    if isinstance(error, CatalogueError):
        return str(error), errors.WRONG
    return (
        f"internal error: {type(error).__name__}: {error}. This is a bug of Warpbench, not of your kernel. "
        "Run the command again with --debug and report what it prints.",
        errors.INTERNAL,
    )


def misused(error: Any) -> str:
    """What typer says of bad arguments, in one line with the way to the help; where nothing was asked, the help."""
    text = str(error.format_message())
    if text.startswith("Usage:"):
        return text
    text = " ".join(text.split())
    context = error.ctx
    known = getattr(context.command, "commands", {}) if context else {}
    if text.startswith("No such command") and "Did you mean" not in text:
        text = f"{text.rstrip('.')}. Known: {', '.join(known)}"
    end = "" if text.endswith((".", "?")) else "."
    return f"{text}{end} Nothing was run. See: {context.command_path if context else 'warpbench'} --help"
