"""`warpbench learn dev ...`: for authors of exercises."""

from __future__ import annotations

from typing import Annotated

import typer

from warpbench import errors
from warpbench.course.cli_shared import LIMIT_S, Json, Limit, course_of, emit, examples, short

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="For authors of exercises: cut, trace and check.")


@app.callback()
def dev_root() -> None:
    """For authors of exercises."""


@app.command("new", epilog=examples("dev new my_exercise --part 01_threads --dsl numba --operation axpy"))
def dev_new(
    context: typer.Context,
    exercise: Annotated[str, typer.Argument(metavar="ID", help="its id: snake case, for its idea")],
    part: Annotated[str, typer.Option("--part", metavar="PART", help="the folder that it belongs to")],
    dsl: Annotated[str, typer.Option("--dsl", metavar="DSL", help="numba, cupy or triton")],
    operation: Annotated[str, typer.Option("--operation", metavar="OP", help="of `warpbench list`")],
    as_json: Json = False,
) -> int:
    """Begin an exercise: a solution with a hole, what is cut from it, and a row in the catalogue."""
    from warpbench.course import scaffold

    with course_of(context) as course:
        written = scaffold.new(course, exercise, part, dsl, operation)
    if as_json:
        return emit({"written": [str(path) for path in written]})
    for path in written:
        print(f"written: {short(path)}")
    print(f"Fill in the texts, then: warpbench learn dev cut {exercise}, and dev check {exercise} --mutants")
    return errors.OK


@app.command("cut", epilog=examples("dev cut guard_the_tail", "dev cut all"))
def dev_cut(
    context: typer.Context,
    exercise: Annotated[str, typer.Argument(metavar="[ID|all]", help="an exercise; none: all")] = "all",
    as_json: Json = False,
) -> int:
    """Write exercises from their solutions. What stands in an exercise's file is lost: learners use `reset`."""
    from warpbench.course import dev
    from warpbench.course.cut import CutError

    with course_of(context) as course:
        chosen = course.exercises if exercise == "all" else [course.pick(exercise)]
        try:
            changed = dev.cut(chosen)
        except (CutError, FileNotFoundError) as error:
            raise errors.UsageError(f"{error}. Nothing more was cut.") from None
    if as_json:
        return emit({"changed": [str(path) for path in changed]})
    for path in changed:
        print(f"written: {short(path)}")
    print(f"{len(chosen)} exercises cut, {len(changed)} files changed")
    return errors.OK


@app.command("trace", epilog=examples("dev trace grid_stride", "dev trace"))
def dev_trace(
    context: typer.Context,
    exercise: Annotated[str | None, typer.Argument(metavar="[ID]", help="an exercise; none: all")] = None,
    limit: Limit = LIMIT_S,
    as_json: Json = False,
) -> int:
    """Write what the figures of answers are held to, from the solutions: exercises/targets.toml."""
    from warpbench.course import dev

    with course_of(context, limit) as course:
        chosen = course.exercises if exercise is None else [course.pick(exercise)]
        problems = dev.trace(course, chosen)
        rows = {one.id: course.targets[one.id] for one in chosen if one.id in course.targets}
    if as_json:
        emit({"targets": rows, "problems": problems})
    else:
        for name, lines in problems.items():
            print(f"{name}: {'; '.join(lines)}. Its targets were left as they were.")
        print(f"{len(rows)} exercises have figures; written: {short(course.root / 'targets.toml')}")
    return errors.WRONG if problems else errors.OK


@app.command("check", epilog=examples("dev check guard_the_tail --mutants", "dev check --mutants"))
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

    with course_of(context, limit) as course:
        chosen = course.exercises if exercise is None else [course.pick(exercise)]
        static = [*catalogue.check(course.root), *targets.stale(course.root, course.exercises), *dev.unproved(course)]
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
