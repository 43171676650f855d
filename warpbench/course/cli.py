"""`warpbench learn ...`: arguments in, one call, text or JSON out. No GPU library is imported in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warpbench import errors
from warpbench.course import cli_dev
from warpbench.course.cli_shared import LIMIT_S, Id, Json, Limit, SomeId, course_of, emit, examples, short

EPILOG = """\b
Examples:
  warpbench learn                     check your file at every save (the same as `warpbench learn watch`)
  warpbench learn run                 check it once
  warpbench learn hint                the next hint
  warpbench learn list                what is passed
\b
Exit codes: 0 passed at the level asked, 1 not, 2 bad arguments, 3 environment, 5 ptxvm cannot judge it."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, epilog=EPILOG)
app.add_typer(cli_dev.app, name="dev")


@app.callback(invoke_without_command=True)
def learn(
    context: typer.Context,
    root: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="another folder of exercises; progress lies beside it")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="ID", help="begin with this exercise")] = None,
) -> int:
    """The course: short exercises, each checked on ptxvm, with or without a GPU."""
    context.obj = root
    return watch(context, start) if context.invoked_subcommand is None else errors.OK


@app.command("list", epilog=examples("list", "list --part 01_threads --todo", "list --json"))
def list_(
    context: typer.Context,
    part: Annotated[str | None, typer.Option("--part", metavar="PART", help="of this part only")] = None,
    todo: Annotated[bool, typer.Option("--todo", help="only what is not passed at silver")] = False,
    as_json: Json = False,
) -> int:
    """The exercises in order, and how far each is passed."""
    from warpbench.course import show
    from warpbench.report import terminal

    with course_of(context) as course:
        mine = course.progress()
        rows = show.plain(course.exercises, mine, course.pick(None).id)
    if part is not None:
        parts = dict.fromkeys(row["part"] for row in rows)
        if part not in parts:
            raise errors.unknown("part", part, parts, "Nothing was listed")
        rows = [row for row in rows if row["part"] == part]
    all_of_them = rows
    if todo:
        rows = [row for row in rows if row["level"] != "silver"]
    if as_json:
        return emit({"exercises": rows, "notice": mine.notice})
    silver = sum(row["level"] == "silver" for row in all_of_them)
    notes = [f"{silver} of {len(all_of_them)} passed at silver. > is the next one: warpbench learn run"]
    terminal.show(show.PROGRESS_COLUMNS, show.table(rows), [*notes, *filter(None, [mine.notice])])
    return errors.OK


@app.command(epilog=examples("run", "run guard_the_tail", "run grid_stride --level bronze --json", "run --diff"))
def run(
    context: typer.Context,
    exercise: Id = None,
    level: Annotated[str, typer.Option("--level", metavar="LEVEL", help="bronze or silver")] = "silver",
    backend: Annotated[
        str, typer.Option("--backend", metavar="WHERE", help="auto, ptxvm, gpu (right on your card) or compile")
    ] = "auto",
    arch: Annotated[str | None, typer.Option("--arch", metavar="ARCHS", help="instead of the exercise's own")] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=1, help="draw other inputs")] = 1,
    predict: Annotated[
        float | None, typer.Option("--predict", metavar="N", help="your answer to the exercise's question")
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="show what you changed in the shipped text")] = False,
    limit: Limit = LIMIT_S,
    as_json: Json = False,
) -> int:
    """Check one exercise: is it right and safe (bronze), are its counters on target (silver)?"""
    from warpbench.course import actions, progress, runner, show

    if level not in progress.LEVELS:
        raise errors.unknown("level", level, progress.LEVELS, "Nothing was checked")
    if backend not in runner.BACKENDS:
        raise errors.unknown("backend", backend, runner.BACKENDS, "Nothing was checked")
    with course_of(context, limit) as course:
        chosen = course.pick(exercise)
        if predict is not None:
            course.predict(chosen, predict)
        if diff and not as_json:
            print("\n".join(actions.difference(chosen)))
        found = course.attempt(runner.on(chosen, arch), seed, backend)
        following, asked = course.after(chosen), show.question(chosen, course.progress())
    if as_json:
        emit({**found, "next": following.id if following else None})
    else:
        print("\n".join(show.fitted([*asked, *show.verdict(chosen, found, following)])))
    return runner.exit_code(found, level)


@app.command("check-all", epilog=examples("check-all"))
def check_all(context: typer.Context, limit: Limit = LIMIT_S, as_json: Json = False) -> int:
    """Check what is passed once more. What does not pass any more is taken back."""
    from warpbench.course import show

    with course_of(context, limit) as course:
        checked = list(course.check_again())
    lost = [one for one in checked if one[2]["level"] != one[1] and one[2]["verdict"] != "not executed"]
    if as_json:
        rows = [{"exercise": e.id, "had": had, "level": found["level"]} for e, had, found in checked]
        emit({"exercises": rows})
    else:
        print("\n".join(show.again(checked)))
    return errors.WRONG if lost else errors.OK


@app.command(epilog=examples("watch", "watch grid_stride"))
def watch(
    context: typer.Context,
    exercise: Id = None,
    manual: Annotated[
        bool, typer.Option("--manual-run", help="check when Enter is pressed, where saves cannot be seen")
    ] = False,
    limit: Limit = LIMIT_S,
    as_json: Json = False,
) -> int:
    """Check the exercise now and at every save, until Ctrl-C."""
    from warpbench.course.watch import Watch

    with course_of(context, limit) as course:
        Watch(course, course.pick(exercise), as_json, manual).run()
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

    with course_of(context) as course:
        found = actions.hint(course, course.pick(exercise), level)
    if as_json:
        return emit(found)
    print("\n".join(show.hint(found)))
    return errors.OK


@app.command(epilog=examples("reset guard_the_tail"))
def reset(context: typer.Context, exercise: SomeId, as_json: Json = False) -> int:
    """Write the exercise again as it was shipped; your file is kept in .learn/backup."""
    from warpbench.course import actions

    with course_of(context) as course:
        found = actions.reset(course, course.pick(exercise))
    if as_json:
        return emit(found)
    for path in found["kept"]:
        print(f"kept yours as {short(path)}")
    for path in found["written"]:
        print(f"written as shipped: {short(path)}")
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

    with course_of(context) as course:
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

    with course_of(context, limit) as course:
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

    with course_of(context, limit) as course:
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


@app.command(epilog=examples("bench grid_stride"))
def bench(context: typer.Context, exercise: Id = None, as_json: Json = False) -> int:
    """Gold: time your answer on this card, against its roof and against torch. It must be passed at bronze."""
    from warpbench.course import bench as gold

    with course_of(context) as course:
        chosen = course.pick(exercise)
        found = gold.measure(course, chosen)
    if as_json:
        emit({"exercise": chosen.id, **found})
    else:
        print("\n".join(gold.text(chosen, found)))
    return errors.INVALID if not found["valid"] else errors.OK if found["reached"] or not chosen.gold else errors.WRONG


@app.command(epilog=examples("board", "board --html board.html"))
def board(
    context: typer.Context,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="write it as a web page")] = None,
    as_json: Json = False,
) -> int:
    """What was measured on which card: exercise by card, as a share of the card's peak."""
    from warpbench.course import bench as gold
    from warpbench.report.terminal import Column, show

    with course_of(context) as course:
        rows = gold.board(course.exercises, course.progress())
    if as_json:
        return emit({"cards": rows[0][1:], "rows": rows[1:]})
    if html is not None:
        html.write_text(gold.board_page(rows), encoding="utf-8")
        print(f"written: {html}")
    elif len(rows) == 1:
        print("Nothing was measured yet: warpbench learn bench ID, on a machine with a card.")
    else:
        show([Column(name) for name in rows[0]], rows[1:])
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
