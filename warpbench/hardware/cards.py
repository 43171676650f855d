"""The cards of gpus.toml: what is known of each, and where every figure comes from."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

from warpbench.hardware.tables import CatalogueError, Row, UnknownName, capability, rows

EMPTY: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Limits:
    """What one SM and one block may hold, by compute capability. Sizes in bytes, granularities of allocation."""

    shared_per_sm_bytes: int
    shared_per_block_bytes: int  # without asking
    shared_per_block_optin_bytes: int  # the most that a kernel can ask for
    shared_reserved_per_block_bytes: int  # taken by the driver
    shared_granularity_bytes: int
    registers_per_sm: int
    registers_per_block: int
    registers_per_thread: int
    register_granularity: int  # registers, for each warp
    threads_per_sm: int
    blocks_per_sm: int
    threads_per_block: int
    sub_partitions: int  # warps and registers are dealt to this many equal parts of an SM


@dataclass(frozen=True)
class Price:
    """The maker's list price at launch; `date` is as exact as the source gives it: "2020-09-24", "2023-07"."""

    amount: float
    currency: str
    date: str
    source: str

    def __str__(self) -> str:
        return f"{self.amount:,.0f} {self.currency} ({self.date})"


@dataclass(frozen=True)
class Gpu:
    """One card. None means unknown; `unverified` names figures whose sources are one only, or disagree.

    tensor_tflops   dense, in 1e12 operations a second, by "<inputs>_<accumulator>": f16_f32, fp8_f32, i8_i32, ...
    tensor_rates    dense operations a clock and SM, by the same keys: what the product class does at any clock
    nvlink_gbps     both directions together; 0.0 where the card has none, None where nobody says
    """

    slug: str
    name: str
    cc: str
    sm_count: int
    device_names: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    chip: str = ""
    fp32_cores_per_sm: int | None = None
    base_clock_mhz: float | None = None
    boost_clock_mhz: float | None = None
    tensor_clock_mhz: float | None = None
    memory_type: str = ""
    integrated: bool = False  # memory is the CPU's
    memory_bus_bits: int | None = None
    memory_data_rate_gbit: float | None = None  # Gbit/s a pin
    bandwidth_gbps: float | None = None
    memory_gb: float | None = None
    l2_bytes: int | None = None
    fp32_tflops: float | None = None
    tensor_class: str = ""
    tensor_tflops: Mapping[str, float] = field(default_factory=lambda: EMPTY)
    tensor_derived: tuple[str, ...] = ()
    power_watts: float | None = None
    pcie: str = ""
    nvlink_gbps: float | None = None
    price: Price | None = None
    source: str = ""
    tensor_source: str = ""
    nvlink_source: str = ""
    unverified: tuple[str, ...] = ()
    note: str = ""

    @property
    def arch(self) -> str:
        """The plain target of this card: "sm_86"."""
        return "sm_" + self.cc.replace(".", "")

    @property
    def fp32_cores(self) -> int | None:
        return None if self.fp32_cores_per_sm is None else self.sm_count * self.fp32_cores_per_sm

    @property
    def limits(self) -> Limits | None:
        """What an SM of this card may hold; None for a compute capability that is not in features.toml."""
        return limits().get(self.cc)

    @property
    def tensor_rates(self) -> Mapping[str, float]:
        return tensor_classes().get(self.tensor_class, EMPTY)


@cache
def limits() -> Mapping[str, Limits]:
    """Limits by compute capability."""
    found = {}
    for cc, row in rows("features.toml", "limits").items():
        found[cc] = Limits(**{name: row.whole(name, least=0) for name in Limits.__dataclass_fields__})
        row.done()
    return MappingProxyType(found)


@cache
def tensor_classes() -> Mapping[str, Mapping[str, float]]:
    """Dense tensor operations a clock and SM, by product class and "<inputs>_<accumulator>"."""
    found = {}
    for name, row in rows("gpus.toml", "rate").items():
        found[name] = MappingProxyType({key: float(row.whole(key)) for key in row})
    return MappingProxyType(found)


@cache
def gpus() -> Mapping[str, Gpu]:
    """All cards of the catalogue by slug, in its order. CatalogueError if a row is wrong."""
    found: dict[str, Gpu] = {}
    names: dict[str, str] = {}  # normal form of each slug and alias -> slug
    for slug, row in rows("gpus.toml", "gpu").items():
        found[slug] = card = _card(slug, row)
        for name in (slug, *card.aliases):
            other = names.setdefault(normal(name), slug)
            if other != slug or (name != slug and normal(name) == normal(slug)):
                raise CatalogueError(f"gpus.toml: [gpu.{slug}]: the name {name} stands for {other} already")
    return MappingProxyType(found)


def gpu(name: str) -> Gpu:
    """The card of this slug or alias, ignoring case, `-` and `_`: "rtx3090", "RTX-3090", "h100".

    Raises UnknownName (a LookupError) with the nearest names.
    """
    names = {normal(known): slug for slug, card in gpus().items() for known in (slug, *card.aliases)}
    slug = names.get(normal(name))
    if slug is not None:
        return gpus()[slug]
    close = difflib.get_close_matches(normal(name), names, n=6, cutoff=0.5)
    close += [known for known in names if normal(name) and normal(name) in known]
    nearest = list(dict.fromkeys(names[known] for known in close))[:4]
    raise UnknownName("card", name, list(gpus()), nearest, "All of them: warpbench gpus")


def normal(name: str) -> str:
    """A slug or alias without what matching ignores: case, spaces, `-` and `_`."""
    return re.sub(r"[-_\s]", "", name).lower()


def _card(slug: str, row: Row) -> Gpu:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", slug):
        raise CatalogueError(f"{row.where}: a slug has lower-case letters, digits and _ only")
    cc = row.text("cc")
    if cc not in limits():
        raise CatalogueError(f"{row.where}: cc {cc} has no [limits] in features.toml")
    tensor_class = row.text("tensor_class", default="")
    if tensor_class and tensor_class not in tensor_classes():
        raise CatalogueError(f"{row.where}: there is no [rate.{tensor_class}]")
    l2_mib = row.number("l2_mib")
    card = Gpu(
        slug=slug,
        name=row.text("name"),
        cc=cc,
        sm_count=row.whole("sm_count"),
        device_names=row.texts("device_names", required=True),
        aliases=row.texts("aliases"),
        chip=row.text("chip"),
        fp32_cores_per_sm=row.whole("fp32_cores_per_sm"),
        base_clock_mhz=row.number("base_clock_mhz"),
        boost_clock_mhz=row.number("boost_clock_mhz"),
        tensor_clock_mhz=row.number("tensor_clock_mhz"),
        memory_type=row.text("memory_type"),
        integrated=row.flag("integrated"),
        memory_bus_bits=row.whole("memory_bus_bits"),
        memory_data_rate_gbit=row.number("memory_data_rate_gbit"),
        bandwidth_gbps=row.number("bandwidth_gbps"),
        memory_gb=row.number("memory_gb"),
        l2_bytes=None if l2_mib is None else round(l2_mib * 2**20),
        fp32_tflops=row.number("fp32_tflops"),
        tensor_class=tensor_class,
        tensor_tflops=row.numbers("tensor_tflops"),
        tensor_derived=row.texts("tensor_derived"),
        power_watts=row.number("power_watts"),
        pcie=row.text("pcie", default=""),
        nvlink_gbps=row.number("nvlink_gbps", zero=True),
        price=_price(row.table("price")),
        source=row.text("source"),
        tensor_source=row.text("tensor_source"),
        nvlink_source=row.text("nvlink_source", default=""),
        unverified=row.texts("unverified"),
        note=row.text("note", default=""),
    )
    row.done()
    capability(cc)
    return card


def _price(row: Row | None) -> Price | None:
    if row is None:
        return None
    amount = row.number("amount")
    if amount is None:
        raise CatalogueError(f"{row.where}: amount is missing")
    price = Price(amount, row.text("currency"), row.text("date"), row.text("source"))
    row.done()
    return price
