"""`warpbench learn ...`: arguments in, one call, text or JSON out. No GPU library is imported in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from warpbench import cli_common, errors

EPILOG = """\b
Examples:
  warpbench learn                     check your file at every save (the same as `warpbench learn watch`)
  warpbench learn run                 check it once
  warpbench learn hint                the next hint
  warpbench learn list                what is passed
\b
Exit codes: 0 passed at the level asked, 1 not, 2 bad arguments, 3 environment, 5 ptxvm cannot judge it."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, epilog=EPILOG)
dev_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="For authors of exercises: cut and check.")
app.add_typer(dev_app, name="dev")

Id = Annotated[str | None, typer.Argument(metavar="[ID]", help="an exercise; none: the first that is not passed")]
SomeId = Annotated[str, typer.Argument(metavar="ID", help="an exercise of `warpbench learn list`")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Limit = Annotated[float, typer.Option("--limit", min=0.1, help="seconds that one case may take before it is stopped")]
LIMIT_S = 20.0


def examples(*lines: str) -> str:
    """The examples below a command's help."""
    return cli_common.examples(*(f"learn {line}" for line in lines))


@app.callback(invoke_without_command=True)
def learn(
    context: typer.Context,
    root: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="another folder of exercises; progress lies beside it")
    ] = None,
) -> int:
    """The course: short exercises, each checked on ptxvm, with or without a GPU."""
    context.obj = root
    return watch(context) if context.invoked_subcommand is None else errors.OK


@app.command("list", epilog=examples("list", "list --json"))
def list_(context: typer.Context, as_json: Json = False) -> int:
    """The exercises in order, and how far each is passed."""
    from warpbench.course import show
    from warpbench.report import terminal

    with _course(context) as course:
        mine = course.progress()
        rows = show.plain(course.exercises, mine, course.pick(None).id)
    if as_json:
        return emit({"exercises": rows, "notice": mine.notice})
    silver = sum(row["level"] == "silver" for row in rows)
    notes = [f"{silver} of {len(rows)} passed at silver. > is the next one: warpbench learn run"]
    terminal.show(show.PROGRESS_COLUMNS, show.table(rows), [*notes, *filter(None, [mine.notice])])
    return errors.OK


@app.command(epilog=examples("run", "run guard_the_tail", "run grid_stride --level bronze --json"))
def run(
    context: typer.Context,
    exercise: Id = None,
    level: Annotated[str, typer.Option("--level", metavar="LEVEL", help="bronze or silver")] = "silver",
    limit: Limit = LIMIT_S,
    as_json: Json = False,
) -> int:
    """Check one exercise: is it right and safe (bronze), are its counters on target (silver)?"""
    from warpbench.course import progress, runner, show

    if level not in progress.LEVELS:
        raise errors.unknown("level", level, progress.LEVELS, "Nothing was checked")
    with _course(context, limit) as course:
        chosen = course.pick(exercise)
        found = course.attempt(chosen)
        following = course.after(chosen)
    if as_json:
        emit({**found, "next": following.id if following else None})
    else:
        print("\n".join(show.verdict(chosen, found, following)))
    return runner.exit_code(found, level)


@app.command(epilog=examples("watch", "watch grid_stride"))
def watch(context: typer.Context, exercise: Id = None, limit: Limit = LIMIT_S, as_json: Json = False) -> int:
    """Check the exercise now and at every save, until Ctrl-C."""
    from warpbench.course.watch import Watch

    with _course(context, limit) as course:
        Watch(course, course.pick(exercise), as_json).run()
    return errors.OK


@app.command(epilog=examples("hint", "hint guard_the_tail", "hint guard_the_tail --level 3"))
def hint(
    context: typer.Context,
    exercise: Id = None,
    level: Annotated[int | None, typer.Option("--level", metavar="N", help="this hint: 1, 2 or 3")] = None,
    as_json: Json = False,
) -> int:
    """The next hint. It is counted."""
    from warpbench.course import actions, show

    with _course(context) as course:
        found = actions.hint(course, course.pick(exercise), level)
    if as_json:
        return emit(found)
    print("\n".join(show.hint(found)))
    return errors.OK


@app.command(epilog=examples("reset guard_the_tail"))
def reset(context: typer.Context, exercise: SomeId, as_json: Json = False) -> int:
    """Write the exercise again as it was shipped; your file is kept in .learn/backup."""
    from warpbench.course import actions

    with _course(context) as course:
        found = actions.reset(course, course.pick(exercise))
    if as_json:
        return emit(found)
    for path in found["kept"]:
        print(f"kept yours as {_short(path)}")
    for path in found["written"]:
        print(f"written as shipped: {_short(path)}")
    if not found["written"]:
        print(f"{exercise} is as it was shipped. Nothing was written.")
    return errors.OK


@app.command(epilog=examples("solution guard_the_tail", "solution guard_the_tail --i-give-up"))
def solution(
    context: typer.Context,
    exercise: SomeId,
    give_up: Annotated[bool, typer.Option("--i-give-up", help="show it before you passed; this is recorded")] = False,
    as_json: Json = False,
) -> int:
    """The author's solution, once you passed at bronze."""
    from warpbench.course import actions

    with _course(context) as course:
        found = actions.solution(course, course.pick(exercise), give_up)
    if as_json:
        return emit(found)
    for file in found["files"]:
        print(file["text"], end="")
    return errors.OK


@app.command("show", epilog=examples("show grid_stride", "show grid_stride --html picture.html"))
def show_(
    context: typer.Context,
    exercise: Id = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="write the picture as a web page")] = None,
    block: Annotated[int, typer.Option("--block", metavar="N", min=0, help="draw a warp of this block")] = 0,
    warp: Annotated[int, typer.Option("--warp", metavar="N", min=0, help="draw this warp of the block")] = 0,
    limit: Limit = LIMIT_S,
    as_json: Json = False,
) -> int:
    """A picture of your kernel: which lane of a warp touches which element, sector and bank."""
    from warpbench.course import draw, page, show

    with _course(context, limit) as course:
        picture = course.picture(course.pick(exercise))
    if as_json:
        return emit(picture)
    if html is None:
        print("\n".join(draw.text(picture, show.colour(), block, warp)))
    elif picture["launches"]:
        try:
            html.write_text(page.page(picture), encoding="utf-8")
        except OSError as error:
            raise errors.UsageError(f"{html} cannot be written: {error.strerror}. No picture was kept.") from None
        print(f"written: {html}")
    for finding in picture["findings"][: show.SHOWN]:
        print("\n".join(["", *show.finding(finding)]))
    return errors.OK if picture["launches"] else errors.WRONG


@app.command(epilog=examples("compare grid_stride"))
def compare(context: typer.Context, exercise: SomeId, limit: Limit = LIMIT_S, as_json: Json = False) -> int:
    """Yours, the solution and the same operation in the other DSLs: counters, registers, machine code."""
    from warpbench.course import rivals
    from warpbench.report import terminal

    with _course(context, limit) as course:
        chosen = course.pick(exercise)
        if not course.progress().passed(chosen.id, "bronze"):
            raise errors.WarpbenchError(
                f"{chosen.id} is compared once it is passed at bronze, and it is not yet. Nothing was counted. "
                f"Next: warpbench learn run {chosen.id}"
            )
        rows = course.compare(chosen)
    if as_json:
        return emit({"exercise": chosen.id, "rows": rows})
    note = f"Counted by ptxvm for {chosen.arch[0]}; registers and SASS (instructions in the machine code) are ptxas's."
    terminal.show(rivals.COLUMNS, rivals.cells(rows), [note])
    return errors.OK


@app.command(epilog=examples("explain M4", "explain c3 --json"))
def explain(code: Annotated[str, typer.Argument(metavar="CODE", help="such as M4")], as_json: Json = False) -> int:
    """What a finding's code means, what usually mends it, and what to ask yourself."""
    from warpbench import check
    from warpbench.course import show

    table = check.finding_table()
    if code.upper() not in table:
        raise errors.unknown("code", code, table, "Nothing was explained")
    found = show.explanation(code.upper())
    if as_json:
        return emit(found)
    print("\n".join(show.explained(found)))
    return errors.OK


@dev_app.callback()
def dev_root() -> None:
    """For authors of exercises."""


@dev_app.command("cut", epilog=examples("dev cut guard_the_tail", "dev cut all"))
def dev_cut(
    context: typer.Context,
    exercise: Annotated[str, typer.Argument(metavar="[ID|all]", help="an exercise; none: all")] = "all",
    as_json: Json = False,
) -> int:
    """Write exercises from their solutions. What stands in an exercise's file is lost: learners use `reset`."""
    from warpbench.course import dev
    from warpbench.course.cut import CutError

    with _course(context) as course:
        chosen = course.exercises if exercise == "all" else [course.pick(exercise)]
        try:
            changed = dev.cut(chosen)
        except (CutError, FileNotFoundError) as error:
            raise errors.UsageError(f"{error}. Nothing more was cut.") from None
    if as_json:
        return emit({"changed": [str(path) for path in changed]})
    for path in changed:
        print(f"written: {_short(path)}")
    print(f"{len(chosen)} exercises cut, {len(changed)} files changed")
    return errors.OK


@dev_app.command("trace", epilog=examples("dev trace grid_stride", "dev trace"))
def dev_trace(
    context: typer.Context,
    exercise: Annotated[str | None, typer.Argument(metavar="[ID]", help="an exercise; none: all")] = None,
    limit: Limit = LIMIT_S,
    as_json: Json = False,
) -> int:
    """Write what the figures of answers are held to, from the solutions: exercises/targets.toml."""
    from warpbench.course import dev

    with _course(context, limit) as course:
        chosen = course.exercises if exercise is None else [course.pick(exercise)]
        problems = dev.trace(course, chosen)
        rows = {one.id: course.targets[one.id] for one in chosen if one.id in course.targets}
    if as_json:
        emit({"targets": rows, "problems": problems})
    else:
        for name, lines in problems.items():
            print(f"{name}: {'; '.join(lines)}. Its targets were left as they were.")
        print(f"{len(rows)} exercises have figures; written: {_short(course.root / 'targets.toml')}")
    return errors.WRONG if problems else errors.OK


@dev_app.command("check", epilog=examples("dev check guard_the_tail --mutants", "dev check --mutants"))
def dev_check(
    context: typer.Context,
    exercise: Annotated[str | None, typer.Argument(metavar="[ID]", help="an exercise; none: all")] = None,
    mutants: Annotated[bool, typer.Option("--mutants", help="run the wrong answers too")] = False,
    limit: Limit = LIMIT_S,
    as_json: Json = False,
) -> int:
    """Prove that texts and rows agree, shipped texts fail as declared, solutions pass and mutants die."""
    from dataclasses import asdict

    from warpbench.course import catalogue, dev, targets

    with _course(context, limit) as course:
        chosen = course.exercises if exercise is None else [course.pick(exercise)]
        static = [*catalogue.check(course.root), *targets.stale(course.root, course.exercises)]
        proofs = [dev.prove(course, one, mutants) for one in chosen]
    failed = bool(static) or any(proof.problems for proof in proofs)
    if as_json:
        emit({"static": static, "exercises": [asdict(proof) for proof in proofs]})
    else:
        for line in static:
            print(line)
        for proof in proofs:
            word = "failed" if proof.problems else "ok"
            late = f", over its budget of {proof.budget_s:g} s" if proof.seconds > proof.budget_s else ""
            print(f"{word:7} {proof.exercise}: {proof.mutants} mutants, solution in {proof.seconds:.1f} s{late}")
            for line in proof.problems:
                print(f"        {line}")
    return errors.WRONG if failed else errors.OK


# -- small helpers -------------------------------------------------------------------------------------------------
def _course(context: typer.Context, limit: float = LIMIT_S) -> Any:
    from warpbench.course.runner import Course

    return Course(context.find_root().obj, limit)


def _short(path: str | Path) -> str:
    """A path as typed from the current folder, where it lies below that."""
    path = Path(path)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def emit(data: Any) -> int:
    """Print plain data as JSON."""
    return cli_common.emit(data)
