"""The gate: which features a card has, and the sentence that is said when one is missing.

The gate is `native_cc`, where the machine code shows the instruction itself. The assembler accepts and silently
emulates instructions that a chip lacks, so "it compiles" answers nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Protocol

from warpbench.hardware.tables import CatalogueError, Row, UnknownName, capability, rows


@dataclass(frozen=True)
class Feature:
    """One feature: `short` names it inside a sentence, `title` says what was probed.

    suffix       "none": plain sm_XY targets suffice; "f": sm_XYf or sm_XYa; "a": sm_XYa
    accepted_cc  where the assembler takes it; native_cc: where it is the instruction itself (a subset)
    emulated     compute capability -> what it becomes there
    """

    name: str
    short: str
    title: str
    suffix: str
    accepted_cc: tuple[str, ...]
    native_cc: tuple[str, ...]
    emulated: Mapping[str, str]
    min_ptx: str
    min_cuda: str
    source: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Group:
    """A capability that several features reach: a card has it if it has any of `any` natively."""

    name: str
    short: str
    title: str
    any: tuple[str, ...]
    native_cc: tuple[str, ...]


@dataclass(frozen=True)
class Missing:
    """A feature or group that a card lacks. `here` says what happens on this card instead, if it is emulated."""

    name: str
    short: str
    title: str
    native_cc: tuple[str, ...]
    here: str = ""

    @property
    def where(self) -> str:
        """Which compute capabilities have it: "compute capability 8.9 or newer"."""
        return having(self.native_cc)

    def __str__(self) -> str:
        return f"{self.short} ({self.where})"


class Card(Protocol):
    """What the gate needs of a card: Gpu and DetectedGpu both have it."""

    @property
    def name(self) -> str: ...
    @property
    def cc(self) -> str: ...


@cache
def features() -> Mapping[str, Feature]:
    """All features by name. CatalogueError if a row is wrong."""
    return MappingProxyType({name: _feature(name, row) for name, row in rows("features.toml", "feature").items()})


@cache
def groups() -> Mapping[str, Group]:
    """All groups by name. CatalogueError if one names a feature that is not there, or is named as one."""
    found = {}
    for name, row in rows("features.toml", "group").items():
        members = row.texts("any", required=True)
        unknown = [member for member in members if member not in features()]
        if unknown or not members:
            raise CatalogueError(f"{row.where}: any names {unknown or 'nothing'}; it must name features")
        if name in features():
            raise CatalogueError(f"{row.where}: there is a feature of this name")
        native = {cc for member in members for cc in features()[member].native_cc}
        found[name] = Group(name, row.text("short"), row.text("title"), members, in_order(native))
        row.done()
    return MappingProxyType(found)


@cache
def known_cc() -> tuple[str, ...]:
    """The compute capabilities that features.toml speaks of, oldest first."""
    return in_order({cc for feature in features().values() for cc in feature.accepted_cc})


def lookup(name: str) -> Feature | Group:
    """The feature or group of this name. Raises UnknownName (a LookupError) with the nearest names."""
    found = features().get(name) or groups().get(name)
    if found is None:
        choices = [*groups(), *features()]
        nearest = difflib.get_close_matches(name.lower(), choices, n=4, cutoff=0.5)
        raise UnknownName("feature", name, choices, nearest, "All of them: warpbench features")
    return found


def has(cc: str, name: str) -> bool:
    """Whether a card of compute capability `cc` has a feature or group natively.

    A capability that features.toml does not know (a card newer than this file) has what every known one from some point
    on has, as long as plain targets suffice for it; it has nothing that needs a target of its own.
    """
    found = lookup(name)
    if cc in known_cc():
        return cc in found.native_cc
    plain = isinstance(found, Group) or found.suffix == "none"
    since = first_of_all_newer(found.native_cc)
    return plain and since is not None and capability(cc) >= capability(since)


def missing(gpu: Card, needs: Iterable[str]) -> list[Missing]:
    """What of `needs` (features or groups) the card lacks, in order. Raises UnknownName for a name that is neither."""
    lacking = []
    for name in needs:
        if not has(gpu.cc, name):
            found = lookup(name)
            here = found.emulated.get(gpu.cc, "") if isinstance(found, Feature) else ""
            lacking.append(Missing(name, found.short, found.title, found.native_cc, here))
    return lacking


def refusal(rung_path: str, gpu: Card, lacking: Sequence[Missing], nearest: str | None) -> str:
    """Why a rung was not run: needed, present, not run, nearest rung that runs (None: none of this operation does)."""
    needed = " and ".join(str(lack) for lack in lacking)
    operation = rung_path.partition("/")[0]
    instead = f"Nearest rung that runs here: {nearest}." if nearest else f"No rung of {operation} runs here."
    return f"{rung_path} was not run. It needs {needed}; this is {article(gpu.name)} {gpu.name} ({gpu.cc}). {instead}"


def having(native_cc: Sequence[str]) -> str:
    """Which compute capabilities these are, truly: "or newer" only if every newer known one is among them."""
    if not native_cc:
        return "no card known here has it"
    since = first_of_all_newer(native_cc)
    if since is not None and len(native_cc) > 1:
        return f"compute capability {since} or newer"
    ordered = in_order(set(native_cc))
    head, last = ordered[:-1], ordered[-1]
    return f"compute capability {', '.join(head)} or {last}" if head else f"compute capability {last}"


def first_of_all_newer(native_cc: Sequence[str]) -> str | None:
    """The oldest of these if they are it and every newer known compute capability; None otherwise."""
    ordered = in_order(set(native_cc))
    return ordered[0] if ordered and ordered == known_cc()[-len(ordered) :] else None


def in_order(capabilities: Iterable[str]) -> tuple[str, ...]:
    """Compute capabilities, oldest first: 8.9 before 10.0."""
    return tuple(sorted(capabilities, key=capability))


def article(name: str) -> str:
    """The article of a name as it is read aloud: a GeForce, an RTX PRO, an H100, a Tesla."""
    first = name.strip().partition(" ")[0]
    if first.isupper() or any(letter.isdigit() for letter in first):  # read letter by letter
        return "an" if first[:1] in "AEFHILMNORSX" else "a"
    return "an" if first[:1].upper() in "AEIO" else "a"


def _feature(name: str, row: Row) -> Feature:
    accepted, native = row.texts("accepted_cc", required=True), row.texts("native_cc", required=True)
    emulated = {cc: text for some, text in row.named_texts("emulated").items() for cc in some.split("/")}
    suffix = row.text("suffix")
    if suffix not in ("none", "f", "a"):
        raise CatalogueError(f"{row.where}: suffix is {suffix!r}; it must be none, f or a")
    for cc in (*accepted, *native, *emulated):
        if cc not in accepted:
            raise CatalogueError(f"{row.where}: {cc} is native or emulated but not accepted")
    if both := set(native) & set(emulated):
        raise CatalogueError(f"{row.where}: {in_order(both)[0]} is both native and emulated")
    feature = Feature(
        name=name,
        short=row.text("short"),
        title=row.text("title"),
        suffix=suffix,
        accepted_cc=in_order(accepted),
        native_cc=in_order(native),
        emulated=MappingProxyType(emulated),
        min_ptx=row.text("min_ptx", default=""),
        min_cuda=row.text("min_cuda", default=""),
        source=row.texts("source", required=True),
        note=row.text("note", default=""),
    )
    row.text("unverified", default="")
    row.text("runtime_check", default="")
    row.done()
    return feature
