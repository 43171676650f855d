"""Two cards side by side: every roof, the features between them, floors, prices, memory. We measured none of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from warpbench import catalogue, errors, hardware
from warpbench.hardware import Gpu, decode
from warpbench.report import virtual
from warpbench.report.cards import FORMATS, MODEL, TENSOR_NAMES, nvlink, published, shown, tensor_name
from warpbench.report.terminal import Column, Row, Section, figure, say, seconds_text, shape_text, show

CONTEXT = 8192  # tokens in the cache of the second figure a format
# inputs of a tensor peak -> the features of which a card with such tensor cores has one
TENSOR_FEATURES = {
    "f16": ("wmma_f16",), "bf16": ("mma_bf16",), "tf32": ("mma_tf32",), "fp8": ("fp8",), "mxfp8": ("block_scale",),
    "fp4": ("block_scale",), "i8": ("mma_s8_turing",), "i4": ("mma_s4_turing",), "f64": ("mma_f64",),
}  # fmt: skip


def compare(first: str, second: str) -> dict[str, Any]:
    """Everything that sets two cards apart, as plain data. None is unknown."""
    a, b = hardware.gpu(first), hardware.gpu(second)
    model = decode.models()[MODEL]
    return {
        "a": {"slug": a.slug, "name": a.name, "cc": a.cc},
        "b": {"slug": b.slug, "name": b.name, "cc": b.cc},
        "roofs": [pair(name, unit, *values) for name, unit, values in roofs(a, b)],
        "tensor": tensor_peaks(a, b),
        "gained": differs(b, a),
        "lost": differs(a, b),
        "floors": floors(a, b),
        "decode": [
            {"format": form, "context": context, **_values(*(_tokens(one, form, context) for one in (a, b)))}
            for form in FORMATS
            for context in (0, CONTEXT)
        ],
        "prices": prices(a, b),
        "memory": [
            {
                "use": rule.title, "needed_gb": rule.gb(model), "a_fits": fits(a, rule.gb(model)),
                "b_fits": fits(b, rule.gb(model)), "source": rule.source,
            }
            for rule in decode.memory_rules()
        ],
        "published": [published(one, card) for card in (a, b) for one in decode.of_card(card)],
        "model": model.name,
    }  # fmt: skip


def roofs(a: Gpu, b: Gpu) -> list[tuple[str, str, tuple[float | None, float | None]]]:
    """Every roof of two cards: what, unit, both figures."""

    def both(name: str) -> tuple[float | None, float | None]:
        return getattr(a, name), getattr(b, name)

    def limit(name: str, unit: float = 1) -> tuple[float | None, float | None]:
        pair = (getattr(a.limits, name, None), getattr(b.limits, name, None))
        return tuple(None if one is None else one / unit for one in pair)  # type: ignore[return-value]

    return [
        ("bandwidth", "GB/s", both("bandwidth_gbps")),
        ("L2", "MiB", (_mib(a), _mib(b))),
        ("memory", "GB", both("memory_gb")),
        ("SMs", "", both("sm_count")),
        ("boost clock", "MHz", both("boost_clock_mhz")),
        ("FP32", "TFLOPS", both("fp32_tflops")),
        ("FP32 operations a byte of DRAM", "", (_ridge(a, None), _ridge(b, None))),
        ("FP16 tensor operations a byte", "", (_ridge(a, "f16_f32"), _ridge(b, "f16_f32"))),
        ("shared memory of an SM", "KiB", limit("shared_per_sm_bytes", 1024)),
        ("shared memory of a block", "KiB", limit("shared_per_block_optin_bytes", 1024)),
        ("threads of an SM", "", limit("threads_per_sm")),
        ("blocks of an SM", "", limit("blocks_per_sm")),
        ("NVLink", "GB/s", both("nvlink_gbps")),
        ("power", "W", both("power_watts")),
    ]


def tensor_peaks(a: Gpu, b: Gpu) -> list[dict[str, Any]]:
    """The tensor peaks that either card is known to have; `a_has`: false where the card has no such tensor cores."""
    return [
        {
            "key": key,
            **pair(tensor_name(key), "TOPS" if key.startswith("i") else "TFLOPS", peak(a, key), peak(b, key)),
            "a_has": has_cores(a, key), "b_has": has_cores(b, key),
        }
        for key in _tensor_keys()
        if peak(a, key) or peak(b, key)
    ]  # fmt: skip


def peak(card: Gpu, key: str) -> float | None:
    """A dense tensor peak, or None."""
    return card.tensor_tflops.get(key)


def pair(name: str, unit: str, a: float | None, b: float | None) -> dict[str, Any]:
    """A row of two figures with their ratio, b over a."""
    return {"what": name, "unit": unit, **_values(a, b)}


def has_cores(card: Gpu, key: str) -> bool:
    """Whether a card has tensor cores for these inputs at all: a peak that is absent is unknown only if it has."""
    return any(hardware.has(card.cc, name) for name in TENSOR_FEATURES[key.partition("_")[0]])


def differs(has: Gpu, lacks: Gpu) -> list[dict[str, str]]:
    """Features and groups that one card has natively and the other has not; what happens on the other instead."""
    found = []
    for name in [*hardware.groups(), *hardware.features()]:
        if hardware.has(has.cc, name) and not hardware.has(lacks.cc, name):
            (missing,) = hardware.missing(lacks, (name,))
            found.append({"name": name, "title": missing.title, "where": missing.where, "otherwise": missing.here})
    return found


def floors(a: Gpu, b: Gpu) -> list[dict[str, Any]]:
    """The least time of every operation and dtype at its large shape, on both cards, and which roof decides.

    Where the arithmetic roof of one card is unknown, bandwidth alone is left: there is no ratio then.
    """
    found = []
    for operation in catalogue.operations().values():
        rungs = {rung.dtypes[0]: rung for rung in reversed(operation.ladder)}
        for dtype, rung in sorted(rungs.items()):
            least = [virtual.floor(operation, rung, card) for card in (a, b)]
            known = [hardware.peak_tflops(card, dtype) is not None for card in (a, b)]
            row = _values(*(None if one is None else one.seconds for one in least))
            bounds = [_bound(one, sure) for one, sure in zip(least, known, strict=True)]
            found.append(
                {
                    "operation": operation.name, "shape": dict(operation.shapes.large[0]), "dtype": dtype, **row,
                    "ratio": row["ratio"] if all(known) else None, "a_bound": bounds[0], "b_bound": bounds[1],
                }
            )  # fmt: skip
    return found


def _bound(least: hardware.Floor | None, sure: bool) -> str:
    """Which roof decides, in a word or two."""
    return "unknown" if least is None else least.bound if sure else f"{least.bound} alone"


def prices(a: Gpu, b: Gpu) -> dict[str, Any]:
    """List price, and what a GB/s and a TFLOP/s of it cost; a ratio only within one currency."""
    cost = [card.price.amount if card.price else None for card in (a, b)]
    same = a.price is not None and b.price is not None and a.price.currency == b.price.currency
    rows = []
    for name, amounts in (
        ("list price", (1.0, 1.0)),
        ("a GB/s of bandwidth", (a.bandwidth_gbps, b.bandwidth_gbps)),
        ("a TFLOP/s of FP32", (a.fp32_tflops, b.fp32_tflops)),
        ("a TFLOP/s of FP16 tensor, sums in FP32", (a.tensor_tflops.get("f16_f32"), b.tensor_tflops.get("f16_f32"))),
        ("a GB of memory", (a.memory_gb, b.memory_gb)),
    ):
        each = [None if c is None or n is None else c / n for c, n in zip(cost, amounts, strict=True)]
        row = pair(name, "", *each)
        rows.append(row if same else {**row, "ratio": None})
    of = [
        None if card.price is None else {"text": str(card.price), "currency": card.price.currency,
                                         "date": card.price.date, "source": card.price.source}
        for card in (a, b)
    ]  # fmt: skip
    return {"a": of[0], "b": of[1], "rows": rows}


def fits(card: Gpu, needed_gb: float) -> bool | None:
    """Whether so much fits in the card's memory, as the box says it."""
    return None if card.memory_gb is None else needed_gb <= card.memory_gb


def show_compared(found: dict[str, Any]) -> int:
    """Print it, a section a question."""
    a, b = found["a"], found["b"]
    say(f"{a['name']} ({a['cc']}) and {b['name']} ({b['cc']}). Ratio: {b['slug']} over {a['slug']}.", "")
    columns = (Column("what", wrap=True), Column(a["slug"], "right"), Column(b["slug"], "right"),
               Column("ratio", "right"), Column("", priority=1, wrap=True))  # fmt: skip
    rows: list[Row | Section] = [Section("Roofs")]
    rows += [_cells(one["what"], one, one["unit"]) for one in found["roofs"]]
    rows.append(Section("Tensor peaks", "Dense, published or from the rate of the product class"))
    rows += [_cells(one["what"], one, one["unit"]) for one in found["tensor"]]
    rows.append(Section("Floors of the operations", "No kernel can be faster; nobody measured it"))
    for one in found["floors"]:
        bounds = one["a_bound"] if one["a_bound"] == one["b_bound"] else f"{one['a_bound']}, {one['b_bound']}"
        what = f"{one['operation']} {one['dtype']}"
        texts = (seconds_text(one["a"]), seconds_text(one["b"]))
        rows.append([what, *texts, _ratio(one["ratio"]), f"{bounds}; {shape_text(one['shape'])}"])
    rows.append(Section(f"{found['model']}, one decode step at batch 1: at most so many tokens/s", "Bandwidth decides"))
    for one in found["decode"]:
        context = f" with {one['context']:,} tokens of context" if one["context"] else ""
        rows.append(_cells(f"{one['format']} weights{context}", one, "", digits=3))
    rows += _prices(found["prices"])
    rows.append(Section(f"Memory that {found['model']} needs, by rule of thumb", "Does it fit?"))
    words = {True: "fits", False: "no", None: "unknown"}
    for one in found["memory"]:
        what = f"{one['use']}: {one['needed_gb']:.3g} GB"
        rows.append([what, words[one["a_fits"]], words[one["b_fits"]], "", ""])
    show(columns, rows, ["", "Rules of thumb:", *(f"  {one['use']}: {one['source']}" for one in found["memory"])])
    if found["published"]:
        say("", "Published by others, one card, batch 1, beside what bandwidth allows:")
        for one in found["published"]:
            say(f"  {one['gpu']}, {shown(one)}: {one['verdict']}", f"      ({one['source']})")
    _show_features(f"Features that {b['name']} has and {a['name']} has not", found["gained"], a)
    _show_features(f"Features that {a['name']} has and {b['name']} has not", found["lost"], b)
    return errors.OK


def _show_features(title: str, features: Sequence[dict[str, str]], other: dict[str, str]) -> None:
    """The features that only one of the cards has."""
    say("", f"{title}: {len(features) or 'none'}", *([""] if features else []))
    if features:
        columns = (
            Column("feature"),
            Column(f"on {other['slug']}", priority=1, least=24),
            Column("what it is", least=24),
        )
        show(columns, [[one["name"], one["otherwise"] or "refused", one["title"]] for one in features])


def _prices(found: dict[str, Any]) -> list[Row | Section]:
    """The section of prices: amounts, then where they come from."""
    known = [one for one in (found["a"], found["b"]) if one]
    if not known:
        return [Section("List price", "Unknown for both")]
    note = "; ".join(f"{one['text']}, {one['source']}" if one else "unknown" for one in (found["a"], found["b"]))
    rows: list[Row | Section] = [Section("List price, and what it buys", f"Prices at launch: {note}")]
    currency = known[0]["currency"]
    return rows + [_cells(one["what"], one, currency, digits=3) for one in found["rows"]]


def _cells(what: str, one: dict[str, Any], unit: str, digits: int = 4) -> Row:
    name = f"{what}, {unit}" if unit else what
    if what == "NVLink":
        return [what, *(nvlink(one[side]).removeprefix("NVLink ") for side in ("a", "b")), _ratio(one["ratio"]), ""]
    texts = [_number(one[side], digits) if one.get(f"{side}_has", True) else "none" for side in ("a", "b")]
    return [name, *texts, _ratio(one["ratio"]), ""]


def _number(value: float | None, digits: int) -> str:
    """Digits that say something: 1,792, 35.6, 0.0342."""
    if value is None:
        return "unknown"
    if value >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else figure(ratio, 2)


def _values(a: float | None, b: float | None) -> dict[str, float | None]:
    return {"a": a, "b": b, "ratio": b / a if a and b else None}


def _mib(card: Gpu) -> float | None:
    return None if card.l2_bytes is None else card.l2_bytes / 2**20


def _ridge(card: Gpu, key: str | None) -> float | None:
    """Operations a byte of DRAM at which arithmetic decides: right of it bandwidth is no longer the roof."""
    peak = card.fp32_tflops if key is None else card.tensor_tflops.get(key)
    return None if peak is None or not card.bandwidth_gbps else 1e3 * peak / card.bandwidth_gbps


def _tokens(card: Gpu, form: str, context: int) -> float | None:
    return decode.most_tokens_per_s(card, decode.models()[MODEL], form, context)


def _tensor_keys() -> list[str]:
    """Every key of tensor peaks, by inputs and then by sums."""
    known = {key for card in hardware.gpus().values() for key in card.tensor_tflops}
    order = list(TENSOR_NAMES)
    return sorted(known, key=lambda key: (order.index(key.partition("_")[0]), key))
