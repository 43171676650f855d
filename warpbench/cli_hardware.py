"""`warpbench gpus` and `warpbench features`: what each card is and can do."""

from __future__ import annotations

from typing import Annotated

import typer

from warpbench import errors
from warpbench.cli_common import Json, Slug, emit, examples

FEATURES_EPILOG = examples(
    "features", "features --gpu h100", "features mma_fp8", "features --claims", "features --gpu p40 --json"
)
gpus_app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@gpus_app.callback(epilog=examples("gpus", "gpus show rtx3090", "gpus compare rtx3090 rtx5090", "gpus --json"))
def gpus(context: typer.Context, as_json: Json = False) -> int:
    """The cards of the catalogue: all of them, one, or two side by side."""
    from warpbench.report import cards

    if context.invoked_subcommand is not None:
        return errors.OK
    return emit(cards.gpus()) if as_json else cards.show_gpus()


@gpus_app.command("show", epilog=examples("gpus show rtx3090", "gpus show spark --json"))
def show(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="a card of `warpbench gpus`, such as rtx3090")],
    as_json: Json = False,
) -> int:
    """Everything that is known of one card, and where it comes from."""
    from warpbench.report import cards

    found = cards.card(slug)
    return emit(found) if as_json else cards.show_card(found)


@gpus_app.command("compare", epilog=examples("gpus compare rtx3090 rtx5090", "gpus compare p40 rtx3090 --json"))
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="a card, such as rtx3090")],
    b: Annotated[str, typer.Argument(metavar="B", help="another; ratios are B over A")],
    as_json: Json = False,
) -> int:
    """Two cards: ratios of every roof, features gained and lost, floors, prices, memory. Nothing is measured."""
    from warpbench.report import card_compare

    found = card_compare.compare(a, b)
    return emit(found) if as_json else card_compare.show_compared(found)


def features(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="one feature or group, whole")] = None,
    gpu: Slug = None,
    claims: Annotated[bool, typer.Option("--claims", help="popular claims that are false, with the evidence")] = False,
    triton: Annotated[bool, typer.Option("--triton", help="what Triton makes of a few kernels on each card")] = False,
    as_json: Json = False,
) -> int:
    """What a card can do, what it lacks, since when a feature is there and what takes its place below."""
    from warpbench.report import features as report
    from warpbench.report import lowering

    if (name is not None) + (gpu is not None or triton) + claims > 1:
        raise errors.UsageError("NAME, --gpu and --claims are three questions. Nothing was shown. Ask one of them.")
    if triton:
        lowered = lowering.lowered(gpu)
        return emit(lowered) if as_json else lowering.show(lowered)
    if claims:
        known = report.claims()
        return emit(known) if as_json else report.show_claims(known)
    if name is not None:
        try:
            one = report.feature(name)
        except LookupError as error:
            raise errors.UsageError(f"{error}. Nothing was shown.") from None
        return emit(one) if as_json else report.show_feature(one)
    found = report.features(gpu)
    return emit(found) if as_json else report.show_features(found)
