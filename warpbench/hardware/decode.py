"""How many tokens a second can a card decode at most, and how much memory does a model such as Llama need?

    tokens a second = bandwidth / (bytes of the weights that one step reads + bytes of the KV cache)

At batch 1 a step reads every weight once, except of the embedding table a single row. No card is faster; nobody
measured it. Figures that others published stand in models.toml, each with its source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from warpbench.hardware.cards import Gpu, gpus
from warpbench.hardware.tables import CatalogueError, Row, entries, rows

KV_BYTES = 2  # of one cached number: fp16
ROOF_SLACK = 1.005  # a published figure that is above the roof by less agrees with it: both are rounded


@dataclass(frozen=True)
class Model:
    """A decoder of the Llama family: grouped-query attention, gated MLP, embedding and output not tied."""

    slug: str
    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    source: str

    @property
    def embedding(self) -> int:
        """Weights of the embedding table; the output matrix has as many."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        kv = self.hidden // self.heads * self.kv_heads
        attention = 2 * self.hidden * self.hidden + 2 * self.hidden * kv
        layer = attention + 3 * self.hidden * self.intermediate + 2 * self.hidden
        return self.layers * layer + 2 * self.embedding + self.hidden

    @property
    def read_a_step(self) -> int:
        """Weights that one decode step must read."""
        return self.parameters - self.embedding + self.hidden

    @property
    def kv_bytes_a_token(self) -> int:
        """Bytes of keys and values that one token of context adds to every later step."""
        return 2 * self.layers * (self.hidden // self.heads) * self.kv_heads * KV_BYTES


@dataclass(frozen=True)
class Memory:
    """A rule for the memory that a way of using a model needs: parameters x (bytes + overhead)."""

    slug: str
    title: str
    bytes_a_parameter: float
    source: str

    def gb(self, model: Model) -> float:
        return model.parameters * self.bytes_a_parameter / 1e9


@dataclass(frozen=True)
class Published:
    """Tokens a second that somebody published for one card at batch 1. `format` is empty where none is recorded."""

    gpu: str
    model: Model
    format: str
    tokens_per_s: float
    about: bool
    source: str


@cache
def models() -> Mapping[str, Model]:
    """The models by slug."""
    found = {}
    sizes = ("layers", "hidden", "heads", "kv_heads", "intermediate", "vocabulary")
    for slug, row in rows("models.toml", "model").items():
        counts = {name: row.whole(name) for name in sizes}
        found[slug] = Model(slug=slug, name=row.text("name"), source=row.text("source"), **counts)
        row.done()
    return MappingProxyType(found)


@cache
def formats() -> Mapping[str, float]:
    """Bits of one weight by format, its share of the scales included."""
    found = {}
    for slug, row in rows("models.toml", "format").items():
        found[slug] = _number(row, "bits")
        row.text("source", default="")
        row.done()
    return MappingProxyType(found)


@cache
def memory_rules() -> tuple[Memory, ...]:
    """What inference, LoRA and full fine-tuning need."""
    found = []
    for slug, row in rows("models.toml", "memory").items():
        needed = _number(row, "bytes") + (row.number("overhead", zero=True) or 0.0)
        found.append(Memory(slug, row.text("title"), needed, row.text("source")))
        row.done()
    return tuple(found)


@cache
def published() -> tuple[Published, ...]:
    """Everything that models.toml knows to be published. CatalogueError for a card, model or format that is unknown."""
    found = []
    for row in entries("models.toml", "published"):
        gpu, model, form = row.text("gpu"), row.text("model"), row.text("format", default="")
        for name, known in ((gpu, gpus()), (model, models()), (form or "fp16", formats())):
            if name not in known:
                raise CatalogueError(f"{row.where}: there is no {name}")
        figure = Published(
            gpu, models()[model], form, _number(row, "tokens_per_s"), row.flag("about"), row.text("source")
        )
        found.append(figure)
        row.done()
    return tuple(found)


def most_tokens_per_s(gpu: Gpu, model: Model, form: str, context: int = 0) -> float | None:
    """The roof of a decode step at batch 1, in tokens a second, with `context` tokens in the cache; None if unknown."""
    if gpu.bandwidth_gbps is None:
        return None
    moved = model.read_a_step * formats()[form] / 8 + context * model.kv_bytes_a_token
    return gpu.bandwidth_gbps * 1e9 / moved


def judged(figure: Published, gpu: Gpu) -> str:
    """What bandwidth says of a published figure, in a few words."""
    name = figure.model.name
    if figure.format:
        most = most_tokens_per_s(gpu, figure.model, figure.format)
        if most is None:
            return "the card's bandwidth is unknown"
        share = figure.tokens_per_s / most
        if share > ROOF_SLACK:
            return (
                f"ABOVE what bandwidth allows: {share:.1f} times the most, {most:.3g}{_allowed(figure, gpu, ', but ')}"
            )
        return f"{100 * share:.0f} % of the most that bandwidth allows, {most:.3g}"
    too_fast = [one for one in ("fp16", "int8", "int4") if figure.tokens_per_s > _most(gpu, figure, one) * ROOF_SLACK]
    if not too_fast:
        return f"no format is recorded; bandwidth allows it for {name} in fp16, int8 and int4 alike"
    return f"no format is recorded: ABOVE what bandwidth allows for {name} in {' and '.join(too_fast)}"


def _allowed(figure: Published, gpu: Gpu, joint: str) -> str:
    """The widest of fp16, int8 and int4 in which a figure is possible."""
    able = [one for one in ("fp16", "int8", "int4") if figure.tokens_per_s <= _most(gpu, figure, one) * ROOF_SLACK]
    return f"{joint}{able[0]} would allow {_most(gpu, figure, able[0]):.3g}" if able else ""


def _most(gpu: Gpu, figure: Published, form: str) -> float:
    return most_tokens_per_s(gpu, figure.model, form) or float("inf")


def of_card(gpu: Gpu) -> Iterator[Published]:
    """What was published of one card."""
    return (figure for figure in published() if figure.gpu == gpu.slug)


def _number(row: Row, key: str) -> float:
    value = row.number(key)
    if value is None:
        raise CatalogueError(f"{row.where}: {key} is missing")
    return value
