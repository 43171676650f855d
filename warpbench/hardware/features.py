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

from warpbench.hardware.cards import limits
from warpbench.hardware.tables import CatalogueError, Row, UnknownName, capability, entries, read, rows


@dataclass(frozen=True)
class Feature:
    """One feature: `short` names it inside a sentence, `title` says what was probed.

    suffix       "none": plain sm_XY targets suffice; "f": sm_XYf or sm_XYa; "a": sm_XYa
    accepted_cc  where the assembler takes it; native_cc: where it is the instruction itself (a subset)
    emulated     compute capability -> what it becomes there
    sass         words of machine code of which one shows the feature; sass_not: words that show an emulation
    instead      what takes its place where a card lacks it
    kind         "chip", or "toolchain": what a compiler or package reaches, or how much a block may hold
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
    sass: tuple[str, ...] = ()
    sass_not: tuple[str, ...] = ()
    instead: str = ""
    kind: str = "chip"

    @property
    def since(self) -> str | None:
        """The oldest compute capability that has it natively; None if no chip has."""
        return self.native_cc[0] if self.native_cc else None

    @property
    def targets(self) -> tuple[str, ...]:
        """The exact targets for which the assembler takes it, oldest first."""
        return tuple(target for cc in self.accepted_cc for target in targets_of(cc) if _enough(self.suffix, target))


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
    @property
    def slug(self) -> str: ...


@dataclass(frozen=True)
class Pretended:
    """A card that is gated as if it were another: what a smaller card would be allowed."""

    name: str
    cc: str
    slug: str


@cache
def features() -> Mapping[str, Feature]:
    """All features by name, what toolchains reach among them. CatalogueError if a row is wrong."""
    found = {name: _feature(name, row) for name, row in rows("features.toml", "feature").items()}
    for name, row in rows("toolchains.toml", "toolchain").items():
        if name in found:
            raise CatalogueError(f"{row.where}: there is a feature of this name")
        found[name] = _toolchain(name, row)
    return MappingProxyType(found)


@cache
def older() -> Mapping[str, tuple[str, ...]]:
    """What works on cards that CUDA 13 no longer compiles for, by compute capability, in sentences."""
    found = {}
    for cc, row in rows("toolchains.toml", "older").items():
        found[cc] = (*row.texts("works", required=True), f"source: {row.text('source')}")
        row.done()
    return MappingProxyType(found)


@dataclass(frozen=True)
class Claim:
    """A popular claim, what is true of it, and the evidence: capability -> features that it has, or lacks."""

    claim: str
    verdict: str
    fact: str
    has: Mapping[str, tuple[str, ...]]
    lacks: Mapping[str, tuple[str, ...]]


@cache
def claims() -> tuple[Claim, ...]:
    """Popular claims that the tables contradict, in whole or in part."""
    found = []
    for row in entries("claims.toml", "claim"):
        verdict = row.text("verdict")
        if verdict not in ("false", "half true"):
            raise CatalogueError(f"{row.where}: verdict is {verdict!r}; it must be false or half true")
        has, lacks = (row.named_lists(key) for key in ("has", "lacks"))
        found.append(Claim(row.text("claim"), verdict, row.text("fact"), has, lacks))
        row.done()
    return tuple(found)


@cache
def sources() -> Mapping[str, str]:
    """What the short names in the sources of features and limits mean."""
    found = read("features.toml").get("source", {})
    row = Row("features.toml: [source]", found)
    return MappingProxyType({name: row.text(name) for name in found})


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


def targets_of(cc: str) -> tuple[str, ...]:
    """The targets of a compute capability: sm_90 and sm_90a, from 10.0 a family's (sm_100f) too."""
    plain = f"sm_{cc.replace('.', '')}"
    suffixes = ("", "f", "a") if capability(cc) >= (10, 0) else ("", "a") if cc == "9.0" else ("",)
    return tuple(plain + suffix for suffix in suffixes)


def _enough(suffix: str, target: str) -> bool:
    return suffix == "none" or target.endswith("a") or (suffix == "f" and target.endswith("f"))


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
    if gpu.cc in older():
        instead += f" What works on this card: warpbench features --gpu {gpu.slug}"
    return f"{rung_path} was not run. It needs {needed}; this is {article(gpu.name)} {gpu.name} ({gpu.cc}). {instead}"


def pretend(real: Card, other: Card) -> Pretended:
    """`real`, gated as `other`."""
    return Pretended(f"{real.name} that pretends to be {article(other.name)} {other.name}", other.cc, other.slug)


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
        sass=row.texts("sass"),
        sass_not=row.texts("sass_not"),
        instead=row.text("instead", default=""),
    )
    row.text("unverified", default="")
    row.text("runtime_check", default="")
    row.done()
    return feature


def _toolchain(name: str, row: Row) -> Feature:
    native = in_order(row.texts("native_cc", required=True))
    needed = row.whole("shared_bytes") if "shared_bytes" in row else 0
    feature = Feature(
        name=name,
        short=row.text("short"),
        title=row.text("title"),
        suffix="none",
        accepted_cc=native,
        native_cc=native,
        emulated=MappingProxyType({}),
        min_ptx="",
        min_cuda="",
        source=(row.text("source"),),
        instead=row.text("instead"),
        kind="toolchain",
    )
    for cc, held in limits().items():
        if needed and (held.shared_per_block_optin_bytes >= needed) != (cc in native):
            raise CatalogueError(f"{row.where}: [limits.{cc}] of features.toml says otherwise")
    row.done()
    return feature
